"""The evaluation package imports neither a deep learning framework nor any other package of the suite."""

import os
import subprocess
import sys
from pathlib import Path


def test_evaluation_imports_only_the_schema():
    code = (
        "import sys; import keras_emotion.evaluation\n"
        "ours = {name.split('.')[1] for name in sys.modules if name.startswith('keras_emotion.')}\n"
        "print(sorted(ours), sorted({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)))\n"
    )
    search_path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ["PYTHONPATH"]])
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": search_path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "['evaluation', 'moved', 'schema'] []"
