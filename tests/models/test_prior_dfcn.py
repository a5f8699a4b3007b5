import keras
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from scipy.special import softmax

from keras_emotion.models import PriorDFCN
from tests.training import QUICK

SMALL = {
    "n_windows": 4,
    "n_channels": 5,
    "n_bands": 3,
    "n_face_channels": 2,
    "prior_units": 3,
    "widths": (2, 4),
    "pool_sizes": ((1, 2, 2), (2, 2, 1)),
}
# The rows of Table 2.
ABLATIONS = {
    "Ours": {},
    "w/o PKE": {"prior": None},
    "w/o NL block": {"non_local_after": None},
    "w/o STFENet": {"stfenet": False},
    "Baseline": {"prior": None, "stfenet": False},
}


def small_model(**changes):
    keras.utils.set_random_seed(0)
    return PriorDFCN(**{**SMALL, **changes})


def random_inputs(model, rng, n_trials=3):
    return {
        name: rng.standard_normal((n_trials, *tensor.shape[1:])).astype("float32")
        for name, tensor in model.input.items()
    }


def set_random_weights(model, rng):
    """Kernels whose outputs are about as large as their inputs, smaller ones of the classifier, and biases."""
    for weight in model.weights:
        if weight.path.endswith("_scaling/scale"):
            weight.assign(rng.uniform(0.5, 2, weight.shape))
            continue
        scale = 0.3 if weight.path.startswith("classifier") else 1
        weight.assign(scale * rng.standard_normal(weight.shape) / np.sqrt(np.prod(weight.shape[:-1])))


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def weights_by_path(model):
    paths = (weight.path for weight in model.weights)
    return dict(zip(paths, (values.astype("float64") for values in model.get_weights()), strict=True))


def n_trainable(model):
    return sum(np.prod(weight.shape, dtype=int) for weight in model.trainable_weights)


def layer_names(model):
    return {layer.name for layer in model.layers if layer.trainable_weights}


# The network, reimplemented with NumPy.


def convolution(maps, kernel, bias):
    padded = np.pad(maps, [(0, 0), (1, 1), (1, 1), (1, 1), (0, 0)])
    patches = sliding_window_view(padded, (3, 3, 3), axis=(1, 2, 3))
    return np.einsum("nthwcijk,ijkco->nthwo", patches, kernel) + bias


def pooled(maps, sizes):
    """Max pooling; incomplete pools are dropped."""
    n, *shape, channels = maps.shape
    counts = [length // size for length, size in zip(shape, sizes, strict=True)]
    maps = maps[:, : counts[0] * sizes[0], : counts[1] * sizes[1], : counts[2] * sizes[2]]
    split = [number for pair in zip(counts, sizes, strict=True) for number in pair]
    return maps.reshape(n, *split, channels).max(axis=(2, 4, 6))


def prior_of(inputs, weights, kind, transpose):
    w = {path.removeprefix("prior/"): values for path, values in weights.items()}
    eeg, face = (
        (inputs[name].astype("float64") - weights[f"{name}_scaling/mean"]) * weights[f"{name}_scaling/scale"]
        for name in ("eeg", "face")
    )
    face = face[..., None]
    if kind == "sum":
        face = np.moveaxis(np.tensordot(face, w["face_map"], axes=(2, 0)), -1, 2)
    scale = np.sqrt(w["eeg_query"].shape[1])
    first = np.einsum("btpu,btqu->btpq", eeg @ w["eeg_query"], face @ w["face_key"]) / scale
    second = np.einsum("btpu,btqu->btpq", face @ w["face_query"], eeg @ w["eeg_key"]) / scale
    if kind == "product":
        return np.log1p(np.exp(np.einsum("btpf,btfq->btpq", first, second)))
    return np.log1p(np.exp(first + (second.transpose(0, 1, 3, 2) if transpose else second)))


def forward(model, inputs):
    """Probabilities of a model, from its weights by their paths and its configuration."""
    weights, config = weights_by_path(model), model.get_config()
    x = inputs["connectivity"].astype("float64")
    if config["prior"]:
        x = x * prior_of(inputs, weights, config["prior"], config["transpose_prior"])
    if config["stfenet"]:
        x = x[..., None]
        n_blocks = len(config["widths"])
        non_local_after = {"last": n_blocks}.get(config["non_local_after"], config["non_local_after"])
        for number, sizes in enumerate(config["pool_sizes"], start=1):
            own = {path.removeprefix(f"block_{number}/"): values for path, values in weights.items()}
            hidden = np.maximum(convolution(x, own["convolution_1/kernel"], own["convolution_1/bias"]), 0)
            hidden = convolution(hidden, own["convolution_2/kernel"], own["convolution_2/bias"])
            around = x @ own["projection/kernel"][0, 0, 0] if x.shape[-1] != hidden.shape[-1] else x
            x = pooled(np.maximum(hidden + around, 0), sizes)
            if number == non_local_after:
                names = ("theta", "phi", "g", "output_projection")
                theta, phi, g, back = (weights[f"non_local/{name}/kernel"][0, 0, 0] for name in names)
                flat = x.reshape(len(x), -1, x.shape[-1])
                attention = softmax((flat @ theta) @ (flat @ phi).transpose(0, 2, 1), axis=-1)
                x = x + (attention @ (flat @ g) @ back).reshape(x.shape)
    return softmax(x.reshape(len(x), -1) @ weights["classifier/kernel"] + weights["classifier/bias"], axis=-1)


@pytest.mark.parametrize(
    "changes",
    [
        *ABLATIONS.values(),
        {"transpose_prior": True, "non_local_after": 1, "n_classes": 3},
        {"prior": "product", "non_local_after": None, "widths": (3, 3)},
        {"prior": "product", "stfenet": False, "n_bands": 1, "n_face_channels": 1},
        {"widths": [1], "pool_sizes": [[4, 5, 5]], "non_local_after": "last"},
    ],
    ids=str,
)
def test_forward_pass_against_numpy(changes):
    rng = np.random.default_rng(0)
    model = small_model(**changes)
    set_random_weights(model, rng)
    inputs = random_inputs(model, rng)
    expected = forward(model, inputs)
    # A meaningful case: no trial is decided, and they differ.
    assert ((expected > 1e-3) & (expected < 1 - 1e-3)).all()
    assert expected.std(axis=0).min() > 1e-3
    outputs = model(inputs)
    np.testing.assert_allclose(array(outputs), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(array(model.window_probabilities(outputs)), array(outputs))


# Sizes

# Weights of the parts, by hand: kernel sizes x inputs x outputs, and biases.
PRIOR_MAPS = 2 * 5 * 16 + 2 * 1 * 16  # queries and keys of five bands and of one facial value: 192
PRIOR = 29 * 32 + PRIOR_MAPS  # 1,120
BLOCK_1 = (27 * 1 * 16 + 16) + (27 * 16 * 16 + 16) + 1 * 16  # 7,392
BLOCK_2 = (27 * 16 * 32 + 32) + (27 * 32 * 32 + 32) + 16 * 32  # 42,048
BLOCK_3 = (27 * 32 * 64 + 64) + (27 * 64 * 64 + 64) + 32 * 64  # 168,064
NON_LOCAL = 3 * 64 * 32 + 32 * 64  # 8,192
HEAD = 5 * 4 * 4 * 64 * 2 + 2  # 10,242
WITHOUT_STFENET = 20 * 32 * 32 * 2 + 2  # 40,962
STFENET = BLOCK_1 + BLOCK_2 + BLOCK_3
PARAMETER_COUNTS = [
    ({}, PRIOR + STFENET + NON_LOCAL + HEAD),
    (ABLATIONS["w/o PKE"], STFENET + NON_LOCAL + HEAD),
    (ABLATIONS["w/o NL block"], PRIOR + STFENET + HEAD),
    (ABLATIONS["w/o STFENet"], PRIOR + WITHOUT_STFENET),
    (ABLATIONS["Baseline"], WITHOUT_STFENET),
    # A product needs no map of the face.
    ({"prior": "product"}, PRIOR_MAPS + STFENET + NON_LOCAL + HEAD),
    # Four of 16 x 8 behind the first block.
    ({"non_local_after": 1}, PRIOR + STFENET + 4 * 16 * 8 + HEAD),
    # MAHNOB-HCI has as many channels; 40 windows leave 10 x 4 x 4 positions.
    ({"n_windows": 40, "n_classes": 3}, PRIOR + STFENET + NON_LOCAL + 10 * 4 * 4 * 64 * 3 + 3),
]


@pytest.mark.parametrize(("arguments", "expected"), PARAMETER_COUNTS)
def test_parameter_counts(arguments, expected):
    model = PriorDFCN(**arguments)
    assert n_trainable(model) == expected
    assert sum(np.prod(weight.shape, dtype=int) for weight in model.trainable_weights) == expected


def test_count_of_the_whole_network():
    assert PARAMETER_COUNTS[0][1] == 237_058


def test_sizes_of_the_default_network():
    model = PriorDFCN()
    shapes = {name: tensor.shape[1:] for name, tensor in model.input.items()}
    assert shapes == {"connectivity": (20, 32, 32), "eeg": (20, 32, 5), "face": (20, 29)}
    maps = [model.get_layer(name).output.shape[1:] for name in ("pooling_1", "pooling_2", "pooling_3", "non_local")]
    assert maps == [(20, 16, 16, 16), (10, 8, 8, 32), (5, 4, 4, 64), (5, 4, 4, 64)]
    assert model.output.shape == (None, 2)


# Ablations


def test_each_ablation_has_the_layers_of_its_name():
    blocks = {"block_1", "block_2"}
    assert {line: layer_names(small_model(**changes)) for line, changes in ABLATIONS.items()} == {
        "Ours": {"prior", *blocks, "non_local", "classifier"},
        "w/o PKE": {*blocks, "non_local", "classifier"},
        "w/o NL block": {"prior", *blocks, "classifier"},
        "w/o STFENet": {"prior", "classifier"},
        "Baseline": {"classifier"},
    }
    assert set(small_model().input) == {"connectivity", "eeg", "face"}
    assert set(small_model(prior=None).input) == {"connectivity"}


def copied_weights(source, target):
    """Copy the weights of the source's layers to those of the same name in the target."""
    for layer in target.layers:
        if layer.weights:
            layer.set_weights(source.get_layer(layer.name).get_weights())
    return target


@pytest.mark.parametrize("stfenet", [True, False])
def test_the_prior_is_a_factor_of_the_connectivity_and_nothing_else(stfenet):
    rng = np.random.default_rng(1)
    model = small_model(stfenet=stfenet)
    set_random_weights(model, rng)
    without = copied_weights(model, small_model(stfenet=stfenet, prior=None))
    inputs = random_inputs(model, rng)
    outputs = array(model(inputs))
    prior = model.prior_model().predict(inputs, verbose=0)
    factored = without({"connectivity": inputs["connectivity"] * prior})
    np.testing.assert_allclose(array(factored), outputs, rtol=1e-4, atol=1e-6)
    assert abs(array(without({"connectivity": inputs["connectivity"]})) - outputs).max() > 1e-2
    for name in ("eeg", "face"):
        changed = array(model({**inputs, name: inputs[name][::-1].copy()}))
        assert abs(changed - outputs).max() > 1e-3, name


@pytest.mark.parametrize("non_local_after", [1, 2, "last"])
def test_the_non_local_block_starts_as_if_it_were_not_there(non_local_after):
    rng = np.random.default_rng(2)
    model = small_model(non_local_after=non_local_after)
    without = copied_weights(model, small_model(non_local_after=None))
    inputs = random_inputs(model, rng)
    np.testing.assert_array_equal(array(model(inputs)), array(without(inputs)))
    set_random_weights(model.get_layer("non_local"), rng)
    assert abs(array(model(inputs)) - array(without(inputs))).max() > 1e-3
    names = [layer.name for layer in model.layers]
    number = 2 if non_local_after == "last" else non_local_after
    assert names[names.index("non_local") - 1] == f"pooling_{number}"


# Prior


def test_prior_model_shares_the_weights():
    rng = np.random.default_rng(3)
    model = small_model(dtype="mixed_bfloat16")
    inputs = random_inputs(model, rng)
    prior_model = model.prior_model()
    prior = array(prior_model(inputs))
    assert prior.shape == (3, 4, 5, 5)
    assert prior.dtype == np.float32
    assert (prior > 0).all()
    model.get_layer("prior").set_weights([0 * values for values in model.get_layer("prior").get_weights()])
    # softplus(0), of bfloat16
    np.testing.assert_allclose(array(prior_model(inputs)), np.log(2), rtol=4e-3)


def test_prior_of_a_network_without_one_is_an_error():
    with pytest.raises(ValueError, match="no prior: prior=None"):
        small_model(prior=None).prior_model()


def test_data_without_faces_need_a_network_without_prior():
    with pytest.raises(ValueError, match=r"`n_face_channels`.*prior=None.*received n_face_channels=0"):
        PriorDFCN(n_face_channels=0)
    model = small_model()
    inputs = random_inputs(model, np.random.default_rng(4))
    del inputs["face"]
    for call in (model, lambda inputs: model.predict(inputs, verbose=0)):
        with pytest.raises(ValueError, match='"face"'):
            call(inputs)


# Training and files


def fitted(model, inputs, labels):
    """Loss in the first and in the last of the steps, and the accuracy at the end."""
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", **QUICK)
    losses = model.fit(inputs, labels, batch_size=len(labels), epochs=30, verbose=0).history["loss"]
    return losses[0], losses[-1], (array(model(inputs)).argmax(axis=1) == labels).mean()


def test_learns_a_planted_effect():
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 40)
    model = small_model()
    inputs = random_inputs(model, rng, 40)
    # Two channels that are correlated in trials of one class.
    inputs["connectivity"][:, :, 1, 3] += np.where(labels, 2.0, -2.0)[:, None]
    start, end, accuracy = fitted(model, inputs, labels)
    assert end < 0.5 * start
    assert accuracy > 0.95


def test_an_effect_in_the_face_reaches_the_network_by_the_prior_alone():
    rng = np.random.default_rng(6)
    labels = np.repeat([0, 1], 20)
    model = small_model(stfenet=False)
    inputs = random_inputs(model, rng, 40)
    # All trials have the same connectivity and EEG.
    inputs["connectivity"][:], inputs["eeg"][:] = inputs["connectivity"][0], inputs["eeg"][0]
    inputs["face"][..., 0] += np.where(labels, 2.0, -2.0)[:, None]
    assert fitted(model, inputs, labels)[2] > 0.95
    baseline = small_model(prior=None, stfenet=False)
    _, end, accuracy = fitted(baseline, {"connectivity": inputs["connectivity"]}, labels)
    assert accuracy == 0.5
    assert end > 0.99 * np.log(2)


def test_a_saved_network_is_the_same(tmp_path):
    rng = np.random.default_rng(7)
    inference = {"channels": ("Fp1", "Cz"), "window_seconds": 3.0, "label_rule": "> 5"}
    model = small_model(inference=inference, non_local_after=1, transpose_prior=True)
    set_random_weights(model, rng)
    inputs = random_inputs(model, rng)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.inference == {**inference, "channels": ["Fp1", "Cz"]}
    assert (loaded.pool_sizes, loaded.non_local_after) == (((1, 2, 2), (2, 2, 1)), 1)
    np.testing.assert_array_equal(array(loaded(inputs)), array(model(inputs)))
    np.testing.assert_array_equal(array(loaded.prior_model()(inputs)), array(model.prior_model()(inputs)))


def test_frozen_it_has_nothing_to_train():
    model = small_model(trainable=False)
    assert model.trainable_weights == []
    assert model.weights
