"""`keras-emotion audio`: output files, printed text and errors."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from keras_emotion import cli
from keras_emotion.audio import energy_dbfs, log_mel, read_audio
from keras_emotion.cli import audio as command


@pytest.fixture(scope="module")
def path(tmp_path_factory, sound):
    return sound(tmp_path_factory.mktemp("sound") / "a$b$.m4a", "aac", picture=False)


def refused(words, capsys):
    with pytest.raises(SystemExit) as raised:
        cli.main(["audio", *map(str, words)])
    assert raised.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "Traceback" not in error
    assert error.count("\n") == 1
    return error


def test_files_and_line(path, tmp_path, capsys):
    out = tmp_path / "new" / "out"
    assert cli.main(["audio", str(path), "--output", str(out)]) == 0
    assert sorted(file.name for file in out.iterdir()) == ["energy.csv", "spectrogram.png"]
    table = pd.read_csv(out / "energy.csv")
    assert table.columns.tolist() == ["start_seconds", "stop_seconds", "energy_dbfs"]
    samples = read_audio(path, 16000).samples
    assert table["start_seconds"].tolist() == [0, 1, 2, 3][: len(table)]
    np.testing.assert_allclose(table["energy_dbfs"][:3], energy_dbfs(samples, 16000, 1.0)[:3], rtol=1e-4)
    assert table["stop_seconds"].iloc[-1] == pytest.approx(len(samples) / 16000, abs=1e-4)
    picture = cv2.imread(str(out / "spectrogram.png"))
    assert picture.shape == (690, 1350, 3)
    captured = capsys.readouterr()
    assert captured.err == ""
    n_silent = int((table["energy_dbfs"] < -50).sum())
    assert captured.out.startswith(f"{path}: {len(samples) / 16000:.2f} s, aac, 44100 Hz, 2 channels, peak 0.")
    assert captured.out.endswith(f"{n_silent} of {len(table)} windows below -50 dBFS; wrote {out}\n")


def test_measured_block_by_block(path, monkeypatch):
    given = command.Audio(path, path.parent / "unused")
    _, energies, expected = given._measured(1.0)
    np.testing.assert_array_equal(expected, log_mel(read_audio(path, 16000).samples, 16000))
    monkeypatch.setattr(command, "_BLOCK_SECONDS", 0.7)
    summary, again, found = given._measured(1.0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    pd.testing.assert_frame_equal(again, energies)
    assert summary["duration_seconds"] == pytest.approx(energies["stop_seconds"].iloc[-1])


def test_long_file_in_few_columns(path, monkeypatch):
    monkeypatch.setattr(command, "_MOST_COLUMNS", 50)
    given = command.Audio(path, path.parent / "unused")
    _, energies, log_mels = given._measured(1.0)
    figure = command._figure(energies, log_mels, 3.0, -50.0, "a")
    (image,) = figure.axes[0].images
    n_together = -(-len(log_mels) // 50)
    assert image.get_array().shape == (20, -(-len(log_mels) // n_together))
    expected = 10 / np.log(10) * log_mels[n_together : 2 * n_together].mean(axis=0)
    np.testing.assert_allclose(image.get_array()[:, 1], expected, rtol=1e-5)


def test_json_and_a_stretch(path, tmp_path, capsys):
    words = ["--start-seconds", "0.5", "--stop-seconds", "2.5", "--window-seconds", "0.5", "--hop-seconds", "0.25"]
    assert cli.main(["audio", str(path), "--output", str(tmp_path), "--json", "--silence-dbfs", "0", *words]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["file"], summary["start_seconds"], summary["duration_seconds"]) == (str(path), 0.5, 2.0)
    assert (summary["windows"], summary["silent_windows"], summary["filled_seconds"]) == (7, 7, 0.0)
    table = pd.read_csv(tmp_path / "energy.csv")
    assert table["start_seconds"].tolist() == [0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]


def test_gaps_are_reported(tmp_path, sound, capsys):
    path = sound(tmp_path / "a.mkv", "pcm_s16le", 16000, missing=[(1.0, 1.5)])
    assert cli.main(["audio", str(path), "--output", str(tmp_path / "out")]) == 0
    assert "below -50 dBFS, 0.51 s of gaps filled with zeros; wrote" in capsys.readouterr().out


def test_refusals(path, tmp_path, sound, cut, capsys):
    for name in ("energy.csv", "spectrogram.png"):
        out = tmp_path / name
        out.mkdir()
        (out / name).write_text("mine")
        assert f"{out / name}: exists already; expected a new folder" in refused([path, "--output", out], capsys)
        assert [file.read_text() for file in out.iterdir()] == ["mine"]
    out = tmp_path / "out"
    broken = cut(sound(tmp_path / "a.flac", "flac"), tmp_path / "cut.flac", 0.5)
    for words, expected in (
        ([tmp_path / "none.wav"], "none.wav: no such file"),
        ([broken], "cut.flac: truncated or damaged"),
        ([path, "--start-seconds", "9"], "no audio from 9 s on"),
        ([path, "--stop-seconds", "0"], "an empty segment"),
        ([path, "--window-seconds", "0"], "--window-seconds 0.0: expected 0.001 or more"),
        ([path, "--hop-seconds", "2"], "--hop-seconds 2.0: expected 0.001 to --window-seconds"),
        ([path, "--silence-dbfs", "nan"], "--silence-dbfs nan: expected a number"),
    ):
        assert expected in refused([*words, "--output", out], capsys)
        assert not out.exists()
    file = tmp_path / "file"
    file.touch()
    assert "cannot be written" in refused([path, "--output", file], capsys)
