"""Reader of the user's own recordings: files of any common format, and a table of their trials."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from typing_extensions import override

from keras_emotion.datasets.electrodes import CHANNEL_FILE, Channel, ChannelTable
from keras_emotion.datasets.plausibility import deviations_uv, size_advice, size_fault
from keras_emotion.datasets.reader import (
    Problem,
    Reader,
    SubjectId,
    SubjectReport,
    as_problem,
    describe_trial,
    group_by_trial,
    raise_problems,
    unusable_channels,
)
from keras_emotion.datasets.recording_files import RecordingFile, files_of, open_recording
from keras_emotion.datasets.trial_table import TrialRow, TrialTable
from keras_emotion.faces import video_facts
from keras_emotion.schema import InputError, Recording, Trial
from keras_emotion.signals import grid_positions, rate_ratio, resample

FileFormat = Literal["table"]

RESAMPLING_MARGIN = 128
"""Samples (of the lower rate) read before and after a trial for resampling, and then removed."""

VIDEO_TOLERANCE_SECONDS = 0.5
"""Seconds by which a video may end before its trial: headers are inexact, and the last frame lasts for a while."""

LONGER_VIDEO_SECONDS = 5.0
"""Seconds by which a video of one trial may be longer than it, as for the face features."""


class Recordings(Reader):
    """Reader of a folder of own recordings (or a BIDS tree), with a table of their trials.

    **`trials.csv`**, in the folder, has one row per trial. Columns: `subject` and `trial` (1-based; unique within a
    subject, or within a session of it), `file` (path relative to the folder), `start_seconds` and `stop_seconds` (from
    the first sample of the file, by the file's own clock if it has one, as in EDF+D; `start` is stimulus onset).
    Optional columns: `stimulus` (the same name for all subjects who were shown it; without it, all trials are assumed
    to have different stimuli), `session` (a number or a name; 1), `presentation`, `baseline_seconds` (before the start;
    0), `video` (path relative to the folder) and `video_offset_seconds` (time of the trial's start in the video; the
    video may then contain several trials; without it, the video is of this trial alone), `split` (`train`, `validation`
    or `test`, or folds `fold_1`, `fold_2`, for the protocols `predefined_split`: in every row, or not at all),
    `recorded_together` (an id of the group of subjects who were recorded together in the trial, so that their responses
    depend on each other; splits keep a group in one set). Every other column is a rating: numbers, or class names
    (`class_names`, in order of first occurrence). An empty rating is missing: the trial is left out if it is the
    target, which `describe` reports.

    **Recordings**: MNE's formats (`.set`, `.edf`, `.bdf`, `.vhdr`, `.fif`, `.cnt`, `.mff`, ...), XDF, files of Mind
    Monitor, OpenBCI, Emotiv, g.tec and FieldTrip (docs/formats.md lists all); `.npy` and `.mat` with a sidecar
    (`<name>.json`, or `recordings.json` for a whole folder: `sampling_rate_hz`, `channel_names`, `unit`, `axes`, and
    `variable` for `.mat`); files of a BIDS tree (`dataset_description.json` in the folder) through mne-bids, which has
    to be installed.

    **Channels** are identified by name. Electrodes get their 10-5 spelling (`EEG FP1-REF`, `Fc5.` and `T3` become
    `Fp1`, `FC5` and `T7`); A1, A2, ... are the sockets of a BioSemi cap if all of a cap are present. Channels that are
    EOG, EMG, ECG, GSR, respiration or temperature according to the file, or to the prefix of the name, are in the
    recording in addition to the EEG. An EEG channel with another name needs coordinates, in the file or in
    **`channels.csv`**, which is optional and adds information that the files lack, one row per channel or pattern
    (`EXG*`): `name`, `kind` (eeg, eog, ecg, emg, gsr, resp, temperature, ppg, bio, misc, or none to leave it out),
    `electrode` (its 10-5 position), `factor` (a scale factor for its values; `*` matches all channels), `x`, `y` and
    `z` (coordinates: right, front, up). `keras-emotion init-channels` writes an initial one.

    **Interruptions**: a trial across an interruption of the recording (EDF+D, BrainVision's `New Segment`, EEGLAB's
    `boundary`, pauses in FIF and MFF, segments that MNE joined) is refused. A channel that the file marks as bad
    (`bads`, BIDS `status`) is left out of its trials; windows that overlap a segment annotated as bad (`BAD_...`) are
    dropped and counted.

    Voltages are converted to microvolts. EEG of implausible amplitude, typically volts read as microvolts or the
    reverse, is refused with the `factor` that would make it plausible: nothing is rescaled by guessing.

    Args:
        root: the folder.
        file_format: `"table"`, the only format, or `None`.
        sampling_rate_hz: target sampling rate: anti-aliased (`keras_emotion.signals.resample`), with stimulus onset
            exactly at a sample; `None` keeps each file's own.

    Raises:
        InputError: `root` is not a folder, or lacks a readable `trials.csv` or `channels.csv`.
        ValueError: an argument is out of range.

    Example:
        >>> from keras_emotion.datasets import Recordings
        >>> for trial in Recordings("my_study", sampling_rate_hz=128).trials():  # doctest: +SKIP
        ...     print(trial.subject, trial.stimulus, trial.ratings["valence"], trial.eeg.signal.shape)
    """

    name = "recordings"
    missing_files_block = True

    def __init__(self, root: str | Path, file_format: FileFormat | None = None, sampling_rate_hz: float | None = None):
        super().__init__(root)
        if file_format not in (None, *get_args(FileFormat)):
            raise ValueError(f"`file_format` is {file_format!r}; expected one of {(None, *get_args(FileFormat))}")
        if sampling_rate_hz is not None and not 0 < sampling_rate_hz < np.inf:
            raise ValueError(f"`sampling_rate_hz` is {sampling_rate_hz}; expected a number above 0, or None")
        self.file_format = "table"
        self.sampling_rate_hz = sampling_rate_hz
        self.table = TrialTable.read(self.root)
        self.channel_table = ChannelTable(self.root / CHANNEL_FILE)
        self.class_names: Mapping[str, tuple[str, ...]] = self.table.class_names

    @property
    @override
    def options(self) -> dict[str, Any]:
        return {"sampling_rate_hz": self.sampling_rate_hz}

    @property
    def subjects(self) -> tuple[int | str, ...]:
        """Subjects in the table, sorted; integers if all are integers."""
        return self.table.subjects

    def source_files(self, subject: int | str) -> tuple[Path, ...]:
        """Return the subject's recordings, with their additional files, and the tables."""
        (subject,) = self.select([subject])
        recordings = dict.fromkeys(row.file for row in self.table.of_subject(subject))
        files = dict.fromkeys(file for recording in recordings for file in files_of(recording, self.root))
        channels = [self.channel_table.path] if self.channel_table.path.is_file() else []
        return (*files, self.table.path, *channels)

    @override
    def video_files(self, subject: int | str) -> tuple[Path, ...]:
        (subject,) = self.select([subject])
        return tuple(dict.fromkeys(row.video for row in self.table.of_subject(subject) if row.video is not None))

    def trials(self, subjects: Sequence[int | str] | None = None) -> Iterator[Trial]:
        """Yield the trials of some subjects (default: all), by session and trial id; see `Reader.trials`.

        One trial is in memory at a time.
        """
        raise_problems(self.missing_files())
        for subject in self.select(subjects):
            rows = self.table.of_subject(subject)
            raise_problems(self._table_problems(subject))
            raise_problems(
                problem for row in rows for problem in [*self._file_problems(row), *self._video_problems(row)]
            )
            for row in rows:
                trial = self._trial(row)
                faults = unusable_channels(trial.required_recording, trial.eeg_channel_names)
                raise_problems(self._signal_problems(row, {row.trial: faults}, {row.trial: _size_uv(trial)}))
                yield trial

    def inspect(self, subject: int | str) -> SubjectReport:
        """Check all data of one subject; see `Reader.inspect`."""
        (subject,) = self.select([subject])
        rows = self.table.of_subject(subject)
        problems = self._table_problems(subject)
        trials, rates, n_channels = [], set(), set()
        # By file and session, which are independent: a file may have several sessions, and a session several files.
        of_session: dict[tuple[Path, SubjectId], tuple[TrialRow, dict[int, tuple[str, ...]], dict[int, float]]] = {}
        for row in rows:
            problems += self._video_problems(row)
            if found := self._file_problems(row):
                problems += found
                continue
            try:
                trial = self._trial(row)
            except InputError as error:
                problems += _problems_of(error, subject, row.file)
                continue
            _, faults, sizes_uv = of_session.setdefault((row.file, row.session), (row, {}, {}))
            faults[row.trial] = unusable_channels(trial.required_recording, trial.eeg_channel_names)
            sizes_uv[row.trial] = _size_uv(trial)
            trials.append(describe_trial(trial))
            rates.add(trial.required_recording.sampling_rate_hz)
            n_channels.add(len(trial.required_recording.channel_names))
        problems += [problem for of_trials in of_session.values() for problem in self._signal_problems(*of_trials)]
        files = list(dict.fromkeys(row.file for row in rows))
        description = {
            "subject": subject,
            "file": str(files[0] if len(files) == 1 else self.root),
            "sampling_rate_hz": max(rates, default=0.0),
            "n_channels": max(n_channels, default=0),
            "trials": trials,
        }
        return SubjectReport(description, tuple(problems))

    def missing_files(self) -> tuple[Problem, ...]:
        """Return problems of the table as a whole, or of rows without a subject."""
        return tuple(problem for problem in self.table.problems if problem.subject is None)

    def notes(self, subjects: Sequence[int | str] | None = None) -> list[str]:
        """See `Reader.notes`: warnings of readers, and assumptions about channels and annotations, by file."""
        files: dict[str, list[str]] = {}
        chosen = self.select(subjects)
        for file in dict.fromkeys(row.file for row in self.table.rows if row.subject in chosen):
            try:
                opened = self._open(file)
            except InputError:
                continue
            of_trials = [row for row in self.table.rows if row.file == file]
            for note in (*opened.notes, _grid_note(opened), *_notes_on_bad(opened, of_trials)):
                if note:
                    files.setdefault(note, []).append(str(file.relative_to(self.root)))
        return [f"{', '.join(names)}: {note}" for note, names in files.items()]

    def describe(self) -> dict[str, Any]:
        """See `Reader.describe`; adds `notes`."""
        return super().describe() | {"notes": self.notes()}

    # --- one trial

    def _open(self, path: Path) -> RecordingFile:
        """Open a recording; the last one stays open, since trials of a file are consecutive."""
        return self._opened(path)

    @functools.cached_property
    def _opened(self):
        return functools.lru_cache(maxsize=1)(lambda path: open_recording(path, self.root, self.channel_table))

    def __getstate__(self) -> dict[str, Any]:
        # An open file cannot be pickled.
        return {name: value for name, value in self.__dict__.items() if name != "_opened"}

    def _trial(self, row: TrialRow) -> Trial:
        opened = self._open(row.file)
        return Trial(
            dataset=self.name,
            subject=row.subject,
            trial=row.trial,
            stimulus=row.stimulus,
            recording=_recording(opened, row, self.sampling_rate_hz),
            eeg_channel_names=tuple(channel.name for channel in _good_channels(opened) if channel.kind == "eeg"),
            ratings=row.ratings,
            session=row.session,
            presentation=row.presentation,
            video=row.video,
            video_offset_seconds=row.video_offset_seconds,
            split=row.split,
            recorded_together=row.recorded_together,
        )

    # --- what is wrong

    def _table_problems(self, subject: int | str) -> list[Problem]:
        return [problem for problem in self.table.problems if problem.subject == subject]

    def _file_problems(self, row: TrialRow) -> list[Problem]:
        """Return what prevents reading the signal of a row, by the header of its recording."""
        try:
            opened = self._open(row.file)
        except InputError as error:
            return _problems_of(error, row.subject, row.file)
        axis, half = opened.time_axis, 0.5 / opened.sampling_rate_hz
        if row.stop_seconds > axis.stop_seconds + half:
            message = f"stop_seconds is {row.stop_seconds:g}, but {row.file.name} ends after {axis.stop_seconds:g} s"
        elif interruption := _interruption(opened, row):
            message = interruption
        elif not any(channel.kind == "eeg" for channel in _good_channels(opened)):
            message = f"all EEG channels of {row.file.name} are marked as bad; expected a good one; remove the trial"
        else:
            return []
        return [Problem(self.table.path, f"line {row.line}: {message}", row.subject)]

    def _signal_problems(
        self, row: TrialRow, faults: Mapping[int, Sequence[str]], sizes_uv: Mapping[int, float]
    ) -> list[Problem]:
        """Return problems of the signals of one file and session, of which `row` is one trial; by trial."""
        lines = [*group_by_trial(faults), *_unit_faults(sizes_uv)]
        if not lines:
            return []
        has_sessions = len({other.session for other in self.table.of_subject(row.subject)}) > 1
        where = f"session {row.session}, " if has_sessions else ""
        return [Problem(row.file, f"{where}{line}", row.subject) for line in lines]

    def _video_problems(self, row: TrialRow) -> list[Problem]:
        """Return problems of the video of a row, by its header."""
        if row.video is None:
            return []
        try:
            seconds = video_facts(row.video).duration_seconds
        except InputError as error:
            return _problems_of(error, row.subject, row.video)
        needed = (row.video_offset_seconds or 0.0) + row.duration_seconds
        if seconds and row.video_offset_seconds is None and seconds > needed + LONGER_VIDEO_SECONDS:
            message = (
                f"line {row.line}: video {row.video.name} lasts {seconds:.1f} s; expected {needed:.1f} s, the duration "
                "of the trial; give the time of the trial's start in the video (video_offset_seconds; 0 for the first "
                "frame), or its faces are not used"
            )
            return [Problem(self.table.path, message, row.subject, False)]
        if not seconds or seconds >= needed - VIDEO_TOLERANCE_SECONDS:
            return []
        message = (
            f"line {row.line}: video {row.video.name} lasts {seconds:.1f} s; expected {needed:.1f} s, offset and trial"
        )
        return [Problem(self.table.path, message, row.subject)]


def _grid_note(opened: RecordingFile) -> str:
    """Return why the EEG does not fit the electrode grid, which only some systems require; empty if it does."""
    eeg = [channel for channel in opened.channels if channel.kind == "eeg"]
    try:
        grid_positions([channel.name for channel in eeg], directions=np.array([channel.direction for channel in eeg]))
    except InputError as error:
        return f"for systems with an electrode grid: {error} (kind none in {CHANNEL_FILE})"
    return ""


def _notes_on_bad(opened: RecordingFile, rows: Sequence[TrialRow]) -> list[str]:
    """Return notes on bad channels, which are left out, and on the bad segments of each trial."""
    notes = []
    if opened.bad_channels:
        notes.append(f"channels marked as bad in the file, left out: {', '.join(opened.bad_channels)}")
    axis, by_trial = opened.time_axis, []
    for row in rows:
        start, stop = axis.sample_at(row.start_seconds), axis.sample_at(row.stop_seconds)
        inside = [
            (max(span.start_sample, start), min(span.stop_sample, stop), span.reason)
            for span in opened.bad_spans
            if span.start_sample < stop and span.stop_sample > start
        ]
        if inside:
            # Segments may overlap.
            is_bad = np.zeros(stop - start, dtype=bool)
            for first, last, _ in inside:
                is_bad[first - start : last - start] = True
            reasons = ", ".join(dict.fromkeys(reason for *_, reason in inside))
            by_trial.append(f"line {row.line}: {is_bad.sum() / opened.sampling_rate_hz:g} s ({reasons})")
    if by_trial:
        notes.append(f"segments annotated as bad, whose windows are not used: {'; '.join(by_trial)}")
    return notes


def _problems_of(error: InputError, subject: int | str, file: Path) -> list[Problem]:
    return [as_problem(InputError(line), subject, file) for line in str(error).splitlines()]


def _good_channels(opened: RecordingFile) -> list[Channel]:
    """Return the channels that the file does not mark as bad."""
    return [channel for channel in opened.channels if channel.name not in opened.bad_channels]


def _interruption(opened: RecordingFile, row: TrialRow) -> str:
    """Return what interrupts a trial or its baseline; empty if nothing does."""
    axis, half = opened.time_axis, 0.5 / opened.sampling_rate_hz
    begins = max(row.start_seconds - row.baseline_seconds, 0.0)
    for gap in opened.gaps:
        after = axis.seconds_of(gap.sample)
        # A trial may end where a gap starts, and start where it ends.
        if begins < after - half and row.stop_seconds > after - gap.jump_seconds + half:
            lost = "unknown duration" if gap.lost_seconds is None else f"{gap.lost_seconds:g} s missing"
            at = f"{after - gap.jump_seconds:g} s"
            return _interrupted(row, begins, f"at {at} ({gap.reason}; {lost})")
    for span in opened.bad_spans:
        start, stop = axis.seconds_of(span.start_sample), axis.seconds_of(span.stop_sample - 1) + 2 * half
        if not span.has_signal and begins < stop - half and row.stop_seconds > start + half:
            return _interrupted(row, begins, f"from {start:g} to {stop:g} s ({span.reason}; no signal)")
    return ""


def _interrupted(row: TrialRow, begins: float, where: str) -> str:
    baseline = " with its baseline" if row.baseline_seconds else ""
    return (
        f"the trial{baseline} lasts from {begins:g} to {row.stop_seconds:g} s, but {row.file.name} was interrupted "
        f"{where}; expected an uninterrupted trial; end or start it there, or remove the row"
    )


def _piece(opened: RecordingFile, sample: int) -> tuple[int, int]:
    """Return the first sample, and the sample after the last, of the uninterrupted segment around a sample."""
    first, stop = opened.time_axis.piece_at(sample)
    for span in opened.bad_spans:
        if not span.has_signal and span.stop_sample <= sample:
            first = max(first, span.stop_sample)
        elif not span.has_signal and span.start_sample > sample:
            stop = min(stop, span.start_sample)
    return first, stop


def _recording(opened: RecordingFile, row: TrialRow, target_rate_hz: float | None) -> Recording:
    """Return the segment of a recording that is a trial, with its baseline, at the target rate."""
    rate_hz = opened.sampling_rate_hz
    new_rate_hz = target_rate_hz or rate_hz
    ratio = rate_ratio(rate_hz, new_rate_hz)
    onset = opened.time_axis.sample_at(row.start_seconds)
    # Samples beyond a gap are not part of the trial, and must not affect it through the resampling filter.
    first, last = _piece(opened, onset)
    stop = min(onset + round(row.duration_seconds * rate_hz), last)
    n_baseline = min(round(row.baseline_seconds * rate_hz), onset - first)
    if ratio == 1:
        signal, new_rate_hz = opened.read(onset - n_baseline, stop), rate_hz
    else:
        # Whole decimation steps before the onset, so that it is exactly at a sample of the new rate; if the file starts
        # too late, its first sample is repeated.
        step = ratio.denominator
        longest: Any = max(1, 1 / ratio)
        margin = math.ceil(RESAMPLING_MARGIN * longest)
        before = math.ceil((n_baseline + margin) / step) * step
        n_lacking = max(before - (onset - first), 0)
        read = opened.read(onset - before + n_lacking, min(stop + margin, last))
        resampled = resample(np.pad(read, ((0, 0), (n_lacking, 0)), mode="edge"), rate_hz, new_rate_hz)
        onset_after = int(before * ratio)
        n_samples = min(round((stop - onset) * ratio), resampled.shape[1] - onset_after)
        n_baseline = round(row.baseline_seconds * new_rate_hz)
        signal = np.ascontiguousarray(resampled[:, onset_after - n_baseline : onset_after + n_samples])
    spans = ((span.start_sample - onset, span.stop_sample - onset, span.reason) for span in opened.bad_spans)
    begins, ends = -n_baseline / new_rate_hz, (stop - onset) / rate_hz
    recording = Recording(
        signal=signal,
        channel_names=tuple(channel.name for channel in opened.channels),
        units=opened.units,
        sampling_rate_hz=float(new_rate_hz),
        baseline_seconds=n_baseline / new_rate_hz,
        source=opened.path,
        electrode_directions=np.array([channel.direction for channel in opened.channels]),
        bad_spans=tuple(
            (start / rate_hz, stop / rate_hz, reason)
            for start, stop, reason in spans
            if start / rate_hz < ends and stop / rate_hz > begins
        ),
    )
    return recording.pick([channel.name for channel in _good_channels(opened)]) if opened.bad_channels else recording


def _size_uv(trial: Trial) -> float:
    """Return the amplitude of the EEG: median over channels and seconds."""
    return float(np.median(deviations_uv(trial.eeg.signal, trial.eeg.sampling_rate_hz)))


def _unit_faults(sizes_uv: Mapping[int, float]) -> list[str]:
    """Return a message about implausible amplitudes, if any; amplitudes by trial."""
    by_advice: dict[str, dict[int, float]] = {}
    for trial, size in sizes_uv.items():
        if advice := size_advice(size):
            by_advice.setdefault(advice, {})[trial] = size
    return [
        f"trial {', '.join(map(str, sizes))}: {size_fault(advice, min(sizes.values()), max(sizes.values()))}"
        for advice, sizes in by_advice.items()
    ]
