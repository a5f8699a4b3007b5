import keras
import numpy as np
import pytest
from scipy.special import expit, softmax

from keras_emotion.models import MMResLSTM
from tests.training import QUICK

SMALL = {
    "n_windows": 3,
    "n_channels": 4,
    "n_bands": 2,
    "n_face_channels": 5,
    "n_eye_channels": 6,
    "n_layers": 3,
    "units": 4,
}


def small_model(**changes):
    keras.utils.set_random_seed(0)
    return MMResLSTM(**{**SMALL, **changes})


def windows(model, rng, n_samples=4):
    return {
        name: rng.standard_normal((n_samples, *tensor.shape[1:])).astype("float32")
        for name, tensor in model.input.items()
    }


def lstm(sequences, recurrent_kernel, kernel, bias):
    output = cell = np.zeros((len(sequences), len(recurrent_kernel)))
    outputs = []
    for step in range(sequences.shape[1]):
        gates = sequences[:, step] @ kernel + output @ recurrent_kernel + bias
        input_gate, forget_gate, candidate, output_gate = np.split(gates, 4, axis=1)
        cell = expit(forget_gate) * cell + expit(input_gate) * np.tanh(candidate)
        output = expit(output_gate) * np.tanh(cell)
        outputs.append(output)
    return np.stack(outputs, axis=1)


def forward(inputs, weights):
    """Probabilities from the weights by their paths, three layers."""
    streams = []
    for position, (modality, x) in enumerate(inputs.items(), start=1):
        x = (x - weights[f"{modality}_scaling/mean"]) * weights[f"{modality}_scaling/scale"]
        x = x.reshape(*x.shape[:2], -1)
        for number in (1, 2, 3):
            layer = f"recurrent_{number}"
            (shared,) = (path for path in weights if path.startswith(layer) and path.endswith("recurrent_kernel"))
            own = (weights[f"{layer}/{name}_{position}"] for name in ("kernel", "bias"))
            hidden = lstm(x, weights[shared], *own)
            normalised = (hidden - hidden.mean(axis=-1, keepdims=True)) / np.sqrt(
                hidden.var(axis=-1, keepdims=True) + 1e-5
            )
            normalisation = f"{modality}_normalization_{number}"
            y = weights[f"{normalisation}/gamma"] * normalised + weights[f"{normalisation}/beta"]
            y = np.where(y > 0, y, 0.01 * y)
            x = y if number == 1 else x + y
        streams.append(x)
    fused = np.concatenate(streams, axis=-1).reshape(len(x), -1)
    return softmax(fused @ weights["classifier/kernel"] + weights["classifier/bias"], axis=-1)


@pytest.mark.parametrize("modalities", [("eeg", "face"), ("eeg", "eye"), ("eeg",), ("face",)])
def test_forward_pass_against_numpy(modalities):
    rng = np.random.default_rng(0)
    model = small_model(modalities=modalities, n_classes=3)
    model.set_weights([weight + 0.3 * rng.standard_normal(weight.shape) for weight in model.get_weights()])
    inputs = windows(model, rng)
    weights = {
        weight.path: values.astype("float64") for weight, values in zip(model.weights, model.get_weights(), strict=True)
    }
    probabilities = keras.ops.convert_to_numpy(model(inputs))
    np.testing.assert_allclose(probabilities, forward(inputs, weights), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(model.window_probabilities(probabilities), probabilities)


# By hand, 2 layers of 32 units: 4 gates, each inputs x units + biases, and the recurrent weights once a layer.
RECURRENT = 4 * 32 * 32
EEG_1 = 4 * (32 * 5 + 1) * 32  # 20,608
FACES_1 = 4 * (29 + 1) * 32  # 3,840
DEEPER = 4 * (32 + 1) * 32  # 4,224, of either modality
NORMALISATION = 2 * 32  # gain and bias, of each modality and layer
BOTH = (RECURRENT + EEG_1 + FACES_1) + (RECURRENT + 2 * DEEPER) + 4 * NORMALISATION
PARAMETER_COUNTS = [
    # arguments, trainable weights, others (mean and scale of each feature)
    ({}, BOTH + (20 * 2 * 32 * 2 + 2), 2 * (32 * 5 + 29)),
    ({"n_layers": 3}, BOTH + RECURRENT + 2 * DEEPER + 2 * NORMALISATION + (20 * 2 * 32 * 2 + 2), 2 * (32 * 5 + 29)),
    (
        {"modalities": ("eeg",)},
        RECURRENT + EEG_1 + RECURRENT + DEEPER + 2 * NORMALISATION + (20 * 32 * 2 + 2),
        2 * 32 * 5,
    ),
]


@pytest.mark.parametrize(("arguments", "trainable", "others"), PARAMETER_COUNTS)
def test_parameter_count(arguments, trainable, others):
    model = MMResLSTM(**arguments)
    assert sum(np.prod(weight.shape, dtype=int) for weight in model.trainable_weights) == trainable
    assert sum(np.prod(weight.shape, dtype=int) for weight in model.non_trainable_weights) == others


def test_count_of_the_whole_network():
    # 28,544 + 12,544 + 256 + 2,562
    assert PARAMETER_COUNTS[0][1] == 43_906


def test_learns_from_both_modalities():
    rng = np.random.default_rng(1)
    model = small_model(n_layers=2, units=6)

    def planted(n_samples):
        inputs = windows(model, rng, n_samples)
        parts = rng.choice([-1.0, 1.0], (2, n_samples))
        inputs["eeg"][..., 0, 0] += 3 * parts[0][:, None]
        inputs["face"][..., 0] += 3 * parts[1][:, None]
        # Each modality alone determines three in four.
        return inputs, (parts.sum(axis=0) > 0).astype(int)

    inputs, classes = planted(128)
    model.compile(keras.optimizers.Adam(0.03), "sparse_categorical_crossentropy", **QUICK)
    model.fit(inputs, classes, batch_size=32, epochs=8, verbose=0)
    unseen, theirs = planted(128)
    assert np.mean(model.predict(unseen, verbose=0).argmax(axis=1) == theirs) > 0.9
