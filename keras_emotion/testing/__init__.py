"""Checks of the contracts of readers, layers and systems, for our own and for those of other packages.

Each function runs a list of named checks and raises an `AssertionError` that names the one that failed and says what is
wrong. Importing this package imports neither Keras nor a test framework.
"""

from keras_emotion.testing.layers import check_layer
from keras_emotion.testing.readers import check_reader
from keras_emotion.testing.systems import check_system

__all__ = ["check_layer", "check_reader", "check_system"]
