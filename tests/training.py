"""How tests train small networks."""

import contextlib

import keras
import pytest

QUICK = {"jit_compile": keras.backend.backend() == "jax"}
"""Arguments of `compile`: XLA, Keras's default, takes longer to compile a small network than this takes to train.

JAX without it would make a program of each operation.
"""


@contextlib.contextmanager
def without_graphs():
    """Train networks step by step: for one step in an epoch, graphs take longer to trace than they save."""
    with pytest.MonkeyPatch.context() as patch:
        always = property(lambda self: True, lambda self, value: None)
        patch.setattr(keras.Model, "run_eagerly", always, raising=False)
        yield
