"""What every public layer and model promises of its numbers: precisions, XLA, other backends.

A file of its own, so that two workers share the contract. The rows are those of `contract_table`, the checks those of
`keras_emotion.testing.check_layer`.
"""

import functools
import importlib.util
import os
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest
from contract_table import ENCODERS, ROWS, built_once, encoded, every_row

import keras_emotion
from keras_emotion.testing import layers

OTHER_BACKENDS = sorted({"tensorflow", "jax", "torch"} - {keras.backend.backend()})


@every_row
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_every_sublayer_follows_the_policy(row, policy):
    layers.check_policy(built_once(row), policies=(policy,))


@every_row
def test_bfloat16_agrees_with_float32(row):
    layers.check_bfloat16(built_once(row))


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="XLA compiles TensorFlow and JAX")
@every_row
def test_xla_agrees_with_eager(row):
    layers.check_xla(row)


def is_slow(number):
    """Training and another backend take most of their time for models; one of them is quick enough."""
    return ROWS[number].training is not None and ROWS[number].layer.__name__ != "DGCNN"


def each(numbers):
    """Parametrise a test over rows, those that take long as slow tests."""
    return pytest.mark.parametrize(
        "number",
        [
            pytest.param(number, id=f"{number}-{ROWS[number].layer.__name__}", marks=pytest.mark.slow)
            if is_slow(number)
            else pytest.param(number, id=f"{number}-{ROWS[number].layer.__name__}")
            for number in numbers
        ],
    )


@each([number for number, row in enumerate(ROWS) if row.training is not None])
def test_a_training_step_moves_the_weights(number):
    layers.check_training_step(ROWS[number])


# Other backends


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
        layers.perturb_weights(model, rng)
        inputs = layers.random_inputs(model, rng)
        stored = {f"weight_{index}": weight for index, weight in enumerate(model.get_weights())}
        stored |= {f"input_{index}": array for index, array in enumerate(keras.tree.flatten(inputs))}
        outputs = layers.flat_arrays(model(inputs, training=False))
        result = {f"output_{index}": array for index, array in enumerate(outputs)}
        if row.training:
            targets = row.training.targets(model, rng, 4)
            stored |= {f"target_{index}": array for index, array in enumerate(keras.tree.flatten(targets))}
            stored["sample_weight"] = np.array([1.0, 2.0, 1.0, 0.0], "float32")
            layers.train(row, model, inputs, targets, stored["sample_weight"])
            result |= {f"trained_{index}": weight for index, weight in enumerate(model.get_weights())}
        np.savez(folder / f"{number}.npz", **stored)
        results[number] = result
    return results


@pytest.fixture(scope="module")
def compared(tmp_path_factory, run_script):
    """A function of backend and group of rows: results of the group here, and the folder with those of the backend."""

    @functools.cache
    def compute(backend, slow):
        folder = tmp_path_factory.mktemp("backends")
        results = results_of([number for number in range(len(ROWS)) if is_slow(number) == slow], folder)
        if not slow:
            rng = np.random.default_rng(0)
            given = {
                "pictures": rng.integers(0, 256, (2, 16, 16, 3), np.uint8),
                "patches": rng.standard_normal((2, 96, 20), "float32"),
            }
            np.savez(folder / ENCODERS, **given)
            results["encoders"] = encoded(**given)
        search_path = os.pathsep.join([str(Path(keras_emotion.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        script = Path(__file__).with_name("other_backend.py")
        # JAX optimises each program longer than it runs.
        run_script(script, folder, KERAS_BACKEND=backend, PYTHONPATH=search_path, JAX_DISABLE_MOST_OPTIMIZATIONS="1")
        return results, folder

    return compute


@pytest.mark.parametrize("backend", OTHER_BACKENDS)
@each(range(len(ROWS)))
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


@pytest.mark.parametrize("backend", OTHER_BACKENDS)
def test_encoders_of_stimuli_have_the_same_random_weights_on_other_backends(backend, compared):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    results, folder = compared(backend, False)
    with np.load(folder / f"encoders_{backend}.npz") as others:
        for name, expected in results["encoders"].items():
            assert np.ptp(expected, axis=0).max() > 0.01
            np.testing.assert_allclose(others[name], expected, rtol=1e-4, atol=1e-5, err_msg=name)
