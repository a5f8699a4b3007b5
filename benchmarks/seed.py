"""Differential entropies from SEED's full-length files, compared with reading only, LibEER's method and TorchEEG.

Every contender computes, for each clip, the entropies of five bands in windows of 1 s without overlap, `(windows, 62,
5)`, of the first `200 s` of its `200 s + 1` samples. Each runs in a new process and imports only what it needs. The
files are compressed, as MATLAB's `save` writes them by default.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from measurement import (
    AGREEMENT,
    Outcome,
    clocks,
    in_fresh_process,
    largest_difference,
    peak_memory_bytes,
    without_initialisation,
)

READING = "reading: SciPy"
OURS = "keras_emotion"
OURS_IN_WORKERS = "keras_emotion, a worker for each core"
OURS_AS_LIBEER = "keras_emotion, as LibEER"
LIBEER = "LibEER's way"
OURS_AS_TORCHEEG = "keras_emotion, as TorchEEG"
TORCHEEG = "TorchEEG"

INSTALLATION = "pip install --no-deps torcheeg==1.1.3"
TORCHEEG_CLIPS = 2
"""Clips for TorchEEG, which takes a quarter of an hour per subject."""

SAMPLING_RATE_HZ = 200
BANDS = {"delta": (1, 4), "theta": (4, 8), "alpha": (8, 14), "beta": (14, 31), "gamma": (31, 50)}
PAIRS = ((OURS_AS_LIBEER, LIBEER, 5), (OURS_AS_TORCHEEG, TORCHEEG, 3))
"""Contenders with the same convention, and the number of compared bands, from the highest.

TorchEEG filters with the polynomials of ten poles, which are inaccurate near 0 Hz: at 200 Hz its entropies of 1-4 Hz
are off by about 4e-3, those of 4-8 Hz by 1e-5; second-order sections agree with ours to the last bits.
"""

Job = Callable[[str, list[str], int], Iterator[Any]]
"""Function that yields the features of the first clips of the reader's root or of files, clip by clip."""


def _reading() -> Job:
    """Read all variables of every file, as its users do; yields nothing."""
    import scipy.io

    def features(root, files, n_clips):
        for file in files:
            scipy.io.loadmat(file)
        yield from ()

    return features


def _ours(convention: str = "default") -> Job:
    import itertools

    from keras_emotion.datasets import SEED
    from keras_emotion.signals import differential_entropy_features

    def features(root, files, n_clips):
        for trial in itertools.islice(SEED(root, file_format="preprocessed").trials(), n_clips):
            yield differential_entropy_features(trial.eeg.signal, SAMPLING_RATE_HZ, BANDS, 1.0, convention)

    return features


def _ours_in_workers() -> Job:
    """Fill the feature store of a run, each subject in a worker; yields nothing."""
    from keras_emotion.datasets import SEED
    from keras_emotion.experiment.runner import compute_part
    from keras_emotion.pipelines import ChannelEntropies
    from keras_emotion.systems.settings import Runtime

    def features(root, files, n_clips):
        reader = SEED(root, file_format="preprocessed")
        subjects = reader.subjects[: n_clips // 45]
        with tempfile.TemporaryDirectory() as store:
            compute_part(ChannelEntropies(bands=BANDS), reader, subjects, Runtime(feature_store=Path(store)))
        yield from ()

    return features


def _clips(files: list[str], n_clips: int) -> Iterator[Any]:
    """Yield the clips of files that SciPy reads whole, one after another."""
    import itertools

    import scipy.io

    def of_all() -> Iterator[Any]:
        for file in files:
            contents = scipy.io.loadmat(file)
            names = [name for name in contents if re.fullmatch(r"\w+_eeg\d+", name)]
            for name in sorted(names, key=lambda name: int(name.rpartition("eeg")[2])):
                yield contents[name][:, :-1]

    return itertools.islice(of_all(), n_clips)


def _libeer() -> Job:
    """As LibEER: a zero-phase filter of order 3 over the clip for each band, window by window."""
    import numpy as np
    import scipy.signal

    def features(root, files, n_clips):
        for clip in _clips(files, n_clips):
            n_windows = clip.shape[1] // SAMPLING_RATE_HZ
            entropies = np.empty((n_windows, len(clip), len(BANDS)))
            for band, edges_hz in enumerate(BANDS.values()):
                filtered = scipy.signal.filtfilt(*scipy.signal.butter(3, edges_hz, "bandpass", fs=200), clip)
                for window in range(n_windows):
                    samples = filtered[:, window * SAMPLING_RATE_HZ : (window + 1) * SAMPLING_RATE_HZ]
                    entropies[window, :, band] = 0.5 * np.log2(2 * np.pi * np.e * samples.var(axis=1, ddof=1))
            yield entropies

    return features


def _torcheeg() -> Job:
    """`BandDifferentialEntropy` on each window, as in its dataset."""
    import numpy as np

    without_initialisation("torcheeg", "torcheeg.transforms", "torcheeg.transforms.numpy")
    from torcheeg.transforms.numpy.band import BandDifferentialEntropy

    transform = BandDifferentialEntropy(sampling_rate=SAMPLING_RATE_HZ, band_dict=dict(BANDS))

    def features(root, files, n_clips):
        for clip in _clips(files, n_clips):
            starts = range(0, clip.shape[1] - SAMPLING_RATE_HZ + 1, SAMPLING_RATE_HZ)
            yield np.array([transform(eeg=clip[:, start : start + SAMPLING_RATE_HZ])["eeg"] for start in starts])

    return features


CONTENDERS: dict[str, Callable[[], Job]] = {
    READING: _reading,
    OURS: _ours,
    OURS_IN_WORKERS: _ours_in_workers,
    OURS_AS_LIBEER: lambda: _ours("libeer"),
    LIBEER: _libeer,
    OURS_AS_TORCHEEG: lambda: _ours("torcheeg"),
    TORCHEEG: _torcheeg,
}


# --- run in new processes


def prepare(root: str, write: bool, n_subjects: int) -> dict[str, Any]:
    """Provide the files to measure, written first if requested."""
    from keras_emotion.datasets import SEED
    from keras_emotion.synthetic import write_seed

    if write:
        write_seed(root, n_subjects=n_subjects, full_length=True, files=("preprocessed",), compressed=True)
    reader = SEED(root, file_format="preprocessed")
    subjects = reader.subjects[:n_subjects]
    files = [str(path) for subject in subjects for path in reader.source_files(subject) if path.parent == reader.folder]
    files = [file for file in files if Path(file).name != "label.mat"]
    return {"files": files, "n_clips": 15 * len(files), "synthetic": reader.synthetic}


def measure(contender: str, root: str, files: list[str], n_clips: int, n_measured: int, save: str) -> dict[str, Any]:
    """Measure time and memory of a contender on `n_measured` of `n_clips`; save features of the first clips."""
    import numpy as np

    features = CONTENDERS[contender]()
    imported_bytes = peak_memory_bytes()
    start, first = clocks(), []
    for number, array in enumerate(features(root, files, n_measured)):
        if number < TORCHEEG_CLIPS:
            first.append(array)
    wall_seconds, cpu_seconds = ((clocks() - start) * n_clips / n_measured).tolist()
    peak = peak_memory_bytes()
    if first:
        np.save(save, np.concatenate(first))
    return {
        "wall_seconds": wall_seconds,
        "cpu_seconds": cpu_seconds,
        "peak_bytes": peak,
        "peak_above_imports_bytes": peak - imported_bytes,
    }


# --- the benchmark


def benchmark(data_root: Path | None = None, repeats: int = 3, full: bool = False) -> Outcome:
    """Measure every contender `repeats` times, in turns, so that other load on the machine affects all of them equally.

    Args:
        data_root: folder of SEED, whose first subjects are used; `None`: synthetic full-length files in a temporary
            folder, 1 GB per subject.
        repeats: number of new processes per contender.
        full: three subjects instead of one.
    """
    contenders = [name for name in CONTENDERS if name != TORCHEEG or importlib.util.find_spec("torcheeg")]
    with tempfile.TemporaryDirectory() as folder:
        root = str(data_root or Path(folder, "SEED"))
        data = in_fresh_process(prepare, root=root, write=data_root is None, n_subjects=3 if full else 1)
        synthetic, n_clips = data.pop("synthetic"), data["n_clips"]
        n_bytes = sum(Path(file).stat().st_size for file in data["files"])
        n_measured = dict.fromkeys(contenders, n_clips)
        if TORCHEEG in contenders:
            n_measured[TORCHEEG] = TORCHEEG_CLIPS
        saved = {name: str(Path(folder, f"{index}.npy")) for index, name in enumerate(contenders)}
        load = [os.getloadavg()[0]]
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
        for _ in range(repeats):
            for name in contenders:
                arguments = {"contender": name, "root": root, "n_measured": n_measured[name], "save": saved[name]}
                runs[name].append(in_fresh_process(measure, **arguments, **data))
        load.append(os.getloadavg()[0])
        agreement = [
            {
                "pair": pair,
                **in_fresh_process(largest_difference, files=[saved[name] for name in pair], n_columns=bands),
            }
            for *pair, bands in PAIRS
            if set(pair) <= set(contenders)
        ]
    medians = {
        name: {key: statistics.median(run[key] for run in runs[name]) for key in runs[name][0]} for name in contenders
    }
    rows = [
        _row(name, medians, n_measured[name], n_clips)
        if name in contenders
        else (name, *[""] * 6, f"not installed: {INSTALLATION}")
        for name in CONTENDERS
    ]
    kind = "Synthetic files in SEED's format and lengths" if synthetic else "Files of the folder given"
    notes = [
        f"{kind}: {len(data['files'])} files, {n_bytes / 1e9:.2f} GB. The numbers are about speed and memory, "
        "not about emotion."
    ]
    for result in agreement:
        verdict = "agree" if result["max_difference"] <= AGREEMENT else "DIFFER"
        notes.append(
            f"{' and '.join(result['pair'])} {verdict}: largest difference {result['max_difference']:.1e} on "
            f"{result['n_samples']} windows (allowed: {AGREEMENT:g}; TorchEEG: from 8 Hz on)."
        )
    notes.append(
        "Ratios are relative to SciPy's plain reading of the same files (in the file cache), which all other times "
        "include. Workers: CPU seconds and memory are those of the waiting process. "
        f"Load average {load[0]:.1f} before and {load[1]:.1f} after."
    )
    return Outcome(
        title=f"From SEED's .mat to differential entropies, one thread, medians of {repeats}",
        columns=("", "wall s", "CPU s", "wall ratio", "CPU ratio", "peak MB", "above imports MB", "measured"),
        rows=tuple(rows),
        notes=tuple(notes),
        measured={"synthetic": synthetic, "n_bytes": n_bytes, "load_average": load, "runs": runs, "pairs": agreement},
        passed=all(result["max_difference"] <= AGREEMENT for result in agreement),
    )


def _row(name: str, medians: dict[str, dict[str, float]], n_measured: int, n_clips: int) -> tuple[str, ...]:
    median, reference = medians[name], medians[READING]
    return (
        f"{name} {importlib.metadata.version('torcheeg')}" if name == TORCHEEG else name,
        f"{median['wall_seconds']:.2f}",
        f"{median['cpu_seconds']:.2f}",
        f"{median['wall_seconds'] / reference['wall_seconds']:.2f}",
        f"{median['cpu_seconds'] / reference['cpu_seconds']:.2f}",
        f"{median['peak_bytes'] / 1e6:.0f}",
        f"{median['peak_above_imports_bytes'] / 1e6:.0f}",
        f"{n_measured} of {n_clips} clips{', scaled' if n_measured < n_clips else ''}",
    )
