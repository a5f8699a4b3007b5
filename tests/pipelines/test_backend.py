import os
import subprocess
import sys

import pytest

PROGRAM = """
from keras_emotion.pipelines import prepare_backend

prepare_backend(1)
import jax

print(jax.config.jax_compilation_cache_dir)
"""


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"XDG_CACHE_HOME": "caches"}, "caches/keras_emotion/jax"),
        ({"XDG_CACHE_HOME": "", "HOME": "home"}, "home/.cache/keras_emotion/jax"),
        ({"XDG_CACHE_HOME": "caches", "JAX_COMPILATION_CACHE_DIR": "chosen"}, "chosen"),
    ],
)
def test_what_jax_compiled_is_kept(tmp_path, variables, folder):
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    environment |= {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", **variables}
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    assert answer.stdout.split() == [folder]
