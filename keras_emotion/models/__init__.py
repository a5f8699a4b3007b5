"""Keras models, one paper per file."""

from keras_emotion.models.alexnet import AlexNet
from keras_emotion.models.ave_lstm import AVELSTMNetwork
from keras_emotion.models.cnn_lstm import CNNLSTM
from keras_emotion.models.conti_cnn import ContiCNN
from keras_emotion.models.cram import CRAM
from keras_emotion.models.crnn_4d import CRNN4D
from keras_emotion.models.dcca import DCCA, correlation_losses
from keras_emotion.models.deepvanet import DeepVANet, FaceAffectNetwork
from keras_emotion.models.dgcnn import DGCNN
from keras_emotion.models.eegnet import EEGNet
from keras_emotion.models.emotion_transformer_fusion import EmotionTransformerFusion
from keras_emotion.models.face_eeg_lstm import FaceEEGLSTM
from keras_emotion.models.facrnn import FACRNNEEGNetwork, distillation_losses
from keras_emotion.models.facrnn_regressor import FACRNNRegressor
from keras_emotion.models.facrnn_visual import FACRNNVisualNetwork
from keras_emotion.models.gcn_lstm import GCNLSTM
from keras_emotion.models.graph_sleep_net import GraphSleepNet
from keras_emotion.models.legacy_weights import LegacyWeights, load_legacy_weights
from keras_emotion.models.mercl import MERCL, MERCLEncoder
from keras_emotion.models.mmreslstm import MMResLSTM
from keras_emotion.models.prior_dfcn import PriorDFCN
from keras_emotion.models.topographic_images import TopographicImages
from keras_emotion.models.ve_bilstm import VEBiLSTMNetwork
from keras_emotion.models.vggish import VGGish
from keras_emotion.models.video_eeg_hierarchical_lstm import VideoEEGHierarchicalLSTM

__all__ = [
    "CNNLSTM",
    "CRAM",
    "CRNN4D",
    "DCCA",
    "DGCNN",
    "GCNLSTM",
    "MERCL",
    "AVELSTMNetwork",
    "AlexNet",
    "ContiCNN",
    "DeepVANet",
    "EEGNet",
    "EmotionTransformerFusion",
    "FACRNNEEGNetwork",
    "FACRNNRegressor",
    "FACRNNVisualNetwork",
    "FaceAffectNetwork",
    "FaceEEGLSTM",
    "GraphSleepNet",
    "LegacyWeights",
    "MERCLEncoder",
    "MMResLSTM",
    "PriorDFCN",
    "TopographicImages",
    "VEBiLSTMNetwork",
    "VGGish",
    "VideoEEGHierarchicalLSTM",
    "correlation_losses",
    "distillation_losses",
    "load_legacy_weights",
]
