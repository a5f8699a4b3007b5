import keras
import numpy as np
import pytest
from scipy.special import softmax

from keras_emotion.models import EmotionTransformerFusion
from tests.training import QUICK

SMALL = {"n_windows": 3, "n_channels": 4, "n_bands": 2, "n_face_channels": 5, "n_layers": 2, "units": 6, "n_heads": 2}


def small_model(**changes):
    keras.utils.set_random_seed(0)
    return EmotionTransformerFusion(**{**SMALL, **changes})


def windows(model, rng, n_samples=4):
    return {
        name: rng.standard_normal((n_samples, *tensor.shape[1:])).astype("float32")
        for name, tensor in model.input.items()
    }


def normalised(x, weights):
    deviations = x - x.mean(axis=-1, keepdims=True)
    return (
        weights["gamma"] * deviations / np.sqrt((deviations**2).mean(axis=-1, keepdims=True) + 1e-5) + weights["beta"]
    )


def attended(tokens, weights):
    """Each head, sample and window separately."""
    outputs = np.zeros_like(tokens)
    n_heads, size = weights["query/kernel"].shape[1:]
    for head in range(n_heads):
        query, key, value = (tokens @ weights[f"{name}/kernel"][:, head] for name in ("query", "key", "value"))
        for sample, window in np.ndindex(tokens.shape[:2]):
            shares = softmax(query[sample, window] @ key[sample].T / np.sqrt(size))
            outputs[sample, window] += shares @ value[sample] @ weights["attention_output/kernel"][head]
    return outputs


def forward(inputs, weights):
    """Probabilities from the weights by their paths; two layers."""

    def of(layer):
        return {
            path.removeprefix(f"{layer}/"): value for path, value in weights.items() if path.startswith(f"{layer}/")
        }

    def dense(x, layer):
        return x @ of(layer)["kernel"] + of(layer)["bias"]

    means = []
    for modality, x in inputs.items():
        x = (x - weights[f"{modality}_scaling/mean"]) * weights[f"{modality}_scaling/scale"]
        x = dense(x.reshape(*x.shape[:2], -1), f"{modality}_embedding")
        units = x.shape[-1]
        for window, unit in np.ndindex(x.shape[1:]):
            angle = window / 10000 ** (unit // 2 * 2 / units)
            x[:, window, unit] += np.cos(angle) if unit % 2 else np.sin(angle)
        for layer in (f"{modality}_1", f"{modality}_2"):
            x = normalised(x + attended(x, of(f"{layer}_attention")), of(f"{layer}_normalization_1"))
            hidden = np.maximum(dense(x, f"{layer}_hidden"), 0)
            x = normalised(x + dense(hidden, f"{layer}_output"), of(f"{layer}_normalization_2"))
        means.append(x.mean(axis=1))
    x = means[0]
    if len(means) == 2:
        shares = softmax([mean @ of("fusion")["kernel"][:, 0] for mean in means], axis=0)
        x = shares[0][:, None] * means[0] + shares[1][:, None] * means[1]
    return softmax(dense(x, "classifier"), axis=-1)


@pytest.mark.parametrize(
    "changes", [{}, {"modalities": ("face", "eeg"), "units": 5, "n_heads": 1}, {"modalities": ("eeg",)}]
)
def test_forward_pass_against_numpy(changes):
    rng = np.random.default_rng(0)
    model = small_model(n_classes=3, **changes)
    model.set_weights([weight + 0.3 * rng.standard_normal(weight.shape) for weight in model.get_weights()])
    inputs = windows(model, rng)
    weights = {
        weight.path: values.astype("float64") for weight, values in zip(model.weights, model.get_weights(), strict=True)
    }
    probabilities = keras.ops.convert_to_numpy(model(inputs))
    np.testing.assert_allclose(probabilities, forward(inputs, weights), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(model.window_probabilities(probabilities), probabilities)


# By hand, tokens of 64: four projections without biases, 64 -> 256 -> 64, gains and biases of two normalisations.
LAYER = 4 * 64 * 64 + (64 * 256 + 256) + (256 * 64 + 64) + 2 * 2 * 64  # 49,728
EEG = (32 * 5 * 64 + 64) + 2 * LAYER  # 109,760
FACES = (29 * 64 + 64) + 2 * LAYER  # 101,376
CLASSIFIER = 64 * 2 + 2
PARAMETER_COUNTS = [
    # arguments, trainable weights, others (mean and scale of each feature)
    ({}, EEG + FACES + 64 + CLASSIFIER, 2 * (32 * 5 + 29)),
    ({"n_layers": 1, "n_heads": 8}, EEG + FACES - 2 * LAYER + 64 + CLASSIFIER, 2 * (32 * 5 + 29)),
    ({"modalities": ("eeg",)}, EEG + CLASSIFIER, 2 * 32 * 5),
]


@pytest.mark.parametrize(("arguments", "trainable", "others"), PARAMETER_COUNTS)
def test_parameter_count(arguments, trainable, others):
    model = EmotionTransformerFusion(**arguments)
    assert sum(np.prod(weight.shape, dtype=int) for weight in model.trainable_weights) == trainable
    assert sum(np.prod(weight.shape, dtype=int) for weight in model.non_trainable_weights) == others


def test_count_of_the_whole_network():
    assert PARAMETER_COUNTS[0][1] == 109_760 + 101_376 + 64 + 130


def test_the_place_of_a_window_counts():
    rng = np.random.default_rng(1)
    model = small_model()
    inputs = windows(model, rng)
    backwards = {name: array[:, ::-1] for name, array in inputs.items()}
    outputs, others = (keras.ops.convert_to_numpy(model(given)) for given in (inputs, backwards))
    assert abs(outputs - others).max() > 1e-3


def test_heads_that_do_not_divide_the_units_are_named():
    with pytest.raises(ValueError, match=r"`units`.*units=6, n_heads=4"):
        small_model(n_heads=4)


def test_learns_from_both_modalities():
    rng = np.random.default_rng(2)
    model = small_model(n_layers=1, dropout=0.0)

    def planted(n_samples):
        inputs = windows(model, rng, n_samples)
        parts = rng.choice([-1.0, 1.0], (2, n_samples))
        inputs["eeg"][..., 0, 0] += 3 * parts[0][:, None]
        inputs["face"][..., 0] += 3 * parts[1][:, None]
        # Each modality alone determines three in four.
        return inputs, (parts.sum(axis=0) > 0).astype(int)

    inputs, classes = planted(128)
    model.compile(keras.optimizers.Adam(0.03), "sparse_categorical_crossentropy", **QUICK)
    model.fit(inputs, classes, batch_size=32, epochs=10, verbose=0)
    unseen, theirs = planted(128)
    assert np.mean(model.predict(unseen, verbose=0).argmax(axis=1) == theirs) > 0.9
