"""How the arrays of feature parts become the inputs of a network: by names, so that a saved model can keep them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

InputTransform = Callable[[np.ndarray], np.ndarray]
"""Makes an input `(windows, ...)` of an array `(windows, ...)`."""

_TRANSFORMS: dict[str, InputTransform] = {}

Name = Annotated[str, Field(min_length=1, max_length=200)]


class ModelInput(BaseModel):
    """Where one input of a network comes from.

    Args:
        part: name of the feature part.
        array: name of the array among those that the part extracts.
        transform: name of what is done with it, see `register_transform`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: Name
    array: Name
    transform: Name = "identity"

    def of(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """`(windows, ...)` input from the arrays of all parts by name."""
        return find_transform(self.transform)(arrays[self.array])


def register_transform(name: str) -> Callable[[InputTransform], InputTransform]:
    """Register a transform under the name that saved models keep; a decorator.

    Args:
        name: the name.

    Raises:
        ValueError: another transform has this name.
    """

    def register(transform: InputTransform) -> InputTransform:
        if name in _TRANSFORMS:
            raise ValueError(f"a transform named {name!r} is registered already")
        _TRANSFORMS[name] = transform
        return transform

    return register


def find_transform(name: str) -> InputTransform:
    """Return the transform that is registered under a name.

    Raises:
        ValueError: there is none.
    """
    if name not in _TRANSFORMS:
        raise ValueError(f"unknown transform {name!r}; expected one of {', '.join(sorted(_TRANSFORMS))}")
    return _TRANSFORMS[name]


@register_transform("identity")
def _identity(array: np.ndarray) -> np.ndarray:
    return array


@register_transform("first_step")
def _first_step(array: np.ndarray) -> np.ndarray:
    """`(windows, steps, ...)` to `(windows, ...)`: for windows of one step."""
    return array[:, 0]


@register_transform("steps_as_features")
def _steps_as_features(array: np.ndarray) -> np.ndarray:
    """`(windows, steps, channels, bands)` to `(windows, channels, steps * bands)`."""
    array = np.swapaxes(array, 1, 2)
    return array.reshape(*array.shape[:2], -1)
