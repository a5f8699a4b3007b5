"""MAHNOB-HCI reader (emotion experiment): 20 film clips; EEG, ECG, GSR, respiration, temperature, face videos."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from typing_extensions import override

from keras_emotion.datasets.mahnob_hci_session import (
    CHANNEL_NAMES,
    EEG_CHANNEL_NAMES,
    FACTS,
    SESSION_FILE,
    Physiology,
    Session,
    owner_by_file_names,
)
from keras_emotion.datasets.mahnob_hci_valence import CONTINUOUS_VALENCE, LABEL_FILE, read_continuous_valence
from keras_emotion.datasets.reader import (
    Problem,
    Reader,
    SubjectReport,
    as_problem,
    describe_trial,
    raise_problems,
)
from keras_emotion.faces import same_frame_rate, video_facts
from keras_emotion.schema import ContinuousRating, InputError, Trial
from keras_emotion.signals import band_pass

FileFormat = Literal["original"]
Preprocess = Literal["none", "eeg"]

EEG_BAND_HZ = (4.0, 45.0)

ICA_BAND_HZ = (1.0, 45.0)
"""Band in Hz in which independent components are fitted: it includes most of a blink."""

EYE_CHANNELS = ("Fp1", "Fp2")
"""Scalp channels used in place of EOG, which was not recorded."""

LENGTH_TOLERANCE_SECONDS = 5.0
"""Tolerance in seconds of the duration of a face video, or of the time between the two triggers.

The time between the triggers of the real recordings is 0.8 to 3.3 s longer than the clip.
"""


@dataclasses.dataclass(frozen=True)
class _Index:
    """Content of all `session.xml` files.

    Args:
        trials: sessions with ratings and a recording, by subject, in trial order.
        presentations: position of each rated session in its subject's order, by session id.
        n_rated: number of sessions with ratings by subject, with or without a recording.
        skipped: sessions that are not trials.
        problems: problems of any session.
    """

    trials: dict[int, tuple[Session, ...]]
    presentations: dict[int, int]
    n_rated: dict[int, int]
    skipped: tuple[Session, ...]
    problems: tuple[Problem, ...]


class MAHNOBHCI(Reader):
    """Reader of MAHNOB-HCI's emotion experiment as unpacked: `Sessions/<id>/`, one clip each.

    A session folder contains `session.xml`, `Part_<P>_S_Trial<k>_emotion.bdf` and the video of the colour camera,
    `P<P>-Rec<r>-YYYY.MM.DD.HH.MM.SS_C1 trigger _C_Section_<n>.avi`. `session.xml` gives the session id
    (`Trial.session`), the subject, the names of the two files if it has a `<track>` for them (else they are found by
    the patterns above), the ratings, and the clip: `Trial.stimulus` is `mediaFile` without its suffix.

    `Trial.trial` is the `k` in the name of the recording. It is *not* ordered by stimulus, unlike DEAP's: the video of
    trial `k` is section `2 k` of one take, so `k` should be the position in the order of presentation (not verified).
    `Trial.presentation` is the position of the session among all rated ones of the subject by date, time, `cutNr` and
    id, in this order; -1 for all trials of a subject with an unreadable date (year first) or time.

    Ratings: `feltVlnc` -> valence, `feltArsl` -> arousal, `feltCtrl` -> control (DEAP's dominance), `feltPred` ->
    predictability, 1 to 9; `feltEmo` -> emotion, the number of a keyword (`class_names`).

    `Trial.continuous_ratings` has `continuous_valence`, external annotations of the face at 4 Hz, if the file
    `lable_continous_Mahnob.mat` [2] is in `root` and contains the session.

    Neutral clips (`_N_` in the name of the recording, or without ratings and `isStim` 0) and sessions without ratings
    (the other experiments) are not trials: `describe` lists them as skipped. A rated session whose recording is missing
    and not named in `session.xml` is incomplete: it is reported and left out. A missing recording that is named has to
    be copied before a run starts; a missing video does not prevent the use of the EEG.

    Signals are the 38 channels of DeepVANet, by name: 32 scalp channels, ECG1-3 (EXG1-3), GSR (GSR1), Respiration
    (Resp) and Temperature (Temp); voltages in microvolts, the others in the unit of the file's header (`"a.u."` if it
    is unknown). The clip lies between the two rising edges of the status channel; the signal after it is removed, and
    `baseline_seconds` before it are kept. The whole recording is resampled from the rate in its header
    (`keras_emotion.signals.resample`) and cleaned before it is cropped.

    Video: it does not cover the 30 s before the clip, so its first frame is assumed to be stimulus onset
    (`offset_seconds` 0 of the face features; not verified). It continues for 13 to 144 s after the clip, during the
    self-report: `cutLenSec` is its total duration, and `vidRate` its frame rate. `describe` compares the header of the
    video with both; the face features do so before they assume a wrong frame rate. `session.xml` alone is no more
    precise: `vidBeginSmp` and `audBeginSmp` are the start of the section in the whole take, in samples of `vidRate` and
    `audRate`, and neither gives stimulus onset. The gaze file does: with the `AudioSampleNumber` of its event
    MovieStart, the clip starts `(AudioSampleNumber - audBeginSmp) / audRate` seconds into the video (not verified).

    **Deviations** from DeepVANet: resampled with an anti-aliasing filter, whereas the released code takes every second
    sample of the peripheral channels; cleaned by `clean_eeg`, whereas the paper names EEGLAB and no method.

    Attributes, ids, file names, order, rate, triggers and durations were compared with 565 real `session.xml` files and
    with the triggers of 527 real recordings. Everything else is not verified and follows public code and documentation
    (`facts/mahnob_hci.json`), such as whether the first frame is stimulus onset, and the units of GSR1, Resp and Temp.

    Args:
        root: folder of `Sessions`.
        file_format: `"original"`, the only format, or `None`.
        preprocess: `"eeg"`: scalp channels are cleaned by `clean_eeg`, the others unchanged; `"none"`: all unchanged.
        sampling_rate_hz: target sampling rate; `None` keeps each file's own.
        baseline_seconds: seconds kept before the clip; the paper uses three segments of 1 s.
        ica: also remove eye movements by independent components (`clean_eeg`); takes seconds per trial.
        ica_seed: random seed of the ICA.

    Raises:
        InputError: `root` contains no `Sessions/<id>`.
        ValueError: an argument is out of range, or `ica` is used without `preprocess="eeg"`.

    Example:
        >>> from keras_emotion.datasets import MAHNOBHCI
        >>> for trial in MAHNOBHCI("MAHNOB-HCI").trials(subjects=[1]):  # doctest: +SKIP
        ...     print(trial.stimulus, trial.ratings["valence"], trial.eeg.signal.shape)

    References:
        Soleymani et al., "A Multimodal Database for Affect Recognition and Implicit Tagging", IEEE Transactions on
        Affective Computing 3(1), 2012.

        [2] Soleymani et al., "Analysis of EEG Signals and Facial Expressions for Continuous Emotion Detection", IEEE
        Transactions on Affective Computing 7(1), 2016; the file is beside its code.
    """

    name = "mahnob_hci"
    usual_protocols: ClassVar[tuple[str, ...]] = ("trial_disjoint", "subject_disjoint")
    # A session of an unknown subject may belong to any requested one.
    missing_files_block = True
    # 2: the session of every trial is 1; a session in the files is one clip. 3: trials give the duration of their
    # video.
    code_version: ClassVar[int] = 3
    class_names: ClassVar[Mapping[str, tuple[str, ...]]] = {"emotion": tuple(FACTS["emotion_names"])}

    def __init__(
        self,
        root: str | Path,
        file_format: FileFormat | None = None,
        preprocess: Preprocess = "eeg",
        sampling_rate_hz: float | None = 128.0,
        baseline_seconds: float = 3.0,
        ica: bool = False,
        ica_seed: int = 0,
    ):
        super().__init__(root)
        for argument, value, choices in (
            ("file_format", file_format, (None, *get_args(FileFormat))),
            ("preprocess", preprocess, get_args(Preprocess)),
        ):
            if value not in choices:
                raise ValueError(f"`{argument}` is {value!r}; expected one of {choices}")
        lowest = 2 * EEG_BAND_HZ[1] if preprocess == "eeg" else 0
        if sampling_rate_hz is not None and not lowest < sampling_rate_hz < np.inf:
            raise ValueError(f"`sampling_rate_hz` is {sampling_rate_hz}; expected a number above {lowest:g}, or None")
        if not 0 <= baseline_seconds < np.inf:
            raise ValueError(f"`baseline_seconds` is {baseline_seconds}; expected 0 or more")
        if ica and preprocess != "eeg":
            raise ValueError(f"`ica` is {ica} but `preprocess` is {preprocess!r}; expected 'eeg' with it")
        self.file_format = "original"
        self.preprocess, self.ica, self.ica_seed = preprocess, ica, ica_seed
        self.sampling_rate_hz, self.baseline_seconds = sampling_rate_hz, float(baseline_seconds)
        self.session_folder = self.root / "Sessions"
        if not self._folders():
            raise InputError(
                f"{self.root}: no Sessions/<id>/{SESSION_FILE} found; expected the folder that MAHNOB-HCI was unpacked "
                "into; check the path"
            )

    @property
    @override
    def options(self) -> dict[str, Any]:
        names = ("preprocess", "sampling_rate_hz", "baseline_seconds", "ica", "ica_seed")
        return {name: getattr(self, name) for name in names}

    @property
    def subjects(self) -> tuple[int, ...]:
        """Ids of the subjects with at least one recorded trial, sorted."""
        return tuple(sorted(self._index.trials))

    def source_files(self, subject: int) -> tuple[Path, ...]:
        """Return `session.xml` and recording of every trial of the subject."""
        (subject,) = self.select([subject])
        files = tuple(
            path for session in self._index.trials[subject] for path in (session.xml, session.required_recording)
        )
        return (*files, self.label_file) if self.label_file.is_file() else files

    @property
    def label_file(self) -> Path:
        """Path of the continuous ratings, existing or not."""
        return self.root / LABEL_FILE

    @functools.cached_property
    def _valence(self) -> Mapping[int, ContinuousRating]:
        """Continuous ratings by session id."""
        return read_continuous_valence(self.label_file) if self.label_file.is_file() else {}

    @override
    def video_files(self, subject: int) -> tuple[Path, ...]:
        (subject,) = self.select([subject])
        return tuple(session.video for session in self._index.trials[subject] if session.video is not None)

    def trials(self, subjects: Sequence[int] | None = None) -> Iterator[Trial]:
        """Yield the trials of some subjects (default: all), by trial id; see `Reader.trials`.

        The recording of one session is in memory at a time.
        """
        for subject in self.select(subjects):
            raise_problems(self._problems_of(subject))
            for session in self._index.trials[subject]:
                yield self._trial(session)

    def inspect(self, subject: int) -> SubjectReport:
        """Check all data of one subject; see `Reader.inspect`. Trials also list the folder of their clip."""
        (subject,) = self.select([subject])
        problems, trials, rates = list(self._problems_of(subject)), [], set()
        expected = FACTS["n_trials_of_subject"].get(str(subject), FACTS["n_trials"])
        if not self.synthetic and self._index.n_rated[subject] < expected:
            message = f"subject {subject}: {self._index.n_rated[subject]} rated sessions; expected {expected}"
            problems.append(Problem(self.session_folder, message, subject, False))
        for session in self._index.trials[subject]:
            try:
                trial = self._trial(session)
            except InputError as error:
                problems.append(as_problem(error, subject, session.required_recording, self.label_file))
                continue
            trials.append(describe_trial(trial) | {"folder": str(session.folder)})
            rates.add(trial.required_recording.sampling_rate_hz)
            problems += self._length_problems(session, trial.required_recording.duration_seconds)
        description = {
            "subject": subject,
            "file": str(self.session_folder),
            "sampling_rate_hz": max(rates, default=0.0),
            "n_channels": len(CHANNEL_NAMES),
            "trials": trials,
        }
        return SubjectReport(description, tuple(problems))

    def missing_files(self) -> tuple[Problem, ...]:
        """Return problems of sessions of unknown subjects, or of subjects without usable trials."""
        gaps = [problem for problem in self._index.problems if problem.subject not in self._index.trials]
        if not self._index.trials:
            gaps.append(
                Problem(self.session_folder, "no trials; expected sessions with ratings and a recording; copy them")
            )
        return tuple(gaps)

    def describe(self) -> dict[str, Any]:
        """See `Reader.describe`; adds `skipped`, the sessions that are not trials, with the reasons."""
        skipped = [
            {"session": session.id, "subject": session.subject, "file": str(session.folder), "reason": session.skipped}
            for session in self._index.skipped
        ]
        return super().describe() | {"skipped": skipped}

    # --- all sessions

    def _folders(self) -> list[Path]:
        """Return the session folders, by number."""
        try:
            found = [path for path in self.session_folder.iterdir() if path.is_dir() and path.name[0] != "."]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise InputError(f"{self.session_folder}: cannot be read ({error.strerror})") from None
        return sorted(found, key=lambda path: (not path.name.isdecimal(), path.name.zfill(20)))

    @functools.cached_property
    def _index(self) -> _Index:
        sessions: list[Session] = []
        problems = []
        for folder in self._folders():
            try:
                sessions.append(Session.read(folder))
            except InputError as error:
                # The error can concern at most two paths: the session's description or its folder.
                xml = folder / SESSION_FILE
                owner = owner_by_file_names(folder)
                file = xml if str(error).startswith(f"{xml}: ") else folder
                problems.append(Problem(file, str(error).removeprefix(f"{file}: "), owner))
        rated = [session for session in sessions if not session.skipped]
        problems += [
            Problem(fault.file, fault.message, session.subject, fault.is_blocking)
            for session in rated
            for fault in session.faults
        ]
        problems += _doubles(rated)
        trials: dict[int, list[Session]] = {}
        for session in sorted(rated, key=lambda session: (session.trial, session.id)):
            if session.recording is not None:
                trials.setdefault(session.subject, []).append(session)
        by_subject: dict[int, list[Session]] = {}
        for session in rated:
            by_subject.setdefault(session.subject, []).append(session)
        presentations: dict[int, int] = {}
        for own in by_subject.values():
            is_known = all(session.order for session in own)
            ordered = sorted(own, key=lambda session: session.order) if is_known else own
            presentations |= {session.id: place if is_known else -1 for place, session in enumerate(ordered, 1)}
        return _Index(
            trials={subject: tuple(own) for subject, own in trials.items()},
            presentations=presentations,
            n_rated={subject: len(own) for subject, own in by_subject.items()},
            skipped=tuple(session for session in sessions if session.skipped),
            problems=tuple(problems),
        )

    def _problems_of(self, subject: int) -> Iterator[Problem]:
        return (problem for problem in self._index.problems if problem.subject == subject)

    # --- one session

    def _trial(self, session: Session) -> Trial:
        physiology = Physiology.read(session.required_recording)
        if self.sampling_rate_hz is not None:
            physiology = physiology.resampled(self.sampling_rate_hz)
        if self.preprocess == "eeg":
            if physiology.sampling_rate_hz <= 2 * EEG_BAND_HZ[1]:
                raise InputError(
                    f"{session.recording}: {physiology.sampling_rate_hz:g} Hz; expected more than "
                    f"{2 * EEG_BAND_HZ[1]:g} Hz to clean the EEG; use preprocess='none'"
                )
            is_eeg = np.isin(CHANNEL_NAMES, EEG_CHANNEL_NAMES)
            physiology.signal[is_eeg] = clean_eeg(
                physiology.signal[is_eeg], EEG_CHANNEL_NAMES, physiology.sampling_rate_hz, self.ica, self.ica_seed
            )
        return Trial(
            dataset=self.name,
            subject=session.subject,
            trial=session.trial,
            stimulus=session.stimulus,
            recording=physiology.recording(self.baseline_seconds),
            eeg_channel_names=EEG_CHANNEL_NAMES,
            ratings=session.ratings,
            presentation=self._index.presentations[session.id],
            continuous_ratings={CONTINUOUS_VALENCE: valence} if (valence := self._valence.get(session.id)) else {},
            video=session.video,
            video_seconds=session.video_seconds,
            video_frame_rate_hz=session.video_frame_rate_hz,
        )

    def _length_problems(self, session: Session, duration_seconds: float) -> Iterator[Problem]:
        known = FACTS["stimulus_seconds"] | FACTS["recorded_seconds"]
        expected = None if self.synthetic else known.get(session.stimulus)
        if expected is not None and abs(duration_seconds - expected) > LENGTH_TOLERANCE_SECONDS:
            message = (
                f"the triggers are {duration_seconds:.1f} s apart; expected {expected} s, the duration of clip "
                f"{session.stimulus}"
            )
            yield Problem(session.required_recording, message, session.subject, False)
        valence = self._valence.get(session.id)
        if valence is not None and abs(valence.times_seconds[-1] - duration_seconds) > LENGTH_TOLERANCE_SECONDS:
            message = (
                f"{CONTINUOUS_VALENCE} of session {session.id} ends at {valence.times_seconds[-1]:.1f} s; expected "
                f"{duration_seconds:.1f} s, the duration of the clip; check that the file belongs to this copy"
            )
            yield Problem(self.label_file, message, session.subject, False)
        if session.video is None:
            return
        try:
            facts = video_facts(session.video)
        except InputError as error:
            yield Problem(session.video, str(error).removeprefix(f"{session.video}: "), session.subject, False)
            return
        # The whole section, or a video cropped to the clip.
        fitting = [seconds for seconds in (session.video_seconds, duration_seconds) if seconds is not None]
        apart = [abs(facts.duration_seconds - seconds) for seconds in fitting]
        if facts.duration_seconds and min(apart) > LENGTH_TOLERANCE_SECONDS:
            message = (
                f"duration of {facts.duration_seconds:.1f} s by its header ({facts.n_frames} frames, "
                f"{facts.frame_rate_hz:g} fps); expected "
            )
            if session.video_seconds is not None:
                message += f"{session.video_seconds:.1f} s, the duration of the section in {SESSION_FILE}, or "
            message += f"{duration_seconds:.1f} s, that of the clip; possible cause: "
            rate_hz = session.video_frame_rate_hz
            if rate_hz is None:
                message += "a wrong frame rate in it, a truncated file, or another video"
            elif same_frame_rate(facts.frame_rate_hz, rate_hz):
                message += (
                    f"a truncated file, or another video; its frame rate agrees with {SESSION_FILE}, so it is used "
                    "from its start"
                )
            else:
                message += f"a wrong frame rate in it ({SESSION_FILE} has {rate_hz:g} fps), or another video"
            yield Problem(session.video, message, session.subject, False)


def _doubles(sessions: Sequence[Session]) -> list[Problem]:
    """Return problems of duplicate session ids, and of duplicate trials with different session ids."""
    ids: dict[int, Session] = {}
    trials: dict[tuple[int, int], Session] = {}
    problems = []
    for session in sessions:
        other = ids.setdefault(session.id, session)
        what = f"sessionId {session.id}"
        if other is session and session.trial:
            other = trials.setdefault((session.subject, session.trial), session)
            what = f"trial {session.trial} of subject {session.subject}"
        if other is not session:
            message = f"duplicate {what}, also in {other.folder}; expected one; remove one of the two folders"
            problems.append(Problem(session.xml, message, session.subject))
    return problems


def clean_eeg(
    signal: np.ndarray, channel_names: Sequence[str], sampling_rate_hz: float, ica: bool = False, seed: int = 0
) -> np.ndarray:
    """Clean EEG: average reference and 4-45 Hz; with `ica`, without the independent components of eye movements.

    `band_pass` of order 4, forwards and backwards, then average reference: both are linear and commute. With `ica`,
    first MNE's FastICA of all components (down to 1e-6 of the variance) is fitted to the recording itself, at 1-45 Hz
    and average reference, and components that MNE's `find_bads_eog` finds to correlate with Fp1 or Fp2 (a z-score above
    3) are removed.

    **Deviations** from DeepVANet, which names EEGLAB for "artifact removal" and no method: MNE; off by default, since
    it is not documented which components the authors removed; fitted to one recording (minutes), not to a subject. The
    frontal channels replace EOG, so some frontal brain activity is removed too.

    Args:
        signal: `(channels, samples)` in microvolts: one whole recording, with margins before and after the segment of
            interest that are longer than the filter's settling time.
        channel_names: name of each channel; `ica` requires Fp1 or Fp2.
        sampling_rate_hz: sampling rate, above 90 Hz.
        ica: remove components of eye movements.
        seed: random seed of FastICA.

    Returns:
        `(channels, samples)` float64.

    Numerics: if FastICA has not converged after its 1000 steps, its result is used without a warning.

    Raises:
        ValueError: a rate too low for the band, or `ica` without Fp1 and Fp2.

    Example:
        >>> noise = np.random.default_rng(0).standard_normal((3, 1280))
        >>> cleaned = clean_eeg(noise + 5000, ("Fp1", "Fp2", "Cz"), 128)
        >>> cleaned.shape, bool(np.abs(cleaned.mean(axis=0)).max() < 1e-9), bool(abs(cleaned.mean()) < 0.01)
        ((3, 1280), True, True)
    """
    signal = np.asarray(signal, dtype=np.float64)
    if ica:
        signal = _without_eyes(
            _referenced(signal, sampling_rate_hz, ICA_BAND_HZ), channel_names, sampling_rate_hz, seed
        )
    return _referenced(signal, sampling_rate_hz, EEG_BAND_HZ)


def _referenced(signal: np.ndarray, sampling_rate_hz: float, band_hz: tuple[float, float]) -> np.ndarray:
    filtered = band_pass(signal, sampling_rate_hz, *band_hz)
    return filtered - filtered.mean(axis=0)


def _without_eyes(signal: np.ndarray, channel_names: Sequence[str], sampling_rate_hz: float, seed: int) -> np.ndarray:
    import warnings

    import mne
    from sklearn.exceptions import ConvergenceWarning

    eyes = [name for name in EYE_CHANNELS if name in channel_names]
    if not eyes:
        raise ValueError(f"`channel_names` is {tuple(channel_names)}; expected {' or '.join(EYE_CHANNELS)} for `ica`")
    info = mne.create_info(list(channel_names), sampling_rate_hz, "eeg")
    raw = mne.io.RawArray(signal * 1e-6, info, verbose="ERROR")
    decomposition = mne.preprocessing.ICA(random_state=seed, verbose="ERROR")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        decomposition.fit(raw, verbose="ERROR")
    found, _ = decomposition.find_bads_eog(raw, ch_name=eyes, verbose="ERROR")
    return decomposition.apply(raw, exclude=found, verbose="ERROR").get_data() * 1e6
