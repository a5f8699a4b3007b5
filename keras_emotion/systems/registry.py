"""Systems by the name that a run's files have."""

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
"""Group of the entry points by which other packages bring their papers."""

SystemType = TypeVar("SystemType", bound=type[System])


def register_system(system: SystemType) -> SystemType:
    """Register a system under the name of its class, so that runs with it can be read again; a class decorator.

    A run folder names a system and no module: reading one imports nothing that was not imported before.

    Args:
        system: the class.

    Raises:
        ValueError: another class has this name.
    """
    name = system.__name__
    there = _SYSTEMS.setdefault(name, system)
    if (there.__module__, there.__qualname__) != (system.__module__, system.__qualname__):
        raise ValueError(f"a system named {name} is registered already: that of {there.__module__}")
    _SYSTEMS[name] = system
    return system


def find_system(name: str) -> type[System]:
    """Return the system that is registered under a name.

    Args:
        name: name of the class, as `experiment.json` of a run has it.

    Raises:
        InputError: no such system is registered.
    """
    systems = registered_systems()
    if name not in systems:
        raise InputError(
            f"unknown system {name!r}; registered are {', '.join(sorted(systems))}. A system of another package is "
            "found after --register MODULE, or where that package is installed"
        )
    return systems[name]


def registered_systems() -> dict[str, type[System]]:
    """Systems by name: those of this package, those of installed packages, and those that were registered."""
    installed_papers()
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{__package__}.{module.name}")
    return dict(_SYSTEMS)


@functools.cache
def installed_papers() -> tuple[Any, ...]:
    """What the entry points `keras_emotion.papers` of the installed packages name, loaded once a process.

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
