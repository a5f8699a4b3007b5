"""Emotion recognition from EEG, faces and their combination with Keras.

Importing the package imports neither Keras nor TensorFlow. When Keras is imported, before or after, our layers, losses
and models are registered with it, so that `keras.models.load_model` knows the classes of a saved model.
"""

import importlib
import sys

import wrapt

from keras_emotion import moved

__version__ = "0.2.0"

_KERAS_PACKAGES = tuple(f"{__name__}.{package}" for package in ("layers", "losses", "models"))


def _register_with_keras(imported):
    if imported.__name__ == "keras" and not sys.modules.keys().isdisjoint(_KERAS_PACKAGES):
        # One of ours is importing Keras at this moment and is not complete: the others could not import from it yet.
        # Their turn comes when it is.
        return
    for package in _KERAS_PACKAGES:
        importlib.import_module(package)


moved.install()
for _name in ("keras", *_KERAS_PACKAGES):
    wrapt.register_post_import_hook(_register_with_keras, _name)
