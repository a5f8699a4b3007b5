"""Computes rows of the contract table on the backend of this process, from the weights and inputs of another.

Usage: `KERAS_BACKEND=jax python other_backend.py FOLDER`. For each row whose `<row>.npz` is there, it reads that and
writes `<row>_<backend>.npz` with the outputs and, for a model, its weights after a step of training; likewise of
`encoders.npz`, which holds what encoders of stimuli are given.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from contract_table import ENCODERS, ROWS, encoded

from keras_emotion.testing.layers import flat_arrays, train


def zeros(initializer, shape, dtype=None):
    """In place of random numbers: weights come from the file, and JAX would compile these for each shape."""
    return keras.ops.convert_to_tensor(np.zeros(shape, dtype or keras.config.floatx()))


def main(folder):
    """Writes one file for each row that there is one of."""
    for number, row in enumerate(ROWS):
        if not (folder / f"{number}.npz").exists():
            continue
        with np.load(folder / f"{number}.npz") as stored:
            arrays = {name: stored[name] for name in stored.files}

        def nest(prefix, structure, arrays=arrays):
            flat = [arrays[f"{prefix}_{index}"] for index in range(len(keras.tree.flatten(structure)))]
            return keras.tree.pack_sequence_as(structure, flat)

        _, model = row.build()
        inputs = nest("input", model.input)
        model.set_weights(nest("weight", model.get_weights()))
        outputs = flat_arrays(model.predict_on_batch(inputs))
        results = {f"output_{index}": output for index, output in enumerate(outputs)}
        if row.training:
            targets = nest("target", row.training.targets(model, np.random.default_rng(0), 1))
            train(row, model, inputs, targets, arrays["sample_weight"])
            results |= {f"trained_{index}": weight for index, weight in enumerate(model.get_weights())}
        np.savez(folder / f"{number}_{keras.backend.backend()}.npz", **results)

    if (folder / ENCODERS).exists():
        with np.load(folder / ENCODERS) as stored:
            given = encoded(**stored)
        np.savez(folder / f"encoders_{keras.backend.backend()}.npz", **given)


if __name__ == "__main__":
    # In this process alone: whoever imports this module (the search for doctests does) keeps its initializers.
    for random_initializer in (keras.initializers.VarianceScaling, keras.initializers.Orthogonal):
        random_initializer.__call__ = zeros
    main(Path(sys.argv[1]))
