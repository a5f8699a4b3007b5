import keras
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from scipy.special import softmax

from keras_emotion.models import FACRNNVisualNetwork, distillation_losses
from tests.training import QUICK

SMALL = {"n_steps": 5, "image_size": 24, "width_multiplier": 1 / 8, "units": 6}


def small_model(**changes):
    keras.utils.set_random_seed(0)
    return FACRNNVisualNetwork(**{**SMALL, **changes})


def faces(model, rng, n_windows=4):
    return {"faces": rng.integers(0, 256, (n_windows, *model.input["faces"].shape[1:]), dtype=np.uint8)}


def arrays(outputs):
    return {name: keras.ops.convert_to_numpy(values) for name, values in outputs.items()}


def randomize(model, rng):
    """Random weights, the moving statistics among them; variances stay above zero."""
    for weight in model.weights:
        values = 0.3 * rng.standard_normal(weight.shape)
        weight.assign(values**2 + 0.1 if "variance" in weight.path else values)


# The parts of the network, each reimplemented with NumPy.


def convolution(images, kernel, bias):
    size = len(kernel)
    padding = [(0, 0), (size // 2, size // 2), (size // 2, size // 2), (0, 0)]
    patches = sliding_window_view(np.pad(images, padding), (size, size), axis=(1, 2))
    return np.maximum(np.einsum("nhwcij,ijco->nhwo", patches, kernel) + bias, 0)


def largest_of_each_square(images, size):
    n, rows, columns, channels = images.shape
    rows, columns = rows // size, columns // size
    images = images[:, : rows * size, : columns * size]
    return images.reshape(n, rows, size, columns, size, channels).max(axis=(2, 4))


def dilated(sequences, kernel, rate, padding):
    """A convolution over the steps with a kernel of 3."""
    before, after = (2 * rate, 0) if padding == "causal" else (rate, rate)
    padded = np.pad(sequences, [(0, 0), (before, after), (0, 0)])
    n_steps = sequences.shape[1]
    return sum(padded[:, tap * rate : tap * rate + n_steps] @ kernel[tap] for tap in range(3))


def temporal_module(x, weights, name, padding, normalization):
    y = x
    for number, rate in enumerate((1, 2, 2), start=1):
        y = dilated(y, weights[f"{name}/convolution_{number}/kernel"], rate, padding)
        own = f"{name}/normalization_{number}"
        if normalization == "batch":
            mean, variance = weights[f"{own}/moving_mean"], weights[f"{own}/moving_variance"]
        else:
            y = y + weights[f"{name}/convolution_{number}/bias"]
            mean, variance = y.mean(axis=-1, keepdims=True), y.var(axis=-1, keepdims=True)
        y = np.maximum((y - mean) / np.sqrt(variance + 1e-3) * weights[f"{own}/gamma"] + weights[f"{own}/beta"], 0)
    return y + projection(x, weights, name)


def projection(x, weights, name):
    if f"{name}/projection/kernel" not in weights:
        return x
    return x @ weights[f"{name}/projection/kernel"][0] + weights[f"{name}/projection/bias"]


def forward(crops, weights, padding, normalization, share_modules):
    """Probabilities and features from the weights by their paths."""
    n_windows, n_steps = crops.shape[:2]
    images = crops.reshape(n_windows * n_steps, *crops.shape[2:]) / 255
    images = convolution(images, weights["convolution_1/kernel"], weights["convolution_1/bias"])
    images = largest_of_each_square(images, 4)
    images = convolution(images, weights["convolution_2/kernel"], weights["convolution_2/bias"])
    images = largest_of_each_square(images, 3)
    x = images.reshape(n_windows, n_steps, -1)
    x = projection(x, weights, "temporal_network")
    for number in (1, 2):
        name = "block" if share_modules else f"block_{number}"
        x = temporal_module(x, weights, f"temporal_network/{name}", padding, normalization)
    pooled = x.copy()
    for step in range(n_steps):
        other = step - 1 if padding == "causal" else step + 1
        if 0 <= other < n_steps:
            pooled[:, step] = np.maximum(x[:, step], x[:, other])
    scores = pooled @ weights["classifier/kernel"] + weights["classifier/bias"]
    return {"probabilities": softmax(scores, axis=-1), "features": pooled}


@pytest.mark.parametrize(
    ("n_steps", "image_size", "padding", "normalization", "share_modules"),
    [
        (5, 24, "causal", "batch", False),
        (5, 24, "same", "layer", True),
        (4, 48, "causal", "layer", False),
        (1, 24, "causal", "batch", True),
        (1, 24, "same", "batch", False),
        # Rows and columns that the poolings drop: 31 -> 7 -> 2.
        (2, 31, "same", "batch", True),
    ],
)
def test_forward_pass_against_numpy(n_steps, image_size, padding, normalization, share_modules):
    rng = np.random.default_rng(n_steps)
    arguments = {"padding": padding, "normalization": normalization, "share_modules": share_modules}
    model = small_model(n_steps=n_steps, image_size=image_size, **arguments)
    randomize(model, rng)
    crops = faces(model, rng)
    weights = {
        weight.path: values.astype("float64") for weight, values in zip(model.weights, model.get_weights(), strict=True)
    }
    expected = forward(crops["faces"], weights, **arguments)
    outputs = arrays(model(crops))
    np.testing.assert_allclose(outputs["features"], expected["features"], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(outputs["probabilities"], expected["probabilities"], rtol=1e-3, atol=1e-5)


# Weights of the parts, by hand.
CONVOLUTIONS = (5 * 5 * 3 * 32 + 32) + (5 * 5 * 32 * 32 + 32)  # 2,432 + 25,632
# 48 -> 12 -> 4: 4 * 4 * 32 = 512 features. Three kernels of 3, scale and offset of three normalisations, 1x1.
FIRST_MODULE = (3 * 512 * 128 + 2 * 3 * 128 * 128) + 3 * 2 * 128 + (512 * 128 + 128)  # 361,344
SECOND_MODULE = 3 * 3 * 128 * 128 + 3 * 2 * 128  # 148,224
MOVING = 2 * 3 * 128  # mean and variance of three normalisations
CLASSIFIER = 128 * 2 + 2
PARAMETER_COUNTS = [
    # arguments, trainable weights, others
    ({}, CONVOLUTIONS + FIRST_MODULE + SECOND_MODULE + CLASSIFIER, 2 * MOVING),
    ({"padding": "same", "dropout": 0.1}, CONVOLUTIONS + FIRST_MODULE + SECOND_MODULE + CLASSIFIER, 2 * MOVING),
    ({"share_modules": True}, CONVOLUTIONS + (512 * 128 + 128) + SECOND_MODULE + CLASSIFIER, MOVING),
    # Six convolutions get a bias, and no moving statistics are left.
    ({"normalization": "layer"}, CONVOLUTIONS + FIRST_MODULE + SECOND_MODULE + 6 * 128 + CLASSIFIER, 0),
    # 8 filters: 4 * 4 * 8 = 128 features, as wide as the temporal network: no 1x1 convolution anywhere.
    (
        {"width_multiplier": 0.25},
        (5 * 5 * 3 * 8 + 8) + (5 * 5 * 8 * 8 + 8) + 2 * SECOND_MODULE + CLASSIFIER,
        2 * MOVING,
    ),
    (
        {"width_multiplier": 0.25, "share_modules": True},
        (5 * 5 * 3 * 8 + 8) + (5 * 5 * 8 * 8 + 8) + SECOND_MODULE + CLASSIFIER,
        MOVING,
    ),
    # 96 -> 24 -> 8: four times the features, in the first convolution and in the 1x1.
    (
        {"image_size": 96, "n_classes": 7},
        CONVOLUTIONS + FIRST_MODULE + (3 + 1) * 3 * 512 * 128 + SECOND_MODULE + 7 * (128 + 1),
        2 * MOVING,
    ),
]


@pytest.mark.parametrize(("arguments", "trainable", "others"), PARAMETER_COUNTS)
def test_parameter_count(arguments, trainable, others):
    model = FACRNNVisualNetwork(**arguments)
    assert sum(np.prod(weight.shape, dtype=int) for weight in model.trainable_weights) == trainable
    assert sum(np.prod(weight.shape, dtype=int) for weight in model.non_trainable_weights) == others


def test_sizes_are_those_of_the_paper():
    model = FACRNNVisualNetwork()
    assert model.get_layer("flatten").output.shape == (None, 512)
    assert model.output["features"].shape == (None, 4, 128)
    assert model.output["probabilities"].shape == (None, 4, 2)
    assert model.get_layer("temporal_network").receptive_field == 21
    assert model.count_params() == CONVOLUTIONS + FIRST_MODULE + SECOND_MODULE + CLASSIFIER + 2 * MOVING == 539_426


@pytest.mark.parametrize(("padding", "share_modules"), [("causal", False), ("causal", True), ("same", False)])
def test_only_same_padding_sees_the_future(padding, share_modules):
    rng = np.random.default_rng(1)
    model = small_model(padding=padding, share_modules=share_modules)
    randomize(model, rng)
    crops = faces(model, rng, 1)
    before = arrays(model(crops))["features"]
    saw_the_future = False
    for step in range(model.n_steps):
        changed = {"faces": crops["faces"].copy()}
        changed["faces"][:, step] = 255 - changed["faces"][:, step]
        after = arrays(model(changed))["features"]
        assert (after[:, step] != before[:, step]).any()
        saw_the_future |= (after[:, :step] != before[:, :step]).any()
    assert saw_the_future == (padding == "same")


def test_window_probability_is_the_mean_over_steps():
    rng = np.random.default_rng(2)
    model = small_model(n_classes=3)
    outputs = model.predict(faces(model, rng), verbose=0)
    probabilities = keras.ops.convert_to_numpy(model.window_probabilities(outputs))
    np.testing.assert_allclose(probabilities, outputs["probabilities"].mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_integers_and_floats_are_the_same_faces(policy):
    rng = np.random.default_rng(3)
    model = small_model(dtype=policy)
    crops = faces(model, rng)
    floats = {"faces": crops["faces"].astype("float32")}
    np.testing.assert_array_equal(arrays(model(floats))["features"], arrays(model(crops))["features"])
    predicted = model.predict(crops, verbose=0)["features"]
    np.testing.assert_allclose(predicted, arrays(model(crops))["features"], rtol=1e-5, atol=1e-6)


def test_scaling_and_inference_travel_with_the_model(tmp_path):
    rng = np.random.default_rng(4)
    model = small_model(inference={"image_size": (48, 48), "frame_rate_hz": 2.0, "label_rule": "> 0"})
    randomize(model, rng)
    crops = faces(model, rng)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    # JSON has only lists; the model returns the same before and after saving.
    expected = {"image_size": [48, 48], "frame_rate_hz": 2.0, "label_rule": "> 0"}
    assert model.inference == loaded.inference == expected
    np.testing.assert_array_equal(arrays(loaded(crops))["features"], arrays(model(crops))["features"])
    # The values at the input of the first convolution, of the loaded model.
    scaled = keras.Model(loaded.input, loaded.get_layer("rescaling").output)(crops)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(scaled), crops["faces"] / 255, rtol=1e-6)


@pytest.mark.parametrize(
    ("normalization", "share_modules", "n_epochs"),
    # The moving averages of batch normalisation need more steps than the weights.
    [("batch", False, 16), ("layer", True, 8)],
)
def test_learns_a_planted_effect(normalization, share_modules, n_epochs):
    rng = np.random.default_rng(5)
    classes = rng.integers(0, 2, 64)
    model = small_model(normalization=normalization, share_modules=share_modules, units=12, n_steps=2, dropout=0.2)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.8  # with Keras's 0.99 some 240 steps
    crops = rng.integers(0, 206, (64, *model.input["faces"].shape[1:]), dtype=np.uint8)
    # Class 1 is brighter in the lower half of the face.
    crops[classes == 1, :, 12:] += 50
    targets = {"probabilities": np.repeat(classes[:, None], 2, axis=1)}
    model.compile(keras.optimizers.Adam(0.01), **distillation_losses(teacher=False), **QUICK)
    model.fit({"faces": crops}, targets, batch_size=16, epochs=n_epochs, verbose=0)
    outputs = model.predict({"faces": crops}, batch_size=64, verbose=0)
    probabilities = keras.ops.convert_to_numpy(model.window_probabilities(outputs))
    assert (probabilities.argmax(axis=1) == classes).mean() > 0.9


def test_with_layer_normalisation_what_fills_a_batch_changes_nothing():
    rng = np.random.default_rng(6)
    whole, filled = (small_model(normalization="layer", dropout=0.0) for _ in range(2))
    crops = faces(whole, rng, 3)
    targets = {"probabilities": rng.integers(0, 2, (3, whole.n_steps))}
    for model in (whole, filled):
        # Eagerly: tracing a step takes longer than running it.
        model.compile(keras.optimizers.SGD(0.1), **distillation_losses(teacher=False), run_eagerly=True)
    before = whole.get_weights()
    whole.fit(crops, targets, batch_size=4, verbose=0)
    filling = {"faces": np.concatenate([crops["faces"], crops["faces"][:1]])}
    targets = {"probabilities": np.concatenate([targets["probabilities"], targets["probabilities"][:1]])}
    filled.fit(filling, targets, sample_weight=np.array([1.0, 1.0, 1.0, 0.0]), batch_size=4, verbose=0)
    for start, expected, values in zip(before, whole.get_weights(), filled.get_weights(), strict=True):
        np.testing.assert_allclose(values - start, expected - start, rtol=1e-3, atol=1e-6)
    assert any((start != end).any() for start, end in zip(before, whole.get_weights(), strict=True))


@pytest.mark.parametrize("loaded", [False, True])
def test_frozen_it_is_a_teacher_that_training_does_not_change(loaded, tmp_path):
    rng = np.random.default_rng(7)
    teacher = small_model(trainable=False)
    if loaded:
        teacher.save(tmp_path / "teacher.keras")
        teacher = keras.models.load_model(tmp_path / "teacher.keras")
    before = teacher.get_weights()
    crops = faces(teacher, rng)
    expected = teacher.predict(crops, verbose=0)["features"]
    # If frozen, batch normalisation uses and keeps its moving statistics, in training too.
    outputs = keras.layers.GlobalAveragePooling1D()(teacher(teacher.input)["features"])
    student = keras.Model(teacher.input, keras.layers.Dense(1)(outputs))
    student.compile("sgd", "mse", run_eagerly=True)
    student.fit(crops, np.ones((4, 1)), verbose=0)
    for start, end in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(end, start)
    np.testing.assert_array_equal(teacher.predict(crops, verbose=0)["features"], expected)
