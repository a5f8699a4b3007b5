import importlib.util
import itertools
import json
import os
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops

from keras_emotion.experiment import Runtime, engine
from keras_emotion.experiment.jobs import Job
from keras_emotion.experiment.unfolding import unfolded_convolution, unfolded_convolutions
from keras_emotion.experiment.vectorized import group_jobs
from keras_emotion.layers import ConvLSTM2D
from keras_emotion.schema import InputError

MUCH_IS_COMPUTED = ""
"""For XLA to optimise as for users: here computing takes longer than compiling."""


@pytest.fixture(scope="module")
def told(run_script):
    """Function from a folder and a request for `folds_at_once.py` to its answer."""

    def ask(folder, what, **variables):
        if importlib.util.find_spec("jax") is None:
            pytest.skip("jax is not installed")
        script = Path(__file__).with_name("folds_at_once.py")
        run_script(script, folder, what, KERAS_BACKEND="jax", **variables)
        return json.loads((folder / "told.json").read_text())

    return ask


@pytest.fixture(scope="module")
def cases(told, tmp_path_factory):
    """Results of folds one by one and at once, on the JAX backend (see `folds_at_once.py`)."""
    return told(tmp_path_factory.mktemp("cases"), "cases")


def _probabilities(record):
    return np.array([values for name, values in record["predictions"].items() if name.startswith("probability")])


# Sums over other numbers of windows run in another order; dropout and batch normalisation let that grow for an epoch.
@pytest.mark.parametrize(
    ("case", "tolerance"),
    [("chosen_by_loss", 1e-6), ("chosen_by_accuracy", 1e-6), ("eegnet", 1e-4), ("with_teacher", 1e-6)],
)
def test_folds_at_once_give_what_they_give_one_by_one(cases, case, tolerance):
    _assert_alike(cases[case], tolerance)


@pytest.mark.slow
def test_a_policy_draws_at_once_what_it_draws_one_by_one(told, tmp_path):
    _assert_alike(told(tmp_path, "slow_cases", XLA_FLAGS=MUCH_IS_COMPUTED)["hlstm"], 1e-5)


def _assert_alike(records, tolerance):
    assert len(records["one_by_one"]) == len(records["at_once"]) >= 3
    for alone, together in zip(records["one_by_one"], records["at_once"], strict=True):
        same = ("job", "best_epoch", "n_training_windows", "n_validation_windows")
        assert [alone[name] for name in same] == [together[name] for name in same]
        np.testing.assert_allclose(_probabilities(together), _probabilities(alone), atol=tolerance)
        assert alone["diagnostics"].keys() == together["diagnostics"].keys()
        for name, value in alone["diagnostics"].items():
            assert together["diagnostics"][name] == pytest.approx(value, abs=tolerance)


def test_folds_at_once_fail_as_they_fail_one_by_one(cases):
    alone, together = (
        [{name: value for name, value in record.items() if name != "seconds"} for record in cases["diverging"][way]]
        for way in ("one_by_one", "at_once")
    )
    assert alone == together
    assert {record["failed"] for record in alone} == {"training loss not finite in epoch 1"}


def test_the_cases_are_worth_comparing(cases):
    records = cases["chosen_by_loss"]["one_by_one"]
    assert len({-(-record["n_training_windows"] // 5) for record in records}) > 1  # other numbers of batches
    for case in ("chosen_by_loss", "chosen_by_accuracy"):
        assert len({record["best_epoch"] for record in cases[case]["one_by_one"]}) > 1
    for name in cases.keys() - {"diverging"}:
        case = cases[name]
        first, second, *_ = map(_probabilities, case["one_by_one"])
        assert np.abs(first[:, :5] - second[:, :5]).max() > 1e-4  # folds differ by more than the tolerances


@pytest.mark.slow
def test_runs_and_audits_of_both_engines_agree(told, tmp_path):
    runs = told(tmp_path, "runs", XLA_FLAGS=MUCH_IS_COMPUTED)
    alone, together = runs["processes"], runs["vectorized"]
    for table in ("results", "scores"):
        one, other = (pd.read_csv(pd.io.common.StringIO(said[table])) for said in (alone, together))
        pd.testing.assert_frame_equal(one, other, atol=1e-5)
    assert together["n_jobs"] == alone["n_jobs"] == 6
    assert 0 < together["hours"] < 1


@pytest.mark.parametrize(
    ("shape", "kernel", "strides", "padding", "dilation"),
    [
        ((2, 9, 9, 4), (5, 5, 4, 3), (1, 1), "same", (1, 1)),
        ((2, 9, 8, 4), (4, 3, 4, 3), (1, 1), "same", (1, 1)),
        ((2, 9, 8, 4), (3, 2, 4, 3), (2, 3), "same", (1, 1)),
        ((2, 9, 8, 4), (3, 2, 4, 3), (2, 3), "valid", (1, 1)),
        ((2, 9, 8, 4), (3, 2, 4, 3), (1, 1), "same", (2, 3)),
        ((2, 9, 8, 4), (3, 2, 4, 3), (1, 1), "valid", (2, 3)),
        ((2, 9, 8, 4), (1, 1, 4, 3), (2, 2), "same", (1, 1)),
        ((2, 16, 4), (3, 4, 5), (1,), "valid", (4,)),
        ((2, 5, 6, 7, 2), (3, 3, 2, 2, 4), (1, 1, 1), "same", (1, 1, 1)),
        ((2, 5, 6, 7, 2), (3, 3, 3, 2, 4), (1, 2, 2), "same", (1, 1, 1)),
    ],
)
def test_an_unfolded_convolution_is_one(shape, kernel, strides, padding, dilation):
    rng = np.random.default_rng(0)
    x, weights = rng.standard_normal(shape).astype("float32"), rng.standard_normal(kernel).astype("float32")
    wanted = ops.conv(x, weights, strides=strides, padding=padding, dilation_rate=dilation)
    got = unfolded_convolution(ops.convert_to_tensor(x), weights, strides, padding, dilation)
    np.testing.assert_allclose(got, wanted, atol=2e-5)


def test_convolutions_are_unfolded_within_the_context_alone():
    layers = [
        keras.layers.Conv1D(3, 4, padding="causal", dilation_rate=2),
        keras.layers.Conv1D(3, 3, groups=3),
        keras.layers.SeparableConv1D(2, 3),
    ]
    model = keras.Sequential([keras.Input((20, 2)), *layers])
    x = np.random.default_rng(0).standard_normal((2, 20, 2)).astype("float32")
    before = model(x)
    with unfolded_convolutions(model):
        assert ["convolution_op" in vars(layer) for layer in layers] == [True, False, False]
        within = model(x)
    assert not any("convolution_op" in vars(layer) for layer in layers)
    np.testing.assert_allclose(within, before, atol=1e-6)
    np.testing.assert_array_equal(model(x), before)


def test_convolutional_lstms_are_in_the_frequency_domain_within_the_context_alone():
    layers = [ConvLSTM2D(2, 3, padding="same", return_sequences=True), ConvLSTM2D(2, 3)]
    model = keras.Sequential([keras.Input((3, 6, 6, 2)), *layers])
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 6, 2)).astype("float32")
    before = model(x)
    with unfolded_convolutions(model):
        assert [layer.method for layer in layers] == ["fourier", "auto"]
        np.testing.assert_allclose(model(x), before, atol=1e-5)
    assert [layer.method for layer in layers] == ["auto", "auto"]


def test_groups_are_of_one_target_and_protocol_and_of_like_size():
    jobs = [
        Job(protocol, target, subject, 0, fold)
        for protocol in ("as_published", "trial_disjoint")
        for target in ("arousal", "valence")
        for subject in (1, 2)
        for fold in range(5)
    ]
    groups = group_jobs(jobs, 4)
    assert sorted(map(len, groups)) == [3] * 8 + [4] * 4
    assert all(len({(job.protocol, job.target) for job in group}) == 1 for group in groups)
    assert sorted(map(str, itertools.chain(*groups))) == sorted(map(str, jobs))


def test_without_jax_as_the_backend_it_is_said(monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    with pytest.raises(InputError, match="KERAS_BACKEND"):
        engine.check(Runtime(engine="vectorized"))
    # Workers of later runs would have trained on JAX.
    assert "KERAS_BACKEND" not in os.environ


def test_logs_are_not_promised():
    with pytest.raises(InputError, match="tensorboard"):
        engine.check(Runtime(engine="vectorized", tensorboard=True))


def test_one_worker_unless_there_are_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert Runtime(engine="vectorized").n_workers == 1
