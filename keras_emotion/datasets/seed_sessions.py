"""Session files of SEED-IV, SEED-V and SEED-VII: MATLAB, Neuroscan `.cnt`, pickles in npz."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from keras_emotion.array_files import read_npz_array
from keras_emotion.datasets import restricted_pickle
from keras_emotion.datasets.matlab import variable_shapes
from keras_emotion.datasets.reader import group_by_trial
from keras_emotion.datasets.reader_warnings import warnings_of_readers
from keras_emotion.datasets.seed_common import CHANNEL_NAMES, Contents, contents_of, read_numbers
from keras_emotion.refusals import refusing_unreadable
from keras_emotion.schema import InputError, Recording, ReleasedFeatures
from keras_emotion.signals import resample

if TYPE_CHECKING:
    import mne

_MARGIN_SECONDS = 1.0
"""Seconds read before and after a clip, to keep filter edge effects of the resampling out of it."""

_AUTO_FORMAT_BYTES = 2e9
"""File size below which MNE infers the number of bytes per sample."""


class SessionFile:
    """Trials of a session in one file: a recording or the authors' features of each.

    Attributes:
        contents: content of the file, by its headers.
    """

    contents: Contents

    def recording(self, trial: int) -> Recording | None:
        """Read the signal of a trial; `None` for a file of features.

        Raises:
            InputError: the signal cannot be read.
        """
        return None

    def released_features(self, trial: int) -> ReleasedFeatures | None:
        """Describe the features of a trial; `None` for a file of signals."""
        return None

    def seconds(self, trial: int) -> float:
        """Return the duration of a trial in seconds, by the headers."""
        raise NotImplementedError


class MatSignals(SessionFile):
    """Signals in a MATLAB file, with one variable `(62, samples)` in microvolts per trial.

    Args:
        path: the file.
        variables: existing variable names by trial.
        expected: the trials of a complete session.
        sampling_rate_hz: sampling rate of the file.
        example: example of a valid variable name.
        initials: prefix of the variable names.
        dtype: dtype of the returned samples.
        resampled_to_hz: target sampling rate; `None`: as stored.
    """

    def __init__(
        self,
        path: Path,
        variables: Mapping[int, str],
        expected: Sequence[int],
        sampling_rate_hz: float,
        example: str,
        initials: str = "",
        dtype: type = np.float64,
        resampled_to_hz: float | None = None,
    ):
        shapes = variable_shapes(path)
        self._path, self._variables, self._rate, self._dtype = path, variables, float(sampling_rate_hz), dtype
        self._new_rate = resampled_to_hz or self._rate
        self._shapes = {trial: shapes[name] for trial, name in variables.items()}
        n_channels = len(CHANNEL_NAMES)
        faults = {
            trial: [
                f"signal of shape {shape}; expected ({n_channels}, samples), at least 1 s at {sampling_rate_hz:g} Hz; "
                "copy the file again"
            ]
            for trial, shape in self._shapes.items()
            if trial in expected and (len(shape) != 2 or shape[0] != n_channels or shape[1] < sampling_rate_hz)
        }
        self.contents = contents_of(expected, variables.keys(), faults, example, shapes, initials)

    @override
    def recording(self, trial: int) -> Recording:
        (array,) = read_numbers(self._path, (self._variables[trial],), ("channels", "samples"))
        signal: np.ndarray = np.array(array, dtype=self._dtype, order="C")
        return Recording(
            signal=signal if self._new_rate == self._rate else resample(signal, self._rate, self._new_rate),
            channel_names=CHANNEL_NAMES,
            units=("uV",) * len(CHANNEL_NAMES),
            sampling_rate_hz=self._new_rate,
            source=self._path,
        )

    @override
    def seconds(self, trial: int) -> float:
        return self._shapes[trial][1] / self._rate


class MatFeatures(SessionFile):
    """Features in a MATLAB file, with several three-axis variables per trial.

    Args:
        path: the file.
        names: feature names; variables are named by `pattern`.
        pattern: variable name with `{name}` and `{trial}`.
        axes: order of the axes in the file, a permutation of `"channels"`, `"windows"` and `"bands"`.
        numbers: number in the variable names, by trial.
        bands: band edges in Hz by name.
        window_seconds: length of a window.
        smoothed: features that the authors smoothed.
    """

    def __init__(
        self,
        path: Path,
        names: Sequence[str],
        pattern: str,
        axes: tuple[str, str, str],
        numbers: Mapping[int, int],
        bands: Mapping[str, Sequence[float]],
        window_seconds: float,
        smoothed: Sequence[str],
    ):
        shapes = variable_shapes(path)
        self._fields: dict[str, Any] = {
            "source": path,
            "names": tuple(names),
            "channel_names": CHANNEL_NAMES,
            "bands": {band: (float(low), float(high)) for band, (low, high) in bands.items()},
            "window_seconds": float(window_seconds),
            "smoothed": frozenset(smoothed),
        }
        self._path, self._pattern, self._axes, self._numbers = path, pattern, axes, numbers
        self._n_windows: dict[int, int] = {}
        sizes = {"channels": len(CHANNEL_NAMES), "bands": len(bands)}
        wanted = ", ".join(str(sizes.get(axis, axis)) for axis in axes)
        faults: dict[int, list[str]] = {}
        found = []
        for trial in numbers:
            own = {name: shapes.get(self._variable(name, trial)) for name in names}
            if not any(own.values()):
                continue
            found.append(trial)
            windows = set()
            for name, shape in own.items():
                if shape is None:
                    fault = f"missing {name}"
                elif len(shape) != 3 or any(shape[axes.index(axis)] != size for axis, size in sizes.items()):
                    fault = f"{name} of shape {shape}; expected ({wanted})"
                else:
                    windows.add(shape[axes.index("windows")])
                    continue
                faults.setdefault(trial, []).append(f"{fault}; copy the file again")
            if len(windows) > 1 or 0 in windows:
                listed = ", ".join(map(str, sorted(windows)))
                faults.setdefault(trial, []).append(
                    f"features of {listed} windows; expected equal numbers; copy it again"
                )
            self._n_windows[trial] = max(windows, default=0)
        self.contents = contents_of(list(numbers), found, faults, self._variable(names[0], min(numbers)), shapes)

    def _variable(self, name: str, trial: int) -> str:
        return self._pattern.format(name=name, trial=self._numbers[trial])

    @override
    def released_features(self, trial: int) -> ReleasedFeatures:
        variables = {name: self._variable(name, trial) for name in self._fields["names"]}
        return ReleasedFeatures(
            **self._fields, read=functools.partial(_read_feature, self._path, variables, self._axes)
        )

    @override
    def seconds(self, trial: int) -> float:
        return self._n_windows[trial] * self._fields["window_seconds"]


def _read_feature(path: Path, variables: Mapping[str, str], axes: tuple[str, str, str], name: str) -> np.ndarray:
    if name not in variables:
        raise InputError(f"{path}: unknown feature {name}; expected one of {', '.join(variables)}")
    (array,) = read_numbers(path, (variables[name],), axes)
    if not np.isfinite(array).all():
        raise InputError(f"{path}: NaN or infinite values in {variables[name]}; copy the file again")
    order = [axes.index(axis) for axis in ("windows", "channels", "bands")]
    return np.array(array.transpose(order), dtype=np.float64, order="C")


# --- Neuroscan


class CntSignals(SessionFile):
    """Signals in a Neuroscan `.cnt` file, with one segment per trial.

    Signals are float32 in microvolts (the file stores integers), of the 62 channels of SEED by name, resampled without
    aliasing.

    Args:
        path: the file.
        raw: the file as opened by MNE, without data (`open_cnt`).
        spans: `(start_seconds, stop_seconds)` in the file by trial.
        expected: the trials of a complete session.
        sampling_rate_hz: target sampling rate; `None`: as recorded.
        flaws: other findings about the file.
    """

    def __init__(
        self,
        path: Path,
        raw: mne.io.BaseRaw,
        spans: Mapping[int, tuple[float, float]],
        expected: Sequence[int],
        sampling_rate_hz: float | None,
        flaws: Sequence[str] = (),
    ):
        self._path, self._raw, self._spans = path, raw, spans
        self._file_rate = float(raw.info["sfreq"])
        self._rate = float(sampling_rate_hz or self._file_rate)
        row = {name.upper(): index for index, name in enumerate(raw.ch_names)}
        missing = [name.upper() for name in CHANNEL_NAMES if name.upper() not in row]
        self._rows = [row.get(name.upper(), -1) for name in CHANNEL_NAMES]
        lasts = raw.n_times / self._file_rate
        faults = {
            trial: [
                f"{start:g} to {stop:g} s in a recording of {lasts:.3f} s; expected at least 1 s within it; "
                "copy the file again"
            ]
            for trial, (start, stop) in spans.items()
            if not 0 <= start <= stop - 1 or stop > lasts
        }
        if missing:
            fault = (
                f"missing channel {', '.join(missing)}; expected the {len(CHANNEL_NAMES)} of SEED; copy the file again"
            )
            self.contents = Contents((), "", (fault,), ())
            return
        usable = tuple(trial for trial in expected if trial in spans and trial not in faults)
        self.contents = Contents(usable, "", group_by_trial(faults), tuple(flaws))

    @override
    def recording(self, trial: int) -> Recording:
        start, stop = self._spans[trial]
        first, last = (round(seconds * self._file_rate) for seconds in (start, stop))
        margin = round(_MARGIN_SECONDS * self._file_rate)
        from_sample = max(first - margin, 0)
        message = f"{{path}}: trial {trial}: damaged or truncated ({{reason}}); copy it again"
        with refusing_unreadable(self._path, message):
            volts = self._raw.get_data(picks=self._rows, start=from_sample, stop=min(last + margin, self._raw.n_times))
        signal = (1e6 * volts).astype(np.float32)
        n_samples = round((last - first) * self._rate / self._file_rate)
        if self._rate != self._file_rate:
            signal = resample(signal, self._file_rate, self._rate)
        lead = round((first - from_sample) * self._rate / self._file_rate)
        return Recording(
            signal=np.ascontiguousarray(signal[:, lead : lead + n_samples]),
            channel_names=CHANNEL_NAMES,
            units=("uV",) * len(CHANNEL_NAMES),
            sampling_rate_hz=self._rate,
            source=self._path,
            bad_spans=self._bad_spans(start, stop),
        )

    def _bad_spans(self, start: float, stop: float) -> tuple[tuple[float, float, str], ...]:
        """Return segments that the file itself rejects, in seconds from stimulus onset."""
        found = []
        for mark in self._raw.annotations:
            begins, ends = float(mark["onset"]), float(mark["onset"] + mark["duration"])
            if str(mark["description"]).upper().startswith("BAD") and begins < stop and ends > start and ends > begins:
                found.append((begins - start, ends - start, str(mark["description"])))
        return tuple(found)

    @override
    def seconds(self, trial: int) -> float:
        start, stop = self._spans[trial]
        return stop - start


_HARMLESS = (
    # The session and its order are given by the file name.
    r"\s*Could not parse meas date from the header",
    # The header of files of 2 GB and more cannot store the position of the events.
    r"Event table offset from header .* is larger than file size",
)


def open_cnt(path: Path) -> mne.io.BaseRaw:
    """Open a Neuroscan `.cnt` file with MNE: header and annotations, no data.

    Raises:
        InputError: the file cannot be read.
    """
    import mne

    message = "{path}: damaged Neuroscan .cnt file ({reason}); copy it again"
    with warnings_of_readers(path, harmless=_HARMLESS), refusing_unreadable(path, message):
        return mne.io.read_raw_cnt(path, data_format=_data_format(path), preload=False, verbose="WARNING")


def _data_format(path: Path) -> str:
    """Return the bytes per sample, if MNE does not infer them, by the sizes in the header and that of the file."""
    if path.stat().st_size < _AUTO_FORMAT_BYTES:
        return "auto"
    header = np.fromfile(path, np.uint8, 900)
    n_channels, n_samples = (int(header[at : at + size].view(kind)[0]) for at, size, kind in _SIZES)
    fits_int32 = path.stat().st_size >= 900 + 75 * n_channels + 4 * n_channels * n_samples
    return "int32" if fits_int32 else "int16"


_SIZES = ((370, 2, "<u2"), (864, 4, "<i4"))
"""Position, size and dtype of the numbers of channels and samples in the header."""


# --- pickles in npz


class PickledTrials:
    """Dict of arrays by trial that is pickled within an `.npz` file, as SEED-V distributes features.

    Nothing in the pickle is executed (`restricted_pickle`).

    Args:
        path: the file.
        array: name of the array that holds the bytes of the pickle.
        width: columns of each array; 0 for one-dimensional arrays.

    Raises:
        InputError: the file cannot be read, or has other content.
    """

    def __init__(self, path: Path, array: str, width: int):
        self.path = path
        self.arrays: dict[int, np.ndarray] = {}
        content = restricted_pickle.loads(stored_bytes(path, array), path)
        if not isinstance(content, dict):
            raise InputError(
                f"{path}: `{array}` is a {type(content).__name__}; expected a dict of arrays by trial; copy it again"
            )
        self.faults: dict[int, str] = {}
        for key, values in content.items():
            if not str(key).isdigit():
                raise InputError(f"{path}: `{array}` has the key {key!r}; expected trial numbers from 0; copy it again")
            values = np.asarray(values)
            shape = f"(windows, {width})" if width else "(windows,)"
            is_fitting = values.ndim == (2 if width else 1) and len(values) and (not width or values.shape[1] == width)
            if values.dtype.kind not in "fiu" or not is_fitting:
                self.faults[int(key)] = f"`{array}` is {values.dtype} {values.shape}; expected numbers of shape {shape}"
            elif not np.isfinite(values).all():
                self.faults[int(key)] = f"NaN or infinite values in `{array}`"
            self.arrays[int(key)] = values


@functools.lru_cache(maxsize=4)
def _cached_trials(path: Path, array: str, width: int, size: int, modified_ns: int) -> PickledTrials:
    return PickledTrials(path, array, width)


def pickled_trials(path: Path, array: str, width: int) -> PickledTrials:
    """Return the pickled trials of a file; those of the last few files are cached (5 MB per subject).

    Raises:
        InputError: see `PickledTrials`.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); copy it again") from None
    return _cached_trials(path, array, width, status.st_size, status.st_mtime_ns)


DAMAGED_NPZ = "{path}: damaged .npz file ({reason}); copy it again"


def stored_bytes(path: Path, array: str) -> bytes:
    """Return the bytes of a pickle that an `.npz` file stores as one zero-dimensional array.

    Raises:
        InputError: the bytes are missing or invalid.
    """
    stored = read_npz_array(path, array, DAMAGED_NPZ)
    if stored.dtype.kind not in "SV" or stored.size != 1:
        raise InputError(
            f"{path}: `{array}` is {stored.dtype} {stored.shape}; expected the bytes of a pickle; copy it again"
        )
    # NumPy strips trailing zeros as padding; a pickle ends with a dot.
    return stored.tobytes().rstrip(b"\0")


def read_pickled(path: Path, array: str, width: int, number: int) -> np.ndarray:
    """Read the array of a trial: `(windows, width)` float64.

    Raises:
        InputError: the array is missing or invalid.
    """
    trials = pickled_trials(path, array, width)
    if number not in trials.arrays:
        raise InputError(f"{path}: missing trial {number} in `{array}`; copy the file again")
    if number in trials.faults:
        raise InputError(f"{path}: trial {number}: {trials.faults[number]}; copy the file again")
    return np.array(trials.arrays[number], dtype=np.float64, order="C")


class PickledFeatures(SessionFile):
    """Differential entropies in a pickle, `(windows, 62 * 5)` per trial, bands innermost.

    Args:
        path: the `.npz` file, with the arrays `data` and `label`.
        numbers: number in the pickle by trial.
        name: name of the feature.
        bands: band edges in Hz by name.
        window_seconds: length of a window.
    """

    def __init__(
        self,
        path: Path,
        numbers: Mapping[int, int],
        name: str,
        bands: Mapping[str, Sequence[float]],
        window_seconds: float,
    ):
        self._path, self._numbers, self._name = path, numbers, name
        self._width = len(CHANNEL_NAMES) * len(bands)
        self._bands = {band: (float(low), float(high)) for band, (low, high) in bands.items()}
        self._window_seconds = float(window_seconds)
        self._stored = pickled_trials(path, "data", self._width)
        found = [trial for trial, number in numbers.items() if number in self._stored.arrays]
        faults = {
            trial: [f"{self._stored.faults[numbers[trial]]}; copy the file again"]
            for trial in found
            if numbers[trial] in self._stored.faults
        }
        keys = list(map(str, self._stored.arrays))
        self.contents = contents_of(list(numbers), found, faults, str(min(numbers.values())), keys)

    @override
    def released_features(self, trial: int) -> ReleasedFeatures:
        read = functools.partial(_read_entropies, self._path, self._name, self._width, self._numbers[trial])
        return ReleasedFeatures(
            source=self._path,
            names=(self._name,),
            channel_names=CHANNEL_NAMES,
            bands=self._bands,
            window_seconds=self._window_seconds,
            smoothed=frozenset(),
            read=read,
        )

    @override
    def seconds(self, trial: int) -> float:
        return len(self._stored.arrays[self._numbers[trial]]) * self._window_seconds


def _read_entropies(path: Path, known: str, width: int, number: int, name: str) -> np.ndarray:
    if name != known:
        raise InputError(f"{path}: unknown feature {name}; expected {known}")
    return read_pickled(path, "data", width, number).reshape(-1, len(CHANNEL_NAMES), width // len(CHANNEL_NAMES))


def pickled_labels(path: Path) -> dict[int, Any]:
    """Read the label of each trial from a file of features: one number per trial.

    Raises:
        InputError: the labels of a trial differ between its windows, or cannot be read.
    """
    stored = pickled_trials(path, "label", 0)
    labels = {}
    for number, values in stored.arrays.items():
        if number in stored.faults:
            raise InputError(f"{path}: trial {number}: {stored.faults[number]}; copy the file again")
        found = sorted(set(values.tolist()))
        if len(found) != 1 or found[0] % 1:
            raise InputError(f"{path}: trial {number} has the labels {found}; expected one class; copy the file again")
        labels[number] = int(found[0])
    return labels
