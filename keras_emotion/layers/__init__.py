"""Keras layers, one a file; each runs on every backend of Keras."""

from keras_emotion.layers.adaptive_graph import AdaptiveGraph
from keras_emotion.layers.chebyshev_graph_convolution import ChebyshevGraphConvolution
from keras_emotion.layers.eca_band_attention import ECABandAttention
from keras_emotion.layers.feature_scaling import FeatureScaling
from keras_emotion.layers.pairwise_attention import PairwiseAttention
from keras_emotion.layers.peephole_lstm_cell import PeepholeLSTMCell
from keras_emotion.layers.residual_tcn import ResidualTCN
from keras_emotion.layers.step_self_attention import StepSelfAttention
from keras_emotion.layers.temporal_block import TemporalBlock

__all__ = [
    "AdaptiveGraph",
    "ChebyshevGraphConvolution",
    "ECABandAttention",
    "FeatureScaling",
    "PairwiseAttention",
    "PeepholeLSTMCell",
    "ResidualTCN",
    "StepSelfAttention",
    "TemporalBlock",
]
