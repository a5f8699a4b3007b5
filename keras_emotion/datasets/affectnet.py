"""AffectNet: faces from the web, one image each, with an expression, valence, arousal and 68 landmarks."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import pandas as pd

from keras_emotion.array_files import parse_npy
from keras_emotion.datasets.reader import Problem, Reader, SubjectReport, as_problem, describe_trial
from keras_emotion.schema import ImageSequence, InputError, Trial
from keras_emotion.tables import refuse_long_heading

FACTS: dict[str, Any] = json.loads((Path(__file__).parent / "facts" / "affectnet.json").read_text(encoding="utf-8"))
"""Classes, ranges, names of columns and of folders of AffectNet (`facts/affectnet.json`)."""

EXPRESSIONS: tuple[str, ...] = tuple(FACTS["class_names"])

FileFormat = Literal["lists", "arrays"]
FILE_FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)

_N_COORDINATES = 2 * FACTS["n_landmarks"]
_CHUNK_ROWS = 4096
"""Rows that are in memory at a time: a row of a list is more than a kilobyte of text, most of it landmarks."""
_LARGEST_ARRAY_BYTES = 2**20
"""An annotation has a few numbers: what is larger is none, and is not read."""
_N_NAMED = 5
"""So many rows are named in one line; of the rest it gives the number."""

_EXCLUDED = {name: int(code) for code, name in FACTS["excluded_expressions"].items()}
_SKIPPED = {
    "fields": "not one field for each column of the header",
    "path": "path of the image is missing or leads out of the folder of images",
    "annotation": "annotation file (_exp, _val, _aro or _lnd) is missing",
    "array": "annotation file is damaged, or holds Python objects, which are never loaded",
    "number": "expression, valence, arousal or face width is no number",
    "class": f"expression is no whole number from 0 to {max(_EXCLUDED.values())}",
    **{name: f"expression is {code} ({name})" for name, code in _EXCLUDED.items()},
    "face": "face width is negative: no face was found",
    "missing": "image is missing; copy the images again",
    "empty": "image is empty; copy the images again",
    "landmarks": f"landmarks are not {FACTS['n_landmarks']} pairs of finite numbers",
}
"""Why a row is skipped. A row counts once, under the first of these that holds."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Rows:
    """Some rows of a list, usable or not.

    Args:
        table: by row number (1-based): `image`, the path below the folder of images; `expression`, `valence` and
            `arousal`, float, NaN where there is no number.
        landmarks: `(rows, 68, 2)` float32, NaN where a row is not used.
        fault: `(rows,)` key of `_SKIPPED`, or `""`.
    """

    table: pd.DataFrame
    landmarks: np.ndarray
    fault: np.ndarray


class AffectNet(Reader):
    """A folder of AffectNet, of either generation: csv lists, or one small array a value (not verified).

    One image is one trial. **Persons are unknown**: nobody says who is in an image, or whether two show the same
    person. What stands for subjects are the two lists, `"training"` and `"validation"`, as far as they are there, and
    no split of AffectNet is known to be independent of the person.

    `Trial.trial` is the number of the row in its list (1-based, the header not counted, so the line of the file less
    one) or, in the new generation, the number in the image's name plus one; either stays what it is when other images
    are missing. `Trial.stimulus` is the path of the image, below the folder of images (lists) or below `root`
    (arrays). There is no recording and no video, only `Trial.images`: one file, at 0 s, with its 68 landmarks in
    pixels of the image as it is on disk.

    Ratings: `expression`, the index in `class_names["expression"]`, and `valence` and `arousal`, -1 to 1. One of the
    two that is -2 or otherwise out of range is no rating: it is left out, the image is not.

    Rows that cannot be used are listed, one line a kind with the first few row numbers, and skipped; they do not
    block: an expression of none, uncertain or non-face (8 to 10), a negative face width, an image that is missing or
    empty, values that are no numbers, landmarks that are not 68 pairs. A list without one usable row does block.

    A description of the whole data set has an entry for each of some 300,000 images: on the command line, ask for it
    with `--brief`.

    **Deviations**: the face boxes of the lists are read for their sign alone: crops come from the landmarks, as in the
    other data sets of faces. A folder with `images/` and `annotations/` of its own, and without `train_set/` and
    `val_set/`, counts as training unless it is itself named `val_set`.

    Args:
        root: old generation: folder that holds `Manually_Annotated_file_lists/{training,validation}.csv` (or the csv
            files themselves) and `Manually_Annotated_Images/<folder>/<file>`, in it or one folder below (or the
            numbered folders themselves). New generation: folder that holds `train_set/` and `val_set/`, or one of
            these, each with `images/0.jpg` and `annotations/0_exp.npy`, `0_val.npy`, `0_aro.npy`, `0_lnd.npy` (as
            far as public loaders show; not verified).
        file_format: `"lists"` (old) or `"arrays"` (new); by default the first that is there, in this order.

    Raises:
        InputError: `root` holds neither, or not `file_format`.
        ValueError: `file_format` is neither of the two.

    Example:
        >>> from keras_emotion.datasets import AffectNet
        >>> for trial in AffectNet("AffectNet").trials(["validation"]):  # doctest: +SKIP
        ...     print(trial.stimulus, trial.ratings, trial.images.landmarks.shape)

    References:
        Mollahosseini et al., "AffectNet: A Database for Facial Expression, Valence, and Arousal Computing in the
        Wild", IEEE Transactions on Affective Computing 10(1), 2019.
    """

    name = "affectnet"
    class_names: ClassVar[Mapping[str, tuple[str, ...]]] = {"expression": EXPRESSIONS}

    def __init__(self, root: str | Path, file_format: FileFormat | None = None):
        super().__init__(root)
        if file_format is not None and file_format not in FILE_FORMATS:
            raise ValueError(f"`file_format` is {file_format!r}; expected one of {FILE_FORMATS}")
        for candidate in FILE_FORMATS if file_format is None else (file_format,):
            marker = "" if candidate == "lists" else "annotations"
            expected = self._expected(candidate)
            self._places = {subject: place for subject, place in expected.items() if (place / marker).exists()}
            if self._places:
                break
        else:
            kind = "" if file_format is None else f" in the form of {file_format}"
            raise InputError(
                f"{self.root}: holds nothing of AffectNet{kind}; expected {FACTS['list_folder']}/training.csv beside "
                f"{FACTS['image_folder']}/, or train_set/images/ and train_set/annotations/"
            )
        self.file_format: FileFormat = candidate
        self.image_folder = self._find_image_folder() if candidate == "lists" else self.root

    def _expected(self, file_format: FileFormat) -> dict[str, Path]:
        """Where each list is, or would be: a csv file (lists) or a folder of images and annotations (arrays)."""
        if file_format == "lists":
            folder = self.root / FACTS["list_folder"]
            folder = folder if folder.is_dir() else self.root
            return {subject: folder / file_name for subject, file_name in FACTS["lists"].items()}
        places = {subject: self.root / folder_name for subject, folder_name in FACTS["sets"].items()}
        if not any(place.is_dir() for place in places.values()):
            names = {folder_name: subject for subject, folder_name in FACTS["sets"].items()}
            places[names.get(self.root.resolve().name, "training")] = self.root
        return places

    def _find_image_folder(self) -> Path:
        candidates = [self.root, *sorted(path for path in self.root.iterdir() if path.is_dir())]
        folders = [folder / FACTS["image_folder"] for folder in candidates]
        return next((folder for folder in folders if folder.is_dir()), self.root)

    @property
    def subjects(self) -> tuple[str, ...]:
        """The lists that are there, of `"training"` and `"validation"`: persons are unknown."""
        return tuple(self._places)

    def source_files(self, subject: str) -> tuple[Path, ...]:
        """The list, or the arrays of the images that are used.

        Not the images: to read a hundred gigabytes takes longer than a run. The annotations name the images.
        """
        (subject,) = self.select([subject])
        if self.file_format == "lists":
            return (self._places[subject],)
        return tuple(
            path
            for rows in self._rows(subject)
            for image in rows.table["image"][rows.fault == ""]
            for path in _annotations(self.image_folder / image).values()
        )

    def missing_files(self) -> tuple[Problem, ...]:
        """A list that is not there."""
        return tuple(
            Problem(place, f"missing: the {subject} images cannot be used; copy it", subject, False)
            for subject, place in self._expected(self.file_format).items()
            if subject not in self._places
        )

    def trials(self, subjects: Sequence[str] | None = None) -> Iterator[Trial]:
        """The images of some lists (default: all), in the order of their rows; see `Reader.trials`.

        A few thousand rows are in memory at a time. Images are neither opened nor decoded.
        """
        for subject in self.select(subjects):
            found = False
            for rows in self._rows(subject):
                for trial in self._usable(subject, rows):
                    found = True
                    yield trial
            if not found:
                raise InputError(str(self._unusable(subject)))

    def inspect(self, subject: str) -> SubjectReport:
        """Reads all of one list, and whether its images are there; see `Reader.inspect`."""
        (subject,) = self.select([subject])
        place = self._places[subject]
        problems: list[Problem] = []
        trials: list[dict[str, Any]] = []
        numbers: dict[str, list[int]] = {reason: [] for reason in _SKIPPED}
        unrated: list[int] = []
        try:
            for rows in self._rows(subject):
                for reason in np.unique(rows.fault[rows.fault != ""]):
                    numbers[reason] += rows.table.index[rows.fault == reason].tolist()
                is_unrated = ~_in_range(rows.table[["valence", "arousal"]]).all(axis=1) & (rows.fault == "")
                unrated += rows.table.index[is_unrated].tolist()
                trials += map(describe_trial, self._usable(subject, rows))
        except InputError as error:
            problems.append(as_problem(error, subject, place))
        else:
            lines = [f"{self._some(found)}: {_SKIPPED[reason]}; skipped" for reason, found in numbers.items() if found]
            if unrated:
                low, high = FACTS["rating_range"]
                lines.append(f"{self._some(unrated)}: valence or arousal is not from {low} to {high}; rating left out")
            problems += [Problem(place, line, subject, False) for line in lines]
            if not trials:
                problems.append(self._unusable(subject))
        return SubjectReport({"subject": subject, "file": str(place), "trials": trials}, tuple(problems))

    def _unusable(self, subject: str) -> Problem:
        return Problem(
            self._places[subject],
            f"no usable image in the {subject} list; expected images in {self.image_folder} with their annotations; "
            "`keras-emotion describe` lists why each was skipped",
            subject,
        )

    def _some(self, numbers: Sequence[int]) -> str:
        """How many rows, and the numbers of the first few. Rows of arrays are named as their images are, from 0."""
        noun, offset = ("row", 0) if self.file_format == "lists" else ("image", 1)
        named = ", ".join(str(number - offset) for number in numbers[:_N_NAMED])
        more = ", ..." if len(numbers) > _N_NAMED else ""
        return f"{len(numbers)} {noun}{'s' * (len(numbers) > 1)} ({named}{more})"

    # --- rows

    def _usable(self, subject: str, rows: _Rows) -> Iterator[Trial]:
        is_used = rows.fault == ""
        table = rows.table[is_used]
        is_rated = _in_range(table[["valence", "arousal"]])
        columns = (table.index, table["image"], table["expression"], table["valence"], table["arousal"])
        values = zip(*(column.tolist() for column in columns), is_rated.tolist(), rows.landmarks[is_used], strict=True)
        for number, image, expression, valence, arousal, (has_valence, has_arousal), landmarks in values:
            ratings = {"expression": expression}
            ratings |= {"valence": valence} if has_valence else {}
            ratings |= {"arousal": arousal} if has_arousal else {}
            yield Trial(
                dataset=self.name,
                subject=subject,
                trial=number,
                stimulus=image,
                recording=None,
                eeg_channel_names=(),
                ratings=ratings,
                images=ImageSequence(
                    files=(self.image_folder / image,),
                    times_seconds=np.zeros(1),
                    ratings={target: np.array([rating]) for target, rating in ratings.items()},
                    # A copy: a view would keep the landmarks of thousands of rows alive.
                    landmarks=landmarks[np.newaxis].copy(),
                ),
            )

    def _rows(self, subject: str) -> Iterator[_Rows]:
        return self._list_rows(subject) if self.file_format == "lists" else self._array_rows(subject)

    # --- the old generation: lists

    def _list_rows(self, subject: str) -> Iterator[_Rows]:
        """The rows of a csv list.

        Lines are cut here and not by `pandas.read_csv`: it would stop at a line with too many fields, or skip it and
        number the rows behind it anew.
        """
        path = self._places[subject]
        try:
            refuse_long_heading(path)
            with path.open(encoding="utf-8-sig", errors="replace") as file:
                header = [name.strip().strip('"') for name in file.readline().split(",")]
                if missing := [column for column in FACTS["list_columns"] if header.count(column) != 1]:
                    raise InputError(
                        f"{path}: no column {', '.join(missing)} in the first line, or several; "
                        f"expected a csv with the columns {', '.join(FACTS['list_columns'])}; copy it again"
                    )
                first = 1
                while lines := list(itertools.islice(file, _CHUNK_ROWS)):
                    text = pd.Series(lines, index=range(first, first + len(lines)), dtype=object)
                    first += len(lines)
                    text = text.str.replace('"', "", regex=False).str.strip()
                    text = text[text != ""]
                    if len(text):
                        yield self._parse(text, header)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); copy it again") from None

    def _parse(self, text: pd.Series, header: Sequence[str]) -> _Rows:
        """Lines of a list, by their row number, as rows."""
        cells = text.str.split(",", expand=True).reindex(columns=range(len(header)), fill_value="").fillna("")
        cells = cells.set_axis(header, axis=1)
        image = cells["subDirectory_filePath"].str.strip()
        columns = ["expression", "valence", "arousal", "face_width"]
        numbers = cells[columns].apply(pd.to_numeric, errors="coerce").astype(float)
        fault = _first_that_holds(
            {
                "fields": text.str.count(",") != len(header) - 1,
                # A list is a stranger's file: it must not make the reader open what is not an image of the data set.
                "path": image.str.contains(r"^$|^/|^[A-Za-z]:|\\|(?:^|/)\.\.(?:/|$)|[\x00-\x1f]", regex=True),
                "number": numbers.isna().any(axis=1),
                **_expression_faults(numbers["expression"]),
                "face": numbers["face_width"] < 0,
            }
        )
        for index in np.flatnonzero(fault == ""):
            fault[index] = _image_fault(self.image_folder / image.iloc[index])
        landmarks = _parse_landmarks(cells["facial_landmarks"])
        fault[(fault == "") & np.isnan(landmarks).any(axis=(1, 2))] = "landmarks"
        return _Rows(numbers[columns[:3]].assign(image=image), landmarks, fault)

    # --- the new generation: arrays

    def _array_rows(self, subject: str) -> Iterator[_Rows]:
        """The images of a set, and those that have an annotation alone, in the order of their numbers."""
        place = self._places[subject]
        images = self._numbered_images(place)
        folder = place / "annotations"
        names = (re.fullmatch(r"([0-9]{1,9})_[a-z]+\.npy", path.name) for path in folder.iterdir())
        for stem in sorted({match[1] for match in names if match}):
            images.setdefault(int(stem), place / "images" / f"{stem}.jpg")
        numbers = sorted(images)
        for start in range(0, len(numbers), _CHUNK_ROWS):
            chunk = numbers[start : start + _CHUNK_ROWS]
            values = np.full((len(chunk), 3), np.nan)
            landmarks = np.full((len(chunk), FACTS["n_landmarks"], 2), np.nan, dtype=np.float32)
            file_faults = np.full(len(chunk), "", dtype=object)
            image_faults = np.full(len(chunk), "", dtype=object)
            for index, number in enumerate(chunk):
                image_faults[index] = _image_fault(images[number])
                try:
                    arrays = {key: _read_array(path) for key, path in _annotations(images[number]).items()}
                except FileNotFoundError:
                    file_faults[index] = "annotation"
                    continue
                except (ValueError, OSError, EOFError, MemoryError):
                    file_faults[index] = "array"
                    continue
                values[index] = [_as_number(arrays[key]) for key in ("exp", "val", "aro")]
                landmarks[index] = _as_landmarks(arrays["lnd"])
            fault = _first_that_holds(
                {
                    **{reason: file_faults == reason for reason in ("annotation", "array")},
                    "number": np.isnan(values).any(axis=1),
                    **_expression_faults(values[:, 0]),
                    **{reason: image_faults == reason for reason in ("missing", "empty")},
                    "landmarks": np.isnan(landmarks).any(axis=(1, 2)),
                }
            )
            table = pd.DataFrame(values, columns=["expression", "valence", "arousal"], index=np.array(chunk) + 1)
            paths = [images[number].relative_to(self.root).as_posix() for number in chunk]
            yield _Rows(table.assign(image=paths), landmarks, fault)

    def _numbered_images(self, place: Path) -> dict[int, Path]:
        folder = place / "images"
        images: dict[int, Path] = {}
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.suffix.lower() not in FACTS["image_suffixes"] or not re.fullmatch(r"[0-9]{1,9}", path.stem):
                continue
            number = int(path.stem)
            if number in images:
                raise InputError(f"{place}: two images of number {number}: {images[number].name} and {path.name}")
            images[number] = path
        return images


def _first_that_holds(conditions: Mapping[str, Any]) -> np.ndarray:
    """For each row the key of the first condition that holds, `""` where none does."""
    keys = np.array(["", *conditions], dtype=object)
    masks = [np.asarray(condition, dtype=bool) for condition in conditions.values()]
    return keys[np.select(masks, list(range(1, len(keys))), 0)]


def _expression_faults(expression: Any) -> dict[str, Any]:
    known = [*range(len(EXPRESSIONS)), *_EXCLUDED.values()]
    return {"class": ~np.isin(expression, known), **{name: expression == code for name, code in _EXCLUDED.items()}}


def _in_range(ratings: pd.DataFrame) -> np.ndarray:
    low, high = FACTS["rating_range"]
    values = ratings.to_numpy(float)
    return (values >= low) & (values <= high)


def _image_fault(path: Path) -> str:
    """Key of what is wrong with an image as a file, `""` where nothing is."""
    try:
        status = path.stat()
    except OSError:
        return "missing"
    if not stat.S_ISREG(status.st_mode):
        return "missing"
    return "" if status.st_size else "empty"


def _parse_landmarks(texts: pd.Series) -> np.ndarray:
    """`(rows, 68, 2)` float32 of `x1;y1;x2;...`, NaN where a row does not hold 68 pairs of finite numbers."""
    landmarks = np.full((len(texts), FACTS["n_landmarks"], 2), np.nan, dtype=np.float32)
    is_whole = (texts.str.count(";") == _N_COORDINATES - 1).to_numpy(bool)
    if is_whole.any():
        # The texts of all rows as one: cutting and parsing them is then one call each.
        pieces = np.array(";".join(texts[is_whole]).split(";"), dtype=object)
        numbers = pd.to_numeric(pieces, errors="coerce")
        landmarks[is_whole] = _finite(np.asarray(numbers, dtype=float).reshape(-1, FACTS["n_landmarks"], 2))
    return landmarks


def _finite(landmarks: np.ndarray) -> np.ndarray:
    """Landmarks `(rows, 68, 2)` in float32, NaN throughout where one of a row is not finite."""
    with np.errstate(over="ignore"):
        landmarks = landmarks.astype(np.float32)
    landmarks[~np.isfinite(landmarks).all(axis=(1, 2))] = np.nan
    return landmarks


def _annotations(image: Path) -> dict[str, Path]:
    """The files of annotations of an image of the new generation."""
    folder = image.parents[1] / "annotations"
    return {key: folder / f"{image.stem}_{key}.npy" for key in FACTS["annotations"]}


def _read_array(path: Path) -> np.ndarray:
    """The array of a `.npy` file. Not `numpy.load`, which would open archives too; objects are refused.

    Raises:
        ValueError: it is none, is truncated or holds objects.
    """
    with path.open("rb") as file:
        content = file.read(_LARGEST_ARRAY_BYTES + 1)
    if len(content) > _LARGEST_ARRAY_BYTES:
        raise ValueError("too large")
    return parse_npy(content)


def _as_number(array: np.ndarray) -> float:
    """The number that an array of one number or text holds, NaN where it holds something else."""
    if array.size != 1 or array.dtype.kind not in "fiuUS":
        return np.nan
    try:
        return float(array.item())
    except ValueError:
        return np.nan


def _as_landmarks(array: np.ndarray) -> np.ndarray:
    """`(68, 2)` float32 of 136 numbers or texts, x and y by turns; NaN where the array holds something else."""
    shape = (FACTS["n_landmarks"], 2)
    missing = np.full(shape, np.nan, dtype=np.float32)
    if array.shape not in ((_N_COORDINATES,), shape) or array.dtype.kind not in "fiuUS":
        return missing
    try:
        return _finite(array.astype(float).reshape(1, *shape))[0]
    except ValueError:
        return missing
