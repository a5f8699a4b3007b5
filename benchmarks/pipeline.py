"""Windows from memory-mapped arrays to a training step: throughput, and whether a step waits for them."""

from __future__ import annotations

import functools
import importlib.util
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from measurement import Outcome, in_fresh_process

N_WINDOWS, WINDOW, BATCH = 20_000, (32, 128), 128
"""Windows of one second of 32 channels at 128 Hz, float32: 328 MB."""
N_PARTS = 22
"""Number of files for the contender with several files, like those of DEAP's subjects with a face video."""
SECONDS = 3.0
"""Seconds of serving batches, after as many batches as a queue may hold."""
N_WARM_UP = 20

FACES, FACE_BATCH = (5, 64, 64, 3), 64
"""Windows of DeepVANet: five faces of 61 kB in all, uint8."""
STORE_BYTES = 2 * 10**9
N_STEPS = 20

OURS = "keras_emotion"
OURS_PARTS = f"keras_emotion, {N_PARTS} files"
GATHER = "NumPy, gather alone"
TENSORS = "tf.data, from_tensor_slices"
PER_WINDOW = "tf.data, generator of windows"
TORCH = "PyTorch, DataLoader"
TORCH_WORKERS = "PyTorch, DataLoader, 2 workers"

IN_MEMORY = "one batch in memory"
WARM = "keras_emotion, files in the page cache"
COLD = "keras_emotion, files not in the page cache"


def _ours(file: str, n_parts: int = 1) -> Iterator[Any]:
    import numpy as np

    from keras_emotion.pipelines import JoinedArrays, WindowBatches

    parts = np.array_split(np.load(file, mmap_mode="r"), n_parts)
    return iter(WindowBatches({"eeg": JoinedArrays(parts)}, *_labels_and_rows(), BATCH, 0).as_dataset())


def _gather(file: str) -> Iterator[Any]:
    import numpy as np

    windows, rng = np.load(file, mmap_mode="r"), np.random.default_rng(0)
    while True:
        order = rng.permutation(N_WINDOWS)
        for first in range(0, N_WINDOWS - BATCH, BATCH):
            yield windows[order[first : first + BATCH]]


def _tensors(file: str) -> Iterator[Any]:
    import numpy as np
    import tensorflow as tf

    labels, _ = _labels_and_rows()
    dataset = tf.data.Dataset.from_tensor_slices((np.load(file), labels)).shuffle(N_WINDOWS).repeat()
    return iter(dataset.batch(BATCH).prefetch(tf.data.AUTOTUNE))


def _per_window(file: str) -> Iterator[Any]:
    import numpy as np
    import tensorflow as tf

    windows, rng = np.load(file, mmap_mode="r"), np.random.default_rng(0)
    generator = lambda: ((windows[row], 0) for row in rng.permutation(N_WINDOWS))  # noqa: E731
    signature = (tf.TensorSpec(WINDOW, tf.float32), tf.TensorSpec((), tf.int64))
    dataset = tf.data.Dataset.from_generator(generator, output_signature=signature).repeat()
    return iter(dataset.batch(BATCH).prefetch(tf.data.AUTOTUNE))


def _torch(file: str, workers: int = 0) -> Iterator[Any]:
    import numpy as np
    import torch

    class Windows(torch.utils.data.Dataset):
        def __init__(self):
            self.windows = np.load(file, mmap_mode="r+")

        def __len__(self):
            return len(self.windows)

        def __getitem__(self, row):
            return self.windows[row], 0

    loader = torch.utils.data.DataLoader(Windows(), BATCH, shuffle=True, num_workers=workers)
    while True:
        yield from loader


def _labels_and_rows() -> tuple[Any, Any]:
    import numpy as np

    return np.zeros(N_WINDOWS, int), np.arange(N_WINDOWS)


CONTENDERS: dict[str, Callable[[str], Iterator[Any]]] = {
    OURS: _ours,
    OURS_PARTS: functools.partial(_ours, n_parts=N_PARTS),
    GATHER: _gather,
    TENSORS: _tensors,
    PER_WINDOW: _per_window,
    TORCH: _torch,
    TORCH_WORKERS: functools.partial(_torch, workers=2),
}


# --- run in new processes


def write(folder: str, n_bytes: int) -> dict[str, str]:
    """Write windows of EEG, and windows of faces of the given number of bytes."""
    import numpy as np

    rng, eeg, faces = np.random.default_rng(0), str(Path(folder, "eeg.npy")), str(Path(folder, "faces.npy"))
    np.save(eeg, rng.standard_normal((N_WINDOWS, *WINDOW), np.float32))
    block = rng.integers(0, 256, (4096, *FACES), np.uint8)
    n_blocks = max(1, n_bytes // block.nbytes)
    shape = (n_blocks * len(block), *FACES)
    written = np.lib.format.open_memmap(faces, mode="w+", dtype=np.uint8, shape=shape)
    for first in range(0, len(written), len(block)):
        written[first : first + len(block)] = block
    written.flush()
    return {"eeg": eeg, "faces": faces}


def serve(contender: str, file: str) -> dict[str, float]:
    """Measure the windows per second that a contender serves, by wall and CPU time."""
    _prepare()
    batches = CONTENDERS[contender](file)
    for _ in range(N_WARM_UP):
        next(batches)
    began, n_batches = (time.perf_counter(), time.process_time()), 0
    while time.perf_counter() - began[0] < SECONDS:
        next(batches)
        n_batches += 1
    wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    return {"windows_per_second": n_batches * BATCH / wall, "windows_per_cpu_second": n_batches * BATCH / cpu}


def train(kind: str, file: str) -> dict[str, float]:
    """Measure seconds of a step of DeepVANet in `fit`, and the growth of its own memory from first to last."""
    _prepare()
    import keras
    import numpy as np

    from keras_emotion.models import DeepVANet
    from keras_emotion.pipelines import JoinedArrays, WindowBatches

    faces = np.load(file, mmap_mode="r")
    rng = np.random.default_rng(0)
    bio = rng.standard_normal((1024, 128, 40), np.float32)
    rows = rng.permutation(len(faces))
    labels = (rows % 2).astype(np.float32)[:, None]
    arrays = {"faces": JoinedArrays([faces], rows), "bio": JoinedArrays([bio], rows % len(bio))}
    batches = WindowBatches(arrays, labels, np.arange(len(rows)), FACE_BATCH, 0)
    if kind == COLD:
        _forget(file)
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    model = DeepVANet(pixel_maximum=255)
    model.compile(keras.optimizers.Adam(1e-4), "binary_crossentropy", jit_compile=False)
    dataset = batches.as_dataset()
    if kind == IN_MEMORY:
        dataset = tf.data.Dataset.from_tensors(next(iter(dataset))).repeat()
    ended, memory = [], []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            ended.append(time.perf_counter())
            memory.append(_own_bytes())

    model.fit(dataset, steps_per_epoch=N_STEPS + 5, shuffle=False, verbose=0, callbacks=[Clock()])
    return {
        "seconds": (ended[-1] - ended[4]) / N_STEPS,
        "own_megabytes_more": (memory[-1] - memory[4]) / 1e6,
        "in_page_cache": _share_in_page_cache(faces),
    }


def _prepare() -> None:
    os.environ |= {"CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    from keras_emotion.pipelines import prepare_backend

    prepare_backend(os.cpu_count() or 1)


def _own_bytes() -> int:
    """Return the memory of this process without pages of mapped files, which the system reclaims on demand."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024


def _forget(file: str) -> None:
    """Drop the pages of a file from the system's cache."""
    descriptor = os.open(file, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def _share_in_page_cache(array: Any) -> float:
    """Return the share of the pages of a mapped file in memory, by `mincore`."""
    import ctypes
    import mmap

    import numpy as np

    n_bytes, page = array.nbytes, mmap.PAGESIZE
    start = array.ctypes.data // page * page
    present = np.zeros((n_bytes + page - 1) // page, np.uint8)
    ctypes.CDLL(None).mincore(ctypes.c_void_p(start), ctypes.c_size_t(n_bytes), present.ctypes.data_as(ctypes.c_void_p))
    return float((present & 1).mean())


# --- the benchmark


def benchmark(repeats: int = 3, full: bool = False) -> Outcome:
    """Measure every contender `repeats` times, in turns, so that other load on the machine affects all of them equally.

    Args:
        repeats: number of new processes per contender.
        full: a store of faces a quarter larger than the memory of the machine, instead of `STORE_BYTES`. It is written
            to the folder for temporary files.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    store_bytes = memory * 5 // 4 if full else STORE_BYTES
    has_torch = importlib.util.find_spec("torch") is not None
    contenders = [name for name in CONTENDERS if has_torch or not name.startswith("PyTorch")]
    # If only a part fits into the page cache, there is no warm one.
    kinds = (IN_MEMORY, COLD) if full else (IN_MEMORY, WARM, COLD)
    load = [os.getloadavg()[0]]
    served: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    trained: dict[str, list[dict[str, float]]] = {name: [] for name in kinds}
    with tempfile.TemporaryDirectory() as folder:
        files = in_fresh_process(write, folder=folder, n_bytes=store_bytes)
        for _ in range(repeats):
            for name in contenders:
                served[name].append(in_fresh_process(serve, contender=name, file=files["eeg"]))
        for _ in range(repeats):
            for name in kinds:
                if name == WARM:
                    in_fresh_process(read, file=files["faces"])
                trained[name].append(in_fresh_process(train, os.cpu_count() or 1, kind=name, file=files["faces"]))
    load.append(os.getloadavg()[0])
    return Outcome(
        title=f"Windows per second, and a training step that needs them, medians of {repeats}",
        columns=(
            "",
            "windows/s",
            "windows/CPU s",
            "ratio",
            "ms per step",
            "ratio",
            "own memory, MB more",
            "in page cache",
        ),
        rows=(*(_served_row(name, served) for name in contenders), *(_trained_row(name, trained) for name in kinds)),
        notes=(
            f"Windows of {WINDOW[0]} x {WINDOW[1]} float32 in batches of {BATCH}, from a file in the page cache. "
            "Random numbers: what is measured is speed.",
            f"A step of DeepVANet: {FACE_BATCH} windows with five faces each, of {store_bytes / 1e9:.0f} GB in a file. "
            f"The machine has {memory / 1e9:.0f} GB. Memory: without mapped files, from the fifth step to the last.",
            *(() if has_torch else ("PyTorch is not installed: pip install torch.",)),
            "Wall times depend on other load; load average "
            f"{load[0]:.1f} before and {load[1]:.1f} after, of which this benchmark causes up to {os.cpu_count()}.",
        ),
        measured={"load_average": load, "store_bytes": store_bytes, "served": served, "trained": trained},
        passed=True,
    )


def read(file: str) -> None:
    """Read a file, so that the system keeps its pages in memory."""
    with open(file, "rb") as stream:
        while stream.read(2**24):
            pass


def _served_row(name: str, served: dict[str, list[dict[str, float]]]) -> tuple[str, ...]:
    def median(key, name=name):
        return statistics.median(run[key] for run in served[name])

    return (
        name,
        f"{median('windows_per_second'):,.0f}",
        f"{median('windows_per_cpu_second'):,.0f}" if "workers" not in name else "",
        f"{median('windows_per_second') / median('windows_per_second', OURS):.2f}",
        *[""] * 4,
    )


def _trained_row(name: str, trained: dict[str, list[dict[str, float]]]) -> tuple[str, ...]:
    def median(key, name=name):
        return statistics.median(run[key] for run in trained[name])

    return (
        f"step, {name}",
        "",
        "",
        "",
        f"{1000 * median('seconds'):.0f}",
        f"{median('seconds') / median('seconds', IN_MEMORY):.3f}",
        f"{median('own_megabytes_more'):.0f}",
        f"{median('in_page_cache'):.0%}",
    )
