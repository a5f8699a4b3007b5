"""Writer of synthetic own recordings."""

import json

import edfio
import mne
import numpy as np
import pandas as pd
import pytest
import scipy.signal

from keras_emotion import cli
from keras_emotion.datasets import Recordings
from keras_emotion.faces import video_facts
from keras_emotion.pipelines import FaceFeatures
from keras_emotion.synthetic import write_recordings
from keras_emotion.synthetic.recordings import EMOTIV_CHANNEL_NAMES, RETEST_SD, SESSION_LOG_POWER_SD, _table


def test_files_and_table(tmp_path):
    assert write_recordings(tmp_path, 2, 4, trial_seconds=5, baseline_seconds=2) == tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s01.edf", "s02.edf", "synthetic.json", "trials.csv"]
    table = pd.read_csv(tmp_path / "trials.csv")
    assert len(table) == 8
    for name, rows in table.groupby("file"):
        edf = edfio.read_edf(tmp_path / name)
        assert edf.labels[:2] == ("EEG AF3", "EEG F7")
        assert edf.labels[-2:] == ("EOG left", "GSR")
        marks = {(mark.onset, mark.duration, mark.text) for mark in edf.annotations}
        assert marks == {(row.start_seconds, 5, row.stimulus) for row in rows.itertuples()}
        shown = rows.sort_values("presentation")
        assert (np.diff(shown["start_seconds"]) == 8).all()
        assert sorted(rows["trial"]) == sorted(rows["presentation"]) == [1, 2, 3, 4]
        assert (rows["stimulus"] == rows["trial"].map("clip{:02d}".format)).all()
        assert rows["valence"].between(1, 9).all()
        assert (rows["valence"] > 5).sum() == (rows["arousal"] > 5).sum() == 2
    assert Recordings(tmp_path).describe()["problems"] == []


def test_face_videos(tmp_path):
    """One per session, with the subject's face at the time of each trial."""
    options = {"trial_seconds": 4, "baseline_seconds": 2, "face_videos": True, "video_frame_rate_hz": 5.0}
    write_recordings(tmp_path, 1, 3, **options)
    assert video_facts(tmp_path / "s01.avi").duration_seconds == pytest.approx(1 + 2 + 3 * 6 + 2 + 2, abs=0.3)
    table = pd.read_csv(tmp_path / "trials.csv")
    assert (table["video_offset_seconds"] == table["start_seconds"] + 1).all()
    assert Recordings(tmp_path).describe()["problems"] == []
    arrays, windows = FaceFeatures(window_seconds=2.0, detector="blazeface").extract(Recordings(tmp_path).trials())
    assert (windows["unusable"] == "").all()
    assert len(windows) == 6
    # The same face, at other moments.
    faces = arrays["faces"].astype(float).reshape(24, -1)
    assert np.corrcoef(faces).min() > 0.5
    assert np.abs(np.diff(faces, axis=0)).mean(axis=1).min() > 0.5


# --- several sessions, and stimuli that are shown again


TWICE = {"n_sessions": 2, "n_presentations": 2, "trial_seconds": 5, "baseline_seconds": 2, "sampling_rate_hz": 128}


@pytest.fixture(scope="module", params=["edf", "fif"])
def twice(request, tmp_path_factory):
    """Two subjects, two sessions, eight stimuli twice in each."""
    return write_recordings(tmp_path_factory.mktemp("twice"), 2, 8, file_format=request.param, **TWICE)


def test_sessions_as_mne_reads_them(twice):
    """One file for each subject and session: channels, rate, unit, and the trials of the table at their times."""
    table = pd.read_csv(twice / "trials.csv")
    assert list(table.columns) == [
        *("subject", "session", "trial", "file", "start_seconds", "stop_seconds", "baseline_seconds", "presentation"),
        *("stimulus", "valence", "arousal"),
    ]
    names = {path.name for path in twice.iterdir()} - {"trials.csv", "synthetic.json"}
    (suffix,) = {name.partition(".")[2] for name in names}
    assert names == {f"{stem}.{suffix}" for stem in ("s01_1", "s01_2", "s02_1", "s02_2")}
    for (subject, session, name), rows in table.groupby(["subject", "session", "file"]):
        assert name == f"{subject}_{session}.{suffix}"
        raw = mne.io.read_raw(twice / name, verbose="ERROR")
        prefix = "EEG " if suffix == "edf" else ""
        assert raw.ch_names == [*(prefix + name for name in EMOTIV_CHANNEL_NAMES), "EOG left", "GSR"]
        assert raw.info["sfreq"] == 128
        # 2 s, then for each of 16 trials 2 s of baseline, 5 s and, between two, 1 s; 2 s.
        assert raw.n_times == (2 + 16 * 7 + 15 + 2) * 128
        assert 3e-6 < raw.get_data(picks=raw.ch_names[:14]).std() < 30e-6  # volt
        marks = sorted(zip(raw.annotations.onset, raw.annotations.duration, raw.annotations.description, strict=True))
        shown = rows.sort_values("presentation")
        assert marks == [(row.start_seconds, 5, row.stimulus) for row in shown.itertuples()]
        assert (shown["stop_seconds"] - shown["start_seconds"] == 5).all()
        assert shown["presentation"].tolist() == rows["trial"].tolist() == list(range(1, 17))


def test_a_stimulus_shown_again_in_a_session_is_a_trial_with_the_same_ratings(twice):
    table = pd.read_csv(twice / "trials.csv")
    for _, rows in table.groupby(["subject", "session"]):
        first, second = rows[:8], rows[8:]
        assert first["stimulus"].tolist() == second["stimulus"].tolist() == [f"clip{n:02d}" for n in range(1, 9)]
        assert first[["valence", "arousal"]].to_numpy().tolist() == second[["valence", "arousal"]].to_numpy().tolist()


def test_every_session_has_an_order_of_its_own(twice):
    table = pd.read_csv(twice / "trials.csv").sort_values("presentation")
    orders = {tuple(rows["trial"]) for _, rows in table.groupby(["subject", "session"])}
    assert len(orders) == 4


def test_ratings_of_a_later_session_are_those_of_the_first_and_a_little_noise():
    first, second, third = (
        _table(0, 7, session, 4000, 1, 5, 0).sort_values("trial", ignore_index=True) for session in (1, 2, 3)
    )
    for name in ("valence", "arousal"):
        # Where no clipping is near.
        inner = first[name].between(3, 7)
        differences = [(later[name] - earlier[name])[inner] for earlier, later in ((first, second), (first, third))]
        for difference in differences:
            assert difference.mean() == pytest.approx(0, abs=0.04)
            assert difference.std() == pytest.approx(RETEST_SD, rel=0.05)
            assert (difference == 0).mean() < 0.02
        assert np.corrcoef(*differences)[0, 1] == pytest.approx(0, abs=0.06)
        assert np.corrcoef(first[name], second[name])[0, 1] > 0.95
        assert second[name].between(1, 9).all()


def test_the_gain_of_electrodes_differs_between_sessions(tmp_path):
    """By the log-power of the same subject in two sessions, with all other differences removed."""
    options = {"n_sessions": 9, "effect_size": 0, "fingerprint_size": 0, "trial_seconds": 20, "sampling_rate_hz": 128}
    write_recordings(tmp_path, 1, 2, **options)
    logs = []
    for session in range(1, 10):
        raw = mne.io.read_raw_edf(tmp_path / f"s01_{session}.edf", verbose="ERROR")
        logs.append(np.log(raw.get_data(picks=raw.ch_names[:14], units="uV").var(axis=1)))
    gains = np.array(logs[1:]) - logs[0]
    # Mean power of 40 s of noise adds little to the deviation.
    assert gains.std() == pytest.approx(SESSION_LOG_POWER_SD, rel=0.25)
    assert gains.mean() == pytest.approx(0, abs=0.08)


def test_the_first_session_is_that_of_a_study_with_one(tmp_path):
    options = {"trial_seconds": 3, "baseline_seconds": 1, "stimulus_fingerprint_size": 0.5}
    write_recordings(tmp_path / "one", 1, 3, **options)
    write_recordings(tmp_path / "two", 2, 3, n_sessions=2, **options)
    write_recordings(tmp_path / "three", 1, 3, n_sessions=3, **options)
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["s01.edf", "synthetic.json", "trials.csv"]
    content = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*.edf")}
    assert content["one/s01.edf"] == content["two/s01_1.edf"] == content["three/s01_1.edf"]
    assert content["two/s01_2.edf"] == content["three/s01_2.edf"]
    assert len(set(content.values())) == 5


def test_sessions_are_read_back(twice):
    dataset = Recordings(twice)
    assert dataset.describe()["problems"] == []
    table = pd.read_csv(twice / "trials.csv").sort_values(["subject", "session", "trial"])
    trials = list(dataset.trials())
    columns = ["subject", "session", "trial", "stimulus", "presentation"]
    assert [[getattr(trial, name) for name in columns] for trial in trials] == table[columns].to_numpy().tolist()
    for trial, row in zip(trials, table.itertuples(), strict=True):
        assert trial.recording.source == twice / row.file
        assert trial.ratings == {"valence": row.valence, "arousal": row.arousal}
        raw = mne.io.read_raw(twice / row.file, verbose="ERROR")
        first, last = (row.start_seconds - 2) * 128, row.stop_seconds * 128
        expected = raw.get_data(picks=raw.ch_names[:14], start=first, stop=last, units="uV")
        np.testing.assert_allclose(trial.eeg.signal, expected, rtol=0, atol=1e-6)


def test_each_session_has_its_own_face_video(tmp_path):
    options = {"trial_seconds": 4, "baseline_seconds": 2, "face_videos": True, "video_frame_rate_hz": 5.0}
    write_recordings(tmp_path, 1, 2, n_sessions=2, video_size=(64, 48), **options)
    table = pd.read_csv(tmp_path / "trials.csv")
    assert (table["video"] == table["file"].str.replace(".edf", ".avi")).all()
    assert (table["video_offset_seconds"] == table["start_seconds"] + 1).all()
    first, second = (tmp_path / f"s01_{session}.avi" for session in (1, 2))
    for video in (first, second):
        assert video_facts(video).duration_seconds == pytest.approx(1 + 2 + 2 * 6 + 1 + 2, abs=0.3)
    assert first.read_bytes() != second.read_bytes()
    assert Recordings(tmp_path).describe()["problems"] == []


def test_command(tmp_path):
    words = ["--subjects", "1", "--trials", "2", "--trial-seconds", "2", "--baseline-seconds", "0", "--sessions", "2"]
    words += ["--presentations", "3", "--stimulus-fingerprint-size", "0.4"]
    assert cli.main(["synthesize", "recordings", str(tmp_path / "out"), *words]) == 0
    marker = json.loads((tmp_path / "out" / "synthetic.json").read_text())
    expected = {"n_trials": 2, "n_sessions": 2, "n_presentations": 3, "stimulus_fingerprint_size": 0.4}
    assert {name: marker[name] for name in expected} == expected
    assert len(pd.read_csv(tmp_path / "out" / "trials.csv")) == 12


# --- what is planted


def test_a_subject_does_not_depend_on_the_number_of_subjects(tmp_path):
    for folder, n_subjects in (("one", 1), ("two", 2)):
        write_recordings(tmp_path / folder, n_subjects, 2, trial_seconds=3, file_format="fif")
    first, second, other = (
        mne.io.read_raw(tmp_path / file, verbose="ERROR").get_data(verbose="ERROR")
        for file in ("one/s01.fif", "two/s01.fif", "two/s02.fif")
    )
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, other)


@pytest.mark.parametrize("effect_size", [0.0, 1.0])
def test_gamma_follows_valence_at_the_temples(tmp_path, effect_size):
    write_recordings(tmp_path, 2, 16, effect_size=effect_size, fingerprint_size=0, trial_seconds=10)
    valence, power = [], []
    for trial in Recordings(tmp_path).trials():
        frequencies, spectrum = scipy.signal.welch(trial.recording.pick(["F7", "T8"]).signal[:, 3 * 256 :], 256)
        gamma = spectrum[:, (frequencies > 32) & (frequencies < 44)].mean(axis=1)
        valence.append((trial.subject, trial.ratings["valence"]))
        power.append(np.log(gamma))
    table = pd.DataFrame(valence, columns=["subject", "valence"]).assign(power=np.mean(power, axis=1))
    # Subjects differ; within one, a rating higher by 1.8 raises the log-power by the effect size, minus the small part
    # that the average reference mixes in.
    centred = table[["valence", "power"]] - table.groupby("subject")[["valence", "power"]].transform("mean")
    slope = np.polyfit(centred["valence"] / 1.8, centred["power"], 1)[0]
    assert slope == pytest.approx(0.9 * effect_size, abs=0.15)


@pytest.mark.parametrize(
    "options",
    [
        {"n_subjects": 100},
        {"n_subjects": 0},
        {"n_trials": 1},
        {"sampling_rate_hz": 99},
        {"trial_seconds": 1.5},
        {"baseline_seconds": -1},
        {"fingerprint_size": -0.1},
        {"fingerprint_size": float("nan")},
        {"stimulus_fingerprint_size": -0.1},
        {"stimulus_fingerprint_size": float("inf")},
        {"n_sessions": 0},
        {"n_sessions": 1.5},
        {"n_presentations": 0},
        {"file_format": "bdf"},
    ],
)
def test_bad_arguments(tmp_path, options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"`{name}` is {value!r}; expected"):
        write_recordings(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
