"""Losses."""

from keras_emotion.losses.window_loss import WindowLoss

__all__ = ["WindowLoss"]
