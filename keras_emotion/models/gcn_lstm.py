"""GCN-LSTM: graph convolutions per step and an LSTM (Yin et al., 2021), a comparison model."""

import keras
from keras import ops

from keras_emotion.layers import ChebyshevGraphConvolution, FeatureScaling, NearestNeighborGraph
from keras_emotion.models.window_classifier import WindowClassifierMixin, check_minima, softmax_head

_ACTIVATIONS = ("sigmoid", "relu")


@keras.saving.register_keras_serializable(package="keras_emotion")
class GCNLSTM(WindowClassifierMixin, keras.Model):
    r"""Graph convolution per step of a window, an LSTM over the steps, and a dense softmax over all of them.

    The differential entropies of a window, `(steps, channels, features)` [1], are filtered step by step, each by its
    own graph convolution: Chebyshev polynomials of the Laplacian of a graph that connects channels with similar
    features (`NearestNeighborGraph`, `ChebyshevGraphConvolution`), batch normalisation, an activation. The filtered
    channels of a step are the input of an LSTM, and a dense softmax classifies its states at all steps.
    `FeatureScaling` comes first, so that a saved model carries the statistics of its training windows:
    `model.feature_scaling.set_statistics(mean, standard_deviation)`, each `(channels, features)`.

    [1] uses segments of 6 s; in [2] each second is a step: `EEGChannelFeatures(window_seconds=6.0, steps=6)`.

    **Deviations.** [1] was not available: its abstract has several graph convolutions, an LSTM and a dense layer. The
    rest is that of third-party public code [2]: one convolution for each step, `K = 2`, as many filters as features,
    five, a sigmoid, 30 units, and graphs of the five nearest neighbors. `graph="learned"` uses one learned graph for
    each convolution instead (as `DGCNN`). [2] also normalises the states of the LSTM and passes them and the scores of
    the classes through sigmoids, and trains with a penalty of 0.1 on the weights, which is left to the optimizer
    (`weight_decay`).

    Args:
        n_steps: number of steps of a window, 1 or more; default 6 [2].
        n_channels: number of channels, 2 or more; default 32.
        n_features: number of features of a channel at a step, 1 or more; default 5, one for each band [2].
        n_classes: number of classes, 2 or more; default 2.
        graph: `"nearest"` (default) [2] or `"learned"`.
        n_neighbors: number of neighbors of a channel in a graph `"nearest"`, 1 or more; default 5 [2].
        share_convolution: one graph convolution for all steps in place of one for each; default `False`.
        filters: filters of a graph convolution, 1 or more; default 5 [2].
        n_polynomials: `K`, 1 or more; default 2 [2].
        activation: activation after the graph convolution, `"sigmoid"` (default) [2] or `"relu"`.
        units: size of the LSTM, 1 or more; default 30 [2].
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

    Numerics: scaling, graphs, polynomials, the statistics of the normalisation and softmax run in float32 under mixed
    precision.

    Raises:
        ValueError: an argument is out of its range, or `inference` is not JSON-able.

    Example:
        >>> import numpy as np
        >>> model = GCNLSTM(n_steps=4, n_channels=8)
        >>> tuple(model({"eeg": np.zeros((3, 4, 8, 5))}).shape)
        (3, 2)

    References:
        [1] Yin, Zheng, Hu, Zhang and Cui (2021). EEG emotion recognition using fusion model of graph convolutional
        neural networks and LSTM. Applied Soft Computing 100, 106954.
        [2] ECLGCNN, https://github.com/zzx-JLU/ECLGCNN.
    """

    def __init__(
        self,
        n_steps=6,
        n_channels=32,
        n_features=5,
        n_classes=2,
        graph="nearest",
        n_neighbors=5,
        share_convolution=False,
        filters=5,
        n_polynomials=2,
        activation="sigmoid",
        units=30,
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
            ("units", units, 1),
        )
        if graph not in ("nearest", "learned"):
            raise ValueError(f"`graph` must be 'nearest' or 'learned'; received graph={graph!r}")
        if activation not in _ACTIVATIONS:
            raise ValueError(f"`activation` must be one of {_ACTIVATIONS}; received activation={activation!r}")

        # === Layers ===
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        feature_scaling = FeatureScaling(axes=(-2, -1), dtype=policy, name="feature_scaling")
        nearest = NearestNeighborGraph(n_neighbors, dtype=policy, name="nearest_graph")
        numbers = [""] if share_convolution else [f"_{number}" for number in range(1, n_steps + 1)]
        step_layers = [
            (
                ChebyshevGraphConvolution(
                    filters,
                    n_polynomials,
                    activation=None,
                    # The normalisation has one.
                    use_bias=False,
                    largest_eigenvalue=2.0 if graph == "nearest" else None,
                    dtype=policy,
                    name=f"graph_convolution{number}",
                ),
                keras.layers.BatchNormalization(dtype=policy, name=f"normalization{number}"),
                keras.layers.Activation(activation, dtype=policy, name=f"activation{number}"),
            )
            for number in numbers
        ]
        window_layers = (
            keras.layers.LSTM(units, return_sequences=True, dtype=policy, name="recurrent"),
            keras.layers.Flatten(data_format="channels_last", dtype=policy, name="flatten"),
            *softmax_head(n_classes, policy),
        )

        # === Graph ===
        inputs = {"eeg": keras.Input((n_steps, n_channels, n_features), name="eeg")}
        x = inputs["eeg"]
        if scale_features:
            x = feature_scaling(x)
        given = [x, nearest(x)] if graph == "nearest" else [x]

        def filtered(arrays, layers):
            convolution, *others = layers
            features = convolution(arrays if graph == "nearest" else arrays[0])
            for layer in others:
                features = layer(features)
            return features

        if share_convolution:
            x = filtered(given, step_layers[0])
        else:
            x = ops.stack(
                [filtered([array[:, step] for array in given], layers) for step, layers in enumerate(step_layers)],
                axis=1,
            )
        x = ops.reshape(x, (-1, n_steps, n_channels * filters))
        for layer in window_layers:
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
        self.graph = graph
        self.n_neighbors = n_neighbors
        self.share_convolution = share_convolution
        self.filters = filters
        self.n_polynomials = n_polynomials
        self.activation = activation
        self.units = units
        self.scale_features = scale_features
        self._keep_inference(inference)
        self.feature_scaling = feature_scaling if scale_features else None

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "n_steps": self.n_steps,
            "n_channels": self.n_channels,
            "n_features": self.n_features,
            "n_classes": self.n_classes,
            "graph": self.graph,
            "n_neighbors": self.n_neighbors,
            "share_convolution": self.share_convolution,
            "filters": self.filters,
            "n_polynomials": self.n_polynomials,
            "activation": self.activation,
            "units": self.units,
            "scale_features": self.scale_features,
        }
