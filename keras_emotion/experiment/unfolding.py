"""Convolutions as matrix products, for training many networks in one program."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


@contextlib.contextmanager
def unfolded_convolutions(model: keras.Model) -> Iterator[None]:
    """Context in which the convolutions of a model are computed as `unfolded_convolution`.

    For weights with an axis of folds: a convolution with another kernel for each fold becomes one with as many groups,
    for which XLA has no fast code on a CPU (16 times slower than the folds one by one, whereas a matrix product with an
    axis of folds is not slower at all). Applies to `keras.layers.Conv1D`, `Conv2D` and `Conv3D` with channels last and
    one group, and to `keras_emotion.layers.ConvLSTM2D`, whose matrix products are in the frequency domain; other layers
    are unchanged.
    """
    import keras

    from keras_emotion.layers import ConvLSTM2D

    kinds = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
    # Includes sublayers. Keras's depthwise, separable and transposed convolutions are other classes.
    layers = list(model._flatten_layers())
    plain = [
        layer
        for layer in layers
        if isinstance(layer, kinds) and layer.data_format == "channels_last" and layer.groups == 1
    ]
    recurrent = {
        layer: layer.method for layer in layers if isinstance(layer, ConvLSTM2D) and layer.can_be_in_frequency_domain
    }
    for layer in plain:
        layer.convolution_op = functools.partial(_of_layer, layer)
    for layer in recurrent:
        layer.method = "fourier"
    try:
        yield
    finally:
        for layer in plain:
            del layer.convolution_op
        for layer, method in recurrent.items():
            layer.method = method


def _of_layer(layer: Any, inputs: Any, kernel: Any) -> Any:
    # Conv1D itself adds the zero padding of a causal convolution.
    padding = "valid" if layer.padding == "causal" else layer.padding
    return unfolded_convolution(inputs, kernel, layer.strides, padding, layer.dilation_rate)


def unfolded_convolution(inputs, kernel, strides: tuple[int, ...], padding: str, dilation: tuple[int, ...]):
    """Compute a convolution as one matrix product of patches and kernel; same values as `keras.ops.conv`.

    Args:
        inputs: `(batch, ..., channels)` with one to three spatial axes of known size.
        kernel: `(..., channels, filters)`.
        strides: step between outputs for each spatial axis.
        padding: `"valid"` or `"same"`.
        dilation: step between the elements of the kernel for each spatial axis.

    Returns:
        `(batch, ..., filters)`.

    Numerics: the order of summation differs from a convolution: equal up to rounding. Patches take as many times the
    memory of the inputs as the kernel has elements.
    """
    from keras import ops

    reach = [(size - 1) * step + 1 for size, step in zip(kernel.shape[:-2], dilation, strict=True)]
    sizes = inputs.shape[1:-1]
    if padding == "same":
        sizes = [-(-size // stride) for size, stride in zip(sizes, strides, strict=True)]
        missing = [
            max((n - 1) * stride + span - size, 0)
            for n, stride, span, size in zip(sizes, strides, reach, inputs.shape[1:-1], strict=True)
        ]
        if any(missing):
            inputs = ops.pad(inputs, [(0, 0), *((zeros // 2, zeros - zeros // 2) for zeros in missing), (0, 0)])
    else:
        sizes = [
            (size - span) // stride + 1 for size, span, stride in zip(inputs.shape[1:-1], reach, strides, strict=True)
        ]
    patches = []
    for place in itertools.product(*map(range, kernel.shape[:-2])):
        starts = [index * step for index, step in zip(place, dilation, strict=True)]
        cut = [
            slice(start, start + (n - 1) * stride + 1, stride)
            for start, n, stride in zip(starts, sizes, strides, strict=True)
        ]
        patches.append(inputs[(slice(None), *cut)])
    unfolded = patches[0] if len(patches) == 1 else ops.concatenate(patches, axis=-1)
    return ops.matmul(unfolded, ops.reshape(kernel, (-1, kernel.shape[-1])))
