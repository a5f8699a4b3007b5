"""Base reader of acted-speech datasets: audio and video of single utterances, described by their file names."""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from typing_extensions import override

from keras_emotion.audio import audio_facts
from keras_emotion.datasets.reader import Problem, Reader, SubjectReport, as_problem, describe_trial, raise_problems
from keras_emotion.faces import video_facts
from keras_emotion.schema import Clip, InputError, Trial

FileFormat = Literal["audio_video", "audio", "video"]
FILE_FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)

Medium = Literal["audio", "video"]

_VIDEO_SUFFIXES = (".mp4", ".flv")
_LFS_POINTER = b"version https://git-lfs"
_N_NAMED = 8


@dataclasses.dataclass(frozen=True)
class Utterance:
    """Metadata of an utterance, parsed from its file name.

    Args:
        subject: number of the actor.
        trial: number of the utterance, the same for all actors.
        stimulus: name of the utterance.
        ratings: classes by target name.
    """

    subject: int
    trial: int
    stimulus: str
    ratings: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class MediaFile:
    """Media file of an utterance.

    Args:
        path: the file.
        medium: the medium that is read from it.
        utterance: metadata from its name.
        rank: if an utterance has several files of a medium, the one with the lowest rank is read.
    """

    path: Path
    medium: Medium
    utterance: Utterance
    rank: int = 0


class ActedClips(Reader):
    """Base class of readers of acted utterances: `Trial.voice` and `Trial.video`, without a recording.

    A trial is an utterance of an actor, who is the subject. `Trial.trial` is the number of the utterance, the same for
    all actors; each utterance of an actor is a separate stimulus. The duration is that of the video, or else of the
    audio, from the file headers: the two differ by some hundredths of a second.

    Args:
        root: folder of the files, which may be in subfolders.
        file_format: `"audio"`: audio only; `"video"`: video only; `"audio_video"`: both, though a trial may lack one of
            them; by default all files found.

    Raises:
        InputError: `root` contains no such files.
        ValueError: `file_format` is invalid.
    """

    example: str
    """Example of a file name, for messages."""

    def __init__(self, root: str | Path, file_format: FileFormat | None = None):
        super().__init__(root)
        if file_format is not None and file_format not in FILE_FORMATS:
            raise ValueError(f"`file_format` is {file_format!r}; expected one of {FILE_FORMATS}")
        wanted = (file_format or FILE_FORMATS[0]).split("_")
        found = [one for path in sorted(self.root.rglob("*")) for one in self._files_of_name(path)]
        self._files: dict[int, dict[int, dict[Medium, MediaFile]]] = {}
        self._doubles: list[MediaFile] = []
        for one in sorted((one for one in found if one.medium in wanted), key=lambda one: one.rank):
            media = self._files.setdefault(one.utterance.subject, {}).setdefault(one.utterance.trial, {})
            if media.setdefault(one.medium, one) is not one and media[one.medium].rank == one.rank:
                self._doubles.append(one)
        media_found = {medium for own in self._files.values() for media in own.values() for medium in media}
        if not media_found:
            raise InputError(
                f"{self.root}: no files named like {self.example}; expected the folder that the dataset was unpacked "
                "into; check the path"
            )
        default: FileFormat = "audio_video" if len(media_found) > 1 else media_found.pop()
        self.file_format = file_format or default

    @abc.abstractmethod
    def _files_of_name(self, path: Path) -> Sequence[MediaFile]:
        """Return the media that a file provides, by its name; empty for other files."""

    @abc.abstractmethod
    def _expected(self, subject: int) -> Mapping[int, str]:
        """Return the names of an actor's utterances in the dataset, by number."""

    @property
    @abc.abstractmethod
    def _all_subjects(self) -> Sequence[int]:
        """Return the numbers of all actors of the dataset."""

    def _is_damaged(self, one: MediaFile) -> bool:
        """Return whether a file is known to be damaged in the dataset itself, and is skipped."""
        return False

    @property
    def subjects(self) -> tuple[int, ...]:
        """Numbers of the actors with at least one file, sorted."""
        return tuple(sorted(self._files))

    def source_files(self, subject: int) -> tuple[Path, ...]:
        """Return all files of the actor that are read."""
        return tuple(dict.fromkeys([*self.video_files(subject), *self.voice_files(subject)]))

    @override
    def video_files(self, subject: int) -> tuple[Path, ...]:
        return self._of_medium(subject, "video")

    @override
    def voice_files(self, subject: int) -> tuple[Path, ...]:
        return self._of_medium(subject, "audio")

    def _of_medium(self, subject: int, medium: Medium) -> tuple[Path, ...]:
        (subject,) = self.select([subject])
        own = self._files[subject]
        return tuple(own[trial][medium].path for trial in sorted(own) if medium in self._readable(own[trial]))

    def missing_files(self) -> tuple[Problem, ...]:
        """Return duplicate files, and actors without files."""
        problems = [
            Problem(one.path, "duplicate utterance; the first file is read", one.utterance.subject, False)
            for one in self._doubles
        ]
        missing = [] if self.synthetic else sorted({*self._all_subjects} - {*self._files})
        if missing:
            message = f"no files of actor {_some(missing)}; unpack all archives"
            problems.append(Problem(self.root, message, is_blocking=False))
        return tuple(problems)

    @override
    def notes(self, subjects: Sequence[int] | None = None) -> list[str]:
        damaged = [
            one.path.name
            for subject in self.select(subjects)
            for media in self._files[subject].values()
            for one in media.values()
            if self._is_damaged(one)
        ]
        notes = ["the emotion label is the one the actor was instructed to express"]
        return [*notes, *([f"damaged in the dataset itself, skipped: {_some(damaged)}"] if damaged else [])]

    def describe(self) -> dict[str, Any]:
        """See `Reader.describe`; adds `notes`."""
        return super().describe() | {"notes": self.notes()}

    def trials(self, subjects: Sequence[int] | None = None) -> Iterator[Trial]:
        """Yield the utterances of some actors (default: all), by number; see `Reader.trials`."""
        for subject in self.select(subjects):
            raise_problems(self._shared_problems)
            for trial in sorted(self._files[subject]):
                if self._readable(self._files[subject][trial]):
                    yield self._trial(subject, trial)

    def inspect(self, subject: int) -> SubjectReport:
        """Open all files of one actor; see `Reader.inspect`."""
        (subject,) = self.select([subject])
        own, problems, trials = self._files[subject], list(self._shared_problems), []
        for trial in sorted(own):
            media = self._readable(own[trial])
            if not media:
                continue
            try:
                trials.append(describe_trial(self._trial(subject, trial)))
            except InputError as error:
                paths = [own[trial][medium].path for medium in media]
                problems.append(as_problem(error, subject, paths[0], *paths[1:]))
        first = next(iter(own[min(own)].values())).path
        problems += [Problem(first.parent, message, subject, False) for message in self._gaps(subject)]
        return SubjectReport({"subject": subject, "file": str(first.parent), "trials": trials}, tuple(problems))

    @functools.cached_property
    def _shared_problems(self) -> tuple[Problem, ...]:
        """Return problems of the tables that the ratings come from."""
        return ()

    def _gaps(self, subject: int) -> Iterator[str]:
        """Yield messages about utterances without a file, or without one of two."""
        own = self._files[subject]
        if not self.synthetic and (
            lost := [name for trial, name in self._expected(subject).items() if trial not in own]
        ):
            yield f"actor {subject}: {len(lost)} utterances are missing: {_some(lost)}"
        if self.file_format == "audio_video":
            for medium, word in (("audio", "sound"), ("video", "picture")):
                without = [media for media in own.values() if medium not in media]
                if without:
                    names = [next(iter(media.values())).utterance.stimulus for media in without]
                    yield f"actor {subject}: {len(names)} utterances without {word}: {_some(names)}"

    def _readable(self, media: Mapping[Medium, MediaFile]) -> tuple[Medium, ...]:
        """Return the media of an utterance that are not known to be damaged."""
        return tuple(medium for medium, one in media.items() if not self._is_damaged(one))

    def _trial(self, subject: int, trial: int) -> Trial:
        media = self._files[subject][trial]
        readable = self._readable(media)
        utterance = media[readable[0]].utterance
        video = video_seconds = voice = None
        if "video" in readable:
            video = media["video"].path
            _refuse_pointer(video)
            video_seconds = video_facts(video).duration_seconds
            if not video_seconds > 0:
                raise InputError(f"{video}: the header has no duration; expected one; copy the file again")
        if "audio" in readable:
            path = media["audio"].path
            _refuse_pointer(path)
            seconds = audio_facts(path).duration_seconds
            if not seconds and path.suffix.lower() in _VIDEO_SUFFIXES:
                # Flash videos declare one duration for both streams.
                seconds = video_facts(path).duration_seconds
            if not seconds > 0:
                raise InputError(f"{path}: no audio; expected an utterance; copy the file again")
            voice = Clip(path, stop_seconds=seconds)
        return Trial(
            dataset=self.name,
            subject=subject,
            trial=trial,
            stimulus=utterance.stimulus,
            recording=None,
            eeg_channel_names=(),
            ratings=self._ratings(utterance),
            video=video,
            video_seconds=video_seconds,
            voice=voice,
        )

    def _ratings(self, utterance: Utterance) -> dict[str, float]:
        return dict(utterance.ratings)


def _refuse_pointer(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(len(_LFS_POINTER))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if head == _LFS_POINTER:
        raise InputError(f"{path}: Git LFS pointer; expected the file itself; fetch the files with `git lfs pull`")


def _some(names: Sequence[Any]) -> str:
    more = f" and {len(names) - _N_NAMED} more" if len(names) > _N_NAMED else ""
    return f"{', '.join(map(str, names[:_N_NAMED]))}{more}"
