"""What every public layer and model promises of its numbers: precisions, XLA, other backends.

A file of its own, so that two workers share the contract. The rows are those of `contract_table`.
"""

import functools
import importlib.util
import os
import subprocess
import sys
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest
from contract_table import ROWS, every_row, flat_arrays, perturb_weights, samples, train

import keras_emotion

OTHER_BACKENDS = sorted({"tensorflow", "jax", "torch"} - {keras.backend.backend()})


@every_row
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_every_sublayer_follows_the_policy(row, policy):
    layer, model = row.build(dtype=policy)
    sublayers = [
        sublayer
        for sublayer in (model if layer is model else row.wrap(layer))._flatten_layers()
        if not isinstance(sublayer, keras.layers.InputLayer)
    ]
    off_policy = {sublayer.name for sublayer in sublayers if sublayer.dtype_policy.name != policy}
    assert off_policy == set(row.off_policy)
    assert {keras.backend.standardize_dtype(weight.dtype) for weight in model.weights} <= {"float32"}
    if not row.off_policy:
        assert {output.dtype for output in keras.tree.flatten(model.output)} == {policy.removeprefix("mixed_")}


@every_row
def test_bfloat16_agrees_with_float32(row):
    rng = np.random.default_rng(6)
    # The weights as they start: those of `perturb_weights` would saturate the gates of a network and blow up rounding.
    _, reference = row.build()
    _, model = row.build(dtype="mixed_bfloat16")
    model.set_weights(reference.get_weights())
    inputs = samples(model, rng)
    outputs = keras.tree.flatten(model(inputs))
    for symbolic, output, expected in zip(
        keras.tree.flatten(model.output), outputs, flat_arrays(reference(inputs)), strict=True
    ):
        assert keras.backend.standardize_dtype(output.dtype) == symbolic.dtype
        values = keras.ops.convert_to_numpy(keras.ops.cast(output, "float32"))
        # bfloat16 keeps 8 bits (0.4 %); a network passes through some ten such roundings.
        np.testing.assert_allclose(values, expected, atol=0.05 * np.abs(expected).max())


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="XLA compiles TensorFlow and JAX")
@every_row
def test_xla_agrees_with_eager(row):
    rng = np.random.default_rng(7)
    _, model = row.build()
    perturb_weights(model, rng)
    inputs = samples(model, rng)
    eager = flat_arrays(model(inputs))
    model.compile(jit_compile=True)
    for compiled, expected in zip(flat_arrays(model.predict_on_batch(inputs)), eager, strict=True):
        np.testing.assert_allclose(compiled, expected, rtol=1e-4, atol=1e-5)


# Other backends


def is_slow(number):
    """Models take most of the time of another backend; one of them is quick enough."""
    return ROWS[number].training is not None and ROWS[number].layer.__name__ != "DGCNN"


def results_of(numbers, folder):
    """Results of rows on this backend; weights and inputs go to the folder, where other backends write theirs."""
    results = {}
    for number in numbers:
        row = ROWS[number]
        # Numbers of its own for each row, whatever rows stand before it.
        own = [one for one in ROWS if one.layer is row.layer].index(row)
        seed = zlib.crc32(f"{row.layer.__name__} {own}".encode())
        rng = np.random.default_rng(seed)
        keras.utils.set_random_seed(seed)
        _, model = row.build()
        perturb_weights(model, rng)
        inputs = samples(model, rng)
        stored = {f"weight_{index}": weight for index, weight in enumerate(model.get_weights())}
        stored |= {f"input_{index}": array for index, array in enumerate(keras.tree.flatten(inputs))}
        result = {f"output_{index}": array for index, array in enumerate(flat_arrays(model(inputs, training=False)))}
        if row.training:
            targets = row.training.targets(model, rng, 4)
            stored |= {f"target_{index}": array for index, array in enumerate(keras.tree.flatten(targets))}
            stored["sample_weight"] = np.array([1.0, 2.0, 1.0, 0.0], "float32")
            train(row, model, inputs, targets, stored["sample_weight"])
            result |= {f"trained_{index}": weight for index, weight in enumerate(model.get_weights())}
        np.savez(folder / f"{number}.npz", **stored)
        results[number] = result
    return results


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A function of backend and group of rows: results of the group here, and the folder with those of the backend."""

    @functools.cache
    def compute(backend, slow):
        folder = tmp_path_factory.mktemp("backends")
        results = results_of([number for number in range(len(ROWS)) if is_slow(number) == slow], folder)
        search_path = os.pathsep.join([str(Path(keras_emotion.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        process = subprocess.run(
            [sys.executable, Path(__file__).with_name("other_backend.py"), folder],
            env={
                **os.environ,
                "KERAS_BACKEND": backend,
                "PYTHONPATH": search_path,
                # JAX compiles each shape anew: what it computes is the question here, not how fast.
                "XLA_FLAGS": "--xla_backend_optimization_level=0",
            },
            capture_output=True,
            text=True,
        )
        assert process.returncode == 0, process.stderr
        return results, folder

    return compute


@pytest.mark.parametrize("backend", OTHER_BACKENDS)
@pytest.mark.parametrize(
    "number",
    [
        pytest.param(number, id=f"{number}-{row.layer.__name__}", marks=[pytest.mark.slow] if is_slow(number) else [])
        for number, row in enumerate(ROWS)
    ],
)
def test_other_backend_gives_the_same_values(number, backend, compared):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    results, folder = compared(backend, is_slow(number))
    with np.load(folder / f"{number}_{backend}.npz") as others:
        assert set(others.files) == set(results[number])
        for name, expected in results[number].items():
            # A weight after a step carries the rounding of all the gradients that were summed up for it, however
            # small it is itself: it is judged by the largest of its tensor.
            atol = 1e-4 * abs(expected).max() if name.startswith("trained_") else 1e-5
            np.testing.assert_allclose(others[name], expected, rtol=1e-4, atol=atol, err_msg=name)
