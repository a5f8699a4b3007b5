"""AFEW-VA reader: 600 short film clips, each frame annotated with valence, arousal and 68 facial landmarks."""

from __future__ import annotations

import functools
import json
import os
import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from keras_emotion.datasets.reader import Problem, Reader, SubjectReport, as_problem, describe_trial, raise_problems
from keras_emotion.json_files import read_user_json
from keras_emotion.media_files import check_picture_file
from keras_emotion.schema import ImageSequence, InputError, Trial

FACTS: dict[str, Any] = json.loads((Path(__file__).parent / "facts" / "afew_va.json").read_text(encoding="utf-8"))
"""Counts, ranges and the frame rate of AFEW-VA (`facts/afew_va.json`)."""

TARGETS = ("valence", "arousal")

FileFormat = Literal["frames"]
FILE_FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)

_CLIP = re.compile(r"(?!000)[0-9]{3}")
_ZIP = re.compile(r"[0-9]{1,2}")
_FRAME = re.compile(r"[0-9]{5}")
_MISSING = object()
_N_NAMED = 5
"""Number of frames or files that a message lists; the others are counted."""


class AFEWVA(Reader):
    """Reader of AFEW-VA, grouped by zip (`01/001/00000.png`, `01/001/001.json`), flat (`001/...`) or both.

    One clip is one trial. The *actor* is the subject, because the same actor appears in several clips: a split by
    subject is a split by actor. `Trial.trial` is the number of the clip, `Trial.stimulus` its folder's name (`"001"`).
    There is no recording and no video, only `Trial.images`: the annotated frames in order, each with `valence` and
    `arousal` (-10 to 10) and 68 landmarks. `Trial.ratings` are the means of both over these frames.

    The time of a frame is its number divided by 25 Hz. The dataset does not state a frame rate; 25 Hz is the usual rate
    of its films (not verified; `facts/afew_va.json`).

    Only the json files name the actor: the first access to the subjects reads all of them and caches the names. An
    unreadable json has no known actor, so it is listed in `missing_files`, and blocks `check` and `trials` for all
    subjects: the clip could be of any actor.

    **Deviations**: images without an annotation are reported and left out. Folders that end in `_cropped`, which a copy
    on Kaggle adds, are not read: the landmarks of the json do not match the cropped faces.

    Args:
        root: folder of the clips (three-digit names), directly or in folders named by the one or two digits of a zip.
        file_format: `"frames"`, the only format, or `None`.

    Raises:
        InputError: `root` contains no clips, or two with the same number.
        ValueError: `file_format` is invalid.

    Example:
        >>> from keras_emotion.datasets import AFEWVA
        >>> for trial in AFEWVA("AFEW-VA").trials():  # doctest: +SKIP
        ...     print(trial.subject, trial.stimulus, trial.images.ratings["valence"], trial.images.landmarks.shape)

    References:
        Kossaifi et al., "AFEW-VA database for valence and arousal estimation in-the-wild", Image and Vision
        Computing 65, 2017.
    """

    name = "afew_va"
    usual_protocols: ClassVar[tuple[str, ...]] = ("subject_disjoint",)
    # A clip of an unknown actor may belong to any requested subject.
    missing_files_block = True

    def __init__(self, root: str | Path, file_format: FileFormat | None = None):
        super().__init__(root)
        if file_format is not None and file_format not in FILE_FORMATS:
            raise ValueError(f"`file_format` is {file_format!r}; expected one of {FILE_FORMATS}")
        self.file_format: FileFormat = FILE_FORMATS[0]
        self._clips = self._find()
        if not self._clips:
            raise InputError(
                f"{self.root}: no clips of AFEW-VA; expected files such as 01/001/001.json or 001/001.json, and their "
                "frames such as 00000.png in the same folder; check the path"
            )

    def _find(self) -> dict[str, Path]:
        """Return the clip folders by name, sorted."""
        zips = [path for path in self.root.iterdir() if _ZIP.fullmatch(path.name) and path.is_dir()]
        found: dict[str, Path] = {}
        for parent in (self.root, *sorted(zips)):
            for path in parent.iterdir():
                if not _CLIP.fullmatch(path.name) or not path.is_dir():
                    continue
                if path.name in found:
                    raise InputError(
                        f"{self.root}: duplicate clip {path.name}: {found[path.name]} and {path}; keep one of them"
                    )
                found[path.name] = path
        return dict(sorted(found.items()))

    @functools.cached_property
    def _index(self) -> tuple[dict[str, list[str]], tuple[Problem, ...]]:
        """Return the clips by actor, and problems of json files without a readable actor."""
        clips: dict[str, list[str]] = {}
        problems = []
        for clip, folder in self._clips.items():
            path = folder / f"{clip}.json"
            try:
                clips.setdefault(_actor(path, _read_json(path)), []).append(clip)
            except InputError as error:
                problems.append(as_problem(error, None, path))
        return clips, tuple(problems)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Names of the actors with at least one clip, sorted."""
        return tuple(sorted(self._index[0]))

    def source_files(self, subject: str) -> tuple[Path, ...]:
        """Return the json and the images of each of the actor's clips."""
        (subject,) = self.select([subject])
        files: list[Path] = []
        for clip in self._index[0][subject]:
            folder = self._clips[clip]
            files += [folder / f"{clip}.json", *_images(folder).values()]
        return tuple(files)

    def missing_files(self) -> tuple[Problem, ...]:
        """Return clips with an unreadable actor, and missing clips of a real dataset."""
        problems = list(self._index[1])
        names = [f"{number:03d}" for number in range(1, FACTS["n_clips"] + 1)]
        missing = [] if self.synthetic else [name for name in names if name not in self._clips]
        if missing:
            message = f"missing clips {_some(missing)}; expected {names[0]} to {names[-1]}; unpack every zip"
            problems.append(Problem(self.root, message, is_blocking=False))
        return tuple(problems)

    def trials(self, subjects: Sequence[str] | None = None) -> Iterator[Trial]:
        """Yield the clips of some actors (default: all), by number; see `Reader.trials`.

        Images are not opened; `check` does that.
        """
        raise_problems(self.missing_files())
        for subject in self.select(subjects):
            for clip in self._index[0][subject]:
                trial, problems = self._read(subject, clip)
                raise_problems(problems)
                # It is there: what is missing is a problem.
                if trial is not None:
                    yield trial

    def inspect(self, subject: str) -> SubjectReport:
        """Check the json files, and the beginning and end of each image, of one actor's clips; see `Reader.inspect`."""
        (subject,) = self.select([subject])
        clips = self._index[0][subject]
        problems, trials = [], []
        for clip in clips:
            trial, found = self._read(subject, clip)
            problems += found
            if trial is not None and trial.images is not None:
                problems += _image_problems(subject, self._clips[clip], trial.images.files)
                trials.append(describe_trial(trial) | {"n_frames": len(trial.images.files)})
        description = {
            "subject": subject,
            "file": os.path.commonpath([self._clips[clip] for clip in clips]) or str(self.root),
            "frame_rate_hz": float(FACTS["frame_rate_hz"]),
            "trials": trials,
        }
        return SubjectReport(description, tuple(problems))

    # --- one clip

    def _read(self, subject: str, clip: str) -> tuple[Trial | None, list[Problem]]:
        """Return a clip, or `None` if it is unusable, and its problems."""
        folder = self._clips[clip]
        path = folder / f"{clip}.json"
        try:
            annotation = _read_json(path)
            _actor(path, annotation)
            frames = _frames(path, annotation)
        except InputError as error:
            return None, [as_problem(error, subject, path)]
        scores, landmarks, faults = _parse(frames)
        problems = [Problem(path, fault, subject) for fault in faults]
        if annotation.get("video_id", clip) != clip:
            message = f"`video_id` is {reprlib.repr(annotation['video_id'])}; expected '{clip}', as the folder is named"
            problems.append(Problem(path, message, subject, False))
        images = _images(folder)
        if without := [frame for frame in frames if frame not in images]:
            message = f"no image of frame {_some(without)}; expected {without[0]}.png; copy the clip's images again"
            problems.append(Problem(folder, message, subject))
        if surplus := [image.name for frame, image in images.items() if frame not in frames]:
            message = f"no annotation in {path.name} of image {_some(surplus)}; left out"
            problems.append(Problem(folder, message, subject, False))
        if any(problem.is_blocking for problem in problems):
            return None, problems
        sequence = ImageSequence(
            files=tuple(images[frame] for frame in frames),
            times_seconds=np.array([int(frame) for frame in frames]) / FACTS["frame_rate_hz"],
            ratings=scores,
            landmarks=landmarks,
        )
        trial = Trial(
            dataset=self.name,
            subject=subject,
            trial=int(clip),
            stimulus=clip,
            recording=None,
            eeg_channel_names=(),
            ratings={target: float(values.mean()) for target, values in scores.items()},
            images=sequence,
        )
        return trial, problems


# --- the json


def _read_json(path: Path) -> Mapping[str, Any]:
    """Read the annotation of a clip."""
    if not path.is_file():
        raise InputError(f"{path}: missing file; expected actor, scores and landmarks of the clip; copy the clip again")
    annotation = read_user_json(
        path, "{path}: damaged or truncated json ({reason}); copy the clip again, or remove its folder"
    )
    if not isinstance(annotation, dict):
        raise InputError(
            f"{path}: holds {reprlib.repr(annotation)}; expected an object with `actor` and `frames`; "
            "copy the clip again, or remove its folder"
        )
    return annotation


def _actor(path: Path, annotation: Mapping[str, Any]) -> str:
    actor = annotation.get("actor", _MISSING)
    # A name that cannot be printed (a line break, a lone surrogate) would break tables and messages.
    if not isinstance(actor, str) or not actor.strip() or not actor.strip().isprintable():
        raise InputError(
            f"{path}: `actor` is {_shown(actor)}; expected a name; copy the clip again, or remove its folder"
        )
    return actor.strip()


def _frames(path: Path, annotation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the annotations by frame, in order."""
    frames = annotation.get("frames", _MISSING)
    if not isinstance(frames, dict) or not frames:
        raise InputError(
            f"{path}: `frames` is {_shown(frames)}; expected an object with one entry per frame ('00000', ...); "
            "copy the clip again"
        )
    if wrong := [repr(frame[:20]) for frame in frames if not _FRAME.fullmatch(frame)]:
        raise InputError(
            f"{path}: `frames` names {_some(wrong)}; expected five digits, as '00000'; copy the clip again"
        )
    return dict(sorted(frames.items()))


def _parse(frames: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], np.ndarray, list[str]]:
    """Parse scores `(frames,)` by target and landmarks `(frames, 68, 2)`, with one message per invalid field."""
    low, high = FACTS["score_range"]
    scores = {target: np.full(len(frames), np.nan) for target in TARGETS}
    landmarks = np.full((len(frames), FACTS["n_landmarks"], 2), np.nan, dtype=np.float32)
    expected = dict.fromkeys(TARGETS, f"a number from {low} to {high}")
    expected["landmarks"] = f"{FACTS['n_landmarks']} pairs of finite numbers"
    wrong: dict[str, dict[str, str]] = {field: {} for field in expected}
    for index, (frame, row) in enumerate(frames.items()):
        row = row if isinstance(row, dict) else {}
        for target in TARGETS:
            score = row.get(target, _MISSING)
            # JSON's true and false are integers in Python; NaN is in no range.
            if isinstance(score, int | float) and not isinstance(score, bool) and low <= score <= high:
                scores[target][index] = score
            else:
                wrong[target][frame] = _shown(score)
        points, found = _points(row.get("landmarks", _MISSING))
        if found:
            wrong["landmarks"][frame] = found
        else:
            landmarks[index] = points
    lines = []
    for field, found in wrong.items():
        if found:
            (frame, value), *others = found.items()
            also = f" (also invalid: {_some([other for other, _ in others])})" if others else ""
            lines.append(
                f"`{field}` of frame {frame} is {value}; expected {expected[field]}{also}; copy the clip again"
            )
    return scores, landmarks, lines


def _points(value: Any) -> tuple[np.ndarray | None, str]:
    """Parse landmarks as `(68, 2)` float32, or describe what was found instead."""
    if value is _MISSING:
        return None, "missing"
    try:
        points = np.array(value)
    except (ValueError, OverflowError):
        return None, "rows of different lengths"
    if points.dtype.kind not in "fiu":
        return None, "not all numbers"
    if points.shape != (FACTS["n_landmarks"], 2):
        return None, f"of shape {points.shape}"
    with np.errstate(over="ignore"):
        points = points.astype(np.float32)
    return (points, "") if np.isfinite(points).all() else (None, "not finite")


def _shown(value: Any) -> str:
    return "missing" if value is _MISSING else reprlib.repr(value)


def _some(names: Sequence[str]) -> str:
    """List the first few names, and count the others."""
    more = f" and {len(names) - _N_NAMED} more" if len(names) > _N_NAMED else ""
    return f"{', '.join(names[:_N_NAMED])}{more}"


# --- the images


def _images(folder: Path) -> dict[str, Path]:
    """Return the image files of a clip by frame; of several files per frame, the first suffix in the facts is used."""
    suffixes: list[str] = FACTS["image_suffixes"]
    found = [path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.is_file()]
    images: dict[str, Path] = {}
    for path in sorted(found, key=lambda path: (path.stem, suffixes.index(path.suffix.lower()), path.name)):
        images.setdefault(path.stem, path)
    return images


def _image_problems(subject: str, folder: Path, files: Sequence[Path]) -> list[Problem]:
    """Return one problem for each kind of broken image in a clip."""
    names: dict[str, list[str]] = {}
    for path in files:
        if fault := _image_fault(path):
            names.setdefault(fault, []).append(path.name)
    return [
        Problem(folder, f"{fault}: {_some(broken)}; copy the clip's images again", subject)
        for fault, broken in names.items()
    ]


def _image_fault(path: Path) -> str | None:
    """Detect a damaged image by its first and last bytes: decoding every pixel would take too long."""
    try:
        check_picture_file(path)
    except InputError as error:
        return str(error).removeprefix(f"{path}: ")
    try:
        with path.open("rb") as file:
            head = file.read(16)
            size = file.seek(0, os.SEEK_END)
            # A few bytes of padding after the end marker are harmless.
            file.seek(max(0, size - 64))
            tail = file.read()
    except OSError as error:
        return f"unreadable image ({error.strerror})"
    if size == 0:
        return "empty image"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return None if head.endswith(b"IHDR") and b"IEND\xaeB`\x82" in tail else "damaged or truncated PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return None if b"\xff\xd9" in tail else "damaged or truncated JPEG"
    return "neither PNG nor JPEG"
