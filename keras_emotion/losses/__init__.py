"""Losses."""

from keras_emotion.losses.canonical_correlation import CanonicalCorrelationLoss
from keras_emotion.losses.window_loss import WindowLoss

__all__ = ["CanonicalCorrelationLoss", "WindowLoss"]
