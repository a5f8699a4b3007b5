"""Keras models, one paper a file."""

from keras_emotion.models.dcca import DCCA, correlation_losses
from keras_emotion.models.deepvanet import DeepVANet, FaceAffectNetwork
from keras_emotion.models.emotion_transformer_fusion import EmotionTransformerFusion
from keras_emotion.models.facrnn import FACRNNEEGNetwork, distillation_losses
from keras_emotion.models.facrnn_visual import FACRNNVisualNetwork
from keras_emotion.models.mmreslstm import MMResLSTM

__all__ = [
    "DCCA",
    "DeepVANet",
    "EmotionTransformerFusion",
    "FACRNNEEGNetwork",
    "FACRNNVisualNetwork",
    "FaceAffectNetwork",
    "MMResLSTM",
    "correlation_losses",
    "distillation_losses",
]
