"""Batches of windows: the same windows in the same order on every backend.

A batch is gathered from memory-mapped arrays by one array operation per modality. The order of an epoch depends only on
`(seed, epoch)`. Every batch has the same static shape: the last one of an epoch is padded with repeated windows of
weight 0, so that a compiled model is traced once.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import mmap
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from keras_emotion.pipelines.study_channels import ChangedArray

_ALIGNMENT_BYTES = 64
_SHARE_OF_MEMORY = 0.5
"""Share of the machine's memory up to which files are left to the system's page cache, which then holds them whole."""
_PREFETCHED_BATCHES = 4
"""Fixed prefetch buffer: TensorFlow's automatic one takes a large share of the memory."""

Inputs = Callable[[dict[str, np.ndarray]], Any]
Targets = Callable[[dict[str, np.ndarray], np.ndarray], Any]


class JoinedArrays:
    """Several `(windows, ...)` arrays read as one, without copying them into memory.

    Args:
        parts: arrays with equal trailing shapes (one per subject, memory-mapped).
        rows: indices into the concatenation of `parts`, in the desired order; default: all.

    Raises:
        ValueError: the trailing shapes differ, or `rows` are out of range.

    Example:
        >>> joined = JoinedArrays([np.array([[1], [2]]), np.array([[3]])], rows=np.array([2, 0]))
        >>> joined.shape, joined[np.array([1, 0, 0])].tolist()
        ((2, 1), [[1], [3], [3]])
    """

    def __init__(self, parts: Sequence[np.ndarray], rows: np.ndarray | None = None):
        shapes = {part.shape[1:] for part in parts}
        if len(shapes) != 1:
            raise ValueError(f"`parts` have different trailing shapes: {sorted(shapes)}")
        self._parts = list(parts)
        self._offsets = np.cumsum([0] + [len(part) for part in parts])
        self._rows = np.arange(self._offsets[-1]) if rows is None else np.asarray(rows)
        if len(self._rows) and not 0 <= self._rows.min() <= self._rows.max() < self._offsets[-1]:
            raise ValueError(f"`rows` go from {self._rows.min()} to {self._rows.max()} of {self._offsets[-1]} windows")
        self.shape = (len(self._rows), *parts[0].shape[1:])
        self.dtype = parts[0].dtype
        self.nbytes = math.prod(self.shape) * self.dtype.itemsize
        self._reads_ahead = sum(part.nbytes for part in parts) <= _memory_bytes() * _SHARE_OF_MEMORY
        if not self._reads_ahead:
            for part in parts:
                _advise_no_reading_ahead(part)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Return the windows at `rows` (an integer array), in that order."""
        rows = self._rows[rows]
        # Data already in memory, or about to be, need no announcement.
        announce = (lambda part, rows: None) if self._reads_ahead else _announce
        gathered = _aligned((len(rows), *self.shape[1:]), self.dtype)
        if len(self._parts) == 1 and isinstance(self._parts[0], np.ndarray):
            announce(self._parts[0], rows)
            # The rows were checked on construction; checking again would cost a copy.
            return np.take(self._parts[0], rows, axis=0, out=gathered, mode="clip")
        owners = np.searchsorted(self._offsets, rows, side="right") - 1
        places = {owner: np.flatnonzero(owners == owner) for owner in np.unique(owners)}
        for owner, own in places.items():
            announce(self._parts[owner], rows[own] - self._offsets[owner])
        for owner, own in places.items():
            gathered[own] = self._parts[owner][rows[own] - self._offsets[owner]]
        return gathered


def _memory_bytes() -> float:
    """Return the memory of the machine; infinite if the system does not report it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):
        return math.inf


def _mapping(array: np.ndarray) -> mmap.mmap | None:
    """Return the mapped file of an array; `None` for an array in memory, and without `madvise`."""
    base = _stored(array)
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) and hasattr(base, "madvise") else None


def _stored(array: np.ndarray | ChangedArray) -> np.ndarray:
    """Return the array that is read, if its windows are transformed on reading."""
    return array.stored if isinstance(array, ChangedArray) else array


def _advise_no_reading_ahead(array: np.ndarray) -> None:
    """Disable read-ahead of the system.

    Otherwise it reads megabytes around each page: for files larger than memory, most of that is discarded before it is
    used.
    """
    if (mapping := _mapping(array)) is not None:
        mapping.madvise(mmap.MADV_RANDOM)


def _announce(array: np.ndarray, rows: np.ndarray) -> None:
    """Announce all windows of a mapped file to the system at once, so that their pages are read together."""
    if (mapping := _mapping(array)) is None:
        return
    array = _stored(array)
    n_bytes = array.strides[0]
    begin = array.ctypes.data - np.frombuffer(mapping, np.uint8).ctypes.data
    starts = begin + rows * n_bytes
    for start, page in zip(starts.tolist(), (starts // mmap.PAGESIZE * mmap.PAGESIZE).tolist(), strict=True):
        mapping.madvise(mmap.MADV_WILLNEED, page, start - page + n_bytes)


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Allocate an array aligned as TensorFlow requires, so that it uses the memory without a copy."""
    n_bytes = math.prod(shape) * dtype.itemsize
    memory = np.empty(n_bytes + _ALIGNMENT_BYTES, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT_BYTES
    return memory[start : start + n_bytes].view(dtype).reshape(shape)


@dataclasses.dataclass(frozen=True)
class WindowBatches:
    """Batches of the windows at `rows`.

    Args:
        arrays: `(windows, ...)` array by modality: `{"eeg": (windows, steps, rows, columns, bands),
            "teacher_features": (windows, steps, features)}`.
        labels: `(windows, ...)` targets of each window of `arrays`: its class, a class per step, or ratings.
        rows: indices of the windows to use.
        batch_size: number of windows per batch.
        shuffle_seed: seed of the order of each epoch; `None` uses the order of `rows` in every epoch.
        inputs: computes the model's inputs from the arrays of a batch; default: the arrays.
        targets: computes its targets from the arrays and labels of a batch; default: the labels.
        strata: `(windows,)` class of each window of `arrays`: the shuffled rows of each class are spread in proportion
            over the batches, and each row occurs once per epoch. Without `shuffle_seed` one such order is used in every
            epoch. `None`: no stratification of batches.

    Raises:
        ValueError: no rows, or a batch size below 1.
    """

    arrays: Mapping[str, np.ndarray]
    labels: np.ndarray
    rows: np.ndarray
    batch_size: int
    shuffle_seed: int | None = None
    inputs: Inputs = lambda elements: elements
    targets: Targets = lambda elements, labels: labels
    strata: np.ndarray | None = None

    def __post_init__(self):
        if not len(self.rows):
            raise ValueError("`rows` is empty: there is no window to serve")
        if self.batch_size < 1:
            raise ValueError(f"`batch_size` is {self.batch_size}; expected at least 1")

    def __len__(self) -> int:
        """Number of batches per epoch."""
        return -(-len(self.rows) // self.batch_size)

    def order(self, epoch: int) -> np.ndarray:
        """Return `(len(self), batch_size)` row indices of an epoch; -1 for padding of the last batch."""
        rows = np.asarray(self.rows)
        if self.strata is not None:
            rows = self._spread(rows, [0] if self.shuffle_seed is None else [self.shuffle_seed, epoch])
        elif self.shuffle_seed is not None:
            rows = rows[np.random.default_rng([self.shuffle_seed, epoch]).permutation(len(rows))]
        padded = np.full(len(self) * self.batch_size, -1)
        padded[: len(rows)] = rows
        return padded.reshape(len(self), self.batch_size)

    def _spread(self, rows: np.ndarray, seed: Sequence[int]) -> np.ndarray:
        """Spread the rows of each class evenly: the k-th of n at (k + u) / n, u at random."""
        generator = np.random.default_rng(seed)
        shuffled = rows[generator.permutation(len(rows))]
        _, stratum, counts = np.unique(np.asarray(self.strata)[shuffled], return_inverse=True, return_counts=True)
        number = pd.Series(stratum).groupby(stratum).cumcount().to_numpy()
        places = (number + generator.random(len(counts))[stratum]) / counts[stratum]
        return shuffled[np.argsort(places, kind="stable")]

    def gather(self, indices: np.ndarray) -> tuple:
        """Return `(inputs, targets, sample_weights)` of one row of `order`; weights are float32, 0 for padding."""
        weights = (indices >= 0).astype(np.float32)
        elements, indices = self._elements(indices)
        return self.inputs(elements), self.targets(elements, self.labels[indices]), weights

    def gather_inputs(self, indices: np.ndarray) -> Any:
        """Return the inputs of one row of `order`, without reading labels."""
        return self.inputs(self._elements(indices)[0])

    def _elements(self, indices: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        # The padding is the first window of the batch: valid, in memory, and of weight 0.
        indices = np.where(indices >= 0, indices, indices[0])
        return {name: array[indices] for name, array in self.arrays.items()}, indices

    def epochs(self, first: int = 0) -> Iterator[tuple]:
        """Yield the batches of epoch `first`, then of the following ones, endlessly."""
        epoch = first
        while True:
            for indices in self.order(epoch):
                yield self.gather(indices)
            epoch += 1

    def as_dataset(self):
        """Return the data in the form that `keras.Model.fit` takes on the current backend.

        Returns:
            On TensorFlow a prefetched `tf.data.Dataset`, otherwise a `keras.utils.PyDataset`; the batches are the same.
            A shuffled one repeats endlessly: pass `steps_per_epoch=len(batches)`. An unshuffled one ends after one
            epoch.
        """
        import keras

        if keras.config.backend() == "tensorflow":
            return self._tensorflow_dataset()
        return _py_dataset(self)

    def _tensorflow_dataset(self):
        import tensorflow as tf

        example = self.gather(self.order(0)[0])
        leaves = tf.nest.flatten(example)

        def orders():
            yield from map(self.order, [0] if self.shuffle_seed is None else itertools.count())

        def gather(indices):
            # Gathered batches become tensors without a copy if they are aligned; a generator's batches are copied.
            function = lambda indices: tf.nest.flatten(self.gather(indices))  # noqa: E731
            gathered = tf.numpy_function(function, [indices], [leaf.dtype for leaf in leaves])
            for tensor, leaf in zip(gathered, leaves, strict=True):
                tensor.set_shape(leaf.shape)
            return tf.nest.pack_sequence_as(example, gathered)

        signature = tf.TensorSpec((len(self), self.batch_size), tf.int64)
        dataset = tf.data.Dataset.from_generator(orders, output_signature=signature).unbatch().map(gather)
        if self.shuffle_seed is None:
            dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(self)))
        options = tf.data.Options()
        # A separate thread: with a single thread for everything, batches are gathered only between two training steps.
        options.threading.private_threadpool_size = 1
        return dataset.prefetch(_PREFETCHED_BATCHES).with_options(options)


def _py_dataset(batches: WindowBatches):
    import keras

    class BatchesPyDataset(keras.utils.PyDataset):
        """Batches of `WindowBatches` by index: consecutive epochs, endless if shuffled.

        It does not use `on_epoch_end`: Keras fetches a first batch before training, and calls it then, too.
        """

        def __init__(self):
            super().__init__(workers=1, use_multiprocessing=False)
            self._epoch, self._order = 0, batches.order(0)

        @property
        def num_batches(self):
            return len(batches) if batches.shuffle_seed is None else None

        def __getitem__(self, index):
            epoch, index = divmod(index, len(batches))
            if epoch != self._epoch:
                self._epoch, self._order = epoch, batches.order(epoch)
            return batches.gather(self._order[index])

    return BatchesPyDataset()
