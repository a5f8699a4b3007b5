"""Write the features of a dataset as arrays for other libraries: `X`, `y`, `groups` and names in an .npz file."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_emotion.datasets import Reader
from keras_emotion.datasets.reader import SubjectId
from keras_emotion.experiment.runner import compute_part
from keras_emotion.files import remove_leftovers, sync_file, temporary_path
from keras_emotion.pipelines import (
    ChannelEntropies,
    FeaturePart,
    OfficialFeatures,
    RawSignals,
    StoredFeatures,
    StudyChannels,
)
from keras_emotion.pipelines.features import UNUSABLE
from keras_emotion.pipelines.study_channels import ChannelChoice
from keras_emotion.schema import WINDOW_COLUMNS, InputError
from keras_emotion.systems.settings import Runtime

_WINDOWS_AT_A_TIME = 1024

_GROUPS = {
    "subject": ("subject",),
    "session": ("subject", "session"),
    "trial": ("subject", "session", "trial"),
    "stimulus": ("stimulus",),
}
"""Columns of the window table that identify each kind of group: sessions and trials are numbered within subjects."""


@dataclasses.dataclass(frozen=True)
class FeatureKind:
    """Kind of features that can be written as one array.

    Args:
        make_part: the part, from the length of a window and the hop between windows (seconds; `None`: no overlap),
            and whether the baseline before the stimulus is subtracted.
        array: name of the array of the part.
        axes: names of the axes of the array.
    """

    make_part: Callable[[float, float | None, bool], FeaturePart]
    array: str
    axes: tuple[str, ...]


def _entropies(window_seconds: float, hop_seconds: float | None, subtract_baseline: bool) -> FeaturePart:
    baseline = "signal" if subtract_baseline else "none"
    return ChannelEntropies(window_seconds=window_seconds, hop_seconds=hop_seconds, baseline=baseline)


def _raw(channels: str) -> Callable[[float, float | None, bool], FeaturePart]:
    def make_part(window_seconds: float, hop_seconds: float | None, subtract_baseline: bool) -> FeaturePart:
        baseline = "segments" if subtract_baseline else "none"
        return RawSignals(
            window_seconds=window_seconds,
            hop_seconds=hop_seconds,
            channels=channels,
            baseline=baseline,
            sampling_rate_hz=None,
        )

    return make_part


def _official(window_seconds: float, hop_seconds: float | None, subtract_baseline: bool) -> FeaturePart:
    if subtract_baseline:
        raise ValueError("subtract_baseline: features distributed with a dataset have no baseline; leave it out")
    return OfficialFeatures(window_seconds=window_seconds, hop_seconds=hop_seconds)


FEATURE_KINDS: Mapping[str, FeatureKind] = {
    "de": FeatureKind(_entropies, "entropy", ("windows", "channels", "bands")),
    "raw": FeatureKind(_raw("eeg"), "bio", ("windows", "samples", "channels")),
    "raw_all": FeatureKind(_raw("all"), "bio", ("windows", "samples", "channels")),
    "official": FeatureKind(_official, "eeg", ("windows", "steps", "channels", "bands")),
}
"""Features by their name on the command line: differential entropies, the EEG, all channels of the recording, and the
features distributed by the authors of the dataset."""


@dataclasses.dataclass(frozen=True)
class FeatureTable:
    """Description of a written feature file.

    Args:
        path: the file.
        shape: shape of `X`.
        axes: names of its axes.
        targets: names of the columns of `y`.
        n_subjects: number of subjects.
        n_trials: number of trials.
        notes: windows that were left out, missing channels and missing ratings, one sentence each.
        synthetic: whether the data are synthetic.
    """

    path: Path
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    targets: tuple[str, ...]
    n_subjects: int
    n_trials: int
    notes: tuple[str, ...]
    synthetic: bool


def write_feature_table(
    output: Path,
    kind: str,
    dataset: Reader,
    subjects: Sequence[SubjectId] = (),
    *,
    window_seconds: float | None = None,
    hop_seconds: float | None = None,
    subtract_baseline: bool = False,
    study_channels: ChannelChoice = "union",
    runtime: Runtime | None = None,
    overwrite: bool = False,
) -> FeatureTable:
    """Compute the features of a dataset, and write them to an .npz file for `numpy.load(..., allow_pickle=False)`.

    | array | content |
    |---|---|
    | `X` | `(windows, ...)` float32; `X_axes` names its axes; NaN where a recording lacks a channel |
    | `y` | `(windows, ratings)` float64, `y_names`; NaN where a trial has no such rating |
    | `groups` | structured, `(windows,)`: `groups["subject"]`, `["session"]`, `["trial"]`, `["stimulus"]` |
    | `start_seconds`, `stop_seconds` | `(windows,)` from the onset of the stimulus |
    | `channel_names`, `channel_units` | in the order of the channels of `X` |
    | `band_names`, `band_edges_hz` | in the order of the bands of `X`, `(bands, 2)`; empty without bands |
    | `sampling_rate_hz` | of the signals from which `X` was computed; NaN if none |
    | `class_names@<rating>` | names of the classes of a rating that is a class index |
    | `description` | JSON: dataset, whether it is synthetic, and the parameters of the features |

    Each column of `groups` is an argument `groups` of scikit-learn's splitters: trials and sessions have unique names
    over all subjects, a stimulus the same name for every subject. Subjects are written one after another: memory holds
    a thousand windows and the tables of all subjects.

    Args:
        output: the file; its folder is created.
        kind: a name in `FEATURE_KINDS`.
        dataset: a reader (see `keras_emotion.datasets`).
        subjects: ids of the subjects; default: all.
        window_seconds: length of a window; `None`: 1 s, or that of the features in the files.
        hop_seconds: time between consecutive window starts in seconds; `None`: no overlap.
        subtract_baseline: whether the mean waveform before the stimulus is subtracted from the signals.
        study_channels: `"union"`: all channels that any recording has; `"intersection"`: those that all have.
        runtime: workers and feature store.
        overwrite: whether an existing file is replaced.

    Raises:
        InputError: the file exists or cannot be written, the data cannot be used, or no window is left.

    Example:
        >>> data = np.load("X.npz")  # doctest: +SKIP
        >>> high = data["y"][:, list(data["y_names"]).index("valence")] > 5  # doctest: +SKIP
        >>> folds = GroupKFold(5).split(data["X"], high, groups=data["groups"]["subject"])  # doctest: +SKIP
    """
    if kind not in FEATURE_KINDS:
        raise InputError(f"features {kind!r}: unknown; expected one of {', '.join(FEATURE_KINDS)}")
    if output.suffix != ".npz":
        raise InputError(f"{output}: not the name of an .npz file; give a name that ends with .npz")
    if output.exists() and not overwrite:
        raise InputError(f"{output}: exists already; give another name, or --overwrite to replace it")
    features = FEATURE_KINDS[kind]
    try:
        part = features.make_part(1.0 if window_seconds is None else window_seconds, hop_seconds, subtract_baseline)
    except ValueError as error:
        raise InputError(f"features {kind!r}: {error}") from None
    dataset = dataset.for_sources(part.sources)
    subjects = tuple(subjects or dataset.subjects)
    if window_seconds is None and isinstance(part, OfficialFeatures):
        released = next(iter(dataset.trials(subjects[:1]))).released_features
        part = part if released is None else part.fitted_to(released)
    folders = compute_part(part, dataset, subjects, runtime or Runtime())
    stored = {subject: StoredFeatures.open(folder) for subject, folder in folders.items()}
    own_channels = {subject: one.channels for subject, one in stored.items() if one.channels is not None}
    study = StudyChannels.of(own_channels, study_channels) if own_channels else None
    if study is not None:
        stored = {subject: one.of_study(part, study.channels) for subject, one in stored.items()}
    arrays = {subject: one.arrays[features.array] for subject, one in stored.items()}
    shape = _common_shape(arrays)
    tables = {subject: one.table for subject, one in stored.items()}
    rows = {subject: _usable_rows(table) for subject, table in tables.items()}
    first = next(iter(dataset.trials(subjects[:1])))
    notes = [*part.flags(first), *_left_out_notes(tables), *(_channel_notes(study) if study is not None else ())]
    table = pd.concat([tables[subject].iloc[rows[subject]] for subject in subjects], ignore_index=True)
    if not len(table):
        raise InputError(f"{dataset.root}: no window can be used: {'; '.join(notes)}")
    targets = tuple(name for name in table.columns[len(WINDOW_COLUMNS) :] if name not in (UNUSABLE, "split"))
    y = table[list(targets)].to_numpy(dtype=float)
    notes += [
        f"{name}: no rating in {n} of {len(y)} windows (NaN in y)"
        for name, n in zip(targets, np.isnan(y).sum(axis=0), strict=True)
        if n
    ]
    groups = _groups(table)
    released, recording = first.released_features, first.recording
    bands = part.frequency_bands if released is None else released.bands
    description = {"dataset": dataset.name, "synthetic": bool(dataset.synthetic), "features": part.key()}
    others: dict[str, np.ndarray] = {
        "X_axes": np.array(features.axes),
        "y": y,
        "y_names": np.array(targets, dtype=str),
        "groups": groups,
        "start_seconds": table["start_seconds"].to_numpy(dtype=float),
        "stop_seconds": table["stop_seconds"].to_numpy(dtype=float),
        "channel_names": np.array(study.channels.names if study else (), dtype=str),
        "channel_units": np.array(study.channels.units if study else (), dtype=str),
        "band_names": np.array(tuple(bands), dtype=str),
        "band_edges_hz": np.array(tuple(bands.values()), dtype=float).reshape(-1, 2),
        "sampling_rate_hz": np.array(np.nan if recording is None else recording.sampling_rate_hz),
        "description": np.array(json.dumps(description)),
    }
    others |= {f"class_names@{name}": np.array(names) for name, names in dataset.class_names.items() if name in targets}
    chunks = (chunk for subject in subjects for chunk in _chunks(arrays[subject], rows[subject]))
    _write(output, (len(table), *shape), chunks, others)
    n_trials = len(np.unique(groups["trial"]))
    return FeatureTable(
        output,
        (len(table), *shape),
        features.axes,
        targets,
        len(subjects),
        n_trials,
        tuple(notes),
        bool(dataset.synthetic),
    )


def _common_shape(arrays: Mapping[SubjectId, Any]) -> tuple[int, ...]:
    """Return the shape of a window."""
    (first, reference), *others = arrays.items()
    for subject, array in others:
        if array.shape[1:] != reference.shape[1:]:
            raise InputError(
                f"a window of subject {first} has the shape {reference.shape[1:]}, one of subject {subject} "
                f"{array.shape[1:]}; expected recordings with one sampling rate; give --sampling-rate-hz"
            )
    return reference.shape[1:]


def _usable_rows(table: pd.DataFrame) -> np.ndarray:
    return np.flatnonzero(table[UNUSABLE] == "") if UNUSABLE in table else np.arange(len(table))


def _left_out_notes(tables: Mapping[SubjectId, pd.DataFrame]) -> Iterator[str]:
    for subject, table in tables.items():
        reasons = table[UNUSABLE][table[UNUSABLE] != ""] if UNUSABLE in table else table.iloc[:0, 0]
        for reason, number in reasons.value_counts().items():
            yield f"subject {subject}: {number} of {len(table)} windows left out: {reason}"


def _channel_notes(study: StudyChannels) -> Iterator[str]:
    for subject, missing in study.missing.items():
        yield f"subject {subject}: channels missing in {max(missing.values())} windows (NaN in X): {', '.join(missing)}"
    for subject, names in study.left_out.items():
        yield f"subject {subject}: channels left out, because some recordings lack them: {', '.join(names)}"


def _groups(table: pd.DataFrame) -> np.ndarray:
    columns = {}
    for name, keys in _GROUPS.items():
        texts = [table[key].astype(str) for key in keys]
        columns[name] = texts[0].str.cat(texts[1:], sep="/").to_numpy(dtype=str)
    groups = np.empty(len(table), dtype=[(name, values.dtype) for name, values in columns.items()])
    for name, values in columns.items():
        groups[name] = values
    return groups


def _chunks(array: Any, rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), _WINDOWS_AT_A_TIME):
        yield np.ascontiguousarray(array[rows[start : start + _WINDOWS_AT_A_TIME]], dtype="<f4")


def _write(
    output: Path, shape: tuple[int, ...], chunks: Iterator[np.ndarray], others: Mapping[str, np.ndarray]
) -> None:
    """Write the file completely or not at all; `X` is written chunk by chunk."""
    temporary = temporary_path(output.parent)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(output.parent)
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as file:
            with file.open("X.npy", "w", force_zip64=True) as member:
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)
                for chunk in chunks:
                    member.write(chunk.data)
            for name, array in others.items():
                with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
        sync_file(temporary)
        os.replace(temporary, output)
    except OSError as error:
        raise InputError(f"{output}: cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
