"""SEED-IV reader: 15 subjects, three sessions of 24 film clips each, EEG, eye movements, four emotion classes."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from keras_emotion.datasets.matlab import variable_shapes
from keras_emotion.datasets.reader import Problem
from keras_emotion.datasets.seed_common import Contents, describe_several_subjects, read_facts, read_names
from keras_emotion.datasets.seed_eye import read_events, read_features
from keras_emotion.datasets.seed_series import TARGET, SEEDSeries, Visit, eye_problems, parse_date
from keras_emotion.datasets.seed_sessions import MatFeatures, MatSignals, SessionFile
from keras_emotion.schema import EyeMovements, InputError

FACTS: dict[str, Any] = read_facts("seed_iv")
"""Counts, labels, dates and folders of SEED-IV (`facts/seed_iv.json`); `notes` lists what is not verified."""

EYE_FEATURE_NAMES = read_names("seed_iv_eye_features")
"""The 31 eye features in file order. Only their groups are known, not the single features."""

_FILE_NAME = re.compile(r"(\d+)_(\d{8})\.mat")
_SIGNAL_VARIABLE = re.compile(r"([A-Za-z]+)_eeg(\d+)")
_LABELS = re.compile(r"session\s*(\d)\s*_?label\s*=\s*\[([^\]]*)\]", re.IGNORECASE)


class SEEDIV(SEEDSeries):
    """Reader of SEED-IV: raw signals or the authors' features, and eye movements.

    See `SEEDSeries` for trials, sessions and labels. There are 72 different clips, 24 in each session. Labels are read
    from `ReadMe.txt` (`session1_label = [1,2,...];`) and compared with the facts; if it is missing, the facts are used,
    with a note.

    **Signals** (`"raw"`): `(62, samples)` float64 in microvolts (the unit is not stated; assumed as for SEED), 200 Hz,
    without baseline. The durations of the clips are not published: `describe` compares signals with the windows of
    `eeg_feature_smooth`.

    **Features** (`"features"`): `de_movingAve`, `de_LDS`, `psd_movingAve` and `psd_LDS`, each `(windows, 62, 5)`, in
    windows of 4 s. All of them were smoothed over the whole trial by the authors.

    **Eye movements** (`Trial.eye_movements`): the 31 features of `eye_feature_smooth`, `(windows, 31)`, smoothed like
    those of the EEG; and the events of `eye_raw_data`, which have durations and amplitudes but no times.

    Args:
        root: folder with `eeg_raw_data` or `eeg_feature_smooth`, or one of these itself; files are named
            `{session}/{subject}_{yyyymmdd}.mat`. `eye_raw_data` may or may not have session folders.
        file_format: `"raw"` or `"features"`; by default the first that exists.

    Raises:
        InputError: `root` contains no such files.
        ValueError: `file_format` is invalid.

    Example:
        >>> from keras_emotion.datasets import SEEDIV
        >>> for trial in SEEDIV("SEED-IV").trials(subjects=[1]):  # doctest: +SKIP
        ...     print(trial.session, trial.stimulus, trial.eye_movements.read_features().shape)

    References:
        Zheng, Liu, Lu, Lu and Cichocki, "EmotionMeter: A Multimodal Framework for Recognizing Human Emotions", IEEE
        Transactions on Cybernetics 49(3), 2019.
    """

    name = "seed_iv"
    title = "SEED-IV"
    facts = FACTS
    signal_formats = ("raw",)
    example = "1/1_20160518.mat"
    class_names: ClassVar[Mapping[str, tuple[str, ...]]] = {TARGET: tuple(FACTS["class_names"])}
    usual_protocols: ClassVar[tuple[str, ...]] = ("within_session", "subject_disjoint")

    def _find_visits(self, folder: Path, file_format: str) -> dict[int, tuple[Visit, ...]]:
        visits: dict[int, list[Visit]] = {}
        for session in range(1, FACTS["n_sessions"] + 1):
            for path in sorted((folder / str(session)).glob("*.mat")):
                match = _FILE_NAME.fullmatch(path.name)
                if match is not None and (date := parse_date(match[2])) is not None:
                    visits.setdefault(int(match[1]), []).append(Visit(session, path, date))
        return {subject: tuple(own) for subject, own in visits.items()}

    def _open(self, subject: int, visit: Visit) -> SessionFile:
        numbers = self._trial_numbers
        if self.file_format == "features":
            names = FACTS["feature_names"]
            return MatFeatures(
                visit.path,
                names,
                "{name}{trial}",
                ("channels", "windows", "bands"),
                {number: number for number in numbers},
                FACTS["bands"],
                FACTS["window_seconds"],
                names,
            )
        matches = [match for name in variable_shapes(visit.path) if (match := _SIGNAL_VARIABLE.fullmatch(name))]
        of_persons: dict[str, list[int]] = {}
        for match in matches:
            of_persons.setdefault(match[1], []).append(int(match[2]))
        if fault := describe_several_subjects(of_persons):
            file = SessionFile()
            file.contents = Contents((), min(of_persons), (fault,), ())
            return file
        variables = {int(match[2]): match[0] for match in matches}
        initials = "".join(of_persons)
        return MatSignals(visit.path, variables, numbers, FACTS["sampling_rate_hz"], "cz_eeg1", initials)

    def missing_files(self) -> tuple[Problem, ...]:
        """Return files of the folder with unrecognised names, and a missing `ReadMe.txt`."""
        problems = []
        if self.label_table is None:
            message = f"missing file; labels are taken from the known facts of {self.title}; copy it into the root"
            problems.append(Problem(self._label_path, message, is_blocking=False))
        known = {visit.path for visits in self._visits.values() for visit in visits}
        for path in sorted(self._files_folder.rglob("*.mat")):
            if path not in known:
                message = f"not read; expected a name like {self.example} (session, subject and date)"
                problems.append(Problem(path, message, is_blocking=False))
        return tuple(problems)

    # --- labels

    @property
    def _label_path(self) -> Path:
        wanted = FACTS["label_file"]
        same = (path for path in sorted(self._home.iterdir()) if path.name.lower() == wanted.lower())
        return next(same, self._home / wanted)

    def _labels_of_table(self, path: Path) -> list[list[int]]:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); copy it again") from None
        found = {int(session): re.findall(r"\d+", numbers) for session, numbers in _LABELS.findall(text)}
        labels = [list(map(int, found.get(session, ()))) for session in range(1, FACTS["n_sessions"] + 1)]
        codes = range(len(FACTS["class_names"]))
        for session, own in enumerate(labels, 1):
            if len(own) != FACTS["n_trials"] or not set(own) <= set(codes):
                raise InputError(
                    f"{path}: `session{session}_label` is {own or 'missing'}; expected {FACTS['n_trials']} numbers "
                    f"from 0 to {codes[-1]}; copy it again"
                )
        return labels

    # --- eye movements

    @override
    def eye_files(self, subject: int) -> tuple[Path, ...]:
        (subject,) = self.select([subject])
        files = []
        for visit in self._visits[subject]:
            features, events = self._eye_paths(visit)
            files += [*([features] if features else []), *events.values()]
        return tuple(dict.fromkeys(files))

    def _eye_paths(self, visit: Visit) -> tuple[Path | None, Mapping[str, Path]]:
        """Return the file of eye features of a session, and the existing event files by kind."""
        features, raw = self._folder("eye_features"), self._folder("eye_events")
        path = features and features / str(visit.number) / visit.path.name
        places = [] if raw is None else [raw, raw / str(visit.number)]
        names = {kind: f"{visit.path.stem}_{kind}.mat" for kind in FACTS["eye_events"]}
        events = {
            kind: found
            for kind, name in names.items()
            if (found := next((place / name for place in places if (place / name).is_file()), None))
        }
        return (path if path and path.is_file() else None), events

    def _eye(self, subject: int, visit: Visit, trial: int) -> EyeMovements | None:
        features, events = self._eye_paths(visit)
        has_events = len(events) == len(FACTS["eye_events"])
        if features is None and not has_events:
            return None
        n_features = len(EYE_FEATURE_NAMES)
        read = functools.partial(read_features, features, trial, n_features, features_first=True) if features else None
        return EyeMovements(
            sources=(*([features] if features else []), *(events.values() if has_events else ())),
            feature_names=EYE_FEATURE_NAMES if features else (),
            window_seconds=float(FACTS["window_seconds"]) if features else 0.0,
            is_smoothed=features is not None,
            read_features=read,
            read_events=functools.partial(read_events, events, trial, FACTS["eye_events"]) if has_events else None,
        )

    def _eye_problems(self, subject: int, visit: Visit) -> list[Problem]:
        features, events = self._eye_paths(visit)
        problems = []
        folder, raw = self._folder("eye_features"), self._folder("eye_events")
        if folder is not None and features is None:
            path = folder / str(visit.number) / visit.path.name
            problems.append(
                Problem(path, "missing file; the eye features of this session are not read", subject, False)
            )
        if raw is not None and len(events) < len(FACTS["eye_events"]):
            missing = ", ".join(kind for kind in FACTS["eye_events"] if kind not in events)
            message = f"{visit.path.stem}: missing file of {missing}; the events of this session are not read"
            problems.append(Problem(raw, message, subject, False))
        return problems + eye_problems(subject, {n: self._eye(subject, visit, n) for n in self._trial_numbers})
