"""Checks of the contracts of readers, layers and systems, for our own and for those of other packages."""

from keras_emotion.testing.layers import check_layer
from keras_emotion.testing.readers import check_reader

__all__ = ["check_layer", "check_reader"]
