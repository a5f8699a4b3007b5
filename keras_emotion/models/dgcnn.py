"""DGCNN: dynamical graph convolutional network (Song et al., 2018), a comparison model."""

import keras

from keras_emotion.layers import ChebyshevGraphConvolution, FeatureScaling
from keras_emotion.models.window_classifier import WindowClassifierMixin, check_minima, softmax_head


@keras.saving.register_keras_serializable(package="keras_emotion")
class DGCNN(WindowClassifierMixin, keras.Model):
    r"""Chebyshev graph convolution with one learned graph over the channels, followed by dense layers.

    The steps of Algorithm 1 of [1] for the features `x` of a window, `(channels, features)`: the graph `W* =
    relu(W*)`, its scaled Laplacian `\tilde L`, then

    $$y = \mathrm{relu}\Big(\sum_{k=0}^{K-1} T_k(\tilde L)\, x\, \Theta_k + b\Big)$$

    (`ChebyshevGraphConvolution`: the graph filter, the 1 x 1 convolution over the features, and the ReLU with its
    bias), flattened, a dense layer with ReLU and a dense softmax. The graph is a trained weight: the same for all
    windows, updated by every batch. `FeatureScaling` comes first, so that a saved model carries the statistics of its
    training windows: `model.feature_scaling.set_statistics(mean, standard_deviation)`, each `(channels, features)`.

    Inputs are any differential entropies or spectral powers by channel. From the maps of `EEGGridFeatures`, `(windows,
    steps, rows, columns, bands)`, use `eeg[:, 0, rows, columns]` for the first step, with the cells of the electrodes
    (`keras_emotion.signals.grid_positions(channel_names).T`).

    **Deviations.** Those of `ChebyshevGraphConvolution`, which describes the update of the graph. The numbers of
    filters and hidden units and `K = 2` are those of public code [2]; [1] was not available for verification. [2] uses
    powers of the normalised adjacency instead of Chebyshev polynomials and normalises its inputs by batch; here
    polynomials are used, and the scaling is fitted on training windows. The penalty on all weights that [1] adds to the
    cross-entropy is left to the optimizer (`weight_decay`).

    Args:
        n_channels: number of channels, 2 or more; default 32.
        n_features: number of features of a channel, 1 or more; default 5, one for each band.
        n_classes: number of classes, 2 or more; default 2.
        filters: filters of the graph convolution, 1 or more; default 32 [2].
        n_polynomials: `K`, 1 or more; default 2 [2]. With 1, channels are not mixed before the dense layers.
        hidden_units: units of the hidden dense layer, 1 or more; default 64 [2]. `None` leaves the layer out.
        adjacency_decay: that of `ChebyshevGraphConvolution`, 0 or more; default 0.
        scale_features: whether `FeatureScaling` comes first; default `True`.
        inference: metadata that a user of the saved model needs: bands, channel order, label
            rule, window length. JSON-able mapping; default `None`.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer except the output, which is float32.

    Input:
        A dictionary with `"eeg"`: `(batch, channels, features)`.

    Output:
        Probabilities of the classes, `(batch, n_classes)`, float32.

    Numerics: scaling, graph, polynomials and softmax run in float32 under mixed precision.

    Raises:
        ValueError: an argument is out of its range, or `inference` is not JSON-able.

    Example:
        >>> import numpy as np
        >>> model = DGCNN(n_channels=32, n_features=4)
        >>> outputs = model({"eeg": np.zeros((3, 32, 4))})
        >>> tuple(model.window_probabilities(outputs).shape), tuple(model.graph().shape)
        ((3, 2), (32, 32))

    References:
        [1] Song, Zheng, Song and Cui (2018). EEG emotion recognition using dynamical graph convolutional neural
        networks. IEEE Transactions on Affective Computing 11(3), 532-541.
        [2] TorchEEG, `torcheeg.models.DGCNN`, https://github.com/torcheeg/torcheeg.
    """

    def __init__(
        self,
        n_channels=32,
        n_features=5,
        n_classes=2,
        filters=32,
        n_polynomials=2,
        hidden_units=64,
        adjacency_decay=0.0,
        scale_features=True,
        inference=None,
        *,
        name=None,
        trainable=True,
        dtype=None,
    ):
        check_minima(
            ("n_channels", n_channels, 2),
            ("n_features", n_features, 1),
            ("n_classes", n_classes, 2),
            ("hidden_units", 1 if hidden_units is None else hidden_units, 1),
        )

        # === Layers ===
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        feature_scaling = FeatureScaling(axes=(-2, -1), dtype=policy, name="feature_scaling")
        graph_convolution = ChebyshevGraphConvolution(
            filters, n_polynomials, adjacency_decay=adjacency_decay, dtype=policy, name="graph_convolution"
        )
        head_layers = [keras.layers.Flatten(data_format="channels_last", dtype=policy, name="flatten")]
        if hidden_units is not None:
            head_layers.append(keras.layers.Dense(hidden_units, activation="relu", dtype=policy, name="hidden"))
        head_layers += softmax_head(n_classes, policy)

        # === Graph ===
        inputs = {"eeg": keras.Input((n_channels, n_features), name="eeg")}
        x = inputs["eeg"]
        if scale_features:
            x = feature_scaling(x)
        x = graph_convolution(x)
        for layer in head_layers:
            x = layer(x)
        super().__init__(inputs=inputs, outputs=x, name=name)
        # Set here: a functional model's constructor does not pass it on to its layers.
        self.trainable = trainable

        # === Configuration ===
        self.dtype_policy = policy
        self.n_channels = n_channels
        self.n_features = n_features
        self.n_classes = n_classes
        self.filters = filters
        self.n_polynomials = n_polynomials
        self.hidden_units = hidden_units
        self.adjacency_decay = adjacency_decay
        self.scale_features = scale_features
        self._keep_inference(inference)
        self.feature_scaling = feature_scaling if scale_features else None

    def graph(self):
        """Return the learned graph, `(channels, channels)` float32, symmetric and non-negative, for figures."""
        return self.get_layer("graph_convolution").graph()

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "n_channels": self.n_channels,
            "n_features": self.n_features,
            "n_classes": self.n_classes,
            "filters": self.filters,
            "n_polynomials": self.n_polynomials,
            "hidden_units": self.hidden_units,
            "adjacency_decay": self.adjacency_decay,
            "scale_features": self.scale_features,
        }
