"""Saved models in formats that do without Keras, each checked by running it."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import math
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_emotion.files import TEMPORARY_PREFIX, remove_leftovers
from keras_emotion.inference.schema import read_block
from keras_emotion.keras_settings import check_keras_can_start, own_keras_settings
from keras_emotion.native_log import without_start_up_log
from keras_emotion.pipelines import find_part
from keras_emotion.schema import InputError
from keras_emotion.systems.registry import installed_papers

if TYPE_CHECKING:
    import keras

Inputs = dict[str, np.ndarray]

TOLERANCE = 1e-4
"""Largest difference between an output of an exported model and that of the Keras model."""


@dataclasses.dataclass(frozen=True)
class ExportedModel:
    """An exported model and how it compared with the Keras model.

    Args:
        path: the file, for `saved_model` a folder; `None` where it was not kept.
        largest_differences: by name of the output; infinite where only one of the two is a number.
        n_windows: windows that were compared.
        n_undecided: windows that were left out: the network chooses frames, and a position lies so near to half-way
            between two of them that rounding errors decide (`is_decided` of the model).
    """

    path: Path | None
    largest_differences: dict[str, float]
    n_windows: int
    n_undecided: int = 0

    @property
    def largest_difference(self) -> float:
        """That of all outputs."""
        return max(self.largest_differences.values())


def load_saved_model(path: Path) -> keras.Model:
    """A model of ours, or of a paper of an installed package, as `--save-models` saves it.

    Raises:
        InputError: there is none, its weights are not all finite, or Keras cannot be imported.
    """
    check_keras_can_start()
    from keras_emotion.models.saved_networks import load_network

    # Their classes are known to Keras from here on.
    installed_papers()

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a model (.keras), as a run with --save-models leaves them")
    try:
        model = load_network(path)
    except InputError as error:
        if unknown := re.search(r"Could not locate (?:class|function) '(\w+)'", str(error)):
            raise InputError(
                f"{path}: has {unknown[1]}, which is of another package; give --register with the module that brings it"
            ) from error
        raise
    check_weights(model, path)
    return model


def check_weights(model: keras.Model, source: object) -> None:
    """Refuses a model with weights that are not finite: it may give probabilities all the same.

    Args:
        model: the model.
        source: its file, for the message.

    Raises:
        InputError: there are such; names the first.
    """
    import keras

    for variable in model.variables:
        if not keras.backend.is_float_dtype(variable.dtype):
            continue
        values = keras.ops.convert_to_numpy(keras.ops.isfinite(variable.value))
        if not values.all():
            n_bad = int((~values).sum())
            raise InputError(
                f"{source}: {variable.path}: {n_bad} of {values.size} weights are no finite numbers; the training "
                "diverged, or the file is damaged: train it again, or copy it again"
            )


def random_windows(model: keras.Model, n_windows: int = 16, seed: int = 0) -> Inputs:
    """Random inputs of a model, in the place of real ones: normally distributed, pixels uniformly over their range."""
    import keras

    generator = np.random.default_rng(seed)
    rescalings = [layer for layer in model.layers if isinstance(layer, keras.layers.Rescaling)]
    brightest = {one.input.name: 1 / one.scale for one in rescalings}
    found = {}
    for tensor in keras.tree.flatten(model.input):
        shape = (n_windows, *tensor.shape[1:])
        if tensor.name in brightest:
            values = generator.uniform(0, brightest[tensor.name], shape)
        else:
            values = generator.standard_normal(shape)
        found[tensor.name] = values.astype(tensor.dtype)
    return found


def as_exported(model: keras.Model) -> keras.Model:
    """The network that is exported of a model: what its `exported_model()` builds, where it has one, else itself.

    Of a model that was trained in mixed precision it is the same network in float32, with the same weights: ONNX and
    LiteRT have no bfloat16 for most operations.
    """
    model = _in_float32(model)
    return model.exported_model() if hasattr(model, "exported_model") else model


def _in_float32(model: keras.Model) -> keras.Model:
    """The model, made anew in float32 where its layers compute in another precision."""
    import keras

    if all(layer.compute_dtype == layer.variable_dtype for layer in (model, *model._flatten_layers())):
        return model
    with own_keras_settings():
        same = keras.saving.deserialize_keras_object(_without_mixed(keras.saving.serialize_keras_object(model)))
        # Seeds of dropout are among the variables, and not among the weights.
        same.set_weights(model.get_weights())
    return same


def _without_mixed(config: Any) -> Any:
    """A configuration of layers with float32 in place of mixed precision."""
    if isinstance(config, dict):
        return {name: _without_mixed(value) for name, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(map(_without_mixed, config))
    return "float32" if config in ("mixed_bfloat16", "mixed_float16") else config


def describe_model(model: keras.Model) -> dict[str, Any]:
    """Describe what a model is given and what it gives, for those who run it without this package.

    Args:
        model: a functional model whose inputs have names.

    Returns:
        JSON-able: `model`, its class; `inputs` by name, with shape (`None`: any number of windows) and dtype, and where
        the model carries a block (`keras_emotion.inference.schema`) the array, the feature part that it is of (kind,
        fields, and the first sentence of its documentation) and what is done with it; `outputs` by name; and what the
        block says of channels and classes. Of a block that cannot be used, `problem` says why.
    """
    import keras

    exported = as_exported(model)
    outputs = exported.output if isinstance(exported.output, Mapping) else {"output": exported.output}
    found: dict[str, Any] = {
        "model": type(model).__name__,
        "inputs": {
            tensor.name: {"shape": list(tensor.shape), "dtype": str(tensor.dtype)}
            for tensor in keras.tree.flatten(exported.input)
        },
        "outputs": {
            name: {"shape": list(tensor.shape), "dtype": str(tensor.dtype)} for name, tensor in outputs.items()
        },
    }
    if not getattr(model, "inference", None):
        return found
    try:
        block = read_block(model, model.name).block
    except InputError as error:
        # Such as a network of `FaceAffect`, which has no classes: it can be exported, and not be applied by `predict`.
        return {**found, "problem": str(error)}
    for name, one in block.inputs.items():
        part = block.parts[one.part]
        summary = " ".join((find_part(part.kind).__doc__ or "").split("\n\n")[0].split())
        found["inputs"][name] |= {
            "array": one.array,
            "transform": one.transform,
            "part": {"kind": part.kind, "summary": summary, "fields": part.fields},
        }
    names = ("target", "class_names", "dataset", "synthetic", "channel_names", "units", "sampling_rate_hz")
    return {**found, **{name: getattr(block, name) for name in names}}


def export_model(
    model: keras.Model, file_format: str, path: Path, windows: Inputs | None = None, tolerance: float = TOLERANCE
) -> ExportedModel:
    """Exports a model, runs what was written beside the Keras model, and keeps it where they agree.

    | format | written by | run by |
    |---|---|---|
    | `saved_model` | Keras | TensorFlow |
    | `onnx` | Keras and tf2onnx | onnxruntime |
    | `litert` | Keras | ai-edge-litert |

    The batch axis stays open. For LiteRT the recurrent layers are unrolled and volumes are pooled plane by plane: its
    built-in operations have no loop over lists of tensors, and no pooling in three dimensions. For ONNX the exact GELU
    is written by the error function. A model with `exported_model()` says itself what is exported, such as
    `VideoEEGHierarchicalLSTM`: greedy and unrolled, with the positions that it looks at among the outputs. Of a model
    with `is_decided`, windows whose positions rounding errors may change are not compared. A model of mixed precision
    is exported in float32, and compared with itself in float32.

    Args:
        model: a functional model whose inputs have names.
        file_format: one of `FORMATS`.
        path: where it goes; must not exist.
        windows: inputs by name, `(windows, ...)`; by default `random_windows`.
        tolerance: largest difference of an output at which the file is kept.

    Returns:
        The comparison; its `path` is `None` where the outputs differ by more than `tolerance`, and nothing is kept.

    Raises:
        InputError: an unknown format, a package that is not installed, a path that exists, a model that cannot be
            converted to the format or not be run in it, or no window that can be compared.

    Example:
        >>> from keras_emotion.models import DGCNN
        >>> exported = export_model(DGCNN(n_channels=4), "saved_model", Path("dgcnn"))  # doctest: +SKIP
        >>> exported.largest_difference < 1e-6  # doctest: +SKIP
        True
    """
    import keras

    if file_format not in FORMATS:
        raise InputError(f"--format {file_format}: expected one of {', '.join(FORMATS)}")
    form, path = FORMATS[file_format], Path(path)
    missing = [package for package, module in form.packages.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise InputError(f"--format {file_format} needs {', '.join(missing)}: pip install 'keras_emotion[export]'")
    if keras.backend.backend() != "tensorflow":
        raise InputError("models are exported on the TensorFlow backend: set KERAS_BACKEND=tensorflow")
    if path.exists():
        raise InputError(f"{path}: exists already; remove it or give another --output")
    with own_keras_settings():
        exported = as_exported(model)
        windows = random_windows(exported) if windows is None else windows
        # Keras casts what it is given, such as faces of 8 bits; other formats do not.
        windows = {name: np.asarray(windows[name], dtype) for name, dtype in _input_dtypes(exported).items()}
        outputs = exported.predict(windows, verbose=0)
    n_windows = len(next(iter(windows.values())))
    is_decided = model.is_decided(outputs) if hasattr(model, "is_decided") else np.ones(n_windows, bool)
    if not is_decided.any():
        raise InputError(
            f"{model.name}: in each of {n_windows} windows a position is half-way between two frames, so that nothing "
            "can be compared; give others (--check-on), or train the policy, which starts with such positions"
        )
    expected = _by_name(outputs)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        # Beside its place, so that what arrives there is whole.
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=TEMPORARY_PREFIX) as folder:
            written = Path(folder) / f"model{form.ending}"
            found = _written_and_run(exported, form, written, windows, where=f"{model.name}, --format {file_format}")
            differences = {
                name: _largest_difference(found.get(name), array, is_decided) for name, array in expected.items()
            }
            is_kept = all(difference <= tolerance for difference in differences.values())
            if is_kept:
                shutil.move(written, path)
    except OSError as error:
        raise InputError(f"{error.filename or path}: cannot be written ({error.strerror})") from None
    n_compared = int(is_decided.sum())
    return ExportedModel(path if is_kept else None, differences, n_compared, n_windows - n_compared)


def _input_dtypes(model: keras.Model) -> dict[str, str]:
    import keras

    return {tensor.name: tensor.dtype for tensor in keras.tree.flatten(model.input)}


def _written_and_run(model: keras.Model, form: _Format, path: Path, windows: Inputs, where: str) -> dict[str, Any]:
    try:
        # Of the converters, which are behind NumPy and TensorFlow.
        with own_keras_settings(), warnings.catch_warnings(), _built_in(model, form.lacks):
            warnings.simplefilter("ignore")
            model.export(str(path), format=form.keras_name, verbose=False)
            return form.run(path, windows)
    except OSError:
        raise
    # What converters and interpreters raise is anything.
    except Exception as error:
        raise InputError(f"{where}: cannot be converted or not be run ({_first_line(error)})") from error


@contextmanager
def _built_in(model: keras.Model, lacks: frozenset[str]) -> Iterator[None]:
    """The layers of a model made of operations that a format has built in, for as long as it is exported.

    Args:
        model: the model.
        lacks: what the format lacks: `"loops"` (and pooling of volumes), `"erfc"` (and tensors that a layer keeps).
    """
    import keras

    layers = model._flatten_layers() if lacks else []
    changes: list[tuple[keras.layers.Layer, str, Any]] = []
    for layer in layers:
        if "loops" in lacks and isinstance(layer, keras.layers.RNN):
            changes.append((layer, "unroll", True))
        if "loops" in lacks and isinstance(layer, keras.layers.MaxPooling3D):
            changes.append((layer, "call", functools.partial(_pooled_plane_by_plane, layer)))
        if "erfc" in lacks:
            if getattr(layer, "activation", None) is keras.activations.gelu:
                changes.append((layer, "activation", _gelu_by_erf))
            # tf2onnx takes what is neither a variable nor a constant for an input.
            tensors = {name: value for name, value in vars(layer).items() if keras.ops.is_tensor(value)}
            changes += [(layer, name, keras.ops.convert_to_numpy(value)) for name, value in tensors.items()]
    before = [(layer, name, vars(layer).get(name, _INHERITED)) for layer, name, _ in changes]
    try:
        for layer, name, value in changes:
            setattr(layer, name, value)
        yield
    finally:
        for layer, name, value in before:
            if value is _INHERITED:
                delattr(layer, name)
            else:
                setattr(layer, name, value)


_INHERITED = object()


def _gelu_by_erf(x: Any) -> Any:
    """The exact GELU, which TensorFlow computes by the complement of the error function."""
    from keras import ops

    return 0.5 * x * (1 + ops.erf(x / math.sqrt(2)))


def _pooled_plane_by_plane(layer: keras.layers.MaxPooling3D, volumes: Any) -> Any:
    """What the layer makes of `(batch, depth, rows, columns, channels)`, by two poolings of planes."""
    from keras import ops

    _, depth, *plane = volumes.shape
    planes = ops.reshape(volumes, (-1, *plane))
    planes = ops.max_pool(planes, layer.pool_size[1:], layer.strides[1:], layer.padding, "channels_last")
    _, rows, columns, channels = planes.shape
    lines = ops.reshape(planes, (-1, depth, rows * columns, channels))
    lines = ops.max_pool(lines, (layer.pool_size[0], 1), (layer.strides[0], 1), layer.padding, "channels_last")
    return ops.reshape(lines, (-1, lines.shape[1], rows, columns, channels))


def _run_saved_model(path: Path, windows: Inputs) -> dict[str, Any]:
    import tensorflow as tf

    # Kept until it has run: its variables go with it.
    loaded = tf.saved_model.load(str(path))
    signature = loaded.signatures["serving_default"]
    return _by_name(signature(**{name: tf.constant(array) for name, array in windows.items()}))


def _run_onnx(path: Path, windows: Inputs) -> dict[str, Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs = session.run(None, windows)
    return _by_name(dict(zip([output.name for output in session.get_outputs()], outputs, strict=True)))


def _run_litert(path: Path, windows: Inputs) -> dict[str, Any]:
    from ai_edge_litert.interpreter import Interpreter

    with without_start_up_log():
        runner = Interpreter(str(path)).get_signature_runner()
        return _by_name(runner(**windows))


@dataclasses.dataclass(frozen=True)
class _Format:
    keras_name: str
    ending: str
    packages: dict[str, str]
    run: Callable[[Path, Inputs], dict[str, Any]]
    lacks: frozenset[str] = frozenset()

    @property
    def ending_of_file(self) -> str:
        """What a file is named after; a folder has an ending too, so that it stands apart from others."""
        return self.ending or ".saved_model"


FORMATS: Mapping[str, _Format] = {
    "saved_model": _Format("tf_saved_model", "", {"tensorflow": "tensorflow"}, _run_saved_model),
    "onnx": _Format(
        "onnx",
        ".onnx",
        {"onnx": "onnx", "tf2onnx": "tf2onnx", "onnxruntime": "onnxruntime"},
        _run_onnx,
        lacks=frozenset({"erfc"}),
    ),
    "litert": _Format(
        "litert", ".tflite", {"ai-edge-litert": "ai_edge_litert"}, _run_litert, lacks=frozenset({"loops"})
    ),
}
"""The formats by name."""


def _by_name(outputs: Any) -> dict[str, np.ndarray]:
    """Outputs by name; a single one has the name `output`, for each format calls it otherwise."""
    if not isinstance(outputs, Mapping):
        outputs = {"output": outputs}
    if len(outputs) == 1:
        outputs = {"output": next(iter(outputs.values()))}
    return {name: np.asarray(array) for name, array in outputs.items()}


def _largest_difference(found: np.ndarray | None, expected: np.ndarray, rows: np.ndarray) -> float:
    if found is None or found.shape != expected.shape:
        return float("inf")
    difference = np.abs(found.astype(np.float64) - expected)[rows].max()
    return float(difference) if np.isfinite(difference) else float("inf")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]:.300}" if lines else type(error).__name__
