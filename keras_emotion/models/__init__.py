"""Keras models, one paper a file."""

from keras_emotion.models.facrnn import FACRNNEEGNetwork, distillation_losses
from keras_emotion.models.facrnn_visual import FACRNNVisualNetwork

__all__ = ["FACRNNEEGNetwork", "FACRNNVisualNetwork", "distillation_losses"]
