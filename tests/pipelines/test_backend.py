import json
import os
import subprocess
import sys

import pytest

# JAX reads its variable when it is imported. One process for all cases: to start it takes longest.
PROGRAM = """
import json, os
from keras_emotion.pipelines import prepare_backend
import jax

chosen = jax.config.jax_compilation_cache_dir
folders = []
for case in json.loads(os.environ["CASES"]):
    os.environ |= case
    jax.config.update("jax_compilation_cache_dir", chosen if "JAX_COMPILATION_CACHE_DIR" in case else None)
    prepare_backend(1)
    folders.append(jax.config.jax_compilation_cache_dir)
print(json.dumps(folders))
"""

CASES = [
    ({"XDG_CACHE_HOME": "caches"}, "caches/keras_emotion/jax"),
    ({"XDG_CACHE_HOME": "", "HOME": "home"}, "home/.cache/keras_emotion/jax"),
    ({"XDG_CACHE_HOME": "caches", "JAX_COMPILATION_CACHE_DIR": "chosen"}, "chosen"),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folder of JAX's compilation cache in each case."""
    environment = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": "chosen"}
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path_factory.mktemp("folder"),
        env={**os.environ, **environment, "CASES": json.dumps([variables for variables, _ in CASES])},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    return json.loads(answer.stdout)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_what_jax_compiled_is_kept(number, folders):
    assert folders[number] == CASES[number][1]
