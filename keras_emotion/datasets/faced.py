"""FACED reader: 123 subjects, 28 videos of nine target emotions, 32 channels, twelve self-ratings per video."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from keras_emotion.datasets.faced_files import (
    CHANNEL_ORDERS,
    FACTS,
    FILE_FORMATS,
    ITEMS,
    SCALP,
    VIDEO_FACTS,
    VIDEOS,
    ChannelOrder,
    FileFormat,
    Remark,
    find_files,
    in_ranges,
    read_feature,
    read_features,
    read_parameters,
    read_processed,
    read_recording_info,
    read_remarks,
    remarks_file,
    stimuli_differences,
)
from keras_emotion.datasets.faced_raw import RawRecording, ShownClip, open_recording, read_events
from keras_emotion.datasets.plausibility import PLAUSIBLE_UV, deviations_uv, microvolt_factor
from keras_emotion.datasets.reader import (
    SYNTHETIC_MARKER,
    Gender,
    Problem,
    Reader,
    SubjectReport,
    as_problem,
    describe_trial,
    group_by_trial,
    raise_problems,
    unusable_channels,
)
from keras_emotion.datasets.units import read_unit
from keras_emotion.schema import InputError, Recording, ReleasedFeatures, Trial
from keras_emotion.signals import resample

EMOTION, VALENCE = "emotion", "targeted_valence"
_FORMAT_OF_SOURCE: Mapping[str, FileFormat] = {"recording": "processed", "released_features": "features"}
_FOLDER_NAMES = {name for names in FACTS["folders"].values() for name in names}
LENGTH_TOLERANCE_SECONDS = 0.6
"""Tolerance in seconds between the durations of a clip and its video; real ones differ by up to 0.5 s."""


class FACED(Reader):
    """Reader of FACED: preprocessed signals, raw recordings, or the features that its authors distribute.

    A trial is one video; trial ids are the indices of the videos, 1 to 28, and `Trial.stimulus` is `"video_01"` to
    `"video_28"`: all subjects saw the same videos, so the training and test sets of a subject-independent split share
    all stimuli. `Trial.presentation` is the position of the video in `After_remarks.mat`, or in the events of the
    recording; -1 without either.

    `Trial.split` is the usual one of public benchmarks: training subjects 0 to 79, validation subjects 80 to 99, test
    subjects 100 to 122. Ratings: `emotion` (nine classes) and `targeted_valence` (negative, neutral, positive) are the
    targets of the video, labels of the stimulus rather than self-ratings. Joy, tenderness, inspiration, amusement,
    anger, disgust, fear, sadness, arousal, valence, familiarity and liking are self-ratings, 0 to 7, from
    `After_remarks.mat`. Its rows are in the order of presentation, the preprocessed signals in that of the videos: they
    are joined by the index of the video. If the file is missing, these ratings are left out, which `describe` reports.

    **Preprocessed** (`"processed"`): the last 30 s of each video, stored at 250 Hz, float32, in the order of the videos
    (as in three public loaders). The pickles have no channel names: existing loaders use one of two orders, which agree
    in the first 16 rows (`channel_order`; not verified). Signals whose amplitude indicates volts are converted to
    microvolts.

    **Recordings** (`"raw"`): complete videos between their start and stop events, with channels by name, resampled to
    `sampling_rate_hz`: 68 were recorded at 1000 Hz and 55 at 250 Hz. 33 have no unit: the amplitude of the EEG decides
    between volts and microvolts, which `notes` lists.

    **Features** (`"features"`): `Trial.recording` is `None`, and `Trial.released_features` reads `DE` and `PSD` on
    demand, `(30, 30, 5)`: windows of 1 s, channels, bands. Their channels are in the order of the preprocessed signals.

    The 30 scalp channels are the EEG. A1 and A2 (ears) and, in the second half of the subjects, HEOR and HEOL (EOG)
    were also recorded; their rows of the features are not read.

    Args:
        root: folder with `Processed_data`, `Data` or `EEG_Features`, or one of these itself.
        file_format: `"processed"`, `"raw"` or `"features"`; by default the first that exists.
        channel_order: order of the channels of the preprocessed signals and the features: `"second_batch"` (A2 and A1
            last; TorchEEG, REVE) or `"first_batch"` (A1 and A2 in rows 17 and 18).
        sampling_rate_hz: target sampling rate of signals, without aliasing; `None` keeps each file's own.

    Raises:
        InputError: `root` contains no such files.
        ValueError: an argument is invalid, or the rate is not above 0.

    Example:
        >>> from keras_emotion.datasets import FACED
        >>> for trial in FACED("FACED").trials(subjects=[0]):  # doctest: +SKIP
        ...     print(trial.stimulus, trial.ratings["emotion"], trial.ratings["arousal"], trial.eeg.signal.shape)

    References:
        Chen et al., "A Large Finer-grained Affective Computing EEG Dataset", Scientific Data 10:740, 2023.
    """

    name = "faced"
    usual_protocols: ClassVar[tuple[str, ...]] = ("predefined_split_across_subjects", "subject_disjoint")
    class_names: ClassVar[Mapping[str, tuple[str, ...]]] = {
        EMOTION: tuple(FACTS["class_names"]),
        VALENCE: tuple(FACTS["valence_names"]),
    }

    def __init__(
        self,
        root: str | Path,
        file_format: FileFormat | None = None,
        channel_order: ChannelOrder = "second_batch",
        sampling_rate_hz: float | None = 250.0,
    ):
        super().__init__(root)
        for argument, value, choices in (
            ("file_format", file_format, (None, *FILE_FORMATS)),
            ("channel_order", channel_order, CHANNEL_ORDERS),
        ):
            if value not in choices:
                raise ValueError(f"`{argument}` is {value!r}; expected one of {choices}")
        if sampling_rate_hz is not None and not 0 < sampling_rate_hz < np.inf:
            raise ValueError(f"`sampling_rate_hz` is {sampling_rate_hz}; expected a number above 0, or None")
        self.channel_order, self.sampling_rate_hz = channel_order, sampling_rate_hz
        # Folders of the tables: the root, or its parent if the root is the folder of a format.
        self._home = self.root.resolve().parent if self.root.resolve().name in _FOLDER_NAMES else self.root
        for candidate in FILE_FORMATS if file_format is None else (file_format,):
            self._files = find_files(self.root, candidate)
            if self._files:
                break
        else:
            kinds = FILE_FORMATS if file_format is None else (file_format,)
            examples = {
                "processed": "Processed_data/sub000.pkl",
                "raw": "Data/sub000/data.bdf",
                "features": "EEG_Features/DE/sub000.pkl.pkl",
            }
            raise InputError(
                f"{self.root}: FACED not found; expected {' or '.join(examples[kind] for kind in kinds)}; give the "
                "folder that FACED was unpacked into"
            )
        self.file_format = candidate
        self._parameters = read_parameters(self._home / SYNTHETIC_MARKER)

    @property
    @override
    def options(self) -> dict[str, Any]:
        return {"channel_order": self.channel_order, "sampling_rate_hz": self.sampling_rate_hz}

    # --- files

    @property
    def subjects(self) -> tuple[int, ...]:
        """Numbers of the subjects, from 0, sorted."""
        return tuple(self._files)

    @property
    def synthetic(self) -> bool:
        """Whether the files are synthetic data written by this package."""
        return (self._home / SYNTHETIC_MARKER).is_file()

    @functools.cached_property
    def stimuli_file(self) -> Path | None:
        """Path of the table of videos, or `None`."""
        return self._table(FACTS["stimuli_file"])

    @functools.cached_property
    def info_file(self) -> Path | None:
        """Path of the table of recordings, or `None`."""
        return self._table(FACTS["recording_info_file"])

    def _table(self, name: str) -> Path | None:
        return next((path for path in sorted(self._home.iterdir()) if path.name.lower() == name.lower()), None)

    def source_files(self, subject: int) -> tuple[Path, ...]:
        """Return the subject's files, its self-ratings, and the tables of videos and recordings, if available."""
        (subject,) = self.select([subject])
        beside = (remarks_file(self._home, subject), self.stimuli_file, self.info_file)
        return (*(path for path in self._files[subject] if path.is_file()), *filter(None, beside))

    def for_sources(self, sources: Sequence[str]) -> FACED:
        """Return the reader of the signals or of the features; see `Reader.for_sources`.

        Raises:
            InputError: the files are missing, or both are requested.
        """
        wanted = {_FORMAT_OF_SOURCE[source] for source in sources if source in _FORMAT_OF_SOURCE}
        if len(wanted) > 1:
            raise InputError(
                f"{self.root}: signals and released features cannot be read together; expected one of them; choose "
                "features of one kind"
            )
        has_signals = self.file_format != "features"
        if not wanted or wanted == {"processed" if has_signals else "features"}:
            return self
        return type(self)(self._home, file_format=wanted.pop(), **self.options)

    def genders(self) -> Mapping[int, Gender]:
        """See `Reader.genders`; from the table of recordings."""
        names: Mapping[str, Gender] = {"F": "female", "M": "male"}
        letters = {subject: row["Gender"].strip().upper()[:1] for subject, row in self._info.items()}
        return {subject: names[letter] for subject, letter in letters.items() if letter in names}

    @functools.cached_property
    def _info(self) -> dict[int, dict[str, str]]:
        return {} if self.info_file is None else read_recording_info(self.info_file)

    def missing_files(self) -> tuple[Problem, ...]:
        """Return subjects without files, and problems of the tables."""
        problems = list(self._table_problems)
        expected = self._parameters.get("subjects", range(FACTS["n_subjects"]))
        if missing := [f"sub{subject:03d}" for subject in expected if subject not in self._files]:
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            message = f"no files of {', '.join(missing[:5])}{more}; expected {len(expected)} subjects; copy the others"
            problems.append(Problem(self.root, message, is_blocking=False))
        return tuple(problems)

    @functools.cached_property
    def _table_problems(self) -> tuple[Problem, ...]:
        problems = []
        if self.stimuli_file is not None:
            try:
                lines = stimuli_differences(self.stimuli_file)
            except InputError as error:
                lines = [str(error).removeprefix(f"{self.stimuli_file}: ")]
            if lines and not self.synthetic:
                lines = [f"{line}; check the version of the dataset" for line in lines]
            problems += [Problem(self.stimuli_file, line, is_blocking=False) for line in lines]
        if self.info_file is not None:
            try:
                _ = self._info
            except InputError as error:
                message = str(error).removeprefix(f"{self.info_file}: ")
                problems.append(Problem(self.info_file, message, is_blocking=False))
        return tuple(problems)

    def notes(self, subjects: Sequence[int] | None = None) -> list[str]:
        """See `Reader.notes`; adds the channel order, or the units and rates of the recordings."""
        chosen = self.select(subjects)
        if self.file_format != "raw":
            return [
                f"the pickles have no channel names: read in the order {self.channel_order} "
                "(--reader.channel-order; public loaders differ)"
            ]
        by_note: dict[str, list[str]] = {}
        for subject in chosen:
            try:
                recording = self._recording(subject, self._clips(subject))
            except InputError:
                continue
            found = list(recording.notes)
            if not recording.has_unit:
                found.append(f"no unit in the file; read as {recording.unit} because of its amplitude")
            if self.sampling_rate_hz not in (None, recording.sampling_rate_hz):
                found.append(f"resampled from {recording.sampling_rate_hz:g} Hz to {self.sampling_rate_hz:g} Hz")
            for note in found:
                by_note.setdefault(note, []).append(f"sub{subject:03d}")
        return [f"{note}: {', '.join(names)}" for note, names in by_note.items()]

    def describe(self) -> dict[str, Any]:
        """See `Reader.describe`; adds `notes`."""
        return super().describe() | {"notes": self.notes()}

    # --- trials

    def trials(self, subjects: Sequence[int] | None = None) -> Iterator[Trial]:
        """Yield the trials of some subjects (default: all), in the order of the videos; see `Reader.trials`."""
        for subject in self.select(subjects):
            remarks = self._remarks(subject)
            for video, recording in self._recordings(subject, remarks):
                if recording is not None:
                    lines = group_by_trial({video: unusable_channels(recording, SCALP)})
                    raise_problems([Problem(self._files[subject][0], line, subject) for line in lines])
                yield self._trial(subject, video, recording, remarks)

    def _recordings(self, subject: int, remarks: Mapping[int, Remark]) -> Iterator[tuple[int, Recording | None]]:
        """Yield the signal of each video, in the order of the videos; `None` for features."""
        if self.file_format == "raw":
            clips = self._clips(subject)
            self._compare_orders(subject, clips, remarks)
            recording = self._recording(subject, clips)
            for clip in sorted(clips, key=lambda clip: clip.video):
                yield clip.video, recording.clip(clip, self.sampling_rate_hz)
        elif self.file_format == "processed":
            (path,) = self._files[subject]
            array = read_processed(path)
            factor = _factor_of(path, array)
            names = tuple(FACTS["channel_orders"][self.channel_order])
            own_rate = FACTS["processed"]["sampling_rate_hz"]
            rate = self.sampling_rate_hz or own_rate
            for video in VIDEOS:
                # float32 is sufficient for the amplifier's 24 bits, some of which are noise.
                signal = np.array(array[video - 1] * factor, dtype=np.float32, order="C")
                if rate != own_rate:
                    signal = np.ascontiguousarray(resample(signal, own_rate, rate))
                yield video, Recording(signal, names, ("uV",) * len(names), float(rate), source=path)
        else:
            for path in self._files[subject]:
                read_features(path)
            yield from ((video, None) for video in VIDEOS)

    def _trial(self, subject: int, video: int, recording: Recording | None, remarks: Mapping[int, Remark]) -> Trial:
        remark, known = remarks.get(video), VIDEO_FACTS[video]
        ratings = {
            EMOTION: float(FACTS["class_names"].index(known.emotion)),
            VALENCE: float(FACTS["valence_names"].index(known.valence)),
        }
        if remark is not None:
            ratings |= zip(ITEMS, remark.scores, strict=True)
        return Trial(
            dataset=self.name,
            subject=subject,
            trial=video,
            presentation=-1 if remark is None else remark.presentation,
            stimulus=f"video_{video:02d}",
            recording=recording,
            eeg_channel_names=() if recording is None else tuple(n for n in recording.channel_names if n in SCALP),
            ratings=ratings,
            released_features=self._features(subject, video) if self.file_format == "features" else None,
            split=_part_of(subject),
        )

    def _features(self, subject: int, video: int) -> ReleasedFeatures:
        facts, order = FACTS["features"], FACTS["channel_orders"][self.channel_order]
        names = tuple(name for name in order if name in SCALP)
        rows = [order.index(name) for name in names]
        files = {path.parent.name: path for path in self._files[subject]}

        return ReleasedFeatures(
            source=next(iter(files.values())),
            names=tuple(files),
            channel_names=names,
            bands={band: (float(low), float(high)) for band, (low, high) in facts["bands"].items()},
            window_seconds=float(facts["window_seconds"]),
            smoothed=frozenset(),
            read=functools.partial(_read_named, files, video, rows),
        )

    def _remarks(self, subject: int) -> dict[int, Remark]:
        """Read self-ratings; for raw recordings without them, only the order of the videos."""
        path = remarks_file(self._home, subject)
        return {} if path is None else read_remarks(path)

    def _clips(self, subject: int) -> tuple[ShownClip, ...]:
        return read_events(self._files[subject][1])

    def _recording(self, subject: int, clips: Sequence[ShownClip]) -> RawRecording:
        return open_recording(self._files[subject][0], clips)

    def _compare_orders(self, subject: int, clips: Sequence[ShownClip], remarks: Mapping[int, Remark]) -> None:
        """Refuse events that contradict the order of the self-ratings."""
        shown = [clip.video for clip in clips if clip.video in remarks]
        if shown != sorted(shown, key=lambda video: remarks[video].presentation):
            raise InputError(
                f"{self._files[subject][1]}: order of videos differs from {FACTS['raw']['remarks']}; the files do "
                "not belong together: copy both again"
            )

    # --- what is wrong

    def inspect(self, subject: int) -> SubjectReport:
        """Check all data of one subject; see `Reader.inspect`."""
        (subject,) = self.select([subject])
        path = self._files[subject][0]
        beside = [*self._files[subject], *filter(None, [remarks_file(self._home, subject)])]
        problems, trials, rates = [], [], set()
        faults: dict[int, Sequence[str]] = {}
        try:
            remarks = self._remarks(subject)
        except InputError as error:
            remarks = {}
            problems.append(as_problem(error, subject, path, *beside))
        try:
            for video, recording in self._recordings(subject, remarks):
                trial = self._trial(subject, video, recording, remarks)
                if recording is not None:
                    faults[video] = unusable_channels(recording, SCALP)
                    rates.add(recording.sampling_rate_hz)
                    trials.append(describe_trial(trial))
                else:
                    try:
                        trials.append(describe_trial(trial))
                        released = self._features(subject, video)
                        for name in released.names:
                            released.read(name)
                    except InputError as error:
                        problems.append(as_problem(error, subject, path, *beside))
        except InputError as error:
            problems.append(as_problem(error, subject, path, *beside))
        problems += [Problem(path, line, subject) for line in group_by_trial(faults)]
        problems += self._gaps(subject, remarks, [trial["trial"] for trial in trials])
        if self.file_format == "raw":
            problems += self._differences(subject)
        report: dict[str, Any] = {
            "subject": subject,
            "file": str(path),
            "n_channels": FACTS["processed"]["n_channels"],
            "trials": trials,
        }
        if rates:
            report["sampling_rate_hz"] = max(rates)
        own = [Problem(one.file, one.message, subject, one.is_blocking) for one in problems]
        return SubjectReport(report, tuple(own))

    def _gaps(self, subject: int, remarks: Mapping[int, Remark], videos: Sequence[int]) -> list[Problem]:
        """Return missing self-ratings, videos and features, which do not block."""
        folder = self._files[subject][0].parent
        problems = []
        file = remarks_file(self._home, subject)
        if file is None:
            message = f"missing {FACTS['raw']['remarks']} of sub{subject:03d}; self-ratings are left out"
            problems.append(Problem(folder, message, subject, False))
        elif missing := [str(video) for video in VIDEOS if remarks and video not in remarks]:
            message = f"missing self-ratings of video {', '.join(missing)}"
            problems.append(Problem(file, message, subject, False))
        if videos and (missing := [str(video) for video in VIDEOS if video not in videos]):
            problems.append(Problem(folder, f"sub{subject:03d}: missing video {', '.join(missing)}", subject, False))
        if self.file_format == "features":
            names = {path.parent.name for path in self._files[subject]}
            if missing := [name for name in FACTS["features"]["names"] if name not in names]:
                message = f"sub{subject:03d}: missing {', '.join(missing)}"
                problems.append(Problem(folder.parent, message, subject, False))
        return problems

    def _differences(self, subject: int) -> list[Problem]:
        """Return differences between a recording and its known or tabulated properties, which do not block."""
        try:
            clips = self._clips(subject)
            recording = self._recording(subject, clips)
        except InputError:
            return []
        events = self._files[subject][1]
        seconds = self._parameters.get("clip_seconds")
        expected = {video: seconds or known.seconds for video, known in VIDEO_FACTS.items()}
        problems = [
            Problem(
                events,
                f"video {clip.video}: duration of {clip.stop_seconds - clip.start_seconds:.2f} s; expected "
                f"{expected[clip.video]:g} s",
                subject,
                False,
            )
            for clip in clips
            if abs(clip.stop_seconds - clip.start_seconds - expected[clip.video]) > LENGTH_TOLERANCE_SECONDS
        ]
        unit = recording.unit if recording.has_unit else "no unit"
        own = {"rate": f"{recording.sampling_rate_hz:g} Hz", "unit": unit}
        for what, known in self._known_of_recording(subject).items():
            for where, expected in known.items():
                found = recording.unit if where == FACTS["recording_info_file"] and what == "unit" else own[what]
                if found != expected:
                    message = f"{found}; expected {expected} by {where}; check that the file is of this subject"
                    problems.append(Problem(recording.path, f"sub{subject:03d}: {message}", subject, False))
        return problems

    def _known_of_recording(self, subject: int) -> dict[str, dict[str, str]]:
        """Return the expected rate and unit of a recording, by source."""
        if subject >= FACTS["n_subjects"]:
            return {}
        facts, table, known = FACTS["raw"], FACTS["recording_info_file"], "the known facts of FACED"
        rates = {known: f"{next(one[2] for one in facts['rates_hz'] if one[0] <= subject <= one[1]):g} Hz"}
        units = {known: "no unit" if in_ranges(subject, facts["subjects_without_unit"]) else "uV"}
        row = self._info.get(subject, {}) if not self._table_problems else {}
        if row.get("Sample_rate", "").strip().isdecimal():
            rates[table] = f"{int(row['Sample_rate'])} Hz"
        spelt = read_unit(row.get("Unit"))
        if spelt.is_voltage:
            units[table] = "V" if spelt.factor > 1 else "uV"
        return {"rate": rates, "unit": units}


def _part_of(subject: int) -> str:
    """Return a subject's part of the usual split; empty if the subject is not of the dataset."""
    spans = FACTS["usual_split"].items()
    return next((part for part, (first, last) in spans if first <= subject <= last), "")


def _read_named(files: Mapping[str, Path], video: int, rows: Sequence[int], name: str) -> np.ndarray:
    if name not in files:
        raise InputError(
            f"{next(iter(files.values())).parent.parent}: missing feature {name}; found {', '.join(files)}; copy it"
        )
    return read_feature(files[name], video, rows)


def _factor_of(path: Path, array: np.ndarray) -> float:
    """Return the factor from preprocessed signals to microvolts: 1, or a million for volts.

    Raises:
        InputError: the amplitude is not that of EEG in either unit.
    """
    size = float(np.median(deviations_uv(array[0], FACTS["processed"]["sampling_rate_hz"])))
    factor = microvolt_factor(size)
    if factor is None and np.isfinite(size) and size > 0:
        low, high = PLAUSIBLE_UV
        raise InputError(
            f"{path}: EEG has a standard deviation of {size:.3g} per second (median over channels and seconds); "
            f"expected {low:g} to {high:g} in microvolts, or the same in volts; copy the file again"
        )
    return factor or 1.0
