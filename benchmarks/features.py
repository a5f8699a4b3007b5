"""Features from DEAP's file of one subject, compared with TorchEEG, mne-features and loops over SciPy and NumPy.

Every contender reads the same `.dat`. For each of its 40 trials of 60 s it computes

- differential entropies on the electrode grid, `(1200, 4, 9, 9, 4)`: 30 samples of 2 s, each of 4 slices of 0.5 s,
  rows, columns, bands;
- or the power of each band, `(2400, 32, 4)`: 60 windows of 1 s, channels, bands;
- or the Pearson correlation of each pair of channels, `(800, 32, 32)`: 20 windows of 3 s, channels, channels.

Each runs in a new process and imports only what it needs.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import itertools
import os
import pickle
import statistics
import tempfile
from collections.abc import Callable
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

OURS = "entropy: keras_emotion"
OURS_NO_BASELINE = "entropy: keras_emotion, no baseline"
OURS_AS_TORCHEEG = "entropy: keras_emotion, as TorchEEG"
SCIPY_LOOP = "entropy: SciPy loop"
TORCHEEG = "entropy: TorchEEG"
POWER = "power: keras_emotion"
POWER_AS_MNE = "power: keras_emotion, as mne-features"
POWER_SCIPY = "power: SciPy loop"
POWER_MNE = "power: mne-features"
POWER_TORCHEEG = "power: TorchEEG"
CORRELATION = "correlation: keras_emotion"
CORRELATION_AS_MNE = "correlation: keras_emotion, as mne-features"
CORRELATION_NUMPY = "correlation: NumPy loop"
CORRELATION_MNE = "correlation: mne-features"
CORRELATION_TORCHEEG = "correlation: TorchEEG"

INSTALLATIONS = {
    "torcheeg": "pip install --no-deps torcheeg==1.1.3",
    "mne_features": "pip install --no-deps mne-features==0.3.2 numba llvmlite PyWavelets",
}
TORCHEEG_TRIALS = 4
"""Trials for TorchEEG, unless all are requested."""

N_STEPS, ROWS, COLUMNS, SAMPLES_PER_SLICE = 4, 9, 9, 64
N_EEG_CHANNELS, SAMPLING_RATE_HZ, N_BASELINE_SAMPLES = 32, 128, 384

POWER_SECONDS, CORRELATION_SECONDS = 1.0, 3.0

PAIRS = (
    (OURS_AS_TORCHEEG, TORCHEEG),
    (OURS_NO_BASELINE, SCIPY_LOOP),
    (POWER, POWER_SCIPY),
    (POWER_AS_MNE, POWER_MNE),
    (CORRELATION, CORRELATION_NUMPY),
    (CORRELATION, CORRELATION_TORCHEEG),
    (CORRELATION_AS_MNE, CORRELATION_MNE),
)
"""TorchEEG's power is a mean of squared magnitudes starting one bin below the band: not comparable here."""

Job = tuple[Callable[[str, str, int], Any], Callable[[Any, int], Any]]
"""Functions that read `(root, file, subject)`, and that compute the features of the first trials that were read."""


def _trials(root: str, file: str, subject: int) -> Any:
    from keras_emotion.datasets import DEAP

    return DEAP(root, file_format="python").trials([subject])  # opens the file when the first trial is asked for


def _ours(**fields: Any) -> Job:
    import keras_emotion.datasets  # noqa: F401
    from keras_emotion.pipelines import EEGGridFeatures

    def features(trials, n_trials):
        arrays, _ = EEGGridFeatures(**fields).extract(itertools.islice(trials, n_trials))
        return arrays["eeg"]

    return _trials, features


def _ours_of_signals(measure: Callable[[Any, Any], Any]) -> Job:
    """Return a contender for a function of `keras_emotion.signals`, on the EEG after the onset, trial by trial."""
    import numpy as np

    import keras_emotion.datasets  # noqa: F401
    from keras_emotion import signals

    def features(trials, n_trials):
        recordings = (trial.eeg for trial in itertools.islice(trials, n_trials))
        return np.concatenate([measure(signals, eeg.signal[:, eeg.n_baseline_samples :]) for eeg in recordings])

    return _trials, features


def _power(signals: Any, eeg: Any) -> Any:
    return signals.band_power(eeg, SAMPLING_RATE_HZ, signals.THREE_FACRNN_BANDS, POWER_SECONDS)


def _power_as_mne(signals: Any, eeg: Any) -> Any:
    """Sum over the frequencies between the edges, 1 Hz apart: their cells extend half of that beyond."""
    bands = {name: (low - 0.5, high + 0.5) for name, (low, high) in signals.THREE_FACRNN_BANDS.items()}
    return signals.band_power(eeg, SAMPLING_RATE_HZ, bands, POWER_SECONDS, taper="hamming")


def _correlation(signals: Any, eeg: Any) -> Any:
    return signals.pearson_correlation(eeg, SAMPLING_RATE_HZ, CORRELATION_SECONDS)


def _correlation_as_mne(signals: Any, eeg: Any) -> Any:
    """Standardise every sample over the channels first."""
    return _correlation(signals, (eeg - eeg.mean(axis=0)) / eeg.std(axis=0))


def _scipy_loop() -> Job:
    """Plain loop over bands, trials and channels: our default without baseline. Each filter is designed once."""
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


def _of_windows(prepare: Callable[[], Callable[[Any], Any]], seconds: float) -> Job:
    """Plain loop of a function of one window `(channels, samples)` over trials and windows after the onset."""
    import numpy as np

    measure, window = prepare(), round(seconds * SAMPLING_RATE_HZ)

    def features(recordings, n_trials):
        trials = recordings["data"][:n_trials, :N_EEG_CHANNELS]
        starts = range(N_BASELINE_SAMPLES, trials.shape[-1] - window + 1, window)
        return np.array([measure(trial[:, start : start + window]) for trial in trials for start in starts])

    return _unpickled, features


def _power_scipy() -> Callable[[Any], Any]:
    import numpy as np
    import scipy.signal

    from keras_emotion.signals import THREE_FACRNN_BANDS

    def power(window):
        values = np.empty((len(window), len(THREE_FACRNN_BANDS)))
        for channel, samples in enumerate(window):
            frequencies_hz, density = scipy.signal.welch(samples, SAMPLING_RATE_HZ, nperseg=SAMPLING_RATE_HZ)
            for band, (low_hz, high_hz) in enumerate(THREE_FACRNN_BANDS.values()):
                cells = np.minimum(high_hz, frequencies_hz + 0.5) - np.maximum(low_hz, frequencies_hz - 0.5)
                values[channel, band] = density @ np.maximum(cells, 0)
        return values

    return power


def _power_mne() -> Callable[[Any], Any]:
    from mne_features.univariate import compute_pow_freq_bands

    from keras_emotion.signals import THREE_FACRNN_BANDS

    options = {
        "freq_bands": {name: list(edges_hz) for name, edges_hz in THREE_FACRNN_BANDS.items()},
        "normalize": False,
        "psd_params": {"welch_n_fft": SAMPLING_RATE_HZ},
    }
    return lambda window: compute_pow_freq_bands(SAMPLING_RATE_HZ, window, **options).reshape(len(window), -1)


def _power_torcheeg() -> Callable[[Any], Any]:
    from keras_emotion.signals import THREE_FACRNN_BANDS

    without_initialisation("torcheeg", "torcheeg.transforms", "torcheeg.transforms.numpy")
    from torcheeg.transforms.numpy.band import BandPowerSpectralDensity

    transform = BandPowerSpectralDensity(sampling_rate=SAMPLING_RATE_HZ, band_dict=dict(THREE_FACRNN_BANDS))
    return lambda window: transform(eeg=window)["eeg"]


def _correlation_numpy() -> Callable[[Any], Any]:
    import numpy as np

    return np.corrcoef


def _correlation_mne() -> Callable[[Any], Any]:
    import numpy as np
    from mne_features.bivariate import compute_time_corr

    triangle = np.triu_indices(N_EEG_CHANNELS)

    def correlation(window):
        network = np.zeros((N_EEG_CHANNELS, N_EEG_CHANNELS))
        network[triangle] = compute_time_corr(window, with_eigenvalues=False, include_diag=True)
        return np.triu(network, 1).T + network

    return correlation


def _correlation_torcheeg() -> Callable[[Any], Any]:
    without_initialisation("torcheeg", "torcheeg.transforms", "torcheeg.transforms.numpy")
    from torcheeg.transforms.numpy.correlation import PearsonCorrelation

    transform = PearsonCorrelation()
    return lambda window: transform(eeg=window)["eeg"][0]


def _torcheeg() -> Job:
    """`BandDifferentialEntropy` and `ToGrid`, composed as in their documentation, on each window as in its dataset.

    Its own grid and filters; the band edges are those of the other contenders.
    """
    import numpy as np

    from keras_emotion.signals import THREE_FACRNN_BANDS

    without_initialisation(
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
        grid = np.moveaxis(np.array(slices, np.float32), 1, -1)  # bands last
        return grid.reshape(-1, N_STEPS, *grid.shape[1:])

    return _unpickled, features


def _unpickled(root: str, file: str, subject: int) -> dict[str, Any]:
    """Read the file as TorchEEG's `DEAPDataset` does."""
    with open(file, "rb") as content:
        return pickle.load(content, encoding="iso-8859-1")


CONTENDERS: dict[str, Callable[[], Job]] = {
    OURS: _ours,
    OURS_NO_BASELINE: functools.partial(_ours, baseline="none"),
    OURS_AS_TORCHEEG: functools.partial(_ours, baseline="none", convention="torcheeg"),
    SCIPY_LOOP: _scipy_loop,
    TORCHEEG: _torcheeg,
    POWER: functools.partial(_ours_of_signals, _power),
    POWER_AS_MNE: functools.partial(_ours_of_signals, _power_as_mne),
    POWER_SCIPY: functools.partial(_of_windows, _power_scipy, POWER_SECONDS),
    POWER_MNE: functools.partial(_of_windows, _power_mne, POWER_SECONDS),
    POWER_TORCHEEG: functools.partial(_of_windows, _power_torcheeg, POWER_SECONDS),
    CORRELATION: functools.partial(_ours_of_signals, _correlation),
    CORRELATION_AS_MNE: functools.partial(_ours_of_signals, _correlation_as_mne),
    CORRELATION_NUMPY: functools.partial(_of_windows, _correlation_numpy, CORRELATION_SECONDS),
    CORRELATION_MNE: functools.partial(_of_windows, _correlation_mne, CORRELATION_SECONDS),
    CORRELATION_TORCHEEG: functools.partial(_of_windows, _correlation_torcheeg, CORRELATION_SECONDS),
}
REFERENCES = {"entropy": OURS, "power": POWER, "correlation": CORRELATION}
"""Reference of the time ratios, by the feature that starts a contender's name."""


def _peer(name: str) -> str | None:
    """Return the package that a contender needs in addition to ours."""
    peer = name.split(": ")[1]
    return {"TorchEEG": "torcheeg", "mne-features": "mne_features"}.get(peer)


# --- run in new processes


def prepare(root: str, write: bool) -> dict[str, Any]:
    """Provide the subject to measure: the first of `root`, synthetic if requested."""
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
    """Measure time and memory of a contender on `n_measured` of `n_trials`; save its features to the file `save`.

    Returns:
        Wall and CPU seconds for all of the trials: those for reading the file, and the total including the features,
        scaled from the measured trials. Peak memory of this process in bytes, and the excess over the peak after its
        imports.
    """
    import numpy as np

    read, features = CONTENDERS[contender]()
    imported_bytes = peak_memory_bytes()
    start, reading = clocks(), np.zeros(2)
    recordings = read(root, file, subject)
    reading += clocks() - start
    if not isinstance(recordings, dict):
        recordings = _timed(recordings, reading)
    array = features(recordings, n_measured)
    computing = clocks() - start - reading
    peak_bytes = peak_memory_bytes()
    np.save(save, array)
    wall_seconds, cpu_seconds = (reading + computing * n_trials / n_measured).tolist()
    return {
        "wall_seconds": wall_seconds,
        "cpu_seconds": cpu_seconds,
        "reading_cpu_seconds": float(reading[1]),
        "peak_bytes": peak_bytes,
        "peak_above_imports_bytes": peak_bytes - imported_bytes,
        "shape": array.shape,
    }


def _timed(trials: Any, seconds: Any) -> Any:
    """Yield the trials of a reader, which reads lazily; add the reading time to `seconds`."""
    while True:
        start = clocks()
        trial = next(trials, None)
        seconds += clocks() - start
        if trial is None:
            return
        yield trial


# --- the benchmark


def benchmark(data_root: Path | None = None, repeats: int = 5, full: bool = False) -> Outcome:
    """Measure every contender `repeats` times, in turns, so that other load on the machine affects all of them equally.

    Args:
        data_root: folder of DEAP with the files for Python, whose first subject is used; `None`: a synthetic subject of
            the same size in a temporary folder.
        repeats: number of new processes per contender.
        full: TorchEEG on all trials instead of `TORCHEEG_TRIALS`.
    """
    missing = {package for package in INSTALLATIONS if importlib.util.find_spec(package) is None}
    contenders = [name for name in CONTENDERS if _peer(name) not in missing]
    with tempfile.TemporaryDirectory() as folder:
        recording = in_fresh_process(prepare, root=str(data_root or Path(folder, "DEAP")), write=data_root is None)
        synthetic, n_trials = recording.pop("synthetic"), recording["n_trials"]
        n_measured = dict.fromkeys(contenders, n_trials)
        if not full:
            n_measured |= {name: min(TORCHEEG_TRIALS, n_trials) for name in contenders if _peer(name) == "torcheeg"}
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
            {"pair": pair, **in_fresh_process(largest_difference, files=[saved[name] for name in pair])}
            for pair in PAIRS
            if set(pair) <= set(contenders)
        ]
    medians = {
        name: {key: statistics.median(run[key] for run in runs[name]) for key in runs[name][0] if key != "shape"}
        for name in contenders
    }
    rows = [
        _row(name, medians, n_measured[name], n_trials)
        if name in contenders
        else (name, *[""] * 8, f"not installed: {INSTALLATIONS[_peer(name)]}")
        for name in CONTENDERS
    ]
    passed = all(result["max_difference"] <= AGREEMENT for result in agreement)
    return Outcome(
        title=f"From .dat to features of one subject, one thread, medians of {repeats}",
        columns=(
            "",
            "wall s",
            "CPU s",
            "of it reading",
            "computing",
            "wall ratio",
            "CPU ratio",
            "peak MB",
            "above imports MB",
            "measured",
        ),
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
    median, reference = medians[name], medians[REFERENCES[name.split(": ")[0]]]
    peer = _peer(name)
    return (
        f"{name} {importlib.metadata.version(peer)}" if peer else name,
        f"{median['wall_seconds']:.2f}",
        f"{median['cpu_seconds']:.2f}",
        f"{median['reading_cpu_seconds']:.2f}",
        f"{median['cpu_seconds'] - median['reading_cpu_seconds']:.2f}",
        f"{median['wall_seconds'] / reference['wall_seconds']:.2f}",
        f"{median['cpu_seconds'] / reference['cpu_seconds']:.2f}",
        f"{median['peak_bytes'] / 1e6:.0f}",
        f"{median['peak_above_imports_bytes'] / 1e6:.0f}",
        f"{n_measured} of {n_trials} trials{', scaled' if n_measured < n_trials else ''}",
    )


def _notes(synthetic: bool, agreement: list[dict[str, Any]], load: list[float]) -> list[str]:
    notes = [
        "Synthetic data in DEAP's format: the numbers are about speed and memory, not about emotion."
        if synthetic
        else "Recordings of the given folder; the numbers are about speed and memory, not about emotion."
    ]
    for result in agreement:
        first, second = result["pair"]
        low, high = result["range"]
        verdict = "agree" if result["max_difference"] <= AGREEMENT else "DIFFER"
        notes.append(
            f"{first} and {second} {verdict}: largest difference {result['max_difference']:.1e} "
            f"on {result['n_samples']} samples, values from {low:.2f} to {high:.2f} (allowed: {AGREEMENT:g})."
        )
    notes.append(
        "Seconds are those of a whole subject, without imports; ratios are relative to the first of each feature. "
        "Wall times "
        "depend on other load; "
        f"load average {load[0]:.1f} before and {load[1]:.1f} after."
    )
    return notes
