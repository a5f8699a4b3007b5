"""Inference blocks of saved models: of every system, of version 0.1.0, and altered ones, which are refused."""

import copy
import dataclasses
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from keras_emotion import cli, models
from keras_emotion.datasets.continuous import ContinuousRecording
from keras_emotion.inference import Predictor
from keras_emotion.inference.old_blocks import convert_old_block
from keras_emotion.inference.schema import InferenceBlock, read_block
from keras_emotion.pipelines import (
    ConnectivityFeatures,
    EEGGridFeatures,
    FaceFeatures,
    FaceQuantities,
    MediaFrames,
    RawSignals,
)
from keras_emotion.schema import InputError, Recording, Trial
from keras_emotion.systems.ave_lstm import AVELSTM
from keras_emotion.systems.comparison_networks import _NETWORKS, ComparisonNetwork
from keras_emotion.systems.deepvanet import DeepVANetSystem
from keras_emotion.systems.face_affect import FaceAffect
from keras_emotion.systems.face_eeg_lstm import FaceEEGLSTMSystem
from keras_emotion.systems.facrnn import FACRNN
from keras_emotion.systems.facrnn_visual import FACRNNVisual
from keras_emotion.systems.media_encoders import EncodedSound
from keras_emotion.systems.mercl import MERCLSystem
from keras_emotion.systems.prior_dfcn import PriorDFCNSystem
from keras_emotion.systems.ve_bilstm import VEBiLSTM

CHANNELS = ("F3", "F4", "T7", "C4", "GSR")
EEG = CHANNELS[:4]
RATE = 128.0

# Metadata that a run adds to a system's.
OF_THE_RUN = {"target": "valence", "class_names": ["low", "high"], "dataset": "deap", "synthetic": True}


@pytest.fixture(scope="module")
def trial():
    recording = Recording(np.zeros((5, 1280)), CHANNELS, ("uV",) * 4 + ("kOhm",), RATE, 3.0)
    return Trial("test", 1, 1, "film", recording, EEG, {})


SHORT = ConnectivityFeatures(sample_seconds=6.0, window_seconds=2.0)
SMALL_FACES = FaceFeatures(image_size=32)
SYSTEMS = {
    "3FACRNN": FACRNN(width_multiplier=0.05),
    "3FACRNN with a teacher": FACRNN(width_multiplier=0.05, teacher="fold"),
    "3FACRNN on raw EEG": FACRNN(width_multiplier=0.05, features=EEGGridFeatures(representation="raw_slices")),
    "3FACRNN of faces": FACRNNVisual(width_multiplier=0.1, faces=SMALL_FACES),
    "DeepVANet": DeepVANetSystem(width_multiplier=0.1, faces=FaceFeatures(steps=2, image_size=32)),
    "DeepVANet of faces": DeepVANetSystem(width_multiplier=0.1, modalities="faces", faces=SMALL_FACES),
    "DeepVANet of signals": DeepVANetSystem(modalities="bio", bio=RawSignals(channels="peripheral")),
    "PriorDFCN": PriorDFCNSystem(stfenet=False, features=SHORT),
    "PriorDFCN without a prior": PriorDFCNSystem(stfenet=False, features=SHORT, prior="none"),
    "MERCL": MERCLSystem(units=8),
    "VE-BiLSTM": VEBiLSTM(width_multiplier=1 / 128),
    "AVE-LSTM": AVELSTM(units=4, n_components=3),
    "LSTMs of face and EEG": FaceEEGLSTMSystem(units=4),
    **{name: ComparisonNetwork(network=name, features=SHORT) for name in _NETWORKS},
}


def built(system, trial):
    """A network of a system with its block from a run, and arrays of its parts."""
    inference = {**system.inference(trial), **OF_THE_RUN}
    channels = inference.get("channel_names", [])
    units = dict(zip(trial.recording.channel_names, trial.recording.units, strict=True))
    if channels:
        inference["units"] = [units[name] for name in channels]
    shapes = {}
    for part in system.parts().values():
        shapes |= part.array_shapes(len(channels), RATE)
    shapes.pop("faces" if "teacher" in type(system).model_fields else "", None)
    rng = np.random.default_rng(0)
    arrays = {name: rng.uniform(0, 9, (2, *shape)).astype(np.float32) for name, shape in shapes.items()}
    return system.model(shapes, 2, inference), arrays


@pytest.mark.parametrize("name", list(SYSTEMS))
def test_a_block_makes_the_inputs_that_training_makes(name, trial):
    system = SYSTEMS[name]
    model, arrays = built(system, trial)
    if system == SYSTEMS["DeepVANet of signals"]:
        # Signals of a unit that no recording has.
        with pytest.raises(InputError, match="units: was trained on signals in kOhm"):
            read_block(model, "x")
        return
    reading = read_block(model, "x")
    assert InferenceBlock.model_validate_json(reading.block.model_dump_json()) == reading.block
    made = {name: one.of(arrays) for name, one in reading.block.inputs.items()}
    expected = system.inputs(arrays)
    assert made.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(made[name], array)
    probabilities = np.asarray(model.window_probabilities(model.predict(made, verbose=0)))
    assert probabilities.shape == (2, 2)


def test_parts_that_are_defined_beside_systems_are_found():
    """In a process without imported systems."""
    description = EncodedSound().description()
    code = (
        "import json, sys; from keras_emotion.inference.schema import PartDescription, _part; "
        "print(type(_part('audio', PartDescription(**json.loads(sys.argv[1])))).__name__)"
    )
    found = subprocess.run([sys.executable, "-c", code, json.dumps(description)], capture_output=True, text=True)
    assert found.stdout.strip() == "EncodedSound", found.stderr


def test_pretraining_keeps_a_block(trial):
    system = FaceAffect()
    arrays = {"faces": np.ones((2, 1, 64, 64, 3), np.uint8)}
    (made,) = system.model_inputs().values()
    np.testing.assert_array_equal(made.of(arrays), system.inputs(arrays)["faces"])
    model = models.FaceAffectNetwork(inference=system.inference(trial))
    with pytest.raises(InputError, match="FaceAffectNetwork has no classes, so that `predict`"):
        Predictor(model)


# Version 0.1.0 --------------------------------------------------------------------------------------------------------


def fields(part):
    return json.loads(part.model_dump_json(exclude={"detector_model", "openface_folder"}))


def old_block(system, trial):
    """The block as the system of version 0.1.0 wrote it."""
    parts = system.parts()
    recorded = {"channel_names": list(EEG), "sampling_rate_hz": RATE}
    if isinstance(system, FACRNN):
        return {"features": fields(parts["eeg"]), **recorded}
    if isinstance(system, FACRNNVisual):
        return {"features": fields(parts["faces"])}
    if isinstance(system, DeepVANetSystem):
        recorded["channel_names"] = list(CHANNELS[4:] if system.bio.channels == "peripheral" else CHANNELS)
        of_parts = {name: fields(part) for name, part in parts.items()}
        return {**of_parts, **(recorded if "bio" in parts else {})}
    if isinstance(system, PriorDFCNSystem):
        face = {"face": fields(parts["face"])} if "face" in parts else {}
        return {"features": fields(parts["eeg"]), **recorded, **face}
    return {"parts": {name: fields(part) for name, part in parts.items()}, **recorded}


LATER = {"MERCL", "VE-BiLSTM", "AVE-LSTM", "LSTMs of face and EEG", "cnn_lstm", "cram", "gcn_lstm", "gcnn"}
"""Version 0.1.0 had none of them."""


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name not in LATER])
def test_a_block_of_an_earlier_version_becomes_that_of_today(name, trial):
    model, _ = built(SYSTEMS[name], trial)
    today = model.inference
    old = {**old_block(SYSTEMS[name], trial), **OF_THE_RUN}
    if "units" in today:
        old["units"] = today["units"]
    converted = convert_old_block(type(model).__name__, json.loads(json.dumps(old)))
    assert {key: value for key, value in converted.items() if value is not None} == today


def test_a_block_of_an_earlier_version_that_no_model_had(trial):
    class Other(models.DGCNN):
        pass

    model = Other(n_channels=4, inference=old_block(SYSTEMS["dgcnn"], trial))
    with pytest.raises(InputError, match="x: Other: unsupported model"):
        read_block(model, "x")


# Altered --------------------------------------------------------------------------------------------------------------


def put(*path_and_value):
    *path, last, value = path_and_value

    def alter(block):
        for key in path:
            block = block[key]
        block[last] = value

    return alter


def without(*path):
    *path, last = path

    def alter(block):
        for key in path:
            block = block[key]
        del block[last]

    return alter


BIO, FACES = ("parts", "bio", "fields"), ("parts", "faces", "fields")
NAN, INFINITE = float("nan"), float("inf")


def in_place_of(name, part):
    """A change of a block: the faces or the signals come from a part that reads stimuli."""

    def change(block):
        del block["parts"][name]
        block["parts"]["more"] = part.description()
        block["inputs"][name] = {"part": "more", "array": "frames", "transform": "identity"}

    return change


ALTERED = {
    "no format": (without("format"), "format: missing"),
    "another format": (put("format", 7), "format: expected 2; received 7"),
    "no parts": (without("parts"), "parts: missing"),
    "empty parts": (put("parts", {}), "parts: "),
    "parts as a list": (put("parts", []), "parts: expected an object"),
    "no inputs": (without("inputs"), "inputs: missing"),
    "no kind": (without("parts", "bio", "kind"), "parts.bio.kind: missing"),
    "unknown kind": (put("parts", "bio", "kind", "Tarot"), "parts.bio.kind: unknown kind 'Tarot'"),
    "another kind": (put("parts", "bio", "kind", "EEGGridFeatures"), "parts.bio.fields."),
    "a kind that is no name": (put("parts", "bio", "kind", ["BioFeatures"]), "parts.bio.kind: expected a valid string"),
    "fields as a text": (put("parts", "bio", "fields", "all"), "parts.bio.fields: expected an object"),
    "a missing field": (without(*BIO, "window_seconds"), "parts.bio.fields.window_seconds: missing"),
    "an unknown field": (put(*BIO, "colour", 1), "parts.bio.fields.colour: unknown field"),
    "a number as text": (put(*BIO, "window_seconds", "1"), "parts.bio.fields.window_seconds: expected a valid number"),
    "a negative window": (put(*BIO, "window_seconds", -1.0), "parts.bio.fields.window_seconds: expected greater"),
    "no window": (put(*BIO, "window_seconds", 0), "parts.bio.fields.window_seconds: expected greater"),
    "a huge window": (put(*BIO, "window_seconds", 1e12), "parts.bio.fields.window_seconds: expected less"),
    "a long window": (put(*BIO, "window_seconds", 3600.0), "window_seconds: windows of 1 s; expected 3600 s"),
    "another window": (put(*BIO, "window_seconds", 0.003), "parts.bio.fields.`window_seconds` of 0.003 s is 0.384"),
    "a negative lag": (put(*BIO, "lag_seconds", -1.0), "parts.bio.fields.lag_seconds: expected greater"),
    "a huge lag": (put(*BIO, "lag_seconds", 1e9), "parts.bio.fields.lag_seconds: expected less"),
    "an unknown baseline": (put(*BIO, "baseline", "most"), "parts.bio.fields.baseline: expected 'segments' or 'none'"),
    "steps without end": (put(*FACES, "steps", 10**9), "parts.faces.fields.steps: expected less"),
    "steps of more than memory": (put(*FACES, "steps", 10**5), "parts.faces.fields: a window takes"),
    "other steps": (put(*FACES, "steps", 3), "inputs.faces: windows of shape (3, 32, 32, 3)"),
    "half a step": (put(*FACES, "steps", 2.5), "parts.faces.fields.steps: expected a valid integer"),
    "a step that is true": (put(*FACES, "steps", True), "parts.faces.fields.steps: expected a valid integer"),
    "huge pictures": (put(*FACES, "image_size", 10**6), "parts.faces.fields.image_size: expected less"),
    "frames without end": (put(*FACES, "frame_rate_hz", 1e12), "parts.faces.fields.frame_rate_hz: expected less"),
    "a file of the user": (
        put(*FACES, "detector_model", "/etc/passwd"),
        "parts.faces.fields.detector_model: is a path",
    ),
    "faces of other windows": (put(*FACES, "window_seconds", 2.0), "parts.faces.fields.window_seconds: windows of 2 s"),
    "no channel names": (without("channel_names"), "channel_names: missing"),
    "channels as a text": (put("channel_names", "F3"), "channel_names: expected a valid array"),
    "no channels": (put("channel_names", []), "channel_names: "),
    "a channel that is a number": (put("channel_names", 1, 5), "channel_names.1: expected a valid string"),
    "a channel twice": (put("channel_names", 1, "f3"), "channel_names: 'F3' occurs more than once"),
    "channels without end": (put("channel_names", [f"E{place}" for place in range(5000)]), "channel_names: "),
    "one channel less": (without("channel_names", 0), "units: 5 values; expected 4"),
    "units of fewer channels": (put("units", ["uV"]), "units: 1 values; expected 5"),
    "no units": (without("units"), "units: missing"),
    "volts alone": (put("units", ["V"] * 5), "units: was trained on signals in V"),
    "directions of fewer channels": (put("electrode_directions", [[1.0, 0.0, 0.0]]), "electrode_directions: 1 values"),
    "a direction of two": (put("electrode_directions", [[1.0, 0.0]] * 5), "electrode_directions.0.2: missing"),
    "a far electrode": (put("electrode_directions", [[0.0, 0.0, 9.0]] * 5), "electrode_directions.0.2: expected less"),
    "a short direction": (put("electrode_directions", [[0.0, 0.0, 0.1]] * 5), "electrode_directions.0: length 0.1"),
    "no rate": (without("sampling_rate_hz"), "sampling_rate_hz: missing"),
    "a rate of zero": (put("sampling_rate_hz", 0), "sampling_rate_hz: expected greater"),
    "a negative rate": (put("sampling_rate_hz", -128.0), "sampling_rate_hz: expected greater"),
    "a huge rate": (put("sampling_rate_hz", 1e9), "sampling_rate_hz: expected less"),
    "another rate": (put("sampling_rate_hz", 256.0), "parts.bio.fields.sampling_rate_hz: 128; the recording has 256"),
    "a rate that is NaN": (put("sampling_rate_hz", NAN), "sampling_rate_hz is not"),
    "an infinite window": (put(*BIO, "window_seconds", INFINITE), "parts.bio.fields.window_seconds is not"),
    "three classes": (put("class_names", ["a", "b", "c"]), "class_names: 3 names; the model has 2 classes"),
    "a class twice": (put("class_names", ["low", "low"]), "class_names: two classes have the same name"),
    "classes as an object": (put("class_names", {}), "class_names: expected a valid array"),
    "synthetic or not": (put("synthetic", "no"), "synthetic: expected a valid boolean"),
    "no word on synthetic": (without("synthetic"), "synthetic: missing"),
    "an input of no part": (put("inputs", "bio", "part", "eye"), "inputs.bio.part: 'eye'; expected one of bio, faces"),
    "an input of no array": (put("inputs", "bio", "array", "eye"), "inputs.bio.array: 'eye'; expected one of bio"),
    "an unknown transform": (put("inputs", "bio", "transform", "eval"), "inputs.bio.transform: unknown transform"),
    "a transform that fits nothing": (
        put("inputs", "bio", "transform", "steps_as_features"),
        "inputs.bio: windows of shape",
    ),
    "pictures of stimuli that no input reads": (
        put("parts", "more", MediaFrames().description()),
        "parts.more: no input comes from it",
    ),
    "stimuli in other windows": (
        in_place_of("faces", MediaFrames()),
        "parts.more.fields.window_seconds: windows of 4 s; expected 1 s, those of bio",
    ),
    "stimuli at other times": (
        in_place_of("faces", MediaFrames(window_seconds=1.0, hop_seconds=0.5)),
        "parts.more.fields.hop_seconds: windows every 0.5 s; expected 1 s, those of bio",
    ),
    "stimuli of another shape": (
        in_place_of("faces", MediaFrames(window_seconds=1.0, hop_seconds=None)),
        "inputs.faces: windows of shape (2, 224, 224, 3)",
    ),
    "stimuli and a face video without a recording": (
        in_place_of("bio", MediaFrames(window_seconds=1.0, hop_seconds=None)),
        "parts.faces: reads a face video in addition to stimuli; expected a part of a recording, too",
    ),
    "an input too few": (without("inputs", "faces"), "parts.faces: no input comes from it"),
    "an unknown key": (put("colour", "red"), "colour: unknown field"),
    "two that read a recording": (
        lambda block: block["parts"].update(more=block["parts"]["bio"]),
        "parts.more: expected one part that reads a recording",
    ),
}


@pytest.fixture(scope="module")
def saved(trial, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "valence.keras"
    faces = FaceFeatures(steps=2, image_size=32)
    system = DeepVANetSystem(width_multiplier=0.1, faces=faces, bio=RawSignals(hop_seconds=0.5))
    built(system, trial)[0].save(path)
    return path


def altered(saved, path, alter):
    """A copy of a saved model with another block."""
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                config = json.loads(content)
                alter(config["config"]["inference"])
                content = json.dumps(config).encode()
            target.writestr(name, content)
    return path


def test_the_unaltered_block_is_read(saved, tmp_path):
    predictor = Predictor.from_file(altered(saved, tmp_path / "same.keras", lambda block: None))
    # Windows of new recordings do not overlap, regardless of the training.
    assert (predictor.window_seconds, predictor.part.hop_seconds) == (1.0, None)


@pytest.mark.parametrize("name", list(ALTERED))
def test_altered_blocks_are_refused(name, saved, tmp_path):
    alter, message = ALTERED[name]
    path = altered(saved, tmp_path / "altered.keras", alter)
    with pytest.raises(InputError) as refused:
        Predictor.from_file(path)
    text = str(refused.value)
    assert text.startswith(f"{path}: ")
    assert message in text
    assert "\n" not in text
    assert len(text) < len(str(path)) + 500


GRID = ("parts", "eeg", "fields")
ALTERED_GRID = {
    "a band above half of the rate": (put(*GRID, "bands", "gamma", [30.0, 64.0]), "bands.gamma: reaches up to 64 Hz"),
    "a band the other way round": (put(*GRID, "bands", "gamma", [50.0, 30.0]), "parts.eeg.fields: bands.gamma: 50 to"),
    "a band from zero": (put(*GRID, "bands", "gamma", [0.0, 30.0]), "parts.eeg.fields.bands.gamma.0: expected greater"),
    "a band of one edge": (put(*GRID, "bands", "gamma", [30.0]), "parts.eeg.fields.bands.gamma.1: missing"),
    "no bands": (put(*GRID, "bands", {}), "bands: at least one band is needed"),
    "bands without end": (put(*GRID, "bands", {str(n): [1.0, 2.0] for n in range(99)}), "parts.eeg.fields.bands: "),
    "a band that rings for hours": (
        put(*GRID, "bands", "gamma", [1e-5, 2e-5]),
        "parts.eeg.fields.bands: filters with a transient",
    ),
    "another grid": (put(*GRID, "grid", "8x9"), "inputs.eeg: windows of shape (4, 8, 9, 4)"),
    "an unknown convention": (put(*GRID, "convention", "mine"), "convention: 'mine' is unknown"),
    "an electrode of no head": (put("channel_names", 0, "Nowhere"), "channel_names: "),
    "steps of no whole sample": (put(*GRID, "steps", 7), "parts.eeg.fields.`window_seconds / steps`"),
}


@pytest.mark.parametrize("name", list(ALTERED_GRID))
def test_altered_blocks_of_maps_are_refused(name, trial):
    alter, message = ALTERED_GRID[name]
    model, _ = built(SYSTEMS["3FACRNN"], trial)
    block = copy.deepcopy(model.inference)
    alter(block)
    with pytest.raises(InputError) as refused:
        Predictor(models.FACRNNEEGNetwork(width_multiplier=0.05, inference=block), source="a.keras")
    assert str(refused.value).startswith("a.keras: ")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_altered_blocks_of_an_earlier_version_are_refused(trial):
    for alter, message in (
        (put("features", "sample_seconds", 1e300), "parts.eeg.fields.sample_seconds: expected less"),
        (put("features", None), "parts.eeg.fields: expected an object"),
        (put("features", "all"), "parts.eeg.fields: expected an object"),
        (put("face", "steps", 10**9), "parts.face.fields.steps: expected less"),
        (
            put("face", "source", "openface"),
            "parts.face.fields.source: the model was trained on OpenFace's face quantities",
        ),
        (without("channel_names"), "channel_names: missing"),
        (put("channel_names", 7), "channel_names: expected a valid array"),
        (put("features", "measure", "coherence"), "parts.eeg.fields: needs the whole recording at once"),
    ):
        block = json.loads(json.dumps({**old_block(SYSTEMS["PriorDFCN"], trial), **OF_THE_RUN}))
        alter(block)
        model = models.PriorDFCN(n_windows=3, n_channels=4, stfenet=False, non_local_after=None, inference=block)
        with pytest.raises(InputError) as refused:
            Predictor(model)
        assert message in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_command_refuses_in_one_line(saved, tmp_path, capsys):
    path = altered(saved, tmp_path / "altered.keras", put(*FACES, "steps", 10**9))
    (tmp_path / "some.edf").write_bytes(b"")
    np.save(tmp_path / "some.npy", np.zeros((4, 1280), np.float32))
    sidecar = {"sampling_rate_hz": 128, "channel_names": EEG, "unit": "uV", "axes": ["channels", "samples"]}
    (tmp_path / "some.json").write_text(json.dumps(sidecar))
    with pytest.raises(SystemExit) as stopped:
        cli.main(["predict", str(path), str(tmp_path / "some.npy")])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{path}: parts.faces.fields.steps: expected less than or equal to 100000; received 1000000000" in error


# Applied --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("baseline", ["none", "segments"])
def test_windows_that_are_cut_later_are_those_of_the_whole(baseline, tmp_path):
    """Block by block, with the lag that the model was trained with."""
    rng = np.random.default_rng(0)
    signal = rng.normal(0, 20, (4, round(40.5 * RATE)))
    np.save(tmp_path / "some.npy", signal)
    sidecar = {"sampling_rate_hz": RATE, "channel_names": EEG, "unit": "uV", "axes": ["channels", "samples"]}
    (tmp_path / "some.json").write_text(json.dumps(sidecar))
    bio = RawSignals(baseline=baseline, lag_seconds=0.75)
    seconds = 0.0 if baseline == "none" else 3.0
    trial = Trial("test", 1, 1, "film", Recording(signal, EEG, ("uV",) * 4, RATE, seconds), EEG, {})
    model, _ = built(DeepVANetSystem(modalities="bio", width_multiplier=0.1, bio=bio), trial)
    blocks = Predictor(model).blocks(ContinuousRecording(tmp_path / "some.npy"), block_seconds=7.0)
    found = np.concatenate([inputs["bio"] for inputs in blocks])
    expected, _ = bio.extract([trial])
    assert len(found) == (39 if baseline == "none" else 36)
    np.testing.assert_allclose(found, expected["bio"], atol=1e-4)


def test_peripheral_channels_are_read_by_their_names(trial):
    """A model of channels that are not EEG, some of them in microvolts."""
    recording = dataclasses.replace(trial.recording, units=("uV",) * 5)
    trial = dataclasses.replace(trial, recording=recording, eeg_channel_names=("F3", "F4"))
    model, _ = built(SYSTEMS["DeepVANet of signals"], trial)
    predictor = Predictor(model)
    assert predictor.channel_names == ["T7", "C4", "GSR"]
    channels = predictor.select_channels(["GSR", "T7", "C4"], "x")
    arrays = predictor._features(np.zeros((3, 512)), channels, 3.0)
    assert arrays["bio"].shape == (1, 128, 3)


def test_quantities_of_openface_are_in_no_description_that_can_be_read(tmp_path):
    part = FaceQuantities(source="openface", openface_folder=tmp_path)
    assert "openface_folder" not in part.description()["fields"]
    with pytest.raises(ValueError, match="OpenFace's face quantities"):
        FaceQuantities.from_fields(part.description()["fields"])
