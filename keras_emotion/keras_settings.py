"""Pin Keras's backend and global settings for reproducible numbers; quick to import.

A file in the user's home, `~/.keras/keras.json`, sets the default backend, precision, order of axes and epsilon of
Keras. Neither this file nor other code in the process may change our numbers: commands and workers use their own
settings (`KERAS_SETTINGS`), and the user's settings are restored afterwards.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_emotion.native_log import quiet_start_up
from keras_emotion.schema import InputError

DEFAULT_BACKEND = "tensorflow"
"""Backend if the environment variable `KERAS_BACKEND` is not set."""

KERAS_SETTINGS = {
    "floatx": "float32",
    "image_data_format": "channels_last",
    "epsilon": 1e-7,
    "dtype_policy": "float32",
    "max_epochs": None,
    "max_steps_per_epoch": None,
}
"""Global settings of Keras while networks are built, trained and applied, by their names in `keras.config`."""

_BACKENDS = ("tensorflow", "jax", "torch")
_JSON_EXPECTED = {
    "floatx": (lambda value: value in ("float16", "float32", "float64"), "float16, float32 or float64"),
    "epsilon": (lambda value: isinstance(value, float), "a number with a decimal point"),
    "image_data_format": (
        lambda value: value in ("channels_last", "channels_first"),
        "channels_last or channels_first",
    ),
}

_is_backend_of_ours = False
"""Whether this module set `KERAS_BACKEND` in the environment."""

_displaced: dict[str, Any] | None = None
"""The settings to restore, while those of this package are in effect."""


def running_backend() -> str | None:
    """Return Keras's backend in this process, or the one that the environment requests if Keras is not imported yet."""
    if "keras" in sys.modules:
        return sys.modules["keras"].config.backend()
    asked = os.environ.get("KERAS_BACKEND") or None
    return None if _is_backend_of_ours and asked == DEFAULT_BACKEND else asked


def choose_backend() -> None:
    """Set the environment to `DEFAULT_BACKEND` unless a backend is requested or Keras is imported already.

    Otherwise Keras would use the backend of `~/.keras/keras.json`. The start-up log of the backend is suppressed.
    """
    global _is_backend_of_ours
    quiet_start_up()
    if "keras" not in sys.modules:
        if not os.environ.get("KERAS_BACKEND"):
            os.environ["KERAS_BACKEND"] = DEFAULT_BACKEND
            _is_backend_of_ours = True
        # Another implementation of Keras's variables on JAX, which the file could also enable.
        os.environ.setdefault("KERAS_NNX_ENABLED", "0")


def check_keras_can_start() -> None:
    """Check that Keras can be imported with the present environment and settings file.

    Raises:
        InputError: `KERAS_BACKEND` is not a backend, or Keras's settings file has a value that Keras refuses.
    """
    choose_backend()
    if "keras" in sys.modules:
        return
    backend = os.environ["KERAS_BACKEND"]
    if backend not in _BACKENDS:
        raise InputError(
            f"environment variable KERAS_BACKEND is {backend!r}; expected one of {', '.join(_BACKENDS)}, or none"
        )
    path = Path(os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser()) / "keras.json"
    try:
        said = json.loads(path.read_text())
    # Keras itself ignores a file that it cannot read or that is not JSON.
    except (OSError, ValueError):
        return
    if not isinstance(said, dict):
        raise InputError(f"{path}: holds {type(said).__name__}; expected Keras settings by name; delete the file")
    for name, (is_right, expected) in _JSON_EXPECTED.items():
        if name in said and not is_right(said[name]):
            raise InputError(f"{path}: {name} is {said[name]!r}; expected {expected}; correct or delete the file")


def pin_keras_settings() -> None:
    """Apply `KERAS_SETTINGS` to Keras; `restored_keras_settings` reverts them."""
    global _displaced
    import keras

    if _displaced is None:
        _displaced = {name: getattr(keras.config, name)() for name in KERAS_SETTINGS}
    _set(KERAS_SETTINGS)


@contextlib.contextmanager
def restored_keras_settings() -> Iterator[None]:
    """Context manager that restores Keras's previous settings at its end, if they were pinned in it."""
    global _displaced
    is_outermost = _displaced is None
    try:
        yield
    finally:
        if is_outermost and _displaced is not None:
            _set(_displaced)
            _displaced = None


@contextlib.contextmanager
def own_keras_settings() -> Iterator[None]:
    """Context manager in which Keras has the settings of `KERAS_SETTINGS`.

    Raises:
        InputError: Keras cannot be imported, see `check_keras_can_start`.
    """
    check_keras_can_start()
    with restored_keras_settings():
        pin_keras_settings()
        yield


def xla_pays() -> bool:
    """Return whether XLA saves time: on a GPU, but not on a CPU.

    Always on Keras's JAX backend: otherwise each operation would be a separate program.
    """
    import keras

    has_gpu = any(name.lower().startswith("gpu") for name in keras.distribution.list_devices())
    return has_gpu or keras.config.backend() == "jax"


def _set(settings: dict[str, Any]) -> None:
    import keras

    for name, value in settings.items():
        getattr(keras.config, f"set_{name}")(value)
