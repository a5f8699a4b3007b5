"""Butterworth band-pass filters as matrix products on blocks of samples, computed by BLAS.

The impulse response of a filter with the poles `p_k` is a sum of exponentials, `h[n] = Re sum_k c_k p_k^n` for `n > 0`,
and so is that of the forward-backward filter, `g[n] = Re sum_k e_k p_k^|n|`. All samples before a block enter the
filter through one number per pole, the *trace* `m_k = sum_j p_k^j x[-1 - j]`, and those after it, in forward-backward
filtering, through another. The output of a block is a matrix times its samples plus a matrix times the traces, and the
traces at the next block are `p_k^length` times these plus a matrix times the samples. A loop runs over the blocks only,
for all rows and bands at once.

`g` is symmetric, so the sums of the samples of a block and their mirror images do not mix with the differences, which
halves the number of multiplications.

Every row is a separate product: its result does not depend on the other rows, to the last bit.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator

import numpy as np
import scipy.linalg
import scipy.signal

MAX_GAIN = 1e5
"""Largest `gain` of a filter's exponentials; above it, second-order sections are used. Rounding errors are some 1e-16
of the exponentials, so they stay below 1e-11 of the signal. (Almost) equal poles and very high orders exceed the limit;
0.5-4 Hz at 1000 Hz of order 5 has some tens."""

COLUMNS = 16
"""Output samples of a filter from rest that are computed in one product."""

Edges = tuple[float, float]


@dataclasses.dataclass(frozen=True, eq=False)
class _Exponentials:
    """Filter as a sum of exponentials, one per pole and pair of conjugate poles.

    Args:
        poles: `(poles,)` complex, none below the real axis.
        causal: `(poles,)` complex weights of the forward filter.
        two_sided: `(poles,)` complex weights of the forward-backward filter.
        first: impulse response of the filter at 0.
        middle: impulse response of the forward-backward filter at 0.
        instantaneous: difference between `first` and the sum of the exponentials at 0.
        reflected: `(poles,)` transfer function at `1 / poles`.
    """

    poles: np.ndarray
    causal: np.ndarray
    two_sided: np.ndarray
    first: float
    middle: float
    instantaneous: float
    reflected: np.ndarray

    @property
    def gain(self) -> float:
        """Sum of the magnitudes of all exponentials over all samples; the gain in the pass band is 1."""
        return float(((np.abs(self.causal) + np.abs(self.two_sided)) / (1 - np.abs(self.poles))).sum())

    def own(self, n_samples: int, zero_phase: bool) -> np.ndarray:
        """Return the `(samples, samples)` matrix from the samples of a block to its output."""
        powers = self.poles ** np.arange(n_samples)[:, np.newaxis]
        impulse = (powers @ (self.two_sided if zero_phase else self.causal)).real
        impulse[0] = self.middle if zero_phase else self.first
        return scipy.linalg.toeplitz(impulse) if zero_phase else np.triu(scipy.linalg.toeplitz(impulse))

    def ringing(self, n_samples: int, zero_phase: bool) -> np.ndarray:
        """Return the `(2 * poles, samples)` matrix from traces (real and imaginary parts) to the next output."""
        weights = self.two_sided if zero_phase else self.causal
        return _real(np.conj(weights * self.poles ** np.arange(1, n_samples + 1)[:, np.newaxis])).T

    def end(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the maps from the traces `(2 * poles,)` after the last sample, and from this sample, to later traces.

        As in `sosfiltfilt`, the output of the forward filter is continued by its last value. It is replaced by that
        value minus the ringing of the filter, whose backward pass is already part of the two-sided response.
        """
        poles, n_poles = self.poles, len(self.poles)
        traces = np.kron(np.eye(n_poles), [[1], [1j]])  # real and imaginary parts separately
        rings = traces * self.causal * poles / 2
        ringing = rings @ (1 / (1 - np.outer(poles, poles))) + rings.conj() @ (1 / (1 - np.outer(poles.conj(), poles)))
        constant = 1 / (1 - poles)
        last = (traces @ self.causal).real
        of_traces = (last[:, np.newaxis] * constant - ringing) / self.reflected
        return _real(of_traces), _real(self.instantaneous * constant / self.reflected)


@functools.lru_cache(maxsize=128)
def _exponentials(edges_hz: Edges, sampling_rate_hz: float, order: int) -> _Exponentials:
    zeros, poles, gain = scipy.signal.butter(order, edges_hz, btype="bandpass", fs=sampling_rate_hz, output="zpk")
    upper = poles[poles.imag >= 0]
    column = upper[:, np.newaxis]
    others = np.array([np.prod(1 - np.delete(poles, np.argmin(np.abs(poles - pole))) / pole) for pole in upper])
    with np.errstate(divide="ignore", invalid="ignore"):  # of poles that are equal
        causal = np.where(upper.imag > 0, 2, 1) * gain * np.prod(1 - zeros / column, axis=1) / others
        reflected = gain * np.prod(1 - zeros * column, axis=1) / np.prod(1 - poles * column, axis=1)
        two_sided = causal * reflected
        instantaneous = float((gain * np.prod(zeros) / np.prod(poles)).real)  # the transfer function at z = 0
        middle = instantaneous * gain + two_sided.sum().real
    return _Exponentials(upper, causal, two_sided, gain, middle, instantaneous, reflected)


class BlockFilter:
    """Band-pass filters of one order for several bands, for signals split into blocks of one length.

    Args:
        edges_hz: `((low_hz, high_hz), ...)`.
        sampling_rate_hz: samples per second.
        order: order of the Butterworth prototype.
        zero_phase: forward-backward, with the boundary conditions of `scipy.signal.sosfiltfilt` (odd reflection, steady
            state); or forward from rest.
        length: samples per block, an even number.

    Attributes:
        is_accurate: whether rounding errors are negligible (`MAX_GAIN`); otherwise the filter cannot be used.
    """

    def __init__(self, edges_hz: tuple[Edges, ...], sampling_rate_hz: float, order: int, zero_phase: bool, length: int):
        self.length, self.zero_phase = length, zero_phase
        self.padding = 3 * (2 * order + 1) if zero_phase else 0
        self._bands = [_exponentials(edges, sampling_rate_hz, order) for edges in edges_hz]
        self.is_accurate = all(band.gain < MAX_GAIN for band in self._bands)
        if not self.is_accurate:
            return
        self._poles = np.concatenate([band.poles for band in self._bands])
        stops = np.cumsum([0, *(2 * len(band.poles) for band in self._bands)])
        self._traces_of_band = [slice(*pair) for pair in itertools.pairwise(stops)]
        half = np.eye(length)[:, : length // 2]
        parts = [half + half[::-1], half - half[::-1]] if zero_phase else [np.eye(length)]
        scale = np.sqrt(1 / 2) if zero_phase else 1.0  # makes the columns of `parts` orthonormal
        self._steps = [scale**2 * part.T @ self._left_by(length) for part in parts]
        # From the samples of a block and the traces at its ends to its output: [band][part].
        self._matrices = [
            [
                np.vstack(
                    [
                        scale**3 * part.T @ band.own(length, zero_phase) @ part,
                        scale * band.ringing(length, zero_phase) @ part,
                    ]
                )
                for part in parts
            ]
            for band in self._bands
        ]
        if zero_phase:
            ends = [band.end() for band in self._bands]
            self._end_of_traces = scipy.linalg.block_diag(*(of_traces for of_traces, _ in ends))
            self._end_of_sample = np.concatenate([of_sample for _, of_sample in ends])

    def outputs(self, rows: np.ndarray, first: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the output of each band, in blocks from sample `first` on, and for the samples after the last block.

        Args:
            rows: `(rows, samples)` float64, more than `padding` samples.
            first: start of the first block.

        Yields:
            `(1, rows, blocks, samples)` for a causal filter. For a zero-phase filter `(2, rows, blocks, samples / 2)`,
            the sums and the differences of the output and its mirror image in the block, divided by the square root of
            2: their squares add up to those of the output. The array is overwritten by that of the next band. Also
            `(rows, remaining samples)`.
        """
        n_rows, n_samples = rows.shape
        n_blocks, n_traces = (n_samples - first) // self.length, 2 * len(self._poles)
        stop = first + n_blocks * self.length
        blocks = rows[:, first:stop].reshape(n_rows, n_blocks, self.length)
        head, tail = rows[:, :first], rows[:, stop:]
        past = np.zeros((n_rows, len(self._poles)), complex)
        n_parts = len(self._steps)
        n_own = self.length // n_parts
        n_most = max(of_band.stop - of_band.start for of_band in self._traces_of_band)
        inputs, outputs, steps, forwards, backwards = _carved(
            (n_parts, n_rows, n_blocks, n_own + n_most),
            (n_parts, n_rows, n_blocks, n_own),
            (n_parts, n_rows, n_blocks, n_traces),
            *[(n_blocks, n_rows, n_traces)] * n_parts,
            *[(0,)] * (2 - n_parts),
        )
        parts = inputs[..., :n_own]
        if self.zero_phase:
            head = np.hstack([2 * rows[:, :1] - rows[:, self.padding : 0 : -1], head])
            tail = np.hstack([tail, 2 * rows[:, -1:] - rows[:, -2 : -self.padding - 2 : -1]])
            past += head[:, :1] / (1 - self._poles)  # constant continuation
            mirrored = blocks[..., : self.length // 2 - 1 : -1]
            blocks = blocks[..., : self.length // 2]
            np.add(blocks, mirrored, out=parts[0])
            np.subtract(blocks, mirrored, out=parts[1])
        else:
            parts[0] = blocks
        past = self._after(past, head)
        for part, matrix, step in zip(parts, self._steps, steps, strict=True):
            np.matmul(part, matrix, out=step)
        # The loop over the blocks requires the rows and poles of each to be contiguous.
        by_block = np.swapaxes(steps, 1, 2)
        np.sum(by_block, axis=0, out=forwards)
        past = self._run(forwards, past)
        traces, future = np.swapaxes(forwards, 0, 1)[np.newaxis], None
        if self.zero_phase:
            future = _times(_real(self._after(past, tail)), self._end_of_traces) + tail[:, -1:] * self._end_of_sample
            np.subtract(by_block[0], by_block[1], out=backwards)
            self._run(backwards[::-1], self._after(future.view(complex), tail[:, ::-1]))
            traces = steps
            np.add(forwards, backwards, out=by_block[0])
            np.subtract(forwards, backwards, out=by_block[1])
        for index, (band, of_band) in enumerate(zip(self._bands, self._traces_of_band, strict=True)):
            n_inputs = n_own + of_band.stop - of_band.start
            inputs[..., n_own:n_inputs] = traces[..., of_band]
            for part, matrix, output in zip(inputs, self._matrices[index], outputs, strict=True):
                np.matmul(part[..., :n_inputs], matrix, out=output)
            yield outputs, self._rest(band, tail, _real(past)[:, of_band], future, of_band)[:, : n_samples - stop]

    def outputs_from_rest(self, blocks: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the output of each band of a causal filter that restarts from rest in each block.

        Args:
            blocks: `(..., blocks, samples)` float64.

        Yields:
            Arrays of the same shape; each is overwritten by that of the next band.
        """
        output = np.empty(blocks.shape)
        for (matrix,) in self._matrices:
            for start in range(0, self.length, COLUMNS):  # later samples have no influence
                stop = min(start + COLUMNS, self.length)
                np.matmul(blocks[..., :stop], matrix[:stop, start:stop], out=output[..., start:stop])
            yield output

    def _rest(self, band, tail, past, future, of_band) -> np.ndarray:
        n_samples = tail.shape[1]
        if n_samples <= self.padding:
            return tail[:, :0]
        ringing = band.ringing(n_samples, self.zero_phase)
        rest = _times(tail, band.own(n_samples, self.zero_phase)) + _times(past, ringing)
        return rest if future is None else rest + _times(future[:, of_band], ringing[:, ::-1])

    @functools.lru_cache(maxsize=256)  # noqa: B019 - filters are few and kept anyway
    def _left_by(self, n_samples: int) -> np.ndarray:
        """Return the `(samples, 2 * poles)` matrix from samples to the traces after the last of them."""
        return _real(self._poles ** np.arange(n_samples)[::-1, np.newaxis])

    def _after(self, traces: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """Return traces `(rows, poles)` after further samples `(rows, samples)`."""
        n_samples = samples.shape[1]
        return traces * self._poles**n_samples + _times(samples, self._left_by(n_samples)).view(complex)

    def _run(self, steps: np.ndarray, trace: np.ndarray) -> np.ndarray:
        """Replace the increments of the blocks by the traces at each block, and return those after the last."""
        decay = self._poles**self.length
        for step in steps.view(complex):
            following = trace * decay
            following += step
            step[...] = trace
            trace = following
        return trace


block_filter = functools.lru_cache(maxsize=32)(BlockFilter)
"""Cached constructor of `BlockFilter`."""


def outputs_to_samples(parts: np.ndarray) -> np.ndarray:
    """Convert an output of `BlockFilter.outputs` into `(rows, blocks, samples)`."""
    if len(parts) == 1:
        return parts[0]
    sums, differences = np.sqrt(1 / 2) * parts
    return np.concatenate([sums + differences, (sums - differences)[..., ::-1]], axis=-1)


def _carved(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Return arrays of these shapes in one memory block, which the allocator reuses, unlike many small ones."""
    stops = np.cumsum([0, *map(math.prod, shapes)])
    memory = np.empty(stops[-1])
    return [
        memory[start:stop].reshape(shape)
        for (start, stop), shape in zip(itertools.pairwise(stops), shapes, strict=True)
    ]


def _real(values: np.ndarray) -> np.ndarray:
    """Interleave real and imaginary parts along the last axis."""
    return np.ascontiguousarray(values).view(np.float64)


def _times(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Compute `rows @ matrix` row by row."""
    return np.matmul(rows[:, np.newaxis], matrix)[:, 0]
