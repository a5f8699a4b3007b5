import keras
import numpy as np
import pytest
from scipy.special import expit, softmax

from keras_emotion.losses import CanonicalCorrelationLoss
from keras_emotion.models import DCCA, correlation_losses
from tests.training import QUICK

SIZES = {"n_windows": 3, "n_channels": 4, "n_bands": 2, "n_face_channels": 5, "n_eye_channels": 6}
SMALL = {**SIZES, "hidden_units": (6, 4), "units": 3}


def small_model(**changes):
    keras.utils.set_random_seed(0)
    return DCCA(**{**SMALL, **changes})


def windows(model, rng, n_samples=4):
    return {
        name: rng.standard_normal((n_samples, *tensor.shape[1:])).astype("float32")
        for name, tensor in model.input.items()
    }


def arrays(outputs):
    return {name: keras.ops.convert_to_numpy(values) for name, values in outputs.items()}


def forward(inputs, weights, fusion, eeg_weight):
    """Probabilities and views of the windows, from the weights by their paths."""
    views = []
    for modality, x in inputs.items():
        x = (x - weights[f"{modality}_scaling/mean"]) * weights[f"{modality}_scaling/scale"]
        x = x.reshape(*x.shape[:2], -1)
        for number in (1, 2):
            layer = f"{modality}_hidden_{number}"
            x = expit(x @ weights[f"{layer}/kernel"] + weights[f"{layer}/bias"])
        views.append(x @ weights[f"{modality}_view/kernel"] + weights[f"{modality}_view/bias"])
    shares = np.array([eeg_weight, 1 - eeg_weight])
    if fusion == "attention":
        shares = softmax([view @ weights["fusion/kernel"][:, 0] for view in views], axis=0)[..., None]
    features = (shares[0] * views[0] + shares[1] * views[1]).mean(axis=1)
    probabilities = softmax(features @ weights["classifier/kernel"] + weights["classifier/bias"], axis=-1)
    return probabilities, np.stack(views, axis=2)


@pytest.mark.parametrize(
    ("fusion", "modalities"),
    [("weighted_sum", ("eeg", "face")), ("attention", ("eeg", "face")), ("weighted_sum", ("eye", "eeg"))],
)
def test_forward_pass_against_numpy(fusion, modalities):
    rng = np.random.default_rng(0)
    model = small_model(fusion=fusion, eeg_weight=0.7, n_classes=3, modalities=modalities)
    # EEG first, in any requested order.
    sizes = {"eeg": (None, 3, 4, 2), "face": (None, 3, 5), "eye": (None, 3, 6)}
    assert {name: tensor.shape for name, tensor in model.input.items()} == {name: sizes[name] for name in modalities}
    assert next(iter(model.input)) == "eeg"
    model.set_weights([weight + 0.3 * rng.standard_normal(weight.shape) for weight in model.get_weights()])
    inputs = windows(model, rng)
    weights = {
        weight.path: values.astype("float64") for weight, values in zip(model.weights, model.get_weights(), strict=True)
    }
    probabilities, views = forward(inputs, weights, fusion, 0.7)
    outputs = arrays(model(inputs))
    np.testing.assert_allclose(outputs["probabilities"], probabilities, rtol=1e-4)
    np.testing.assert_allclose(outputs["views"], views, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(model.window_probabilities(outputs), outputs["probabilities"])


# By hand: inputs x units + biases of each dense layer.
EEG = (32 * 5 * 389 + 389) + (389 * 218 + 218) + (218 * 115 + 115) + (115 * 20 + 20)  # 175,154
FACES = (29 * 389 + 389) + (389 * 218 + 218) + (218 * 115 + 115) + (115 * 20 + 20)  # 124,195
CLASSIFIER = 20 * 2 + 2
SCALING = 2 * (32 * 5 + 29)  # mean and scale
PARAMETER_COUNTS = [
    # arguments, trainable weights, others
    ({}, EEG + FACES + CLASSIFIER, SCALING),
    ({"fusion": "attention"}, EEG + FACES + CLASSIFIER + 20, SCALING),
    ({"hidden_units": ()}, (160 * 20 + 20) + (29 * 20 + 20) + CLASSIFIER, SCALING),
    ({"n_windows": 7}, EEG + FACES + CLASSIFIER, SCALING),
]


@pytest.mark.parametrize(("arguments", "trainable", "others"), PARAMETER_COUNTS)
def test_parameter_count(arguments, trainable, others):
    model = DCCA(**arguments)
    assert sum(np.prod(weight.shape, dtype=int) for weight in model.trainable_weights) == trainable
    assert sum(np.prod(weight.shape, dtype=int) for weight in model.non_trainable_weights) == others


def test_count_of_the_whole_network():
    assert EEG + FACES + CLASSIFIER == 299_391


def test_eeg_alone_is_refused_with_the_reason():
    with pytest.raises(ValueError, match=r"`n_face_channels`.*needs both modalities.*n_face_channels=0"):
        small_model(n_face_channels=0)


@pytest.mark.parametrize("modalities", [("eeg",), ("eeg", "face", "eye")])
def test_other_numbers_of_modalities_are_refused(modalities):
    with pytest.raises(ValueError, match=r"`modalities` must be two, whose outputs are correlated"):
        small_model(modalities=modalities)


def test_models_of_earlier_versions_are_those_of_eeg_and_faces():
    """Earlier configurations lack modalities and features of eye movements."""
    model = small_model()
    earlier = model.get_config()
    assert (earlier.pop("modalities"), earlier.pop("n_eye_channels")) == (["eeg", "face"], 6)
    again = DCCA.from_config(earlier)
    again.set_weights(model.get_weights())
    inputs = windows(model, np.random.default_rng(0))
    np.testing.assert_array_equal(arrays(again(inputs))["views"], arrays(model(inputs))["views"])


def test_statistics_scale_the_features():
    rng = np.random.default_rng(1)
    model = small_model()
    inputs = windows(model, rng)
    unscaled = arrays(model(inputs))["probabilities"]
    mean, deviation = rng.standard_normal((4, 2)), rng.uniform(0.5, 2, (4, 2))
    model.feature_scaling["eeg"].set_statistics(mean, deviation)
    model.feature_scaling["face"].set_statistics(np.full(5, 2.0), np.full(5, 3.0))
    raw = {"eeg": inputs["eeg"] * deviation + mean, "face": inputs["face"] * 3 + 2}
    np.testing.assert_allclose(arrays(model(raw))["probabilities"], unscaled, rtol=1e-4)


# Loss and training


def test_loss_is_cross_entropy_and_correlation():
    rng = np.random.default_rng(2)
    model = small_model()
    inputs, classes, weights = windows(model, rng, 6), rng.integers(0, 2, 6), np.array([1.0, 2.0, 1.0, 0.5, 1.0, 0.0])
    model.compile("sgd", **correlation_losses(correlation_weight=0.3, regularisation=0.1))
    outputs = arrays(model(inputs))
    cross_entropy = -np.log(outputs["probabilities"][np.arange(6), classes])
    # The canonical correlations of the 18 windows, each with the weight of its sample.
    views = outputs["views"].reshape(18, 6).astype("float64")
    covariance = np.cov(views, rowvar=False, aweights=np.repeat(weights, 3))
    first, second = (np.linalg.cholesky(covariance[at, at] + 0.1 * np.eye(3)) for at in (slice(0, 3), slice(3, 6)))
    whitened = np.linalg.solve(first, np.linalg.solve(second, covariance[3:, :3]).T)
    expected = np.average(cross_entropy, weights=weights) - 0.3 * np.linalg.svd(whitened, compute_uv=False).sum()
    targets = {"probabilities": classes, "views": classes}
    found = model.evaluate(inputs, targets, sample_weight=weights, batch_size=6, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["loss"], expected, rtol=1e-4)


def test_padding_of_a_batch_does_not_change_the_step():
    rng = np.random.default_rng(3)
    whole, padded = small_model(), small_model()
    inputs, classes = windows(whole, rng), rng.integers(0, 2, 4)
    before = whole.get_weights()
    for model, n_padding in ((whole, 0), (padded, 2)):
        model.compile(keras.optimizers.SGD(0.5), **correlation_losses(0.5, 0.1), **QUICK)
        given = {name: np.concatenate([array, 100 * array[:n_padding]]) for name, array in inputs.items()}
        labels = np.concatenate([classes, 1 - classes[:n_padding]])
        weights = np.array([1.0] * 4 + [0.0] * n_padding)
        model.train_on_batch(given, {"probabilities": labels, "views": labels}, sample_weight=weights)
    for start, expected, values in zip(before, whole.get_weights(), padded.get_weights(), strict=True):
        np.testing.assert_allclose(values - start, expected - start, rtol=1e-3, atol=1e-6)
    assert any((start != end).any() for start, end in zip(before, whole.get_weights(), strict=True))


def test_wrong_arguments_of_the_losses_are_named():
    with pytest.raises(ValueError, match=r"`correlation_weight`.*-0.1"):
        correlation_losses(-0.1)
    with pytest.raises(ValueError, match=r"`regularisation`.*0"):
        correlation_losses(regularisation=0)


def planted(model, rng, n_samples=96):
    """Noise that both modalities share in each window, plus an independent part for the class."""
    classes = rng.integers(0, 2, n_samples)
    inputs = windows(model, rng, n_samples)
    shared = rng.standard_normal((n_samples, 3)) + np.where(classes, 1.0, -1.0)[:, None]
    inputs["eeg"][..., 0, 0] += 2 * shared
    inputs["face"][..., 0] += 2 * shared
    return inputs, classes


def total_correlation(model, inputs):
    return -float(CanonicalCorrelationLoss()(0, model(inputs)["views"]))


def test_one_stage_learns_class_and_correlation():
    rng = np.random.default_rng(4)
    model = small_model(fusion="attention", hidden_units=(8,))
    inputs, classes = planted(model, rng)
    before = total_correlation(model, inputs)
    model.compile(keras.optimizers.Adam(0.03), **correlation_losses(), **QUICK)
    model.fit(inputs, {"probabilities": classes, "views": classes}, batch_size=32, epochs=15, verbose=0)
    unseen, theirs = planted(model, rng)
    assert total_correlation(model, unseen) > before + 0.1
    predicted = model.predict(unseen, verbose=0)["probabilities"].argmax(axis=1)
    assert np.mean(predicted == theirs) > 0.85
