"""In new processes: what importing the package imports, and that our classes are registered in any order of imports."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import keras_emotion


def run_python(program, *arguments, given=""):
    """Output of a program in a new process."""
    search_path = os.pathsep.join([str(Path(keras_emotion.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    process = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": search_path},
        input=given,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_rooms_without_keras():
    run_python(
        "import importlib, sys\n"
        "for room in ('', '.schema', '.signals', '.audio', '.datasets', '.synthetic', '.evaluation', '.reports'):\n"
        "    importlib.import_module('keras_emotion' + room)\n"
        "    assert not {'keras', 'tensorflow'} & set(sys.modules), room"
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


LOADING = (
    "import numpy as np",
    "model = keras.models.load_model(f'{folder}/model.keras')",
    "assert model.inference == {'label_rule': '> 5'}",
    "probabilities = model({'eeg': np.load(f'{folder}/windows.npy')})['probabilities']",
    "probabilities = keras.ops.convert_to_numpy(probabilities)",
    "np.testing.assert_allclose(probabilities, np.load(f'{folder}/probabilities.npy'), rtol=1e-5)",
)
ASKING = (
    "import keras",
    "for name in ('FACRNNEEGNetwork', 'ECABandAttention', 'WindowLoss'):",
    "    assert keras.saving.get_registered_object(f'keras_emotion>{name}')",
)
PROGRAMS = {
    "import keras_emotion, keras": LOADING,
    "import keras, keras_emotion": LOADING,
    # It imports Keras while it is itself half imported.
    "from keras_emotion.models import FACRNNEEGNetwork": ASKING,
    "from keras_emotion.layers.peephole_lstm_cell import PeepholeLSTMCell": ASKING,
}
"""Statements after imports, in different orders."""

# Most of the import time is Keras's dependencies: these are imported before the programs begin.
FORKING = """
import gc, json, os, sys, traceback
gc.disable()  # a quarter of the time
sys.modules["keras"] = None  # TensorFlow would import it
import tensorflow
del sys.modules["keras"]
import h5py, matplotlib.pyplot, pandas, rich, scipy.stats, sklearn.base, sklearn.utils.metaestimators

assert not [name for name in sys.modules if name.partition(".")[0] in ("keras", "keras_emotion")]
failed = {}
for imports, lines in json.loads(sys.stdin.read()).items():
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        with open(writing, "w") as said:
            try:
                exec("\\n".join([imports, *lines]), {"folder": sys.argv[1]})
            except BaseException:
                said.write(traceback.format_exc())
        os._exit(0)
    os.close(writing)
    with open(reading) as said:
        failed[imports] = said.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    failed[imports] = failed[imports] or status and f"exit code {status}"
print(json.dumps(failed))
"""


@pytest.fixture(scope="module")
def failed(saved_model):
    """Errors in a new process for each order of imports; empty if there are none."""
    return json.loads(run_python(FORKING, str(saved_model), given=json.dumps(PROGRAMS)))


@pytest.mark.parametrize("imports", PROGRAMS)
def test_our_classes_are_known_in_any_order_of_imports(imports, failed):
    assert not failed[imports]
