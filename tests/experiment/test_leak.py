"""The main purpose of the suite: how much of an accuracy is due to leakage."""

import pytest

from keras_emotion.datasets import DEAP
from keras_emotion.experiment import Runtime, Training, run
from keras_emotion.synthetic import write_deap
from keras_emotion.systems.facrnn import FACRNN, FACRNNExperiment


@pytest.fixture(scope="module")
def accuracy(tmp_path_factory):
    """Accuracy of one subject by protocol, for data of a given effect."""
    folder = tmp_path_factory.mktemp("leak")

    def measure(effect_size, **fields):
        root = write_deap(folder / f"deap-{effect_size}", n_subjects=1, n_trials=24, effect_size=effect_size)
        experiment = FACRNNExperiment(
            name="leak",
            dataset="deap",
            targets=("valence",),
            maximum_folds=3,
            maximum_repetitions=1,
            system=FACRNN(width_multiplier=0.05),
            training=Training(epochs=4, learning_rate=5e-3, batch_size=32),
            runtime=Runtime(workers=1, feature_store=folder / "features"),
            **fields,
        )
        results = run(experiment, DEAP(root), folder / f"run-{effect_size}").results()
        return results[results["metric"] == "accuracy"].groupby("protocol")["value"].mean()

    return measure


def test_without_effect_windows_leak_and_whole_trials_do_not(accuracy):
    # 24 trials: a clean protocol at chance has a standard error of about 10 points, so 0.75 is passed by chance in
    # about 1 of 160 data sets; seeds are fixed, so the test itself does not waver.
    found = accuracy(0.0)
    assert found["as_published"] > 0.85
    assert 0.25 < found["trial_disjoint"] < 0.75


def test_a_planted_effect_is_found_in_trials_never_seen(accuracy):
    # Without folds of windows, which take half of the time.
    found = accuracy(2.0, protocols=("trial_disjoint",))
    assert found["trial_disjoint"] > 0.75
