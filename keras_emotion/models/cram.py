"""CRAM: the convolutional recurrent attention model of Zhang et al. (2019) for raw EEG, a comparison model."""

import keras
from keras import ops

from keras_emotion.models.window_classifier import (
    WindowClassifierMixin,
    check_dropout,
    check_minima,
    check_positive,
    softmax_head,
)

# For the authors' trials of 1,125 samples: slice length and hop between slices.
_SLICE_SHARE = 400 / 1125
_HOP_SHARE = 50 / 1125
# For their 250 Hz: kernel, pooling, and hop between poolings.
_KERNEL_SECONDS = 45 / 250
_POOLING_SECONDS = 75 / 250
_POOLING_HOP_SECONDS = 10 / 250


@keras.saving.register_keras_serializable(package="keras_emotion")
class CRAM(WindowClassifierMixin, keras.Model):
    r"""Convolutions over all channels in overlapping slices, an LSTM over the slices, and attention.

    A window `(samples, channels)` [1] passes one convolution over all channels and 0.18 s with 40 maps, batch
    normalisation and ReLU. It is divided into overlapping slices, which are max-pooled over 0.3 s every 0.04 s and
    flattened. Two LSTM layers of 64 run over the slices, and the states `h_t` of the last one are averaged by their
    attention,

    $$v_t = \tanh(W h_t + b), \qquad \alpha_t = \mathrm{softmax}_t(u^T v_t), \qquad h = \sum_t \alpha_t h_t$$

    with `W` of `(64, 512)`; a dense softmax classifies `h`. The weights are those of the layers `"attention"` (`W`,
    `b`) and `"attention_score"` (`u`).

    **Deviations.** [1] was not available; the sizes are those of its authors' code [2] for movement data: trials of
    1,125 samples at 250 Hz, slices of 400, one every 50. Here a slice has the same share of the window (15 slices, up
    to rounding), and kernel and pooling have the same length in seconds, or that of the slice if it is shorter. [2]
    extracts the slices first and convolves each; without padding the results are the same, but most of them are
    computed several times and so counted several times in batch normalisation. Du et al. (2024) mention one LSTM layer,
    [2] has two: `n_recurrent_layers`. [2] has a bias before the normalisation, which cancels it. As in [2], signals are
    not scaled: batch normalisation follows directly after the convolution.

    Args:
        n_samples: number of samples of a window, 8 or more; default 256 (2 s at 128 Hz).
        n_channels: number of channels, 1 or more; default 32.
        n_classes: number of classes, 2 or more; default 2.
        sampling_rate_hz: rate of the samples in Hz, above 0; default 128.
        slice_samples: samples of a slice, 1 or more and less than those of the window; default `None`, 36 % of the
            window [2].
        slice_hop_samples: samples between consecutive slice starts, 1 or more, so that there are two slices; default
            `None`, 4 % of the window [2].
        filters: maps of the convolution, 1 or more; default 40 [2].
        units: size of each LSTM layer, 1 or more; default 64 [2].
        n_recurrent_layers: number of LSTM layers, 1 or more; default 2 [2].
        attention_units: rows of `W`, 1 or more; default 512 [2].
        dropout: share dropped in training after the pooling, each LSTM layer and the attention, from 0 to below 1;
            default 0.5 [2].
        inference: metadata that a user of the saved model needs: channel order, units,
            preprocessing, label rule. JSON-able mapping; default `None`.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer except the output, which is float32.

    Input:
        A dictionary with `"eeg"`: `(batch, samples, channels)`, the layout of `RawSignals(channels="eeg")`.

    Output:
        Probabilities of the classes, `(batch, n_classes)`, float32.

    Numerics: both softmax and the statistics of the normalisation run in float32 under mixed precision. Use a unit in
    which signals are of the order of 1 to 100 (microvolts): volts are negligible against the epsilon.

    Raises:
        ValueError: an argument is out of its range, or `inference` is not JSON-able.

    Example:
        >>> import numpy as np
        >>> model = CRAM(n_channels=4, units=8)
        >>> tuple(model({"eeg": np.zeros((3, 256, 4))}).shape), model.n_slices
        ((3, 2), 16)

    References:
        [1] Zhang, Yao, Chen and Monaghan (2019). A convolutional recurrent attention model for subject-independent EEG
        signal analysis. IEEE Signal Processing Letters 26(5), 715-719.
        [2] Authors' code, https://github.com/dalinzhang/CRAM.
    """

    def __init__(
        self,
        n_samples=256,
        n_channels=32,
        n_classes=2,
        sampling_rate_hz=128.0,
        slice_samples=None,
        slice_hop_samples=None,
        filters=40,
        units=64,
        n_recurrent_layers=2,
        attention_units=512,
        dropout=0.5,
        inference=None,
        *,
        name=None,
        trainable=True,
        dtype=None,
    ):
        check_positive("sampling_rate_hz", sampling_rate_hz)
        check_minima(
            ("n_samples", n_samples, 8),
            ("n_channels", n_channels, 1),
            ("n_classes", n_classes, 2),
            ("slice_samples", 1 if slice_samples is None else slice_samples, 1),
            ("slice_hop_samples", 1 if slice_hop_samples is None else slice_hop_samples, 1),
            ("filters", filters, 1),
            ("units", units, 1),
            ("n_recurrent_layers", n_recurrent_layers, 1),
            ("attention_units", attention_units, 1),
        )
        check_dropout(dropout)
        length = slice_samples or round(_SLICE_SHARE * n_samples)
        # First sample of each slice.
        starts = range(0, n_samples - length + 1, slice_hop_samples or max(1, round(_HOP_SHARE * n_samples)))
        if len(starts) < 2:
            raise ValueError(
                f"`slice_samples` and `slice_hop_samples` must leave two slices of {n_samples} samples or more; "
                f"received slice_samples={slice_samples}, slice_hop_samples={slice_hop_samples}"
            )

        def samples(seconds, most):
            return min(max(1, round(seconds * sampling_rate_hz)), most)

        kernel_length = samples(_KERNEL_SECONDS, length)
        # Positions of the kernel in a slice.
        n_places = length - kernel_length + 1

        # === Layers ===
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())

        def dropped(after):
            return keras.layers.Dropout(dropout, dtype=policy, name=f"{after}_dropout")

        sample_layers = (
            keras.layers.Conv1D(
                filters, kernel_length, use_bias=False, data_format="channels_last", dtype=policy, name="convolution"
            ),
            # As in the authors' code: no scale, which the next layer has.
            keras.layers.BatchNormalization(
                scale=False, momentum=0.993, epsilon=1e-5, dtype=policy, name="normalization"
            ),
            keras.layers.Activation("relu", dtype=policy, name="activation"),
        )
        slice_layers = (
            keras.layers.MaxPooling1D(
                samples(_POOLING_SECONDS, n_places),
                samples(_POOLING_HOP_SECONDS, n_places),
                data_format="channels_last",
                dtype=policy,
                name="pooling",
            ),
            keras.layers.Flatten(data_format="channels_last", dtype=policy, name="flatten"),
            dropped("pooling"),
        )
        recurrent_layers = []
        for number in range(1, n_recurrent_layers + 1):
            recurrent_layers += [
                keras.layers.LSTM(units, return_sequences=True, dtype=policy, name=f"recurrent_{number}"),
                dropped(f"recurrent_{number}"),
            ]
        attention_layers = (
            keras.layers.Dense(attention_units, activation="tanh", dtype=policy, name="attention"),
            keras.layers.Dense(1, use_bias=False, dtype=policy, name="attention_score"),
            keras.layers.Softmax(axis=1, dtype="float32", name="attention_weights"),
        )
        head_layers = (dropped("attention"), *softmax_head(n_classes, policy))

        # === Graph ===
        inputs = {"eeg": keras.Input((n_samples, n_channels), name="eeg")}
        x = inputs["eeg"]
        for layer in sample_layers:
            x = layer(x)
        x = ops.stack([x[:, start : start + n_places] for start in starts], axis=1)
        x = ops.reshape(x, (-1, n_places, filters))
        for layer in slice_layers:
            x = layer(x)
        x = ops.reshape(x, (-1, len(starts), x.shape[-1]))
        for layer in recurrent_layers:
            x = layer(x)
        weights = x
        for layer in attention_layers:
            weights = layer(weights)
        x = ops.sum(ops.cast(weights, x.dtype) * x, axis=1)
        for layer in head_layers:
            x = layer(x)
        super().__init__(inputs=inputs, outputs=x, name=name)
        # Set here: a functional model's constructor does not pass it on to its layers.
        self.trainable = trainable

        # === Configuration ===
        self.dtype_policy = policy
        self.n_samples = n_samples
        self.n_channels = n_channels
        self.n_classes = n_classes
        self.sampling_rate_hz = sampling_rate_hz
        self.slice_samples = slice_samples
        self.slice_hop_samples = slice_hop_samples
        self.filters = filters
        self.units = units
        self.n_recurrent_layers = n_recurrent_layers
        self.attention_units = attention_units
        self.dropout = dropout
        self.n_slices = len(starts)
        self._keep_inference(inference)

    def attention_model(self):
        """Return a model of the attention to each slice, `(batch, slices, 1)` float32; each column sums to 1."""
        return keras.Model(self.input, self.get_layer("attention_weights").output)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "n_samples": self.n_samples,
            "n_channels": self.n_channels,
            "n_classes": self.n_classes,
            "sampling_rate_hz": self.sampling_rate_hz,
            "slice_samples": self.slice_samples,
            "slice_hop_samples": self.slice_hop_samples,
            "filters": self.filters,
            "units": self.units,
            "n_recurrent_layers": self.n_recurrent_layers,
            "attention_units": self.attention_units,
            "dropout": self.dropout,
        }
