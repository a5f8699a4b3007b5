"""Every test of a model starts from the same weights, regardless of previous tests."""

import keras
import pytest


@pytest.fixture(autouse=True)
def _same_weights():
    keras.utils.set_random_seed(4)
