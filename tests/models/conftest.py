"""Every test of a model starts from the same weights, whichever tests were run before it."""

import keras
import pytest


@pytest.fixture(autouse=True)
def _same_weights():
    keras.utils.set_random_seed(4)
