"""Batches of windows: the same windows in the same order on every backend.

A batch is gathered from memory-mapped arrays by one array operation for each modality. The order of an epoch depends
on `(seed, epoch)` alone. Every batch has the same static shape: the last one of an epoch is filled up with repeated
windows of weight 0, so that a compiled model is traced once.
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
"""Files up to that share of the machine's memory are left to the system, which then soon has them in memory whole."""
_PREFETCHED_BATCHES = 4
"""A fixed number: left to itself, TensorFlow takes a large share of the memory for it."""

Inputs = Callable[[dict[str, np.ndarray]], Any]
Targets = Callable[[dict[str, np.ndarray], np.ndarray], Any]


class JoinedArrays:
    """Several `(windows, ...)` arrays read as one, without copying them into memory.

    Args:
        parts: arrays with equal trailing shapes (one a subject, memory-mapped).
        rows: indices into the concatenation of `parts` that are to be seen, in that order; all of them by default.

    Raises:
        ValueError: the trailing shapes differ, or `rows` that are not there.

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
        """The windows at `rows` (an integer array), in that order."""
        rows = self._rows[rows]
        # What lies in memory already, or will soon with all around it, needs no announcement.
        announce = (lambda part, rows: None) if self._reads_ahead else _announce
        gathered = _aligned((len(rows), *self.shape[1:]), self.dtype)
        if len(self._parts) == 1 and isinstance(self._parts[0], np.ndarray):
            announce(self._parts[0], rows)
            # The rows were looked at when this was made; to look again would cost a copy.
            return np.take(self._parts[0], rows, axis=0, out=gathered, mode="clip")
        owners = np.searchsorted(self._offsets, rows, side="right") - 1
        places = {owner: np.flatnonzero(owners == owner) for owner in np.unique(owners)}
        for owner, own in places.items():
            announce(self._parts[owner], rows[own] - self._offsets[owner])
        for owner, own in places.items():
            gathered[own] = self._parts[owner][rows[own] - self._offsets[owner]]
        return gathered


def _memory_bytes() -> float:
    """Memory of the machine; infinite where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):
        return math.inf


def _mapping(array: np.ndarray) -> mmap.mmap | None:
    """The mapped file that an array looks into; `None` for one in memory, and where there is no `madvise`."""
    base = _stored(array)
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) and hasattr(base, "madvise") else None


def _stored(array: np.ndarray | ChangedArray) -> np.ndarray:
    """The array that is read where its windows are changed when they are read."""
    return array.stored if isinstance(array, ChangedArray) else array


def _advise_no_reading_ahead(array: np.ndarray) -> None:
    """Have the system read what is asked for alone.

    It reads megabytes around each page otherwise: of files that do not fit into memory, most of that is thrown away
    before it is used.
    """
    if (mapping := _mapping(array)) is not None:
        mapping.madvise(mmap.MADV_RANDOM)


def _announce(array: np.ndarray, rows: np.ndarray) -> None:
    """Have the system read the windows of a mapped file all at once, and not each page when its turn comes."""
    if (mapping := _mapping(array)) is None:
        return
    array = _stored(array)
    n_bytes = array.strides[0]
    begin = array.ctypes.data - np.frombuffer(mapping, np.uint8).ctypes.data
    starts = begin + rows * n_bytes
    for start, page in zip(starts.tolist(), (starts // mmap.PAGESIZE * mmap.PAGESIZE).tolist(), strict=True):
        mapping.madvise(mmap.MADV_WILLNEED, page, start - page + n_bytes)


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array that begins where TensorFlow wants its tensors to begin: it then takes the memory as it is."""
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
        labels: `(windows, ...)` what is learnt of each window of `arrays`: its class, a class a step, ratings.
        rows: indices of the windows to serve.
        batch_size: windows a batch.
        shuffle_seed: seed of the order of each epoch; `None` serves `rows` as they stand, in every epoch.
        inputs: makes the inputs of the model from the arrays of a batch; by default these are the inputs.
        targets: makes its targets from the arrays and labels of a batch; by default the labels are the targets.
        strata: `(windows,)` class of each window of `arrays`: the shuffled rows of each class are spread in proportion
            over the batches, and each row comes once an epoch. Without `shuffle_seed` the order is one of these, the
            same in every epoch. `None` leaves batches to chance.

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
        """Batches an epoch."""
        return -(-len(self.rows) // self.batch_size)

    def order(self, epoch: int) -> np.ndarray:
        """`(len(self), batch_size)` row indices of an epoch; -1 where the last batch is filled up."""
        rows = np.asarray(self.rows)
        if self.strata is not None:
            rows = self._spread(rows, [0] if self.shuffle_seed is None else [self.shuffle_seed, epoch])
        elif self.shuffle_seed is not None:
            rows = rows[np.random.default_rng([self.shuffle_seed, epoch]).permutation(len(rows))]
        padded = np.full(len(self) * self.batch_size, -1)
        padded[: len(rows)] = rows
        return padded.reshape(len(self), self.batch_size)

    def _spread(self, rows: np.ndarray, seed: Sequence[int]) -> np.ndarray:
        """The rows in an order in which each class is spread evenly: the k-th of n at (k + u) / n, u at random."""
        generator = np.random.default_rng(seed)
        shuffled = rows[generator.permutation(len(rows))]
        _, stratum, counts = np.unique(np.asarray(self.strata)[shuffled], return_inverse=True, return_counts=True)
        number = pd.Series(stratum).groupby(stratum).cumcount().to_numpy()
        places = (number + generator.random(len(counts))[stratum]) / counts[stratum]
        return shuffled[np.argsort(places, kind="stable")]

    def gather(self, indices: np.ndarray) -> tuple:
        """`(inputs, targets, sample_weights)` of one row of `order`; weights are float32, 0 for filling."""
        weights = (indices >= 0).astype(np.float32)
        elements, indices = self._elements(indices)
        return self.inputs(elements), self.targets(elements, self.labels[indices]), weights

    def gather_inputs(self, indices: np.ndarray) -> Any:
        """The inputs of one row of `order`; no label is read."""
        return self.inputs(self._elements(indices)[0])

    def _elements(self, indices: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        # The first window of the batch fills it up: it is valid, near in memory, and counts for nothing.
        indices = np.where(indices >= 0, indices, indices[0])
        return {name: array[indices] for name, array in self.arrays.items()}, indices

    def epochs(self, first: int = 0) -> Iterator[tuple]:
        """Batches of epoch `first`, then of the next, without end."""
        epoch = first
        while True:
            for indices in self.order(epoch):
                yield self.gather(indices)
            epoch += 1

    def as_dataset(self):
        """What `keras.Model.fit` takes on the current backend.

        Returns:
            On TensorFlow a prefetched `tf.data.Dataset`, else a `keras.utils.PyDataset`; the batches are the same. One
            that is shuffled runs through the epochs without end: give `steps_per_epoch=len(batches)`. One that is not
            shuffled ends after its only epoch.
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
            # What is gathered becomes the tensors without a copy where it is aligned; a generator's batches are copied.
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
        # Of its own: with a single thread for all, a batch could only be gathered between two training steps.
        options.threading.private_threadpool_size = 1
        return dataset.prefetch(_PREFETCHED_BATCHES).with_options(options)


def _py_dataset(batches: WindowBatches):
    import keras

    class BatchesPyDataset(keras.utils.PyDataset):
        """The batches of `WindowBatches` by index: an epoch follows the other, without end where they are shuffled.

        Not by `on_epoch_end`: Keras looks at a first batch before training, and calls it then too.
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
