"""AFEW-VA: 600 short clips from films, each frame with valence, arousal and 68 landmarks of one actor's face."""

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
"""So many frames or files are named in one line; of the rest it gives the number."""


class AFEWVA(Reader):
    """A folder of AFEW-VA, grouped by zip (`01/001/00000.png`, `01/001/001.json`), flat (`001/...`) or both.

    One clip is one trial. The *actor* is the subject, because the same actor is in several clips: whoever splits by
    subject splits by actor. `Trial.trial` is the number of the clip, `Trial.stimulus` its folder's name (`"001"`);
    there is no recording and no video, only `Trial.images`: the annotated frames in their order, with `valence` and
    `arousal` (-10 to 10) and 68 landmarks each. `Trial.ratings` are the means of the two over these frames.

    The time of a frame is its number over 25 Hz. The data set does not state a rate; 25 Hz is what its films usually
    have (not verified; `facts/afew_va.json`).

    The actor is named in the json files alone: the first question about subjects reads all of them, and keeps the
    names. A json that cannot be read belongs to no known actor, so it counts among `missing_files`, and blocks
    `check` and `trials` whichever subjects are asked for: the clip could be any actor's.

    **Deviations**: images without an annotation are listed and left out. Folders that end in `_cropped`, which a copy
    on Kaggle adds, are not read: the landmarks of the json are not those of the cropped faces.

    Args:
        root: folder that holds the clips, three digits each, itself or in folders named by the one or two digits of a
            zip.
        file_format: `"frames"`, the only one there is; the same as `None`, the default.

    Raises:
        InputError: `root` holds no clip, or two of the same number.
        ValueError: `file_format` is something else.

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
    # A clip of an unknown actor may be one of anybody who is asked for.
    missing_files_block = True

    def __init__(self, root: str | Path, file_format: FileFormat | None = None):
        super().__init__(root)
        if file_format is not None and file_format not in FILE_FORMATS:
            raise ValueError(f"`file_format` is {file_format!r}; expected one of {FILE_FORMATS}")
        self.file_format: FileFormat = FILE_FORMATS[0]
        self._clips = self._find()
        if not self._clips:
            raise InputError(
                f"{self.root}: holds no clips of AFEW-VA; expected 01/001/001.json or 001/001.json and so on, with "
                "00000.png and so on beside them"
            )

    def _find(self) -> dict[str, Path]:
        """Folders of the clips by their names, in the order of the names."""
        zips = [path for path in self.root.iterdir() if _ZIP.fullmatch(path.name) and path.is_dir()]
        found: dict[str, Path] = {}
        for parent in (self.root, *sorted(zips)):
            for path in parent.iterdir():
                if not _CLIP.fullmatch(path.name) or not path.is_dir():
                    continue
                if path.name in found:
                    raise InputError(
                        f"{self.root}: clip {path.name} is there twice: {found[path.name]} and {path}; keep one of them"
                    )
                found[path.name] = path
        return dict(sorted(found.items()))

    @functools.cached_property
    def _index(self) -> tuple[dict[str, list[str]], tuple[Problem, ...]]:
        """Clips by actor, and what is wrong with the json files that name none."""
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
        """Names of the actors of whom there is a clip, sorted."""
        return tuple(sorted(self._index[0]))

    def source_files(self, subject: str) -> tuple[Path, ...]:
        """The json and the images of each of the actor's clips."""
        (subject,) = self.select([subject])
        files: list[Path] = []
        for clip in self._index[0][subject]:
            folder = self._clips[clip]
            files += [folder / f"{clip}.json", *_images(folder).values()]
        return tuple(files)

    def missing_files(self) -> tuple[Problem, ...]:
        """Clips whose actor cannot be read, and clips that a copy of the real data set lacks."""
        problems = list(self._index[1])
        names = [f"{number:03d}" for number in range(1, FACTS["n_clips"] + 1)]
        missing = [] if self.synthetic else [name for name in names if name not in self._clips]
        if missing:
            message = f"missing clips {_some(missing)}; expected {names[0]} to {names[-1]}: was every zip unpacked?"
            problems.append(Problem(self.root, message, is_blocking=False))
        return tuple(problems)

    def trials(self, subjects: Sequence[str] | None = None) -> Iterator[Trial]:
        """The clips of some actors (default: all), in the order of their numbers; see `Reader.trials`.

        Images are neither opened nor decoded: `check` looks at them.
        """
        raise_problems(self.missing_files())
        for subject in self.select(subjects):
            for clip in self._index[0][subject]:
                trial, problems = self._read(subject, clip)
                raise_problems(problems)
                yield trial

    def inspect(self, subject: str) -> SubjectReport:
        """Reads the jsons, and beginning and end of each image, of one actor's clips; see `Reader.inspect`."""
        (subject,) = self.select([subject])
        clips = self._index[0][subject]
        problems, trials = [], []
        for clip in clips:
            trial, found = self._read(subject, clip)
            if trial is not None:
                found += _image_problems(subject, self._clips[clip], trial.images.files)
            problems += found
            if trial is not None:
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
        """A clip, `None` where it cannot be used, and what is wrong with it."""
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
    """The annotation of a clip, as it is written."""
    if not path.is_file():
        raise InputError(f"{path}: missing: expected actor, scores and landmarks of the clip; copy the clip again")
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
    # A name that cannot be printed (a line break, half a character) would break tables and messages.
    if not isinstance(actor, str) or not actor.strip() or not actor.strip().isprintable():
        raise InputError(
            f"{path}: `actor` is {_shown(actor)}; expected a name; copy the clip again, or remove its folder"
        )
    return actor.strip()


def _frames(path: Path, annotation: Mapping[str, Any]) -> dict[str, Any]:
    """Annotations by frame, in the order of the frames."""
    frames = annotation.get("frames", _MISSING)
    if not isinstance(frames, dict) or not frames:
        raise InputError(
            f"{path}: `frames` is {_shown(frames)}; expected an object with one entry a frame, '00000' and so on; "
            "copy the clip again"
        )
    if wrong := [repr(frame[:20]) for frame in frames if not _FRAME.fullmatch(frame)]:
        raise InputError(
            f"{path}: `frames` names {_some(wrong)}; expected five digits, as '00000'; copy the clip again"
        )
    return dict(sorted(frames.items()))


def _parse(frames: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], np.ndarray, list[str]]:
    """Scores `(frames,)` by target, landmarks `(frames, 68, 2)` and one line for each field that is wrong anywhere."""
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
            # JSON's true and false are integers to Python; NaN is in no range.
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
            also = f" (also wrong: {_some([other for other, _ in others])})" if others else ""
            lines.append(
                f"`{field}` of frame {frame} is {value}; expected {expected[field]}{also}; copy the clip again"
            )
    return scores, landmarks, lines


def _points(value: Any) -> tuple[np.ndarray | None, str]:
    """Landmarks `(68, 2)` float32, or what was found in place of them."""
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
    """The first few of some names, and how many more there are."""
    more = f" and {len(names) - _N_NAMED} more" if len(names) > _N_NAMED else ""
    return f"{', '.join(names[:_N_NAMED])}{more}"


# --- the images


def _images(folder: Path) -> dict[str, Path]:
    """Image files of a clip by frame; where a frame has several, the first suffix of the facts counts."""
    suffixes: list[str] = FACTS["image_suffixes"]
    found = [path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.is_file()]
    images: dict[str, Path] = {}
    for path in sorted(found, key=lambda path: (path.stem, suffixes.index(path.suffix.lower()), path.name)):
        images.setdefault(path.stem, path)
    return images


def _image_problems(subject: str, folder: Path, files: Sequence[Path]) -> list[Problem]:
    """One line for each kind of broken image in a clip."""
    names: dict[str, list[str]] = {}
    for path in files:
        if fault := _image_fault(path):
            names.setdefault(fault, []).append(path.name)
    return [
        Problem(folder, f"{fault}: {_some(broken)}; copy the clip's images again", subject)
        for fault, broken in names.items()
    ]


def _image_fault(path: Path) -> str | None:
    """What is wrong with an image, as far as its first and last bytes tell: decoding every pixel takes too long."""
    try:
        check_picture_file(path)
    except InputError as error:
        return str(error).removeprefix(f"{path}: ")
    try:
        with path.open("rb") as file:
            head = file.read(16)
            size = file.seek(0, os.SEEK_END)
            # A few bytes of padding after the end mark do no harm.
            file.seek(max(0, size - 64))
            tail = file.read()
    except OSError as error:
        return f"image that cannot be read ({error.strerror})"
    if size == 0:
        return "empty image"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return None if head.endswith(b"IHDR") and b"IEND\xaeB`\x82" in tail else "damaged or truncated PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return None if b"\xff\xd9" in tail else "damaged or truncated JPEG"
    return "neither PNG nor JPEG"
