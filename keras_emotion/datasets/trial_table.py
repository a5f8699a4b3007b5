"""Parse `trials.csv`: recording, time, subject, stimulus and ratings of each trial."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_emotion.datasets.reader import Problem, SubjectId
from keras_emotion.links import ADVICE, leaves_folder, may_leave_folder
from keras_emotion.schema import SPLIT_PARTS, WINDOW_COLUMNS, InputError, is_part_of_split
from keras_emotion.tables import read_cells
from keras_emotion.visible_text import has_control_characters

TRIAL_FILE = "trials.csv"
REQUIRED_COLUMNS = ("subject", "trial", "file", "start_seconds", "stop_seconds")
OPTIONAL_COLUMNS = (
    "session",
    "presentation",
    "stimulus",
    "baseline_seconds",
    "video",
    "video_offset_seconds",
    "split",
    "recorded_together",
)

_NOT_RATED = ("", "nan", "n/a", "na")


@dataclasses.dataclass(frozen=True)
class TrialRow:
    """Valid row of the table.

    Args:
        line: line number in the file, 1 for the header.
        subject, session, trial, presentation, stimulus, ratings: as in `schema.Trial`.
        video, video_offset_seconds, split, recorded_together: as in `schema.Trial`.
        file: the recording.
        start_seconds: stimulus onset, from the first sample of the recording.
        stop_seconds: end of the trial.
        baseline_seconds: seconds before stimulus onset that belong to the trial.
    """

    line: int
    subject: SubjectId
    session: SubjectId
    trial: int
    presentation: int
    stimulus: str
    file: Path
    start_seconds: float
    stop_seconds: float
    baseline_seconds: float
    video: Path | None
    video_offset_seconds: float | None
    ratings: Mapping[str, float]
    split: str = ""
    recorded_together: str = ""

    @property
    def duration_seconds(self) -> float:
        """Seconds from stimulus onset to the end."""
        return self.stop_seconds - self.start_seconds


@dataclasses.dataclass(frozen=True)
class TrialTable:
    """Table of trials, with all of its problems.

    Args:
        path: the file.
        rows: valid rows, by subject, session and trial.
        subjects: subjects in the table, sorted.
        class_names: class names of the non-numeric ratings, in order of first occurrence.
        problems: problems of the table.
    """

    path: Path
    rows: tuple[TrialRow, ...]
    subjects: tuple[SubjectId, ...]
    class_names: Mapping[str, tuple[str, ...]]
    problems: tuple[Problem, ...]

    def of_subject(self, subject: SubjectId) -> tuple[TrialRow, ...]:
        """Return the rows of a subject, by session and trial."""
        return tuple(row for row in self.rows if row.subject == subject)

    @classmethod
    def read(cls, root: Path) -> TrialTable:
        """Read the table in a folder of recordings.

        Raises:
            InputError: the table is missing, or is not csv.
        """
        path = root / TRIAL_FILE
        if not path.is_file():
            raise InputError(
                f"{path}: missing file; expected one row per trial; `keras-emotion init-trials {root}` writes an "
                "initial one"
            )
        return _Parser(root, path, read_cells(path)).parsed()


class _Parser:
    """Parser that reads the table once and collects its problems."""

    def __init__(self, root: Path, path: Path, table: pd.DataFrame):
        self.root, self.path = root, path
        table.columns = table.columns.str.strip()
        self.table = table.apply(lambda column: column.str.strip())
        # Spreadsheets write blank lines at the end of a file, which are not trials.
        self.table = self.table[(self.table != "").any(axis=1)]
        self.problems: list[Problem] = []
        self.lines_of_faults: dict[tuple[SubjectId | None, str], list[str]] = {}
        # Ids are numbers if all of them are canonical integers, else all are strings.
        self.integer_columns = {
            name
            for name in ("subject", "session")
            if name in self.table and all(text == "" or _is_whole(text) for text in self.table[name])
        }

    def parsed(self) -> TrialTable:
        names = list(self.table.columns)
        if missing := [name for name in REQUIRED_COLUMNS if name not in names]:
            self._say(f"missing column {', '.join(missing)}; found {', '.join(names)}; check that commas separate them")
        doubles = sorted({name for name in names if names.count(name) > 1})
        # Pandas numbers duplicate column names: `valence.1`.
        doubles += [name for name in names if name.rpartition(".")[0] in names and name.rpartition(".")[2].isdecimal()]
        reserved = [
            name for name in names if name in WINDOW_COLUMNS and name not in REQUIRED_COLUMNS + OPTIONAL_COLUMNS
        ]
        if unsafe := [name for name in names if has_control_characters(name)]:
            self._say(f"column {', '.join(map(ascii, unsafe))}: control characters; expected plain text; rename it")
        if wrong := [*doubles, *reserved, *(name for name in names if not name or name.startswith("Unnamed: "))]:
            self._say(f"column {', '.join(wrong)}: expected a different name for each rating; rename it")
        if not len(self.table):
            self._say("no trials; expected one row per trial")
        ratings, class_names = self._ratings(
            [name for name in names if name not in {*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS, *wrong}]
        )
        rows = []
        for index, cells in zip(self.table.index, self.table.to_dict("records"), strict=True):
            row = self._row(int(index) + 2, cells, ratings.get(index, {}))
            if row is not None and not missing:
                rows.append(row)
        for (subject, fault), lines in self.lines_of_faults.items():
            self._say(f"line {', '.join(lines)}: {fault}", subject)
        self._check_together(rows)
        subjects = {self._id("subject", text) for text in self.table.get("subject", ()) if text}
        return TrialTable(
            path=self.path,
            rows=tuple(sorted(rows, key=lambda row: (row.subject, row.session, row.trial))),
            subjects=tuple(sorted(subjects)),
            class_names=class_names,
            problems=tuple(self.problems),
        )

    def _say(self, message: str, subject: SubjectId | None = None, is_blocking: bool = True) -> None:
        self.problems.append(Problem(self.path, message, subject, is_blocking))

    def _id(self, column: str, text: str) -> SubjectId:
        return int(text) if column in self.integer_columns else text

    # --- ratings

    def _ratings(self, names: list[str]) -> tuple[dict[int, dict[str, float]], dict[str, tuple[str, ...]]]:
        """Parse ratings by row of the table; a column without any number has class names."""
        ratings: dict[int, dict[str, float]] = {}
        class_names = {}
        for name in names:
            column = self.table[name]
            is_rated = ~column.str.lower().isin(_NOT_RATED)
            numbers = pd.to_numeric(column.where(is_rated), errors="coerce").astype(float)
            has_decimal_commas = column.str.fullmatch(r"[-+]?\d+,\d+").any()
            if is_rated.any() and numbers.isna().all() and not has_decimal_commas:
                class_names[name] = tuple(dict.fromkeys(column[is_rated]))
                # Class names become column names in tables of results.
                if unsafe := [word for word in class_names[name] if has_control_characters(word)]:
                    self._say(f"{name} is {unsafe[0]!a}: control characters; expected plain text")
                numbers = column.map({word: float(place) for place, word in enumerate(class_names[name])})
            for index in column.index[is_rated]:
                if np.isfinite(numbers[index]):
                    ratings.setdefault(index, {})[name] = float(numbers[index])
                else:
                    self._say(f"line {index + 2}: {name} is {column[index]!r}; expected a number or an empty cell")
            if not is_rated.all():
                lines = ", ".join(str(index + 2) for index in column.index[~is_rated])
                self._say(f"line {lines}: missing {name}; left out if {name} is the target", is_blocking=False)
        return ratings, class_names

    # --- single rows

    def _row(self, line: int, cells: dict[str, str], ratings: dict[str, float]) -> TrialRow | None:
        faults: list[str] = []
        subject = self._id("subject", cells["subject"]) if cells.get("subject") else None

        def number(name: str, default: Any = None, lowest: float | None = 0.0, is_whole: bool = False) -> Any:
            text = cells.get(name, "")
            if name not in cells or (text == "" and name not in REQUIRED_COLUMNS):
                return default
            try:
                value = float(text)
            except ValueError:
                value = np.nan
            if not np.isfinite(value) or (lowest is not None and value < lowest) or (is_whole and value % 1):
                wanted = "an integer of 1 or more" if is_whole else "a number" + (", 0 or more" if lowest == 0 else "")
                faults.append(f"{name} is {text!r}; expected {wanted}")
                return default
            return int(value) if is_whole else value

        for name in ("subject", "file"):
            if cells.get(name) == "":
                faults.append(f"{name} is empty")
        for name in ("file", "video"):
            path = Path(cells.get(name, ""))
            if (path.is_absolute() or leaves_folder(self.root / path, self.root)) and not may_leave_folder():
                faults.append(f"{name} is {cells[name]!r}; {ADVICE}")
        for name in ("subject", "session", "stimulus", "file", "video"):
            if re.search(r"[\t\r\n]", cells.get(name, "")):
                faults.append(f"{name} is {cells[name]!r}; expected text of one line without tabs")
        trial = number("trial", lowest=1, is_whole=True)
        start, stop = number("start_seconds"), number("stop_seconds")
        baseline = number("baseline_seconds", 0.0)
        if start is not None and stop is not None and stop <= start:
            faults.append(f"stop_seconds {stop:g} is not after start_seconds {start:g}")
        if start is not None and baseline > start:
            faults.append(f"baseline_seconds is {baseline:g}, but the recording has {start:g} s before the trial")
        video = self.root / cells["video"] if cells.get("video") else None
        row = {
            "presentation": number("presentation", -1, 1, is_whole=True),
            "video_offset_seconds": number("video_offset_seconds", lowest=None),
        }
        # pathlib would raise for invalid file names.
        if video is not None and not os.path.isfile(video) and os.path.exists(video):
            faults.append(f"video {cells['video']}: not a regular file; expected a video")
        elif video is not None and not os.path.isfile(video):
            faults.append(f"video {cells['video']}: no such file")
        if video is None and row["video_offset_seconds"] is not None:
            faults.append("video_offset_seconds without a video")
        if "split" in cells and not is_part_of_split(cells["split"]):
            faults.append(
                f"split is {cells['split']!r}; expected one of {', '.join(SPLIT_PARTS)}, or fold_1, fold_2, ..."
            )
        path = self.root / cells["file"] if cells.get("file") else None
        if path is not None and not os.path.exists(path):
            faults.append(f"file {cells['file']}: no such file")
        for fault in faults:
            self.lines_of_faults.setdefault((subject, fault), []).append(str(line))
        if faults or path is None or None in (subject, trial, start, stop):
            return None
        session = self._id("session", cells["session"] or "1") if "session" in cells else 1
        # Without stimulus names, all trials are assumed to have different stimuli.
        own_stimulus = f"{subject}_{session}_{trial}" if "session" in cells else f"{subject}_{trial}"
        return TrialRow(
            line=line,
            subject=subject,
            session=session,
            trial=trial,
            stimulus=cells.get("stimulus") or own_stimulus,
            file=path,
            start_seconds=start,
            stop_seconds=stop,
            baseline_seconds=baseline,
            video=video,
            ratings=ratings,
            split=cells.get("split", ""),
            recorded_together=cells.get("recorded_together", ""),
            **row,
        )

    # --- comparison of rows

    def _check_together(self, rows: list[TrialRow]) -> None:
        first: dict[tuple[SubjectId, SubjectId, int], TrialRow] = {}
        for row in rows:
            other = first.setdefault((row.subject, row.session, row.trial), row)
            if other is not row:
                session = f", session {row.session}" if "session" in self.table else ""
                self._say(
                    f"line {other.line} and {row.line}: duplicate trial {row.trial} of subject {row.subject}{session}",
                    row.subject,
                )
        for earlier, later in _overlaps(rows):
            self._say(
                f"line {earlier.line} and {later.line}: trials overlap in {later.file.name}: "
                f"{earlier.start_seconds:g} to {earlier.stop_seconds:g} s and "
                f"{later.start_seconds:g} to {later.stop_seconds:g} s",
                later.subject,
            )


def _overlaps(rows: list[TrialRow]) -> Iterator[tuple[TrialRow, TrialRow]]:
    """Yield pairs of trials of one file that overlap."""
    last: dict[Path, TrialRow] = {}
    for row in sorted(rows, key=lambda row: (str(row.file), row.start_seconds)):
        before = last.get(row.file)
        # Ends and starts that differ by rounding to a microsecond are the same time.
        if before is not None and row.start_seconds < before.stop_seconds - 1e-6:
            yield before, row
        if before is None or row.stop_seconds > before.stop_seconds:
            last[row.file] = row


def _is_whole(text: str) -> bool:
    return text.isdecimal() and str(int(text)) == text
