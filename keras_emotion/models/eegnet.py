"""EEGNet: compact convolutional network for raw EEG (Lawhern et al., 2018), a comparison model."""

import keras
from keras import ops

from keras_emotion.models.window_classifier import (
    WindowClassifierMixin,
    check_dropout,
    check_minima,
    check_positive,
    softmax_head,
)

# Length of the temporal kernel; sampling rate after the first pooling, and the constants that follow from it.
_TEMPORAL_KERNEL_SECONDS = 0.5
_POOLED_RATE_HZ = 32.0
_SEPARABLE_KERNEL_LENGTH = 16
_SECOND_POOLING = 8


@keras.saving.register_keras_serializable(package="keras_emotion")
class EEGNet(WindowClassifierMixin, keras.Model):
    r"""Temporal filters, spatial filters for each of them, a separable convolution, and a softmax layer.

    Table 2 of [1], for a window of `T` samples of `C` channels at 128 Hz, "EEGNet-8,2" (`F_1 = 8`, `D = 2`, `F_2 =
    F_1 D = 16`):

    - block 1: `F_1` temporal filters of half a second (64 samples), batch normalisation; for each of them `D` spatial
      filters over all channels, each of norm 1 at most, batch normalisation, ELU; mean over 4 samples (32 Hz), dropout;
    - block 2: a separable convolution, 16 samples (half a second at 32 Hz) by filter, then `F_2` mixtures of the
      filters; batch normalisation, ELU, mean over 8 samples, dropout;
    - dense softmax, the weights of each class of norm 0.25 at most.

    No convolution has a bias; those in time keep the length ("same"). A pooling drops samples that do not fill a bin.
    The filters can be accessed by name (`get_layer("temporal_convolution")`, `"spatial_convolution"`).

    **Deviations.** Samples come before channels here: kernels are `(samples, channels)` where [1] prints `(channels,
    samples)`. [1] has 128 Hz; at another `sampling_rate_hz` the temporal kernel still lasts half a second and the first
    pooling reduces the rate to 32 Hz, rounded (the authors' code suggests both, untested). Batch normalisation is
    Keras's (momentum 0.99, epsilon 0.001), as in the authors' code.

    Args:
        n_samples: number of samples `T` of a window, enough to leave one or more after the two poolings (32 at 128 Hz);
            default 128 (1 s at 128 Hz).
        n_channels: number of channels `C`, 1 or more; default 32.
        n_classes: number of classes, 2 or more; default 2.
        sampling_rate_hz: rate of the samples in Hz, above 0; default 128 [1].
        kernel_length: samples of the temporal kernel, 1 or more; default `None`, half a second [1]. [1] uses 32 for
            signals without content below 4 Hz, such as DEAP's preprocessed files.
        n_temporal_filters: `F_1`, 1 or more; default 8 [1].
        n_spatial_filters: `D`, spatial filters for each temporal one, 1 or more; default 2 [1].
        n_separable_filters: `F_2`, 1 or more; default `None`, `F_1 D` [1].
        dropout: dropout rate after each block, from 0 to below 1; default 0.5, that of [1] within subjects; 0.25 across
            subjects.
        inference: metadata that a user of the saved model needs: channel order, units,
            preprocessing, label rule. JSON-able mapping; default `None`.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer except the output, which is float32.

    Input:
        A dictionary with `"eeg"`: `(batch, samples, channels)`, the layout of `RawSignals(channels="eeg")`.

    Output:
        Probabilities of the classes, `(batch, n_classes)`, float32.

    Numerics: softmax and the statistics of the normalisation run in float32 under mixed precision. Use a unit in which
    signals are of the order of 1 to 100 (microvolts): volts are negligible against the epsilon.

    Raises:
        ValueError: an argument is out of its range, or `inference` is not JSON-able.

    Example:
        >>> import numpy as np
        >>> model = EEGNet()
        >>> tuple(model({"eeg": np.zeros((3, 128, 32))}).shape), model.count_params()
        ((3, 2), 1826)

    References:
        [1] Lawhern, Solon, Waytowich, Gordon, Hung and Lance (2018). EEGNet: a compact convolutional neural network
        for EEG-based brain-computer interfaces. Journal of Neural Engineering 15(5), 056013. arXiv:1611.08024.
        Authors' code: https://github.com/vlawhern/arl-eegmodels.
    """

    def __init__(
        self,
        n_samples=128,
        n_channels=32,
        n_classes=2,
        sampling_rate_hz=128.0,
        kernel_length=None,
        n_temporal_filters=8,
        n_spatial_filters=2,
        n_separable_filters=None,
        dropout=0.5,
        inference=None,
        *,
        name=None,
        trainable=True,
        dtype=None,
    ):
        check_positive("sampling_rate_hz", sampling_rate_hz)
        first_pooling = max(1, round(sampling_rate_hz / _POOLED_RATE_HZ))
        check_minima(
            ("n_samples", n_samples, first_pooling * _SECOND_POOLING),
            ("n_channels", n_channels, 1),
            ("n_classes", n_classes, 2),
            ("kernel_length", 1 if kernel_length is None else kernel_length, 1),
            ("n_temporal_filters", n_temporal_filters, 1),
            ("n_spatial_filters", n_spatial_filters, 1),
            ("n_separable_filters", 1 if n_separable_filters is None else n_separable_filters, 1),
        )
        check_dropout(dropout)

        # === Layers ===
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())

        def after_convolution(number, pooling):
            return (
                keras.layers.BatchNormalization(dtype=policy, name=f"normalization_{number}"),
                keras.layers.Activation("elu", dtype=policy, name=f"activation_{number}"),
                keras.layers.AveragePooling2D(
                    (pooling, 1), data_format="channels_last", dtype=policy, name=f"pooling_{number}"
                ),
                keras.layers.Dropout(dropout, dtype=policy, name=f"dropout_{number}"),
            )

        layers = (
            keras.layers.Conv2D(
                n_temporal_filters,
                (kernel_length or max(1, round(_TEMPORAL_KERNEL_SECONDS * sampling_rate_hz)), 1),
                padding="same",
                use_bias=False,
                data_format="channels_last",
                dtype=policy,
                name="temporal_convolution",
            ),
            keras.layers.BatchNormalization(dtype=policy, name="temporal_normalization"),
            keras.layers.DepthwiseConv2D(
                (1, n_channels),
                depth_multiplier=n_spatial_filters,
                use_bias=False,
                # Norm of each spatial filter; the other axes of the kernel count the filters.
                depthwise_constraint=keras.constraints.MaxNorm(1.0, axis=(0, 1)),
                data_format="channels_last",
                dtype=policy,
                name="spatial_convolution",
            ),
            *after_convolution(1, first_pooling),
            keras.layers.SeparableConv2D(
                n_separable_filters or n_temporal_filters * n_spatial_filters,
                (_SEPARABLE_KERNEL_LENGTH, 1),
                padding="same",
                use_bias=False,
                data_format="channels_last",
                dtype=policy,
                name="separable_convolution",
            ),
            *after_convolution(2, _SECOND_POOLING),
            keras.layers.Flatten(data_format="channels_last", dtype=policy, name="flatten"),
            *softmax_head(n_classes, policy, kernel_constraint=keras.constraints.MaxNorm(0.25, axis=0)),
        )

        # === Graph ===
        inputs = {"eeg": keras.Input((n_samples, n_channels), name="eeg")}
        x = ops.expand_dims(inputs["eeg"], -1)
        for layer in layers:
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
        self.kernel_length = kernel_length
        self.n_temporal_filters = n_temporal_filters
        self.n_spatial_filters = n_spatial_filters
        self.n_separable_filters = n_separable_filters
        self.dropout = dropout
        self._keep_inference(inference)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "n_samples": self.n_samples,
            "n_channels": self.n_channels,
            "n_classes": self.n_classes,
            "sampling_rate_hz": self.sampling_rate_hz,
            "kernel_length": self.kernel_length,
            "n_temporal_filters": self.n_temporal_filters,
            "n_spatial_filters": self.n_spatial_filters,
            "n_separable_filters": self.n_separable_filters,
            "dropout": self.dropout,
        }
