"""Stimulus folders: stimulus clips of a dataset, their problems, and a reader that adds them to trials."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import av.error
import pandas as pd
from av.stream import Disposition
from typing_extensions import override

from keras_emotion.datasets.reader import SYNTHETIC_MARKER, Gender, Problem, Reader, SubjectId, SubjectReport
from keras_emotion.links import ADVICE, leaves_folder, may_leave_folder
from keras_emotion.media_files import error_reason, open_media
from keras_emotion.schema import Clip, InputError, Trial
from keras_emotion.tables import csv_bytes, read_cells

STIMULUS_TABLE = "stimuli.csv"

COLUMNS = ("stimulus", "file", "start_seconds", "stop_seconds")
"""Columns of `stimuli.csv`; the last two are optional, and their cells may be empty."""

SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".wav", ".mp3")
"""Suffixes of the files that are clips if there is no `stimuli.csv`."""

MEDIA_SOURCES = ("media", "picture", "sound")
"""Sources of feature parts that are stimuli, see `keras_emotion.pipelines.FeaturePart.sources`."""

LENGTH_TOLERANCE_SECONDS = 0.25
"""Seconds by which a track may end before its trial: some video or audio frames."""

LONGER_SECONDS = 15.0
"""Seconds by which a file must exceed its trial to contain it as an excerpt, whose start the dataset gives."""

SILENCE_DBFS = -50.0
"""Level in dBFS below which a second of audio is silent."""

_RATE_HZ = 16000


@dataclasses.dataclass(frozen=True)
class ClipFacts:
    """Durations of the tracks of a file, from the first video frame or, without video, the first audio sample.

    Args:
        picture_seconds: end of the last frame; `None` without a video track.
        sound_seconds: end of the audio; `None` without an audio track.
    """

    picture_seconds: float | None
    sound_seconds: float | None


def clip_facts(path: Path) -> ClipFacts:
    """Return the durations of the tracks of a file, which is read completely but not decoded.

    Raises:
        InputError: the file is missing, empty or unreadable.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a video or sound file") from None
    if not status.st_size:
        raise InputError(f"{path}: empty file; expected a video or sound file; copy it again")
    return _facts(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _facts(path: Path, n_bytes: int, modified_ns: int) -> ClipFacts:
    # Size and modification time are arguments so that a changed file is read again.
    try:
        with open_media(path) as container:
            # The cover of an album is not a video track.
            pictures = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
            tracks = [*pictures[:1], *container.streams.audio[:1]]
            spans: dict[int, tuple[float, float]] = {}
            for packet in container.demux(tracks) if tracks else ():
                stamp = packet.dts if packet.pts is None else packet.pts
                if packet.size and stamp is not None:
                    start, stop = (float(time * packet.time_base) for time in (stamp, stamp + (packet.duration or 0)))
                    first, last = spans.get(packet.stream.index, (start, stop))
                    spans[packet.stream.index] = min(first, start), max(last, stop)
            picture, sound = (
                next((spans[one.index] for one in some[:1] if one.index in spans), None)
                for some in (pictures, container.streams.audio)
            )
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(
            f"{path}: unreadable ({error_reason(error)}); expected a video or sound file; copy it again"
        ) from None
    # Audio before the first video frame (encoder delay) has negative times.
    if picture is not None:
        origin = picture[0]
    elif sound is not None:
        origin = max(sound[0], 0.0)
    else:
        raise InputError(f"{path}: neither video nor audio; expected a video or sound file; copy it again")
    return ClipFacts(*(None if track is None else track[1] - origin for track in (picture, sound)))


def silent_seconds(clip: Clip) -> int:
    """Count the seconds of a clip whose audio has less energy than `SILENCE_DBFS`; the audio is decoded.

    Raises:
        InputError: the audio cannot be read.
    """
    from keras_emotion.audio import audio_blocks, energy_dbfs

    blocks = audio_blocks(clip.path, _RATE_HZ, 1.0, start_seconds=clip.start_seconds, stop_seconds=clip.stop_seconds)
    whole = (block for block in blocks if block.duration_seconds >= 1.0)
    return sum(bool(energy_dbfs(block.samples, _RATE_HZ, 1.0)[0] < SILENCE_DBFS) for block in whole)


@dataclasses.dataclass(frozen=True)
class StimulusFolder:
    """Folder of clips, one per stimulus of a dataset.

    It has either one file per stimulus, named by its id (`12.mp4`; see `SUFFIXES`), or any files and a `stimuli.csv`
    with the columns `stimulus`, `file` (relative to the folder), `start_seconds` and `stop_seconds`; times are relative
    to the first frame of a video, or the first sample of a sound file. If there is a `stimuli.csv`, only its rows are
    used.

    Args:
        root: the folder.
        clips: clips by stimulus id.
        table: `stimuli.csv`, if it exists.
        lines: line number in `table`, by stimulus.
        problems: problems of the table and the file names.
        unusable: stimuli that `problems` concern.
    """

    root: Path
    clips: Mapping[str, Clip]
    table: Path | None
    lines: Mapping[str, int]
    problems: tuple[Problem, ...]
    unusable: frozenset[str]

    @classmethod
    def read(cls, root: str | Path) -> StimulusFolder:
        """List the clips of a folder without opening them.

        Raises:
            InputError: the folder is missing or has no clips, or `stimuli.csv` cannot be read or lacks a column.
        """
        root = Path(root)
        if not root.is_dir():
            raise InputError(f"{root}: no such folder; expected a folder of stimuli; check the path")
        table = root / STIMULUS_TABLE
        return cls._of_table(root, table) if table.is_file() else cls._of_files(root)

    @classmethod
    def _of_files(cls, root: Path) -> StimulusFolder:
        files = clip_files(root)
        if not files:
            raise InputError(
                f"{root}: no clips; expected one file per stimulus, named by its id ({', '.join(SUFFIXES)}), or "
                f"{STIMULUS_TABLE}; `keras-emotion init-stimuli` writes an initial one"
            )
        problems = [
            Problem(
                root,
                f"{len(paths)} files of stimulus {stimulus}: {', '.join(path.name for path in paths)}; expected one; "
                f"remove the others, or select it in {STIMULUS_TABLE}",
            )
            for stimulus, paths in files.items()
            if len(paths) > 1
        ]
        clips = {stimulus: Clip(paths[0]) for stimulus, paths in files.items() if len(paths) == 1}
        return cls(root, clips, None, {}, tuple(problems), frozenset(files) - frozenset(clips))

    @classmethod
    def _of_table(cls, root: Path, path: Path) -> StimulusFolder:
        cells = read_cells(path)
        cells.columns = cells.columns.str.strip()
        if missing := [name for name in COLUMNS[:2] if name not in cells]:
            raise InputError(
                f"{path}: missing column {', '.join(missing)}; found {', '.join(cells.columns)}; expected "
                f"{', '.join(COLUMNS)}, separated by commas"
            )
        cells = cells.apply(lambda column: column.fillna("").str.strip())
        clips: dict[str, Clip] = {}
        lines: dict[str, int] = {}
        problems: list[Problem] = []
        unusable: set[str] = set()
        for index, row in zip(cells.index, cells.to_dict("records"), strict=True):
            if not any(row.values()):
                continue
            line, stimulus = index + 2, row["stimulus"]
            try:
                if not stimulus:
                    raise ValueError("stimulus is empty; expected its id; fill it in, or remove the row")
                if stimulus in lines:
                    raise ValueError(
                        f"duplicate stimulus {stimulus}, also in line {lines[stimulus]}; expected one row per "
                        "stimulus; remove one of them"
                    )
                lines[stimulus] = line
                clips[stimulus] = _clip_of_row(root, row)
            except ValueError as error:
                problems.append(Problem(path, f"line {line}: {error}"))
                unusable |= {stimulus}
        return cls(root, clips, path, lines, tuple(problems), frozenset(unusable))

    @property
    def files(self) -> tuple[Path, ...]:
        """The existing clips, and `stimuli.csv`, sorted."""
        found = {clip.path for clip in self.clips.values() if clip.path.is_file()}
        return tuple(sorted(found | ({self.table} if self.table else set())))

    @property
    def synthetic(self) -> bool:
        """Whether the files are synthetic data written by this package."""
        return (self.root / SYNTHETIC_MARKER).is_file()

    def clip(self, stimulus: str, seconds: float | None) -> Clip | None:
        """Return the clip of a stimulus, as long as its trial; `None` if there is no usable one.

        Args:
            stimulus: id of the stimulus.
            seconds: duration of the trial, if known.
        """
        clip = None if stimulus in self.unusable else self.clips.get(stimulus)
        if clip is None or not seconds:
            return clip
        stop = clip.start_seconds + seconds
        return dataclasses.replace(clip, stop_seconds=min(stop, clip.stop_seconds or math.inf))

    def find_problems(self, seconds: Mapping[str, float], sources: Sequence[str] = ()) -> list[Problem]:
        """List problems of the folder and of the clips of some stimuli; files are read but not decoded.

        Args:
            seconds: duration of the longest trial of each stimulus, by its id.
            sources: parts of the clips that are read: a clip without video blocks if `"picture"` is among them, one
                without audio if `"sound"` is.
        """
        problems = list(self.problems)
        for stimulus, wanted_seconds in seconds.items():
            if stimulus in self.clips or stimulus not in self.unusable:
                problems += self._problems_of_clip(stimulus, wanted_seconds, sources)
        return problems

    def _problems_of_clip(self, stimulus: str, wanted_seconds: float, sources: Sequence[str]) -> Iterator[Problem]:
        clip = self.clips.get(stimulus)
        if clip is None:
            file = self.table or self.root
            where = "a row with its file" if self.table else f"{stimulus}.mp4 or another of {', '.join(SUFFIXES)}"
            yield Problem(file, f"missing clip of stimulus {stimulus}; expected {where}")
            return
        of_row = f"; it is in line {self.lines[stimulus]} of {STIMULUS_TABLE}" if stimulus in self.lines else ""
        if not clip.path.is_file():
            yield Problem(clip.path, f"no such file; expected the clip of stimulus {stimulus}{of_row}")
            return
        try:
            facts = clip_facts(clip.path)
        except InputError as error:
            yield Problem(clip.path, str(error).removeprefix(f"{clip.path}: "))
            return
        if facts.picture_seconds is None:
            yield Problem(clip.path, "no video track; expected a video", is_blocking="picture" in sources)
        if facts.sound_seconds is None:
            yield Problem(clip.path, "no audio track; expected a clip with audio", is_blocking="sound" in sources)
        ends = {"picture": facts.picture_seconds, "sound": facts.sound_seconds, "clip": clip.stop_seconds}
        there = {track: max(end - clip.start_seconds, 0.0) for track, end in ends.items() if end is not None}
        short = {track: have for track, have in there.items() if have < wanted_seconds - LENGTH_TOLERANCE_SECONDS}
        if short:
            # If the sources are unknown, any short track blocks.
            read = {"picture", "sound"} & set(sources) or {"picture", "sound"}
            lengths = ", ".join(f"{track} of {have:.2f} s" for track, have in short.items())
            yield Problem(
                clip.path,
                f"shorter than the trial: {lengths} from {clip.start_seconds:g} s on; expected the "
                f"{wanted_seconds:g} s of stimulus {stimulus}{of_row}",
                is_blocking=not short.keys().isdisjoint({"clip", *read}),
            )

    def unmatched(self, stimuli: Sequence[str]) -> list[Problem]:
        """List the rows of `stimuli.csv` whose stimulus is not in the dataset; they do not block.

        Args:
            stimuli: all stimuli of the dataset.
        """
        shown = ", ".join(list(stimuli)[:5]) + (", ..." if len(stimuli) > 5 else "")
        return [
            Problem(
                self.root / STIMULUS_TABLE,
                f"line {line}: stimulus {stimulus} is not in the dataset, which has {shown}; correct or remove it",
                is_blocking=False,
            )
            for stimulus, line in self.lines.items()
            if stimulus not in stimuli
        ]


def clip_files(root: Path) -> dict[str, list[Path]]:
    """Return the clip files of a folder (`SUFFIXES`), sorted, by name without suffix."""
    found: dict[str, list[Path]] = {}
    for path in sorted(root.iterdir()):
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith("."):
            found.setdefault(path.stem, []).append(path)
    return found


def _clip_of_row(root: Path, row: Mapping[str, str]) -> Clip:
    """Parse a row of `stimuli.csv`.

    Raises:
        ValueError: the row is invalid.
    """
    if not row["file"]:
        raise ValueError(f"file of stimulus {row['stimulus']} is empty; expected its name; fill it in")
    times = {}
    for name in COLUMNS[2:]:
        try:
            times[name] = float(row[name]) if row.get(name) else None
        except ValueError:
            raise ValueError(f"{name} is {row[name]!r}; expected seconds") from None
    start, stop = times["start_seconds"] or 0.0, times["stop_seconds"]
    if not 0 <= start < math.inf or not (stop is None or start < stop < math.inf):
        raise ValueError(
            f"start_seconds is {start:g} and stop_seconds {'empty' if stop is None else format(stop, 'g')}; expected a "
            "start of 0 or more and a later stop"
        )
    path = root / row["file"]
    if leaves_folder(path, root) and not may_leave_folder():
        raise ValueError(f"file is {row['file']!r}; {ADVICE}")
    return Clip(path, start, stop)


class StimulusReader(Reader):
    """Reader that adds the clips of a stimulus folder to a dataset's trials (`Trial.media`).

    Otherwise it behaves as the dataset's reader. Missing and unusable clips are problems of the subjects whose trials
    need them. If no stimuli are read (`for_sources`), it is replaced by that reader.

    Args:
        reader: reader of the dataset.
        folder: the stimulus folder.
        sources: parts of the clips that are read, see `StimulusFolder.find_problems`.
    """

    name = ""

    def __init__(self, reader: Reader, folder: StimulusFolder, sources: Sequence[str] = ()):
        super().__init__(reader.root)
        self._reader, self._folder, self._sources = reader, folder, tuple(sources)
        self.name, self.class_names, self.code_version = reader.name, reader.class_names, reader.code_version
        self.missing_files_block, self.file_format = reader.missing_files_block, reader.file_format
        self.usual_protocols, self.meaning_of_stimulus = reader.usual_protocols, reader.meaning_of_stimulus
        self.rating_scales = reader.rating_scales
        self.stimuli = folder.root

    @property
    @override
    def kind(self) -> str:
        return self._reader.kind

    @property
    @override
    def subjects(self) -> tuple[SubjectId, ...]:
        return self._reader.subjects

    @property
    @override
    def options(self) -> dict[str, Any]:
        return self._reader.options

    @property
    def synthetic(self) -> bool:
        """Whether the dataset or the clips are synthetic data written by this package."""
        return self._reader.synthetic or self._folder.synthetic

    def reopened(self, root: Path | None = None) -> Reader:
        """See `Reader.reopened`; also reads the stimulus folder again."""
        return StimulusReader(self._reader.reopened(root), StimulusFolder.read(self._folder.root), self._sources)

    @override
    def for_sources(self, sources: Sequence[str]) -> Reader:
        others = tuple(source for source in sources if source not in MEDIA_SOURCES)
        reader = self._reader.for_sources(others) if others else self._reader
        return reader if len(others) == len(sources) else StimulusReader(reader, self._folder, sources)

    @override
    def trials(self, subjects: Sequence[SubjectId] | None = None) -> Iterator[Trial]:
        for trial in self._reader.trials(subjects):
            clip = self._folder.clip(trial.stimulus, trial.duration_seconds)
            yield trial if clip is None else dataclasses.replace(trial, media=clip)

    @override
    def source_files(self, subject: SubjectId) -> tuple[Path, ...]:
        return self._reader.source_files(subject)

    @override
    def video_files(self, subject: SubjectId) -> tuple[Path, ...]:
        return self._reader.video_files(subject)

    @override
    def voice_files(self, subject: SubjectId) -> tuple[Path, ...]:
        return self._reader.voice_files(subject)

    @override
    def eye_files(self, subject: SubjectId) -> tuple[Path, ...]:
        return self._reader.eye_files(subject)

    def media_files(self, subject: SubjectId) -> tuple[Path, ...]:
        """Return all clips of the folder and `stimuli.csv`, and those of the dataset itself."""
        return tuple(dict.fromkeys((*self._reader.media_files(subject), *self._folder.files)))

    @override
    def genders(self) -> Mapping[SubjectId, Gender]:
        return self._reader.genders()

    @override
    def missing_files(self) -> tuple[Problem, ...]:
        return self._reader.missing_files()

    @override
    def notes(self, subjects: Sequence[SubjectId] | None = None) -> list[str]:
        return self._reader.notes(subjects)

    def inspect(self, subject: SubjectId) -> SubjectReport:
        """See `Reader.inspect`; also checks the clips of the subject's stimuli."""
        report = self._reader.inspect(subject)
        problems = self._folder.find_problems(_longest([report.description]), self._sources)
        return SubjectReport(report.description, (*report.problems, *problems))

    def describe(self) -> dict[str, Any]:
        """See `Reader.describe`; adds `stimuli`, with durations of tracks and silence in seconds per stimulus."""
        description = self._reader.describe()
        seconds = _longest(description["subjects"])
        problems = [*self._folder.find_problems(seconds), *self._folder.unmatched(list(seconds))]
        rows = [self._describe_stimulus(stimulus, wanted, problems) for stimulus, wanted in seconds.items()]
        return description | {
            "synthetic": self.synthetic,
            "stimulus_folder": str(self._folder.root),
            "stimuli": rows,
            "problems": [
                *description["problems"],
                *({"file": str(one.file), "subject": None, "message": one.message} for one in problems),
            ],
        }

    def _describe_stimulus(self, stimulus: str, seconds: float, problems: list[Problem]) -> dict[str, Any]:
        """Return a row of `describe`, and add undecodable or completely silent audio to the problems."""
        clip = self._folder.clip(stimulus, seconds)
        row: dict[str, Any] = {"stimulus": stimulus, "trial_seconds": seconds, "file": None, "start_seconds": None}
        row |= dict.fromkeys(("picture_seconds", "sound_seconds", "silent_seconds"))
        if clip is None or not clip.path.is_file():
            return row
        row |= {"file": str(clip.path), "start_seconds": clip.start_seconds}
        try:
            facts = clip_facts(clip.path)
        except InputError:
            return row
        row |= {"picture_seconds": facts.picture_seconds, "sound_seconds": facts.sound_seconds}
        if facts.sound_seconds is not None and facts.sound_seconds > clip.start_seconds:
            try:
                row["silent_seconds"] = silent_seconds(clip)
            except InputError as error:
                problems.append(Problem(clip.path, str(error).removeprefix(f"{clip.path}: ")))
            n_seconds = int(min(clip.stop_seconds or math.inf, facts.sound_seconds) - clip.start_seconds)
            if row["silent_seconds"] is not None and n_seconds and row["silent_seconds"] >= n_seconds:
                problems.append(
                    Problem(clip.path, f"silent throughout: less than {SILENCE_DBFS:g} dBFS", is_blocking=False)
                )
        return row


def with_stimuli(reader: Reader, folder: str | Path) -> StimulusReader:
    """Return a reader that adds the clips of a stimulus folder to the trials.

    Args:
        reader: reader of the dataset.
        folder: the stimulus folder, see `StimulusFolder`.

    Raises:
        InputError: see `StimulusFolder.read`.
    """
    return StimulusReader(reader, StimulusFolder.read(folder))


def _longest(subjects: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the duration of the longest trial of each stimulus in seconds, from descriptions of subjects."""
    seconds: dict[str, float] = {}
    for trial in (trial for subject in subjects for trial in subject["trials"]):
        seconds[trial["stimulus"]] = max(trial["duration_seconds"], seconds.get(trial["stimulus"], 0.0))
    return seconds


# --- initial stimuli.csv


@dataclasses.dataclass(frozen=True)
class FirstStimuli:
    """Result of `write_first_stimuli`.

    Args:
        path: `stimuli.csv`.
        n_stimuli: number of its rows.
        without_file: stimuli without a file of their name: their cells are empty, for the user to fill in.
        cut: stimuli that are excerpts of longer files, which start where the dataset specifies.
        without_start: stimuli with longer files whose start the dataset does not specify.
        not_used: files whose names match no stimulus.
        faults: problems of unreadable files; their rows have no times.
    """

    path: Path
    n_stimuli: int
    without_file: tuple[str, ...]
    cut: tuple[str, ...]
    without_start: tuple[str, ...]
    not_used: tuple[Path, ...]
    faults: tuple[str, ...]


def write_first_stimuli(folder: str | Path, reader: Reader) -> FirstStimuli:
    """Write an initial `stimuli.csv` for a dataset: files matched by name, and the start times of clips.

    In a file that is at least `LONGER_SECONDS` longer than its trials, the clip starts where the dataset specifies
    (`Reader.stimulus_starts`) and lasts as long as the longest trial; all other clips start at 0.

    Args:
        folder: the stimulus folder.
        reader: reader of the dataset; all of its files are read for the stimuli and their durations.

    Raises:
        InputError: the folder is missing, a `stimuli.csv` exists, or it cannot be written.
    """
    folder = Path(folder)
    path = folder / STIMULUS_TABLE
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected the folder with the clips; check the path")
    if path.exists():
        raise InputError(f"{path}: file exists; expected none; move or delete it to write a new one")
    seconds = _longest([reader.inspect(subject).description for subject in reader.subjects])
    files, starts = clip_files(folder), reader.stimulus_starts()
    rows, without_file, faults = [], [], []
    cut: list[str] = []
    without_start: list[str] = []
    for stimulus, trial_seconds in seconds.items():
        found = files.get(stimulus, [])
        row = {"stimulus": stimulus, "file": "", "start_seconds": "", "stop_seconds": ""}
        if len(found) == 1:
            row["file"], lasts = found[0].name, 0.0
            try:
                facts = clip_facts(found[0])
                lasts = max(facts.picture_seconds or 0.0, facts.sound_seconds or 0.0)
            except InputError as error:
                faults.append(str(error))
            if lasts > trial_seconds + LONGER_SECONDS:
                (cut if stimulus in starts else without_start).append(stimulus)
                if stimulus in starts:
                    row["start_seconds"] = f"{starts[stimulus]:g}"
                    row["stop_seconds"] = f"{starts[stimulus] + trial_seconds:g}"
        else:
            without_file.append(stimulus)
        rows.append(row)
    if not rows:
        raise InputError(f"{reader.root}: no trials; expected a dataset with stimuli")
    try:
        # Exclusive: never overwrites a file that was written in the meantime.
        with path.open("xb") as file:
            file.write(csv_bytes(pd.DataFrame(rows, columns=list(COLUMNS))))
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    not_used = [file for stem, paths in files.items() if stem not in seconds or len(paths) > 1 for file in paths]
    return FirstStimuli(
        path, len(rows), tuple(without_file), tuple(cut), tuple(without_start), tuple(not_used), tuple(faults)
    )
