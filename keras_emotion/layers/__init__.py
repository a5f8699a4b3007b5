"""Keras layers, one per file; each runs on every Keras backend."""

from keras_emotion.layers.adaptive_graph import AdaptiveGraph
from keras_emotion.layers.band_attention import BandAttention
from keras_emotion.layers.chebyshev_graph_convolution import ChebyshevGraphConvolution
from keras_emotion.layers.conv2d import Conv2D
from keras_emotion.layers.conv_lstm2d import ConvLSTM2D
from keras_emotion.layers.cross_modal_prior import CrossModalPrior
from keras_emotion.layers.eca_band_attention import ECABandAttention
from keras_emotion.layers.eeg_conformer_convolution import EEGConformerConvolution
from keras_emotion.layers.feature_scaling import FeatureScaling
from keras_emotion.layers.gaussian_frame_policy import GaussianFramePolicy
from keras_emotion.layers.hierarchical_lstm import HierarchicalLSTM, HierarchicalLSTMCell
from keras_emotion.layers.image_encoder import ImageEncoder
from keras_emotion.layers.importance_selection import ImportanceSelection
from keras_emotion.layers.max_pooling2d import MaxPooling2D
from keras_emotion.layers.modality_attention import ModalityAttention
from keras_emotion.layers.multimodal_lstm import MultimodalLSTM
from keras_emotion.layers.nearest_neighbor_graph import NearestNeighborGraph
from keras_emotion.layers.non_local_3d import NonLocal3D
from keras_emotion.layers.pairwise_attention import PairwiseAttention
from keras_emotion.layers.pairwise_cross_modal_attention import PairwiseCrossModalAttention
from keras_emotion.layers.peephole_lstm_cell import PeepholeLSTMCell
from keras_emotion.layers.principal_components import PrincipalComponents
from keras_emotion.layers.residual_block_3d import ResidualBlock3D
from keras_emotion.layers.residual_tcn import ResidualTCN
from keras_emotion.layers.shared_lstm_cell import SharedLSTMCell
from keras_emotion.layers.speech_conformer_convolution import SpeechConformerConvolution
from keras_emotion.layers.step_self_attention import StepSelfAttention
from keras_emotion.layers.temporal_block import TemporalBlock

__all__ = [
    "AdaptiveGraph",
    "BandAttention",
    "ChebyshevGraphConvolution",
    "Conv2D",
    "ConvLSTM2D",
    "CrossModalPrior",
    "ECABandAttention",
    "EEGConformerConvolution",
    "FeatureScaling",
    "GaussianFramePolicy",
    "HierarchicalLSTM",
    "HierarchicalLSTMCell",
    "ImageEncoder",
    "ImportanceSelection",
    "MaxPooling2D",
    "ModalityAttention",
    "MultimodalLSTM",
    "NearestNeighborGraph",
    "NonLocal3D",
    "PairwiseAttention",
    "PairwiseCrossModalAttention",
    "PeepholeLSTMCell",
    "PrincipalComponents",
    "ResidualBlock3D",
    "ResidualTCN",
    "SharedLSTMCell",
    "SpeechConformerConvolution",
    "StepSelfAttention",
    "TemporalBlock",
]
