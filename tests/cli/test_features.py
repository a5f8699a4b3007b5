"""The command `features`: arrays for scikit-learn."""

import json
import os

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold

from keras_emotion import cli
from keras_emotion.datasets import READERS
from keras_emotion.experiment import feature_table
from keras_emotion.experiment.feature_table import write_feature_table
from keras_emotion.schema import InputError
from keras_emotion.signals import THREE_FACRNN_BANDS, differential_entropy_features
from keras_emotion.systems.settings import Runtime


@pytest.fixture
def command(memory_reader, tmp_path, monkeypatch):
    """Runs the command on one worker, on two subjects with eight trials of 12 s; gives its exit code."""
    monkeypatch.setitem(READERS, "memory", memory_reader)
    (tmp_path / "data").mkdir()

    def run(*words):
        store = ("--feature-store", str(tmp_path / "store"), "--workers", "1")
        return cli.main(["features", str(tmp_path / "data"), "--dataset", "memory", *store, *map(str, words)])

    return run


def test_entropies_are_those_of_the_signals_in_the_order_of_channels_and_bands(command, tmp_path, capsys):
    output = tmp_path / "new folder" / "X.npz"
    assert command("--output", output) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "synthetic" in captured.out
    assert "X 192 windows x 8 channels x 4 bands; y valence, arousal; 16 trials of 2 subjects" in captured.out
    data = np.load(output, allow_pickle=False)
    assert (data["X"].dtype, data["X"].shape) == (np.float32, (192, 8, 4))
    trials = list(READERS["memory"](tmp_path / "data").trials())
    expected = np.concatenate(
        [
            differential_entropy_features(
                trial.eeg.signal, 128.0, THREE_FACRNN_BANDS, 1.0, baseline_seconds=3.0, baseline="none"
            )
            for trial in trials
        ]
    )
    np.testing.assert_array_equal(data["X"], expected.astype(np.float32))
    ratings = [[trial.ratings[name] for name in data["y_names"]] for trial in trials]
    np.testing.assert_array_equal(data["y"], np.repeat(ratings, 12, axis=0))
    assert tuple(data["channel_names"]) == trials[0].eeg.channel_names
    assert dict(zip(data["band_names"], data["band_edges_hz"].tolist(), strict=True)) == {
        name: list(edges) for name, edges in THREE_FACRNN_BANDS.items()
    }
    assert data["start_seconds"][:13].tolist() == [*range(12), 0]
    assert (data["stop_seconds"] - data["start_seconds"] == 1).all()
    assert data["sampling_rate_hz"] == 128
    assert json.loads(str(data["description"]))["synthetic"] is True


def test_groups_keep_people_and_trials_apart(command, tmp_path):
    output = tmp_path / "X.npz"
    command("--output", output)
    groups = np.load(output)["groups"]
    assert {name: len(np.unique(groups[name])) for name in groups.dtype.names} == {
        "subject": 2,
        "session": 2,
        "trial": 16,  # numbered anew for each subject, and yet not the same
        "stimulus": 8,
    }
    for train, test in GroupKFold(2).split(groups, groups=groups["subject"]):
        assert not set(groups["subject"][train]) & set(groups["subject"][test])


def test_raw_signals_of_one_subject_as_json(command, tmp_path, capsys):
    output = tmp_path / "X.npz"
    words = ("--features", "raw_all", "--subjects", "2", "--window-seconds", "2", "--json", "--subtract-baseline")
    assert command("--output", output, *words) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    written = json.loads(captured.out)
    assert (written["shape"], written["axes"]) == ([48, 256, 8], ["windows", "samples", "channels"])
    data = np.load(output)
    assert data["X"].shape == (48, 256, 8)
    assert set(data["groups"]["subject"]) == {"2"}
    assert data["band_edges_hz"].shape == (0, 2)


def test_windows_are_written_a_few_at_a_time(command, tmp_path, monkeypatch):
    command("--output", tmp_path / "whole.npz")
    monkeypatch.setattr(feature_table, "_WINDOWS_AT_A_TIME", 5)  # and one is left
    command("--output", tmp_path / "X.npz")
    np.testing.assert_array_equal(np.load(tmp_path / "X.npz")["X"], np.load(tmp_path / "whole.npz")["X"])


def test_a_file_that_is_there_stays_unless_it_is_to_be_replaced(command, tmp_path, capsys):
    output = tmp_path / "X.npz"
    output.write_text("mine")
    with pytest.raises(SystemExit) as caught:
        command("--output", output)
    assert caught.value.code == 2
    assert "X.npz: exists already; give another name, or --overwrite to replace it" in capsys.readouterr().err
    assert output.read_text() == "mine"
    assert command("--output", output, "--overwrite") == 0
    assert np.load(output)["X"].shape[0] == 192


def test_what_ends_while_it_writes_leaves_nothing(command, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(np.lib.format, "write_array", broken)
    with pytest.raises(SystemExit) as caught:
        command("--output", tmp_path / "X.npz")
    assert caught.value.code == 130
    assert sorted(os.listdir(tmp_path)) == ["data", "store"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--output", "X.npy"], "X.npy: not the name of an .npz file"),
        (["--output", "X.npz", "--features", "psd"], "features 'psd': unknown; expected one of de, raw, raw_all"),
        (["--output", "X.npz", "--window-seconds", "0"], "window_seconds"),
        (["--output", "X.npz", "--window-seconds", "13"], "12 s of signal; expected at least one window of 13 s"),
        (["--output", "X.npz", "--workers", "-1"], "--workers -1: expected 0 or more"),
        (["--output", "X.npz", "--sampling-rate-hz", "128"], "memory is read at the rate it was published with"),
        (["--output", "/dev/null/X.npz"], "/dev/null/X.npz: cannot be written: File exists"),
        (["--output", "X.npz", "--subjects", "9"], "9"),
    ],
)
def test_unusable_input_is_code_2(command, words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        command(*words)
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert "Traceback" not in captured.err


def test_missing_channels_ratings_and_windows_are_counted(memory_reader, tmp_path):
    class Gaps(memory_reader):
        """Subject 2 has no O2, a trial without arousal, and a bad stretch."""

        def trials(self, subjects=None):
            import dataclasses

            for trial in super().trials(subjects):
                if trial.subject == 2:
                    names = trial.recording.channel_names[:-1]
                    recording = trial.recording.pick(names)
                    if trial.trial == 1:
                        recording = dataclasses.replace(recording, bad_spans=((0.5, 1.5, "cough"),))
                    ratings = {"valence": 3.0} if trial.trial == 2 else trial.ratings
                    trial = dataclasses.replace(trial, recording=recording, eeg_channel_names=names, ratings=ratings)
                yield trial

    reader = Gaps(tmp_path, n_trials=4)
    runtime = Runtime(workers=1, feature_store=tmp_path / "store")
    written = write_feature_table(tmp_path / "X.npz", "de", reader, runtime=runtime)
    assert written.notes == (
        "subject 2: 2 of 48 windows left out: bad segment in the file: cough",
        "subject 2: channels missing in 48 windows (NaN in X): O2",
        "arousal: no rating in 12 of 94 windows (NaN in y)",
    )
    data = np.load(tmp_path / "X.npz")
    assert data["X"].shape == (94, 8, 4)
    np.testing.assert_array_equal(np.isnan(data["X"]).any(axis=(0, 2)), [False] * 7 + [True])
    both = write_feature_table(
        tmp_path / "Y.npz", "de", reader, runtime=runtime, study_channels="intersection", window_seconds=2.0
    )
    assert both.shape == (47, 7, 4)
    assert "subject 1: channels left out, because some recordings lack them: O2" in both.notes
    with pytest.raises(InputError, match="unknown; expected one of"):
        write_feature_table(tmp_path / "Z.npz", "none", reader)
