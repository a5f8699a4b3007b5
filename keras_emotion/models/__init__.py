"""Keras models, one paper a file."""

from keras_emotion.models.facrnn import FACRNNEEGNetwork, distillation_losses

__all__ = ["FACRNNEEGNetwork", "distillation_losses"]
