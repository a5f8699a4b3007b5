"""Read released weights from PyTorch and NumPy files or from mappings."""

import collections
import os
import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keras_emotion.array_files import read_npz
from keras_emotion.limits import check_archive, check_memory
from keras_emotion.refusals import refusing_unreadable
from keras_emotion.schema import InputError

# Keys under which training scripts nest a state dict, next to the epoch and the state of the optimiser.
_NESTED = ("state_dict", "model_state_dict", "model", "net")
# Prefixes of torch.nn.DataParallel and torch.compile.
_PREFIXES = ("module.", "_orig_mod.")


def check_names(where, state, expected, owner):
    """Check that every name of a layout is present, and no other.

    Raises:
        InputError: names are missing, or are not those of `owner`.
    """
    for problem, names in (
        ("are missing", [name for name in expected if name not in state]),
        (f"are not {owner}'s", [name for name in state if name not in expected]),
    ):
        if names:
            more = f" and {len(names) - 4} more" if len(names) > 4 else ""
            listed = ", ".join(f"`{name}`" for name in names[:4])
            raise InputError(f"{where}: {listed}{more} {problem if len(names) > 1 else problem.replace('are', 'is')}")


def finite_floats(where, name, value):
    """Return a value as a float32 array of finite numbers.

    Raises:
        InputError: it is not an array of floating-point numbers, or one of them is not finite.
    """
    # A small tensor with stride 0 may expand to many numbers.
    if hasattr(value, "numel"):
        check_memory(where, 4 * value.numel())
    try:
        # A PyTorch tensor may be on a GPU, have a gradient or a dtype that NumPy lacks.
        array = np.asarray(value.detach().cpu().float().numpy() if hasattr(value, "detach") else value)
    except Exception as error:
        raise InputError(f"{where}: `{name}` is not an array ({error})") from error
    if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
        raise InputError(f"{where}: `{name}` holds {array.dtype.name} values; expected floating-point numbers")
    with np.errstate(over="ignore"):
        array = array.astype("float32")
    if not np.isfinite(array).all():
        raise InputError(f"{where}: `{name}` has values that are not finite numbers in float32")
    return array


def read_state(source, example):
    """Read released weights.

    Args:
        source: a `.pth`, `.pt` or `.npz` file, or a mapping of names to arrays or tensors.
        example: an example of a released name, for messages.

    Returns:
        A description of the source for messages, and arrays or tensors by name, without wrappers around them.

    Raises:
        InputError: the source cannot be read or is not a mapping of names.
    """
    if isinstance(source, str | os.PathLike):
        where, state = str(source), _read(Path(source))
    else:
        where, state = "released weights", source
    if not isinstance(state, Mapping):
        raise InputError(
            f"{where}: {type(state).__name__}; expected a state dict, a mapping of names to arrays; for a whole "
            "network save `network.state_dict()`"
        )
    for name in _NESTED:
        if isinstance(state.get(name), Mapping):
            where, state = f"{where} ({name})", state[name]
            break
    for name in state:
        if not isinstance(name, str):
            raise InputError(f"{where}: name {name!r} is not text; expected names such as `{example}`")
    # Nested in any order.
    while state and (prefix := _common_prefix(state)):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return where, {name: value for name, value in state.items() if not name.endswith(".num_batches_tracked")}


def _common_prefix(names):
    """Return the prefix common to all names, or `None`."""
    return next((prefix for prefix in _PREFIXES if all(name.startswith(prefix) for name in names)), None)


def _read(path):
    """Read the contents of a file."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected released weights (.pth, .pt or .npz)")
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return read_npz(path, None, "{path} cannot be read; expected an .npz file of arrays of numbers ({reason})")
    if suffix in (".pth", ".pt"):
        return _read_torch(path)
    raise InputError(f"{path}: a file of kind {suffix!r}; expected .pth, .pt or .npz")


def _read_torch(path):
    try:
        import torch
    except ImportError as error:
        raise InputError(
            f"{path}: a PyTorch file, but PyTorch is not installed: pip install 'keras_emotion[torch]', or give an "
            ".npz "
            "of the arrays (numpy.savez where PyTorch is installed)"
        ) from error
    message = (
        "{path}: contains more than arrays (a whole network?) or is damaged; expected a state dict, saved by "
        "torch.save(network.state_dict(), ...): {reason}"
    )
    with refusing_unreadable(path, message):
        check_torch_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)


def check_torch_file(path):
    """Reject a PyTorch file whose tensors exceed its size: PyTorch allocates what the file declares.

    Args:
        path: an archive (PyTorch 1.6 or later), or a sequence of pickles (earlier).

    Raises:
        InputError: it declares more than `Limits.memory_gib`.
        ValueError: it declares more data than it contains, or is damaged.
    """
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            check_archive(path, archive, "arrays")
            declared = sum(member.file_size for member in archive.infolist())
            # PyTorch stores members uncompressed.
            if declared > size:
                raise ValueError(f"its members declare {declared} bytes, but the file has {size}")
            for name in archive.namelist():
                if name.endswith("data.pkl"):
                    _check_numbers(archive.read(name), size)
        return
    check_memory(path, size)
    with path.open("rb") as file:
        # Magic number, protocol version and system; the fourth pickle describes the tensors.
        for _ in range(3):
            collections.deque(pickletools.genops(file), maxlen=0)
        _check_numbers(file, size)


def _check_numbers(pickled, size):
    """Reject a pickle with an integer above the file size: lengths and offsets are always below it."""
    for _, argument, place in pickletools.genops(pickled):
        if isinstance(argument, int) and abs(argument) > size:
            raise ValueError(f"declares {argument} numbers, at byte {place}, but the file has {size} bytes")
