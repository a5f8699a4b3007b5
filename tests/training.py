"""How tests train small networks."""

import keras

QUICK = {"jit_compile": keras.backend.backend() == "jax"}
"""Arguments of `compile`: XLA, Keras's default, takes longer to compile a small network than this takes to train.

JAX without it would make a program of each operation.
"""
