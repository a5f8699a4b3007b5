"""Emotion recognition from EEG, faces and their combination with Keras.

Importing the package imports neither Keras nor TensorFlow. When Keras is imported, before or after, the layers, losses
and models of this package are registered with it, so that `keras.models.load_model` finds the classes of a saved model.
"""

import importlib
import sys

import wrapt

from keras_emotion import moved

__version__ = "0.2.0"

_KERAS_PACKAGES = tuple(f"{__name__}.{package}" for package in ("layers", "losses", "models"))


def _register_with_keras(imported):
    if imported.__name__ == "keras" and not sys.modules.keys().isdisjoint(_KERAS_PACKAGES):
        # A package of keras_emotion is importing Keras and is incomplete: other packages cannot import from it yet.
        # They are registered when it is complete.
        return
    for package in _KERAS_PACKAGES:
        importlib.import_module(package)


moved.install()
for _name in ("keras", *_KERAS_PACKAGES):
    wrapt.register_post_import_hook(_register_with_keras, _name)
