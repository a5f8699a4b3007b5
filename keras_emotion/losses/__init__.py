"""Keras losses: canonical correlation, concordance, contrastive losses, and losses per window."""

from keras_emotion.losses.canonical_correlation import CanonicalCorrelationLoss
from keras_emotion.losses.concordance import ConcordanceLoss
from keras_emotion.losses.multimodal_contrastive import (
    InterModalContrastiveLoss,
    IntraModalContrastiveLoss,
    MERCLLoss,
    SampleAlignmentLoss,
)
from keras_emotion.losses.window_loss import WindowLoss

__all__ = [
    "CanonicalCorrelationLoss",
    "ConcordanceLoss",
    "InterModalContrastiveLoss",
    "IntraModalContrastiveLoss",
    "MERCLLoss",
    "SampleAlignmentLoss",
    "WindowLoss",
]
