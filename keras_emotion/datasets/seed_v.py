"""SEED-V reader: 16 public subjects, three sessions of 15 film clips, EEG, eye movements, five emotion classes."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from keras_emotion.datasets.reader import Problem
from keras_emotion.datasets.seed_common import differences, read_facts, read_names
from keras_emotion.datasets.seed_series import TARGET, SEEDSeries, Visit, checked_rate, eye_problems, parse_date
from keras_emotion.datasets.seed_sessions import (
    CntSignals,
    PickledFeatures,
    SessionFile,
    open_cnt,
    pickled_labels,
    read_pickled,
)
from keras_emotion.schema import EyeMovements

FACTS: dict[str, Any] = read_facts("seed_v")
"""Counts, labels, clip times and folders of SEED-V (`facts/seed_v.json`); `notes` lists what is not verified."""

EYE_FEATURE_NAMES = read_names("seed_eye_features")
"""The 33 eye features in the order of SEED-VII's code, which is not verified for SEED-V."""

_RECORDING = re.compile(r"(\d+)_(\d)_(\d{8})\.cnt", re.IGNORECASE)
_FEATURES = re.compile(r"(\d+)_([1-9]+)\.npz")


class SEEDV(SEEDSeries):
    """Reader of SEED-V: Neuroscan recordings or the authors' differential entropies, and eye movements.

    See `SEEDSeries` for trials, sessions and labels. There are 45 different clips, 15 in each session; the session in
    the name of a recording is the set of clips, which may differ from the order of the visits. Labels come from
    `emotion_label_and_stimuli_order.xlsx` and are compared with the facts and with those in the feature files.
    `Trial.split` is the fold of the usual cross-validation: clips 1 to 5, 6 to 10 and 11 to 15 of every session, each
    with one clip of every class.

    **Signals** (`"raw"`): `(62, samples)` float32 in microvolts, without M1, M2, VEO and HEO, segmented by the times
    that the authors publish, resampled from 1000 Hz without aliasing (one public loader takes every fifth sample),
    otherwise unfiltered.

    **Features** (`"features"`): `de`, `(windows, 62, 5)`, in windows of 4 s, from pickles that are read without
    executing anything. Whether the authors smoothed them is unknown.

    **Eye movements**: 33 features in the same windows.

    Args:
        root: folder with `EEG_raw` (`{subject}_{session}_{yyyymmdd}.cnt`) or `EEG_DE_features` (`{subject}_123.npz`),
            or one of these itself.
        file_format: `"raw"` or `"features"`; by default the first that exists.
        sampling_rate_hz: target sampling rate of signals; `None`: as recorded.

    Raises:
        InputError: `root` contains no such files.
        ValueError: `file_format` is invalid, or the rate is not above 0.

    References:
        Liu, Qiu, Zheng and Lu, "Comparing Recognition Performance and Robustness of Multimodal Deep Learning Models for
        Multimodal Emotion Recognition", IEEE Transactions on Cognitive and Developmental Systems 14(2), 2022.
    """

    name = "seed_v"
    title = "SEED-V"
    facts = FACTS
    signal_formats = ("raw",)
    example = "1_1_20180804.cnt or 1_123.npz"
    class_names: ClassVar[Mapping[str, tuple[str, ...]]] = {TARGET: tuple(FACTS["class_names"])}
    usual_protocols: ClassVar[tuple[str, ...]] = ("predefined_split", "subject_disjoint")

    def __init__(self, root: str | Path, file_format: str | None = None, *, sampling_rate_hz: float | None = 200.0):
        super().__init__(root, file_format)
        self.sampling_rate_hz = checked_rate(sampling_rate_hz)

    @property
    @override
    def options(self) -> dict[str, Any]:
        return {"sampling_rate_hz": self.sampling_rate_hz}

    def _find_visits(self, folder: Path, file_format: str) -> dict[int, tuple[Visit, ...]]:
        visits: dict[int, list[Visit]] = {}
        for path in sorted(folder.iterdir()):
            match = (_FEATURES if file_format == "features" else _RECORDING).fullmatch(path.name)
            if match is None:
                continue
            if file_format == "features":
                sessions, date = [int(digit) for digit in match[2]], None
            else:
                date = parse_date(match[3])
                sessions = [int(match[2])] if date else []
            for session in sessions:
                if session <= FACTS["n_sessions"]:
                    visits.setdefault(int(match[1]), []).append(Visit(session, path, date))
        return {
            subject: tuple(sorted(own, key=lambda visit: (visit.number, visit.path))) for subject, own in visits.items()
        }

    def _open(self, subject: int, visit: Visit) -> SessionFile:
        numbers = self._trial_numbers
        if self.file_format == "features":
            keys = {number: self._clip(visit, number) - 1 for number in numbers}
            (name,) = FACTS["feature_names"]
            file = PickledFeatures(visit.path, keys, name, FACTS["bands"], FACTS["window_seconds"])
            if fault := self._label_fault(visit, keys):
                file.contents = dataclasses.replace(file.contents, faults=(*file.contents.faults, fault))
            return file
        spans = self._parameters.get("clip_spans", FACTS["clip_spans"])[visit.number - 1]
        raw = open_cnt(visit.path)
        flaws = []
        if raw.info["sfreq"] != FACTS["sampling_rate_hz"]:
            flaws.append(
                f"{raw.info['sfreq']:g} Hz; expected {FACTS['sampling_rate_hz']} Hz; check that it is the original file"
            )
        of_trials = {trial: (float(start), float(stop)) for trial, (start, stop) in enumerate(spans, 1)}
        return CntSignals(visit.path, raw, of_trials, numbers, self.sampling_rate_hz, flaws)

    def _label_fault(self, visit: Visit, keys: Mapping[int, int]) -> str:
        """Return labels in the feature file that differ from those of the clips."""
        found = pickled_labels(visit.path)
        there = [number for number in keys if keys[number] in found]
        own = [found[keys[number]] for number in there]
        wrong = differences(own, [self._labels[visit.number - 1][number - 1] for number in there])
        source = self._label_path.name if self.label_table is not None else f"the known facts of {self.title}"
        return f"session {visit.number}: labels differ from {source}: {wrong}; copy both again" if wrong else ""

    def missing_files(self) -> tuple[Problem, ...]:
        """Return files of the folder with unrecognised names."""
        known = {visit.path for visits in self._visits.values() for visit in visits}
        message = f"not read; expected a name like {self.example}"
        suffixes = (".npz",) if self.file_format == "features" else (".cnt",)
        return tuple(
            Problem(path, message, is_blocking=False)
            for path in sorted(self._files_folder.iterdir())
            if path.suffix.lower() in suffixes and path not in known
        )

    @override
    def notes(self, subjects: Sequence[int] | None = None) -> list[str]:
        notes = super().notes(subjects)
        if self.file_format == "features":
            notes.append("it is unknown whether the authors smoothed the differential entropies over a trial")
        if self._folder("eye_features") is not None:
            notes.append("it is unknown whether the authors smoothed the eye features over a trial")
        return notes

    # --- eye movements

    @override
    def eye_files(self, subject: int) -> tuple[Path, ...]:
        (subject,) = self.select([subject])
        found = (self._eye_path(subject, visit) for visit in self._visits[subject])
        return tuple(dict.fromkeys(path for path in found if path is not None))

    @functools.cached_property
    def _eye_paths(self) -> dict[tuple[int, int], Path]:
        """Files of eye features by subject and session."""
        folder = self._folder("eye_features")
        matches = [(_FEATURES.fullmatch(path.name), path) for path in sorted(folder.iterdir())] if folder else []
        return {(int(match[1]), int(digit)): path for match, path in matches if match for digit in match[2]}

    def _eye_path(self, subject: int, visit: Visit) -> Path | None:
        return self._eye_paths.get((subject, visit.number))

    def _eye(self, subject: int, visit: Visit, trial: int) -> EyeMovements | None:
        path = self._eye_path(subject, visit)
        if path is None:
            return None
        key, n_features = self._clip(visit, trial) - 1, len(EYE_FEATURE_NAMES)
        return EyeMovements(
            sources=(path,),
            feature_names=EYE_FEATURE_NAMES,
            window_seconds=float(FACTS["window_seconds"]),
            read_features=functools.partial(read_pickled, path, "data", n_features, key),
        )

    def _eye_problems(self, subject: int, visit: Visit) -> list[Problem]:
        folder = self._folder("eye_features")
        if folder is not None and self._eye_path(subject, visit) is None:
            message = f"subject {subject}: missing eye features of session {visit.number}"
            return [Problem(folder, message, subject, False)]
        return eye_problems(subject, {number: self._eye(subject, visit, number) for number in self._trial_numbers})
