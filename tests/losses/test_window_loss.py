import keras
import numpy as np
import pytest

from keras_emotion.losses import WindowLoss


def cross_entropy_by_loops(classes, probabilities):
    return np.array(
        [
            [-np.log(step[label]) for label, step in zip(labels, steps, strict=True)]
            for labels, steps in zip(classes, probabilities, strict=True)
        ]
    )


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    # As many windows as steps: there Keras itself multiplies the weights along the steps without an error.
    probabilities = rng.dirichlet(np.ones(3), (4, 4)).astype("float32")
    return rng.integers(0, 3, (4, 4)), probabilities


@pytest.mark.parametrize(("step_reduction", "over_steps"), [("sum", np.sum), ("mean", np.mean)])
@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5, 0.0]])
def test_values_against_loops(predictions, step_reduction, over_steps, weights):
    loss = WindowLoss(keras.losses.SparseCategoricalCrossentropy(reduction=None), step_reduction)
    windows = over_steps(cross_entropy_by_loops(*predictions), axis=1)
    value = loss(*predictions, sample_weight=None if weights is None else np.array(weights))
    np.testing.assert_allclose(float(value), np.average(windows, weights=weights), rtol=1e-5)


def test_padding_changes_nothing(predictions):
    loss = WindowLoss(keras.losses.SparseCategoricalCrossentropy(reduction=None))
    classes, probabilities = predictions
    whole = loss(classes[:3], probabilities[:3])
    padded = loss(classes, probabilities, sample_weight=np.array([1.0, 1.0, 1.0, 0.0]))
    np.testing.assert_allclose(float(padded), float(whole), rtol=1e-6)


def test_batch_of_nothing_but_padding_is_zero(predictions):
    loss = WindowLoss(keras.losses.SparseCategoricalCrossentropy(reduction=None))
    assert float(loss(*predictions, sample_weight=np.zeros(4))) == 0


def test_configuration_brings_it_back(predictions):
    loss = WindowLoss(
        keras.losses.SparseCategoricalCrossentropy(reduction=None, from_logits=True),
        step_reduction="mean",
        reduction="sum",
        name="other",
    )
    revived = keras.losses.deserialize(keras.losses.serialize(loss))
    assert revived.get_config() == loss.get_config()
    assert (revived.name, revived.reduction, revived.step_reduction) == ("other", "sum", "mean")
    assert float(revived(*predictions)) == float(loss(*predictions))


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"`loss`.*'sum_over_batch_size'"):
        WindowLoss(keras.losses.MeanAbsoluteError())
    with pytest.raises(ValueError, match=r"`step_reduction`.*'max'"):
        WindowLoss(keras.losses.MeanAbsoluteError(reduction=None), step_reduction="max")
    loss = WindowLoss(keras.losses.MeanAbsoluteError(reduction=None))
    with pytest.raises(ValueError, match=r"`loss`.*\(2,\)"):
        loss(np.zeros((2, 3)), np.zeros((2, 3)))
