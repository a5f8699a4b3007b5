"""Keras's global settings: those of the package during computations, the user's before and afterwards."""

import json
import os
import sys

import keras
import numpy as np
import pytest

from keras_emotion import keras_settings
from keras_emotion.environment import environment
from keras_emotion.experiment import Runtime
from keras_emotion.experiment.engine import in_workers
from keras_emotion.inference import load_saved_model
from keras_emotion.keras_settings import KERAS_SETTINGS, own_keras_settings, pin_keras_settings
from keras_emotion.models import DGCNN
from keras_emotion.schema import InputError

OF_A_USER = {"floatx": "float64", "image_data_format": "channels_first", "epsilon": 0.1, "max_epochs": 1}


def current():
    return {name: getattr(keras.config, name)() for name in (*OF_A_USER, "dtype_policy", "max_steps_per_epoch")}


def as_ours():
    settings = current()
    return {**settings, "dtype_policy": settings["dtype_policy"].name} == KERAS_SETTINGS


@pytest.fixture
def user(monkeypatch):
    """Process with other settings, which it returns."""
    monkeypatch.setattr(keras_settings, "_displaced", None)
    before = current()
    for name, value in {**OF_A_USER, "dtype_policy": "mixed_float16"}.items():
        getattr(keras.config, f"set_{name}")(value)
    yield current()
    for name, value in before.items():
        getattr(keras.config, f"set_{name}")(value)


@pytest.fixture
def before_keras(monkeypatch, tmp_path):
    """Process without Keras, with a function that writes its settings file."""
    for name in ("KERAS_BACKEND", "KERAS_NNX_ENABLED"):
        # Set first, so that the test's value is removed again.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras_settings, "_is_backend_of_ours", False)
    monkeypatch.delitem(sys.modules, "keras")
    return lambda **said: (tmp_path / "keras.json").write_text(json.dumps(said))


def test_settings_are_ours_in_a_block_and_the_users_behind_it(user):
    with own_keras_settings():
        with own_keras_settings():
            pass
        assert as_ours()
    assert current() == user


def pinned(*_):
    pin_keras_settings()
    return as_ours()


def test_a_task_in_this_process_leaves_the_users_settings(user):
    assert list(in_workers(Runtime(workers=1), [(pinned, ())], trains=True)) == [True]
    assert current() == user


def test_a_saved_model_is_the_same_whatever_a_user_has_set(tmp_path, request):
    inputs = {"eeg": np.random.default_rng(0).standard_normal((3, 4, 5)).astype("float32")}
    model = DGCNN(n_channels=4)
    expected = model.predict(inputs, verbose=0)
    model.save(tmp_path / "model.keras")
    user = request.getfixturevalue("user")
    loaded = load_saved_model(tmp_path / "model.keras")
    assert current() == user
    with own_keras_settings():
        np.testing.assert_array_equal(loaded.predict(inputs, verbose=0), expected)


def test_the_backend_is_not_that_of_a_file(before_keras):
    before_keras(backend="theano", floatx="float16", nnx_enabled=True)
    keras_settings.check_keras_can_start()
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
    assert os.environ["KERAS_NNX_ENABLED"] == "0"
    # No backend was requested: an engine that needs another one may still select it.
    assert keras_settings.running_backend() is None


def test_the_backend_is_that_of_the_environment(before_keras, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    keras_settings.check_keras_can_start()
    assert keras_settings.running_backend() == "jax"
    monkeypatch.setenv("KERAS_BACKEND", "theano")
    with pytest.raises(InputError, match="KERAS_BACKEND is 'theano'; expected one of tensorflow, jax, torch"):
        keras_settings.check_keras_can_start()


@pytest.mark.parametrize(
    ("name", "value"), [("floatx", "bfloat16"), ("epsilon", 1), ("image_data_format", "channels"), ("floatx", None)]
)
def test_what_keras_would_refuse_is_reported_in_a_line(before_keras, name, value):
    before_keras(**{name: value})
    with pytest.raises(InputError, match=rf"keras\.json: {name} is {value!r}; expected .*; correct or delete the file"):
        keras_settings.check_keras_can_start()


@pytest.mark.parametrize("text", ["", "{"])
def test_a_damaged_file_is_none(before_keras, tmp_path, text):
    (tmp_path / "keras.json").write_text(text)
    keras_settings.check_keras_can_start()


def test_the_record_of_a_run_has_the_settings_and_the_variables(monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    found = environment(1, 1)
    assert found["keras_settings"] == KERAS_SETTINGS
    assert found["variables"]["TF_ENABLE_ONEDNN_OPTS"] == "0"
    json.dumps(found)
