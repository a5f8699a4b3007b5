"""In new processes: what importing the package imports, and that Keras knows our classes in whatever order."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import keras_emotion


def run_python(*lines, **environment):
    search_path = os.pathsep.join([str(Path(keras_emotion.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    process = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        env={**os.environ, "PYTHONPATH": search_path, **environment},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr


def test_rooms_without_keras():
    run_python(
        "import importlib, sys",
        "for room in ('', '.schema', '.signals', '.audio', '.datasets', '.synthetic', '.evaluation', '.reports'):",
        "    importlib.import_module('keras_emotion' + room)",
        "    assert not {'keras', 'tensorflow'} & set(sys.modules), room",
    )


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    from keras_emotion.models import FACRNNEEGNetwork

    folder = tmp_path_factory.mktemp("saved")
    model = FACRNNEEGNetwork(
        n_steps=2, grid_shape=(2, 3), width_multiplier=1 / 64, units=3, cell="peephole", inference={"label_rule": "> 5"}
    )
    windows = np.random.default_rng(0).standard_normal((2, 2, 2, 3, 4)).astype("float32")
    model.save(folder / "model.keras")
    np.save(folder / "windows.npy", windows)
    np.save(folder / "probabilities.npy", model.predict({"eeg": windows}, verbose=0)["probabilities"])
    return folder


@pytest.mark.parametrize("imports", ["import keras_emotion, keras", "import keras, keras_emotion"])
def test_a_saved_model_is_loaded(imports, saved_model):
    run_python(
        imports,
        "import numpy as np",
        f"folder = {str(saved_model)!r}",
        "model = keras.models.load_model(f'{folder}/model.keras')",
        "assert model.inference == {'label_rule': '> 5'}",
        "probabilities = model({'eeg': np.load(f'{folder}/windows.npy')})['probabilities']",
        "probabilities = keras.ops.convert_to_numpy(probabilities)",
        "np.testing.assert_allclose(probabilities, np.load(f'{folder}/probabilities.npy'), rtol=1e-5)",
    )


@pytest.mark.parametrize(
    "imports",
    [
        "from keras_emotion.models import FACRNNEEGNetwork",
        "from keras_emotion.layers.peephole_lstm_cell import PeepholeLSTMCell",
    ],
)
def test_one_of_ours_can_be_the_first_import(imports):
    # It imports Keras while it is itself half imported.
    run_python(
        imports,
        "import keras",
        "for name in ('FACRNNEEGNetwork', 'ECABandAttention', 'WindowLoss'):",
        "    assert keras.saving.get_registered_object(f'keras_emotion>{name}')",
    )
