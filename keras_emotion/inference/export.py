"""Export saved models to formats that do not need Keras, and verify each by running it."""

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
    """An exported model and its comparison with the Keras model.

    Args:
        path: the file, for `saved_model` a folder; `None` if it was not kept.
        largest_differences: by name of the output; infinite if only one of the two is a number.
        n_windows: number of compared windows.
        n_undecided: number of excluded windows: the network selects frames, and a position is so close to the midpoint
            between two of them that rounding decides (`is_decided` of the model).
    """

    path: Path | None
    largest_differences: dict[str, float]
    n_windows: int
    n_undecided: int = 0

    @property
    def largest_difference(self) -> float:
        """Largest difference over all outputs."""
        return max(self.largest_differences.values())


def load_saved_model(path: Path) -> keras.Model:
    """Load a model of this package, or of an installed package, as saved by `--save-models`.

    Raises:
        InputError: there is no model, its weights are not all finite, or Keras cannot be imported.
    """
    check_keras_can_start()
    from keras_emotion.models.saved_networks import load_network

    # Registers their classes with Keras.
    installed_papers()

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a model (.keras) of a run with --save-models")
    try:
        model = load_network(path)
    except InputError as error:
        if unknown := re.search(r"Could not locate (?:class|function) '(\w+)'", str(error)):
            raise InputError(
                f"{path}: contains {unknown[1]}, which is of another package; give --register with the module that "
                "defines it"
            ) from error
        raise
    check_weights(model, path)
    return model


def check_weights(model: keras.Model, source: object) -> None:
    """Refuse a model with non-finite weights, which may still output probabilities.

    Args:
        model: the model.
        source: its file, for the message.

    Raises:
        InputError: there are such weights; the message names the first.
    """
    import keras

    for variable in model.variables:
        if not keras.backend.is_float_dtype(variable.dtype):
            continue
        values = keras.ops.convert_to_numpy(keras.ops.isfinite(variable.value))
        if not values.all():
            n_bad = int((~values).sum())
            raise InputError(
                f"{source}: {variable.path}: {n_bad} of {values.size} weights are not finite; the training "
                "diverged, or the file is damaged: train it again, or copy it again"
            )


def random_windows(model: keras.Model, n_windows: int = 16, seed: int = 0) -> Inputs:
    """Draw random inputs of a model: normally distributed, pixels uniformly over their range."""
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
    """Return the network to export: the result of the model's `exported_model()`, if it has one, else the model.

    A model that was trained in mixed precision is exported in float32, with the same weights: ONNX and LiteRT have no
    bfloat16 for most operations.
    """
    model = _in_float32(model)
    return model.exported_model() if hasattr(model, "exported_model") else model


def _in_float32(model: keras.Model) -> keras.Model:
    """Return the model rebuilt in float32, if its layers compute in another precision."""
    import keras

    if all(layer.compute_dtype == layer.variable_dtype for layer in (model, *model._flatten_layers())):
        return model
    with own_keras_settings():
        same = keras.saving.deserialize_keras_object(_without_mixed(keras.saving.serialize_keras_object(model)))
        # Seeds of dropout are variables, but not weights.
        same.set_weights(model.get_weights())
    return same


def _without_mixed(config: Any) -> Any:
    """Replace mixed precision by float32 in a configuration of layers."""
    if isinstance(config, dict):
        return {name: _without_mixed(value) for name, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(map(_without_mixed, config))
    return "float32" if config in ("mixed_bfloat16", "mixed_float16") else config


def describe_model(model: keras.Model) -> dict[str, Any]:
    """Describe the inputs and outputs of a model, for users without this package.

    Args:
        model: a functional model whose inputs have names.

    Returns:
        JSON-able: `model`, its class; `inputs` by name, with shape (`None`: any number of windows) and dtype, and, if
        the model has an inference block (`keras_emotion.inference.schema`), the array, its feature part (kind, fields,
        and the first sentence of its documentation) and its transform; `outputs` by name; and the block's channels and
        classes. If a block cannot be used, `problem` is the reason.
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
        # Such as a network of `FaceAffect`, which has no classes: it can be exported, but `predict` cannot apply it.
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
    """Export a model, run the result and the Keras model on the same inputs, and keep it if they agree.

    | format | written by | run by |
    |---|---|---|
    | `saved_model` | Keras | TensorFlow |
    | `onnx` | Keras and tf2onnx | onnxruntime |
    | `litert` | Keras | ai-edge-litert |

    The batch axis stays open. For LiteRT the recurrent layers are unrolled and volumes are pooled plane by plane: its
    built-in operations have no loop over lists of tensors, and no three-dimensional pooling. For ONNX the exact GELU is
    expressed by the error function. A model with `exported_model()` defines its exported network, such as
    `VideoEEGHierarchicalLSTM`: greedy and unrolled, with the positions of its looks among the outputs. For a model with
    `is_decided`, windows whose positions may depend on rounding are not compared. A model of mixed precision is
    exported in float32, and compared with itself in float32.

    Args:
        model: a functional model whose inputs have names.
        file_format: one of `FORMATS`.
        path: path of the export; must not exist.
        windows: inputs by name, `(windows, ...)`; default: `random_windows`.
        tolerance: largest difference of an output up to which the file is kept.

    Returns:
        The comparison; its `path` is `None` if the outputs differ by more than `tolerance`, and nothing is kept.

    Raises:
        InputError: the format is unknown, a package is not installed, the path exists, the model cannot be converted to
            the format or run in it, or no window can be compared.

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
        # Keras casts its inputs, such as faces of 8 bits; other formats do not.
        windows = {name: np.asarray(windows[name], dtype) for name, dtype in _input_dtypes(exported).items()}
        outputs = exported.predict(windows, verbose=0)
    n_windows = len(next(iter(windows.values())))
    is_decided = model.is_decided(outputs) if hasattr(model, "is_decided") else np.ones(n_windows, bool)
    if not is_decided.any():
        raise InputError(
            f"{model.name}: in each of {n_windows} windows a position is half-way between two frames, so that no "
            "comparison is possible; give others (--check-on), or train the policy, which starts with such positions"
        )
    expected = _by_name(outputs)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        # Written next to its destination and moved when complete.
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
        # Versions of the converters, which lag behind NumPy and TensorFlow.
        with own_keras_settings(), warnings.catch_warnings(), _built_in(model, form.lacks):
            warnings.simplefilter("ignore")
            model.export(str(path), format=form.keras_name, verbose=False)
            return form.run(path, windows)
    except OSError:
        raise
    # Converters and interpreters raise various exceptions.
    except Exception as error:
        raise InputError(f"{where}: cannot be converted or run ({_first_line(error)})") from error


@contextmanager
def _built_in(model: keras.Model, lacks: frozenset[str]) -> Iterator[None]:
    """Context in which a model's layers use only operations that a format has built in.

    Args:
        model: the model.
        lacks: features missing in the format: `"loops"` (and pooling of volumes), `"erfc"` (and tensors stored in a
            layer).
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
            # tf2onnx treats everything that is neither a variable nor a constant as an input.
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
    """Compute the exact GELU, which TensorFlow computes by the complementary error function."""
    from keras import ops

    return 0.5 * x * (1 + ops.erf(x / math.sqrt(2)))


def _pooled_plane_by_plane(layer: keras.layers.MaxPooling3D, volumes: Any) -> Any:
    """Pool `(batch, depth, rows, columns, channels)` as the layer does, by two poolings of planes."""
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

    # Kept until it has run, because its variables are deleted with it.
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
        """Suffix of the file; a folder has one too, to be distinguishable."""
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
"""Export formats by name."""


def _by_name(outputs: Any) -> dict[str, np.ndarray]:
    """Return outputs by name; a single one is called `output`, because each format names it differently."""
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
