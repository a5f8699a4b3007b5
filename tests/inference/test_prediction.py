"""Saved models on recordings: blocks against the whole, channels by name, messages and refusals."""

import importlib
import json

import mne
import numpy as np
import pandas as pd
import pytest

from keras_emotion import cli, models, progress, signals
from keras_emotion.datasets.continuous import ContinuousRecording
from keras_emotion.datasets.electrodes import ChannelTable
from keras_emotion.inference.prediction import notes_of
from keras_emotion.inference.predictor import Predictor
from keras_emotion.pipelines import ConnectivityFeatures, EEGGridFeatures, RawSignals
from keras_emotion.schema import InputError, Recording, Trial
from keras_emotion.synthetic import write_recordings

CHANNELS = ("F3", "F4", "T7", "C4", "P3", "P4", "O1", "O2")
SPELT = ("EEG F3-REF", "f4", "T3", "C4..", "P3", "P4", "EEG O1-A2", "O2")
RATE, SECONDS = 200.0, 71.3


@pytest.fixture(scope="module")
def microvolts():
    """Offset and drift, as from amplifiers, and noise of some ten microvolts."""
    rng = np.random.default_rng(3)
    n_samples = round(SECONDS * RATE)
    offsets = 500.0 * np.arange(1, 9)[:, np.newaxis] + np.linspace(0, 300, n_samples)
    return (
        offsets + 10 * np.cumsum(rng.standard_normal((8, n_samples)), axis=1) / 20 + rng.normal(0, 10, (8, n_samples))
    )


def written(signal, names, path, rate=RATE):
    info = mne.create_info(list(names), rate, "eeg", verbose="error")
    mne.io.RawArray(signal * 1e-6, info, verbose="error").save(path, fmt="double", overwrite=True, verbose="error")
    return path


@pytest.fixture(scope="module")
def file(microvolts, tmp_path_factory):
    # In another order than the model's.
    folder = tmp_path_factory.mktemp("recording")
    return written(microvolts[::-1], SPELT[::-1], folder / "some_raw.fif")


def network(part=None, channels=CHANNELS, **known):
    part = part or EEGGridFeatures()
    inference = {"features": json.loads(part.model_dump_json()), "channel_names": list(channels)}
    inference |= {"sampling_rate_hz": 128.0, "target": "valence", "class_names": ["low", "high"], **known}
    n_steps, rows, columns, n_bands = part.array_shapes(len(channels), 128.0)["eeg"]
    sizes = {"n_steps": n_steps, "grid_shape": (rows, columns), "n_bands": n_bands}
    return models.FACRNNEEGNetwork(**sizes, width_multiplier=0.05, units=4, inference=inference)


def of_the_whole(part, microvolts, baseline_seconds=3.0):
    """Features as computed in the reproductions."""
    signal = signals.resample(microvolts, RATE, 128.0)
    seconds = baseline_seconds if getattr(part, "baseline", "none") != "none" else 0.0
    recording = Recording(signal, CHANNELS, ("uV",) * 8, 128.0, seconds)
    return part.extract([Trial("x", 1, 1, "x", recording, CHANNELS, {})])[0]


PARTS = {
    "3FACRNN": EEGGridFeatures(),
    "mean entropy of the baseline": EEGGridFeatures(baseline="feature"),
    "4D-CRNN": EEGGridFeatures(baseline="feature", convention="4d-crnn"),
    "LibEER": EEGGridFeatures(baseline="none", convention="libeer"),
    "TorchEEG": EEGGridFeatures(baseline="none", convention="torcheeg"),
    "long samples": EEGGridFeatures(sequence="windows", window_seconds=1.5, steps=3),
    "raw": EEGGridFeatures(representation="raw_slices"),
}


@pytest.mark.parametrize("name", list(PARTS))
def test_blocks_are_those_of_the_whole(name, file, microvolts):
    part, asked = PARTS[name], []
    predictor, recording = Predictor(network(part)), ContinuousRecording(file)
    read = recording.read
    recording.read = lambda start, stop, channels: asked.append(stop - start) or read(start, stop, channels)
    blocks = np.concatenate([inputs["eeg"] for inputs in predictor.blocks(recording, block_seconds=10.0)])
    whole = of_the_whole(part, microvolts)["eeg"]
    assert blocks.shape == whole.shape
    scale = np.abs(whole).max() if name == "raw" else 1.0
    np.testing.assert_allclose(blocks, whole, rtol=0, atol=1e-6 * scale)
    # Memory: a block of 10 s (at most 13.5 s of whole windows), lead-in, tail, and the reach of the resampling.
    assert max(asked) < (13.5 + 2 * predictor.lead_seconds + 4) * RATE


def test_without_a_lead_in_they_are_not(file, microvolts, monkeypatch):
    monkeypatch.setattr(EEGGridFeatures, "lead_in_seconds", lambda part, rate: 0.0)
    blocks = Predictor(network()).blocks(ContinuousRecording(file), block_seconds=10.0)
    blocks = np.concatenate([inputs["eeg"] for inputs in blocks])
    assert np.abs(blocks - of_the_whole(EEGGridFeatures(), microvolts)["eeg"]).max() > 1e-3


def test_raw_windows_and_band_powers(file, microvolts):
    known = {"channel_names": list(CHANNELS), "sampling_rate_hz": 128.0}
    raw = RawSignals(channels="eeg")
    eegnet = models.EEGNet(n_channels=8, inference={**known, "parts": {"eeg": json.loads(raw.model_dump_json())}})
    blocks = Predictor(eegnet).blocks(ContinuousRecording(file), 10.0)
    expected = of_the_whole(raw, microvolts)["bio"]
    np.testing.assert_allclose(np.concatenate([inputs["eeg"] for inputs in blocks]), expected, atol=1e-3, rtol=1e-6)
    powers = ConnectivityFeatures(sample_seconds=9.0)
    dgcnn = models.DGCNN(
        n_channels=8, n_features=15, inference={**known, "parts": {"eeg": json.loads(powers.model_dump_json())}}
    )
    blocks = np.concatenate([inputs["eeg"] for inputs in Predictor(dgcnn).blocks(ContinuousRecording(file), 20.0)])
    expected = np.swapaxes(of_the_whole(powers, microvolts)["eeg"], 1, 2).reshape(7, 8, 15)
    np.testing.assert_allclose(blocks, expected, rtol=0, atol=1e-5)


def test_probabilities_are_those_of_the_model(file, microvolts):
    model = network()
    model.feature_scaling.set_statistics(np.full((9, 9, 4), 1.5), np.full((9, 9, 4), 0.5))
    found = Predictor(model).predict(ContinuousRecording(file), block_seconds=10.0)
    whole = of_the_whole(EEGGridFeatures(), microvolts)
    expected = np.asarray(model.window_probabilities(model.predict(whole, verbose=0)))
    np.testing.assert_allclose(found.table[["probability_low", "probability_high"]], expected, atol=1e-6)
    np.testing.assert_allclose(found.table["start_seconds"], 3 + 2 * np.arange(34))
    np.testing.assert_allclose(found.table["stop_seconds"], 5 + 2 * np.arange(34))
    bands = np.asarray(model.band_attention_weights(whole)).mean(axis=1)
    np.testing.assert_allclose(found.band_attention, bands, atol=1e-6)
    assert found.bands == ("theta", "alpha", "beta", "gamma")
    assert found.summary["channels"]["T7"] == "T3"


def test_a_missing_channel_counts_as_its_mean(file):
    """It is 0 after scaling, and reported; existing channels of the model are unchanged."""
    channels = (*CHANNELS, "Cz", "Fp1")
    model = network(channels=channels)
    mean = np.random.default_rng(0).standard_normal((9, 9, 4))
    model.feature_scaling.set_statistics(mean, np.full((9, 9, 4), 2.0))
    predictor, recording = Predictor(model), ContinuousRecording(file)
    inputs = predictor.some_windows(recording, 5)
    scaled = np.asarray(model.feature_scaling(inputs["eeg"]))
    for row, column in signals.grid_positions(["Cz", "Fp1"]):
        np.testing.assert_allclose(scaled[:, :, row, column], 0, atol=1e-6)
    there = Predictor(network()).some_windows(recording, 5)["eeg"]
    for row, column in signals.grid_positions(CHANNELS):
        np.testing.assert_array_equal(inputs["eeg"][:, :, row, column], there[:, :, row, column])
    (note,) = [note for note in predictor.predict(recording).notes if "missing" in note]
    assert note == "2 of 10 channels missing, replaced by the mean of the training windows: Cz, Fp1"


@pytest.mark.parametrize(("shift", "is_far"), [(0.0, False), (3.0, True)])
def test_features_far_from_the_training_are_said(shift, is_far, file, microvolts):
    """Statistics of this recording, or those of one whose means are three deviations off; a channel is missing."""
    whole = of_the_whole(EEGGridFeatures(), microvolts)["eeg"]
    mean, deviation = whole.mean(axis=(0, 1)), whole.std(axis=(0, 1))
    model = network(channels=(*CHANNELS, "Cz"))
    model.feature_scaling.set_statistics(mean + shift * deviation, deviation)
    notes = Predictor(model).predict(ContinuousRecording(file)).notes
    said = [note for note in notes if "from the means of the training windows" in note]
    assert [note.split()[:4] for note in said] == ([["features", "lie", "3.0", "standard"]] if is_far else [])


def test_a_missing_raw_channel_is_zero(file):
    part = RawSignals(channels="eeg", baseline="none")
    inference = {"parts": {"eeg": json.loads(part.model_dump_json())}, "channel_names": ["Cz", *CHANNELS]}
    model = models.EEGNet(n_channels=9, inference={**inference, "sampling_rate_hz": 128.0})
    inputs = Predictor(model).some_windows(ContinuousRecording(file), 3)["eeg"]
    assert not inputs[:, :, 0].any()
    assert inputs[:, :, 1:].any(axis=(0, 1)).all()


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"channel_names": [*CHANNELS[:3], "Fp1", "Fp2", "AF3", "AF4"]}, "has 3 of the model's 7 channels"),
        ({"units": ["a.u."] * 8}, "was trained on signals in a.u."),
    ],
)
def test_refused(known, message, file):
    known = {"features": json.loads(EEGGridFeatures().model_dump_json()), "channel_names": list(CHANNELS), **known}
    model = models.FACRNNEEGNetwork(width_multiplier=0.05, units=4, inference={"sampling_rate_hz": 128.0, **known})
    with pytest.raises(InputError, match=message) as refused:
        Predictor(model).predict(ContinuousRecording(file))
    assert "\n" not in str(refused.value)


def test_a_model_that_knows_nothing():
    with pytest.raises(InputError, match="has no inference metadata"):
        Predictor(models.FACRNNEEGNetwork(width_multiplier=0.05, units=4))


def test_what_the_file_says_of_itself(microvolts, tmp_path):
    """A compressed file with annotations: its bad channels and segments, and its gaps."""
    info = mne.create_info(list(SPELT), RATE, "eeg", verbose="error")
    raw = mne.io.RawArray(microvolts * 1e-6, info, verbose="error")
    raw.info["bads"] = ["T3"]
    raw.set_annotations(mne.Annotations([20, 40], [1, 0], ["BAD_cough", "EDGE boundary"]))
    raw.save(tmp_path / "some_raw.fif.gz", fmt="double", verbose="error")
    recording = ContinuousRecording(tmp_path / "some_raw.fif.gz")
    assert recording.bad_channels == ("T7",)
    assert [gap.sample for gap in recording.gaps] == [40 * RATE]
    windows = Predictor(network()).windows(recording)
    assert windows.channels.missing == ("T7",)
    assert [stretch.n_windows for stretch in windows.stretches] == [18, 15]
    assert np.flatnonzero(windows.problems).tolist() == [8]
    np.testing.assert_allclose(windows.starts_seconds, [*range(3, 38, 2), *range(40, 70, 2)])
    np.testing.assert_allclose(recording.read(3, 9, [1, 0]), microvolts[[1, 0], 3:9])


@pytest.mark.parametrize(("factor", "advice"), [(1e6, "factor 1e-06"), (1e-6, "factor 1e+06"), (1e-3, "factor 1000")])
def test_eeg_of_a_size_that_no_scalp_has(factor, advice, microvolts, tmp_path):
    """Refused as by `Recordings`; accepted if the user gives the unit factor."""
    path = written(factor * (microvolts - microvolts.mean(axis=1, keepdims=True)), CHANNELS, tmp_path / "x_raw.fif")
    with pytest.raises(InputError, match=r"x_raw\.fif: EEG has a standard deviation of .* per second") as refused:
        Predictor(network()).predict(ContinuousRecording(path))
    assert advice in str(refused.value)
    (tmp_path / "channels.csv").write_text(f"name,factor\n*,{1 / factor:g}\n")
    assert np.isfinite(Predictor(network()).some_windows(ContinuousRecording(path), 2)["eeg"]).all()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "valence.keras"
    network(synthetic=True).save(path)
    return path


def test_command(saved, file, tmp_path, capsys):
    assert cli.main(["predict", str(saved), str(file), "--output", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "warning: trained on synthetic data" in out
    assert "x real time" in out
    table = pd.read_csv(tmp_path / "out" / "prediction.csv")
    assert list(table) == ["start_seconds", "stop_seconds", "probability_low", "probability_high"]
    np.testing.assert_allclose(table["probability_low"] + table["probability_high"], 1, atol=1e-6)
    assert (tmp_path / "out" / "prediction.png").read_bytes().startswith(b"\x89PNG")
    summary = json.loads((tmp_path / "out" / "prediction.json").read_text())
    assert summary["target"] == "valence"
    assert "synthetic" in summary["warning"]
    assert (summary["absolute_path"], summary["windows"]) == (str(file), len(table))


def test_a_long_recording_says_how_far_it_is(saved, file, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0)
    assert cli.main(["predict", str(saved), str(file), "--output", str(tmp_path / "out"), "--block-seconds", "30"]) == 0
    lines = capsys.readouterr().err.splitlines()
    counts = [line.partition(" done, ")[0] for line in lines if line.startswith("windows: ") and line.endswith(" left")]
    assert counts == ["windows: 15 of 34", "windows: 30 of 34", "windows: 34 of 34"]


def test_another_prediction_is_not_overwritten(tmp_path, monkeypatch):
    """Two recordings of the same name, in two folders; another model may replace results for the same one."""
    monkeypatch.chdir(tmp_path)
    ours, other = tmp_path / "p01" / "eeg.edf", tmp_path / "p02" / "eeg.edf"
    folder = tmp_path / "predictions" / "eeg"
    command = importlib.import_module("keras_emotion.cli.predict")
    command._check_folder(folder, ours)
    folder.mkdir(parents=True)
    for known in ({"absolute_path": str(ours)}, {"recording": "p01/eeg.edf"}):
        (folder / "prediction.json").write_text(json.dumps(known))
        command._check_folder(folder, ours)
        with pytest.raises(InputError, match=r"prediction\.json: is the prediction of .*p01/eeg\.edf, not of .*p02"):
            command._check_folder(folder, other)
    for content in ("{", "[]"):
        (folder / "prediction.json").write_text(content)
        with pytest.raises(InputError, match="not a prediction that can be replaced"):
            command._check_folder(folder, ours)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (None, (), "no such file"),
        (b"time,Fp1\n0,1\n", (), "cannot be read as .edf"),
        ("short", (), "4 s are too short; the model needs 5 s"),
        ("short", ("--block-seconds", "0"), "--block-seconds 0.0: expected a number above 0"),
        ("short", ("--baseline-seconds", "0.5"), "--baseline-seconds 0.5"),
        ("short", ("--seconds", "nan"), "--seconds nan: expected a number above 0"),
        ("whole", ("--video", __file__), "unreadable video"),
    ],
)
def test_command_refuses(content, options, message, saved, microvolts, tmp_path, capsys):
    path = tmp_path / "some_raw.fif"
    if content == "short":
        written(microvolts[:, : round(4 * RATE)], CHANNELS, path)
    elif content == "whole":
        written(microvolts, CHANNELS, path)
    elif content is not None:
        path = tmp_path / "some.edf"
        path.write_bytes(content)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["predict", str(saved), str(path), *options])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_export_is_checked_on_windows_of_a_recording(saved, file, tmp_path, capsys):
    words = ["export", str(saved), "--format", "saved_model", "--output", str(tmp_path / "exported")]
    assert cli.main([*words, "--check-on", str(file)]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith(f"on 34 windows of {file}")


def test_channels_that_the_file_does_not_name(saved, microvolts, tmp_path, capsys):
    """As in `Recordings`: electrodes and factors from a table, and excluded channels."""
    names = [f"E{number}" for number in range(1, 10)]
    path = written(np.vstack([microvolts, microvolts[:1]]) * 1e-3, names, tmp_path / "some_raw.fif")
    with pytest.raises(SystemExit):
        cli.main(["predict", str(saved), str(path)])
    assert "has 0 of the model's 8 channels" in capsys.readouterr().err
    rows = [f"E{place},eeg,{name},1000" for place, name in enumerate(CHANNELS, start=1)]
    (tmp_path / "channels.csv").write_text("\n".join(["name,kind,electrode,factor", *rows, "E9,none,F3,"]))
    table = ChannelTable(tmp_path / "channels.csv")
    recording = ContinuousRecording(path, table)
    assert recording.channel_names == CHANNELS
    np.testing.assert_allclose(recording.read(5, 9, [3, 0]), microvolts[[3, 0], 5:9])
    # The one next to the recording is found.
    assert ContinuousRecording(path).channel_names == CHANNELS
    moved = tmp_path / "elsewhere" / "channels.csv"
    moved.parent.mkdir()
    (tmp_path / "channels.csv").rename(moved)
    words = ["predict", str(saved), str(path), "--output", str(tmp_path / "out")]
    assert cli.main([*words, "--channels", str(moved)]) == 0
    with pytest.raises(SystemExit):
        cli.main([*words, "--channels", str(tmp_path / "gone.csv")])
    assert "gone.csv: no such file" in capsys.readouterr().err


def test_an_array_with_a_sidecar(microvolts, file, tmp_path):
    np.save(tmp_path / "some.npy", microvolts * 1e-3)
    sidecar = {"sampling_rate_hz": RATE, "channel_names": SPELT, "unit": "mV", "axes": ["channels", "samples"]}
    (tmp_path / "some.json").write_text(json.dumps(sidecar))
    found, expected = (
        Predictor(network()).some_windows(ContinuousRecording(path))["eeg"] for path in (tmp_path / "some.npy", file)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)
    (tmp_path / "some.npy").rename(tmp_path / "some.NPY")
    assert ContinuousRecording(tmp_path / "some.NPY").n_samples == microvolts.shape[1]
    (tmp_path / "some.NPY").rename(tmp_path / "some.npy")
    (tmp_path / "some.json").unlink()
    with pytest.raises(InputError, match="sidecar missing"):
        ContinuousRecording(tmp_path / "some.npy")


def test_electrodes_lie_where_they_lay_in_training(microvolts, tmp_path):
    """For names outside the grid: by their positions, stored in the model, or by those of the 10-5 system."""
    names = ("F3", "F4", "T7", "C4", "P3", "P4", "AFp3", "E8")
    path = written(microvolts, names, tmp_path / "some_raw.fif")
    directions = signals.electrode_directions([*names[:7], "Oz"])
    carried = [None, *map(list, directions[1:])]
    predictor = Predictor(network(channels=names, electrode_directions=carried))
    inputs = predictor.some_windows(ContinuousRecording(path), 2)["eeg"]
    cells = signals.grid_positions(names, directions=directions)
    assert inputs[:, :, cells[:, 0], cells[:, 1]].any(axis=(0, 1, 3)).all()
    ((row, column),) = signals.grid_positions(["Oz"])
    np.testing.assert_array_equal(cells[7], [row, column])
    # An earlier model has no positions: those of the 10-5 system are used.
    assert Predictor(network(channels=names[:7])).some_windows(ContinuousRecording(path), 2)["eeg"].any()
    without = written(microvolts[:6], names[:6], tmp_path / "without_raw.fif")
    model = network(channels=names, electrode_directions=carried)
    model.feature_scaling.set_statistics(np.full((9, 9, 4), 1.5), np.full((9, 9, 4), 0.5))
    there = Predictor(model).some_windows(ContinuousRecording(without), 2)["eeg"]
    np.testing.assert_array_equal(there[:, :, row, column], 1.5)


def test_channels_of_other_units_are_given_in_them(tmp_path):
    """The model was trained on skin resistance in kiloohm; in microvolts the channel would be incompatible."""
    write_recordings(tmp_path, 1, 2, trial_seconds=4)
    recording = ContinuousRecording(tmp_path / "s01.edf")
    place = recording.channel_names.index("GSR")
    assert recording.units[place] == "kOhm"
    assert recording.units[:14] == ("uV",) * 14
    part = RawSignals(baseline="none")
    channels, units = ["F7", "F8", "GSR"], ["uV", "uV", "kOhm"]
    known = {"bio": json.loads(part.model_dump_json()), "channel_names": channels, "sampling_rate_hz": 128.0}
    model = models.DeepVANet(modalities=("bio",), n_bio_channels=3, inference={**known, "units": units})
    predictor = Predictor(model)
    assert list(notes_of(predictor, recording, predictor.windows(recording))) == ["resampled from 256 to 128 Hz"]
    skin = predictor.some_windows(recording, 3)["bio"][..., 2]
    assert 250 < skin.mean() < 350
    other = models.DeepVANet(modalities=("bio",), n_bio_channels=3, inference={**known, "units": ["uV", "uV", "uS"]})
    assert Predictor(other).windows(recording).channels.missing == ("GSR",)
    in_ohm = models.DeepVANet(modalities=("bio",), n_bio_channels=3, inference={**known, "units": ["uV", "uV", "ohm"]})
    np.testing.assert_allclose(Predictor(in_ohm).some_windows(recording, 3)["bio"][..., 2], 1e3 * skin, rtol=1e-6)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("eeglab_data.set", "AF7"),
        ("eegmmidb_64ch_128hz_124s_T0T1T2.edf", None),
        ("eeglab_biosemi16_256hz_60s.bdf", "AF7"),
        ("mne_biosemi72_2048hz_1s.bdf", None),
    ],
)
def test_real_recordings(name, missing, real_data, tmp_path, capsys):
    """Electrodes in four spellings, or named after the sockets of their cap; a second is two windows here."""
    short = EEGGridFeatures(window_seconds=0.5, baseline="none", convention="torcheeg")
    network(short, (*CHANNELS, "AF7")).save(tmp_path / "short.keras")
    words = ["predict", str(tmp_path / "short.keras"), str(real_data / "eeg_files" / name)]
    assert cli.main([*words, "--output", str(tmp_path / "out")]) == 0
    table = pd.read_csv(tmp_path / "out" / "prediction.csv")
    is_usable = table.get("problem", pd.Series("", table.index)).isna() | ("problem" not in table)
    # The recording of PhysioNet ends with zeros.
    assert list(table.index[~is_usable]) == ([len(table) - 1] if name.startswith("eegmmidb") else [])
    assert np.isfinite(table.filter(like="probability_"))[is_usable].all(axis=None)
    said = [line.split(": ")[-1] for line in capsys.readouterr().out.splitlines() if "channels missing" in line]
    assert said == ([missing] if missing else [])


def test_files_of_one_name_have_folders_of_their_own_by_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours, other = tmp_path / "p01" / "eeg.edf", tmp_path / "p02" / "eeg.edf"
    command = importlib.import_module("keras_emotion.cli.predict")
    folder = command._default_folder(ours)
    assert folder.as_posix() == "predictions/eeg"
    folder.mkdir(parents=True)
    (folder / "prediction.json").write_text(json.dumps({"absolute_path": str(ours)}))
    assert command._default_folder(ours) == folder
    elsewhere = command._default_folder(other)
    assert elsewhere != folder
    assert elsewhere.name.startswith("eeg-")
    # Always the same one.
    assert command._default_folder(other) == elsewhere
