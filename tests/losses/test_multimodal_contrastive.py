"""MERCL's losses against loops over anchors and pairs."""

import itertools
import math

import keras
import numpy as np
import pytest

from keras_emotion.losses import (
    InterModalContrastiveLoss,
    IntraModalContrastiveLoss,
    MERCLLoss,
    SampleAlignmentLoss,
)

MODALITIES = ("visual", "audio", "eeg")
PAIR_LOSSES = {"amcl": IntraModalContrastiveLoss, "emcl": InterModalContrastiveLoss}


def batch(rng, n_rows=10, n_features=6, n_classes=3, n_stimuli=4):
    """Embeddings of length 1, and targets: class, stimulus, silent."""
    z = rng.standard_normal((n_rows, 3, n_features)).astype("float32")
    z /= np.linalg.norm(z, axis=-1, keepdims=True)
    columns = [rng.integers(0, high, n_rows) for high in (n_classes, n_stimuli, 2)]
    return z, np.stack(columns, axis=1)


def pair_loss(kind, z, targets, weights, temperature, form, same_stimulus_pairs, silent_rows):
    """The loss written as loops, in float64."""
    z, weights = z.astype(float), weights.tolist()
    of_modalities = []
    for m in range(3):
        total, count = 0.0, 0.0
        for i in range(len(z)):
            positives, others = [], []
            for n, j in itertools.product(range(3), range(len(z))):
                if (kind == "amcl" and (n != m or j == i)) or (kind == "emcl" and n == m):
                    continue
                if weights[i] <= 0 or weights[j] <= 0:
                    continue
                if silent_rows == "no_pairs" and ((m == 1 and targets[i, 2]) or (n == 1 and targets[j, 2])):
                    continue
                same_stimulus = targets[i, 1] == targets[j, 1] and i != j and m < 2 and n < 2
                if same_stimulus_pairs == "drop" and same_stimulus:
                    continue
                similarity = float(z[i, m] @ z[j, n]) / temperature
                (positives if targets[i, 0] == targets[j, 0] else others).append(similarity)
            if not positives:
                continue
            denominator = sum(math.exp(one) for one in positives + others)
            if form == "inside":
                value = -math.log(sum(math.exp(one) for one in positives) / denominator)
            else:
                value = -sum(math.log(math.exp(one) / denominator) for one in positives) / len(positives)
            total += weights[i] * value
            count += weights[i]
        if count:
            of_modalities.append(total / count)
    return sum(of_modalities) / len(of_modalities) if of_modalities else 0.0


def alignment_loss(z, targets, weights, alpha, silent_rows):
    """Equation 6: for each anchor the mean over the two other modalities, over what counts."""
    z, weights = z.astype(float), weights.tolist()
    total, count = 0.0, 0.0
    for i in range(len(z)):
        for m, n in itertools.permutations(range(3), 2):
            if targets[i, 2] and (silent_rows == "no_smcl" or (silent_rows == "no_pairs" and 1 in (m, n))):
                continue
            total += weights[i] * (float(z[i, m] @ z[i, n]) - alpha) ** 2
            count += weights[i]
    return total / count if count else 0.0


CASES = {
    "as drawn": lambda z, targets, weights: None,
    "silent rows and fillers": lambda z, targets, weights: weights.__setitem__(slice(-4, None), 0),
    "weights": lambda z, targets, weights: weights.__setitem__(slice(None), np.linspace(0.5, 2, len(weights))),
    "one class": lambda z, targets, weights: targets.__setitem__((slice(None), 0), 1),
    "all silent": lambda z, targets, weights: targets.__setitem__((slice(None), 2), 1),
    "one stimulus": lambda z, targets, weights: targets.__setitem__((slice(None), 1), 3),
    "a class of one": lambda z, targets, weights: targets.__setitem__((slice(None), 0), [5] + [0] * 4 + [1] * 5),
    "one row that counts": lambda z, targets, weights: weights.__setitem__(slice(1, None), 0),
    "no row that counts": lambda z, targets, weights: weights.__setitem__(slice(None), 0),
    "equal embeddings": lambda z, targets, weights: z.__setitem__(slice(None), z[0, 0]),
    "opposite embeddings": lambda z, targets, weights: z.__setitem__(
        slice(None), z[0, 0] * np.where(targets[:, :1, None] > 0, 1, -1)
    ),
}


def drawn(case):
    z, targets = batch(np.random.default_rng(0))
    weights = np.ones(len(z), "float32")
    CASES[case](z, targets, weights)
    return z, targets, weights


@pytest.mark.parametrize("case", CASES)
def test_values_are_those_of_loops(case):
    z, targets, weights = drawn(case)
    for kind, form, same, silent in itertools.product(
        PAIR_LOSSES, ("inside", "outside"), ("keep", "drop"), ("keep", "no_pairs")
    ):
        arguments = {"temperature": 0.1, "form": form, "same_stimulus_pairs": same, "silent_rows": silent}
        found = float(PAIR_LOSSES[kind](**arguments)(targets, z, weights))
        expected = pair_loss(kind, z, targets, weights, **arguments)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=f"{kind} {arguments}")
    for silent, alpha in itertools.product(("keep", "no_smcl", "no_pairs"), (1.0, 0.3)):
        found = float(SampleAlignmentLoss(alpha, silent)(targets, z, weights))
        np.testing.assert_allclose(found, alignment_loss(z, targets, weights, alpha, silent), rtol=1e-5, atol=1e-6)


def test_the_cases_differ():
    """Each option changes the loss of the batch, otherwise the loops would prove nothing."""
    z, targets, _ = drawn("as drawn")
    for loss in PAIR_LOSSES.values():
        values = [
            float(loss(**arguments)(targets, z))
            for arguments in (
                {},
                {"temperature": 0.5},
                {"form": "outside"},
                {"same_stimulus_pairs": "drop"},
                {"silent_rows": "no_pairs"},
            )
        ]
        assert len({round(value, 4) for value in values}) == len(values)
        assert float(loss(silent_rows="no_smcl")(targets, z)) == values[0]
    values = [float(SampleAlignmentLoss(silent_rows=silent)(targets, z)) for silent in ("keep", "no_smcl", "no_pairs")]
    assert len({round(value, 4) for value in values}) == 3


def test_sum_of_the_three():
    z, targets, weights = drawn("silent rows and fillers")
    options = {"temperature": 0.2, "form": "outside", "same_stimulus_pairs": "drop", "silent_rows": "no_pairs"}
    parts = [
        pair_loss("amcl", z, targets, weights, **options),
        pair_loss("emcl", z, targets, weights, **options),
        alignment_loss(z, targets, weights, 0.7, "no_pairs"),
    ]
    for factors in ((1, 1, 1), (0.5, 2, 3), (0, 1, 1), (1, 0, 0)):
        names = ("amcl_weight", "emcl_weight", "smcl_weight")
        loss = MERCLLoss(**dict(zip(names, factors, strict=True)), alpha=0.7, **options)
        np.testing.assert_allclose(float(loss(targets, z, weights)), np.dot(factors, parts), rtol=1e-5)


def test_fillers_change_nothing():
    z, targets, weights = drawn("silent rows and fillers")
    loss = MERCLLoss()
    full = float(loss(targets, z, weights))
    assert full == pytest.approx(float(loss(targets[:-4], z[:-4])), rel=1e-6)
    z[-4:] = np.random.default_rng(1).standard_normal((4, 3, 6))
    targets[-4:] = 7
    assert float(loss(targets, z, weights)) == full


def test_two_modalities_and_classes_alone():
    z, targets, weights = drawn("as drawn")
    # Without sound, pairs of picture and EEG are left.
    found = float(SampleAlignmentLoss(modalities=("visual", "eeg"))(targets[:, 0], z[:, ::2]))
    assert found == pytest.approx(np.mean((np.sum(z[:, 0] * z[:, 2], axis=-1) - 1) ** 2), rel=1e-5)
    both = [float(MERCLLoss()(given, z)) for given in (targets, targets[:, 0], targets[:, :1], targets.astype(float))]
    assert both == pytest.approx([both[0]] * 4)
    # Which of them is the sound follows from the names.
    swapped = MERCLLoss(silent_rows="no_pairs", same_stimulus_pairs="drop", modalities=("eeg", "visual", "audio"))
    expected = MERCLLoss(silent_rows="no_pairs", same_stimulus_pairs="drop")(targets, z, weights)
    assert float(swapped(targets, z[:, [2, 0, 1]], weights)) == pytest.approx(float(expected), rel=1e-5)


def gradients(loss, batches, policy="float32", jit_compile=False):
    """Change by a step of gradient descent of embeddings that are the weights of a model, for one batch size."""
    z, *_ = batches[0]
    embedding = keras.layers.Embedding(len(z), z[0].size, dtype=policy)
    model = keras.Sequential(
        [keras.Input((), dtype="int32"), embedding, keras.layers.Reshape(z.shape[1:], dtype=policy)]
    )
    # The optimizer itself: under mixed_float16 Keras would scale losses, and skip steps that are not finite.
    model.compile(keras.optimizers.SGD(1.0), loss, jit_compile=jit_compile, auto_scale_loss=False)
    found = []
    for z, targets, weights in batches:
        embedding.set_weights([z.reshape(len(z), -1)])
        model.train_on_batch(np.arange(len(z)), targets, sample_weight=weights)
        found.append(z - embedding.get_weights()[0].reshape(z.shape))
    return found


def test_gradient_is_the_difference_quotient():
    z, targets, weights = drawn("silent rows and fillers")
    options = {"temperature": 0.3, "form": "inside", "same_stimulus_pairs": "drop", "silent_rows": "no_pairs"}
    (found,) = gradients(MERCLLoss(**options), [(z, targets, weights)], jit_compile=True)

    def value(z):
        pairs = sum(pair_loss(kind, z, targets, weights, **options) for kind in PAIR_LOSSES)
        return pairs + alignment_loss(z, targets, weights, 1.0, "no_pairs")

    rng = np.random.default_rng(2)
    for _ in range(3):
        direction = rng.standard_normal(z.shape)
        step = 1e-5 * direction
        expected = (value(z + step) - value(z - step)) / 2e-5
        assert np.sum(found * direction) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("policy", "form"),
    [("float32", "outside"), ("mixed_float16", "inside"), ("mixed_float16", "outside"), ("mixed_bfloat16", "inside")],
)
def test_gradients_are_finite(policy, form):
    loss = MERCLLoss(form=form, same_stimulus_pairs="drop", silent_rows="no_pairs", temperature=0.01)
    found = dict(zip(CASES, gradients(loss, [drawn(case) for case in CASES], policy), strict=True))
    for case, gradient in found.items():
        assert np.isfinite(gradient).all(), case
        assert gradient.any() == (case != "no row that counts"), case


def test_gradient_of_one_row_and_one_class():
    z, targets, weights = drawn("one class")
    for loss, n_rows in ((IntraModalContrastiveLoss(), 10), (IntraModalContrastiveLoss(form="outside"), 1)):
        (found,) = gradients(loss, [(z[:n_rows], targets[:n_rows], weights[:n_rows])])
        np.testing.assert_allclose(found, 0, atol=1e-6)


def test_computed_in_float32_from_half_precision():
    z, targets, weights = drawn("as drawn")
    for dtype in ("float16", "bfloat16"):
        rounded = keras.ops.cast(z, dtype)
        found = MERCLLoss(temperature=0.05)(targets, rounded, weights)
        assert keras.backend.standardize_dtype(found.dtype) == "float32"
        exact = MERCLLoss(temperature=0.05)(targets, keras.ops.cast(rounded, "float32"), weights)
        assert float(found) == float(exact)


@pytest.mark.parametrize(
    "loss",
    [
        MERCLLoss(0.5, 2.0, 3.0, 0.2, 0.9, "outside", "drop", "no_smcl", ("visual", "audio"), name="a"),
        IntraModalContrastiveLoss(0.2, "outside", "drop", "no_pairs", ("eeg", "audio"), name="b"),
        InterModalContrastiveLoss(0.2, "outside", "drop", "no_pairs", ("eeg", "audio"), name="c"),
        SampleAlignmentLoss(0.9, "no_pairs", ("eeg", "audio"), name="d"),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_configuration(loss):
    config = loss.get_config()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert (type(again), again.get_config()) == (type(loss), config)
    z, targets, weights = drawn("as drawn")
    assert float(again(targets, z[:, :2], weights)) == float(loss(targets, z[:, :2], weights))


def test_refusals():
    for call, words in (
        (lambda: MERCLLoss(amcl_weight=0, emcl_weight=0), "`amcl_weight` and `emcl_weight` are both 0"),
        (lambda: MERCLLoss(smcl_weight=-1), "`smcl_weight` must be 0 or more; received smcl_weight=-1"),
        (lambda: MERCLLoss(temperature=0), "`temperature` must be above 0; received temperature=0"),
        (lambda: MERCLLoss(form="beside"), "`form` must be one of .*form='beside'"),
        (lambda: MERCLLoss(same_stimulus_pairs="no"), "`same_stimulus_pairs` must be one of .*'no'"),
        (lambda: SampleAlignmentLoss(silent_rows="drop"), "`silent_rows` must be one of .*'drop'"),
        (lambda: SampleAlignmentLoss(modalities=("eeg",)), "`modalities` must be two names or more"),
        (lambda: MERCLLoss(modalities=("eeg", "eeg")), "`modalities` must be two names or more, all different"),
        (
            lambda: MERCLLoss()(np.zeros(4), np.zeros((4, 2, 5))),
            r"`y_pred` must be \(batch, 3, features\).*\(4, 2, 5\)",
        ),
        (lambda: MERCLLoss()(np.zeros(4), np.zeros((4, 15))), r"`y_pred` must be \(batch, 3, features\).*\(4, 15\)"),
        (lambda: MERCLLoss()(np.zeros((4, 4)), np.zeros((4, 3, 5))), r"`y_true` must be .*1 to 3 of.*\(4, 4\)"),
        (
            lambda: MERCLLoss(same_stimulus_pairs="drop")(np.zeros(4), np.zeros((4, 3, 5))),
            r"`y_true` must be .*2 to 3 of.*\(4, 1\)",
        ),
        (
            lambda: SampleAlignmentLoss(silent_rows="no_smcl")(np.zeros((4, 2)), np.zeros((4, 3, 5))),
            r"`y_true` must be .*3 to 3 of.*\(4, 2\)",
        ),
    ):
        with pytest.raises(ValueError, match=words):
            call()
