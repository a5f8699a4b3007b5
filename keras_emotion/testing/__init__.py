"""Contract checks for readers, layers and systems, for this package and for others.

Each function runs a list of named checks and raises an `AssertionError` that names the first failed check and its
reason. Importing this package imports neither Keras nor a test framework.
"""

from keras_emotion.testing.layers import check_layer
from keras_emotion.testing.readers import check_reader
from keras_emotion.testing.systems import check_system

__all__ = ["check_layer", "check_reader", "check_system"]
