"""Caches of a process for a system are keyed by the content of its files, not by their names."""

import re
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from pydantic import BaseModel

from keras_emotion.experiment.compiled_model import CompiledModel, compiled_model
from keras_emotion.models import FaceAffectNetwork
from keras_emotion.pipelines import FaceFeatures, FaceQuantities, path_hash
from keras_emotion.schema import InputError
from keras_emotion.systems import Training
from keras_emotion.systems.base import path_contents
from keras_emotion.systems.deepvanet import DeepVANetSystem


def _saved(path, seed):
    keras.utils.set_random_seed(seed)
    network = FaceAffectNetwork(image_size=32, units=8, width_multiplier=0.1)
    network.save(path)
    return network.get_layer("face_convolution_1").get_weights()


def _first_weights(path):
    system = DeepVANetSystem(width_multiplier=0.1, face_weights=path, modalities="faces")
    fold = SimpleNamespace(
        system=system,
        training=Training(),
        shapes={"faces": (2, 32, 32, 3)},
        unit=SimpleNamespace(class_names=("low", "high")),
    )
    compiled = compiled_model(fold, {})
    compiled.reset(0)
    return compiled.model.get_layer("face_convolution_1").get_weights()


def test_two_files_of_weights_are_two_models_in_one_process(tmp_path):
    expected = {name: _saved(tmp_path / f"{name}.keras", seed) for seed, name in enumerate(("first", "second"))}
    for name, weights in expected.items():
        for ours, theirs in zip(_first_weights(tmp_path / f"{name}.keras"), weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    # Another network under the name of the first.
    (tmp_path / "first.keras").write_bytes((tmp_path / "second.keras").read_bytes())
    for ours, theirs in zip(_first_weights(tmp_path / "first.keras"), expected["second"], strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("part", [FaceFeatures, FaceQuantities])
def test_features_are_keyed_by_the_content_of_the_detectors_file(part, tmp_path, monkeypatch):
    options = {"detector": "face_landmarker"} if part is FaceFeatures else {}
    keys = []
    for content in (b"one network", b"two network"):  # of the same size
        (tmp_path / "task").write_bytes(content)
        keys.append(part(detector_model=tmp_path / "task", **options).key())
    assert keys[0]["detector_model"] != keys[1]["detector_model"]
    # The file that the environment names counts too.
    monkeypatch.setenv("KERAS_EMOTION_FACE_LANDMARKER", str(tmp_path / "task"))
    assert part(**options).key() == keys[1]


def test_every_path_in_a_configuration_is_found(tmp_path):
    class Inner(BaseModel):
        folder: object

    class Outer(BaseModel):
        number: int
        files: tuple[object, ...]
        inner: Inner
        by_name: dict[str, object]

    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "folder" / "below" / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    outer = Outer(
        number=1,
        files=(tmp_path / "b", "text"),
        inner=Inner(folder=tmp_path / "folder"),
        by_name={"gone": tmp_path / "gone"},
    )
    found = path_contents(outer)
    assert found.keys() == {"files.0", "inner.folder", "by_name.gone"}
    assert found["files.0"] == path_hash(tmp_path / "b")
    assert found["by_name.gone"] is None
    before = found["inner.folder"]
    (tmp_path / "folder" / "below" / "a").rename(tmp_path / "folder" / "below" / "c")
    assert path_contents(outer)["inner.folder"] != before


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        ("`pool_sizes` leave (0, 1, 1) positions; received pool_sizes=((1, 2, 2),)", InputError),
        ("a fault of our own", ValueError),
    ],
)
def test_options_that_no_network_can_have_are_refused_and_faults_are_not(fault, raised):
    class System:
        def model(self, shapes, n_classes, inference):
            raise ValueError(fault)

    with pytest.raises(raised, match=re.escape(fault)) as refused:
        CompiledModel(SimpleNamespace(system=System()), Training(), {"eeg": (2, 14, 5)}, 2, {})
    assert isinstance(refused.value, InputError) == (raised is InputError)
    if raised is InputError:
        message = "System: the network does not support windows of this shape (eeg 2 x 14 x 5): `pool"
        assert str(refused.value).startswith(message)
