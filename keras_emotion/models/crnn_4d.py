"""4D-CRNN: the convolutional recurrent network of Shen et al. (2020), a comparison model."""

import keras
from keras import ops

from keras_emotion.layers import Conv2D, FeatureScaling, MaxPooling2D
from keras_emotion.models.window_classifier import (
    WindowClassifierMixin,
    check_grid_shape,
    check_minima,
    check_positive,
    scaled_width,
    softmax_head,
)


@keras.saving.register_keras_serializable(package="keras_emotion")
class CRNN4D(WindowClassifierMixin, keras.Model):
    r"""CNN per slice of a window, followed by an LSTM over the slices and a softmax.

    Every slice `(rows, columns, bands)` of a window [1] passes four convolutions with ReLU, zero-padded, shared by the
    slices: 5 x 5 with 64 maps, 4 x 4 with 128, 4 x 4 with 256, 1 x 1 with 64; a maximum over 2 x 2 and a dense layer of
    512 with ReLU. An LSTM runs over the slices, from a state of zeros,

    $$i_t = \sigma(W_i x_t + U_i h_{t-1} + b_i), \quad f_t = \sigma(W_f x_t + U_f h_{t-1} + b_f), \quad
      o_t = \sigma(W_o x_t + U_o h_{t-1} + b_o)$$
    $$c_t = f_t \odot c_{t-1} + i_t \odot \tanh(W_c x_t + U_c h_{t-1} + b_c), \quad h_t = o_t \odot \tanh(c_t)$$

    and a dense softmax classifies the last `h_t`. 3FACRNN (`FACRNNEEGNetwork`) is this network with attention, a third
    convolution of 3 x 3, 128 maps in the fourth, a second LSTM layer and a class for each step. `FeatureScaling` comes
    first, so that a saved model carries the statistics of its training windows:
    `model.feature_scaling.set_statistics(mean, standard_deviation)`, each `(rows, columns, bands)`.

    **Deviations.** The sizes are those of the authors' code [2]; [1] was not available for verification. The pooling
    drops an odd last row and column (8 x 9 -> 4 x 4). That code has 4 slices of half a second; [1] compares several
    window lengths. Features are scaled here; the authors only subtract the features of the baseline
    (`EEGGridFeatures(baseline="feature")`).

    Args:
        n_steps: number of slices of a window, 1 or more; default 4 [2].
        grid_shape: rows and columns of the grid that the electrodes are laid out on, each 2 or more; default
            `(8, 9)` [1], `grid="8x9"` of `EEGGridFeatures`.
        n_bands: number of bands, 1 or more; default 4 [1].
        n_classes: number of classes, 2 or more; default 2.
        width_multiplier: factor above 0 on the maps and the dense units, rounded, never below 1; default 1.
        units: size of the LSTM, 1 or more; default 128 [2].
        scale_features: whether `FeatureScaling` comes first; default `True`.
        inference: metadata that a user of the saved model needs: bands, channel order, grid
            layout, label rule, window length. JSON-able mapping; default `None`.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer except the output, which is float32.

    Input:
        A dictionary with `"eeg"`: `(batch, steps, rows, columns, bands)`.

    Output:
        Probabilities of the classes, `(batch, n_classes)`, float32.

    Numerics: scaling and softmax run in float32 under mixed precision.

    Raises:
        ValueError: an argument is out of its range, or `inference` is not JSON-able.

    Example:
        >>> import numpy as np
        >>> model = CRNN4D(width_multiplier=0.05, units=8)
        >>> tuple(model({"eeg": np.zeros((3, 4, 8, 9, 4))}).shape)
        (3, 2)

    References:
        [1] Shen, Dai, Lin, Zhang, Kong and Zeng (2020). EEG-based emotion recognition using 4D convolutional
        recurrent neural network. Cognitive Neurodynamics 14(6), 815-828.
        [2] Authors' code, https://github.com/aug08/4D-CRNN.
    """

    def __init__(
        self,
        n_steps=4,
        grid_shape=(8, 9),
        n_bands=4,
        n_classes=2,
        width_multiplier=1.0,
        units=128,
        scale_features=True,
        inference=None,
        *,
        name=None,
        trainable=True,
        dtype=None,
    ):
        check_grid_shape(grid_shape, 2)
        check_minima(("n_steps", n_steps, 1), ("n_bands", n_bands, 1), ("n_classes", n_classes, 2), ("units", units, 1))
        check_positive("width_multiplier", width_multiplier)

        # === Layers ===
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        feature_scaling = FeatureScaling(dtype=policy, name="feature_scaling")
        slice_layers = (
            *(
                Conv2D(
                    scaled_width(width_multiplier, n_filters),
                    kernel_size,
                    padding="same",
                    activation="relu",
                    data_format="channels_last",
                    dtype=policy,
                    name=f"convolution_{number}",
                )
                for number, (n_filters, kernel_size) in enumerate(((64, 5), (128, 4), (256, 4), (64, 1)), start=1)
            ),
            MaxPooling2D(2, data_format="channels_last", dtype=policy, name="pooling"),
            keras.layers.Flatten(data_format="channels_last", dtype=policy, name="flatten"),
            keras.layers.Dense(scaled_width(width_multiplier, 512), activation="relu", dtype=policy, name="dense"),
        )
        recurrent = keras.layers.LSTM(units, dtype=policy, name="recurrent")
        head_layers = softmax_head(n_classes, policy)

        # === Graph ===
        inputs = {"eeg": keras.Input((n_steps, *grid_shape, n_bands), name="eeg")}
        x = inputs["eeg"]
        if scale_features:
            x = feature_scaling(x)
        x = ops.reshape(x, (-1, *grid_shape, n_bands))
        for layer in slice_layers:
            x = layer(x)
        x = recurrent(ops.reshape(x, (-1, n_steps, x.shape[-1])))
        for layer in head_layers:
            x = layer(x)
        super().__init__(inputs=inputs, outputs=x, name=name)
        # Set here: a functional model's constructor does not pass it on to its layers.
        self.trainable = trainable

        # === Configuration ===
        self.dtype_policy = policy
        self.n_steps = n_steps
        self.grid_shape = tuple(grid_shape)
        self.n_bands = n_bands
        self.n_classes = n_classes
        self.width_multiplier = width_multiplier
        self.units = units
        self.scale_features = scale_features
        self._keep_inference(inference)
        self.feature_scaling = feature_scaling if scale_features else None

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "n_steps": self.n_steps,
            "grid_shape": list(self.grid_shape),
            "n_bands": self.n_bands,
            "n_classes": self.n_classes,
            "width_multiplier": self.width_multiplier,
            "units": self.units,
            "scale_features": self.scale_features,
        }
