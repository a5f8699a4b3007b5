"""Keras's backend and its global settings while our numbers are made; quick to import.

A file in the user's home, `~/.keras/keras.json`, says which backend, which precision, which order of axes and which
epsilon Keras takes where nothing else is said. Neither it nor what else runs in a process decides about numbers of
ours: commands and workers have their own settings (`KERAS_SETTINGS`), and a user's process has its own again
afterwards.
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
"""Keras's backend where the environment variable `KERAS_BACKEND` names none."""

KERAS_SETTINGS = {
    "floatx": "float32",
    "image_data_format": "channels_last",
    "epsilon": 1e-7,
    "dtype_policy": "float32",
    "max_epochs": None,
    "max_steps_per_epoch": None,
}
"""Keras's global settings while networks of ours are built, trained and applied, by their names in `keras.config`."""

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
"""Whether it is us who put `KERAS_BACKEND` into the environment."""

_displaced: dict[str, Any] | None = None
"""The settings that ours took the place of, as long as they do."""


def running_backend() -> str | None:
    """Keras's backend in this process, or the one that the user's environment asks for before Keras is there."""
    if "keras" in sys.modules:
        return sys.modules["keras"].config.backend()
    asked = os.environ.get("KERAS_BACKEND") or None
    return None if _is_backend_of_ours and asked == DEFAULT_BACKEND else asked


def choose_backend() -> None:
    """Put `DEFAULT_BACKEND` into the environment where nothing else is asked for and Keras is not there yet.

    Otherwise Keras would take what `~/.keras/keras.json` says. The start-up log of the backend is suppressed.
    """
    global _is_backend_of_ours
    quiet_start_up()
    if "keras" not in sys.modules:
        if not os.environ.get("KERAS_BACKEND"):
            os.environ["KERAS_BACKEND"] = DEFAULT_BACKEND
            _is_backend_of_ours = True
        # Another implementation of Keras's variables on JAX, which the file could ask for too.
        os.environ.setdefault("KERAS_NNX_ENABLED", "0")


def check_keras_can_start() -> None:
    """Say in one line what would keep Keras from being imported.

    Raises:
        InputError: `KERAS_BACKEND` names no backend, or Keras's file of settings holds what Keras refuses.
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
    # Keras, too, goes without a file that it cannot read or that is no JSON.
    except (OSError, ValueError):
        return
    if not isinstance(said, dict):
        raise InputError(f"{path}: holds {type(said).__name__}; expected settings of Keras by name; delete the file")
    for name, (is_right, expected) in _JSON_EXPECTED.items():
        if name in said and not is_right(said[name]):
            raise InputError(f"{path}: {name} is {said[name]!r}; expected {expected}; mend or delete the file")


def pin_keras_settings() -> None:
    """Give Keras the settings of `KERAS_SETTINGS`; `restored_keras_settings` takes them back."""
    global _displaced
    import keras

    if _displaced is None:
        _displaced = {name: getattr(keras.config, name)() for name in KERAS_SETTINGS}
    _set(KERAS_SETTINGS)


@contextlib.contextmanager
def restored_keras_settings() -> Iterator[None]:
    """A block behind which Keras has the settings of before, if they were pinned in it."""
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
    """A block in which Keras has the settings of `KERAS_SETTINGS`.

    Raises:
        InputError: Keras cannot be imported, see `check_keras_can_start`.
    """
    check_keras_can_start()
    with restored_keras_settings():
        pin_keras_settings()
        yield


def _set(settings: dict[str, Any]) -> None:
    import keras

    for name, value in settings.items():
        getattr(keras.config, f"set_{name}")(value)
