"""Exported models against the original Keras models."""

import importlib.util
import sys

import keras
import numpy as np
import pytest

from keras_emotion import cli, models
from keras_emotion.inference import export
from keras_emotion.schema import InputError
from keras_emotion.systems.media_encoders import PictureEncoder, SoundEncoder

SMALL = {
    "FACRNNEEGNetwork": lambda: models.FACRNNEEGNetwork(width_multiplier=0.05, units=4),
    "FACRNNEEGNetwork, peephole": lambda: models.FACRNNEEGNetwork(width_multiplier=0.05, units=4, cell="peephole"),
    "DeepVANet": lambda: models.DeepVANet(
        n_frames=2, image_size=32, n_samples=64, n_bio_channels=4, face_units=4, bio_units=4, width_multiplier=0.1
    ),
    "PriorDFCN": lambda: models.PriorDFCN(
        n_windows=4, n_channels=8, n_bands=2, n_face_channels=3, prior_units=2, widths=(2, 2, 4)
    ),
    "DGCNN": lambda: models.DGCNN(n_channels=4),
    "EEGNet": lambda: models.EEGNet(n_samples=64, n_channels=4),
    "CRNN4D": lambda: models.CRNN4D(width_multiplier=0.05, units=4),
    "ContiCNN": lambda: models.ContiCNN(),
    "CNNLSTM": lambda: models.CNNLSTM(n_samples=4, width_multiplier=1 / 64, units=4),
    "CRAM": lambda: models.CRAM(n_samples=64, n_channels=4, units=4),
    "GCNLSTM": lambda: models.GCNLSTM(n_steps=2, n_channels=7),
    "GraphSleepNet": lambda: models.GraphSleepNet(n_channels=4),
    "MERCL": lambda: models.MERCL(n_picture_features=6, n_sound_features=5, n_channels=4, units=8),
    "MERCL with its encoders": lambda: models.MERCL(
        picture_encoder=PictureEncoder(patch_size=8, n_layers=1, n_heads=2, width=6, mlp_width=8).build(16),
        sound_encoder=SoundEncoder(filters=(2, 2, 2, 2), units=(3, 3), embedding_size=5).build(),
        n_channels=4,
        units=8,
    ),
    "AVELSTMNetwork": lambda: models.AVELSTMNetwork((3, 4), (5, 2), (4, 3, 2), units=4, n_components=5),
    "VEBiLSTMNetwork": lambda: models.VEBiLSTMNetwork(
        visual_shape=(3, 4), eeg_shape=(3, 4, 2), projection_units=4, units=(3, 2)
    ),
    "VideoEEGHierarchicalLSTM": lambda: models.VideoEEGHierarchicalLSTM(
        n_frames=5,
        n_looks=4,
        face_size=8,
        channel_names=("Fz", "C3", "C4"),
        image_size=6,
        filters=(2,),
        width=4,
        units=4,
    ),
}


def skip_without(file_format):
    missing = [name for name in export.FORMATS[file_format].packages.values() if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed (the extra `export`)")


def perturbed(model, seed=0):
    """With all weights changed from their initial values: zero biases would hide errors."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(np.asarray(weight) + 0.1 * np.abs(generator.standard_normal(weight.shape)))
    return model


FAST = {"FACRNNEEGNetwork", "DGCNN"}
CASES = [
    pytest.param(name, file_format, marks=() if name in FAST else pytest.mark.slow)
    for name in SMALL
    for file_format in export.FORMATS
]


@pytest.mark.parametrize(("name", "file_format"), CASES)
def test_which_models_run_in_which_format(name, file_format, tmp_path):
    """The list in docs/inference.md."""
    skip_without(file_format)
    # The perturbed weights, all moved upwards, may give logits of 1,000, whose rounding alone is 1e-4.
    keras.utils.set_random_seed(0)
    model = perturbed(SMALL[name]())
    exported = export.export_model(model, file_format, tmp_path / "model")
    assert exported.largest_difference < 1e-5
    assert exported.path == tmp_path / "model"
    assert exported.n_windows + exported.n_undecided == 16
    # Few are half-way between two frames, and none where no frames are chosen.
    assert exported.n_undecided <= (2 if name == "VideoEEGHierarchicalLSTM" else 0)
    assert list(tmp_path.iterdir()) == [exported.path]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "small.keras"
    perturbed(models.DGCNN(n_channels=4)).save(path)
    return path


def test_command(saved, tmp_path, capsys):
    assert cli.main(["export", str(saved), "--format", "saved_model", "--output", str(tmp_path / "exported")]) == 0
    assert capsys.readouterr().out.startswith(f"wrote {tmp_path / 'exported'}, largest difference")
    assert (tmp_path / "exported" / "saved_model.pb").is_file()
    with pytest.raises(SystemExit) as stopped:
        cli.main(["export", str(saved), "--format", "saved_model", "--output", str(tmp_path / "exported")])
    assert stopped.value.code == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [1e-3, np.nan])
def test_nothing_is_kept_of_a_file_that_says_something_else(wrong, saved, tmp_path, capsys, monkeypatch):
    """An exported model whose first window is off, or NaN."""
    form = export.FORMATS["saved_model"]

    def run(path, windows):
        outputs = form.run(path, windows)
        outputs["output"] = outputs["output"].copy()
        outputs["output"][0, 0] += wrong
        return outputs

    broken = export.dataclasses.replace(form, run=run)
    monkeypatch.setattr(export, "FORMATS", {**export.FORMATS, "saved_model": broken})
    assert cli.main(["export", str(saved), "--format", "saved_model", "--output", str(tmp_path / "exported")]) == 1
    assert "not kept" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("off", "is_kept"), [(0, True), (1, False)])
def test_windows_that_rounding_decides_are_not_compared(off, is_kept, saved, tmp_path, monkeypatch):
    form = export.FORMATS["saved_model"]

    def run(path, windows):
        outputs = form.run(path, windows)
        outputs["output"] = outputs["output"].copy()
        outputs["output"][off] += 0.5
        return outputs

    monkeypatch.setattr(export, "FORMATS", {"saved_model": export.dataclasses.replace(form, run=run)})
    model = export.load_saved_model(saved)
    model.is_decided = lambda outputs: np.arange(len(outputs)) > 0
    found = export.export_model(model, "saved_model", tmp_path / "model")
    assert (found.path is not None) == is_kept
    assert (found.n_windows, found.n_undecided) == (15, 1)


def test_without_a_window_to_compare_nothing_is_written(saved, tmp_path):
    model = export.load_saved_model(saved)
    model.is_decided = lambda outputs: np.zeros(len(outputs), bool)
    with pytest.raises(
        InputError, match=r"in each of 16 windows a position is half-way .* give others \(--check-on\), or t"
    ):
        export.export_model(model, "saved_model", tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_pictures_of_eight_bits_are_compared(tmp_path):
    pictures = keras.Input((4, 4, 3), name="faces")
    x = keras.layers.Rescaling(1 / 255)(pictures)
    model = keras.Model({"faces": pictures}, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    windows = {"faces": np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), np.uint8)}
    assert export.export_model(model, "saved_model", tmp_path / "model", windows).path is not None
    # Random ones have the same brightness.
    drawn = export.random_windows(model)["faces"]
    assert drawn.min() < 10
    assert 245 < drawn.max() <= 255


def test_layers_are_as_they_were_afterwards():
    model = SMALL["FACRNNEEGNetwork"]()
    with export._built_in(model, frozenset({"loops"})):
        assert model.get_layer("recurrent_1").unroll
    assert not model.get_layer("recurrent_1").unroll
    volumes = keras.Input((4, 6, 6, 2))
    model = keras.Model(volumes, keras.layers.MaxPooling3D(2, name="pooling")(volumes))
    with export._built_in(model, frozenset({"loops"})):
        assert "call" in vars(model.get_layer("pooling"))
    assert "call" not in vars(model.get_layer("pooling"))


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("pool_size", [(2, 3, 2), (1, 2, 2)])
def test_volumes_are_pooled_plane_by_plane(pool_size, padding):
    volumes = np.random.default_rng(0).standard_normal((3, 5, 7, 6, 2)).astype(np.float32)
    layer = keras.layers.MaxPooling3D(pool_size, padding=padding)
    np.testing.assert_array_equal(export._pooled_plane_by_plane(layer, volumes), layer(volumes))


def test_missing_package_is_one_line(saved, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None if name == "tf2onnx" else object())
    with pytest.raises(InputError, match=r"^--format onnx needs tf2onnx: pip install 'keras_emotion\[export\]'$"):
        export.export_model(export.load_saved_model(saved), "onnx", tmp_path / "model.onnx")


@pytest.mark.parametrize(("content", "message"), [(None, "no such file"), (b"text", "cannot be read as a saved")])
def test_model_that_is_none(content, message, tmp_path):
    path = tmp_path / "model.keras"
    if content:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        export.load_saved_model(path)


def test_random_pixels_have_the_range_of_pixels():
    small = {"n_frames": 4, "n_looks": 3, "face_size": 8, "image_size": 8, "width": 4, "units": 4}
    faces = export.random_windows(models.VideoEEGHierarchicalLSTM(**small))["faces"]
    assert 250 < faces.max() <= 255
    assert 0 <= faces.min() < 5


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_model_of_mixed_precision_is_exported_in_float32(policy, tmp_path):
    skip_without("litert")
    keras.config.set_dtype_policy(policy)
    try:
        model = perturbed(models.DGCNN(n_channels=4))
    finally:
        keras.config.set_dtype_policy("float32")
    exported = export.as_exported(model)
    assert {layer.compute_dtype for layer in exported._flatten_layers()} == {"float32"}
    for ours, theirs in zip(exported.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert export.export_model(model, "litert", tmp_path / "model").largest_difference < 1e-5
