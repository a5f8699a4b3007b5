"""Saved models that read the stimulus, on a recording and the clip that was shown during it."""

import importlib.util
import json
import types
from typing import Any, ClassVar

import keras
import mne
import numpy as np
import pandas as pd
import pytest

from keras_emotion import cli, signals
from keras_emotion.datasets.continuous import ContinuousRecording
from keras_emotion.inference import export
from keras_emotion.inference.live import live_windows
from keras_emotion.inference.media_windows import media_beside
from keras_emotion.inference.network import Network
from keras_emotion.inference.predictor import Predictor
from keras_emotion.inference.signal_windows import Stretch
from keras_emotion.models import DGCNN
from keras_emotion.models.window_classifier import WindowClassifierMixin
from keras_emotion.pipelines import ConnectivityFeatures, MediaPart, ModelInput, SlidingBandPowers
from keras_emotion.schema import Clip, InputError, Recording, Trial
from keras_emotion.synthetic.stimuli import SAMPLING_RATE_HZ, write_clip
from keras_emotion.systems import NetworkSystem
from keras_emotion.systems.media_encoders import EncodedFrames, EncodedSound, PictureEncoder, SoundEncoder

CHANNELS = ("F3", "F4", "T7", "C4", "P3")
RATE, SECONDS, LAG, START = 200.0, 15.2, 0.5, 1.5
N_WINDOWS = 6
PARTS = {
    "eeg": SlidingBandPowers(lag_seconds=LAG),
    "visual": EncodedFrames(
        image_size=16, encoder=PictureEncoder(patch_size=8, n_layers=1, n_heads=2, width=6, mlp_width=8)
    ),
    "audio": EncodedSound(encoder=SoundEncoder(filters=(2, 2, 2, 2), units=(3, 3), embedding_size=5)),
}
ARRAYS = {"eeg": "eeg", "visual": "picture", "audio": "sound"}


@keras.saving.register_keras_serializable(package="tests")
class Reads(WindowClassifierMixin, keras.Model):
    """A softmax of all features, and a bias of each class."""

    def __init__(self, shapes, inference=None, **kwargs):
        inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
        flat = [keras.layers.Flatten()(one) for one in inputs.values()]
        x = flat[0] if len(flat) == 1 else keras.layers.Concatenate()(flat)
        super().__init__(inputs, keras.layers.Dense(2, activation="softmax", name="classifier")(x), **kwargs)
        self.shapes = shapes
        self._keep_inference(inference)

    def get_config(self):
        return {"shapes": self.shapes, "inference": self.inference, "name": self.name}


class ReadsSystem(NetworkSystem):
    """The metadata of a system that `inference` needs."""

    of: dict[str, Any]

    def parts(self):
        return self.of

    def model(self, shapes, n_classes, inference):
        return Reads({name: list(shapes[ARRAYS[name]]) for name in self.of}, inference)

    def losses(self):
        return {}

    def inputs(self, elements):
        return {name: elements[ARRAYS[name]] for name in self.of}

    def targets(self, elements, labels):
        return labels

    def model_inputs(self):
        return {name: ModelInput(part=name, array=ARRAYS[name]) for name in self.of}


def trial_of(microvolts, media=None):
    signal = signals.resample(microvolts, RATE, 128.0)
    recording = Recording(signal, CHANNELS, ("uV",) * len(CHANNELS), 128.0)
    return Trial("x", 1, 1, "x", recording, CHANNELS, {}, media=media)


def model_of(names, trial, **parts):
    system = ReadsSystem(of={name: parts.get(name, PARTS[name]) for name in names})
    inference = {**system.inference(trial), "target": "valence", "class_names": ["low", "high"], "dataset": "deap"}
    inference |= {"synthetic": False, "units": ["uV"] * len(CHANNELS)}
    shapes = {}
    for part in system.parts().values():
        shapes |= part.array_shapes(len(CHANNELS), 128.0)
    model = system.model(shapes, 2, inference)
    kernel = np.random.default_rng(0).standard_normal(model.get_layer("classifier").kernel.shape)
    model.get_layer("classifier").set_weights([0.02 * kernel, np.array([0.1, -0.1])])
    return model


@pytest.fixture(scope="module")
def microvolts():
    return np.random.default_rng(3).normal(0, 10, (len(CHANNELS), round(SECONDS * RATE)))


@pytest.fixture(scope="module")
def folder(microvolts, tmp_path_factory):
    """A recording, and clips: whole (18 s), too short (12 s), without sound, without picture."""
    folder = tmp_path_factory.mktemp("media")
    info = mne.create_info(list(CHANNELS), RATE, "eeg", verbose="error")
    raw = mne.io.RawArray(microvolts * 1e-6, info, verbose="error")
    raw.save(folder / "some_raw.fif", fmt="double", verbose="error")
    generator = np.random.default_rng(0)
    frames = generator.integers(0, 256, (18 * 4, 32, 48, 3), np.uint8)
    sound = 0.1 * generator.standard_normal(18 * SAMPLING_RATE_HZ).astype(np.float32)
    size = (48, 32)
    write_clip(folder / "whole.mp4", iter(frames), sound, 4.0, size)
    write_clip(folder / "short.mp4", iter(frames[: 12 * 4]), sound[: 12 * SAMPLING_RATE_HZ], 4.0, size)
    write_clip(folder / "silent.mp4", iter(frames), None, 4.0, size)
    write_clip(folder / "dark.mp4", iter(()), sound, 4.0, size)
    (folder / "text.mp4").write_text("no video")
    return folder


@pytest.fixture(scope="module")
def models(microvolts, folder):
    """By name: of all three modalities, of the stimulus alone, of EEG and picture."""
    found = {}
    for name, reads in {"all": PARTS, "stimulus": ("visual", "audio"), "eeg and sound": ("eeg", "audio")}.items():
        found[name] = folder / f"{name}.keras"
        model_of(reads, trial_of(microvolts)).save(found[name])
    return found


@pytest.fixture(scope="module")
def recording(folder):
    return ContinuousRecording(folder / "some_raw.fif")


@pytest.mark.parametrize("block_seconds", [6.0, 60.0])
def test_inputs_are_those_of_training(models, folder, recording, microvolts, block_seconds):
    predictor = Predictor.from_file(models["all"])
    paired = predictor._paired(recording, None, 0.0, folder / "whole.mp4", START)
    blocks = list(predictor.blocks(recording, block_seconds, paired))
    assert len(blocks) == (2 if block_seconds == 6.0 else 1)
    trial = trial_of(microvolts, Clip(folder / "whole.mp4", START, START + SECONDS))
    for name, part in PARTS.items():
        arrays, table = part.extract([trial])
        assert table["start_seconds"].tolist()[:N_WINDOWS] == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
        expected = arrays[ARRAYS[name]][:N_WINDOWS]
        found = np.concatenate([inputs[name] for inputs in blocks])
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5, err_msg=name)


def test_command(models, folder, tmp_path, capsys, recording):
    arguments = [str(models["all"]), str(folder / "some_raw.fif"), "--media", str(folder / "whole.mp4")]
    out = tmp_path / "out"
    assert cli.main(["predict", *arguments, "--media-start", str(START), "--output", str(out)]) == 0
    printed = capsys.readouterr().out
    table = pd.read_csv(out / "prediction.csv")
    assert table.columns.tolist() == ["start_seconds", "stop_seconds", "probability_low", "probability_high"]
    assert table["start_seconds"].tolist() == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert (table["stop_seconds"] - table["start_seconds"] == 4.0).all()
    predictor = Predictor.from_file(models["all"])
    paired = predictor._paired(recording, None, 0.0, folder / "whole.mp4", START)
    (inputs,) = predictor.blocks(recording, 60.0, paired)
    expected = predictor.model.predict(inputs, verbose=0)
    np.testing.assert_allclose(table[["probability_low", "probability_high"]], expected, atol=1e-5)
    assert np.ptp(expected[:, 0]) > 1e-4
    summary = json.loads((out / "prediction.json").read_text())
    assert (summary["media"], summary["media_start_seconds"]) == (str(folder / "whole.mp4"), START)
    assert (summary["window_seconds"], summary["hop_seconds"]) == (4.0, 2.0)
    mean = summary["mean_probability"]
    assert list(mean) == ["low", "high"]
    assert mean["high"] == pytest.approx(expected[:, 1].mean(), abs=1e-6)
    assert f"6 windows of 4 s every 2 s, mean probability low {mean['low']:.3f}, high {mean['high']:.3f}" in printed
    # Another position in the clip is another stimulus.
    found = predictor.predict(recording, media=folder / "whole.mp4").table
    assert np.abs(found["probability_high"] - table["probability_high"]).max() > 1e-4


def test_a_model_of_the_stimulus_alone_needs_no_recording(models, folder, tmp_path, capsys):
    arguments = [str(models["stimulus"]), "--media", str(folder / "whole.mp4"), "--media-start", "3"]
    assert cli.main(["predict", *arguments, "--output", str(tmp_path / "out")]) == 0
    table = pd.read_csv(tmp_path / "out" / "prediction.csv")
    # From 3 to 18 s.
    assert table["start_seconds"].tolist() == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    # The prediction of another clip is not overwritten.
    capsys.readouterr()
    arguments[2] = str(folder / "short.mp4")
    with pytest.raises(SystemExit):
        cli.main(["predict", *arguments, "--output", str(tmp_path / "out")])
    assert "is the prediction of" in capsys.readouterr().err


ERRORS = {
    "no clip": ("all", {"media": None}, r"reads the stimulus; give --media with the clip that was shown"),
    "a start without a clip": (
        "eeg",
        {"media": None, "media_start_seconds": 1.0},
        r"--media-start 1: there is no --media",
    ),
    "a clip too many": ("eeg", {}, r"reads no stimulus; leave --media out"),
    "no such clip": (
        "all",
        {"media": "none.mp4"},
        r"none.mp4: cannot be read \(No such file or directory\); expected a",
    ),
    "no clip by its content": ("all", {"media": "text.mp4"}, r"text.mp4: unreadable \("),
    "a short clip": (
        "all",
        {"media": "short.mp4"},
        r"short.mp4: shorter than .*some_raw.fif: its picture ends at 12.00 s and its sound ends at 12.\d\d s; "
        r"expected 14 s or more, where the last window ends; give the whole clip, another --media-start, or a shorter",
    ),
    "a late start": ("all", {"media_start_seconds": 4.5}, r"whole.mp4: shorter than .*its picture ends at 18.00 s"),
    "a start beyond the end": (
        "all",
        {"media_start_seconds": 18.5},
        r"--media-start: the first window starts at 18.5 s, and .*whole.mp4 ends at 18.00 s; expected a time before",
    ),
    "a negative start": ("all", {"media_start_seconds": -1.0}, r"--media-start -1.0: expected 0 s or more"),
    "no sound": ("all", {"media": "silent.mp4"}, r"silent.mp4: no sound track; expected a clip with picture and"),
    "no picture": (
        "all",
        {"media": "dark.mp4"},
        r"dark.mp4: no picture; expected a clip with picture and sound, w",
    ),
    "no sound for sound alone": (
        "eeg and sound",
        {"media": "silent.mp4"},
        r"no sound track; expected a clip with sound",
    ),
    "no recording": ("all", {"recording": None}, r"reads EEG; give an EEG recording"),
    "a recording too many": (
        "stimulus",
        {},
        r"reads stimuli only, and not some_raw.fif; give --media and no r",
    ),
    "nothing left of the clip": (
        "stimulus",
        {"recording": None, "media_start_seconds": 15.0},
        r"whole.mp4: 3.00 s from 15 s on; expected at least a window of 4 s; give a longer clip or an earlier",
    ),
}


@pytest.fixture(scope="module")
def predictors(models, microvolts):
    inference = {"channel_names": list(CHANNELS), "sampling_rate_hz": 128.0}
    part = json.loads(ConnectivityFeatures(sample_seconds=9.0).model_dump_json())
    eeg = DGCNN(n_channels=len(CHANNELS), n_features=15, inference={**inference, "parts": {"eeg": part}})
    return {"eeg": Predictor(eeg), **{name: Predictor.from_file(path) for name, path in models.items()}}


@pytest.mark.parametrize("name", list(ERRORS))
def test_what_does_not_fit_is_refused_in_one_line(name, predictors, folder, recording):
    model, changes, message = ERRORS[name]
    given = {"recording": recording, "media": "whole.mp4", **changes}
    given["media"] = None if given["media"] is None else folder / given["media"]
    with pytest.raises(InputError, match=message) as error:
        predictors[model].predict(**given)
    assert "\n" not in str(error.value)


def test_sound_alone_needs_no_picture(predictors, folder, recording):
    assert len(predictors["eeg and sound"].predict(recording, media=folder / "dark.mp4").table) == N_WINDOWS


def test_streams_are_refused(predictors, microvolts):
    with pytest.raises(InputError, match="uses the stimulus, which a stream does not contain; give a recording"):
        next(live_windows(predictors["all"], None))
    eeg = Predictor(model_of(("eeg",), trial_of(microvolts)))
    with pytest.raises(InputError, match="windows of 4 s every 2 s need a recording"):
        next(live_windows(eeg, None))


def test_windows_that_start_between_samples_are_refused(microvolts):
    model = model_of(("eeg",), trial_of(microvolts), eeg=SlidingBandPowers(hop_seconds=0.3))
    with pytest.raises(InputError, match=r"parts.eeg.fields.hop_seconds: 0.3 s are 38.4 samples; expected a whole"):
        Predictor(model)


class Times(MediaPart):
    """The time in the clip at which each block starts."""

    code_version: ClassVar[int] = 1
    sources: ClassVar[tuple[str, ...]] = ("media", "sound")

    def _of_clip(self, clip, starts):
        return {"time": clip.start_seconds + starts}


def test_the_clip_goes_on_while_the_recording_is_interrupted(folder):
    """Windows of 4 s every 2 s; 6 s, a gap of 1.5 s, 4 s, a gap of unknown length, 4 s."""
    gaps = (
        types.SimpleNamespace(sample=600, lost_seconds=1.5, jump_seconds=0.0),
        types.SimpleNamespace(sample=1000, lost_seconds=None, jump_seconds=0.0),
    )
    recording = types.SimpleNamespace(path="some.fif", gaps=gaps)
    stretches = (Stretch(0, 600, 0.0, 0.0, 2), Stretch(600, 1000, 6.0, 0.0, 1), Stretch(1000, 1400, 10.0, 0.0, 1))
    found = media_beside({"x": Times()}, recording, stretches, folder / "whole.mp4", START)
    assert found.of(0, 4)["time"].tolist() == [1.5, 3.5, 9.0, 0.0]
    assert found.problems.tolist() == ["", "", "", "after a gap of unknown length in the recording"]
    assert found.of(1, 3)["time"].tolist() == [3.5, 9.0]
    with pytest.raises(InputError, match=r"its sound ends at 18.00 s; expected 19 s or more"):
        media_beside({"x": Times()}, recording, stretches, folder / "whole.mp4", 7.5)


def test_features_of_eeg_are_compared_with_the_training():
    scaling = types.SimpleNamespace(mean=np.full((1, 2), 3.0), scale=np.full((1, 2), 0.5))
    eeg = np.full((4, 5, 1, 2), 7.0)
    for scalings in (scaling, {"eeg": scaling}):
        assert Network(types.SimpleNamespace(compiled=True, feature_scaling=scalings)).distance({"eeg": eeg}) == 2.0
    # Powers below the floor count as it.
    floored = types.SimpleNamespace(mean=np.zeros(2), scale=np.ones(2), floor=np.full(2, -3.0))
    assert (
        Network(types.SimpleNamespace(compiled=True, feature_scaling={"eeg": floored})).distance({"eeg": -10 * eeg})
        == 3.0
    )
    assert Network(types.SimpleNamespace(compiled=True)).distance({"eeg": eeg}) == 0.0


def test_released_weights_are_asked_for(folder, microvolts, tmp_path, capsys):
    state = {}
    generator = np.random.default_rng(0)
    sizes = {"features.0": (2, 1, 3, 3), **{f"features.{n}": (2, 2, 3, 3) for n in (3, 6, 8, 11, 13)}}
    sizes |= {"embeddings.0": (3, 48), "embeddings.2": (3, 3), "embeddings.4": (5, 3)}
    for name, shape in sizes.items():
        state[f"{name}.weight"] = generator.standard_normal(shape).astype(np.float32)
        state[f"{name}.bias"] = generator.standard_normal(shape[0]).astype(np.float32)
    np.savez(tmp_path / "vggish.npz", **state)
    np.savez(tmp_path / "other.npz", **{**state, "embeddings.4.bias": np.ones(5, np.float32)})
    sound = EncodedSound(encoder=SoundEncoder(weights=tmp_path / "vggish.npz", front_end="vggish"))
    model = model_of(("eeg", "audio"), trial_of(microvolts), audio=sound)
    assert "vggish.npz" not in json.dumps(model.inference)
    model.save(tmp_path / "m.keras")
    arguments = ["predict", str(tmp_path / "m.keras"), str(folder / "some_raw.fif"), "--output", str(tmp_path / "out")]
    arguments += ["--media", str(folder / "whole.mp4")]
    for options, message in (
        (
            [],
            "m.keras: was trained on sound features of a network whose weights it does not store; give --sound-weights",
        ),
        (["--sound-weights", "other.npz"], "other.npz: not the weights that the model was trained with"),
        (["--sound-weights", "none.npz"], "none.npz: no such file; expected released weights of VGGish"),
        (["--sound-weights", "vggish.npz", "--picture-weights", "x"], "reads no picture of stimuli; leave it out"),
    ):
        given = [str(tmp_path / one) if one.endswith(".npz") else one for one in options]
        with pytest.raises(SystemExit) as stopped:
            cli.main([*arguments, *given])
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err
    # The file may lie anywhere.
    (tmp_path / "elsewhere").mkdir()
    moved = (tmp_path / "vggish.npz").rename(tmp_path / "elsewhere" / "vggish.npz")
    assert cli.main([*arguments, "--sound-weights", str(moved)]) == 0
    predictor = Predictor.from_file(tmp_path / "m.keras", weights={"sound": moved})
    assert len(predictor.predict(ContinuousRecording(folder / "some_raw.fif"), media=folder / "whole.mp4").table) == 6
    assert predictor.media_parts["audio"].encoder.weights == moved


@pytest.mark.parametrize(
    "file_format", ["saved_model", *(pytest.param(one, marks=pytest.mark.slow) for one in ("onnx", "litert"))]
)
def test_exports_start_at_the_features_and_describe_them(file_format, models, folder, tmp_path, capsys):
    missing = [name for name in export.FORMATS[file_format].packages.values() if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed (the extra `export`)")
    out = tmp_path / "model"
    arguments = ["export", str(models["all"]), "--format", file_format, "--output", str(out)]
    if file_format == "saved_model":
        arguments += ["--check-on", str(folder / "some_raw.fif"), "--media", str(folder / "whole.mp4")]
    assert cli.main(arguments) == 0
    printed = capsys.readouterr().out
    for text in (
        "visual (8, 6) of EncodedFrames",
        "audio (4, 5) of EncodedSound",
        "eeg (25, 5, 5) of SlidingBandPowers",
    ):
        assert text in printed
    found = json.loads((tmp_path / "model.json").read_text())
    assert found["inputs"]["visual"]["shape"] == [None, 8, 6]
    assert found["inputs"]["visual"]["array"] == "picture"
    part = found["inputs"]["visual"]["part"]
    assert part["summary"].startswith("Encoded frames of the clips")
    assert EncodedFrames.from_fields(part["fields"]) == PARTS["visual"]
    assert (found["class_names"], found["channel_names"]) == (["low", "high"], list(CHANNELS))
    assert found["outputs"] == {"output": {"shape": [None, 2], "dtype": "float32"}}
