import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from scipy.special import expit

import keras_emotion
from keras_emotion.models import DeepVANet, FaceAffectNetwork
from keras_emotion.schema import InputError
from tests.training import QUICK

OTHER_BACKENDS = sorted({"tensorflow", "jax", "torch"} - {keras.backend.backend()})
SMALL = {"n_frames": 2, "image_size": 32, "n_samples": 32, "n_bio_channels": 5, "width_multiplier": 1 / 8}


def small_model(**changes):
    keras.utils.set_random_seed(0)
    return DeepVANet(**{**SMALL, **changes})


def small_inputs(rng, n_windows=4):
    faces = rng.uniform(0, 1, (n_windows, 2, 32, 32, 3)).astype("float32")
    return {"faces": faces, "bio": rng.standard_normal((n_windows, 32, 5)).astype("float32")}


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def n_parameters(weights):
    return sum(np.prod(weight.shape, dtype=int) for weight in weights)


# Sizes


FACE_PARTS = {
    # (names of layers, trainable weights as the released network has them)
    "face CNN": (("face_convolution_1", "face_convolution_2", "face_convolution_3"), 93_248),
    "ConvLSTM": (("face_convlstm",), 1_180_160),
    "face dense": (("face_features",), 73_744),
}
BIO_LAYERS = (
    *(f"bio_{kind}_{number}" for kind in ("convolution", "normalization") for number in (1, 2, 3)),
    "bio_features",
)
PARAMETER_COUNTS = [
    # (arguments, bio CNN with its dense layer, head, whole; all trainable)
    ({}, 67_984, 80 * 20 + 20 + 21, 1_416_777),
    ({"n_bio_channels": 38}, 67_744, 80 * 20 + 20 + 21, 1_416_537),
    ({"n_bio_channels": 32}, 67_024, 80 * 20 + 20 + 21, 1_415_817),
    ({"modalities": ("bio",)}, 67_984, 64 * 20 + 20 + 21, 67_984 + 1_321),
    ({"modalities": ("bio",), "n_bio_channels": 6}, 63_904, 64 * 20 + 20 + 21, 63_904 + 1_321),
    ({"modalities": ("faces",)}, 0, 16 * 20 + 20 + 21, 93_248 + 1_180_160 + 73_744 + 361),
    ({"modalities": ("faces",), "n_frames": 1}, 0, 16 * 20 + 20 + 21, 93_248 + 1_180_160 + 73_744 + 361),
]


@pytest.mark.parametrize(("arguments", "bio", "head", "whole"), PARAMETER_COUNTS)
def test_parameter_counts_of_every_part(arguments, bio, head, whole):
    model = DeepVANet(**arguments)
    parts = {"head": (("classifier_1", "classifier_2"), head)}
    if "faces" in model.modalities:
        parts |= FACE_PARTS
    if "bio" in model.modalities:
        parts["bio"] = (BIO_LAYERS, bio)
    for part, (names, expected) in parts.items():
        assert sum(n_parameters(model.get_layer(name).trainable_weights) for name in names) == expected, part
    assert n_parameters(model.trainable_weights) == whole
    # Mean and variance of 24, 16 and 8 filters.
    assert n_parameters(model.non_trainable_weights) == (2 * 48 if "bio" in model.modalities else 0)


def test_sizes_are_those_of_the_paper():
    model = DeepVANet()
    # 62 -> 30, 28 -> 13, 13 -> 6
    pooled = [model.get_layer(f"face_pooling_{number}").output.shape[1:] for number in (1, 2, 3)]
    assert pooled == [(30, 30, 32), (13, 13, 64), (6, 6, 128)]
    assert model.get_layer("face_convlstm").output.shape == (None, 6, 6, 128)
    assert [model.get_layer(f"bio_convolution_{number}").output.shape[1:] for number in (1, 2, 3)] == [
        *((124, 24), (122, 16), (120, 8)),
    ]
    for number in (1, 2, 3):
        normalization = model.get_layer(f"bio_normalization_{number}")
        assert (normalization.momentum, normalization.epsilon) == (0.9, 1e-5)
    cell = model.get_layer("face_convlstm").cell
    assert cell.recurrent_activation is keras.activations.sigmoid
    assert not array(cell.bias).any()
    assert model.output.shape == (None, 1)


def test_face_affect_network_has_the_parts_of_the_released_one():
    model = FaceAffectNetwork()
    # 6 x 6 x 128 = 4608 features.
    assert model.count_params() == 93_248 + (4608 * 1000 + 1000) + (1000 * 2 + 2)
    assert model.output.shape == (None, 2)


@pytest.mark.parametrize("rating_range", [(0, 1), (-10, 10)])
def test_the_released_head_ends_in_a_sigmoid(rating_range):
    linear, released = (
        FaceAffectNetwork(image_size=32, units=8, width_multiplier=1 / 8, rating_range=one)
        for one in (None, rating_range)
    )
    released.set_weights(linear.get_weights())
    # Large enough that a linear output leaves the range.
    faces = {"faces": 300 * np.random.default_rng(3).standard_normal((4, 32, 32, 3)).astype("float32")}
    low, high = rating_range
    values = array(linear(faces)).astype("float64")
    assert abs(values).max() > high
    np.testing.assert_allclose(array(released(faces)), low + (high - low) / (1 + np.exp(-values)), rtol=1e-5, atol=1e-5)


# The released layout: channels-first, and every part reimplemented with NumPy.


def released_state(rng, n_channels=40, n_samples=128, rows=6, face_units=16, bio_units=64):
    """A random state dict of the released names, without faces or bio-signals where the units are 0."""
    state = {}

    def layer(name, *shape):
        # Large enough that the gates and the ReLUs get both signs, and small enough not to saturate.
        scale = 1.5 / np.sqrt(np.prod(shape[1:]))
        state[f"{name}.weight"] = (scale * rng.standard_normal(shape)).astype("float32")
        state[f"{name}.bias"] = (0.3 * rng.standard_normal(shape[0])).astype("float32")

    if face_units:
        name = "face_feature_extractor"
        for place, n_inputs, n_filters in ((0, 3, 32), (3, 32, 64), (6, 64, 128)):
            layer(f"{name}.cnn.{place}", n_filters, n_inputs, 3, 3)
        layer(f"{name}.rnn.cell.conv", 512, 256, 3, 3)
        layer(f"{name}.fc", face_units, 128 * rows * rows)
    if bio_units:
        name = "bio_feature_extractor"
        for place, n_inputs, n_filters, size in ((0, n_channels, 24, 5), (3, 24, 16, 3), (6, 16, 8, 3)):
            layer(f"{name}.cnn.{place}", n_filters, n_inputs, size)
            normalization = f"{name}.cnn.{place + 1}"
            for kind, values in (
                ("weight", rng.uniform(0.5, 1.5, n_filters)),
                ("bias", 0.3 * rng.standard_normal(n_filters)),
                ("running_mean", 0.3 * rng.standard_normal(n_filters)),
                ("running_var", rng.uniform(0.5, 2, n_filters)),
            ):
                state[f"{normalization}.{kind}"] = values.astype("float32")
            state[f"{normalization}.num_batches_tracked"] = np.array(1234)
        layer(f"{name}.fc", bio_units, 8 * (n_samples - 8))
    layer("classifier.0", 20, face_units + bio_units)
    layer("classifier.3", 1, 20)
    return state


def released_inputs(rng, n_windows=2, n_frames=2, image_size=64, n_channels=40, n_samples=128):
    """Faces and signals, channels first."""
    faces = rng.uniform(0, 1, (n_windows, n_frames, 3, image_size, image_size)).astype("float32")
    return faces, rng.standard_normal((n_windows, n_channels, n_samples)).astype("float32")


def ours(faces, bio, modalities=("faces", "bio")):
    """The same inputs, channels last."""
    inputs = {"faces": faces.transpose(0, 1, 3, 4, 2), "bio": bio.transpose(0, 2, 1)}
    return {name: inputs[name] for name in modalities}


def convolved(maps, weight, bias, padding=0):
    """Correlation of (batch, in, places) maps with (out, in, places) weights."""
    n_axes = maps.ndim - 2
    maps = np.pad(maps, [(0, 0), (0, 0)] + n_axes * [(padding, padding)])
    patches = sliding_window_view(maps, weight.shape[2:], axis=tuple(range(2, maps.ndim)))
    result = np.tensordot(patches, weight, axes=([1, *range(2 + n_axes, 2 + 2 * n_axes)], [1, *range(2, 2 + n_axes)]))
    return np.moveaxis(result, -1, 1) + bias.reshape(-1, *n_axes * [1])


def pooled(maps):
    """The largest of 3 x 3, every second row and column."""
    return sliding_window_view(maps, (3, 3), axis=(2, 3))[:, :, ::2, ::2].max(axis=(-2, -1))


def released_forward(state, faces=None, bio=None):
    """Probabilities, and the features of each modality."""
    state = {name: values.astype("float64") for name, values in state.items()}

    def layer(name):
        return state[f"{name}.weight"], state[f"{name}.bias"]

    def dense(name, x):
        weight, bias = layer(name)
        return x @ weight.T + bias

    features = {}
    if faces is not None:
        name = "face_feature_extractor"
        n_windows, n_frames = faces.shape[:2]
        hidden = cell = None
        for frame in range(n_frames):
            maps = faces[:, frame].astype("float64")
            for place, padding in ((0, 0), (3, 0), (6, 1)):
                maps = pooled(np.maximum(convolved(maps, *layer(f"{name}.cnn.{place}"), padding), 0))
            if frame == 0:
                hidden = cell = np.zeros_like(maps)
            gates = convolved(np.concatenate([maps, hidden], axis=1), *layer(f"{name}.rnn.cell.conv"), 1)
            i, f, o, g = gates[:, :128], gates[:, 128:256], gates[:, 256:384], gates[:, 384:]
            cell = expit(f) * cell + expit(i) * np.tanh(g)
            hidden = expit(o) * np.tanh(cell)
        features["faces"] = dense(f"{name}.fc", hidden.reshape(n_windows, -1))
    if bio is not None:
        name = "bio_feature_extractor"
        x = bio.astype("float64")
        for place in (0, 3, 6):
            x = convolved(x, *layer(f"{name}.cnn.{place}"))
            mean, variance, scale, offset = (
                state[f"{name}.cnn.{place + 1}.{kind}"][:, None]
                for kind in ("running_mean", "running_var", "weight", "bias")
            )
            x = np.maximum((x - mean) / np.sqrt(variance + 1e-5) * scale + offset, 0)
        features["bio"] = dense(f"{name}.fc", x.reshape(len(x), -1))
    x = np.concatenate(list(features.values()), axis=1)
    return expit(dense("classifier.3", np.maximum(dense("classifier.0", x), 0))), features


LAYOUTS = [
    # (modalities, sizes of the state dict, image size, frames)
    (("faces", "bio"), {}, 64, 3),
    (("faces", "bio"), {"n_channels": 38, "face_units": 32, "bio_units": 16}, 64, 1),
    (("faces",), {"bio_units": 0}, 64, 2),
    (("bio",), {"face_units": 0, "n_channels": 32, "n_samples": 64}, 64, 1),
    # 2 x 2 places left of 32 x 32 faces.
    (("faces", "bio"), {"rows": 2, "n_channels": 1, "n_samples": 9}, 32, 2),
]


@pytest.mark.parametrize(("modalities", "sizes", "image_size", "n_frames"), LAYOUTS)
def test_released_weights_give_the_released_outputs(modalities, sizes, image_size, n_frames):
    rng = np.random.default_rng(0)
    state = released_state(rng, **sizes)
    before = {name: values.copy() for name, values in state.items()}
    faces, bio = released_inputs(rng, 2, n_frames, image_size, sizes.get("n_channels", 40), sizes.get("n_samples", 128))
    model = DeepVANet.load_released_weights(state, n_frames=n_frames)
    assert model.modalities == modalities
    assert "faces" not in modalities or model.image_size == image_size
    channels_first = {name: x for name, x in (("faces", faces), ("bio", bio)) if name in modalities}
    expected, features = released_forward(state, **channels_first)
    # A meaningful case: neither window is decided, and they differ.
    assert ((expected > 0.005) & (expected < 0.995)).all()
    assert abs(np.diff(expected[:, 0]))[0] > 1e-3
    inputs = ours(faces, bio, modalities)
    np.testing.assert_allclose(array(model(inputs)), expected, rtol=0, atol=1e-5)
    found = model.feature_model()(inputs)
    if len(features) == 2:
        features["fused"] = np.concatenate([features["faces"], features["bio"]], axis=1)
    assert set(found) == set(features)
    for name, values in features.items():
        np.testing.assert_allclose(array(found[name]), values, rtol=1e-5, atol=1e-5)
    for name, values in before.items():
        np.testing.assert_array_equal(state[name], values)


@pytest.mark.parametrize("backend", OTHER_BACKENDS)
def test_released_weights_give_the_released_outputs_on_other_backends(backend, tmp_path):
    pytest.importorskip(backend)
    rng = np.random.default_rng(1)
    state = released_state(rng)
    faces, bio = released_inputs(rng)
    np.savez(tmp_path / "weights.npz", **state)
    np.savez(tmp_path / "inputs.npz", **ours(faces, bio))
    lines = (
        "import gc; gc.disable()",  # a sixth of the time
        "from keras_emotion.native_log import quiet_start_up; quiet_start_up()",
        "import keras, numpy as np",
        "from keras_emotion.models import DeepVANet",
        f"assert keras.backend.backend() == {backend!r}",
        "model = DeepVANet.load_released_weights('weights.npz', n_frames=2)",
        # As one program: JAX would compile each operation.
        "np.save('outputs.npy', model.predict_on_batch(dict(np.load('inputs.npz'))))",
    )
    search_path = os.pathsep.join([str(Path(keras_emotion.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    process = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        cwd=tmp_path,
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "PYTHONPATH": search_path,
            # JAX optimises the program longer than it runs.
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        },
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    expected, _ = released_forward(state, faces, bio)
    np.testing.assert_allclose(np.load(tmp_path / "outputs.npy"), expected, rtol=0, atol=1e-5)


# PyTorch itself, if installed


@pytest.fixture
def torch_network():
    """Create a PyTorch network with random weights and statistics."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from torch_deepvanet import ReleasedDeepVANet

    def make(**sizes):
        network = ReleasedDeepVANet(**sizes)
        state = released_state(np.random.default_rng(2), **sizes)
        network.load_state_dict({name: torch.tensor(values) for name, values in state.items()}, strict=True)
        return network.eval()

    return make


@pytest.mark.parametrize(("modalities", "sizes", "image_size", "n_frames"), LAYOUTS)
@pytest.mark.parametrize("suffix", [".pth", ".pt", "mapping"])
def test_outputs_are_those_of_pytorch(modalities, sizes, image_size, n_frames, suffix, torch_network, tmp_path):
    import torch

    network = torch_network(**sizes)
    source = network.state_dict()
    if suffix != "mapping":
        source = tmp_path / f"weights{suffix}"
        torch.save(network.state_dict(), source)
    model = DeepVANet.load_released_weights(source, n_frames=n_frames)
    faces, bio = released_inputs(
        np.random.default_rng(3), 2, n_frames, image_size, sizes.get("n_channels", 40), sizes.get("n_samples", 128)
    )
    tensors = {name: torch.tensor(x) for name, x in (("faces", faces), ("bio", bio)) if name in modalities}
    with torch.no_grad():
        expected = network(**tensors).numpy()
    np.testing.assert_allclose(array(model(ours(faces, bio, modalities))), expected, rtol=0, atol=1e-5)


def test_files_of_pytorch_that_hold_more_than_arrays(torch_network, tmp_path):
    import torch

    network = torch_network(face_units=0)
    torch.save(network, tmp_path / "whole.pth")
    with pytest.raises(InputError, match=r"whole\.pth: .*expected a state dict"):
        DeepVANet.load_released_weights(tmp_path / "whole.pth")
    with pytest.raises(InputError, match=r"ReleasedDeepVANet; expected a state dict.*network\.state_dict\(\)"):
        DeepVANet.load_released_weights(network)

    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({**network.state_dict(), "epoch": Hostile()}, tmp_path / "hostile.pth")
    with pytest.raises(InputError, match=r"hostile\.pth: contains more than arrays"):
        DeepVANet.load_released_weights(tmp_path / "hostile.pth")
    assert not (tmp_path / "ran").exists()
    torch.save([1.0], tmp_path / "list.pth")
    with pytest.raises(InputError, match=r"list\.pth: list; expected a state dict"):
        DeepVANet.load_released_weights(tmp_path / "list.pth")
    torch.save({"epoch": 3, "state_dict": torch.nn.DataParallel(network).state_dict()}, tmp_path / "nested.pt")
    assert DeepVANet.load_released_weights(tmp_path / "nested.pt").modalities == ("bio",)
    halves = {name: tensor.to(torch.bfloat16) for name, tensor in network.state_dict().items()}
    expected = halves["classifier.0.bias"].float().numpy()
    loaded = DeepVANet.load_released_weights(halves).get_layer("classifier_1").bias
    np.testing.assert_array_equal(array(loaded), expected)
    content = (tmp_path / "nested.pt").read_bytes()
    (tmp_path / "half.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"half\.pth: .*damaged"):
        DeepVANet.load_released_weights(tmp_path / "half.pth")


def test_a_file_of_pytorch_needs_pytorch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "weights.pth").touch()
    with pytest.raises(InputError, match=r"weights\.pth: .*pip install 'keras_emotion\[torch\]'.*npz"):
        DeepVANet.load_released_weights(tmp_path / "weights.pth")


# Layouts of other checkpoints


@pytest.fixture(scope="module")
def bio_state():
    """A small state dict: bio-signals of 4 channels and 16 samples."""
    return released_state(np.random.default_rng(4), n_channels=4, n_samples=16, face_units=0, bio_units=3)


@pytest.fixture(scope="module")
def face_state():
    """A state dict of faces of 24 x 24 pixels."""
    return released_state(np.random.default_rng(5), rows=1, face_units=2, bio_units=0)


def weights_of(model):
    return [array(weight) for weight in model.weights]


@pytest.mark.parametrize(
    "packed",
    [
        lambda state: {"state_dict": state, "epoch": 7, "optimizer": {"lr": 0.001}},
        lambda state: {"model": state, "best_accuracy": 0.5},
        lambda state: {f"module.{name}": values for name, values in state.items()},
        lambda state: {"state_dict": {f"_orig_mod.module.{name}": values for name, values in state.items()}},
        lambda state: {name: values for name, values in state.items() if not name.endswith("num_batches_tracked")},
        lambda state: {name: values.astype("float64") for name, values in state.items()},
        lambda state: {name: values.astype(float).tolist() for name, values in state.items()},
        lambda state: dict(reversed(state.items())),
    ],
    ids=["state_dict", "model", "module.", "compiled", "untracked", "float64", "lists", "reversed"],
)
def test_other_wrappings_are_the_same_weights(packed, bio_state):
    expected = weights_of(DeepVANet.load_released_weights(bio_state))
    for ours_, values in zip(weights_of(DeepVANet.load_released_weights(packed(bio_state))), expected, strict=True):
        np.testing.assert_array_equal(ours_, values)


def test_half_precision_becomes_float32(bio_state):
    halves = {name: values.astype("float16") for name, values in bio_state.items()}
    model = DeepVANet.load_released_weights(halves)
    kernel = model.get_layer("classifier_1").kernel
    assert keras.backend.standardize_dtype(kernel.dtype) == "float32"
    np.testing.assert_array_equal(array(kernel), halves["classifier.0.weight"].T)


def changed(state, **arrays):
    """With other arrays; dots of their names are written as two underscores."""
    return {**state, **{name.replace("__", "."): values for name, values in arrays.items()}}


def without(state, *names):
    return {name: values for name, values in state.items() if name not in names}


def with_bad_value(state, name, value):
    values = state[name].astype("float64")
    values.flat[1] = value
    return {**state, name: values}


BROKEN = {
    "one name missing": (lambda s: without(s, "classifier.3.bias"), r"`classifier\.3\.bias` is missing"),
    "statistics missing": (
        lambda s: without(s, "bio_feature_extractor.cnn.4.running_var"),
        r"`bio_feature_extractor\.cnn\.4\.running_var` is missing",
    ),
    "many names missing": (
        lambda s: {name: x for name, x in s.items() if ".cnn." not in name},
        r"`bio_feature_extractor\.cnn\.1\.weight`, .* and 14 more are missing",
    ),
    "one name too many": (lambda s: changed(s, head__weight=np.ones(3)), r"`head\.weight` is not DeepVANet's"),
    "some names with a prefix": (
        lambda s: {**without(s, "classifier.0.bias"), "module.classifier.0.bias": s["classifier.0.bias"]},
        r"`classifier\.0\.bias` is missing",
    ),
    "another network": (lambda s: {"layer1.weight": np.ones((3, 3))}, r"no weights of .*found layer1\.weight"),
    "nothing": (lambda s: {}, r"no weights of .*found nothing"),
    "name that is no text": (lambda s: {**s, 3: np.ones(3)}, r"name 3 is not text"),
    "head of both modalities": (
        lambda s: changed(s, classifier__0__weight=np.ones((20, 80))),
        r"`classifier\.0\.weight` has shape \(20, 80\); expected \(20, 3\)",
    ),
    "bias of another size": (
        lambda s: changed(s, bio_feature_extractor__cnn__3__bias=np.ones(15)),
        r"`bio_feature_extractor\.cnn\.3\.bias` has shape \(15,\); expected \(16,\)",
    ),
    "kernel of another size": (
        lambda s: changed(s, bio_feature_extractor__cnn__0__weight=np.ones((24, 4, 7))),
        r"`bio_feature_extractor\.cnn\.0\.weight` has shape \(24, 4, 7\); expected \(24, 4, 5\)",
    ),
    "kernel with an axis less": (
        lambda s: changed(s, bio_feature_extractor__cnn__0__weight=np.ones((24, 4))),
        r"`bio_feature_extractor\.cnn\.0\.weight` has shape \(24, 4\); expected 3 axes",
    ),
    "dense layer that no number of samples gives": (
        lambda s: changed(s, bio_feature_extractor__fc__weight=np.ones((3, 63))),
        r"`bio_feature_extractor\.fc\.weight` has shape \(3, 63\); expected \(units, 8 x samples\)",
    ),
    "not a number": (
        lambda s: with_bad_value(s, "bio_feature_extractor.cnn.6.weight", np.nan),
        r"`bio_feature_extractor\.cnn\.6\.weight` has values that are not finite",
    ),
    "infinite": (
        lambda s: with_bad_value(s, "classifier.0.weight", -np.inf),
        r"`classifier\.0\.weight` has values that are not finite",
    ),
    "too large for float32": (
        lambda s: with_bad_value(s, "classifier.0.weight", 1e39),
        r"`classifier\.0\.weight` has values that are not finite",
    ),
    "variance below zero": (
        lambda s: with_bad_value(s, "bio_feature_extractor.cnn.1.running_var", -1e-3),
        r"`bio_feature_extractor\.cnn\.1\.running_var` has negative values",
    ),
    "integers": (
        lambda s: changed(s, classifier__0__bias=np.ones(20, "int8")),
        r"`classifier\.0\.bias` holds int8 values",
    ),
    "text": (lambda s: changed(s, classifier__0__bias="abc"), r"`classifier\.0\.bias` holds str"),
    "ragged lists": (
        lambda s: changed(s, classifier__0__bias=[[1.0], [1.0, 2.0]]),
        r"`classifier\.0\.bias` is not an array",
    ),
}


@pytest.mark.parametrize(("broken", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_weights_are_named(broken, message, bio_state):
    with pytest.raises(InputError, match=message) as caught:
        DeepVANet.load_released_weights(broken(bio_state))
    assert "\n" not in str(caught.value)


BROKEN_FACES = {
    "dense layer of no square": (
        lambda s: changed(s, face_feature_extractor__fc__weight=np.ones((2, 256))),
        r"`face_feature_extractor\.fc\.weight` has shape \(2, 256\); expected \(units, 128 x rows x rows\)",
    ),
    "gates of another width": (
        lambda s: changed(s, face_feature_extractor__rnn__cell__conv__bias=np.ones(511)),
        r"`face_feature_extractor\.rnn\.cell\.conv\.bias` has shape \(511,\); expected \(512,\)",
    ),
    "convolution of grey faces": (
        lambda s: changed(s, face_feature_extractor__cnn__0__weight=np.ones((32, 1, 3, 3))),
        r"`face_feature_extractor\.cnn\.0\.weight` has shape \(32, 1, 3, 3\); expected \(32, 3, 3, 3\)",
    ),
}


@pytest.mark.parametrize(("broken", "message"), BROKEN_FACES.values(), ids=BROKEN_FACES)
def test_broken_weights_of_faces_are_named(broken, message, face_state):
    with pytest.raises(InputError, match=message):
        DeepVANet.load_released_weights(broken(face_state))


def test_files_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "text.npz").write_text("weights")
    (tmp_path / "weights.ckpt").touch()
    np.savez(tmp_path / "pickle.npz", **{"classifier.0.bias": np.array([{"a": 1}], object)})
    np.savez(tmp_path / "whole.npz", **{"classifier.0.bias": np.arange(1000.0)})
    content = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(content[: len(content) // 2])
    for name, message in (
        ("missing.npz", r"missing\.npz: no such file"),
        (".", "no such file"),
        ("text.npz", r"text\.npz cannot be read"),
        ("half.npz", r"half\.npz cannot be read"),
        ("pickle.npz", r"pickle\.npz cannot be read; .*\(`classifier\.0\.bias`: Object arrays"),
        ("weights.ckpt", r"weights\.ckpt: a file of kind '\.ckpt'; expected \.pth, \.pt or \.npz"),
    ):
        for path in (tmp_path / name, str(tmp_path / name)):
            with pytest.raises(InputError, match=message):
                DeepVANet.load_released_weights(path)
    with pytest.raises(InputError, match="int; expected a state dict"):
        DeepVANet.load_released_weights(3)


def test_other_arguments_are_kept_and_contradictions_named(bio_state, face_state):
    model = DeepVANet.load_released_weights(
        face_state, n_frames=2, dropout=0.25, pixel_maximum=255, inference={"label_rule": "< 5"}, name="released"
    )
    assert (model.name, model.n_frames, model.dropout, model.pixel_maximum) == ("released", 2, 0.25, 255)
    assert model.inference == {"label_rule": "< 5"}
    # One place left: of 21 to 28 pixels, 24 unless it is said.
    assert model.image_size == 24
    for image_size in (21, 28):
        assert DeepVANet.load_released_weights(face_state, image_size=image_size).image_size == image_size
    for image_size in (20, 29):
        with pytest.raises(InputError, match=f"image_size from 21 to 28; received {image_size}"):
            DeepVANet.load_released_weights(face_state, image_size=image_size)
    assert DeepVANet.load_released_weights(bio_state, n_bio_channels=4, modalities=["bio"]).n_samples == 16
    with pytest.raises(InputError, match="n_bio_channels=4; received 40"):
        DeepVANet.load_released_weights(bio_state, n_bio_channels=40)
    with pytest.raises(InputError, match=r"modalities=\('bio',\); received \('faces', 'bio'\)"):
        DeepVANet.load_released_weights(bio_state, modalities=("faces", "bio"))


# The network


def test_columns_are_low_and_high():
    outputs = np.array([[0.25], [1.0]], "float32")
    np.testing.assert_array_equal(array(small_model().window_probabilities(outputs)), [[0.75, 0.25], [0.0, 1.0]])


def test_the_order_of_modalities_makes_no_difference():
    inputs = small_inputs(np.random.default_rng(6))
    first, second = (small_model(modalities=order) for order in (("faces", "bio"), ["bio", "faces"]))
    assert first.get_config()["modalities"] == second.get_config()["modalities"] == ["faces", "bio"]
    second.set_weights(first.get_weights())
    np.testing.assert_array_equal(array(second(inputs)), array(first(inputs)))


def test_pixels_are_divided_by_what_white_is():
    inputs = small_inputs(np.random.default_rng(7))
    bytes_ = (255 * inputs["faces"]).astype("uint8")
    first, second = small_model(), small_model(pixel_maximum=255)
    second.set_weights(first.get_weights())
    expected = array(first({**inputs, "faces": bytes_.astype("float32") / 255}))
    np.testing.assert_allclose(array(second({**inputs, "faces": bytes_})), expected, rtol=1e-5)
    np.testing.assert_allclose(second.predict({**inputs, "faces": bytes_}, verbose=0), expected, rtol=1e-5)


def test_weights_do_not_depend_on_the_number_of_frames():
    inputs = small_inputs(np.random.default_rng(8))
    model, longer = small_model(), small_model(n_frames=4)
    longer.set_weights(model.get_weights())
    expected = array(model(inputs))
    faces = inputs["faces"]
    first, last = (np.concatenate(order, axis=1) for order in ((0 * faces, faces), (faces, 0 * faces)))
    # Without biases, black faces leave a state of zeros unchanged; earlier input decays.
    np.testing.assert_allclose(array(longer({**inputs, "faces": first})), expected, rtol=1e-5)
    assert (array(longer({**inputs, "faces": last})) != expected).all()


def test_features_follow_the_modalities_and_the_weights():
    rng = np.random.default_rng(9)
    inputs = small_inputs(rng)
    model = small_model(face_units=3, bio_units=5)
    features = model.feature_model().predict(inputs, verbose=0)
    assert {name: values.shape for name, values in features.items()} == {
        **{"faces": (4, 3), "bio": (4, 5), "fused": (4, 8)}
    }
    np.testing.assert_array_equal(features["fused"], np.concatenate([features["faces"], features["bio"]], axis=1))
    # Applying the head to them gives the network's output.
    hidden = keras.ops.relu(features["fused"] @ model.get_layer("classifier_1").kernel)
    outputs = keras.ops.sigmoid(hidden @ model.get_layer("classifier_2").kernel)
    np.testing.assert_allclose(array(outputs), array(model(inputs)), rtol=1e-5)
    # The weights are shared, not copied.
    kernel = model.get_layer("bio_features").kernel
    kernel.assign(2 * kernel)
    np.testing.assert_allclose(array(model.feature_model()(inputs)["bio"]), 2 * features["bio"], rtol=1e-5)
    single = small_model(modalities=("bio",)).feature_model()({"bio": inputs["bio"]})
    assert set(single) == {"bio"}
    halves = small_model(dtype="mixed_bfloat16").feature_model()(inputs)
    assert {keras.backend.standardize_dtype(values.dtype) for values in halves.values()} == {"float32"}


def test_face_weights_are_taken_over():
    rng = np.random.default_rng(10)
    faces = rng.uniform(0, 1, (16, 32, 32, 3)).astype("float32")
    pretrained = FaceAffectNetwork(image_size=32, units=8, width_multiplier=1 / 8)
    pretrained.compile("adam", "mean_squared_error", **QUICK)
    pretrained.fit({"faces": faces}, rng.uniform(-1, 1, (16, 2)), verbose=0)
    model = small_model()
    before = {layer.name: layer.get_weights() for layer in model.layers}
    model.take_face_weights(pretrained)
    taken = {"face_convolution_1", "face_convolution_2", "face_convolution_3"}
    for layer in model.layers:
        expected = (pretrained.get_layer(layer.name) if layer.name in taken else None) or layer
        values = expected.get_weights() if layer.name in taken else before[layer.name]
        for start, end in zip(values, layer.get_weights(), strict=True):
            np.testing.assert_array_equal(end, start)
    assert (before["face_convolution_3"][1] != model.get_layer("face_convolution_3").get_weights()[1]).any()
    # The same maps of a face in both networks.
    maps, expected = (
        array(keras.Model(network.input, network.get_layer("face_pooling_3").output)(inputs))
        for network, inputs in (
            (small_model_of(model), {"faces": faces[:4].reshape(2, 2, 32, 32, 3)}),
            (pretrained, {"faces": faces[:4]}),
        )
    )
    np.testing.assert_allclose(maps, expected, rtol=1e-5, atol=1e-6)


def small_model_of(model):
    """The face network alone, with the convolutions of another network."""
    single = small_model(modalities=("faces",))
    single.take_face_weights(model)
    return single


def test_face_weights_that_do_not_fit_change_nothing():
    model = small_model()
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"face_convolution_1 of \(3, 3, 3, 8\).*needs \(3, 3, 3, 4\)"):
        model.take_face_weights(FaceAffectNetwork(image_size=32, units=8, width_multiplier=1 / 4))
    with pytest.raises(ValueError, match=r"`pretrained`.*no convolutions for faces"):
        model.take_face_weights(small_model(modalities=("bio",)))
    with pytest.raises(ValueError, match=r"this network.*no convolutions for faces"):
        small_model(modalities=("bio",)).take_face_weights(model)
    for start, end in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(end, start)


@pytest.mark.parametrize("modalities", [("faces",), ("bio",)])
def test_learns_a_planted_effect(modalities):
    rng = np.random.default_rng(11)
    high = rng.integers(0, 2, (64, 1))
    inputs = small_inputs(rng, 64)
    # The second of two faces is brighter, and one channel swings.
    inputs["faces"][:, 1] += 0.5 * high[:, :, None, None]
    inputs["bio"][:, :, 2] += 2 * high * np.sin(np.arange(32))
    inputs = {name: inputs[name] for name in modalities}
    model = small_model(modalities=modalities, width_multiplier=1 / 4)
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", **QUICK)
    model.fit(inputs, high, batch_size=16, epochs=30, verbose=0)
    probabilities = array(model.window_probabilities(model.predict(inputs, verbose=0)))
    assert (probabilities.argmax(axis=1) == high[:, 0]).mean() > 0.9
