"""The writer of synthetic recordings of one's own."""

import edfio
import mne
import numpy as np
import pandas as pd
import pytest
import scipy.signal

from keras_emotion.datasets import Recordings
from keras_emotion.faces import video_facts
from keras_emotion.pipelines import FaceFeatures
from keras_emotion.synthetic import write_recordings


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
    """One a session, of the person's face at the time of each trial."""
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
    # Subjects differ; within one, a rating of 1.8 more is that much more of log-power, less the little that the average
    # reference mixes in.
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
        {"file_format": "bdf"},
    ],
)
def test_bad_arguments(tmp_path, options):
    (name,) = options
    with pytest.raises(ValueError, match=f"`{name}` is"):
        write_recordings(tmp_path, **options)
