"""The table of the layer contract: one row a layer or model (more where its arguments exclude each other).

A new layer or model needs a row here and nothing else in this folder.
"""

import copy

import keras
import numpy as np
import pytest

from keras_emotion.layers import (
    AdaptiveGraph,
    BandAttention,
    ChebyshevGraphConvolution,
    Conv2D,
    ConvLSTM2D,
    CrossModalPrior,
    ECABandAttention,
    EEGConformerConvolution,
    FeatureScaling,
    GaussianFramePolicy,
    HierarchicalLSTM,
    HierarchicalLSTMCell,
    ImageEncoder,
    ImportanceSelection,
    MaxPooling2D,
    ModalityAttention,
    MultimodalLSTM,
    NearestNeighborGraph,
    NonLocal3D,
    PairwiseAttention,
    PairwiseCrossModalAttention,
    PeepholeLSTMCell,
    PrincipalComponents,
    ResidualBlock3D,
    ResidualTCN,
    SharedLSTMCell,
    SpeechConformerConvolution,
    StepSelfAttention,
    TemporalBlock,
)
from keras_emotion.losses import ConcordanceLoss, MERCLLoss
from keras_emotion.models import (
    CNNLSTM,
    CRAM,
    CRNN4D,
    DCCA,
    DGCNN,
    GCNLSTM,
    MERCL,
    AlexNet,
    AVELSTMNetwork,
    ContiCNN,
    DeepVANet,
    EEGNet,
    EmotionTransformerFusion,
    FaceAffectNetwork,
    FaceEEGLSTM,
    FACRNNEEGNetwork,
    FACRNNRegressor,
    FACRNNVisualNetwork,
    GraphSleepNet,
    MERCLEncoder,
    MMResLSTM,
    PriorDFCN,
    TopographicImages,
    VEBiLSTMNetwork,
    VGGish,
    VideoEEGHierarchicalLSTM,
    correlation_losses,
    distillation_losses,
)
from keras_emotion.systems.media_encoders import PictureEncoder, SoundEncoder
from keras_emotion.testing.layers import Alternative as Given
from keras_emotion.testing.layers import LayerCase as Row
from keras_emotion.testing.layers import TrainingStep as Training
from keras_emotion.testing.layers import random_inputs


def _facrnn_targets(model, rng, batch):
    return {
        "probabilities": rng.integers(0, model.n_classes, (batch, model.n_steps)),
        "features": rng.standard_normal((batch, model.n_steps, model.units)).astype("float32"),
    }


def _losses(layer):
    """What it adds to the loss, for fixed inputs where it depends on them."""
    layer(random_inputs(layer, np.random.default_rng(0)))
    return [float(loss) for loss in layer.losses]


def _dropout_rates(layer):
    """What its dropout layers drop: in inference, nothing shows it."""
    return [sublayer.rate for sublayer in layer._flatten_layers() if isinstance(sublayer, keras.layers.Dropout)]


def _high_or_low(model, rng, batch):
    return rng.integers(0, 2, (batch, 1))


def _class_of_each_sample(model, rng, batch):
    return rng.integers(0, model.n_classes, batch)


def _classes(model, rng, batch):
    return rng.integers(0, model.n_classes, batch)


_CLASSIFIER_TRAINING = Training(lambda: {"loss": "sparse_categorical_crossentropy"}, _classes)
_CLASSIFIER_OFF_POLICY = {"probabilities": "softmax in float32; the output leaves the network in float32"}
_UNFIT_INFERENCE = (("inference", {"scale": float("nan")}), ("inference", {1.0, 2.0}))
# For the networks on features of windows.
_SMALL_WINDOW_FEATURES = {"n_windows": 3, "n_channels": 4, "n_bands": 2, "n_face_channels": 5, "n_eye_channels": 6}
_OTHER_WINDOW_FEATURES = {"n_windows": 2, "n_channels": 3, "n_bands": 3, "n_face_channels": 4, "n_classes": 2}
_OTHER_EYES = Given(4, {"modalities": ("eeg", "eye")})
_REJECTED_WINDOW_FEATURES = (
    ("n_windows", 0),
    ("n_channels", 0),
    ("n_bands", 0),
    ("n_face_channels", 0),
    ("n_classes", 1),
    ("inference", {"scale": float("nan")}),
    ("inference", {1.0, 2.0}),
)
_SOFTMAX_OFF_POLICY = {"probabilities": "softmax in float32; the output leaves the network in float32"}

_REJECTED_MODALITIES = (
    ("modalities", ()),
    ("modalities", "eeg"),
    ("modalities", ("eeg", "bio")),
    ("modalities", ("face", "face")),
)
_CLASS_TRAINING = Training(lambda: {"loss": "sparse_categorical_crossentropy"}, _classes)
_VIEWS_OFF_POLICY = {**_SOFTMAX_OFF_POLICY, "views": "the output leaves the network in float32"}


_AVE_LSTM_OUTPUTS = ("visual_probabilities", "audio_probabilities", "eeg_probabilities")


def _classes_of_each_modality(model, rng, batch):
    return dict.fromkeys(_AVE_LSTM_OUTPUTS, _classes(model, rng, batch))


def _classes_and_views(model, rng, batch):
    classes = _classes(model, rng, batch)
    return {"probabilities": classes, "views": classes}


def _classes_of_each_loss(model, rng, batch):
    return dict.fromkeys(("eeg", "face", "importance"), _classes(model, rng, batch))


_FACE_EEG_LSTM_OFF_POLICY = dict.fromkeys(
    ("eeg_probabilities", "face_probabilities", "importance_probabilities", "probabilities"),
    "softmax in float32; the outputs leave the network in float32",
)

_AVE_LSTM_OFF_POLICY = dict.fromkeys(
    ("visual_probabilities", "audio_probabilities", "eeg_probabilities", "probabilities"),
    "softmax in float32; the outputs leave the network in float32",
)

_FACRNN_OFF_POLICY = {
    "probabilities": "softmax in float32; the output leaves the network in float32",
    "features": "the output leaves the network in float32",
}
_SMALL_FACRNN = {"n_steps": 3, "grid_shape": (5, 4), "width_multiplier": 1 / 16, "units": 6}
# Without dropout, which draws other numbers on each backend, so that training can be compared.
_SMALL_FACRNN_VISUAL = {"n_steps": 3, "image_size": 25, "width_multiplier": 1 / 8, "units": 6, "dropout": 0.0}
# 29 x 29 pixels leave 2 x 2 places.
_SMALL_DEEPVANET = {
    "n_frames": 3,
    "image_size": 29,
    "n_samples": 12,
    "n_bio_channels": 4,
    "face_units": 3,
    "bio_units": 5,
    "width_multiplier": 1 / 8,
    "dropout": 0.0,
}
_DEEPVANET_OFF_POLICY = {"probability": "sigmoid in float32; the output leaves the network in float32"}
_FACE_AFFECT_TRAINING = Training(
    lambda: {"loss": "mean_squared_error"}, lambda model, rng, batch: rng.standard_normal((batch, 2))
)
_DEEPVANET_TRAINING = Training(lambda: {"loss": "binary_crossentropy"}, _high_or_low)
_PRIOR_DFCN_OFF_POLICY = {"probabilities": "softmax in float32; the output leaves the network in float32"}
# Small steps: from weights without any normalisation behind them a large one ends in probabilities of less than 1e-7,
# whose gradient Keras drops on some backends.
_PRIOR_DFCN_TRAINING = Training(
    lambda: {"loss": "sparse_categorical_crossentropy", "loss_weights": [0.1]}, _class_of_each_sample
)


def _embedding_targets(model, rng, batch):
    return rng.integers(0, 2, (batch, 3))


def _tiny_encoder(shape, units=3):
    """Any network of pictures or patches to features."""
    inputs = keras.Input(shape)
    hidden = keras.layers.Dense(2, activation="tanh", name="tiny_hidden")(
        keras.layers.Flatten(name="tiny_flatten")(inputs)
    )
    return keras.Model(inputs, keras.layers.Dense(units, name="tiny_output")(hidden))


_TINY_ENCODER_OFF_POLICY = dict.fromkeys(
    ("tiny_flatten", "tiny_hidden", "tiny_output", "visual_encoder"), "a model of its own, with a policy of its own"
)
# Without dropout, which draws other numbers on each backend, so that training can be compared.
_SMALL_MERCL = {
    "n_frames": 2,
    "n_picture_features": 5,
    "n_patches": 3,
    "n_sound_features": 4,
    "n_steps": 9,
    "n_channels": 4,
    "n_bands": 2,
    "units": 6,
    "dropout": 0.0,
}
_OTHER_MERCL = {
    "modalities": ("visual", "eeg"),
    "n_frames": 3,
    "n_picture_features": 4,
    "n_patches": 2,
    "n_sound_features": 3,
    "n_steps": 8,
    "n_channels": 3,
    "n_bands": 3,
    "conformer": "speech",
    "units": 8,
    "dropout": 0.5,
}
_REJECTED_MERCL = (
    ("modalities", ("eeg",)),
    ("modalities", "eeg"),
    ("modalities", ("eeg", "eeg")),
    ("modalities", ("eeg", "face")),
    ("n_frames", 0),
    ("n_picture_features", 0),
    ("n_patches", 0),
    ("n_sound_features", 0),
    ("n_steps", 6),
    ("n_channels", 0),
    ("n_bands", 0),
    ("conformer", "text"),
    ("units", 0),
    ("dropout", 1.0),
)
_MERCL_OFF_POLICY = {"normalization": "embeddings of length 1 in float32; the output leaves the network in float32"}
# Four blocks of one convolution: kernels of 3 steps, gammas and betas; the first also widens its input, with biases.
_MERCL_TCN = {n: (3 * n * 6 + 12) + (n * 6 + 6) + 3 * (3 * 36 + 12) for n in (3, 4, 5, 40)}
_MERCL_CONFORMER = 5 * 2 * 40 + 4 * 40 * 40 + 2 * 40 + (40 * 40 + 40)

# Without dropout, and with draws that are given: both differ between backends, and training is to be compared.
_SMALL_HLSTM = {
    "modalities": ("eeg", "face"),
    "n_frames": 9,
    "n_looks": 5,
    "face_size": 6,
    "image_size": 5,
    "n_bands": 2,
    "filters": (3, 2),
    "width": 6,
    "units": 4,
    "n_levels": 2,
    "attention_units": 3,
    "n_classes": 3,
    "dropout": 0.0,
    "n_rollouts": 2,
    "given_noise": True,
    # Greedy, so small a network looks at the same frames whatever it sees.
    "sample": True,
}
_HLSTM_TRAINING = Training(lambda: {}, _classes)
_IN_FLOAT32 = dict.fromkeys(("cell", "loop", "looking"), "positions are counted in float32")
_HLSTM_OFF_POLICY = {
    **_SOFTMAX_OFF_POLICY,
    **_IN_FLOAT32,
    "policy": "positions are counted in float32",
    "location": "positions are counted in float32",
    "baseline": "rewards in float32",
    "glimpse_dropout": "part of the loop",
}
_LEVEL_ATTENTION = dict.fromkeys(
    ("hidden_attention", "cell_attention", "hidden", "scores"), "differences that half precision cannot tell"
)
_REJECTED_LEVELS = (
    ("units", 0),
    ("n_levels", 0),
    ("attention_units", 0),
    ("level_state", "mean"),
)


def _what_training_shows(model):
    """Its loss and positions in training, for fixed inputs, and what only gradients and saved models show."""
    rng = np.random.default_rng(0)
    inputs = random_inputs(model, rng)
    outputs = model(inputs, training=True)
    loss = float(model.compute_loss(y=_classes(model, rng, 4), y_pred=outputs))
    looking = model.get_layer("looking")
    return (
        loss,
        np.asarray(outputs["positions"]).tolist(),
        looking.policy_gradient,
        looking.loop.unroll,
        model.inference,
    )


ROWS = (
    Row(
        ImageEncoder,
        {"filters": (3, 2), "units": 4},
        inputs=(2, 5, 6, 3),
        alive={"filters": (2, 2), "units": 3},
        rejected=(("filters", ()), ("filters", (3, 0)), ("units", 0)),
        rejected_inputs=((2, 5, 6), (2, 2, None, 6, 3)),
        # 5 x 6 pixels leave 2 x 2 places.
        n_trainable=(27 * 3 + 3) + (27 * 2 + 2) + (8 * 4 + 4),
    ),
    Row(
        BandAttention,
        {"units": 4},
        inputs=[(3, 5), (6,)],
        alive={"units": 3},
        rejected=(("units", 0),),
        rejected_inputs=((2, 3, 5), [(2, 3, 5)], [(2, 3, 5), (2, 3, 6)]),
        n_trainable=(6 * 3 + 3) + (5 * 4 + 4),
    ),
    Row(BandAttention, {"units": 4}, inputs=[(1, 5), (6,)], n_trainable=5 * 4 + 4),
    Row(
        SharedLSTMCell,
        {"units": 5, "n_sequences": 3},
        inputs=(4, 6),
        alive={"units": 4, "n_sequences": 2},
        rejected=(("units", 0), ("n_sequences", 0)),
        wrap=lambda cell: keras.layers.RNN(cell, return_sequences=True, dtype=cell.dtype_policy),
        n_trainable=4 * (2 + 5 + 1) * 5,
    ),
    Row(
        HierarchicalLSTMCell,
        {"units": 5, "n_levels": 2, "level_state": "each", "attention_units": 4},
        inputs=(4, 3),
        alive={"units": 4, "n_levels": 3, "level_attention": False, "level_state": "sum", "attention_units": 3},
        off_policy=_LEVEL_ATTENTION,
        rejected=_REJECTED_LEVELS,
        wrap=lambda cell: keras.layers.RNN(cell, return_sequences=True, dtype=cell.dtype_policy),
        n_trainable=4 * (3 + 5 + 1) * 5 + 4 * (5 + 5 + 1) * 5 + 2 * (5 * 4 + 4 + 4),
    ),
    Row(
        HierarchicalLSTMCell,
        {"units": 4, "n_levels": 2, "level_attention": False},
        inputs=(4, 3),
        wrap=lambda cell: keras.layers.RNN(cell, return_sequences=True, dtype=cell.dtype_policy),
        n_trainable=4 * (3 + 4 + 1) * 4 + 4 * (4 + 4 + 1) * 4,
    ),
    Row(
        HierarchicalLSTM,
        {"units": 5, "n_levels": 2, "level_state": "each", "attention_units": 4, "return_sequences": True},
        inputs=(4, 3),
        alive={
            "units": 4,
            "n_levels": 3,
            "level_attention": False,
            "level_state": "sum",
            "attention_units": 3,
            "return_sequences": False,
        },
        off_policy=_LEVEL_ATTENTION,
        rejected=_REJECTED_LEVELS,
        rejected_inputs=((2, 3), (2, 4, 3, 2)),
        n_trainable=4 * (3 + 5 + 1) * 5 + 4 * (5 + 5 + 1) * 5 + 2 * (5 * 4 + 4 + 4),
    ),
    Row(
        HierarchicalLSTM,
        {"units": 4, "n_levels": 2, "level_attention": False},
        inputs=(4, 3),
        n_trainable=4 * (3 + 4 + 1) * 4 + 4 * (4 + 4 + 1) * 4,
    ),
    Row(
        GaussianFramePolicy,
        {"n_frames": 9, "direction": "any", "sigma": 0.2, "learned_sigma": True},
        inputs=[(3, 4), (3,), (3,)],
        alive={"n_frames": 8, "direction": "forward", "sigma": 0.1, "learned_sigma": False},
        rejected=(("n_frames", 1), ("direction", "back"), ("sigma", 0.0)),
        rejected_inputs=((2, 3, 4), [(2, 3, 4), (2, 3)]),
        off_policy={"location": "positions are counted in float32"},
        n_trainable=4 + 1 + 1,
    ),
    Row(
        VideoEEGHierarchicalLSTM,
        {
            **_SMALL_HLSTM,
            "level_state": "each",
            "sigma": 0.2,
            "learned_sigma": True,
            "policy_gradient": "all",
            "level_penalty": 0.5,
            "reward_weight": 2.0,
            "reward_right": 2.0,
            "reward_wrong": -1.0,
            "sparsity_weight": -0.1,
            "inference": {"label_rule": "> 5"},
        },
        alive={
            "modalities": ("face",),
            "n_frames": 8,
            "n_looks": 4,
            "face_encoder": "alexnet",
            "face_size": 8,
            "n_face_features": Given(4, {"face_encoder": "alexnet"}),
            "image_size": 7,
            "n_bands": 3,
            "filters": (2, 2),
            "width": 5,
            "units": 5,
            "n_levels": 3,
            "level_attention": False,
            "level_state": "sum",
            "attention_units": 4,
            "n_classes": 2,
            "dropout": 0.5,
            "looking": "uniform",
            "direction": "any",
            "sigma": 0.1,
            "learned_sigma": False,
            "policy_gradient": "head",
            "level_penalty": 1.0,
            "reward_weight": 1.0,
            "reward_right": 1.0,
            "reward_wrong": -2.0,
            "sparsity_weight": -0.01,
            "baseline": None,
            "n_rollouts": 1,
            "sample": False,
            "given_noise": False,
            "unroll": True,
            "inference": {"label_rule": ">= 5"},
        },
        rejected=(
            ("modalities", ()),
            ("modalities", "eeg"),
            ("modalities", ("eeg", "bio")),
            ("n_frames", 1),
            ("n_looks", 1),
            ("face_encoder", "vit"),
            ("face_size", 0),
            ("n_face_features", 0),
            ("image_size", 0),
            ("n_bands", 0),
            ("filters", ()),
            ("width", 0),
            *_REJECTED_LEVELS,
            ("n_classes", 1),
            ("dropout", 1.0),
            ("looking", "random"),
            ("direction", "back"),
            ("sigma", 0.0),
            ("policy_gradient", "none"),
            ("level_penalty", -1.0),
            ("reward_weight", -1.0),
            ("sparsity_weight", 0.1),
            ("baseline", "mean"),
            ("n_rollouts", 0),
            *_UNFIT_INFERENCE,
        ),
        off_policy={**_HLSTM_OFF_POLICY, **_LEVEL_ATTENTION},
        observed=_what_training_shows,
        training=_HLSTM_TRAINING,
        n_trainable=(27 * 3 + 3)
        + (27 * 2 + 2)
        + (2 * 2 * 2 * 6 + 6)  # 6 x 6 pixels leave 2 x 2 places
        + (9 * 3 + 3)
        + (27 * 2 + 2)
        + (2 * 2 * 2 * 6 + 6)
        + (6 * 6 + 6)  # projection of the face
        + (4 * 2 + 2)  # scores of the bands
        + (6 * 6 + 6)
        + 4 * (6 + 4 + 1) * 4  # glimpse
        + 4 * (8 + 4 + 1) * 4
        + 4 * (4 + 4 + 1) * 4
        + 2 * (4 * 3 + 3 + 3)
        + (4 + 1 + 1)  # policy
        + (4 + 1)  # baseline
        + (4 * 3 + 3),
        # The penalty is a sum of squares of the deviations of attention from 1 / L, which are wrong by 2 to 3 %; how
        # much exactly, depends on the processor's order of summation.
        bfloat16_tolerance=0.1,
    ),
    Row(
        VideoEEGHierarchicalLSTM,
        {
            **_SMALL_HLSTM,
            "modalities": ("face",),
            "face_encoder": "alexnet",
            "n_face_features": 5,
            "direction": "any",
            "sigma": 0.5,
            "n_rollouts": 1,
            "level_attention": False,
            "baseline": None,
            "unroll": True,
        },
        off_policy={name: why for name, why in _HLSTM_OFF_POLICY.items() if name != "baseline"},
        training=_HLSTM_TRAINING,
        n_trainable=(5 * 6 + 6)
        + 4 * (6 + 4 + 1) * 4
        + 4 * (4 + 4 + 1) * 4
        + 4 * (4 + 4 + 1) * 4
        + (4 + 1)
        + (4 * 3 + 3),
    ),
    Row(
        VideoEEGHierarchicalLSTM,
        {**_SMALL_HLSTM, "modalities": ("eeg",), "looking": "uniform", "given_noise": False},
        off_policy={**_SOFTMAX_OFF_POLICY, **_IN_FLOAT32, **_LEVEL_ATTENTION, "glimpse_dropout": "part of the loop"},
        training=_HLSTM_TRAINING,
    ),
    Row(
        VideoEEGHierarchicalLSTM,
        {
            **_SMALL_HLSTM,
            "modalities": ("eeg",),
            "looking": "uniform",
            "given_noise": False,
            "channel_names": ("Fz", "C3", "C4", "Pz"),
            "electrode_directions": (None, (-0.7, 0.0, 0.7), None, None),
        },
        alive={"channel_names": ("Fz", "T7", "C4", "Oz"), "electrode_directions": None},
        off_policy={**_SOFTMAX_OFF_POLICY, **_IN_FLOAT32, **_LEVEL_ATTENTION, "glimpse_dropout": "part of the loop"},
        training=_HLSTM_TRAINING,
    ),
    Row(
        MERCLEncoder,
        _SMALL_MERCL,
        alive={
            **_OTHER_MERCL,
            "picture_encoder": _tiny_encoder((4, 4, 3)),
            "sound_encoder": _tiny_encoder((4, 3)),
        },
        rejected=(
            *_REJECTED_MERCL,
            ("picture_encoder", "vit"),
            ("picture_encoder", _tiny_encoder((4, 3))),
            ("sound_encoder", _tiny_encoder((4, 4, 3))),
        ),
        off_policy=_MERCL_OFF_POLICY,
        observed=_dropout_rates,
        training=Training(lambda: {"loss": MERCLLoss()}, _embedding_targets),
        n_trainable=_MERCL_CONFORMER + sum(_MERCL_TCN[n] for n in (5, 4, 40)) + 3 * 6 * 6,
    ),
    Row(
        MERCLEncoder,
        {
            **_SMALL_MERCL,
            "modalities": ("visual", "eeg"),
            "conformer": "speech",
            "picture_encoder": _tiny_encoder((4, 4, 3)),
            "sound_encoder": _tiny_encoder((4, 3)),
        },
        off_policy={**_MERCL_OFF_POLICY, **_TINY_ENCODER_OFF_POLICY},
        training=Training(lambda: {"loss": MERCLLoss(modalities=("visual", "eeg"))}, _embedding_targets),
    ),
    Row(
        MERCL,
        {**_SMALL_MERCL, "n_classes": 3, "n_heads": 2, "inference": {"label_rule": "> 5"}},
        alive={
            **_OTHER_MERCL,
            "picture_encoder": _tiny_encoder((4, 4, 3)),
            "sound_encoder": _tiny_encoder((4, 3)),
            "n_classes": 2,
            "cross_modal_attention": False,
            "n_heads": 3,
            "freeze_encoders": True,
            "inference": {"label_rule": ">= 5"},
        },
        rejected=(*_REJECTED_MERCL, ("n_classes", 1), ("n_heads", 0), ("n_heads", 4), *_UNFIT_INFERENCE),
        off_policy=_CLASSIFIER_OFF_POLICY,
        observed=lambda model: (model.inference, _dropout_rates(model), len(model.trainable_weights)),
        training=_CLASSIFIER_TRAINING,
        n_trainable=_MERCL_CONFORMER
        + sum(_MERCL_TCN[n] for n in (5, 4, 40))
        + 6 * 4 * 36  # attention
        + (6 * 6 * 6 + 6)
        + (6 * 3 + 3),
    ),
    Row(
        MERCL,
        {
            **_SMALL_MERCL,
            "modalities": ("visual", "audio"),
            "picture_encoder": _tiny_encoder((4, 4, 3)),
            "sound_encoder": _tiny_encoder((4, 3)),
            "conformer": "speech",
            "cross_modal_attention": False,
            "n_heads": 1,
        },
        off_policy={
            **_CLASSIFIER_OFF_POLICY,
            **_TINY_ENCODER_OFF_POLICY,
            "audio_encoder": _TINY_ENCODER_OFF_POLICY["visual_encoder"],
        },
        training=_CLASSIFIER_TRAINING,
        n_trainable=(48 * 2 + 2) + (12 * 2 + 2) + 2 * (2 * 3 + 3) + 2 * _MERCL_TCN[3] + (2 * 6 * 6 + 6) + (6 * 2 + 2),
    ),
    Row(
        MERCL,
        {
            "modalities": ("audio", "eeg"),
            "n_steps": 114,
            "n_channels": 2,
            "n_bands": None,
            "units": 4,
            "dropout": 0.0,
            "freeze_encoders": True,
        },
        rejected=(("n_steps", 98),),
        off_policy=_CLASSIFIER_OFF_POLICY,
        training=_CLASSIFIER_TRAINING,
    ),
    Row(
        EEGConformerConvolution,
        {"filters": 4, "kernel_size": 3, "pool_size": 3, "pool_stride": 2, "dropout": 0.25},
        inputs=(11, 5, 2),
        alive={"filters": 3, "kernel_size": 4, "pool_size": 4, "pool_stride": 1, "dropout": 0.5},
        rejected=(("filters", 0), ("kernel_size", 0), ("pool_size", 0), ("pool_stride", 0), ("dropout", 1.0)),
        rejected_inputs=((2, 11, 5), (2, 4, 5, 2)),
        observed=_dropout_rates,
        n_trainable=3 * 2 * 4 + 5 * 4 * 4 + 2 * 4 + (4 * 4 + 4),
    ),
    Row(
        SpeechConformerConvolution,
        {"units": 4, "kernel_size": 3, "expansion": 2, "dropout": 0.25},
        inputs=(6, 5, 2),
        alive={"units": 3, "kernel_size": 4, "expansion": 3, "dropout": 0.5},
        rejected=(("units", 0), ("kernel_size", 0), ("expansion", 0), ("dropout", 1.0)),
        rejected_inputs=((2, 6, 5), (2, 6, 5, 2, 1)),
        observed=_dropout_rates,
        n_trainable=(5 * 2 * 4 + 4)
        + 2 * (2 * 4 + (4 * 8 + 8) + (8 * 4 + 4))  # feed-forward modules
        + 2 * 4
        + (4 * 8 + 8)
        + 3 * 4
        + 2 * 4
        + (4 * 4 + 4)
        + 2 * 4,
    ),
    Row(
        CrossModalPrior,
        {"units": 3, "transpose": True},
        inputs=[(2, 3, 2), (2, 4, 1)],
        alive={"units": 2, "transpose": False, "prior": Given("product", {"transpose": False})},
        rejected=(("units", 0), ("prior", "mean")),
        rejected_inputs=(
            (2, 3, 4, 5),
            [(2, 3, 4, 5)],
            [(2, 3, 4), (2, 3, 4, 1)],
            [(2, 3, 4, 5), (2, 3, 4)],
            [(2, 3, 4, 5), (2, 2, 4, 1)],
            [(2, 3, None, 5), (2, 3, 4, 1)],
            [(2, 3, 4, 5), (2, 3, 4, 1), (2, 3, 4, 1)],
        ),
    ),
    Row(
        CrossModalPrior,
        {"prior": "product"},
        inputs=[(2, 3, 2), (2, 4, 3)],
        rejected=(("transpose", True),),
    ),
    Row(
        Conv2D,
        {"filters": 3, "kernel_size": (3, 2), "method": "fourier", "padding": "same"},
        inputs=(4, 5, 2),
        alive={"filters": 2, "kernel_size": 2, "method": "direct"},
        rejected=(("method", "fft"), ("filters", 0)),
        n_trainable=3 * 2 * 2 * 3 + 3,
    ),
    Row(Conv2D, {"filters": 3, "kernel_size": 3}, inputs=(4, 5, 2), rejected=(("method", "fourier"),)),
    Row(
        ConvLSTM2D,
        {"filters": 3, "kernel_size": (3, 2), "method": "fourier", "padding": "same"},
        inputs=(3, 4, 5, 2),
        alive={"filters": 2, "kernel_size": 2, "method": "direct"},
        rejected=(("method", "fft"), ("filters", 0)),
        n_trainable=3 * 2 * (2 + 3) * 12 + 12,
    ),
    Row(
        ConvLSTM2D,
        {"filters": 2, "kernel_size": 3, "padding": "same", "dropout": 0.5},
        inputs=(2, 4, 5, 2),
        rejected=(("method", "fourier"),),
    ),
    Row(
        MaxPooling2D,
        {"pool_size": (3, 2), "strides": (1, 2)},
        inputs=(5, 7, 2),
        alive={"pool_size": 2, "strides": 2},
        rejected=(("pool_size", 0), ("strides", -1)),
        n_trainable=0,
    ),
    Row(
        AdaptiveGraph,
        {"distance_weight": 0.5, "sparsity_weight": 0.2, "kernel_initializer": "ones"},
        inputs=(2, 4, 3),
        alive={"distance_weight": 1.0, "sparsity_weight": 1e-4, "kernel_initializer": None},
        rejected=(("distance_weight", -1.0), ("sparsity_weight", -1.0)),
        rejected_inputs=((2, 3), (2, 2, 2, 4, 3)),
        observed=_losses,
        n_trainable=3,
    ),
    Row(AdaptiveGraph, {}, inputs=(4, 5), n_trainable=5),
    Row(
        NearestNeighborGraph,
        {"n_neighbors": 2, "kernel_width": 0.7},
        inputs=(2, 5, 3),
        alive={"n_neighbors": 1, "kernel_width": 2.0},
        rejected=(("n_neighbors", 0), ("kernel_width", 0.0)),
        rejected_inputs=((2, 3), (2, 1, 3), (2, None, 3)),
    ),
    # More neighbors than there are.
    Row(NearestNeighborGraph, {}, inputs=(4, 2)),
    Row(
        PairwiseAttention,
        {"axis": "channels", "kernel_initializer": "he_normal", "bias_initializer": "ones"},
        inputs=(2, 4, 3),
        alive={"axis": "steps", "kernel_initializer": "ones", "bias_initializer": "zeros"},
        rejected=(("axis", "bands"),),
        rejected_inputs=((2, 4, 3), (2, 2, None, 3)),
        # Sums over 2 steps and 3 features, the pairs of both, and two of 4 x 4.
        n_trainable=2 + 3 + 3 * 2 + 2 * 4 * 4,
    ),
    Row(PairwiseAttention, {"axis": "steps"}, inputs=(2, 4, 3), n_trainable=4 + 3 + 3 * 4 + 2 * 2 * 2),
    Row(
        PairwiseCrossModalAttention,
        {"units": 6, "n_heads": 3},
        inputs=[(4, 5), (3, 2), (2, 5)],
        alive={"units": 9, "n_heads": 2},
        rejected=(("units", 0), ("n_heads", 0), ("n_heads", 4)),
        rejected_inputs=((2, 4, 5), [(2, 4, 5)], [(2, 4, 5), (2, 4)]),
        # Each pair: queries of one modality, keys and values of the other, and the output.
        n_trainable=(2 * (5 + 2 * 2) + 2 * (2 + 2 * 5) + 2 * (5 + 2 * 5)) * 6 + 6 * 6 * 6,
    ),
    Row(
        ChebyshevGraphConvolution,
        {
            "filters": 4,
            "n_polynomials": 3,
            "activation": "tanh",
            "adjacency_decay": 0.5,
            "adjacency_initializer": "ones",
            "kernel_initializer": "he_normal",
            "bias_initializer": "ones",
        },
        inputs=(5, 3),
        alive={
            "filters": 3,
            "n_polynomials": 2,
            "activation": "relu",
            "use_bias": False,
            "largest_eigenvalue": 20.0,
            "adjacency_decay": 0.0,
            "adjacency_initializer": None,
            "kernel_initializer": "ones",
            "bias_initializer": "zeros",
        },
        rejected=(
            ("filters", 0),
            ("n_polynomials", 0),
            ("largest_eigenvalue", 0.0),
            ("adjacency_decay", -1.0),
        ),
        rejected_inputs=((2, 5), (2, 3, 4, 5, 3), (2, None, 3), [(2, 5, 3), (2, 5, 4)], [(2, 5, 3)]),
        observed=_losses,
        # Kernels of 3 polynomials, the bias, the graph.
        n_trainable=3 * 3 * 4 + 4 + 5 * 5,
    ),
    Row(
        ChebyshevGraphConvolution,
        {"filters": 4, "n_polynomials": 3, "use_bias": False, "largest_eigenvalue": 9.0},
        inputs=[(2, 5, 3), (2, 5, 5), (5, 5)],
        n_trainable=3 * 3 * 4,
    ),
    Row(
        ECABandAttention,
        {"kernel_size": 4, "gamma": 1, "b": 2, "kernel_initializer": "he_normal"},
        inputs=(3, 4, 5),
        alive={
            "kernel_size": 2,
            "gamma": Given(5, {"kernel_size": None}),
            "b": Given(4, {"kernel_size": None}),
            "kernel_initializer": "ones",
        },
        rejected=(("kernel_size", 0), ("gamma", 0)),
        rejected_inputs=((2, 3, 4), (2, 2, 2, 3, 3, 4)),
    ),
    Row(ECABandAttention, {"kernel_size": 3}, inputs=(2, 3, 4, 5)),
    Row(
        FeatureScaling,
        {"axes": (-2, -1)},
        inputs=(4, 3, 2),
        alive={"axes": (-1,)},
        rejected=(("axes", (-1, 0)), ("axes", ()), ("axes", (-1, -1))),
        rejected_inputs=((5, 3), (5, None, 2)),
    ),
    Row(
        PrincipalComponents,
        {"n_components": 2},
        inputs=(4, 3),
        alive={"n_components": 1},
        rejected=(("n_components", 0),),
        rejected_inputs=((5, 1), (5, None)),
        n_trainable=0,
    ),
    Row(
        NonLocal3D,
        {"inner_channels": 3, "subsampling": True},
        inputs=(2, 3, 4, 2),
        alive={"inner_channels": None, "subsampling": False},
        rejected=(("inner_channels", 0),),
        # The block starts as the identity, whatever it attends to.
        observed=lambda layer: layer(np.ones((1, 2, 3, 4, 2)), return_attention_scores=True)[1].shape,
        rejected_inputs=((2, 3, 4, 5), (2, 3, None, 4, 2)),
    ),
    Row(
        ModalityAttention,
        {"kernel_initializer": "he_normal"},
        inputs=(2, 5),
        alive={"kernel_initializer": "ones"},
        rejected_inputs=((2, 5),),
    ),
    Row(ModalityAttention, {}, inputs=(4, 3, 5)),
    Row(
        MultimodalLSTM,
        {"units": 4},
        inputs=[(5, 3), (5, 2)],
        alive={"units": 3},
        rejected=(("units", 0),),
        rejected_inputs=((2, 5, 3), [(2, 5), (2, 5, 3)], [(2, 5, 3), (2, 4, 3)]),
    ),
    Row(
        PeepholeLSTMCell,
        {
            "units": 5,
            "kernel_initializer": "he_normal",
            "recurrent_initializer": "glorot_normal",
            "peephole_initializer": "ones",
            "bias_initializer": "ones",
            "unit_forget_bias": False,
        },
        inputs=(4, 3),
        alive={
            "units": 3,
            "kernel_initializer": "zeros",
            "recurrent_initializer": "zeros",
            "peephole_initializer": "zeros",
            "bias_initializer": "zeros",
            "unit_forget_bias": Given(True, {"bias_initializer": "zeros"}),
        },
        rejected=(("units", 0),),
        wrap=lambda cell: keras.layers.RNN(cell, return_sequences=True, dtype=cell.dtype_policy),
    ),
    Row(
        ResidualBlock3D,
        {"filters": 3},
        inputs=(3, 2, 4, 2),
        alive={"filters": 2},
        rejected=(("filters", 0),),
        rejected_inputs=((2, 3, 4, 5),),
    ),
    Row(
        StepSelfAttention,
        {"kernel_initializer": "he_normal", "bias_initializer": "ones"},
        inputs=(4, 5),
        alive={"kernel_initializer": "ones", "bias_initializer": "zeros"},
        rejected_inputs=((2, 5), (2, 3, 4, 5)),
    ),
    Row(
        TemporalBlock,
        {
            "filters": 4,
            "kernel_size": 2,
            "dilation_rates": (1, 3),
            "padding": "same",
            "normalization": "layer",
            "dropout": 0.25,
            "activation": "elu",
            "output_activation": "tanh",
        },
        inputs=(7, 3),
        alive={
            "filters": 5,
            "kernel_size": 3,
            "dilation_rates": (1, 2),
            "padding": "causal",
            "normalization": "batch",
            "dropout": 0.5,
            "activation": "relu",
            "output_activation": None,
        },
        rejected=(
            ("filters", 0),
            ("kernel_size", 0),
            ("dilation_rates", ()),
            ("dilation_rates", (1, 0)),
            ("dilation_rates", 2),
            ("padding", "valid"),
            ("normalization", "weight"),
            ("dropout", 1.0),
            ("dropout", -0.1),
        ),
        rejected_inputs=((2, 3), (2, 3, 4, 5)),
        observed=_dropout_rates,
    ),
    Row(TemporalBlock, {"filters": 5}, inputs=(6, 5)),
    Row(
        ResidualTCN,
        {
            "filters": 4,
            "dilation_rates": ((1, 3), (2,)),
            "kernel_size": 2,
            "padding": "same",
            "normalization": "layer",
            "dropout": 0.25,
            "activation": "elu",
            "output_activation": "tanh",
        },
        inputs=(7, 3),
        alive={
            "filters": 5,
            "dilation_rates": ((1, 3), (1,)),
            "kernel_size": 3,
            "padding": "causal",
            "normalization": "batch",
            "dropout": 0.5,
            "activation": "relu",
            "output_activation": None,
        },
        rejected=(
            ("filters", 0),
            ("dilation_rates", ()),
            ("dilation_rates", (1, 2)),
            ("dilation_rates", ((1,), (0,))),
            ("dilation_rates", 2),
            ("kernel_size", 0),
            ("padding", "valid"),
            ("normalization", "weight"),
            ("dropout", 1.0),
            ("share_modules", True),
        ),
        rejected_inputs=((2, 3), (2, 3, 4, 5)),
        observed=_dropout_rates,
    ),
    Row(ResidualTCN, {"filters": 4, "share_modules": True}, inputs=(6, 3), alive={"share_modules": False}),
    Row(ResidualTCN, {"filters": 3, "share_modules": True, "normalization": "layer"}, inputs=(6, 3)),
    Row(
        FACRNNEEGNetwork,
        {
            **_SMALL_FACRNN,
            "n_bands": 8,
            "n_classes": 3,
            "band_attention_kernel_size": 4,
            "cell": "peephole",
            "dense_activation": "relu",
            "distillation_features": "lstm",
            "inference": {"bands_hz": {"theta": [4.0, 7.0]}, "label_rule": "> 5"},
        },
        alive={
            "n_steps": 2,
            "grid_shape": (4, 5),
            "n_bands": 3,
            "n_classes": 2,
            "band_attention": False,
            "band_attention_kernel_size": None,
            "self_attention": False,
            "cell": "lstm",
            "dense_activation": None,
            "width_multiplier": 1 / 8,
            "units": 4,
            "distillation_features": "attention",
            "scale_features": False,
            "inference": {"label_rule": ">= 5"},
        },
        rejected=(
            ("n_steps", 0),
            ("grid_shape", (1, 9)),
            ("grid_shape", (9, 9, 9)),
            ("n_bands", 0),
            ("n_classes", 1),
            ("cell", "gru"),
            ("dense_activation", "tanh"),
            ("width_multiplier", 0),
            ("units", 0),
            ("distillation_features", "cnn"),
            ("inference", {"scale": float("nan")}),
            ("inference", {1.0, 2.0}),
        ),
        rejected_inputs=({"eeg": (2, 3, 5, 4)}, {"eeg": (2, 2, 5, 4, 8)}),
        off_policy=_FACRNN_OFF_POLICY,
        observed=lambda model: model.inference,
        training=Training(distillation_losses, _facrnn_targets),
    ),
    Row(
        FACRNNEEGNetwork,
        {**_SMALL_FACRNN, "n_bands": 5, "band_attention": False, "self_attention": False, "scale_features": False},
        off_policy=_FACRNN_OFF_POLICY,
        training=Training(lambda: distillation_losses(teacher=False), _facrnn_targets),
    ),
    Row(
        FACRNNEEGNetwork,
        _SMALL_FACRNN,
        off_policy=_FACRNN_OFF_POLICY,
        training=Training(
            lambda: distillation_losses(rho=0.6, distillation_weight=1.5, step_reduction="mean"), _facrnn_targets
        ),
    ),
    Row(
        FACRNNRegressor,
        {**_SMALL_FACRNN, "n_bands": 5, "self_attention": True, "inference": {"rating": "arousal"}},
        alive={
            "n_steps": 2,
            "grid_shape": (4, 5),
            "n_bands": 3,
            "self_attention": False,
            "width_multiplier": 1 / 8,
            "units": 4,
            "inference": {"rating": "continuous_valence"},
        },
        rejected=(("n_steps", 0), ("grid_shape", (1, 9)), ("inference", {"values": {1}})),
        off_policy=dict.fromkeys(("features", "values"), "the output leaves the network in float32"),
        training=Training(
            lambda: {"loss": ConcordanceLoss()},
            lambda model, rng, batch: rng.standard_normal((batch, model.n_steps)).astype("float32"),
        ),
        observed=lambda model: model.inference,
    ),
    Row(
        FACRNNVisualNetwork,
        {
            **_SMALL_FACRNN_VISUAL,
            "n_classes": 3,
            "padding": "same",
            "share_modules": True,
            "normalization": "layer",
            "inference": {"frame_rate_hz": 2.0, "label_rule": "> 0"},
        },
        alive={
            "n_steps": 2,
            "image_size": 36,
            "n_classes": 2,
            "width_multiplier": 1 / 4,
            "units": 4,
            "padding": "causal",
            "share_modules": False,
            "dropout": 0.5,
            "normalization": "batch",
            "inference": {"label_rule": ">= 0"},
        },
        rejected=(
            ("n_steps", 0),
            ("image_size", 11),
            ("n_classes", 1),
            ("width_multiplier", 0),
            ("units", 0),
            ("padding", "valid"),
            ("dropout", 1.0),
            ("normalization", "weight"),
            ("inference", {"scale": float("nan")}),
            ("inference", {1.0, 2.0}),
        ),
        rejected_inputs=({"faces": (2, 3, 25, 25)}, {"faces": (2, 2, 25, 25, 3)}),
        off_policy=_FACRNN_OFF_POLICY,
        observed=lambda model: (model.inference, _dropout_rates(model)),
        training=Training(lambda: distillation_losses(teacher=False), _facrnn_targets),
    ),
    Row(
        FACRNNVisualNetwork,
        _SMALL_FACRNN_VISUAL,
        off_policy=_FACRNN_OFF_POLICY,
        training=Training(lambda: distillation_losses(teacher=False), _facrnn_targets),
    ),
    Row(
        DeepVANet,
        {
            **_SMALL_DEEPVANET,
            "pixel_maximum": 2.0,
            "inference": {"sampling_rate_hz": 128.0, "label_rule": "< 5"},
        },
        alive={
            "modalities": ("bio",),
            "n_frames": 2,
            "image_size": 37,
            "n_samples": 13,
            "n_bio_channels": 3,
            "face_units": 4,
            "bio_units": 4,
            "width_multiplier": 1 / 4,
            "dropout": 0.5,
            "pixel_maximum": 1.0,
            "inference": {"label_rule": "<= 5"},
        },
        rejected=(
            ("modalities", ()),
            ("modalities", "faces"),
            ("modalities", ("faces", "eeg")),
            ("modalities", ("bio", "bio")),
            ("n_frames", 0),
            ("image_size", 20),
            ("n_samples", 8),
            ("n_bio_channels", 0),
            ("face_units", 0),
            ("bio_units", 0),
            ("width_multiplier", 0),
            ("dropout", 1.0),
            ("dropout", -0.1),
            ("pixel_maximum", 0),
            ("inference", {"scale": float("nan")}),
            ("inference", {1.0, 2.0}),
        ),
        off_policy=_DEEPVANET_OFF_POLICY,
        observed=lambda model: (model.inference, _dropout_rates(model)),
        training=_DEEPVANET_TRAINING,
    ),
    Row(
        DeepVANet,
        {**_SMALL_DEEPVANET, "modalities": ("faces",)},
        rejected_inputs=({"faces": (2, 3, 29, 29)}, {"faces": (2, 2, 29, 29, 3)}, {"faces": (2, 3, 3, 29, 29)}),
        off_policy=_DEEPVANET_OFF_POLICY,
        training=_DEEPVANET_TRAINING,
    ),
    Row(
        DeepVANet,
        {**_SMALL_DEEPVANET, "modalities": ("bio",)},
        rejected_inputs=({"bio": (2, 12)}, {"bio": (2, 4, 12)}),
        off_policy=_DEEPVANET_OFF_POLICY,
        training=_DEEPVANET_TRAINING,
    ),
    Row(
        FaceAffectNetwork,
        {
            "image_size": 29,
            "units": 6,
            "width_multiplier": 1 / 8,
            "dropout": 0.0,
            "pixel_maximum": 2.0,
            "inference": {"ratings": [-10, 10]},
            "rating_range": (-2.0, 3.0),
        },
        alive={
            "image_size": 37,
            "units": 5,
            "width_multiplier": 1 / 4,
            "dropout": 0.5,
            "pixel_maximum": 1.0,
            "inference": {"ratings": [-1, 1]},
            "rating_range": (0.0, 1.0),
        },
        rejected=(
            ("image_size", 20),
            ("units", 0),
            ("width_multiplier", 0),
            ("dropout", 1.0),
            ("pixel_maximum", -1.0),
            ("inference", {"scale": float("nan")}),
            ("rating_range", (1.0, 1.0)),
            ("rating_range", (0.0, float("inf"))),
        ),
        rejected_inputs=({"faces": (2, 29, 29)}, {"faces": (2, 28, 29, 3)}),
        off_policy={
            "share_of_range": "a saturating function runs in float32",
            "ratings": "the output leaves the network in float32",
        },
        observed=lambda model: (model.inference, _dropout_rates(model)),
        training=_FACE_AFFECT_TRAINING,
    ),
    Row(
        FaceAffectNetwork,
        {"image_size": 29, "units": 6, "width_multiplier": 1 / 8, "dropout": 0.0},
        rejected_inputs=({"faces": (2, 29, 29)}, {"faces": (2, 28, 29, 3)}),
        off_policy={"ratings": "the output leaves the network in float32"},
        training=_FACE_AFFECT_TRAINING,
    ),
    Row(
        PriorDFCN,
        {
            "n_windows": 4,
            "n_channels": 4,
            "n_bands": 3,
            "n_face_channels": 2,
            "n_classes": 3,
            "transpose_prior": True,
            "prior_units": 3,
            "widths": (2,),
            "pool_sizes": ((2, 2, 2),),
            "non_local_after": 1,
            "inference": {"window_seconds": 3.0, "label_rule": "> 5"},
        },
        alive={
            "n_windows": 5,
            "n_channels": 5,
            "n_bands": 4,
            "n_face_channels": 3,
            "n_classes": 2,
            "prior": Given(None, {"transpose_prior": False}),
            "transpose_prior": False,
            "prior_units": 2,
            "stfenet": False,
            "widths": (3,),
            "pool_sizes": ((1, 2, 2),),
            "non_local_after": None,
            "inference": {"label_rule": ">= 5"},
        },
        rejected=(
            ("n_windows", 0),
            ("n_channels", 0),
            ("n_bands", 0),
            ("n_face_channels", 0),
            ("n_classes", 1),
            ("prior", "mean"),
            ("prior_units", 0),
            ("widths", ()),
            ("widths", (0,)),
            ("widths", 16),
            ("pool_sizes", ((2, 2, 2), (1, 1, 1))),
            ("pool_sizes", ((2, 2),)),
            ("pool_sizes", (2, 2, 2)),
            ("pool_sizes", ((0, 2, 2),)),
            ("pool_sizes", ((5, 2, 2),)),
            ("non_local_after", 0),
            ("non_local_after", 2),
            ("inference", {"scale": float("nan")}),
            ("inference", {1.0, 2.0}),
        ),
        off_policy=_PRIOR_DFCN_OFF_POLICY,
        observed=lambda model: model.inference,
        training=_PRIOR_DFCN_TRAINING,
        # Prior: map 2 x 4, two of 3 x 3 and two of 1 x 3. Block: 27 + 54 weights for each of 2 filters, their biases,
        # 1 x 2 around them. Non-local block: four of 2 x 1. Head: 2 x 2 x 2 x 2 values for each of 3 classes, biases.
        n_trainable=(8 + 18 + 6) + (81 * 2 + 4 + 2) + 8 + (16 * 3 + 3),
    ),
    Row(
        PriorDFCN,
        {"n_windows": 2, "n_channels": 3, "prior": None, "stfenet": False},
        rejected=(("transpose_prior", True),),
        rejected_inputs=({"connectivity": (2, 2, 3)}, {"connectivity": (2, 3, 3, 3)}),
        off_policy=_PRIOR_DFCN_OFF_POLICY,
        training=_PRIOR_DFCN_TRAINING,
        n_trainable=2 * 3 * 3 * 2 + 2,
    ),
    Row(
        DGCNN,
        {
            "n_channels": 5,
            "n_features": 3,
            "n_classes": 3,
            "filters": 4,
            "n_polynomials": 3,
            "hidden_units": 6,
            "adjacency_decay": 0.5,
            "inference": {"bands_hz": {"theta": [4.0, 7.0]}, "label_rule": "> 5"},
        },
        alive={
            "n_channels": 4,
            "n_features": 2,
            "n_classes": 2,
            "filters": 3,
            "n_polynomials": 2,
            "hidden_units": None,
            "adjacency_decay": 0.0,
            "scale_features": False,
            "inference": {"label_rule": ">= 5"},
        },
        rejected=(
            ("n_channels", 1),
            ("n_features", 0),
            ("n_classes", 1),
            ("filters", 0),
            ("n_polynomials", 0),
            ("hidden_units", 0),
            ("adjacency_decay", -1.0),
            *_UNFIT_INFERENCE,
        ),
        rejected_inputs=({"eeg": (2, 5)}, {"eeg": (2, 3, 5)}),
        off_policy=_CLASSIFIER_OFF_POLICY,
        observed=lambda model: (model.inference, _losses(model)),
        training=_CLASSIFIER_TRAINING,
        # Graph convolution (kernels, bias, graph), hidden layer, classifier.
        n_trainable=(3 * 3 * 4 + 4 + 5 * 5) + (5 * 4 * 6 + 6) + (6 * 3 + 3),
    ),
    Row(
        DGCNN,
        {"n_channels": 4, "n_features": 2, "filters": 3, "hidden_units": None, "scale_features": False},
        off_policy=_CLASSIFIER_OFF_POLICY,
        training=_CLASSIFIER_TRAINING,
        n_trainable=(2 * 2 * 3 + 3 + 4 * 4) + (4 * 3 * 2 + 2),
    ),
    Row(
        DCCA,
        {
            **_SMALL_WINDOW_FEATURES,
            "n_classes": 3,
            "hidden_units": (6, 4),
            "units": 3,
            "eeg_weight": 0.7,
            "inference": {"bands_hz": {"theta": [4.0, 8.0]}, "label_rule": "> 5"},
        },
        alive={
            **_OTHER_WINDOW_FEATURES,
            "modalities": ("eeg", "eye"),
            "n_eye_channels": _OTHER_EYES,
            "hidden_units": (4,),
            "units": 2,
            "fusion": "attention",
            "eeg_weight": 0.3,
            "inference": {"label_rule": ">= 5"},
        },
        rejected=(
            *_REJECTED_WINDOW_FEATURES,
            *_REJECTED_MODALITIES,
            ("n_eye_channels", 0),
            ("modalities", ("eeg",)),
            ("modalities", ("eeg", "face", "eye")),
            ("hidden_units", (4, 0)),
            ("units", 0),
            ("fusion", "concatenation"),
            ("eeg_weight", -0.1),
            ("eeg_weight", 1.1),
        ),
        n_trainable=(8 * 6 + 6) + (5 * 6 + 6) + 2 * ((6 * 4 + 4) + (4 * 3 + 3)) + (3 * 3 + 3),
        off_policy=_VIEWS_OFF_POLICY,
        observed=lambda model: model.inference,
        training=Training(lambda: correlation_losses(correlation_weight=0.5, regularisation=0.1), _classes_and_views),
    ),
    Row(
        DCCA,
        {**_SMALL_WINDOW_FEATURES, "modalities": ("eeg", "eye"), "hidden_units": (), "units": 3, "fusion": "attention"},
        n_trainable=(8 * 3 + 3) + (6 * 3 + 3) + 3 + (3 * 2 + 2),
        off_policy=_VIEWS_OFF_POLICY,
        training=Training(lambda: correlation_losses(regularisation=0.1), _classes_and_views),
    ),
    Row(
        MMResLSTM,
        {
            **_SMALL_WINDOW_FEATURES,
            "n_classes": 3,
            "n_layers": 3,
            "units": 4,
            "dropout": 0.0,
            "inference": {"bands_hz": {"theta": [4.0, 8.0]}, "label_rule": "> 5"},
        },
        alive={
            "modalities": ("eeg",),
            **_OTHER_WINDOW_FEATURES,
            "n_eye_channels": _OTHER_EYES,
            "n_layers": 2,
            "units": 3,
            "dropout": 0.5,
            "inference": {"label_rule": ">= 5"},
        },
        rejected=(
            *_REJECTED_WINDOW_FEATURES,
            *_REJECTED_MODALITIES,
            ("n_eye_channels", 0),
            ("n_layers", 0),
            ("units", 0),
            ("dropout", 1.0),
            ("dropout", -0.1),
        ),
        n_trainable=(3 * 4 * 16 + (8 * 16 + 16) + (5 * 16 + 16) + 2 * 2 * (4 * 16 + 16) + 2 * 3 * 2 * 4)
        + ((3 * 2 * 4) * 3 + 3),
        off_policy=_SOFTMAX_OFF_POLICY,
        observed=lambda model: (model.inference, _dropout_rates(model)),
        training=_CLASS_TRAINING,
    ),
    Row(
        MMResLSTM,
        {**_SMALL_WINDOW_FEATURES, "modalities": ("eeg",), "units": 4, "dropout": 0.0},
        rejected_inputs=({"eeg": (2, 3, 4)}, {"eeg": (2, 2, 4, 2)}),
        n_trainable=2 * 4 * 16 + (8 * 16 + 16) + (4 * 16 + 16) + 2 * 2 * 4 + ((3 * 4) * 2 + 2),
        off_policy=_SOFTMAX_OFF_POLICY,
        training=_CLASS_TRAINING,
    ),
    Row(
        EmotionTransformerFusion,
        {
            **_SMALL_WINDOW_FEATURES,
            "n_classes": 3,
            "n_layers": 1,
            "units": 6,
            "n_heads": 2,
            "dropout": 0.0,
            "inference": {"bands_hz": {"theta": [4.0, 8.0]}, "label_rule": "> 5"},
        },
        alive={
            "modalities": ("eeg",),
            **_OTHER_WINDOW_FEATURES,
            "n_eye_channels": _OTHER_EYES,
            "n_layers": 2,
            "units": 4,
            "n_heads": 3,
            "dropout": 0.5,
            "inference": {"label_rule": ">= 5"},
        },
        rejected=(
            *_REJECTED_WINDOW_FEATURES,
            *_REJECTED_MODALITIES,
            ("n_eye_channels", 0),
            ("n_layers", 0),
            ("units", 0),
            ("units", 7),
            ("n_heads", 0),
            ("dropout", 1.0),
            ("dropout", -0.1),
        ),
        n_trainable=(8 * 6 + 6)
        + (5 * 6 + 6)
        + 2 * (4 * 6 * 6 + (6 * 24 + 24) + (24 * 6 + 6) + 2 * 2 * 6)
        + 6
        + (6 * 3 + 3),
        off_policy=_SOFTMAX_OFF_POLICY,
        observed=lambda model: (model.inference, _dropout_rates(model)),
        training=_CLASS_TRAINING,
    ),
    Row(
        EmotionTransformerFusion,
        {**_SMALL_WINDOW_FEATURES, "modalities": ("face",), "units": 5, "n_heads": 1, "dropout": 0.0},
        rejected_inputs=({"face": (2, 3)}, {"face": (2, 2, 5)}),
        n_trainable=(5 * 5 + 5) + 2 * (4 * 5 * 5 + (5 * 20 + 20) + (20 * 5 + 5) + 2 * 2 * 5) + (5 * 2 + 2),
        off_policy=_SOFTMAX_OFF_POLICY,
        training=_CLASS_TRAINING,
    ),
    Row(
        EEGNet,
        {
            "n_samples": 20,
            "n_channels": 3,
            "n_classes": 3,
            "sampling_rate_hz": 64.0,
            "kernel_length": 5,
            "n_temporal_filters": 2,
            "n_spatial_filters": 3,
            "n_separable_filters": 4,
            # Without dropout, which draws other numbers on each backend, so that training can be compared.
            "dropout": 0.0,
            "inference": {"sampling_rate_hz": 64.0, "label_rule": "> 5"},
        },
        alive={
            "n_samples": 16,
            "n_channels": 2,
            "n_classes": 2,
            "sampling_rate_hz": 32.0,
            "kernel_length": None,
            "n_temporal_filters": 3,
            "n_spatial_filters": 2,
            "n_separable_filters": None,
            "dropout": 0.25,
            "inference": {"label_rule": ">= 5"},
        },
        rejected=(
            ("n_samples", 15),
            ("n_channels", 0),
            ("n_classes", 1),
            ("sampling_rate_hz", 0.0),
            ("kernel_length", 0),
            ("n_temporal_filters", 0),
            ("n_spatial_filters", 0),
            ("n_separable_filters", 0),
            ("dropout", 1.0),
            *_UNFIT_INFERENCE,
        ),
        rejected_inputs=({"eeg": (2, 20)}, {"eeg": (2, 3, 20)}),
        off_policy=_CLASSIFIER_OFF_POLICY,
        observed=lambda model: (model.inference, _dropout_rates(model)),
        training=_CLASSIFIER_TRAINING,
        # Filters in time, over channels, separable (16 samples each, then mixed), the gammas and betas of each, head.
        n_trainable=(5 * 2 + 2 * 2) + (3 * 6 + 2 * 6) + (16 * 6 + 6 * 4 + 2 * 4) + (4 * 3 + 3),
    ),
    Row(
        ContiCNN,
        {
            "grid_shape": (3, 4),
            "n_bands": 3,
            "n_classes": 3,
            # Without dropout, which draws other numbers on each backend, so that training can be compared.
            "dropout": 0.0,
            "width_multiplier": 1 / 32,
            "inference": {"bands_hz": {"theta": [4.0, 7.0]}, "label_rule": "> 5"},
        },
        alive={
            "grid_shape": (4, 3),
            "n_bands": 2,
            "n_classes": 2,
            "activation": "selu",
            "dropout": 0.5,
            "width_multiplier": 1 / 16,
            "scale_features": False,
            "inference": {"label_rule": ">= 5"},
        },
        rejected=(
            ("grid_shape", (0, 9)),
            ("grid_shape", (9, 9, 9)),
            ("n_bands", 0),
            ("n_classes", 1),
            ("activation", "tanh"),
            ("dropout", 1.0),
            ("width_multiplier", 0),
            *_UNFIT_INFERENCE,
        ),
        rejected_inputs=({"eeg": (2, 3, 4)}, {"eeg": (2, 4, 3, 3)}),
        off_policy=_CLASSIFIER_OFF_POLICY,
        observed=lambda model: (model.inference, _dropout_rates(model)),
        training=_CLASSIFIER_TRAINING,
        # 2, 4, 8 and 2 maps, 32 dense units on 3 x 4 x 2.
        n_trainable=(16 * 3 * 2 + 2)
        + (16 * 2 * 4 + 4)
        + (16 * 4 * 8 + 8)
        + (8 * 2 + 2)
        + (24 * 32 + 32)
        + (32 * 3 + 3),
    ),
    Row(
        ContiCNN,
        {
            "grid_shape": (2, 2),
            "n_bands": 2,
            "activation": "selu",
            "dropout": 0.0,
            "width_multiplier": 1 / 64,
            "scale_features": False,
        },
        off_policy=_CLASSIFIER_OFF_POLICY,
        training=_CLASSIFIER_TRAINING,
        n_trainable=(16 * 2 * 1 + 1) + (16 * 1 * 2 + 2) + (16 * 2 * 4 + 4) + (4 * 1 + 1) + (4 * 16 + 16) + (16 * 2 + 2),
    ),
    Row(
        CRNN4D,
        {
            "n_steps": 3,
            "grid_shape": (5, 4),
            "n_bands": 3,
            "n_classes": 3,
            "width_multiplier": 1 / 32,
            "units": 5,
            "inference": {"bands_hz": {"theta": [4.0, 7.0]}, "label_rule": "> 5"},
        },
        alive={
            "n_steps": 2,
            "grid_shape": (4, 5),
            "n_bands": 2,
            "n_classes": 2,
            "width_multiplier": 1 / 16,
            "units": 4,
            "scale_features": False,
            "inference": {"label_rule": ">= 5"},
        },
        rejected=(
            ("n_steps", 0),
            ("grid_shape", (1, 9)),
            ("grid_shape", (9, 9, 9)),
            ("n_bands", 0),
            ("n_classes", 1),
            ("width_multiplier", 0),
            ("units", 0),
            *_UNFIT_INFERENCE,
        ),
        rejected_inputs=({"eeg": (2, 3, 5, 4)}, {"eeg": (2, 2, 5, 4, 3)}),
        off_policy=_CLASSIFIER_OFF_POLICY,
        observed=lambda model: model.inference,
        training=_CLASSIFIER_TRAINING,
        # 2, 4, 8 and 2 maps, 16 dense units on 2 x 2 x 2, four gates of 5 units, head.
        n_trainable=(25 * 3 * 2 + 2)
        + (16 * 2 * 4 + 4)
        + (16 * 4 * 8 + 8)
        + (8 * 2 + 2)
        + (8 * 16 + 16)
        + 4 * (16 + 5 + 1) * 5
        + (5 * 3 + 3),
    ),
    Row(
        CRNN4D,
        {"n_steps": 2, "grid_shape": (2, 3), "width_multiplier": 1 / 64, "units": 3, "scale_features": False},
        off_policy=_CLASSIFIER_OFF_POLICY,
        training=_CLASSIFIER_TRAINING,
        n_trainable=(25 * 4 * 1 + 1)
        + (16 * 1 * 2 + 2)
        + (16 * 2 * 4 + 4)
        + (4 * 1 + 1)
        + (1 * 8 + 8)
        + 4 * (8 + 3 + 1) * 3
        + (3 * 2 + 2),
    ),
    Row(
        CNNLSTM,
        {
            "n_steps": 3,
            "grid_shape": (3, 2),
            "n_samples": 2,
            "n_classes": 3,
            "activation": "relu",
            "units": 4,
            "n_recurrent_layers": 1,
            # Without dropout, which draws other numbers on each backend, so that training can be compared.
            "dropout": 0.0,
            "width_multiplier": 1 / 32,
            "inference": {"grid": "9x9", "label_rule": "> 5"},
        },
        alive={
            "n_steps": 2,
            "grid_shape": (2, 3),
            "n_samples": 3,
            "n_classes": 2,
            "activation": "elu",
            "units": 3,
            "n_recurrent_layers": 2,
            "dropout": 0.5,
            "width_multiplier": 1 / 16,
            "scale_features": False,
            "inference": {"label_rule": ">= 5"},
        },
        rejected=(
            ("n_steps", 0),
            ("grid_shape", (0, 9)),
            ("n_samples", 0),
            ("n_classes", 1),
            ("activation", "tanh"),
            ("units", 0),
            ("n_recurrent_layers", 0),
            ("dropout", 1.0),
            ("width_multiplier", 0),
            *_UNFIT_INFERENCE,
        ),
        rejected_inputs=({"eeg": (2, 3, 3, 2)}, {"eeg": (2, 2, 3, 2, 2)}),
        off_policy=_CLASSIFIER_OFF_POLICY,
        observed=lambda model: (model.inference, _dropout_rates(model)),
        training=_CLASSIFIER_TRAINING,
        # 1, 2 and 4 maps, 32 dense units on 3 x 2 x 4, four gates of 4 units, 32 dense units, head.
        n_trainable=(9 * 2 * 1 + 1)
        + (9 * 1 * 2 + 2)
        + (9 * 2 * 4 + 4)
        + (24 * 32 + 32)
        + 4 * (32 + 4 + 1) * 4
        + (4 * 32 + 32)
        + (32 * 3 + 3),
    ),
    Row(
        CNNLSTM,
        {
            "n_steps": 2,
            "grid_shape": (2, 2),
            "n_samples": 1,
            "units": 3,
            "dropout": 0.0,
            "width_multiplier": 1 / 64,
            "scale_features": False,
        },
        off_policy=_CLASSIFIER_OFF_POLICY,
        training=_CLASSIFIER_TRAINING,
        # Half a map is one.
        n_trainable=(9 * 1 * 1 + 1)
        + (9 * 1 * 1 + 1)
        + (9 * 1 * 2 + 2)
        + (8 * 16 + 16)
        + 4 * (16 + 3 + 1) * 3
        + 4 * (3 + 3 + 1) * 3
        + (3 * 16 + 16)
        + (16 * 2 + 2),
    ),
    Row(
        CRAM,
        {
            "n_samples": 20,
            "n_channels": 3,
            "n_classes": 3,
            "sampling_rate_hz": 20.0,
            "slice_samples": 12,
            "slice_hop_samples": 4,
            "filters": 3,
            "units": 4,
            "n_recurrent_layers": 1,
            "attention_units": 5,
            # Without dropout, which draws other numbers on each backend, so that training can be compared.
            "dropout": 0.0,
            "inference": {"sampling_rate_hz": 20.0, "label_rule": "> 5"},
        },
        alive={
            "n_samples": 24,
            "n_channels": 2,
            "n_classes": 2,
            "sampling_rate_hz": 40.0,
            "slice_samples": None,
            "slice_hop_samples": None,
            "filters": 2,
            "units": 3,
            "n_recurrent_layers": 2,
            "attention_units": 4,
            "dropout": 0.5,
            "inference": {"label_rule": ">= 5"},
        },
        rejected=(
            ("n_samples", 7),
            ("n_channels", 0),
            ("n_classes", 1),
            ("sampling_rate_hz", 0.0),
            ("slice_samples", 0),
            ("slice_samples", 20),
            ("slice_hop_samples", 0),
            ("slice_hop_samples", 9),
            ("filters", 0),
            ("units", 0),
            ("n_recurrent_layers", 0),
            ("attention_units", 0),
            ("dropout", 1.0),
            *_UNFIT_INFERENCE,
        ),
        rejected_inputs=({"eeg": (2, 20)}, {"eeg": (2, 3, 20)}),
        off_policy={
            **_CLASSIFIER_OFF_POLICY,
            "attention_weights": "softmax in float32",
        },
        observed=lambda model: (model.inference, _dropout_rates(model)),
        training=_CLASSIFIER_TRAINING,
        # A kernel of 4 samples leaves 9 places of a slice, the pooling of 6, every sample, 4 of them.
        n_trainable=4 * 3 * 3 + 3 + 4 * (4 * 3 + 4 + 1) * 4 + (4 * 5 + 5) + 5 + (4 * 3 + 3),
    ),
    Row(
        CRAM,
        {"n_samples": 16, "n_channels": 2, "filters": 2, "units": 3, "attention_units": 2, "dropout": 0.0},
        off_policy={**_CLASSIFIER_OFF_POLICY, "attention_weights": "softmax in float32"},
        training=_CLASSIFIER_TRAINING,
        # A slice has 6 samples, fewer than a kernel of 0.18 s: one place.
        n_trainable=6 * 2 * 2 + 2 + 4 * (2 + 3 + 1) * 3 + 4 * (3 + 3 + 1) * 3 + (3 * 2 + 2) + 2 + (3 * 2 + 2),
    ),
    Row(
        GCNLSTM,
        {
            "n_steps": 3,
            "n_channels": 5,
            "n_features": 2,
            "n_classes": 3,
            "n_neighbors": 2,
            "filters": 3,
            "n_polynomials": 3,
            "activation": "relu",
            "units": 4,
            "inference": {"bands_hz": {"theta": [4.0, 7.0]}, "label_rule": "> 5"},
        },
        alive={
            "n_steps": 2,
            "n_channels": 4,
            "n_features": 3,
            "n_classes": 2,
            "graph": "learned",
            "n_neighbors": 1,
            "share_convolution": True,
            "filters": 2,
            "n_polynomials": 2,
            "activation": "sigmoid",
            "units": 3,
            "scale_features": False,
            "inference": {"label_rule": ">= 5"},
        },
        rejected=(
            ("n_steps", 0),
            ("n_channels", 1),
            ("n_features", 0),
            ("n_classes", 1),
            ("graph", "distances"),
            ("n_neighbors", 0),
            ("filters", 0),
            ("n_polynomials", 0),
            ("activation", "tanh"),
            ("units", 0),
            *_UNFIT_INFERENCE,
        ),
        rejected_inputs=({"eeg": (2, 3, 5)}, {"eeg": (2, 3, 2, 5)}),
        off_policy=_CLASSIFIER_OFF_POLICY,
        observed=lambda model: model.inference,
        training=_CLASSIFIER_TRAINING,
        # Three convolutions of three polynomials, each with gammas and betas; four gates of 4 units; head on all steps.
        n_trainable=3 * (3 * 2 * 3 + 2 * 3) + 4 * (5 * 3 + 4 + 1) * 4 + (3 * 4 * 3 + 3),
    ),
    Row(
        GCNLSTM,
        {
            "n_steps": 2,
            "n_channels": 3,
            "n_features": 2,
            "graph": "learned",
            "share_convolution": True,
            "filters": 2,
            "units": 3,
            "scale_features": False,
        },
        off_policy=_CLASSIFIER_OFF_POLICY,
        training=_CLASSIFIER_TRAINING,
        n_trainable=(3 * 3 + 2 * 2 * 2 + 2 * 2) + 4 * (3 * 2 + 3 + 1) * 3 + (2 * 3 * 2 + 2),
    ),
    Row(
        GraphSleepNet,
        {
            "n_steps": 3,
            "n_channels": 4,
            "n_features": 4,
            "n_classes": 3,
            "filters": 5,
            "n_polynomials": 2,
            "step_kernel_size": 2,
            "dense_units": 6,
            # Without dropout, which draws other numbers on each backend, so that training can be compared.
            "dropout": 0.0,
            "distance_weight": 0.5,
            "sparsity_weight": 0.2,
            "inference": {"bands_hz": {"theta": [4.0, 7.0]}, "label_rule": "> 5"},
        },
        alive={
            "n_steps": 2,
            "n_channels": 3,
            "n_features": 3,
            "n_classes": 2,
            "filters": 4,
            "n_polynomials": 3,
            "step_kernel_size": 3,
            "dense_units": 5,
            "dropout": 0.5,
            "distance_weight": 0.0,
            "sparsity_weight": 0.0,
            "scale_features": False,
            "inference": {"label_rule": ">= 5"},
        },
        rejected=(
            ("n_steps", 0),
            ("n_channels", 1),
            ("n_features", 0),
            ("n_classes", 1),
            ("filters", 0),
            ("n_polynomials", 0),
            ("step_kernel_size", 0),
            ("dense_units", 0),
            ("dropout", 1.0),
            ("distance_weight", -1.0),
            ("sparsity_weight", -1.0),
            *_UNFIT_INFERENCE,
        ),
        rejected_inputs=({"eeg": (2, 3, 4)}, {"eeg": (2, 4, 3, 4)}),
        off_policy=_CLASSIFIER_OFF_POLICY,
        observed=lambda model: (model.inference, _dropout_rates(model), _losses(model)),
        training=_CLASSIFIER_TRAINING,
        n_trainable=4  # graph
        + (4 + 4 + 4 * 4 + 2 * 3 * 3)  # steps to steps
        + (3 + 4 + 4 * 3 + 2 * 4 * 4)  # channels to channels
        + 2 * 4 * 5  # two polynomials
        + (2 * 5 * 5 + 5)  # over steps
        + (3 * 4 * 5 * 6 + 6)
        + (6 * 3 + 3),
    ),
    Row(
        GraphSleepNet,
        {"n_steps": 2, "n_channels": 3, "filters": 3, "dropout": 0.0, "scale_features": False},
        off_policy=_CLASSIFIER_OFF_POLICY,
        training=_CLASSIFIER_TRAINING,
        n_trainable=5
        + (3 + 5 + 5 * 3 + 2 * 2 * 2)
        + (2 + 5 + 5 * 2 + 2 * 3 * 3)
        + 3 * 5 * 3
        + (3 * 3 * 3 + 3)
        + (2 * 3 * 3 * 16 + 16)
        + (16 * 2 + 2),
    ),
    Row(
        VEBiLSTMNetwork,
        {
            "visual_shape": (3, 4),
            "eeg_shape": (3, 2, 3),
            "n_classes": 3,
            "projection_units": 5,
            "units": (4, 3),
            "inference": {"label_rule": "> 5"},
        },
        alive={
            "visual_shape": (3, 5),
            "eeg_shape": (3, 3, 2),
            "n_classes": 2,
            "projection_units": 6,
            "units": (3, 4),
            "inference": {"label_rule": ">= 5"},
        },
        rejected=(
            ("visual_shape", (3,)),
            ("visual_shape", (3, 0)),
            ("eeg_shape", (3, 2)),
            ("eeg_shape", (4, 2, 3)),
            ("n_classes", 1),
            ("projection_units", 0),
            ("units", (4,)),
            ("units", (4, 0)),
            *_UNFIT_INFERENCE,
        ),
        off_policy=_CLASSIFIER_OFF_POLICY,
        observed=lambda model: model.inference,
        training=_CLASSIFIER_TRAINING,
        # Projections, two directions of four gates each, twice, head.
        n_trainable=(4 * 5 + 5)
        + (6 * 5 + 5)
        + 2 * 4 * (10 * 4 + 4 * 4 + 4)
        + 2 * 4 * (8 * 3 + 3 * 3 + 3)
        + (6 * 3 + 3),
    ),
    Row(
        AVELSTMNetwork,
        {
            "visual_shape": (3, 4),
            "audio_shape": (5, 2),
            "eeg_shape": (4, 3, 2),
            "n_classes": 3,
            "units": 4,
            "n_components": 5,
            "inference": {"label_rule": "> 5"},
        },
        alive={
            "visual_shape": (3, 5),
            "audio_shape": (5, 3),
            "eeg_shape": (4, 3, 3),
            "n_classes": 2,
            "units": 3,
            "n_components": 2,
            "inference": {"label_rule": ">= 5"},
        },
        rejected=(
            ("visual_shape", (3,)),
            ("audio_shape", (5, 0)),
            ("eeg_shape", (4, 3)),
            ("n_classes", 1),
            ("units", 0),
            ("n_components", 0),
            ("n_components", 7),
            *_UNFIT_INFERENCE,
        ),
        off_policy=_AVE_LSTM_OFF_POLICY,
        observed=lambda model: model.inference,
        training=Training(
            lambda: {"loss": dict.fromkeys(_AVE_LSTM_OUTPUTS, "sparse_categorical_crossentropy")},
            _classes_of_each_modality,
        ),
        n_trainable=4 * (4 * 4 + 4 * 4 + 4) + 4 * (2 * 4 + 4 * 4 + 4) + 4 * (5 * 4 + 4 * 4 + 4) + 3 * (4 * 3 + 3),
    ),
    Row(
        ImportanceSelection,
        {"n_selected": 2, "n_classes": 3},
        inputs=(4, 5),
        alive={"n_selected": 3, "n_classes": 2},
        rejected=(("n_selected", 0), ("n_classes", 1)),
        rejected_inputs=((2, 5), (2, 4, None)),
        n_trainable=5 * 3 + 3,
    ),
    Row(
        FaceEEGLSTM,
        {
            "eeg_shape": (4, 3, 2),
            "face_shape": (5, 4),
            "n_classes": 3,
            "units": 4,
            "n_selected": 2,
            "inference": {"label_rule": "> 5"},
        },
        alive={
            "eeg_shape": (4, 3, 3),
            "face_shape": (5, 3),
            "n_classes": 2,
            "units": 3,
            "n_selected": 3,
            "inference": {"label_rule": ">= 5"},
        },
        rejected=(
            ("eeg_shape", (4, 3)),
            ("face_shape", (5, 0)),
            ("n_classes", 1),
            ("units", 0),
            ("n_selected", 0),
            *_UNFIT_INFERENCE,
        ),
        off_policy=_FACE_EEG_LSTM_OFF_POLICY,
        observed=lambda model: model.inference,
        training=Training(
            lambda: {"loss": dict.fromkeys(("eeg", "face", "importance"), "sparse_categorical_crossentropy")},
            _classes_of_each_loss,
        ),
        n_trainable=4 * (6 * 4 + 4 * 4 + 4) + 4 * (4 * 4 + 4 * 4 + 4) + 2 * (4 * 3 + 3) + (6 * 3 + 3),
    ),
    Row(
        VGGish,
        {
            "n_frames": 35,
            "n_bands": 20,
            "filters": (2, 3, 4, 5),
            "units": (6, 7),
            "embedding_size": 4,
            "embedding_activation": "tanh",
        },
        alive={
            "n_frames": 48,
            "n_bands": 32,
            "filters": (2, 3, 5, 4),
            "units": (7, 6),
            "embedding_size": 3,
            "embedding_activation": None,
        },
        rejected=(
            ("n_frames", 15),
            ("n_bands", 15),
            ("filters", (2, 3, 4)),
            ("filters", (2, 3, 4, 0)),
            ("units", (6,)),
            ("units", (0, 7)),
            ("embedding_size", 0),
        ),
        rejected_inputs=((2, 35, 21), (2, 34, 20), (2, 35, 20, 2)),
        off_policy={"embedding": "the output leaves the network in float32"},
        training=Training(
            lambda: {"loss": "mean_squared_error"},
            lambda model, rng, batch: rng.standard_normal((batch, model.embedding_size)).astype("float32"),
        ),
        n_trainable=(9 * 2 + 2)
        + (9 * 2 * 3 + 3)
        + (9 * 3 * 4 + 4)
        + (9 * 4 * 4 + 4)
        + (9 * 4 * 5 + 5)
        + (9 * 5 * 5 + 5)
        + (2 * 5 * 6 + 6)  # 35 frames become 2, 20 bands 1
        + (6 * 7 + 7)
        + (7 * 4 + 4),
    ),
    Row(
        AlexNet,
        {"image_size": 96, "filters": (2, 3, 4, 5, 6), "units": (7, 5)},
        alive={"image_size": 97, "filters": (2, 3, 5, 4, 6), "units": (5, 7)},
        rejected=(
            ("image_size", 62),
            ("filters", (2, 3, 4, 5)),
            ("filters", (2, 3, 4, 5, 0)),
            ("units", (7,)),
            ("units", (0, 5)),
        ),
        rejected_inputs=((2, 96, 97, 3), (2, 95, 95, 3), (2, 96, 96, 1)),
        off_policy={"features": "the output leaves the network in float32"},
        training=Training(
            lambda: {"loss": "mean_squared_error"},
            lambda model, rng, batch: rng.standard_normal((batch, model.units[1])).astype("float32"),
        ),
        n_trainable=(121 * 3 * 2 + 2)
        + (25 * 2 * 3 + 3)
        + (9 * 3 * 4 + 4)
        + (9 * 4 * 5 + 5)
        + (9 * 5 * 6 + 6)
        + (2 * 2 * 6 * 7 + 7)  # 96 pixels become 23, 11, 5 and 2
        + (7 * 5 + 5),
    ),
    Row(
        TopographicImages,
        {
            "channel_names": ("F3", "F4", "P3", "x", "Cz"),
            "directions": (None, None, None, (0.5, -0.5, 0.7), None),
            "image_size": 6,
        },
        inputs=(4, 5, 3),
        alive={
            "channel_names": ("F3", "F4", "P5", "x", "Cz"),
            "directions": (None, None, None, (0.6, -0.6, 0.7), None),
            "image_size": 7,
        },
        rejected=(("image_size", 1), ("directions", ((0.5, -0.5, 0.7),))),
        rejected_inputs=((2, 4, 5), (2, 4, 6, 3), (2, None, 5, 3)),
        n_trainable=0,
    ),
)

every_row = pytest.mark.parametrize(
    "row", ROWS, ids=[f"{number}-{row.layer.__name__}" for number, row in enumerate(ROWS)]
)

_BUILT = {}


def built_once(row):
    """A row that gives the same layer to all checks that change weights at most, which are those of the start again.

    Not to those that compile it.
    """

    def build(dtype="float32"):
        key = id(row), dtype
        if key not in _BUILT:
            layer, model = row.build(dtype)
            _BUILT[key] = layer, model, model.get_weights()
        layer, model, weights = _BUILT[key]
        model.set_weights(weights)
        return layer, model

    shared = copy.copy(row)
    object.__setattr__(shared, "build", build)
    return shared


ENCODERS = "encoders.npz"
"""File of pictures and patches of sound, arguments of `encoded`."""


def encoded(pictures, patches):
    """What encoders of stimuli with random weights, which NumPy draws, make of pictures and patches of sound."""
    pictures_by = PictureEncoder(patch_size=8, n_layers=2, n_heads=2, width=8, mlp_width=12)
    sound_by = SoundEncoder(filters=(2, 3, 4, 4), units=(5, 6), embedding_size=7)
    return {"pictures": pictures_by.encode(pictures.shape[1])(pictures), "sound": sound_by.encode()(patches)}
