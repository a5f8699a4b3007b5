"""Parse single files of FACED: names, preprocessed signals, released features, self-ratings and tables."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from keras_emotion.datasets import restricted_pickle
from keras_emotion.datasets.matlab import read_variables
from keras_emotion.datasets.reader import read_marker
from keras_emotion.datasets.spreadsheet import read_first_sheet
from keras_emotion.refusals import refusing_unreadable
from keras_emotion.schema import InputError
from keras_emotion.tables import read_text_table

_FACTS = Path(__file__).parent / "facts"
FACTS: dict[str, Any] = json.loads((_FACTS / "faced.json").read_text(encoding="utf-8"))
"""Counts, rates, orders and file names of FACED (`facts/faced.json`); `notes` lists what is not verified."""


def _rows(name: str) -> list[dict[str, str]]:
    with (_FACTS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


CHANNELS = _rows("faced_channels.csv")
"""Rows of the channel table: name, kind, unit, and the label in the recordings of both batches."""

SCALP: tuple[str, ...] = tuple(row["name"] for row in CHANNELS if row["kind"] == "eeg")
"""The 30 scalp channels that all recordings have, in order."""

FileFormat = Literal["processed", "raw", "features"]
FILE_FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)

ChannelOrder = Literal["second_batch", "first_batch"]
CHANNEL_ORDERS: tuple[ChannelOrder, ...] = get_args(ChannelOrder)

ITEMS: tuple[str, ...] = tuple(FACTS["remarks"]["items"])
"""Items of the self-rating, in file order."""

VIDEOS = range(1, FACTS["n_videos"] + 1)
FEATURE_NAMES: tuple[str, ...] = tuple(FACTS["features"]["names"])

_PICKLE = re.compile(r"sub(\d{3})\.pkl(?:\.pkl)?")
_FOLDER = re.compile(r"sub(\d{3})")


@dataclasses.dataclass(frozen=True)
class Video:
    """Video stimulus: target emotion class, valence sign and duration."""

    emotion: str
    valence: str
    seconds: float


VIDEO_FACTS: Mapping[int, Video] = {
    int(row["video"]): Video(row["emotion"], row["targeted_valence"], float(row["seconds"]))
    for row in _rows("faced_videos.csv")
}
"""Known properties of each video, by index."""


# --- file names


def find_files(root: Path, file_format: FileFormat) -> dict[int, tuple[Path, ...]]:
    """Return the files of each subject in a format; empty if there are none.

    Args:
        root: folder of the data, or its subfolder of the format.
        file_format: `"processed"`: the pickle; `"features"`: the existing pickles in the order of `FEATURE_NAMES`;
            `"raw"`: recording and events, existing or not.
    """
    name = FACTS["folders"][file_format][0]
    folder = root / name if (root / name).is_dir() else root
    if file_format == "raw":
        files = [FACTS["raw"][kind] for kind in ("recording", "events")]
        own = {path: _FOLDER.fullmatch(path.name) for path in folder.iterdir() if path.is_dir()}
        found = {int(match[1]): path for path, match in own.items() if match and any(path.glob("*.bdf"))}
        return {subject: tuple(found[subject] / file for file in files) for subject in sorted(found)}
    if file_format == "processed":
        pickles = _pickles(folder)
        return {subject: (pickles[subject],) for subject in sorted(pickles)}
    by_name = [_pickles(folder / feature) for feature in FEATURE_NAMES if (folder / feature).is_dir()]
    subjects = sorted({subject for pickles in by_name for subject in pickles})
    return {subject: tuple(one[subject] for one in by_name if subject in one) for subject in subjects}


def _pickles(folder: Path) -> dict[int, Path]:
    matches = {path: _PICKLE.fullmatch(path.name) for path in sorted(folder.iterdir())}
    return {int(match[1]): path for path, match in matches.items() if match}


# --- arrays


def read_processed(path: Path) -> np.ndarray:
    """Read the preprocessed signals of a subject: `(videos, channels, samples)`, a view of the file's bytes.

    Raises:
        InputError: the file cannot be read, or has other content.
    """
    facts = FACTS["processed"]
    return _array(path, (len(VIDEOS), facts["n_channels"], facts["n_samples"]))


def read_feature(path: Path, video: int, rows: Sequence[int]) -> np.ndarray:
    """Read the released features of a video: `(windows, channels, bands)` float64.

    Args:
        path: the file.
        video: index of the video.
        rows: rows of the wanted channels, in order.

    Raises:
        InputError: the file cannot be read, or has values that are not finite.
    """
    array = read_features(path)[video - 1][list(rows)]
    if not np.isfinite(array).all():
        raise InputError(f"{path}: video {video}: NaN or infinite values; copy the file again")
    return np.array(array.transpose(1, 0, 2), dtype=np.float64, order="C")


def read_features(path: Path) -> np.ndarray:
    """Read the released features of a subject: `(videos, channels, windows, bands)`.

    Raises:
        InputError: the file cannot be read, or has other content.
    """
    facts = FACTS["features"]
    return _array(path, (len(VIDEOS), FACTS["processed"]["n_channels"], facts["n_windows"], len(facts["bands"])))


def _array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    array = restricted_pickle.read(path)
    is_array = isinstance(array, np.ndarray)
    if not is_array or array.dtype.kind != "f" or array.shape != shape:
        found = f"{array.dtype} {array.shape}" if is_array else f"a {type(array).__name__}"
        raise InputError(f"{path}: found {found}; expected an array of numbers of shape {shape}; copy the file again")
    return array


# --- self-ratings


@dataclasses.dataclass(frozen=True)
class Remark:
    """Self-rating of a video: position of presentation (1 for the first), and the scores of `ITEMS`."""

    presentation: int
    scores: tuple[float, ...]


def remarks_file(root: Path, subject: int) -> Path | None:
    """Return the file of a subject's self-ratings, in the recording's folder or elsewhere; `None` if missing."""
    name, own = FACTS["raw"]["remarks"], f"sub{subject:03d}"
    folders = [root / folder for kind in ("raw", "remarks") for folder in FACTS["folders"][kind]]
    return next((path for folder in (*folders, root) if (path := folder / own / name).is_file()), None)


def read_remarks(path: Path) -> dict[int, Remark]:
    """Read a subject's self-ratings by the index of the video; rows are in the order of presentation.

    Raises:
        InputError: the file cannot be read, or has other content.
    """
    facts, (low, high) = FACTS["remarks"], FACTS["rating_range"]
    rows = read_variables(path, (facts["variable"],)).get(facts["variable"])
    fields = ("score", "trial", "vid")
    if rows is None or rows.dtype.names is None or not set(fields) <= set(rows.dtype.names):
        raise InputError(
            f"{path}: missing struct `{facts['variable']}` with the fields {', '.join(fields)}; copy the file again"
        )
    found: dict[int, Remark] = {}
    for place, row in enumerate(rows.ravel(), 1):
        score, trial, video = (np.asarray(row[field]) for field in fields)
        is_whole = score.size == len(ITEMS) and trial.size == video.size == 1
        numbers = [values for values in (score, trial, video) if values.dtype.kind in "fiu"]
        if not is_whole or len(numbers) < len(fields) or video.item() not in VIDEOS or trial.item() not in VIDEOS:
            raise InputError(
                f"{path}: row {place}: score of {score.size} values, trial {trial.ravel()}, vid {video.ravel()}; "
                f"expected {len(ITEMS)} values, and numbers from 1 to {VIDEOS[-1]}; copy the file again"
            )
        if not ((score >= low) & (score <= high)).all():
            raise InputError(
                f"{path}: row {place}: scores {score.min():g} to {score.max():g}; expected {low} to {high}"
            )
        if int(video.item()) in found or int(trial.item()) in {remark.presentation for remark in found.values()}:
            raise InputError(f"{path}: row {place}: trial or vid occurs twice; copy the file again")
        found[int(video.item())] = Remark(int(trial.item()), tuple(map(float, score.ravel())))
    return found


# --- tables


def stimuli_differences(path: Path) -> list[str]:
    """Compare the table of videos with `VIDEO_FACTS`; empty if there are no differences.

    Raises:
        InputError: the file cannot be read, or lacks a column.
    """
    columns = FACTS["stimuli_columns"]
    rows = read_first_sheet(path)
    # Brackets are full-width characters in the file; ASCII brackets are also accepted.
    header = [str(cell or "").strip().replace("(", "（").replace(")", "）") for cell in (rows[0] if rows else ())]
    if missing := [name for name in columns if name not in header]:
        raise InputError(f"{path}: missing column {', '.join(missing)}; copy it again")
    index, seconds, emotion = (header.index(columns[place]) for place in (0, 1, 5))
    found: dict[int, str] = {}
    for row in rows[1:]:
        cells: list[Any] = [*row, *[None] * (len(header) - len(row))]
        if not str(cells[index] or "").strip().isdigit():
            # The rows after the videos are notes.
            break
        video = int(cells[index])
        if video not in VIDEO_FACTS:
            raise InputError(f"{path}: video {video}; expected 1 to {VIDEOS[-1]}; copy it again")
        known = VIDEO_FACTS[video]
        named = str(cells[emotion] or "").strip().lower().replace("\\", "neutral")
        lasts = cells[seconds]
        differs = [f"target emotion {named!r}, expected {known.emotion}"] if named != known.emotion else []
        if isinstance(lasts, (int, float)) and abs(lasts - known.seconds) > 1.5:
            differs.append(f"duration of {lasts:g} s, expected {known.seconds:g} s")
        found[video] = " and ".join(differs)
    lines = [f"video {video}: {differs}" for video, differs in found.items() if differs]
    if missing_videos := sorted(set(VIDEO_FACTS) - set(found)):
        lines.append(f"missing video {', '.join(map(str, missing_videos))}")
    return lines


def read_recording_info(path: Path) -> dict[int, dict[str, str]]:
    """Read the table of recordings: `Gender`, `Age`, `Sample_rate` and `Unit` by subject, as texts.

    Raises:
        InputError: the file cannot be read, or lacks a column.
    """
    columns = FACTS["recording_info_columns"]
    with refusing_unreadable(path, f"{{path}}: expected a csv with the columns {', '.join(columns)} ({{reason}})"):
        table = read_text_table(path, encoding="utf-8-sig", dtype=str, keep_default_na=False)
    if missing := [name for name in columns if name not in table]:
        raise InputError(f"{path}: missing column {', '.join(missing)}; copy it again")
    matches = table["sub"].str.strip().str.fullmatch(_FOLDER)
    if not matches.all():
        line = int(np.flatnonzero(~matches)[0])
        raise InputError(f"{path}: line {line + 2}: sub is {table['sub'][line]!r}; expected a name like sub000")
    numbers = table["sub"].str.strip().str.removeprefix("sub").astype(int)
    return {int(number): row for number, row in zip(numbers, table[columns[1:]].to_dict("records"), strict=True)}


def read_parameters(path: Path) -> dict[str, Any]:
    """Read the parameters of a synthetic copy; empty if there is no file, or that of another dataset.

    Returns:
        Among others `subjects`, and `clip_seconds`, the duration of every clip of a recording.

    Raises:
        InputError: the file lacks parameters.
    """
    parameters = read_marker(path, "faced")
    if not parameters:
        return {}
    subjects, seconds = parameters.get("subjects"), parameters.get("clip_seconds")
    if not isinstance(subjects, list) or type(seconds) is not int or not all(type(one) is int for one in subjects):
        raise InputError(
            f"{path}: `subjects` is {subjects!r} and `clip_seconds` {seconds!r}; expected a list and a number; write "
            "the data again"
        )
    return parameters


def in_ranges(subject: int, ranges: Sequence[Sequence[int]]) -> bool:
    """Return whether a subject is in any of the ranges, ends included.

    Example:
        >>> in_ranges(5, [[0, 3], [5, 5]])
        True
    """
    return any(first <= subject <= last for first, last, *_ in ranges)
