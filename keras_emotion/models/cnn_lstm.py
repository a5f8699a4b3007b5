"""CNN-LSTM: cascade of a convolutional network and an LSTM (Chen et al., 2020), a comparison model."""

import keras
from keras import ops

from keras_emotion.layers import Conv2D, FeatureScaling
from keras_emotion.models.window_classifier import (
    WindowClassifierMixin,
    check_dropout,
    check_grid_shape,
    check_minima,
    check_positive,
    scaled_width,
    softmax_head,
)

_MAPS = (32, 64, 128)
_DENSE_UNITS = 1024


@keras.saving.register_keras_serializable(package="keras_emotion")
class CNNLSTM(WindowClassifierMixin, keras.Model):
    r"""CNN per step on raw EEG in an electrode grid, followed by an LSTM over the steps.

    At each step the samples of the electrodes form a mesh `(rows, columns)` with zeros between them [3]. The mesh
    passes three convolutions of 3 x 3 with 32, 64 and 128 maps, zero-padded, without pooling, and a dense layer of
    1,024, shared by the steps; two LSTM layers of 1,024 run over the steps from a state of zeros; the last state passes
    a dense layer of 1,024 and a dense softmax. `FeatureScaling` comes first, so that a saved model carries the
    statistics of its training windows: `model.feature_scaling.set_statistics(mean, standard_deviation)`, each `(rows,
    columns,
    samples)`.

    `EEGGridFeatures(representation="raw_slices")` provides the samples of a slice as maps of one mesh,
    `representation="raw_samples"` one mesh per sample.

    **Deviations.** [1] was not available, nor are its sizes public. Du et al. (2024) describe it as a hybrid of a
    convolutional network and an LSTM; the abstract of [2], also with DEAP, has meshes of raw EEG, a sliding window and
    such a cascade. The sizes and the activation here are those of the cascade on meshes of [3], in its authors' code
    [4], which are assumptions for [1]. There a step is one sample and a window ten of them; a window of 2 s at 128 Hz
    would be 256 steps, so that a step is a slice here by default and its samples are maps. [4] standardises each mesh
    by the electrodes of that sample; here each cell is standardised over the training windows. Dropout follows each
    dense layer and each LSTM layer.

    Args:
        n_steps: number of steps of a window, 1 or more; default 4.
        grid_shape: rows and columns of the mesh, each 1 or more; default `(9, 9)`.
        n_samples: number of samples of a step, maps of the mesh, 1 or more; default 64 (0.5 s at 128 Hz).
        n_classes: number of classes, 2 or more; default 2.
        activation: activation of convolutions and dense layers, `"elu"` (default) [4] or `"relu"`.
        units: size of each LSTM layer, 1 or more; default 1,024 [4].
        n_recurrent_layers: number of LSTM layers, 1 or more; default 2 [4].
        dropout: dropout rate, from 0 to below 1; default 0.5 [4].
        width_multiplier: factor above 0 on the maps and dense units, rounded, never below 1; default 1.
        scale_features: whether `FeatureScaling` comes first; default `True`.
        inference: metadata that a user of the saved model needs: channel order, grid layout,
            preprocessing, label rule, window length. JSON-able mapping; default `None`.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer except the output, which is float32.

    Input:
        A dictionary with `"eeg"`: `(batch, steps, rows, columns, samples)`.

    Output:
        Probabilities of the classes, `(batch, n_classes)`, float32.

    Numerics: scaling and softmax run in float32 under mixed precision.

    Raises:
        ValueError: an argument is out of its range, or `inference` is not JSON-able.

    Example:
        >>> import numpy as np
        >>> model = CNNLSTM(n_samples=8, width_multiplier=0.05, units=6)
        >>> tuple(model({"eeg": np.zeros((3, 4, 9, 9, 8))}).shape)
        (3, 2)

    References:
        [1] Chen, Jiang, Zhang and Zhang (2020). Emotion recognition from spatiotemporal EEG representations with hybrid
        convolutional recurrent neural networks via wearable multi-channel headset. Computer Communications 154, 58-65.
        [2] The networks CASC_CNN_LSTM and CASC_CNN_CNN, Journal of Software (in Chinese), abstract at
        https://jos.org.cn/josen/article/abstract/6123.
        [3] Zhang, Yao, Zhang, Wang, Chen, Boots and Benatallah (2018). Cascade and parallel convolutional recurrent
        neural networks on EEG-based intention recognition for brain computer interface. AAAI. arXiv:1708.06578.
        [4] Authors' code of [3], https://github.com/dalinzhang/Cascade-Parallel.
    """

    def __init__(
        self,
        n_steps=4,
        grid_shape=(9, 9),
        n_samples=64,
        n_classes=2,
        activation="elu",
        units=1024,
        n_recurrent_layers=2,
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
        check_minima(
            ("n_steps", n_steps, 1),
            ("n_samples", n_samples, 1),
            ("n_classes", n_classes, 2),
            ("units", units, 1),
            ("n_recurrent_layers", n_recurrent_layers, 1),
        )
        if activation not in ("elu", "relu"):
            raise ValueError(f"`activation` must be 'elu' or 'relu'; received activation={activation!r}")
        check_dropout(dropout)
        check_positive("width_multiplier", width_multiplier)

        # === Layers ===
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        dense_units = scaled_width(width_multiplier, _DENSE_UNITS)

        def dense_layers(number):
            return (
                keras.layers.Dense(dense_units, activation=activation, dtype=policy, name=f"dense_{number}"),
                keras.layers.Dropout(dropout, dtype=policy, name=f"dense_dropout_{number}"),
            )

        feature_scaling = FeatureScaling(dtype=policy, name="feature_scaling")
        step_layers = (
            *(
                Conv2D(
                    scaled_width(width_multiplier, n_maps),
                    3,
                    padding="same",
                    activation=activation,
                    data_format="channels_last",
                    dtype=policy,
                    name=f"convolution_{number}",
                )
                for number, n_maps in enumerate(_MAPS, start=1)
            ),
            keras.layers.Flatten(data_format="channels_last", dtype=policy, name="flatten"),
            *dense_layers(1),
        )
        window_layers = []
        for number in range(1, n_recurrent_layers + 1):
            window_layers += [
                keras.layers.LSTM(
                    units, return_sequences=number < n_recurrent_layers, dtype=policy, name=f"recurrent_{number}"
                ),
                keras.layers.Dropout(dropout, dtype=policy, name=f"recurrent_dropout_{number}"),
            ]
        window_layers += [*dense_layers(2), *softmax_head(n_classes, policy)]

        # === Graph ===
        inputs = {"eeg": keras.Input((n_steps, *grid_shape, n_samples), name="eeg")}
        x = inputs["eeg"]
        if scale_features:
            x = feature_scaling(x)
        x = ops.reshape(x, (-1, *grid_shape, n_samples))
        for layer in step_layers:
            x = layer(x)
        x = ops.reshape(x, (-1, n_steps, dense_units))
        for layer in window_layers:
            x = layer(x)
        super().__init__(inputs=inputs, outputs=x, name=name)
        # Set here: a functional model's constructor does not pass it on to its layers.
        self.trainable = trainable

        # === Configuration ===
        self.dtype_policy = policy
        self.n_steps = n_steps
        self.grid_shape = tuple(grid_shape)
        self.n_samples = n_samples
        self.n_classes = n_classes
        self.activation = activation
        self.units = units
        self.n_recurrent_layers = n_recurrent_layers
        self.dropout = dropout
        self.width_multiplier = width_multiplier
        self.scale_features = scale_features
        self._keep_inference(inference)
        self.feature_scaling = feature_scaling if scale_features else None

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "n_steps": self.n_steps,
            "grid_shape": list(self.grid_shape),
            "n_samples": self.n_samples,
            "n_classes": self.n_classes,
            "activation": self.activation,
            "units": self.units,
            "n_recurrent_layers": self.n_recurrent_layers,
            "dropout": self.dropout,
            "width_multiplier": self.width_multiplier,
            "scale_features": self.scale_features,
        }
