"""What tests of papers from outside of the package share."""

import contextlib
import sys

import pytest

from keras_emotion.datasets import READERS
from keras_emotion.papers import registry as papers
from keras_emotion.systems import registry as systems


@contextlib.contextmanager
def search_in(*folders):
    """Let modules be found in folders, and forget in the end which were imported and what they registered."""
    registries = (READERS, papers._REGISTERED, systems._SYSTEMS)
    before = [dict(one) for one in registries]
    with pytest.MonkeyPatch.context() as patch:
        for folder in folders:
            patch.syspath_prepend(str(folder))
        systems.installed_papers.cache_clear()
        try:
            yield
        finally:
            systems.installed_papers.cache_clear()
            for one, kept in zip(registries, before, strict=True):
                one.clear()
                one.update(kept)
            inside = tuple(f"{folder}/" for folder in folders)
            for name, module in list(sys.modules.items()):
                if (getattr(module, "__file__", None) or "").startswith(inside):
                    del sys.modules[name]


@pytest.fixture(scope="session")
def searched():
    """A context in which modules of given folders can be registered: elsewhere, they are as good as not there.

    Commands need no process of their own for that, which would import everything anew.
    """
    return search_in
