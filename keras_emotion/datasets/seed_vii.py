"""SEED-VII reader: 20 subjects, four sessions of 20 clips, EEG, eye movements, seven classes, intensity ratings."""

from __future__ import annotations

import csv
import datetime
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from keras_emotion.datasets.matlab import read_variables, variable_shapes
from keras_emotion.datasets.reader import Problem
from keras_emotion.datasets.seed_common import read_facts, read_names
from keras_emotion.datasets.seed_eye import read_features
from keras_emotion.datasets.seed_series import TARGET, SEEDSeries, Visit, checked_rate, eye_problems, parse_date
from keras_emotion.datasets.seed_sessions import CntSignals, MatFeatures, MatSignals, SessionFile, open_cnt
from keras_emotion.refusals import refusing_unreadable
from keras_emotion.schema import ContinuousRating, EyeMovements, InputError

FACTS: dict[str, Any] = read_facts("seed_vii")
"""Counts, labels, folders and codes of SEED-VII (`facts/seed_vii.json`); `notes` lists what is not verified."""

EYE_FEATURE_NAMES = read_names("seed_eye_features")
"""The 33 eye features in column order, as in the authors' code; `x` and `y` are left and right.

The first eight are smoothed over the trial, the next 16 are of one window, the last nine of the whole trial."""

INTENSITY = "intensity"
"""Continuous rating: intensity of the clip's target emotion, from 0 to 1."""

_RECORDING = re.compile(r"(\d+)_(\d{8})_(\d)\.cnt", re.IGNORECASE)
_SUBJECT = re.compile(r"(\d+)\.mat")


class SEEDVII(SEEDSeries):
    """Reader of SEED-VII: signals or the authors' features, eye movements, and continuous intensity ratings.

    See `SEEDSeries` for trials, sessions and labels. There are 80 different clips, 20 in each session, of five of the
    seven classes. Labels come from `emotion_label_and_stimuli_order.xlsx` and are compared with the facts (a published
    benchmark has three wrong clips in session 1). `Trial.split` is the fold of the usual cross-validation: clips 1 to
    5, 6 to 10, 11 to 15 and 16 to 20 of every session.

    **Signals**, float32 in microvolts: `"preprocessed"` are the authors' own at 200 Hz, filtered to 0.1-70 Hz without
    mains interference; `"raw"` are the recordings at 1000 Hz, without M1, M2, ECG, HEO and VEO and unfiltered. A clip
    lasts from one annotation of the recording to the next; the first 40 annotations are used. Two recordings have no
    usable annotations: their times come from `save_info/{name}_trigger_info.csv` (1: start, 2: stop).

    **Features** (`"features"`): `de_LDS` (smoothed over the trial), `de` and `psd`, each `(windows, 62, 5)`, in windows
    of 4 s.

    **Eye movements**: 33 features in the same windows; the entropies of the pupils are smoothed over the trial and the
    last nine features are of the whole trial.

    **Intensity** (`Trial.continuous_ratings["intensity"]`): a value for each window of 4 s, assigned to its middle.

    Args:
        root: folder with `EEG_preprocessed` (`{subject}.mat`), `EEG_raw` (`{subject}_{yyyymmdd}_{session}.cnt`) or
            `EEG_features` (`{subject}.mat`), or one of these itself.
        file_format: `"preprocessed"`, `"raw"` or `"features"`; by default the first that exists.
        sampling_rate_hz: target sampling rate, without aliasing; `None`: as stored.

    Raises:
        InputError: `root` contains no such files.
        ValueError: `file_format` is invalid, or the rate is not above 0.

    References:
        Jiang, Liu, Zheng and Lu, "SEED-VII: A Multimodal Dataset of Six Basic Emotions with Continuous Labels for
        Emotion Recognition", IEEE Transactions on Affective Computing, 2024.
    """

    name = "seed_vii"
    title = "SEED-VII"
    facts = FACTS
    signal_formats = ("preprocessed", "raw")
    example = "1.mat or 1_20221001_1.cnt"
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
        n_sessions = self._parameters.get("n_sessions", FACTS["n_sessions"])
        visits: dict[int, list[Visit]] = {}
        for path in sorted(folder.iterdir()):
            match = (_RECORDING if file_format == "raw" else _SUBJECT).fullmatch(path.name)
            if match is None:
                continue
            if file_format == "raw":
                date = parse_date(match[2])
                sessions = [int(match[3])] if date else []
            else:
                sessions, date = list(range(1, n_sessions + 1)), None
            for session in sessions:
                if 1 <= session <= FACTS["n_sessions"]:
                    visits.setdefault(int(match[1]), []).append(Visit(session, path, date))
        return {
            subject: tuple(sorted(own, key=lambda visit: (visit.number, visit.path))) for subject, own in visits.items()
        }

    def _open(self, subject: int, visit: Visit) -> SessionFile:
        numbers = self._trial_numbers
        clips = {number: self._clip(visit, number) for number in numbers}
        if self.file_format == "features":
            return MatFeatures(
                visit.path,
                FACTS["feature_names"],
                "{name}_{trial}",
                ("windows", "bands", "channels"),
                clips,
                FACTS["bands"],
                FACTS["window_seconds"],
                FACTS["smoothed_features"],
            )
        if self.file_format == "preprocessed":
            there = variable_shapes(visit.path)
            variables = {number: str(clip) for number, clip in clips.items() if str(clip) in there}
            rate = FACTS["preprocessed_rate_hz"]
            return MatSignals(
                visit.path,
                variables,
                numbers,
                rate,
                str(min(clips.values())),
                dtype=np.float32,
                resampled_to_hz=self.sampling_rate_hz,
            )
        raw = open_cnt(visit.path)
        spans, flaws = self._spans(visit, [float(onset) for onset in raw.annotations.onset])
        if raw.info["sfreq"] != FACTS["sampling_rate_hz"]:
            flaws.append(
                f"{raw.info['sfreq']:g} Hz; expected {FACTS['sampling_rate_hz']} Hz; check that it is the original file"
            )
        return CntSignals(visit.path, raw, spans, numbers, self.sampling_rate_hz, flaws)

    def missing_files(self) -> tuple[Problem, ...]:
        """Return files of the folder with unrecognised names."""
        known = {visit.path for visits in self._visits.values() for visit in visits}
        suffix = ".cnt" if self.file_format == "raw" else ".mat"
        message = f"not read; expected a name like {self.example}"
        return tuple(
            Problem(path, message, is_blocking=False)
            for path in sorted(self._files_folder.iterdir())
            if path.suffix.lower() == suffix and path not in known
        )

    # --- start and stop of clips in a recording

    def _trigger_path(self, visit: Visit) -> Path | None:
        """Return the trigger table of a recording with unusable annotations."""
        if self.file_format != "raw" or visit.path.stem not in FACTS["recording_starts"]:
            return None
        folder = self._folder("triggers") or self._home / FACTS["folders"]["triggers"][0]
        return folder / f"{visit.path.stem}_trigger_info.csv"

    def _spans(self, visit: Visit, onsets: Sequence[float]) -> tuple[dict[int, tuple[float, float]], list[str]]:
        """Return start and stop of each clip in seconds, and inconsistencies."""
        n_trials, table = FACTS["n_trials"], self._trigger_path(visit)
        flaws: list[str] = []
        if table is not None:
            return _spans_of_triggers(table, FACTS["recording_starts"][visit.path.stem]), flaws
        if len(onsets) < 2 * n_trials:
            raise InputError(
                f"{visit.path}: {len(onsets)} annotations; expected {2 * n_trials}, start and stop of {n_trials} "
                "clips; copy the file again"
            )
        if len(onsets) > 2 * n_trials:
            flaws.append(f"{len(onsets)} annotations; the first {2 * n_trials} are read")
        pairs = zip(onsets[0 : 2 * n_trials : 2], onsets[1 : 2 * n_trials : 2], strict=True)
        return dict(enumerate(pairs, 1)), flaws

    def _files_of_visit(self, subject: int, visit: Visit) -> tuple[Path, ...]:
        return tuple(filter(None, (self._trigger_path(visit), self._file("continuous_labels", subject))))

    # --- intensity and eye movements

    def _file(self, kind: str, subject: int) -> Path | None:
        folder = self._folder(kind)
        path = folder and folder / f"{subject}.mat"
        return path if path and path.is_file() else None

    def _continuous(self, subject: int, visit: Visit, trial: int) -> dict[str, ContinuousRating]:
        path = self._file("continuous_labels", subject)
        clip = str(self._clip(visit, trial))
        if path is None or clip not in _names_in(path):
            return {}
        values = read_variables(path, (clip,))[clip]
        low, high = FACTS["intensity_range"]
        if values.dtype.kind not in "fiu" or values.ndim != 2 or 1 not in values.shape:
            raise InputError(f"{path}: `{clip}` is {values.dtype} {values.shape}; expected a list of intensities")
        values = values.ravel().astype(np.float64)
        known = values[~np.isnan(values)]
        if ((known < low) | (known > high)).any():
            raise InputError(
                f"{path}: `{clip}` has intensities from {known.min():g} to {known.max():g}; expected {low} to {high}"
            )
        times = (np.arange(len(values)) + 0.5) * FACTS["window_seconds"]
        return {INTENSITY: ContinuousRating(times, values, (float(low), float(high)))}

    @override
    def eye_files(self, subject: int) -> tuple[Path, ...]:
        (subject,) = self.select([subject])
        path = self._file("eye_features", subject)
        return () if path is None else (path,)

    def _eye(self, subject: int, visit: Visit, trial: int) -> EyeMovements | None:
        path = self._file("eye_features", subject)
        if path is None:
            return None
        clip, n_features = self._clip(visit, trial), len(EYE_FEATURE_NAMES)
        return EyeMovements(
            sources=(path,),
            feature_names=EYE_FEATURE_NAMES,
            window_seconds=float(FACTS["window_seconds"]),
            is_smoothed=True,
            read_features=functools.partial(read_features, path, clip, n_features, features_first=False),
        )

    def _eye_problems(self, subject: int, visit: Visit) -> list[Problem]:
        problems = []
        kinds = {"eye_features": "eye features", "continuous_labels": "intensities"}
        for kind, what in kinds.items():
            folder = self._folder(kind)
            if folder is not None and self._file(kind, subject) is None and visit == self._visits[subject][0]:
                path = folder / f"{subject}.mat"
                problems.append(Problem(path, f"missing file; the {what} of this subject are not read", subject, False))
        movements = {number: self._eye(subject, visit, number) for number in self._trial_numbers}
        return [*problems, *eye_problems(subject, movements), *self._intensity_problems(subject, visit)]

    def _intensity_problems(self, subject: int, visit: Visit) -> Iterator[Problem]:
        path = self._file("continuous_labels", subject)
        try:
            names = () if path is None else _names_in(path)
        except InputError:
            # Reported with the trials.
            return
        clips = [self._clip(visit, number) for number in self._trial_numbers]
        missing = [str(clip) for clip in clips if str(clip) not in names]
        if path is not None and missing:
            yield Problem(path, f"missing intensity of clip {', '.join(missing)}", subject, False)


def _names_in(path: Path) -> frozenset[str]:
    return frozenset(variable_shapes(path))


def _spans_of_triggers(path: Path, recording_start: str) -> dict[int, tuple[float, float]]:
    """Read start and stop of each clip, in seconds from the start of the recording, from a trigger table.

    Raises:
        InputError: the table is missing, or has incomplete pairs.
    """
    codes, n_trials = FACTS["trigger_codes"], FACTS["n_trials"]
    begins = datetime.datetime.fromisoformat(recording_start)
    message = (
        "{path}: missing or damaged ({reason}); expected rows of event and date with time, which replace the "
        "annotations of the recording; copy it again"
    )
    with refusing_unreadable(path, message):
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
        events = [(row[0].strip(), datetime.datetime.fromisoformat(row[1].strip())) for row in rows]
    wanted = [str(codes["start"]), str(codes["stop"])] * n_trials
    own = [event for event in events if event[0] in wanted]
    if [code for code, _ in own] != wanted:
        raise InputError(
            f"{path}: events {', '.join(code for code, _ in own[:6])}, ... ({len(own)}); expected {n_trials} times "
            f"{codes['start']} and {codes['stop']} alternately; copy it again"
        )
    seconds = [(time - begins).total_seconds() for _, time in own]
    return dict(enumerate(zip(seconds[::2], seconds[1::2], strict=True), 1))
