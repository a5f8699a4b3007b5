"""AMIGOS reader: 40 subjects, 16 short and 4 long videos, 14 EEG channels, ECG and GSR; alone and in groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from keras_emotion.datasets.amigos_files import (
    BASELINE_SECONDS,
    CHANNEL_NAMES,
    EMOTIONS,
    FACTS,
    OTHER_CHANNELS,
    RATE_HZ,
    SCALES,
    VIDEOS,
    Cell,
    Finding,
    find_files,
    read_cells,
)
from keras_emotion.datasets.reader import (
    Problem,
    Reader,
    SubjectReport,
    as_problem,
    describe_trial,
    raise_problems,
    unusable_channels,
)
from keras_emotion.schema import InputError, Recording, Trial

FileFormat = Literal["preprocessed"]

_MEAN_TOLERANCE = 0.005 + 1e-9
"""Tolerance of mean ratings: the known means have two decimals."""

_GROUP_OF = {person: f"group_{number}" for number, group in enumerate(FACTS["groups"], 1) for person in group}


class AMIGOS(Reader):
    """Reader of the preprocessed files of AMIGOS (`Data_Preprocessed_P01.mat`, ...).

    A trial is one video, identified by the list of ids in the file (`VideoIDs`), not by its position. Trial ids 1 to 16
    are the short videos in the order of `facts/amigos.json`, 17 to 20 the long ones; the order of presentation is not
    read. `Trial.stimulus` is `"video_10"` or `"video_N1"`. `Trial.session` is `"short"` or `"long"`: the two
    experiments were recorded separately.

    **Signals**: `(17, samples)` float32 at 128 Hz, the first 5 s of which are baseline. EEG in microvolts,
    average-referenced and filtered (4-45 Hz) by the authors; two ECG channels and GSR, of units that no source confirms
    (`"a.u."`; one loader treats GSR as resistance).

    **Ratings**: `arousal`, `valence`, `dominance`, `liking` and `familiarity` from 1 to 9, in this order in the file;
    and seven binary emotions (classes `no` and `yes`).

    **Continuous ratings**: `external_valence` and `external_arousal`, -1 to 1, which external annotators gave to
    segments of 20 s; each value is assigned to the middle of its segment. The first segment is the first 20 s of the
    signal, baseline included, the last one the last 20 s (one source).

    **Groups**: some subjects watched the long videos together (`Trial.recorded_together`, one source):
    subject-independent splits keep groups together.

    **Gaps**: a video without a signal, or with NaN in an EEG channel, is not a trial; an ECG or GSR channel with NaN is
    left out of the recording; ratings may be missing. `notes` lists all gaps. `describe` reports those as problems that
    are not known of the dataset (known: 8, 24 and 28 without long videos, 32 without their ratings, gaps of 9, 12, 21,
    22, 23, 24 and 33).

    The original recordings (`Data_Original_P*.mat`), face videos and questionnaire tables are not read.

    Args:
        root: folder of the files, which may be in subfolders.
        file_format: `"preprocessed"`, the only format, or `None`.

    Raises:
        InputError: `root` contains no such file, or two of one subject.
        ValueError: `file_format` is invalid.

    Example:
        >>> from keras_emotion.datasets import AMIGOS
        >>> for trial in AMIGOS("AMIGOS").trials(subjects=[1]):  # doctest: +SKIP
        ...     print(trial.stimulus, trial.ratings.get("valence"), trial.recorded_together, trial.eeg.signal.shape)

    References:
        Miranda-Correa, Abadi, Sebe and Patras, "AMIGOS: A Dataset for Affect, Personality and Mood Research on
        Individuals and Groups", IEEE Transactions on Affective Computing 12(2), 2021.
    """

    name = "amigos"
    usual_protocols: ClassVar[tuple[str, ...]] = ("trial_disjoint", "subject_disjoint")
    class_names: ClassVar[Mapping[str, tuple[str, ...]]] = dict.fromkeys(EMOTIONS, ("no", "yes"))
    rating_scales: ClassVar[Mapping[str, tuple[float, float]]] = dict.fromkeys(
        SCALES, (float(FACTS["rating_range"][0]), float(FACTS["rating_range"][1]))
    )

    def __init__(self, root: str | Path, file_format: FileFormat | None = None):
        super().__init__(root)
        if file_format not in (None, *get_args(FileFormat)):
            raise ValueError(f"`file_format` is {file_format!r}; expected one of {(None, *get_args(FileFormat))}")
        self.file_format = "preprocessed"
        self._files = find_files(self.root)
        # Small values of the files that were read.
        self._findings: dict[int, tuple[Finding, ...]] = {}
        self._ratings: dict[int, dict[str, Mapping[str, float]]] = {}

    @property
    def subjects(self) -> tuple[int, ...]:
        """Numbers of the subjects with a file, sorted."""
        return tuple(sorted(self._files))

    def source_files(self, subject: int) -> tuple[Path, ...]:
        """Return the subject's file."""
        (subject,) = self.select([subject])
        return (self._files[subject],)

    def missing_files(self) -> tuple[Problem, ...]:
        """Return subjects without a file."""
        missing = [] if self.synthetic else sorted({*range(1, FACTS["n_subjects"] + 1)} - {*self._files})
        some = f"{', '.join(map(str, missing[:8]))}{', ...' if len(missing) > 8 else ''}"
        message = (
            f"{len(missing)} of {FACTS['n_subjects']} subjects missing: {some}; copy their files, or select subjects"
        )
        return (Problem(self.root, message, is_blocking=False),) if missing else ()

    def notes(self, subjects: Sequence[int] | None = None) -> list[str]:
        """See `Reader.notes`; includes the gaps of the files, which are read if necessary."""
        notes = [
            "arousal precedes valence in the files; the units of ECG and GSR are unconfirmed",
            "the groups that watched the long videos together, and the segments of the external annotation, are known "
            "from one source",
        ]
        for subject in self.select(subjects):
            if subject not in self._findings:
                try:
                    self._read(subject)
                except InputError:
                    # Reported by `inspect` and `trials`.
                    continue
            texts: dict[str, list[str]] = {}
            for finding in self._findings[subject]:
                if finding.kind != "fault":
                    texts.setdefault(finding.text, []).append(finding.video)
            notes += [f"subject {subject}: {text}: video {', '.join(videos)}" for text, videos in texts.items()]
        return notes

    def describe(self) -> dict[str, Any]:
        """See `Reader.describe`; adds `notes`."""
        description = super().describe()
        return description | {"notes": [*self.notes(), *_rating_differences(self._ratings)]}

    # --- trials

    def trials(self, subjects: Sequence[int] | None = None) -> Iterator[Trial]:
        """Yield the videos of some subjects (default: all) that have a signal; see `Reader.trials`."""
        for subject in self.select(subjects):
            cells = self._read(subject)
            raise_problems(self._problems(subject))
            for cell in self._usable(subject, cells):
                trial = self._trial(subject, cell)
                raise_problems(self._problems_of_signal(subject, trial))
                yield trial

    def inspect(self, subject: int) -> SubjectReport:
        """Check all data of one subject; see `Reader.inspect`."""
        (subject,) = self.select([subject])
        path, problems, trials = self._files[subject], [], []
        try:
            cells = self._read(subject)
        except InputError as error:
            problems.append(as_problem(error, subject, path))
        else:
            problems += self._problems(subject)
            for cell in self._usable(subject, cells):
                trial = self._trial(subject, cell)
                problems += self._problems_of_signal(subject, trial)
                trials.append(describe_trial(trial))
        report = {
            "subject": subject,
            "file": str(path),
            "sampling_rate_hz": RATE_HZ,
            "n_channels": len(CHANNEL_NAMES) + len(OTHER_CHANNELS),
            "trials": trials,
        }
        return SubjectReport(report, tuple(problems))

    def _read(self, subject: int) -> Mapping[str, Cell]:
        cells, findings = read_cells(self._files[subject])
        self._findings[subject] = tuple(findings)
        self._ratings[subject] = {video: cell.ratings for video, cell in cells.items()}
        return cells

    def _usable(self, subject: int, cells: Mapping[str, Cell]) -> list[Cell]:
        """Return the cells that are trials."""
        lost = {finding.video for finding in self._findings[subject] if finding.kind in ("signal", "fault")}
        return [cell for video, cell in cells.items() if video not in lost]

    def _trial(self, subject: int, cell: Cell) -> Trial:
        is_long = cell.video in FACTS["long_videos"]
        units = {**dict.fromkeys(CHANNEL_NAMES, "uV"), **OTHER_CHANNELS}
        signal = cell.signal.T.astype(np.float32)
        kept = np.isfinite(signal).all(axis=1)
        names = tuple(np.array(list(units))[kept].tolist())
        return Trial(
            dataset=self.name,
            subject=subject,
            session="long" if is_long else "short",
            trial=VIDEOS.index(cell.video) + 1,
            stimulus=f"video_{cell.video}",
            recording=Recording(
                signal=signal[kept],
                channel_names=names,
                units=tuple(units[name] for name in names),
                sampling_rate_hz=RATE_HZ,
                baseline_seconds=BASELINE_SECONDS,
                source=self._files[subject],
            ),
            eeg_channel_names=CHANNEL_NAMES,
            ratings=cell.ratings,
            continuous_ratings=cell.annotation,
            recorded_together=_GROUP_OF.get(subject, "") if is_long else "",
        )

    # --- what is wrong

    def _problems(self, subject: int) -> list[Problem]:
        """Return faults of the file, and gaps that are not known of the dataset."""
        return [
            Problem(self._files[subject], f"video {one.video}: {one.text}", subject, is_blocking=one.kind == "fault")
            for one in self._findings[subject]
            if not _is_known(subject, one)
        ]

    def _problems_of_signal(self, subject: int, trial: Trial) -> list[Problem]:
        faults = unusable_channels(trial.required_recording, CHANNEL_NAMES)
        video = trial.stimulus.removeprefix("video_")
        return [Problem(self._files[subject], f"video {video}: {fault}", subject) for fault in faults]


def _is_known(subject: int, finding: Finding) -> bool:
    """Return whether a gap is known of the dataset; a rating beyond its scale always counts as known."""
    is_long = finding.video in FACTS["long_videos"]
    without = {"signal": FACTS["without_long_videos"], "channel": []}
    without["ratings"] = [*FACTS["without_long_videos"], *FACTS["without_long_ratings"]]
    if finding.kind not in without:
        return finding.kind == "range"
    return subject in FACTS["with_gaps"] or (is_long and subject in without[finding.kind])


def _rating_differences(ratings: Mapping[int, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """Compare the mean ratings of the short videos with the known ones; empty if subjects are missing.

    Args:
        ratings: by subject and video, including videos without a signal.
    """
    if len(ratings) != FACTS["n_subjects"]:
        return []
    notes = []
    for name, known in FACTS["mean_ratings"].items():
        wrong = []
        for video, mean in zip(FACTS["short_videos"], known, strict=True):
            rated = [own[video][name] for own in ratings.values() if name in own.get(video, {})]
            if rated and abs(np.mean(rated) - mean) > _MEAN_TOLERANCE:
                wrong.append(f"{video}: {np.mean(rated):.2f}, expected {mean:.2f}")
        if wrong:
            more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            notes.append(
                f"mean {name} differs from the known mean in {len(wrong)} videos ({'; '.join(wrong[:3])}{more}); "
                "the one source does not say whose ratings it averages"
            )
    return notes
