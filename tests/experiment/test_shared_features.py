"""Features of stimuli in runs: computed once per clip, paired with the EEG by time, on any engine."""

import dataclasses
import shutil
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from keras_emotion.datasets import Recordings, SubjectReport, with_stimuli
from keras_emotion.evaluation import LabelRule
from keras_emotion.experiment import Experiment, RunFolder, Runtime, prepare, run, runner
from keras_emotion.experiment.description import load_experiment
from keras_emotion.pipelines import FeatureStore, MediaFrames, MediaLogMel, SlidingBandPowers, Windowing
from keras_emotion.pipelines.feature_store import SharedWindows
from keras_emotion.reports import build_report
from keras_emotion.reports.numbers import read_numbers
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_recordings, write_stimuli
from keras_emotion.systems import EstimatorSystem, register_system
from keras_emotion.systems.media_encoders import EncodedFrames, EncodedSound, PictureEncoder, SoundEncoder
from keras_emotion.testing import check_system
from tests.conftest import MemoryReader

N_TRIALS = 6
SECONDS = 12
LAG = 0.5


@register_system
class SeesStimuli(EstimatorSystem):
    """Logistic regression on picture, sound and EEG."""

    reads: tuple[str, ...] = ("picture", "sound", "eeg")
    lag_seconds: float = LAG

    @property
    def windowing(self):
        return Windowing(window_seconds=4.0, hop_seconds=2.0, lag_seconds=self.lag_seconds)

    def parts(self):
        parts = {"picture": MediaFrames(image_size=8), "sound": MediaLogMel(), "eeg": SlidingBandPowers()}
        parts["eeg"] = parts["eeg"].with_windowing(self.windowing)
        return {name: parts[name] for name in self.reads}

    def estimator(self, seed):
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=50))


class Counting(MediaFrames):
    """Frames; writes a line for each computed clip."""

    kind: ClassVar[str] = "MediaFrames"
    log: ClassVar[list] = []

    def _of_clip(self, clip, starts):
        self.log.append((clip.path.name, len(starts)))
        return super()._of_clip(clip, starts)


class Described(MemoryReader):
    def reopened(self, root=None):
        return self

    def inspect(self, subject):
        trials = [
            {"stimulus": trial.stimulus, "duration_seconds": trial.duration_seconds} for trial in self.trials([subject])
        ]
        return SubjectReport({"subject": subject, "trials": trials}, ())


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    emotions = {str(number): {"valence": float((-1) ** number)} for number in range(1, N_TRIALS + 1)}
    folder = tmp_path_factory.mktemp("clips")
    return write_stimuli(folder, emotions, dict.fromkeys(emotions, SECONDS + 0.1), size=(32, 32), silent_share=0.25)


def experiment(folder, reads=("picture", "sound", "eeg"), system=None, **runtime):
    return Experiment(
        name="test",
        dataset="memory",
        targets=("valence",),
        protocols=("trial_disjoint",),
        maximum_folds=3,
        maximum_repetitions=1,
        system=system or SeesStimuli(reads=reads),
        runtime=Runtime(feature_store=folder / "features", **{"workers": 1, **runtime}),
    )


def entries(folder):
    return {path.name for path in (folder / "features").iterdir() if (path / "windows.csv").is_file()}


def test_blocks_of_all_parts_start_at_the_same_times(tmp_path, clips):
    reader = with_stimuli(Described(tmp_path, n_subjects=2, n_trials=N_TRIALS, seconds=SECONDS), clips)
    plan, description = prepare(experiment(tmp_path), reader)
    unit = plan.window_set(2, "valence")
    # Of the five blocks of 12 s, the EEG of the last ends after the trial.
    assert unit.table.groupby("trial")["start_seconds"].apply(list).tolist() == [[0.0, 2.0, 4.0, 6.0]] * N_TRIALS
    dropped = plan.dropped_windows()
    assert (dropped["reason"] == "eeg: no window at this time").all()
    assert dropped["n_windows"].tolist() == [1] * 2 * N_TRIALS
    rows = np.arange(len(unit.table))
    arrays = {name: unit.arrays[name][rows] for name in ("frames", "log_mel", "energy_dbfs", "eeg")}
    for number, trial in enumerate(reader.trials([2])):
        own = slice(4 * number, 4 * number + 4)
        for part in (MediaFrames(image_size=8), MediaLogMel()):
            for name, expected in part.extract([trial.without_ratings()])[0].items():
                np.testing.assert_array_equal(arrays[name][own], expected[:4])
        signal = trial.eeg.signal[:, round((3 + LAG) * 128) :]
        later = type(trial)(**{**vars(trial), "recording": type(trial.recording)(signal, *_rest(trial.recording))})
        expected = SlidingBandPowers().extract([later])[0]["eeg"]
        np.testing.assert_allclose(arrays["eeg"][own], expected[:4], rtol=1e-5)
    assert unit.table["valence"].tolist() == [
        trial.ratings["valence"] for trial in reader.trials([2]) for _ in range(4)
    ]
    assert description["sources"] == ["media", "picture", "recording", "sound"]


def _rest(recording):
    return recording.channel_names, recording.units, recording.sampling_rate_hz


def test_a_system_that_sees_stimuli_keeps_the_contract(tmp_path, clips):
    check_system(SeesStimuli(), with_stimuli(Described(tmp_path, n_trials=2, seconds=8), clips), n_windows=4)


def test_a_clip_is_computed_once_whoever_was_shown_it(tmp_path, clips, monkeypatch):
    system = SeesStimuli(reads=("picture",))
    monkeypatch.setattr(SeesStimuli, "parts", lambda self: {"picture": Counting(image_size=8)})
    Counting.log.clear()
    reader = with_stimuli(Described(tmp_path, n_subjects=3, n_trials=N_TRIALS, seconds=SECONDS), clips)
    prepare(experiment(tmp_path, system=system), reader)
    assert sorted(Counting.log) == [(f"{number}.mp4", 5) for number in range(1, N_TRIALS + 1)]
    before = entries(tmp_path)
    # A subject with stored features computes nothing, a new one looks up existing entries.
    prepare(experiment(tmp_path, system=system), reader)
    more = with_stimuli(Described(tmp_path, n_subjects=4, n_trials=N_TRIALS, seconds=SECONDS), clips)
    prepare(experiment(tmp_path, system=system), more)
    assert len(Counting.log) == N_TRIALS
    assert len(before) == N_TRIALS + 3
    assert len(entries(tmp_path)) == N_TRIALS + 4
    # `keras-emotion store` lists them under the dataset, and clips under none.
    stored = FeatureStore(tmp_path / "features").entries()
    assert {(one.dataset, one.part, len(one.made_of)) for one in stored} == {
        ("Described", "MediaFrames", N_TRIALS),
        ("", "MediaFrames", 0),
    }


def test_encoded_stimuli_are_those_of_each_clip_alone(tmp_path, clips, monkeypatch):
    frames = EncodedFrames(
        image_size=16, encoder=PictureEncoder(patch_size=8, n_layers=1, n_heads=2, width=8, mlp_width=8)
    )
    sound = EncodedSound(encoder=SoundEncoder(filters=(2, 2, 2, 2), units=(3, 3), embedding_size=5))
    monkeypatch.setattr(SeesStimuli, "parts", lambda self: {"picture": frames, "sound": sound})
    # The network has the threads of workers that train.
    threads = []
    monkeypatch.setattr(runner, "prepare_backend", threads.append)
    reader = with_stimuli(Described(tmp_path, n_subjects=2, n_trials=N_TRIALS, seconds=SECONDS), clips)
    plan, description = prepare(experiment(tmp_path, system=SeesStimuli(reads=("picture", "sound"))), reader)
    assert len(entries(tmp_path)) == 2 * (N_TRIALS + 2)
    assert threads == [1] * 2 * N_TRIALS
    unit = plan.window_set(2, "valence")
    for number, trial in enumerate(reader.trials([2])):
        (pictures, table), (sounds, _) = (part.extract([trial.without_ratings()]) for part in (frames, sound))
        own = number * len(table) + np.arange(len(table))
        for name, expected in {**pictures, **sounds}.items():
            np.testing.assert_array_equal(unit.arrays[name][own], expected)
    assert description["feature_flags"] == [
        f"{what} features by a network with random weights" for what in ("picture", "sound")
    ]
    store = FeatureStore(tmp_path / "features").entries()
    assert {one.part for one in store} == {"EncodedFrames", "EncodedSound"}


def test_trials_of_other_lengths_share_the_windows_they_have(tmp_path, clips):
    class Shorter(Described):
        def trials(self, subjects=None):
            for trial in super().trials(subjects):
                if trial.subject == 1:
                    recording = trial.recording
                    signal = recording.signal[:, : round(11.5 * 128)]
                    recording = type(recording)(signal, *_rest(recording), recording.baseline_seconds)
                    trial = type(trial)(**{**vars(trial), "recording": recording})
                yield trial

    reader = with_stimuli(Shorter(tmp_path, n_subjects=2, n_trials=N_TRIALS, seconds=SECONDS), clips)
    plan, _ = prepare(experiment(tmp_path, ("picture",)), reader)
    first, second = (plan.window_set(subject, "valence") for subject in (1, 2))
    assert [len(one.table) for one in (first, second)] == [3 * N_TRIALS, 5 * N_TRIALS]
    same = second.arrays["frames"][np.flatnonzero(second.table["start_seconds"] <= 4)]
    np.testing.assert_array_equal(first.arrays["frames"][np.arange(len(first.table))], same)
    # The clips, and an entry for each subject.
    assert len(entries(tmp_path)) == N_TRIALS + 2


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_runs_are_the_same_resumed_and_loaded_again(tmp_path, clips, workers):
    study = write_recordings(tmp_path / "study", n_subjects=2, n_trials=N_TRIALS, trial_seconds=SECONDS)
    stimuli = sorted({trial.stimulus for trial in Recordings(study).trials()})
    (study / "clips").mkdir()
    for clip, stimulus in zip(sorted(clips.glob("*.mp4")), stimuli, strict=True):
        shutil.copy(clip, study / "clips" / f"{stimulus}.mp4")
    reader = with_stimuli(Recordings(study), study / "clips")
    wanted = experiment(tmp_path, ("picture", "eeg"), workers=workers).changed({"dataset": "recordings"})
    folder = run(wanted, reader, tmp_path / "run")
    predictions = folder.predictions()
    assert set(predictions["stimulus"]) == set(stimuli)
    # The data with their clips are moved, and the run is opened again.
    moved = shutil.move(study, tmp_path / "moved")
    loaded, dataset = load_experiment(tmp_path / "run", moved)
    assert (loaded, dataset.stimuli) == (wanted, moved / "clips")
    elsewhere = (moved / "clips").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="clips: no such folder; expected a folder of stimuli"):
        load_experiment(tmp_path / "run", moved)
    _, dataset = load_experiment(tmp_path / "run", moved, elsewhere)
    assert run(loaded, dataset, tmp_path / "run", resume=True).is_finished
    pd.testing.assert_frame_equal(RunFolder(tmp_path / "run").predictions(), predictions)


def test_protocols_that_share_stimuli_are_flagged_and_quadrants_are_a_target(tmp_path, clips):
    """One run, read from its folder and its report: the stimulus baseline, and four classes of two ratings."""
    reader = with_stimuli(Described(tmp_path, n_subjects=3, n_trials=N_TRIALS, seconds=SECONDS), clips)
    shared = ("as_published_mercl", "trial_disjoint_across_subjects", "subject_disjoint")
    # Within a subject no trial shares its stimulus with another: each was shown once.
    protocols = (*shared, "trial_disjoint", "stimulus_disjoint", "subject_and_stimulus_disjoint")
    wanted = experiment(tmp_path, ("picture",)).changed({"targets": ("valence+arousal",), "protocols": protocols})
    folder = run(wanted, reader, tmp_path / "run")
    numbers = read_numbers(folder)
    flags = {name: "; ".join(protocol["flags"]) for name, protocol in numbers.protocols.items()}
    for name in protocols:
        assert ("the model sees the stimulus itself, and " in flags[name]) == (name in shared), name
    # 4 s every 2 s: a window overlaps with its neighbours, where they are in other folds.
    places = ["subject", "trial", "start_seconds", "fold"]
    windows = folder.predictions().query(f"protocol == '{shared[0]}'")[places].values.tolist()
    share = np.mean(
        [
            any(one[:2] == two[:2] and abs(one[2] - two[2]) < 4 and one[3] != two[3] for two in windows)
            for one in windows
        ]
    )
    assert 0.5 < share < 1
    assert f"{100 * share:.0f} % of the test windows overlap in time with windows of other folds" in flags[shared[0]]
    assert not any("overlap in time" in flags[name] for name in protocols[1:])
    table = build_report(folder).table
    (section,) = table.sections
    rows = {row.label: [cell.value for cell in row.cells] for row in section.rows}
    assert section.heading == "valence+arousal, 4 classes, 3 subjects"
    assert len(rows["knows the stimulus"]) == len(protocols)
    assert rows["knows the trial"][0] == "100.0"
    assert "F1, mean over classes" in rows
    predictions = folder.predictions()
    names = ["HVHA", "LVHA", "LVLA", "HVLA"]
    assert [name for name in predictions if name.startswith("probability_")] == [f"probability_{one}" for one in names]
    # The reader's arousal is 10 less valence.
    ratings = {(trial.subject, trial.trial): trial.ratings["valence"] for trial in reader.trials()}
    for row in predictions.itertuples():
        assert names[row.label] == ("HVLA" if ratings[int(row.subject), row.trial] > 5 else "LVHA")


def test_a_quadrant_is_permuted_as_its_ratings_are(tmp_path, clips):
    reader = with_stimuli(Described(tmp_path, n_subjects=2, n_trials=N_TRIALS, seconds=SECONDS), clips)
    wanted = experiment(tmp_path, ("picture",)).changed({"targets": ("valence+arousal",)})
    plan = prepare(wanted, reader)[0]
    before = plan.window_set(1, "valence+arousal")
    for numbering in ({}, {"enumerated": {(1, ""): (1, 20)}}):
        moved = dataclasses.replace(plan, permutation=3, **numbering).window_set(1, "valence+arousal")
        assert moved.ratings.shape == before.ratings.shape == (len(before.table), 2)
        assert (moved.ratings.sum(axis=1) == 10).all()
        assert not np.array_equal(moved.ratings, before.ratings)
        assert sorted(moved.labels()) == sorted(before.labels())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"targets": ("valence+liking",)},
            "target 'liking' is not a rating of dataset memory; it has valence, arousal",
        ),
        ({"targets": ("valence+valence",)}, r"'valence\+valence': the same rating twice"),
        (
            {"targets": ("valence+arousal",), "label_rule": LabelRule(kind="levels", edges=(3, 6))},
            r"'valence\+arousal': valence has 3 classes \(levels\(3,6\)\); expected two, low and high",
        ),
        ({"class_names": {"valence": ("a", "b", "c")}}, r"class_names of valence: 3 \(a, b, c\); expected 2"),
    ],
)
def test_targets_that_do_not_fit_are_named(tmp_path, clips, changes, message):
    reader = with_stimuli(Described(tmp_path, n_trials=N_TRIALS, seconds=SECONDS), clips)
    with pytest.raises(InputError, match=message):
        prepare(experiment(tmp_path, ("picture",)).changed(changes), reader)[0].jobs()


def test_classes_of_single_targets_have_names_of_their_own(tmp_path, clips):
    reader = with_stimuli(Described(tmp_path, n_trials=N_TRIALS, seconds=SECONDS), clips)
    names = {"arousal": ("Activated", "Moderate", "Deactivated")}
    rule = LabelRule(kind="levels", edges=(3, 6))
    wanted = experiment(tmp_path, ("picture",)).changed({"label_rule": rule, "class_names": names})
    plan = prepare(wanted, reader)[0]
    assert plan.rule("arousal").class_names == names["arousal"]
    assert plan.rule("valence").class_names == ("low", "medium", "high")
    assert plan.window_set(1, "arousal").class_names == names["arousal"]


def test_sessions_that_were_asked_for_are_the_only_ones(tmp_path):
    class TwoSessions(MemoryReader):
        def trials(self, subjects=None):
            for trial in super().trials(subjects):
                if trial.subject == 1 or trial.trial % 2:
                    yield dataclasses.replace(trial, session=1 + trial.trial % 2)

    wanted = experiment(tmp_path, ("eeg",)).changed({"sessions": (1,), "protocols": ("within_session",)})
    reader = TwoSessions(tmp_path, n_subjects=1, n_trials=12)
    assert wanted.identity() != wanted.changed({"sessions": ()}).identity()
    plan = prepare(wanted, reader)[0]
    assert set(plan.window_set(1, "valence").table["session"]) == {1}
    assert list(plan.units()) == [("within_session", "valence", 1, "")]
    both = dataclasses.replace(plan, experiment=wanted.changed({"sessions": ()}))
    assert [session for *_, session in both.units()] == [1, 2]
    # The second subject has only the second session.
    plan = prepare(wanted, TwoSessions(tmp_path, n_subjects=2, n_trials=12))[0]
    with pytest.raises(InputError, match=r"sessions: subject 2 has no session 1; it has 2; give other sessions"):
        plan.window_set("pool", "valence")


def test_all_faults_of_clips_are_listed(tmp_path, clips):
    folder = shutil.copytree(clips, tmp_path / "clips")
    for number, share in ((1, 0.5), (3, 0.7)):
        # In the middle of a file, so that its header is whole.
        path = folder / f"{number}.mp4"
        content = bytearray(path.read_bytes())
        middle = round(len(content) * share)
        content[middle : middle + 3000] = bytes(3000)
        path.write_bytes(content)
    gone = (folder / "2.mp4").rename(tmp_path / "2.mp4"), (folder / "4.mp4").rename(tmp_path / "4.mp4")
    reader = with_stimuli(Described(tmp_path, n_trials=N_TRIALS, seconds=SECONDS), folder)
    with pytest.raises(InputError) as error:
        prepare(experiment(tmp_path), reader)
    assert [line.split(": ")[1].split(";")[0] for line in str(error.value).splitlines()] == [
        "missing clip of stimulus 2",
        "missing clip of stimulus 4",
    ]
    assert not (tmp_path / "features").exists() or not entries(tmp_path)
    for path in gone:
        path.rename(folder / path.name)
    with pytest.raises(InputError) as error:
        prepare(experiment(tmp_path), reader.reopened())
    # Both tracks of both: the fault of the first does not hide others.
    lines = str(error.value).splitlines()
    assert [line.split(": ")[0].rpartition("/")[2] for line in lines] == ["1.mp4", "1.mp4", "3.mp4", "3.mp4"]
    assert sum("audio decoding failed" in line for line in lines) == 2


def test_all_trials_of_all_subjects_that_are_too_short_are_listed(tmp_path, clips):
    reader = with_stimuli(Described(tmp_path, n_subjects=2, n_trials=N_TRIALS, seconds=4), clips)
    with pytest.raises(InputError) as error:
        prepare(experiment(tmp_path), reader)
    fault = "lasts 4 s; expected at least a window of 4 s and the lag of 0.5 s; choose shorter windows (window_seconds)"
    assert str(error.value).splitlines() == [
        f"recording, subject {subject}, trial {', '.join(map(str, range(1, N_TRIALS + 1)))}: {fault}"
        for subject in (1, 2)
    ]


def test_without_a_stimulus_folder(tmp_path):
    with pytest.raises(InputError, match="no clip of stimulus 1; expected a video or sound file; give the folder"):
        prepare(experiment(tmp_path), Described(tmp_path, n_trials=N_TRIALS))


def test_damaged_features_of_a_clip_are_computed_anew(tmp_path, clips, capsys):
    reader = with_stimuli(Described(tmp_path, n_trials=N_TRIALS, seconds=SECONDS), clips)
    plan, _ = prepare(experiment(tmp_path, ("picture",)), reader)
    rows = np.arange(4)
    expected = plan.window_set(1, "valence").arrays["frames"][rows]
    shared = next((tmp_path / "features").glob("*/frames.npy"))
    shared.write_bytes(shared.read_bytes()[:-7])
    plan, _ = prepare(experiment(tmp_path, ("picture",)), reader)
    np.testing.assert_array_equal(plan.window_set(1, "valence").arrays["frames"][rows], expected)
    assert "frames.npy has" in capsys.readouterr().err
    assert len(entries(tmp_path)) == N_TRIALS + 2


def test_few_files_are_open_however_many_clips_there_are(tmp_path):
    store = FeatureStore(tmp_path)
    table = pd.DataFrame({"start_seconds": [0.0, 1.0]})
    folders = [
        store.folder({"clip": number}, lambda number=number: ({"x": np.full((2, 3), number)}, table))
        for number in range(70)
    ]
    rows = np.stack([np.repeat(np.arange(70), 2), np.tile([0, 1], 70)], axis=1)
    array = SharedWindows([folder / "x.npy" for folder in folders], rows)
    assert (array.shape, array.nbytes) == ((140, 3), 140 * 3 * 8)
    np.testing.assert_array_equal(array[:], np.repeat(np.arange(70), 2)[:, np.newaxis].repeat(3, axis=1))
    assert array[-1].tolist() == [69] * 3
    assert array[np.array([3, 0])].tolist() == [[1] * 3, [0] * 3]
    from keras_emotion.pipelines.feature_store import _kept_open

    assert _kept_open.cache_info().currsize <= 64
