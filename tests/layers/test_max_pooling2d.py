import os
import subprocess
import sys

import numpy as np
import pytest

from keras_emotion.layers import MaxPooling2D

CASES = (((9, 9), 2, None), ((13, 12), 3, 2), ((7, 8), (2, 3), (1, 4)), ((3, 3), 3, 1))
PROGRAM = f"""
import gc, sys
gc.disable()  # a sixth of the time
from keras_emotion.native_log import quiet_start_up
quiet_start_up()
import keras, jax
import numpy as np
from keras_emotion.layers import MaxPooling2D

rng = np.random.default_rng(0)
for size, pool_size, strides in {CASES!r}:
    maps = rng.standard_normal((2, *size, 3)).astype("float32")
    ours, theirs = (
        jax.vjp(layer(pool_size, strides), maps) for layer in (MaxPooling2D, keras.layers.MaxPooling2D)
    )
    np.testing.assert_array_equal(ours[0], theirs[0])
    weights = rng.standard_normal(ours[0].shape).astype("float32")
    np.testing.assert_allclose(ours[1](weights)[0], theirs[1](weights)[0], rtol=1e-6, atol=1e-6)
    programs = [jax.make_jaxpr(layer(pool_size, strides))(maps) for layer in (MaxPooling2D, keras.layers.MaxPooling2D)]
    ways = ["reduce_window" in str(program) for program in programs]
    assert ways == [False, True], ways
for arguments in ({{"padding": "same"}}, {{"data_format": "channels_first"}}):
    maps = rng.standard_normal((2, 5, 5, 5)).astype("float32")
    np.testing.assert_array_equal(MaxPooling2D(2, **arguments)(maps), keras.layers.MaxPooling2D(2, **arguments)(maps))
"""


@pytest.mark.parametrize(("size", "pool_size", "strides"), CASES)
def test_values_against_numpy(size, pool_size, strides):
    layer = MaxPooling2D(pool_size, strides)
    maps = np.random.default_rng(0).standard_normal((2, *size, 3)).astype("float32")
    windows = np.lib.stride_tricks.sliding_window_view(maps, layer.pool_size, axis=(1, 2))
    expected = windows[:, :: layer.strides[0], :: layer.strides[1]].max(axis=(-2, -1))
    np.testing.assert_array_equal(np.asarray(layer(maps)), expected)


def test_values_and_gradients_on_jax_are_those_of_keras():
    # JAX optimises each of these small programs longer than it runs.
    jax_settings = {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    environment = os.environ | {"KERAS_BACKEND": "jax", **jax_settings}
    subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True, timeout=120)
