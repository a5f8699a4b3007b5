"""From DEAP's file of one subject to differential entropies on the electrode grid, against TorchEEG and a SciPy loop.

Every contender reads the same `.dat` and gives `(1200, 4, 9, 9, 4)`: for each of 40 trials of 60 s, 30 samples of 2 s,
each of 4 slices of 0.5 s, rows, columns, bands. Each runs in a fresh process and imports only what it needs itself.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import itertools
import os
import pickle
import resource
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measurement import Outcome, in_fresh_process

OURS = "keras_emotion"
OURS_NO_BASELINE = "keras_emotion, no baseline"
OURS_AS_TORCHEEG = "keras_emotion, as TorchEEG"
SCIPY_LOOP = "SciPy loop"
TORCHEEG = "TorchEEG"

TORCHEEG_INSTALLATION = "pip install --no-deps torcheeg==1.1.3"
TORCHEEG_TRIALS = 4
"""Trials that TorchEEG is measured on unless all are asked for."""

N_STEPS, ROWS, COLUMNS, SAMPLES_PER_SLICE = 4, 9, 9, 64
N_EEG_CHANNELS, SAMPLING_RATE_HZ, N_BASELINE_SAMPLES = 32, 128, 384

AGREEMENT = 1e-5
"""Largest difference, in nats or bits, between results by the same convention: some twenty steps of a float32 near 5.

Rounding is not all that may differ: TorchEEG filters with the polynomials of ten poles, we with second-order sections.
"""
PAIRS = ((OURS_AS_TORCHEEG, TORCHEEG), (OURS_NO_BASELINE, SCIPY_LOOP))

Job = tuple[Callable[[str, str, int], Any], Callable[[Any, int], Any]]
"""What reads `(root, file, subject)`, and what makes the features of the first so many trials of what was read."""


def _ours(**fields: Any) -> Job:
    from keras_emotion.datasets import DEAP
    from keras_emotion.pipelines import EEGGridFeatures

    def read(root, file, subject):
        return DEAP(root, file_format="python").trials([subject])  # opens the file when the first trial is asked for

    def features(trials, n_trials):
        arrays, _ = EEGGridFeatures(**fields).of_trials(itertools.islice(trials, n_trials))
        return arrays["eeg"]

    return read, features


def _scipy_loop() -> Job:
    """A plain loop over bands, trials and channels: our default without baseline. Each filter is designed once."""
    import numpy as np
    import scipy.signal

    from keras_emotion.datasets.deap_facts import EEG_CHANNEL_NAMES
    from keras_emotion.signals import THREE_FACRNN_BANDS, grid_positions

    cells = grid_positions(EEG_CHANNEL_NAMES)

    def features(recordings, n_trials):
        trials = recordings["data"][:n_trials]
        n_slices = (trials.shape[-1] - N_BASELINE_SAMPLES) // SAMPLES_PER_SLICE
        grid = np.zeros((n_trials, n_slices, ROWS, COLUMNS, len(THREE_FACRNN_BANDS)), np.float32)
        for band, edges_hz in enumerate(THREE_FACRNN_BANDS.values()):
            sections = scipy.signal.butter(4, edges_hz, btype="bandpass", fs=SAMPLING_RATE_HZ, output="sos")
            for index, trial in enumerate(trials):
                for channel, (row, column) in enumerate(cells):
                    filtered = scipy.signal.sosfiltfilt(sections, trial[channel])[N_BASELINE_SAMPLES:]
                    variance = filtered.reshape(n_slices, SAMPLES_PER_SLICE).var(axis=1)
                    grid[index, :, row, column, band] = 0.5 * np.log(2 * np.pi * np.e * variance)
        return grid.reshape(-1, N_STEPS, *grid.shape[2:])

    return _unpickled, features


def _torcheeg() -> Job:
    """`BandDifferentialEntropy` and `ToGrid`, as its documentation composes them, on each window as its data set does.

    Its own grid and filters; the edges of the bands are those of the other contenders.
    """
    import numpy as np

    from keras_emotion.signals import THREE_FACRNN_BANDS

    _without_initialisation(
        "torcheeg", "torcheeg.transforms", "torcheeg.transforms.any", "torcheeg.transforms.numpy", "torcheeg.datasets"
    )
    from torcheeg.datasets.constants import DEAP_CHANNEL_LOCATION_DICT
    from torcheeg.transforms.any.compose import Compose
    from torcheeg.transforms.numpy.band import BandDifferentialEntropy
    from torcheeg.transforms.numpy.to import ToGrid

    transform = Compose(
        [
            BandDifferentialEntropy(sampling_rate=SAMPLING_RATE_HZ, band_dict=dict(THREE_FACRNN_BANDS)),
            ToGrid(DEAP_CHANNEL_LOCATION_DICT),
        ]
    )

    def features(recordings, n_trials):
        slices = [
            transform(eeg=trial[:N_EEG_CHANNELS, start : start + SAMPLES_PER_SLICE])["eeg"]
            for trial in recordings["data"][:n_trials]
            for start in range(N_BASELINE_SAMPLES, trial.shape[-1], SAMPLES_PER_SLICE)
        ]
        grid = np.moveaxis(np.array(slices, np.float32), 1, -1)  # the bands go last
        return grid.reshape(-1, N_STEPS, *grid.shape[1:])

    return _unpickled, features


def _unpickled(root: str, file: str, subject: int) -> dict[str, Any]:
    """The file as TorchEEG's `DEAPDataset` reads it."""
    with open(file, "rb") as content:
        return pickle.load(content, encoding="iso-8859-1")


def _without_initialisation(*packages: str) -> None:
    """Lets modules of TorchEEG be imported without running the `__init__` of the packages that hold them.

    Those import all of it, and with it PyTorch, LMDB, WFDB and a package that has to be compiled; the modules compared
    here need NumPy and SciPy.
    """
    root = Path(importlib.util.find_spec("torcheeg").origin).parent
    for package in packages:
        module = types.ModuleType(package)
        module.__path__ = [str(root.joinpath(*package.split(".")[1:]))]
        sys.modules[package] = module


CONTENDERS: dict[str, Callable[[], Job]] = {
    OURS: _ours,
    OURS_NO_BASELINE: functools.partial(_ours, baseline="none"),
    OURS_AS_TORCHEEG: functools.partial(_ours, baseline="none", convention="torcheeg"),
    SCIPY_LOOP: _scipy_loop,
    TORCHEEG: _torcheeg,
}


# --- called in fresh processes


def prepare(root: str, write: bool) -> dict[str, Any]:
    """The subject to be measured: the first of `root`, where one is written if asked for."""
    from keras_emotion.datasets import DEAP
    from keras_emotion.synthetic import write_deap

    if write:
        write_deap(root, n_subjects=1, n_trials=40)
    reader = DEAP(root, file_format="python")
    subject = reader.subjects[0]
    return {
        "root": root,
        "file": str(reader.source_files(subject)[0]),
        "subject": subject,
        "n_trials": sum(1 for _ in reader.trials([subject])),
        "synthetic": reader.synthetic,
    }


def measure(
    contender: str, root: str, file: str, subject: int, n_trials: int, n_measured: int, save: str
) -> dict[str, Any]:
    """Time and memory of a contender on `n_measured` of `n_trials`; its features go to the file `save`.

    Returns:
        Seconds for all of the trials, by the clock on the wall and of the processor: those for reading the file and
        those for the features, the latter scaled from the trials measured. Bytes at the peak of this process, and by
        how much they exceed the peak after its imports.
    """
    import numpy as np

    read, features = CONTENDERS[contender]()
    imported_bytes = _peak_bytes()
    clocks = [(time.perf_counter(), time.process_time())]
    recordings = read(root, file, subject)
    clocks.append((time.perf_counter(), time.process_time()))
    array = features(recordings, n_measured)
    clocks.append((time.perf_counter(), time.process_time()))
    peak_bytes = _peak_bytes()
    np.save(save, array)
    reading, computing = np.diff(clocks, axis=0)
    wall_seconds, cpu_seconds = (reading + computing * n_trials / n_measured).tolist()
    return {
        "wall_seconds": wall_seconds,
        "cpu_seconds": cpu_seconds,
        "peak_bytes": peak_bytes,
        "peak_above_imports_bytes": peak_bytes - imported_bytes,
        "shape": array.shape,
    }


def compare(files: list[str]) -> dict[str, Any]:
    """Largest difference of two arrays of features on the trials that both have, and the range of the values."""
    import numpy as np

    first, second = (np.load(file) for file in files)
    n_samples = min(len(first), len(second))
    first, second = first[:n_samples].astype(np.float64), second[:n_samples].astype(np.float64)
    return {
        "max_abs_difference": float(np.abs(first - second).max()),
        "range": [float(second.min()), float(second.max())],
        "n_samples": n_samples,
    }


def _peak_bytes() -> int:
    # Linux counts in kB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


# --- the benchmark


def benchmark(data_root: Path | None = None, repeats: int = 5, full: bool = False) -> Outcome:
    """Measures every contender `repeats` times, in turns, so that other load on the machine falls on all of them.

    Args:
        data_root: folder of DEAP with the files for Python, of which the first subject is taken; `None`: a synthetic
            subject of the same size in a temporary folder.
        repeats: fresh processes of each contender.
        full: TorchEEG on all trials and not on `TORCHEEG_TRIALS` of them.
    """
    has_torcheeg = importlib.util.find_spec("torcheeg") is not None
    contenders = [name for name in CONTENDERS if name != TORCHEEG or has_torcheeg]
    with tempfile.TemporaryDirectory() as folder:
        recording = in_fresh_process(prepare, root=str(data_root or Path(folder, "DEAP")), write=data_root is None)
        synthetic, n_trials = recording.pop("synthetic"), recording["n_trials"]
        n_measured = dict.fromkeys(contenders, n_trials)
        if not full and has_torcheeg:
            n_measured[TORCHEEG] = min(TORCHEEG_TRIALS, n_trials)
        saved = {name: str(Path(folder, f"{index}.npy")) for index, name in enumerate(contenders)}
        load = [os.getloadavg()[0]]
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
        for _ in range(repeats):
            for name in contenders:
                runs[name].append(
                    in_fresh_process(
                        measure, contender=name, n_measured=n_measured[name], save=saved[name], **recording
                    )
                )
        load.append(os.getloadavg()[0])
        agreement = [
            {"pair": pair, **in_fresh_process(compare, files=[saved[name] for name in pair])}
            for pair in PAIRS
            if set(pair) <= set(contenders)
        ]
    medians = {
        name: {key: statistics.median(run[key] for run in runs[name]) for key in runs[name][0] if key != "shape"}
        for name in contenders
    }
    rows = [_row(name, medians, n_measured[name], n_trials) for name in contenders]
    if not has_torcheeg:
        rows.append((TORCHEEG, *[""] * 6, f"not installed: {TORCHEEG_INSTALLATION}"))
    passed = all(result["max_abs_difference"] <= AGREEMENT for result in agreement)
    return Outcome(
        title=f"From .dat to features {tuple(runs[OURS][0]['shape'])}, one subject, one thread, medians of {repeats}",
        columns=("", "wall s", "CPU s", "wall ratio", "CPU ratio", "peak MB", "above imports MB", "measured"),
        rows=tuple(rows),
        notes=tuple(_notes(synthetic, agreement, load)),
        measured={
            "synthetic": synthetic,
            "n_trials": n_trials,
            "n_measured": n_measured,
            "load_average": load,
            "runs": runs,
            "agreement": agreement,
        },
        passed=passed,
    )


def _row(name: str, medians: dict[str, dict[str, float]], n_measured: int, n_trials: int) -> tuple[str, ...]:
    median = medians[name]
    if name == TORCHEEG:
        name = f"{TORCHEEG} {importlib.metadata.version('torcheeg')}"
    return (
        name,
        f"{median['wall_seconds']:.2f}",
        f"{median['cpu_seconds']:.2f}",
        f"{median['wall_seconds'] / medians[OURS]['wall_seconds']:.2f}",
        f"{median['cpu_seconds'] / medians[OURS]['cpu_seconds']:.2f}",
        f"{median['peak_bytes'] / 1e6:.0f}",
        f"{median['peak_above_imports_bytes'] / 1e6:.0f}",
        f"{n_measured} of {n_trials} trials{', scaled' if n_measured < n_trials else ''}",
    )


def _notes(synthetic: bool, agreement: list[dict[str, Any]], load: list[float]) -> list[str]:
    notes = [
        "Synthetic data in DEAP's format: the numbers are about speed and memory, not about emotion."
        if synthetic
        else "Recordings of the folder given; the numbers are about speed and memory, not about emotion."
    ]
    for result in agreement:
        first, second = result["pair"]
        low, high = result["range"]
        verdict = "agree" if result["max_abs_difference"] <= AGREEMENT else "DIFFER"
        notes.append(
            f"{first} and {second} {verdict}: largest difference {result['max_abs_difference']:.1e} "
            f"on {result['n_samples']} samples, values from {low:.2f} to {high:.2f} (allowed: {AGREEMENT:g})."
        )
    notes.append(
        "Seconds are those of a whole subject, imports left out. Wall times suffer from whatever else runs; "
        f"load average {load[0]:.1f} before and {load[1]:.1f} after."
    )
    return notes
