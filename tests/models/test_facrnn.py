import keras
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from scipy.special import expit, softmax

from keras_emotion.models import FACRNNEEGNetwork, distillation_losses
from tests.training import QUICK

SMALL = {"n_steps": 3, "grid_shape": (5, 4), "n_bands": 4, "width_multiplier": 1 / 16, "units": 6}
EAGER = {"run_eagerly": True}
"""For a few steps, where tracing takes longer than running; longer trainings are traced."""


def small_model(**changes):
    keras.utils.set_random_seed(0)
    return FACRNNEEGNetwork(**{**SMALL, **changes})


def eeg(model, rng, n_windows=4):
    return {"eeg": rng.standard_normal((n_windows, *model.input["eeg"].shape[1:])).astype("float32")}


def arrays(outputs):
    return {name: keras.ops.convert_to_numpy(values) for name, values in outputs.items()}


# The parts of the network, each reimplemented with NumPy.


def convolution(maps, kernel, bias):
    rows, columns = kernel.shape[:2]
    padding = [(0, 0), ((rows - 1) // 2, rows // 2), ((columns - 1) // 2, columns // 2), (0, 0)]
    patches = sliding_window_view(np.pad(maps, padding), (rows, columns), axis=(1, 2))
    return np.maximum(np.einsum("nhwcij,ijco->nhwo", patches, kernel) + bias, 0)


def largest_of_each_2x2(maps):
    n, rows, columns, channels = maps.shape
    even = maps[:, : rows // 2 * 2, : columns // 2 * 2]
    return even.reshape(n, rows // 2, 2, columns // 2, 2, channels).max(axis=(2, 4))


def lstm(sequences, kernel, recurrent_kernel, bias):
    units = recurrent_kernel.shape[0]
    output = cell = np.zeros((len(sequences), units))
    outputs = []
    for step in range(sequences.shape[1]):
        gates = sequences[:, step] @ kernel + output @ recurrent_kernel + bias
        input_gate, forget_gate, candidate, output_gate = np.split(gates, 4, axis=1)
        cell = expit(forget_gate) * cell + expit(input_gate) * np.tanh(candidate)
        output = expit(output_gate) * np.tanh(cell)
        outputs.append(output)
    return np.stack(outputs, axis=1)


def forward(windows, weights):
    """Probabilities, `A_t`, `h_t` and both attentions from the weights by their paths; adaptive kernel of 4 bands."""
    windows = (windows - weights["feature_scaling/mean"]) * weights["feature_scaling/scale"]
    bands = expit(windows.mean(axis=(2, 3)) * weights["band_attention/kernel"][0, 0, 0])
    n_windows, n_steps = windows.shape[:2]
    maps = (windows * bands[:, :, None, None, :]).reshape(n_windows * n_steps, *windows.shape[2:])
    for number in range(1, 5):
        maps = convolution(maps, weights[f"convolution_{number}/kernel"], weights[f"convolution_{number}/bias"])
    flat = largest_of_each_2x2(maps).reshape(n_windows * n_steps, -1)
    sequences = (flat @ weights["dense/kernel"] + weights["dense/bias"]).reshape(n_windows, n_steps, -1)
    for number in (1, 2):
        cell = f"recurrent_{number}/lstm_cell"
        sequences = lstm(*[sequences, *(weights[f"{cell}/{name}"] for name in ("kernel", "recurrent_kernel", "bias"))])
    own = {path.removeprefix("self_attention/"): value for path, value in weights.items()}
    hidden = sequences @ own["state_kernel"] + sequences @ own["alignment_kernel"] @ own["aligned_kernel"]
    scores = np.maximum(hidden + own["hidden_bias"], 0) @ own["score_kernel"] + own["score_bias"]
    steps = softmax((scores * sequences).sum(axis=-1), axis=1)
    attended = steps[..., None] * sequences
    probabilities = softmax(attended @ weights["classifier/kernel"] + weights["classifier/bias"], axis=-1)
    return {"probabilities": probabilities, "attention": attended, "lstm": sequences, "bands": bands, "steps": steps}


@pytest.mark.parametrize("distillation_features", ["attention", "lstm"])
@pytest.mark.parametrize("grid_shape", [(5, 4), (9, 9)])
def test_forward_pass_against_numpy(distillation_features, grid_shape):
    rng = np.random.default_rng(0)
    model = small_model(distillation_features=distillation_features, grid_shape=grid_shape)
    model.set_weights([weight + 0.1 * rng.standard_normal(weight.shape) for weight in model.get_weights()])
    windows = eeg(model, rng)
    weights = {
        weight.path: values.astype("float64") for weight, values in zip(model.weights, model.get_weights(), strict=True)
    }
    expected = forward(windows["eeg"], weights)
    outputs = arrays(model(windows))
    np.testing.assert_allclose(outputs["probabilities"], expected["probabilities"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(outputs["features"], expected[distillation_features], rtol=1e-3, atol=1e-5)
    attention = arrays({"bands": model.band_attention_weights(windows), "steps": model.step_attention_weights(windows)})
    np.testing.assert_allclose(attention["bands"], expected["bands"], rtol=1e-5)
    np.testing.assert_allclose(attention["steps"], expected["steps"], rtol=1e-4)
    predicted = model.attention_model().predict(windows, batch_size=2, verbose=0)
    np.testing.assert_allclose(predicted["bands"], attention["bands"], rtol=1e-5)
    np.testing.assert_allclose(predicted["steps"], attention["steps"], rtol=1e-5)


# Weights of the parts, by hand: kernel sizes x inputs x outputs + biases.
CONVOLUTIONS = (
    (5 * 5 * 4 * 64 + 64)  # 6,464
    + (4 * 4 * 64 * 128 + 128)  # 131,200
    + (3 * 3 * 128 * 256 + 256)  # 295,168
    + (1 * 1 * 256 * 128 + 128)  # 32,896
)
DENSE = 4 * 4 * 128 * 512 + 512  # a 9 x 9 map pools to 4 x 4: 1,049,088
LSTM = 4 * (512 + 128 + 1) * 128 + 4 * (128 + 128 + 1) * 128  # 328,192 + 131,584
PEEPHOLES = 2 * 3 * 128  # three gates of two layers
SELF_ATTENTION = 4 * 128 * 128 + 2 * 128  # 65,792
CLASSIFIER = 128 * 2 + 2
WITHOUT_BANDS = CONVOLUTIONS + DENSE + LSTM + SELF_ATTENTION + CLASSIFIER
SCALING = 2 * 9 * 9 * 4  # mean and scale of each cell and band
PARAMETER_COUNTS = [
    # arguments, trainable weights, others
    ({}, WITHOUT_BANDS + 1, SCALING),  # the adaptive band kernel is 1 long
    ({"band_attention_kernel_size": 4}, WITHOUT_BANDS + 4, SCALING),
    ({"band_attention": False}, WITHOUT_BANDS, SCALING),
    ({"self_attention": False}, WITHOUT_BANDS + 1 - SELF_ATTENTION, SCALING),
    ({"cell": "peephole"}, WITHOUT_BANDS + 1 + PEEPHOLES, SCALING),
    ({"scale_features": False}, WITHOUT_BANDS + 1, 0),
    # Raw EEG: the 64 samples of a half second at 128 Hz for its bands, in the first convolution and in the scaling.
    ({"band_attention": False, "n_bands": 64}, WITHOUT_BANDS + 5 * 5 * 60 * 64, 2 * 9 * 9 * 64),
    # Half the width: 32, 64, 128, 64 filters and 256 units; the recurrent layers keep 128.
    (
        {"width_multiplier": 0.5},
        (5 * 5 * 4 * 32 + 32)
        + (4 * 4 * 32 * 64 + 64)
        + (3 * 3 * 64 * 128 + 128)
        + (128 * 64 + 64)
        + (4 * 4 * 64 * 256 + 256)
        + 4 * (256 + 128 + 1) * 128
        + 4 * (128 + 128 + 1) * 128
        + SELF_ATTENTION
        + CLASSIFIER
        + 1,
        SCALING,
    ),
]


@pytest.mark.parametrize(("arguments", "trainable", "others"), PARAMETER_COUNTS)
def test_parameter_count(arguments, trainable, others):
    model = FACRNNEEGNetwork(**arguments)
    assert sum(np.prod(weight.shape, dtype=int) for weight in model.trainable_weights) == trainable
    assert sum(np.prod(weight.shape, dtype=int) for weight in model.non_trainable_weights) == others


def test_count_of_the_whole_network():
    assert WITHOUT_BANDS + 1 == 2_040_643


def test_window_probability_is_the_mean_over_steps():
    model = small_model(n_classes=3)
    rng = np.random.default_rng(1)
    outputs = model.predict(eeg(model, rng, 5), verbose=0)
    probabilities = keras.ops.convert_to_numpy(model.window_probabilities(outputs))
    np.testing.assert_allclose(probabilities, outputs["probabilities"].mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


def test_attention_that_is_not_there_is_an_error():
    model = small_model(band_attention=False, self_attention=False)
    windows = eeg(model, np.random.default_rng(2))
    with pytest.raises(ValueError, match="band_attention=False"):
        model.band_attention_weights(windows)
    with pytest.raises(ValueError, match="self_attention=False"):
        model.step_attention_weights(windows)
    with pytest.raises(ValueError, match="no attention"):
        model.attention_model()
    assert list(small_model(band_attention=False).attention_model().output) == ["steps"]


def test_a_window_of_one_step():
    model = small_model(n_steps=1)
    windows = eeg(model, np.random.default_rng(3))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model.step_attention_weights(windows)), 1)


def test_statistics_and_inference_travel_with_the_model(tmp_path):
    rng = np.random.default_rng(4)
    inference = {"channels": ("Fp1", "Cz"), "grid": {"Fp1": [0, 3]}, "window_seconds": 2.0, "label_rule": "> 5"}
    model = small_model(inference=inference)
    windows = eeg(model, rng)
    model.feature_scaling.set_statistics(rng.standard_normal((5, 4, 4)), rng.uniform(0.5, 2, (5, 4, 4)))
    model.save(tmp_path / "model.keras")
    inference["window_seconds"] = 1.0
    loaded = keras.models.load_model(tmp_path / "model.keras")
    # JSON has only lists; the model returns the same before and after saving.
    expected = {"channels": ["Fp1", "Cz"], "grid": {"Fp1": [0, 3]}, "window_seconds": 2.0, "label_rule": "> 5"}
    assert model.inference == loaded.inference == expected
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(loaded.feature_scaling.mean), keras.ops.convert_to_numpy(model.feature_scaling.mean)
    )
    np.testing.assert_array_equal(arrays(loaded(windows))["features"], arrays(model(windows))["features"])


def test_a_compiled_model_is_loaded_compiled(tmp_path):
    rng = np.random.default_rng(5)
    model = small_model()
    windows, targets = eeg(model, rng), targets_for(model, rng)
    model.compile("sgd", **distillation_losses(), **QUICK)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.evaluate(windows, targets, verbose=0), model.evaluate(windows, targets, verbose=0), rtol=1e-5
    )


def test_the_policy_of_the_model_scales_the_loss_of_float16():
    model = small_model(dtype="mixed_float16")
    model.compile("adam", **distillation_losses())
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)


# Loss and training


def targets_for(model, rng, n_windows=4):
    return {
        "probabilities": rng.integers(0, model.n_classes, (n_windows, model.n_steps)),
        "features": rng.standard_normal((n_windows, model.n_steps, model.units)).astype("float32"),
    }


def loss_by_loops(outputs, targets, rho, distillation_weight, step_reduction):
    """Eq. 21-22, window by window."""
    losses = []
    for probabilities, features, classes, teacher in zip(
        outputs["probabilities"], outputs["features"], targets["probabilities"], targets["features"], strict=True
    ):
        cross_entropy = sum(-np.log(step[label]) for step, label in zip(probabilities, classes, strict=True))
        if step_reduction == "mean":
            cross_entropy /= len(classes)
        distance = sum(abs(teacher[t, f] - features[t, f]) for t, f in np.ndindex(features.shape)) / features.size
        losses.append(rho * cross_entropy + (1 - rho) * distillation_weight * distance)
    return np.array(losses)


@pytest.mark.parametrize("step_reduction", ["sum", "mean"])
def test_loss_is_that_of_the_paper(step_reduction):
    rng = np.random.default_rng(6)
    model = small_model()
    windows, targets = eeg(model, rng), targets_for(model, rng)
    model.compile("sgd", **distillation_losses(0.7, 1.3, step_reduction), **EAGER)
    expected = loss_by_loops(arrays(model(windows)), targets, 0.7, 1.3, step_reduction)
    value = model.evaluate(windows, targets, verbose=0, return_dict=True)["loss"]
    np.testing.assert_allclose(value, expected.mean(), rtol=1e-5)
    weights = np.array([1.0, 0.0, 2.0, 1.0])
    value = model.evaluate(windows, targets, sample_weight=weights, verbose=0, return_dict=True)["loss"]
    np.testing.assert_allclose(value, np.average(expected, weights=weights), rtol=1e-5)


def test_without_teacher_the_loss_is_the_cross_entropy():
    rng = np.random.default_rng(7)
    model = small_model()
    windows, targets = eeg(model, rng), targets_for(model, rng)
    model.compile("sgd", **distillation_losses(teacher=False), **EAGER)
    expected = loss_by_loops(arrays(model(windows)), targets, 1.0, 0.0, "sum").mean()
    del targets["features"]
    value = model.evaluate(windows, targets, verbose=0)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    model.fit(windows, targets, verbose=0)


def test_without_teacher_there_can_be_metrics():
    rng = np.random.default_rng(8)
    model = small_model()
    windows, targets = eeg(model, rng), targets_for(model, rng)
    model.compile(
        "sgd", **distillation_losses(teacher=False), weighted_metrics={"probabilities": ["accuracy"]}, **EAGER
    )
    weights = np.array([1.0, 0.0, 1.0, 1.0])
    results = model.evaluate(windows, targets, sample_weight=weights, verbose=0, return_dict=True)
    right = arrays(model(windows))["probabilities"].argmax(axis=-1) == targets["probabilities"]
    np.testing.assert_allclose(results["probabilities_accuracy"], right[weights > 0].mean(), rtol=1e-6)


def test_padding_of_a_batch_does_not_change_the_step():
    rng = np.random.default_rng(9)
    # Three windows and one of padding, as many as there are steps.
    whole, padded = small_model(n_steps=4), small_model(n_steps=4)
    windows, targets = eeg(whole, rng, 3), targets_for(whole, rng, 3)
    padding = {"eeg": np.concatenate([windows["eeg"], 100 * windows["eeg"][:1]])}
    padded_targets = {name: np.concatenate([values, values[:1]]) for name, values in targets.items()}
    for model in (whole, padded):
        model.compile(keras.optimizers.SGD(0.5), **distillation_losses(), **EAGER)
    before = whole.get_weights()
    whole.fit(windows, targets, batch_size=4, verbose=0)
    padded.fit(padding, padded_targets, sample_weight=np.array([1.0, 1.0, 1.0, 0.0]), batch_size=4, verbose=0)
    for start, expected, values in zip(before, whole.get_weights(), padded.get_weights(), strict=True):
        np.testing.assert_allclose(values - start, expected - start, rtol=1e-3, atol=1e-6)
    assert any((start != end).any() for start, end in zip(before, whole.get_weights(), strict=True))


@pytest.mark.parametrize("cell", ["lstm", "peephole"])
def test_learns_a_planted_effect_and_from_its_teacher(cell):
    rng = np.random.default_rng(10)
    classes = rng.integers(0, 2, 64)
    # h_t, which can be near the teacher at every step; A_t cannot, since its probabilities sum to 1.
    model = small_model(cell=cell, distillation_features="lstm")
    windows = eeg(model, rng, 64)
    windows["eeg"][..., 3] += np.where(classes, 1.0, -1.0)[:, None, None, None]
    # A teacher with information on the class.
    teacher = np.where(classes, 0.3, -0.3)[:, None, None] * np.ones((64, model.n_steps, model.units), "float32")
    targets = {"probabilities": np.repeat(classes[:, None], model.n_steps, axis=1), "features": teacher}
    model.compile(keras.optimizers.Adam(0.01), **distillation_losses(distillation_weight=20.0), **QUICK)
    model.fit(windows, targets, batch_size=32, epochs=18, verbose=0)
    outputs = arrays(model(windows))
    probabilities = keras.ops.convert_to_numpy(model.window_probabilities(outputs))
    assert (probabilities.argmax(axis=1) == classes).mean() > 0.95
    # Uninformative features are 0.3 away from those of the teacher.
    distance = np.abs(outputs["features"] - teacher).mean()
    assert distance < 0.15


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"rho": 1.5}, "`rho`.*1.5"),
        ({"rho": -0.1}, "`rho`.*-0.1"),
        ({"distillation_weight": -1.0}, "`distillation_weight`.*-1.0"),
        ({"step_reduction": "max"}, "`step_reduction`.*'max'"),
    ],
)
def test_wrong_arguments_of_the_loss_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        distillation_losses(**arguments)


def test_frozen_it_has_nothing_to_train():
    model = FACRNNEEGNetwork(width_multiplier=0.05, units=8, trainable=False)
    assert model.trainable_weights == []
    assert model.weights
    assert FACRNNEEGNetwork(width_multiplier=0.05, units=8).trainable_weights
