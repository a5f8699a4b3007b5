r"""Convolutions of small maps in the frequency domain, by matrix products.

For maps of `R` rows and `C` columns, zero-padded, and a kernel of `K` rows: a discrete Fourier transform of `N = R +
max(p, K - 1 - p)` rows, `p = (K - 1) // 2` of the zeros before the map (columns alike), is cyclic, so that the zeros
after the last row also serve as those before the first. For each frequency the transforms are multiplied and summed
over the channels:

$$y = S\,\bigl[(G w) \odot (A x)\bigr]$$

For real maps half of the frequencies are sufficient; Gauss's product of two complex numbers needs three real
multiplications instead of four. Its sums are linear, too, and so part of the matrices `A`, `G` and `S`. That leaves 73
products where a kernel of 3 x 3 on maps of 6 x 6 takes 324, 148 instead of 729 for maps of 9 x 9. As there are no
convolutions left, neither forward nor backward, XLA's slow ones on a CPU are avoided as well.

The transforms of the maps are the additional cost, linear and not quadratic in the channels: the method pays off for
small maps of many channels, in training, where a transformed kernel serves a whole batch.
"""

import functools
import itertools
import math

import keras
import numpy as np
from keras import ops

METHODS = ("auto", "direct", "fourier")
_WORTHWHILE = 0.6
"""Share of a convolution's multiplications up to which the frequency domain is faster, as measured: each of its
multiplications takes up to 1.5 times as long as one of the convolution, which passes through memory less often."""


class FourierConvolution:
    """Transforms for one map size and one kernel size.

    Args:
        map_size: rows and columns of the maps.
        kernel_size: rows and columns of the kernel.
    """

    def __init__(self, map_size, kernel_size):
        self._analysis, self._kernel_analysis, self._synthesis = _matrices(tuple(map_size), tuple(kernel_size))

    def transform(self, maps):
        """Transform `(rows * columns, ..., channels)` to `(products, samples, channels)`, float32."""
        return _apply(self._analysis, maps)

    def transform_kernel(self, kernel):
        """Transform `(rows, columns, inputs, outputs)` to `(products, inputs, outputs)`, float32."""
        return _apply(self._kernel_analysis, kernel)

    def transform_back(self, products):
        """Transform `(products, samples, channels)` to `(rows * columns, samples, channels)`, float32."""
        return _apply(self._synthesis, products)


def share_of_multiplications(map_size, kernel_size, n_inputs, n_outputs):
    """Return the number of multiplications per sample in the frequency domain, relative to the convolution.

    Args:
        map_size: rows and columns of the maps.
        kernel_size: rows and columns of the kernel.
        n_inputs: number of channels of the maps.
        n_outputs: number of channels of the result.
    """
    lengths = _lengths(map_size, kernel_size)
    n_real = math.prod(2 - length % 2 for length in lengths)
    n_products = n_real + 3 * (math.prod(lengths) - n_real) // 2
    n_places = math.prod(map_size)
    ours = n_products * (n_inputs * n_outputs + n_places * (n_inputs + n_outputs))
    return ours / (n_places * math.prod(kernel_size) * n_inputs * n_outputs)


def check_method(method, layer):
    """Refuse an unknown method, and `"fourier"` for a layer that does not support it.

    Raises:
        ValueError: the method cannot be used.
    """
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {METHODS}; received method={method!r}")
    if method == "fourier" and not is_plain(layer):
        raise ValueError(
            "`method` must be 'auto' or 'direct' unless padding='same', strides, dilation_rate and groups are 1 and "
            f"data_format='channels_last'; received method={method!r}"
        )


def fourier_convolution(method, layer, map_size, n_inputs, n_outputs, training):
    """Return the transforms for a layer's call, `None` for a direct convolution.

    Args:
        method: one of `METHODS`. `"auto"`: in training on a CPU, in float32, where it is faster.
        layer: a layer with `kernel_size`, `padding` etc., and a `compute_dtype`.
        map_size: rows and columns.
        n_inputs: number of channels of the maps.
        n_outputs: number of channels of the result.
        training: whether this is training.
    """
    if method == "fourier":
        return FourierConvolution(map_size, layer.kernel_size)
    if method == "direct" or not training or layer.compute_dtype != "float32" or not is_plain(layer):
        return None
    if None in map_size or not runs_on_a_cpu():
        return None
    share = share_of_multiplications(map_size, layer.kernel_size, n_inputs, n_outputs)
    return FourierConvolution(map_size, layer.kernel_size) if share <= _WORTHWHILE else None


def is_plain(layer):
    """Return whether a layer's convolution keeps the map size and can be computed in the frequency domain."""
    return (
        layer.padding == "same"
        and set(layer.strides) == set(layer.dilation_rate) == {1}
        and getattr(layer, "groups", 1) == 1
        and layer.data_format == "channels_last"
    )


def runs_on_a_cpu():
    """Return whether all devices are CPUs; always `False` on PyTorch."""
    # Keras does not list PyTorch's devices.
    return keras.config.backend() != "torch" and keras.distribution.list_devices()[0].startswith("cpu")


def _apply(matrix, arrays):
    """Multiply a constant matrix with the first axes of arrays; the last axis is kept."""
    n_outputs, n_inputs = matrix.shape
    flat = ops.reshape(ops.cast(arrays, "float32"), (n_inputs, -1))
    return ops.reshape(ops.matmul(ops.convert_to_tensor(matrix, "float32"), flat), (n_outputs, -1, arrays.shape[-1]))


def _zeros_before(kernel_size):
    return [(n_taps - 1) // 2 for n_taps in kernel_size]


def _lengths(map_size, kernel_size):
    """Return rows and columns of the transforms."""
    return [
        size + max(before, n_taps - 1 - before)
        for size, n_taps, before in zip(map_size, kernel_size, _zeros_before(kernel_size), strict=True)
    ]


@functools.lru_cache(maxsize=64)
def _matrices(map_size, kernel_size):
    """Return `A`, `G` and `S` of the module docstring, float64."""
    lengths = _lengths(map_size, kernel_size)
    places = np.array(list(np.ndindex(*map_size))) / lengths
    taps = (np.array(list(np.ndindex(*kernel_size))) - _zeros_before(kernel_size)) / lengths
    analysis, kernel_analysis, synthesis = [], [], []
    for frequency in itertools.product(*map(range, lengths)):
        opposite = tuple(-number % length for number, length in zip(frequency, lengths, strict=True))
        if opposite < frequency:
            continue  # its transform is the conjugate of a previous one
        cosine, sine = (function(2 * np.pi * places @ frequency) for function in (np.cos, np.sin))
        real, imaginary = (function(2 * np.pi * taps @ frequency) for function in (np.cos, np.sin))
        if opposite == frequency:  # a real number
            analysis += [cosine]
            kernel_analysis += [real]
            synthesis += [cosine / np.prod(lengths)]
            continue
        # The map's transform is X = cosine - i sine, the unflipped kernel's W = real + i imaginary. Gauss:
        # with a = (Xr + Xi) Wr, b = Xr (Wi - Wr), c = Xi (Wi + Wr) their product is (a - c) + i (a + b).
        analysis += [cosine - sine, cosine, -sine]
        kernel_analysis += [real, imaginary - real, imaginary + real]
        synthesis += [2 * weights / np.prod(lengths) for weights in (cosine - sine, -sine, -cosine)]
    return np.stack(analysis), np.stack(kernel_analysis), np.stack(synthesis, axis=1)
