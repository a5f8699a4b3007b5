"""AffectNet reader: web images of faces, each with an expression, valence, arousal and 68 landmarks."""

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
"""Classes, ranges, and names of columns and folders of AffectNet (`facts/affectnet.json`)."""

EXPRESSIONS: tuple[str, ...] = tuple(FACTS["class_names"])

FileFormat = Literal["lists", "arrays"]
FILE_FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)

_N_COORDINATES = 2 * FACTS["n_landmarks"]
_CHUNK_ROWS = 4096
"""Rows in memory at a time: a row of a list is more than a kilobyte of text, most of it landmarks."""
_LARGEST_ARRAY_BYTES = 2**20
"""Largest annotation in bytes: valid annotations hold a few numbers, so larger files are not read."""
_N_NAMED = 5
"""Number of rows that a message lists; the others are counted."""

_EXCLUDED = {name: int(code) for code, name in FACTS["excluded_expressions"].items()}
_SKIPPED = {
    "fields": "the number of fields differs from the header",
    "path": "path of the image is missing or leads out of the folder of images",
    "annotation": "annotation file (_exp, _val, _aro or _lnd) is missing",
    "array": "annotation file is damaged, or holds Python objects, which are never loaded",
    "number": "expression, valence, arousal or face width is not a number",
    "class": f"expression is not a whole number from 0 to {max(_EXCLUDED.values())}",
    **{name: f"expression is {code} ({name})" for name, code in _EXCLUDED.items()},
    "face": "face width is negative: no face was found",
    "missing": "image is missing; copy the images again",
    "empty": "image is empty; copy the images again",
    "landmarks": f"landmarks are not {FACTS['n_landmarks']} pairs of finite numbers",
}
"""Reasons to skip a row. A row is counted once, under the first reason that applies."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of a list, usable or not.

    Args:
        table: by row number (1-based): `image`, the path relative to the image folder; `expression`, `valence` and
            `arousal`, float, NaN if not a number.
        landmarks: `(rows, 68, 2)` float32, NaN for skipped rows.
        fault: `(rows,)` key of `_SKIPPED`, or `""`.
    """

    table: pd.DataFrame
    landmarks: np.ndarray
    fault: np.ndarray


class AffectNet(Reader):
    """Reader of AffectNet, old generation (csv lists) or new (one small array per value; not verified).

    One image is one trial. **Subjects are unknown**: the dataset does not tell who is in an image, or whether two
    images show the same person. The two lists, `"training"` and `"validation"`, as far as they exist, take the place of
    subjects, and no split of AffectNet is known to be subject-independent.

    `Trial.trial` is the 1-based row number in the list, without the header (line number minus one) or, in the new
    generation, the number in the image's name plus one; both are unchanged if other images are missing.
    `Trial.stimulus` is the path of the image relative to the image folder (lists) or to `root` (arrays). There is no
    recording and no video, only `Trial.images`: one file, at 0 s, with its 68 landmarks in pixels of the image on disk.

    Ratings: `expression`, the index in `class_names["expression"]`, and `valence` and `arousal`, -1 to 1. A valence or
    arousal of -2 or otherwise out of range is left out; the image is kept.

    Unusable rows are skipped and reported, one line per reason with the first few row numbers; they do not block: an
    expression of none, uncertain or non-face (8 to 10), a negative face width, a missing or empty image, values that
    are not numbers, landmarks that are not 68 pairs. A list without any usable row blocks.

    A description of the whole dataset has an entry for each of some 300,000 images: on the command line, use `--brief`.

    **Deviations**: only the signs of the lists' face boxes are used: crops come from the landmarks, as in the other
    face datasets. A folder that contains `images/` and `annotations/`, but not `train_set/` and `val_set/`, is read as
    the training list unless it is named `val_set`.

    Args:
        root: old generation: folder with `Manually_Annotated_file_lists/{training,validation}.csv` (or the csv files
            themselves) and `Manually_Annotated_Images/<folder>/<file>`, in it or one folder below (or the numbered
            folders themselves). New generation: folder with `train_set/` and `val_set/`, or one of these, each with
            `images/0.jpg` and `annotations/0_exp.npy`, `0_val.npy`, `0_aro.npy`, `0_lnd.npy` (as far as public loaders
            show; not verified).
        file_format: `"lists"` (old) or `"arrays"` (new); by default the first one found, in this order.

    Raises:
        InputError: `root` contains neither, or not `file_format`.
        ValueError: `file_format` is invalid.

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
            kind = "" if file_format is None else f" in format {file_format}"
            raise InputError(
                f"{self.root}: AffectNet not found{kind}; expected {FACTS['list_folder']}/training.csv and "
                f"{FACTS['image_folder']}/, or train_set/images/ and train_set/annotations/; check the path"
            )
        self.file_format: FileFormat = candidate
        self.image_folder = self._find_image_folder() if candidate == "lists" else self.root

    def _expected(self, file_format: FileFormat) -> dict[str, Path]:
        """Return the path of each list, existing or not: a csv file (lists) or a folder (arrays)."""
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
        """The lists that exist, of `"training"` and `"validation"`, in place of unknown subjects."""
        return tuple(self._places)

    def source_files(self, subject: str) -> tuple[Path, ...]:
        """Return the list, or the arrays of the images that are used.

        Images are excluded: reading a hundred gigabytes takes longer than a run. The annotations name the images.
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
        """Return the missing list, if any."""
        return tuple(
            Problem(place, f"missing file or folder; the {subject} images are not read; copy it", subject, False)
            for subject, place in self._expected(self.file_format).items()
            if subject not in self._places
        )

    def trials(self, subjects: Sequence[str] | None = None) -> Iterator[Trial]:
        """Yield the images of some lists (default: all), in row order; see `Reader.trials`.

        A few thousand rows are in memory at a time. Images are not opened.
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
        """Check all rows of one list, and that their images exist; see `Reader.inspect`."""
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
        """Count rows and list the first few. Rows of arrays are named by their images, from 0."""
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
                    # A copy, because a view would keep the landmarks of thousands of rows in memory.
                    landmarks=landmarks[np.newaxis].copy(),
                ),
            )

    def _rows(self, subject: str) -> Iterator[_Rows]:
        return self._list_rows(subject) if self.file_format == "lists" else self._array_rows(subject)

    # --- the old generation: lists

    def _list_rows(self, subject: str) -> Iterator[_Rows]:
        """Yield the rows of a csv list.

        Lines are split here, not by `pandas.read_csv`, which would stop at a line with too many fields, or skip it and
        renumber the following rows.
        """
        path = self._places[subject]
        try:
            refuse_long_heading(path)
            with path.open(encoding="utf-8-sig", errors="replace") as file:
                header = [name.strip().strip('"') for name in file.readline().split(",")]
                if missing := [column for column in FACTS["list_columns"] if header.count(column) != 1]:
                    raise InputError(
                        f"{path}: column {', '.join(missing)} missing or repeated in the header; expected a csv file "
                        f"with the columns {', '.join(FACTS['list_columns'])}; copy it again"
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
        """Parse lines of a list, given by row number."""
        cells = text.str.split(",", expand=True).reindex(columns=range(len(header)), fill_value="").fillna("")
        cells = cells.set_axis(header, axis=1)
        image = cells["subDirectory_filePath"].str.strip()
        columns = ["expression", "valence", "arousal", "face_width"]
        numbers = cells[columns].apply(pd.to_numeric, errors="coerce").astype(float)
        fault = _first_that_holds(
            {
                "fields": text.str.count(",") != len(header) - 1,
                # A list comes from an untrusted source: it must not make the reader open files outside the dataset.
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
        """Yield the images of a set, and annotations without an image, in the order of their numbers."""
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
                raise InputError(f"{place}: duplicate image {number}: {images[number].name} and {path.name}")
            images[number] = path
        return images


def _first_that_holds(conditions: Mapping[str, Any]) -> np.ndarray:
    """Return for each row the key of the first condition that holds, `""` if none does."""
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
    """Return the key of an image file's fault, `""` if it has none."""
    try:
        status = path.stat()
    except OSError:
        return "missing"
    if not stat.S_ISREG(status.st_mode):
        return "missing"
    return "" if status.st_size else "empty"


def _parse_landmarks(texts: pd.Series) -> np.ndarray:
    """Parse `x1;y1;x2;...` into `(rows, 68, 2)` float32, NaN for rows without 68 pairs of finite numbers."""
    landmarks = np.full((len(texts), FACTS["n_landmarks"], 2), np.nan, dtype=np.float32)
    is_whole = (texts.str.count(";") == _N_COORDINATES - 1).to_numpy(bool)
    if is_whole.any():
        # The texts of all rows are joined, so that splitting and parsing take one call each.
        pieces = np.array(";".join(texts[is_whole]).split(";"), dtype=object)
        numbers = pd.to_numeric(pieces, errors="coerce")
        landmarks[is_whole] = _finite(np.asarray(numbers, dtype=float).reshape(-1, FACTS["n_landmarks"], 2))
    return landmarks


def _finite(landmarks: np.ndarray) -> np.ndarray:
    """Return landmarks `(rows, 68, 2)` as float32, all NaN for a row with any non-finite value."""
    with np.errstate(over="ignore"):
        landmarks = landmarks.astype(np.float32)
    landmarks[~np.isfinite(landmarks).all(axis=(1, 2))] = np.nan
    return landmarks


def _annotations(image: Path) -> dict[str, Path]:
    """Return the annotation files of an image of the new generation."""
    folder = image.parents[1] / "annotations"
    return {key: folder / f"{image.stem}_{key}.npy" for key in FACTS["annotations"]}


def _read_array(path: Path) -> np.ndarray:
    """Read an `.npy` file. `numpy.load` would also open archives; objects are refused.

    Raises:
        ValueError: the file is not an `.npy` array, is truncated or holds objects.
    """
    with path.open("rb") as file:
        content = file.read(_LARGEST_ARRAY_BYTES + 1)
    if len(content) > _LARGEST_ARRAY_BYTES:
        raise ValueError("too large")
    return parse_npy(content)


def _as_number(array: np.ndarray) -> float:
    """Convert an array of one number or text into a float, NaN if it holds anything else."""
    if array.size != 1 or array.dtype.kind not in "fiuUS":
        return np.nan
    try:
        return float(array.item())
    except ValueError:
        return np.nan


def _as_landmarks(array: np.ndarray) -> np.ndarray:
    """Convert 136 numbers or texts (x, y, x, y, ...) into `(68, 2)` float32, NaN if the array holds anything else."""
    shape = (FACTS["n_landmarks"], 2)
    missing = np.full(shape, np.nan, dtype=np.float32)
    if array.shape not in ((_N_COORDINATES,), shape) or array.dtype.kind not in "fiuUS":
        return missing
    try:
        return _finite(array.astype(float).reshape(1, *shape))[0]
    except ValueError:
        return missing
