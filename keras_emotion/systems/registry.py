"""Registry of systems by the name used in a run's files."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import pkgutil
from typing import Any, TypeVar

from keras_emotion.schema import InputError
from keras_emotion.systems.base import System

_SYSTEMS: dict[str, type[System]] = {}

ENTRY_POINTS = "keras_emotion.papers"
"""Group of the entry points with which other packages provide their papers."""

SystemType = TypeVar("SystemType", bound=type[System])


def register_system(system: SystemType) -> SystemType:
    """Register a system under its class name, so that its runs can be read again; a class decorator.

    A run folder stores the system's name but no module: reading a run imports nothing new.

    Args:
        system: the class.

    Raises:
        ValueError: another class has this name.
    """
    name = system.__name__
    there = _SYSTEMS.setdefault(name, system)
    if (there.__module__, there.__qualname__) != (system.__module__, system.__qualname__):
        raise ValueError(f"a system named {name} is already registered: that of {there.__module__}")
    _SYSTEMS[name] = system
    return system


def find_system(name: str) -> type[System]:
    """Return the system registered under a name.

    Args:
        name: name of the class, as in `experiment.json` of a run.

    Raises:
        InputError: no such system is registered.
    """
    systems = registered_systems()
    if name not in systems:
        raise InputError(
            f"unknown system {name!r}; registered are {', '.join(sorted(systems))}; for a system of another package, "
            "give --register MODULE, or install that package"
        )
    return systems[name]


def registered_systems() -> dict[str, type[System]]:
    """Return systems by name: those of this package, of installed packages, and registered ones."""
    installed_papers()
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{__package__}.{module.name}")
    return dict(_SYSTEMS)


@functools.cache
def installed_papers() -> tuple[Any, ...]:
    """Load the objects of the entry points `keras_emotion.papers` of installed packages, once per process.

    Raises:
        InputError: one of them cannot be imported.
    """
    loaded = []
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            loaded.append(entry.load())
        except (ImportError, AttributeError) as error:
            package = entry.dist.name if entry.dist else "an installed package"
            raise InputError(
                f"{package}: its entry point {ENTRY_POINTS} ({entry.value}) cannot be imported: {error}; mend or "
                "uninstall it"
            ) from error
    return tuple(loaded)
