"""Inputs of a network from arrays of feature parts, by names, so that a saved model can store them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

InputTransform = Callable[[np.ndarray], np.ndarray]
"""Function from an array `(windows, ...)` to an input `(windows, ...)`."""

_TRANSFORMS: dict[str, InputTransform] = {}

Name = Annotated[str, Field(min_length=1, max_length=200)]


class ModelInput(BaseModel):
    """Source of one input of a network.

    Args:
        part: name of the feature part.
        array: name of one of the part's arrays.
        transform: name of the transform applied to it, see `register_transform`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: Name
    array: Name
    transform: Name = "identity"

    def of(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the `(windows, ...)` input from the arrays of all parts by name."""
        return find_transform(self.transform)(arrays[self.array])


def register_transform(name: str) -> Callable[[InputTransform], InputTransform]:
    """Register a transform under the name used in saved models; a decorator.

    Args:
        name: the name.

    Raises:
        ValueError: another transform has this name.
    """

    def register(transform: InputTransform) -> InputTransform:
        if name in _TRANSFORMS:
            raise ValueError(f"a transform named {name!r} is already registered")
        _TRANSFORMS[name] = transform
        return transform

    return register


def find_transform(name: str) -> InputTransform:
    """Return the transform registered under a name.

    Raises:
        ValueError: the name is unknown.
    """
    if name not in _TRANSFORMS:
        raise ValueError(f"unknown transform {name!r}; expected one of {', '.join(sorted(_TRANSFORMS))}")
    return _TRANSFORMS[name]


@register_transform("identity")
def _identity(array: np.ndarray) -> np.ndarray:
    return array


@register_transform("first_step")
def _first_step(array: np.ndarray) -> np.ndarray:
    """Convert `(windows, steps, ...)` to `(windows, ...)`, for windows of one step."""
    return array[:, 0]


@register_transform("steps_as_features")
def _steps_as_features(array: np.ndarray) -> np.ndarray:
    """Convert `(windows, steps, channels, bands)` to `(windows, channels, steps * bands)`."""
    array = np.swapaxes(array, 1, 2)
    return array.reshape(*array.shape[:2], -1)
