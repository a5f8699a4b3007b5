"""Conti-CNN: the continuous convolutional network of Yang et al. (2018), a comparison model."""

import keras

from keras_emotion.layers import FeatureScaling
from keras_emotion.models.window_classifier import (
    WindowClassifierMixin,
    check_dropout,
    check_grid_shape,
    check_minima,
    check_positive,
    scaled_width,
    softmax_head,
)

_ACTIVATIONS = ("relu", "selu")


@keras.saving.register_keras_serializable(package="keras_emotion")
class ContiCNN(WindowClassifierMixin, keras.Model):
    r"""Consecutive convolutions without pooling, on an electrode grid with one map per band.

    The cube `(rows, columns, bands)` of a window [1] passes three convolutions of 4 x 4 with 64, 128 and 256 maps and
    one of 1 x 1 with 64, all keeping the 9 x 9 of the grid (zero-padded), then a dense layer of 1,024, dropout and a
    dense softmax. "Continuous" refers to the missing pooling, which would lose information on a small grid.
    `FeatureScaling` comes first, so that a saved model carries the statistics of its training windows:
    `model.feature_scaling.set_statistics(mean, standard_deviation)`, each `(rows, columns, bands)`.

    [1] classifies segments of one second: `EEGGridFeatures(window_seconds=1.0, steps=1)`; from its `(windows, 1, rows,
        columns, bands)` use `eeg[:, 0]` here.

    **Deviations.** [1] was not available. The sizes are those of the authors' code [2], which declares a fourth
    convolution of 1 x 1 but no longer runs it, and of TorchEEG [3], whose fourth has 64 maps (of 4 x 4; the declared 1
    x 1 kernel mixes maps only). TorchEEG uses ReLU after a convolution, the authors' code SELU, and both SELU after the
    dense layer: `activation` applies to all. That code also adds an L2 penalty of 0.5 on all weights, which is left to
    the optimizer here (`weight_decay`), and batch normalisations whose statistics it never updates.

    Args:
        grid_shape: rows and columns of the grid that the electrodes are laid out on, each 1 or more; default
            `(9, 9)` [1].
        n_bands: number of bands, 1 or more; default 4 [1].
        n_classes: number of classes, 2 or more; default 2 [1].
        activation: activation of the convolutions and of the dense layer, `"relu"` (default) or `"selu"`.
        dropout: dropout rate of the dense units, from 0 to below 1; default 0.5 [2].
        width_multiplier: factor above 0 on the maps and dense units, rounded, never below 1; default 1.
        scale_features: whether `FeatureScaling` comes first; default `True`.
        inference: metadata that a user of the saved model needs: bands, channel order, grid
            layout, label rule, window length. JSON-able mapping; default `None`.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer except the output, which is float32.

    Input:
        A dictionary with `"eeg"`: `(batch, rows, columns, bands)`.

    Output:
        Probabilities of the classes, `(batch, n_classes)`, float32.

    Numerics: scaling and softmax run in float32 under mixed precision.

    Raises:
        ValueError: an argument is out of its range, or `inference` is not JSON-able.

    Example:
        >>> import numpy as np
        >>> model = ContiCNN(width_multiplier=0.05)
        >>> tuple(model({"eeg": np.zeros((3, 9, 9, 4))}).shape)
        (3, 2)

    References:
        [1] Yang, Wu, Fu and Chen (2018). Continuous convolutional neural network with 3D input for EEG-based emotion
        recognition. ICONIP 2018, LNCS 11307, 433-443.
        [2] Authors' code, https://github.com/ynulonger/DE_CNN.
        [3] TorchEEG, `torcheeg.models.CCNN`, https://github.com/torcheeg/torcheeg.
    """

    def __init__(
        self,
        grid_shape=(9, 9),
        n_bands=4,
        n_classes=2,
        activation="relu",
        dropout=0.5,
        width_multiplier=1.0,
        scale_features=True,
        inference=None,
        *,
        name=None,
        trainable=True,
        dtype=None,
    ):
        check_grid_shape(grid_shape, 1)
        check_minima(("n_bands", n_bands, 1), ("n_classes", n_classes, 2))
        if activation not in _ACTIVATIONS:
            raise ValueError(f"`activation` must be one of {_ACTIVATIONS}; received activation={activation!r}")
        check_dropout(dropout)
        check_positive("width_multiplier", width_multiplier)

        # === Layers ===
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        feature_scaling = FeatureScaling(dtype=policy, name="feature_scaling")
        layers = (
            *(
                keras.layers.Conv2D(
                    scaled_width(width_multiplier, n_filters),
                    kernel_size,
                    padding="same",
                    activation=activation,
                    data_format="channels_last",
                    dtype=policy,
                    name=f"convolution_{number}",
                )
                for number, (n_filters, kernel_size) in enumerate(((64, 4), (128, 4), (256, 4), (64, 1)), start=1)
            ),
            keras.layers.Flatten(data_format="channels_last", dtype=policy, name="flatten"),
            keras.layers.Dense(scaled_width(width_multiplier, 1024), activation=activation, dtype=policy, name="dense"),
            keras.layers.Dropout(dropout, dtype=policy, name="dropout"),
            *softmax_head(n_classes, policy),
        )

        # === Graph ===
        inputs = {"eeg": keras.Input((*grid_shape, n_bands), name="eeg")}
        x = inputs["eeg"]
        if scale_features:
            x = feature_scaling(x)
        for layer in layers:
            x = layer(x)
        super().__init__(inputs=inputs, outputs=x, name=name)
        # Set here: a functional model's constructor does not pass it on to its layers.
        self.trainable = trainable

        # === Configuration ===
        self.dtype_policy = policy
        self.grid_shape = tuple(grid_shape)
        self.n_bands = n_bands
        self.n_classes = n_classes
        self.activation = activation
        self.dropout = dropout
        self.width_multiplier = width_multiplier
        self.scale_features = scale_features
        self._keep_inference(inference)
        self.feature_scaling = feature_scaling if scale_features else None

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "grid_shape": list(self.grid_shape),
            "n_bands": self.n_bands,
            "n_classes": self.n_classes,
            "activation": self.activation,
            "dropout": self.dropout,
            "width_multiplier": self.width_multiplier,
            "scale_features": self.scale_features,
        }
