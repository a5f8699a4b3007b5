"""Base class of networks whose sample is a sequence of windows with features of EEG, faces and eye movements."""

import math

import keras
from keras import ops

from keras_emotion.layers import FeatureScaling
from keras_emotion.models.window_classifier import WindowClassifierMixin

MODALITIES = ("eeg", "face")
"""Default modalities."""

KNOWN_MODALITIES = (*MODALITIES, "eye")
_SIZES = ("n_windows", "n_channels", "n_bands", "n_face_channels", "n_eye_channels", "n_classes")


def chosen_modalities(modalities):
    """Return the modalities, each once, in the order of `KNOWN_MODALITIES`.

    Raises:
        ValueError: there is none, or one is unknown or repeated.
    """
    if not modalities or len(set(modalities)) < len(modalities) or not set(modalities) <= set(KNOWN_MODALITIES):
        raise ValueError(
            f"`modalities` must be among {KNOWN_MODALITIES}, each once; received modalities={modalities!r}"
        )
    return tuple(modality for modality in KNOWN_MODALITIES if modality in modalities)


class WindowFeaturesMixin(WindowClassifierMixin):
    """Mixin with sizes, inputs and configuration of such a network; precedes `keras.Model`."""

    @staticmethod
    def _window_sequences(modalities, policy, *, n_windows, n_channels, n_bands, n_face_channels, n_eye_channels):
        """Return two dictionaries by modality: the inputs, and the scaled inputs as `(batch, windows, features)`."""
        shapes = {"eeg": (n_channels, n_bands), "face": (n_face_channels,), "eye": (n_eye_channels,)}
        inputs, sequences = {}, {}
        for modality in modalities:
            shape = shapes[modality]
            inputs[modality] = keras.Input((n_windows, *shape), name=modality)
            axes = tuple(range(-len(shape), 0))
            scaled = FeatureScaling(axes, dtype=policy, name=f"{modality}_scaling")(inputs[modality])
            sequences[modality] = ops.reshape(scaled, (-1, n_windows, math.prod(shape)))
        return inputs, sequences

    def _keep_sizes(self, **sizes):
        """Store the constructor's sizes."""
        for name in _SIZES:
            setattr(self, name, sizes[name])

    @property
    def feature_scaling(self):
        """Scaling layers of the features, by modality.

        `model.feature_scaling["eeg"].set_statistics(mean, standard_deviation)` takes arrays `(channels, bands)`, that
        of `"face"` or `"eye"` arrays `(features,)`, usually of the training windows.
        """
        return {modality: self.get_layer(f"{modality}_scaling") for modality in self.input}

    def get_config(self):
        """Return the constructor arguments that all of them have."""
        return {**super().get_config(), **{name: getattr(self, name) for name in _SIZES}}
