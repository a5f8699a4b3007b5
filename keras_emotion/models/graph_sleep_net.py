"""GraphSleepNet: adaptive spatial-temporal graph network (Jia et al., 2020), a comparison model ("GSN")."""

import keras
from keras import ops

from keras_emotion.layers import AdaptiveGraph, ChebyshevGraphConvolution, FeatureScaling, PairwiseAttention
from keras_emotion.models.window_classifier import (
    WindowClassifierMixin,
    check_dropout,
    check_minima,
    softmax_head,
)


@keras.saving.register_keras_serializable(package="keras_emotion")
class GraphSleepNet(WindowClassifierMixin, keras.Model):
    r"""Adaptive graph for each step of a window, attention in space and time, and convolutions over both.

    Section 4 of [1], for the features `X_1, ..., X_T` of the steps of a window, each `(channels, features)`:

    - the graph `A_t` of each step from its features, with its loss (`AdaptiveGraph`);
    - temporal attention `Q'`, `(T, T)`: `\hat X_t = \sum_s Q'_{ts} X_s`; spatial attention `P'`, `(channels,
      channels)` (both `PairwiseAttention` of `X`);
    - spatial graph convolution with `K` Chebyshev polynomials of the Laplacian of `A_t`, each times `P'`
      (`ChebyshevGraphConvolution`), and a convolution `\Phi` over neighbouring steps,

    $$X^{(1)} = \mathrm{ReLU}\Big(\Phi * \mathrm{ReLU}\Big(\sum_{k=0}^{K-1} \big(T_k(\tilde L_t) \odot P'\big)\,
      \hat X_t\, \Theta_k\Big)\Big)$$

    then flatten, a linear dense layer, dropout and a dense softmax. [1] classifies the sleep stage in the middle of
    five epochs; here the steps are those of one window. `FeatureScaling` comes first, so that a saved model carries the
    statistics of its training windows: `model.feature_scaling.set_statistics(mean, standard_deviation)`, each
    `(channels, features)`. Training minimises the loss given to `compile` plus the loss of the graph.

    For features by channel from the maps of `EEGGridFeatures`, `(windows, steps, rows, columns, bands)`, use `eeg[:, :,
    rows, columns]` with the cells of the electrodes (`keras_emotion.signals.grid_positions(channel_names).T`).

    **Deviations.** The equations are those of the first author's summary of [1, 3], the sizes those of the released
    code [2], which deviates from the equations: one graph, of the middle step; no ReLU in it and no loss of it;
    elementwise products of polynomials; temporal attention only as an input of the spatial one; a shortcut of 1 x 1 and
    a layer normalisation. Here the equations are implemented. They do not state how `Q'` enters: here as a mean over
    the steps. `A_t` has rows that sum to 1, so `L_t = I - A_t` has eigenvalues from 0 to 2: that bound replaces
    `\lambda_{max}`, which would need a decomposition for every step of every window (the released code computes one, of
    a triangle of the unsymmetric matrix); `\tilde L_t` is then `-A_t`. `distance_weight` is explained in
    `AdaptiveGraph`: its default here is not the printed 1, at which the graph becomes uniform.

    Args:
        n_steps: number of steps `T` of a window, 1 or more; default 5 [1].
        n_channels: number of channels, 2 or more; default 32.
        n_features: number of features of a channel, 1 or more; default 5, one for each band.
        n_classes: number of classes, 2 or more; default 2.
        filters: filters of the graph convolution and of the one over steps, 1 or more; default 10 [2].
        n_polynomials: `K`, 1 or more; default 3 [2].
        step_kernel_size: steps that `\Phi` spans, 1 or more; default 3 [2].
        dense_units: units of the linear dense layer, 1 or more; default 16 [2].
        dropout: dropout rate of these, from 0 to below 1; default 0.5 [2].
        distance_weight: `\alpha` of `AdaptiveGraph`, 0 or more; default 1e-4.
        sparsity_weight: `\lambda` of `AdaptiveGraph`, 0 or more; default 1e-4 [2].
        scale_features: whether `FeatureScaling` comes first; default `True`.
        inference: metadata that a user of the saved model needs: bands, channel order, label
            rule, window length. JSON-able mapping; default `None`.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer except the output, which is float32.

    Input:
        A dictionary with `"eeg"`: `(batch, steps, channels, features)`.

    Output:
        Probabilities of the classes, `(batch, n_classes)`, float32.

    Numerics: scaling, graphs, polynomials, their loss and all softmax run in float32 under mixed precision. The loss of
    the graphs is a mean over the batch that ignores sample weights.

    Raises:
        ValueError: an argument is out of its range, or `inference` is not JSON-able.

    Example:
        >>> import numpy as np
        >>> model = GraphSleepNet(n_steps=4, n_channels=8)
        >>> windows = {"eeg": np.zeros((3, 4, 8, 5))}
        >>> tuple(model(windows).shape), tuple(model.graph_model()(windows).shape)
        ((3, 2), (3, 4, 8, 8))

    References:
        [1] Jia, Lin, Wang, Zhou, Ning, He and Zhao (2020). GraphSleepNet: adaptive spatial-temporal graph
        convolutional networks for sleep stage classification. IJCAI, 1324-1330.
        [2] Authors' code, https://github.com/ziyujia/GraphSleepNet.
        [3] https://ziyujia.github.io/Chinese-Reading-Materials/Materials/GraphSleepNet/GraphSleepNet.html
    """

    def __init__(
        self,
        n_steps=5,
        n_channels=32,
        n_features=5,
        n_classes=2,
        filters=10,
        n_polynomials=3,
        step_kernel_size=3,
        dense_units=16,
        dropout=0.5,
        distance_weight=1e-4,
        sparsity_weight=1e-4,
        scale_features=True,
        inference=None,
        *,
        name=None,
        trainable=True,
        dtype=None,
    ):
        check_minima(
            ("n_steps", n_steps, 1),
            ("n_channels", n_channels, 2),
            ("n_features", n_features, 1),
            ("n_classes", n_classes, 2),
            ("step_kernel_size", step_kernel_size, 1),
            ("dense_units", dense_units, 1),
        )
        check_dropout(dropout)

        # === Layers ===
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        feature_scaling = FeatureScaling(axes=(-2, -1), dtype=policy, name="feature_scaling")
        adaptive_graph = AdaptiveGraph(distance_weight, sparsity_weight, dtype=policy, name="adaptive_graph")
        step_attention = PairwiseAttention("steps", dtype=policy, name="step_attention")
        channel_attention = PairwiseAttention("channels", dtype=policy, name="channel_attention")
        graph_convolution = ChebyshevGraphConvolution(
            filters, n_polynomials, use_bias=False, largest_eigenvalue=2.0, dtype=policy, name="graph_convolution"
        )
        layers = (
            keras.layers.Conv2D(
                filters,
                (step_kernel_size, 1),
                padding="same",
                activation="relu",
                data_format="channels_last",
                dtype=policy,
                name="step_convolution",
            ),
            keras.layers.Flatten(data_format="channels_last", dtype=policy, name="flatten"),
            keras.layers.Dense(dense_units, dtype=policy, name="dense"),
            keras.layers.Dropout(dropout, dtype=policy, name="dropout"),
            *softmax_head(n_classes, policy),
        )

        # === Graph ===
        inputs = {"eeg": keras.Input((n_steps, n_channels, n_features), name="eeg")}
        x = inputs["eeg"]
        if scale_features:
            x = feature_scaling(x)
        graphs = adaptive_graph(x)
        attended = ops.einsum("bts,bscf->btcf", step_attention(x), x)
        x = graph_convolution([attended, graphs, channel_attention(x)])
        for layer in layers:
            x = layer(x)
        super().__init__(inputs=inputs, outputs=x, name=name)
        # Set here: a functional model's constructor does not pass it on to its layers.
        self.trainable = trainable

        # === Configuration ===
        self.dtype_policy = policy
        self.n_steps = n_steps
        self.n_channels = n_channels
        self.n_features = n_features
        self.n_classes = n_classes
        self.filters = filters
        self.n_polynomials = n_polynomials
        self.step_kernel_size = step_kernel_size
        self.dense_units = dense_units
        self.dropout = dropout
        self.distance_weight = distance_weight
        self.sparsity_weight = sparsity_weight
        self.scale_features = scale_features
        self._keep_inference(inference)
        self._graphs = graphs
        self.feature_scaling = feature_scaling if scale_features else None

    def graph_model(self):
        """Return a model that shares this one's weights and outputs its graphs, for figures.

        It maps the input of this model to `A`, `(batch, steps, channels, channels)`, float32, whose rows sum to 1.
        """
        return keras.Model(self.input, keras.layers.Identity(dtype="float32")(self._graphs))

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "n_steps": self.n_steps,
            "n_channels": self.n_channels,
            "n_features": self.n_features,
            "n_classes": self.n_classes,
            "filters": self.filters,
            "n_polynomials": self.n_polynomials,
            "step_kernel_size": self.step_kernel_size,
            "dense_units": self.dense_units,
            "dropout": self.dropout,
            "distance_weight": self.distance_weight,
            "sparsity_weight": self.sparsity_weight,
            "scale_features": self.scale_features,
        }
