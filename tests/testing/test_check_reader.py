"""Every reader passes the contract, and each single fault is found by its check."""

import dataclasses
import itertools
import json

import numpy as np
import pandas as pd
import pytest

from keras_emotion.datasets import READERS, SAM40, Problem, Recordings, SubjectReport
from keras_emotion.datasets.sam40 import CHANNEL_NAMES
from keras_emotion.schema import ContinuousRating, EyeEvents, EyeMovements, InputError, ReleasedFeatures
from keras_emotion.testing import check_reader
from keras_emotion.testing.readers import READER_CHECKS
from tests.datasets.written_files import sine, write_brainvision

NUMBERS = dict.fromkeys(
    ("sam40", "seed", "seed_iv", "seed_v", "seed_vii", "seed_multimodal", "dreamer", "mahnob_hci"), (1, 2)
) | {
    "deap": (1, 24),
    "amigos": (2, 8, 12),
    "faced": (4,),
    "eav": (1, 2),
    "ravdess": (1, 2),
    "crema_d": (1001, 1002),
}
NAMES = {
    "afew_va": ("actor_01", "actor_02"),
    "affectnet": ("training", "validation"),
    "recordings": ("s01", "s02"),
}
SUBJECTS = NUMBERS | NAMES

CASES = {
    "deap": {},
    "deap matlab": {"file_format": "matlab"},
    "deap original": {"file_format": "original"},
    "deap original preprocessed": {"file_format": "original", "preprocess": True},
    "sam40": {},
    "sam40 raw": {"file_format": "raw"},
    "seed": {},
    "seed features": {"file_format": "features"},
    "seed_iv": {},
    "seed_iv features": {"file_format": "features"},
    "seed_multimodal": {},
    "seed_v": {},
    "seed_v raw": {},
    "seed_vii": {},
    "seed_vii raw": {},
    "seed_vii features": {"file_format": "features"},
    "dreamer": {},
    "dreamer 7.3": {},
    "amigos": {},
    "faced": {},
    "faced raw": {"file_format": "raw", "sampling_rate_hz": 128.0},
    "faced features": {"file_format": "features", "channel_order": "first_batch"},
    "eav": {},
    "eav speaking": {"task": "speaking", "sampling_rate_hz": 128.0},
    "mahnob_hci": {},
    "mahnob_hci as recorded": {"preprocess": "none", "sampling_rate_hz": None, "baseline_seconds": 0.0},
    "afew_va": {},
    "afew_va flat": {},
    "affectnet": {},
    "affectnet arrays": {},
    "ravdess": {},
    "ravdess sound": {"file_format": "audio"},
    "crema_d": {},
    "recordings": {},
    "recordings at 128 Hz": {"sampling_rate_hz": 128.0},
    "recordings fif": {},
    "recordings in two sessions": {},
}
"""Arguments by name: the first word is that of the reader; the name, or the first word, that of the folder."""


SLOW_CASES = ("deap original preprocessed", "seed_v raw", "seed_vii raw", "seed_vii features")
"""Filters and rate changes take most of the time; features of SEED-VII are read as SEED-IV's."""


def test_every_reader_has_a_case():
    ours = {name for name, reader in READERS.items() if reader.__module__.startswith("keras_emotion.")}
    assert {case.split()[0] for case in CASES} == ours == set(SUBJECTS)


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.slow if case in SLOW_CASES else ()) for case in CASES],
)
def test_readers_keep_the_contract(case, synthetic_root):
    name, root = case.split()[0], synthetic_root(case)
    check_reader(lambda: READERS[name](root, **CASES[case]), SUBJECTS[name])


def test_the_compact_file_of_sam40(synthetic_root, tmp_path):
    trials = list(SAM40(synthetic_root("sam40")).trials())
    np.savez_compressed(
        tmp_path / "all.npz",
        eeg=np.stack([np.rint(trial.recording.signal / 0.05) for trial in trials]).astype(np.int16),
        scale_uV=np.float32(0.05),
        fs=np.int32(128),
        task=np.array([trial.stimulus.rpartition("_")[0] for trial in trials]),
        subject=np.array([trial.subject for trial in trials], dtype=np.int16),
        trial=np.array([trial.stimulus[-1] for trial in trials]).astype(np.int8),
        rating=np.array([trial.ratings.get("stress", 0) for trial in trials]).astype(np.int8),
        ch_names=np.array(CHANNEL_NAMES),
    )
    check_reader(lambda: SAM40(tmp_path), (1, 2))


@pytest.mark.real_data
def test_the_real_recordings_of_sam40(real_data):
    everyone = tuple(range(1, 41))
    # 71 MB are not copied.
    check_reader(lambda: SAM40(real_data / "sam40"), everyone, subjects=(1, 40), skip=("damaged_files",))
    # Of the raw recordings only some are there.
    check_reader(lambda: SAM40(real_data / "sam40", "raw"), skip=("problems", "damaged_files"))


def test_a_bids_tree(synthetic_root, tmp_path):
    mne = pytest.importorskip("mne")
    mne_bids = pytest.importorskip("mne_bids")
    root = synthetic_root("recordings")
    table = pd.read_csv(root / "trials.csv").drop(columns=["video", "video_offset_seconds"])
    for subject in ("01", "02"):
        raw = mne.io.read_raw(root / f"s{subject}.edf", verbose="ERROR")
        place = mne_bids.BIDSPath(subject=subject, task="clips", datatype="eeg", root=tmp_path)
        mne_bids.write_raw_bids(raw, place, format="EDF", allow_preload=True, verbose="ERROR")
    table["file"] = [f"sub-{name[1:]}/eeg/sub-{name[1:]}_task-clips_eeg.edf" for name in table["subject"]]
    table.to_csv(tmp_path / "trials.csv", index=False)
    check_reader(lambda: Recordings(tmp_path), ("s01", "s02"), subjects=("s01",))


def test_a_reader_in_place_of_a_function_that_makes_it(synthetic_root):
    check_reader(Recordings(synthetic_root("recordings"), sampling_rate_hz=128.0))


def test_whole_released_features_are_no_fault(synthetic_root):
    class WithFeatures(Recordings):
        def trials(self, subjects=None):
            return map(released(), super().trials(subjects))

    # A class of a test cannot be pickled.
    check_reader(lambda: WithFeatures(synthetic_root("recordings")), skip=("pickle", "damaged_files"))


def test_whole_eye_movements_are_no_fault(synthetic_root):
    class WithEyes(Recordings):
        eye_files = Recordings.video_files

        def trials(self, subjects=None):
            return map(eye(), super().trials(subjects))

    # A class of a test cannot be pickled.
    check_reader(lambda: WithEyes(synthetic_root("recordings")), skip=("pickle", "damaged_files"))


def test_some_subjects_and_no_copy(synthetic_root):
    check_reader(lambda: Recordings(synthetic_root("recordings")), subjects=("s02",), skip=("damaged_files",))
    with pytest.raises(ValueError, match="`skip` has unknown names lazyness; expected some of subjects, "):
        check_reader(lambda: Recordings(synthetic_root("recordings")), skip=("lazyness",))


# --- one fault each


def of_recording(**changes):
    """A change of a trial: fields of its recording, functions of the recording or values."""

    def change(trial):
        new = {name: value(trial.recording) if callable(value) else value for name, value in changes.items()}
        return dataclasses.replace(trial, recording=dataclasses.replace(trial.recording, **new))

    return change


def of_trial(**changes):
    """A change of a trial: its fields, functions of the trial or values."""

    def change(trial):
        new = {name: value(trial) if callable(value) else value for name, value in changes.items()}
        return dataclasses.replace(trial, **new)

    return change


def with_value(value):
    """A signal with one other value."""

    def signal(recording):
        changed = recording.signal.copy()
        changed[1, 5] = value
        return changed

    return signal


def released(array=None, **changes):
    """Change of a trial: it gets released features, with some fields changed."""
    array = np.ones((3, 2, 1)) if array is None else array

    def read(name):
        if name not in ("de", "psd"):
            raise InputError(f"no feature {name}")
        return array

    def features(trial):
        source, bands, smoothed = trial.recording.source, {"theta": (4.0, 8.0)}, frozenset({"de"})
        whole = ReleasedFeatures(source, ("de", "psd"), ("Fz", "Cz"), bands, 1.0, smoothed, read)
        return dataclasses.replace(
            whole, **{name: value(whole) if name == "source" else value for name, value in changes.items()}
        )

    return of_trial(released_features=features)


CONTINUOUS = ContinuousRating(np.array([0.0, 1.0]), np.array([0.5, np.nan]), (-1.0, 1.0))


def eye(features=None, **changes):
    """Change of a trial: it gets eye movements, with some fields changed; events by name."""
    features = np.ones((3, 2)) if features is None else features
    shapes = {"pupil": (5, 4), "fixations_ms": (5,), "saccades": (4, 2), "blinks_ms": (0,), "statistics": (28,)}
    events = {name: changes.pop(name, np.ones(shape)) for name, shape in shapes.items()}

    def movements(trial):
        sources = (trial.video,)
        whole = EyeMovements(sources, ("x", "y"), 4.0, False, lambda: features, lambda: EyeEvents(**events))
        return dataclasses.replace(whole, **changes)

    return of_trial(eye_movements=movements)


TRIAL_FAULTS = {
    "name of another dataset": ("identity", of_trial(dataset="deap")),
    "subject of another type": ("identity", of_trial(subject=1)),
    "trials from 0 on": ("identity", of_trial(trial=lambda trial: trial.trial - 1)),
    "trial id of NumPy": ("identity", of_trial(trial=lambda trial: np.int64(trial.trial))),
    "presentation from 0 on": ("identity", of_trial(presentation=lambda trial: trial.presentation - 1)),
    "no stimulus": ("identity", of_trial(stimulus="")),
    "channel twice": (
        "channels",
        of_recording(channel_names=lambda one: (*one.channel_names[:1] * 2, *one.channel_names[2:])),
    ),
    "unknown EEG channel": ("channels", of_trial(eeg_channel_names=lambda trial: (*trial.eeg_channel_names, "Cz"))),
    "list of channels": ("channels", of_recording(channel_names=lambda one: list(one.channel_names))),
    "EEG in volt": ("units", of_recording(units=lambda one: ("V", *one.units[1:]))),
    "unknown unit": ("units", of_recording(units=lambda one: (*one.units[:-1], "mhos"))),
    "rate of 0": ("rate", of_recording(sampling_rate_hz=0.0)),
    "infinite rate": ("rate", of_recording(sampling_rate_hz=float("inf"))),
    "baseline longer than the signal": ("rate", of_recording(baseline_seconds=9.0)),
    "negative baseline": ("rate", of_recording(baseline_seconds=-1.0)),
    "bad stretch after the trial": ("bad_spans", of_recording(bad_spans=((99.0, 100.0, "BAD"),))),
    "bad stretch that ends before it starts": ("bad_spans", of_recording(bad_spans=((2.0, 1.0, "BAD"),))),
    "bad stretch without a reason": ("bad_spans", of_recording(bad_spans=((1.0, 2.0, ""),))),
    "NaN in the signal": ("signal", of_recording(signal=with_value(np.nan))),
    "infinity in the signal": ("signal", of_recording(signal=with_value(np.inf))),
    "signal of integers": ("signal", of_recording(signal=lambda one: one.signal.astype(np.int16))),
    "no samples": ("signal", of_recording(signal=lambda one: one.signal[:, :0])),
    "nothing but ratings": ("signal", of_trial(recording=None, eeg_channel_names=(), video=None)),
    "no source": ("source", of_recording(source=None)),
    "source that is not there": ("source", of_recording(source=lambda one: one.source.with_suffix(".txt"))),
    "source that is not listed": ("source", of_recording(source=lambda one: one.source.with_suffix(".avi"))),
    "stimulus that is not listed": ("pictures", of_trial(media=lambda trial: trial.video)),
    "unknown part of a split": ("identity", of_trial(split="dev")),
    "NaN for a rating": ("ratings", of_trial(ratings={"valence": float("nan")})),
    "None for a rating": ("ratings", of_trial(ratings={"valence": None})),
    "rating that is an int": ("ratings", of_trial(ratings={"valence": 5})),
    "eye movements that are not listed": ("eye_movements", eye(sources=())),
    "eye feature twice": ("eye_movements", eye(feature_names=("x", "x"))),
    "windows of eye features of no length": ("eye_movements", eye(window_seconds=0.0)),
    "no eye movements to read": ("eye_movements", eye(read_features=None, read_events=None)),
    "eye features of fewer names": ("eye_movements", eye(np.ones((3, 1)))),
    "eye features of float32": ("eye_movements", eye(np.ones((3, 2), np.float32))),
    "NaN in the eye features": ("eye_movements", eye(np.full((3, 2), np.nan))),
    "pupils without fixations": ("eye_movements", eye(fixations_ms=np.ones(4))),
    "saccades without amplitudes": ("eye_movements", eye(saccades=np.ones(4))),
    "continuous rating named like a rating": (
        "continuous_ratings",
        of_trial(continuous_ratings=lambda trial: {next(iter(trial.ratings)): CONTINUOUS}),
    ),
    "continuous rating out of its scale": (
        "continuous_ratings",
        of_trial(continuous_ratings={"v": dataclasses.replace(CONTINUOUS, values=np.array([0.0, 2.0]))}),
    ),
    "continuous rating without a scale": (
        "continuous_ratings",
        of_trial(continuous_ratings={"v": dataclasses.replace(CONTINUOUS, scale=(1.0, 1.0))}),
    ),
    "continuous rating before the stimulus": (
        "continuous_ratings",
        of_trial(continuous_ratings={"v": dataclasses.replace(CONTINUOUS, times_seconds=np.array([-1.0, 0.0]))}),
    ),
    "unlisted class": ("ratings", of_trial(ratings={"task": 2.0})),
    "half a class": ("ratings", of_trial(ratings={"task": 0.5})),
    "feature twice": ("released_features", released(names=("de", "de"))),
    "list of features": ("released_features", released(names=["de", "psd"])),
    "electrode of features twice": ("released_features", released(channel_names=("Fz", "Fz"))),
    "unknown feature smoothed": ("released_features", released(smoothed=frozenset({"de", "dasm"}))),
    "band upside down": ("released_features", released(bands={"theta": (8.0, 4.0)})),
    "no bands": ("released_features", released(np.ones((3, 2, 0)), bands={})),
    "windows of no length": ("released_features", released(window_seconds=0.0)),
    "features that are not listed": (
        "released_features",
        released(source=lambda one: one.source.with_suffix(".mat")),
    ),
    "features of float32": ("released_features", released(np.ones((3, 2, 1), np.float32))),
    "NaN in the features": ("released_features", released(np.full((3, 2, 1), np.nan))),
    "features with channels first": ("released_features", released(np.ones((2, 3, 1)))),
    "no windows": ("released_features", released(np.ones((0, 2, 1)))),
    "any feature can be read": ("released_features", released(read=lambda name: np.ones((3, 2, 1)))),
    "video of another subject": ("pictures", of_trial(video=lambda trial: trial.video.with_name("s02.avi"))),
    "video that is not there": ("pictures", of_trial(video=lambda trial: trial.video.with_name("s03.avi"))),
}


@pytest.mark.parametrize("fault", TRIAL_FAULTS)
def test_a_fault_in_a_trial_is_caught(fault, synthetic_root):
    check, change = TRIAL_FAULTS[fault]

    class Broken(Recordings):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            self.class_names = {"task": ("rest", "stress")}

        # Eye movements of these trials are said to be read from the video.
        eye_files = Recordings.video_files

        def trials(self, subjects=None):
            # Not of the first trial: all have to be looked at.
            for number, trial in enumerate(super().trials(subjects)):
                yield change(trial) if number else trial

    with pytest.raises(AssertionError, match=f"^Broken.*: check '{check}': "):
        check_reader(lambda: Broken(synthetic_root("recordings")))


class UnsortedSubjects(Recordings):
    """Contract violated in one place, as the name says; likewise those below."""

    @property
    def subjects(self):
        return super().subjects[::-1]


class SubjectsTwice(Recordings):
    @property
    def subjects(self):
        return tuple(sorted(super().subjects * 2))


class ListOfSubjects(Recordings):
    @property
    def subjects(self):
        return list(super().subjects)


class DoubledTrial(Recordings):
    def trials(self, subjects=None):
        for trial in super().trials(subjects):
            yield trial
            yield trial


class UnsortedTrials(Recordings):
    def trials(self, subjects=None):
        for subject in self.select(subjects):
            yield from list(super().trials([subject]))[::-1]


class OwnOrderOfSubjects(Recordings):
    def trials(self, subjects=None):
        return super().trials(sorted(self.select(subjects)))


class OrderThatChanges(Recordings):
    n_readings = itertools.count()

    def trials(self, subjects=None):
        trials = list(super().trials(subjects))
        changes = next(self.n_readings) >= 2
        yield from (dataclasses.replace(trial, stimulus=trials[changes - 1].stimulus) for trial in trials)


class ScaledByAll(Recordings):
    def trials(self, subjects=None):
        n_subjects = float(len(self.select(subjects)))
        for trial in super().trials(subjects):
            yield of_recording(signal=lambda one: one.signal / n_subjects)(trial)


class ListOfTrials(Recordings):
    def trials(self, subjects=None):
        return list(super().trials(subjects))


class KeepsTrials(Recordings):
    def trials(self, subjects=None):
        yield from list(super().trials(subjects))


class ReadsEverythingWhenMade(Recordings):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.n_samples = sum(trial.recording.signal.size for trial in self.trials())


class CannotBePickled(Recordings):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.make = lambda: None


class PicklesSignals(Recordings):
    def trials(self, subjects=None):
        for trial in super().trials(subjects):
            self.last = trial.recording.signal
            yield trial


class ForgetsAfterPickling(Recordings):
    def __setstate__(self, state):
        self.__dict__.update(state | {"sampling_rate_hz": 64.0})


class OptionsForgotten(Recordings):
    options = {}  # noqa: RUF012


class OptionsThatAreNoJSON(Recordings):
    @property
    def options(self):
        return {"sampling_rate_hz": np.float32(128)}


class AnyRoot(Recordings):
    def __init__(self, root, **options):
        super().__init__(root if root.is_dir() else root.parent, **options)


class SourceForgotten(Recordings):
    def source_files(self, subject):
        return tuple(path for path in super().source_files(subject) if path.suffix != ".csv")

    def trials(self, subjects=None):
        self.table.path.read_text()
        return super().trials(subjects)


class SourceMissing(Recordings):
    def source_files(self, subject):
        return (*super().source_files(subject), self.root / "notes.txt")


class SourceTwice(Recordings):
    def source_files(self, subject):
        return super().source_files(subject) * 2


class SourceThatChanges(Recordings):
    turn = itertools.count()

    def source_files(self, subject):
        files = super().source_files(subject)
        return files if next(self.turn) % 2 else files[::-1]


class TrialLeftOutOfDescription(Recordings):
    def inspect(self, subject):
        report = super().inspect(subject)
        return SubjectReport(report.description | {"trials": report.description["trials"][1:]}, report.problems)


class OtherRateDescribed(Recordings):
    def inspect(self, subject):
        report = super().inspect(subject)
        return SubjectReport(report.description | {"sampling_rate_hz": 1.0}, report.problems)


class NaNDescribed(Recordings):
    def inspect(self, subject):
        report = super().inspect(subject)
        return SubjectReport(report.description | {"mean": float("nan")}, report.problems)


class DescribesAnotherDataset(Recordings):
    def describe(self):
        return super().describe() | {"dataset": "deap"}


class ProblemOnWholeCopy(Recordings):
    def inspect(self, subject):
        report = super().inspect(subject)
        return SubjectReport(report.description, (Problem(self.root, "some are missing", subject, False),))


class UnknownSubjectsAreEmpty(Recordings):
    def trials(self, subjects=None):
        return super().trials([subject for subject in subjects or self.subjects if subject in self.subjects])


class UnknownSubjectsRaiseKeyError(Recordings):
    def source_files(self, subject):
        return {one: super(UnknownSubjectsRaiseKeyError, self).source_files(one) for one in self.subjects}[subject]


class NamesNoSubjects(Recordings):
    def select(self, subjects):
        try:
            return super().select(subjects)
        except InputError:
            raise InputError(f"{self.root}: unknown subject {list(subjects)}") from None


class RaisesOtherErrors(Recordings):
    def trials(self, subjects=None):
        try:
            yield from super().trials(subjects)
        except InputError as error:
            if "no files of subject" in str(error):
                raise
            raise RuntimeError(str(error)) from error


class SkipsDamagedFiles(Recordings):
    def _skipping(self, what):
        try:
            yield from what
        except InputError as error:
            if "no files of subject" in str(error):
                raise

    def trials(self, subjects=None):
        return self._skipping(super().trials(subjects))

    def inspect(self, subject):
        return SubjectReport(super().inspect(subject).description, ())


class ChecksNothing(Recordings):
    def check(self, subjects=None):
        self.select(subjects)


FAULTS = {
    "subjects": (UnsortedSubjects, SubjectsTwice, ListOfSubjects),
    "trial_key": (DoubledTrial,),
    "order": (UnsortedTrials, OwnOrderOfSubjects),
    "repeatable": (OrderThatChanges,),
    "subset": (ScaledByAll,),
    "one_at_a_time": (ListOfTrials, KeepsTrials),
    "lazy": (ReadsEverythingWhenMade,),
    "pickle": (CannotBePickled, PicklesSignals, ForgetsAfterPickling),
    "options": (OptionsForgotten, OptionsThatAreNoJSON),
    "missing_root": (AnyRoot,),
    "source_files": (SourceForgotten, SourceMissing, SourceTwice, SourceThatChanges),
    "description": (TrialLeftOutOfDescription, OtherRateDescribed, NaNDescribed, DescribesAnotherDataset),
    "problems": (ProblemOnWholeCopy,),
    "unknown_subject": (UnknownSubjectsAreEmpty, UnknownSubjectsRaiseKeyError, NamesNoSubjects),
    "damaged_files": (RaisesOtherErrors, SkipsDamagedFiles, ChecksNothing),
}


def test_every_check_catches_a_fault():
    assert set(FAULTS) | {check for check, _ in TRIAL_FAULTS.values()} == set(READER_CHECKS)


@pytest.mark.parametrize(
    ("check", "broken"), [(check, broken) for check, classes in FAULTS.items() for broken in classes]
)
def test_a_broken_reader_is_caught(check, broken, synthetic_root):
    with pytest.raises(AssertionError, match=f"^{broken.__name__}.*: check '{check}': "):
        check_reader(lambda: broken(synthetic_root("recordings"), sampling_rate_hz=128.0))


class ForgetsSamplesElsewhere(Recordings):
    def source_files(self, subject):
        return tuple(file for file in super().source_files(subject) if file.suffix != ".eeg")


def test_recordings_with_bad_stretches_and_parts_elsewhere_keep_the_contract(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    root.mkdir()
    elsewhere.mkdir()
    signals = [sine(name, hz, 50) for name, hz in (("Fz", 3), ("Cz", 7))]
    write_brainvision(elsewhere / "a.vhdr", signals, markers=["Comment,BAD_x,600,100,0"], data_file="b.eeg")
    for name in ("a.vhdr", "a.vmrk", "b.eeg"):
        (root / name).symlink_to(elsewhere / name)
    rows = "1,1,a.vhdr,2,8,1\n1,2,a.vhdr,10,16,2\n"
    (root / "trials.csv").write_text("subject,trial,file,start_seconds,stop_seconds,valence\n" + rows)
    check_reader(lambda: Recordings(root), (1,))

    with pytest.raises(AssertionError, match=r"check 'source_files': trials of subject 1 are read from .*b\.eeg"):
        check_reader(lambda: ForgetsSamplesElsewhere(root), (1,))


def test_unexpected_subjects_are_named(synthetic_root):
    with pytest.raises(AssertionError, match=r"check 'subjects': `subjects` are \('s01', 's02'\); expected \('s01',\)"):
        check_reader(lambda: Recordings(synthetic_root("recordings")), expected_subjects=("s01",))


def test_messages_say_what_is_wrong(synthetic_root):
    with pytest.raises(AssertionError) as caught:
        check_reader(lambda: RaisesOtherErrors(synthetic_root("recordings")))
    assert "s01.edf truncated to 0% of its bytes: raised RuntimeError: " in str(caught.value)
    with pytest.raises(AssertionError) as caught:
        check_reader(lambda: DoubledTrial(synthetic_root("recordings")))
    assert "('dataset', 'subject', 'session', 'trial') = ('recordings', 's01', 1, 1), " in str(caught.value)


def test_further_units_can_be_allowed(synthetic_root, tmp_path):
    recording = json.dumps(
        {"sampling_rate_hz": 100, "channel_names": ["Fz", "Pulse"], "unit": ["uV", "bpm"]}
        | {"axes": ["channels", "samples"]}
    )
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(0, 20, (2, 500)))
    (tmp_path / "a.json").write_text(recording)
    (tmp_path / "channels.csv").write_text("name,kind\nPulse,misc\n")
    (tmp_path / "trials.csv").write_text("subject,trial,file,start_seconds,stop_seconds,valence\n1,1,a.npy,1,4,5\n")
    with pytest.raises(AssertionError, match="check 'units': unit of channel Pulse is 'bpm'; expected "):
        check_reader(lambda: Recordings(tmp_path))
    check_reader(lambda: Recordings(tmp_path), (1,), units=("bpm",))
