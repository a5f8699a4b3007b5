"""Feature extraction: window tables and feature arrays on disk, and the batches that networks read from them.

Only this package imports TensorFlow, and only to create a `tf.data.Dataset`.
"""

from typing import Any

from keras_emotion.moved import moved_name
from keras_emotion.pipelines.backend import prepare_backend
from keras_emotion.pipelines.batches import JoinedArrays, WindowBatches
from keras_emotion.pipelines.channel_entropies import ChannelEntropies
from keras_emotion.pipelines.connectivity_features import ConnectivityFeatures
from keras_emotion.pipelines.eeg_blocks import EEGBlocks
from keras_emotion.pipelines.eeg_images import BandStatistics, EEGImages
from keras_emotion.pipelines.extraction import extract_features, extract_rated
from keras_emotion.pipelines.eye_features import EyeFeatures
from keras_emotion.pipelines.face_features import FaceFeatures
from keras_emotion.pipelines.face_quantities import FaceQuantities
from keras_emotion.pipelines.feature_store import (
    FeatureStore,
    StoredFeatures,
    StoreEntry,
    content_hash,
    file_hash,
    path_hash,
)
from keras_emotion.pipelines.features import (
    EEGChannelFeatures,
    EEGGridFeatures,
    EEGStepFeatures,
    FeaturePart,
    Features,
    Source,
    find_part,
)
from keras_emotion.pipelines.media_features import (
    MediaFrames,
    MediaLogMel,
    MediaPart,
    MediaSoundPart,
    MediaVGGishPatches,
)
from keras_emotion.pipelines.model_inputs import ModelInput, find_transform, register_transform
from keras_emotion.pipelines.official_features import OfficialFeatures
from keras_emotion.pipelines.pairing import count_dropped, match_windows, pair_windows
from keras_emotion.pipelines.picture_features import MediaColours
from keras_emotion.pipelines.raw_signals import RawSignals
from keras_emotion.pipelines.scaling import feature_covariance, feature_statistics
from keras_emotion.pipelines.shared_features import clips_of, features_of_trials, trials_without_signals
from keras_emotion.pipelines.sliding_band_powers import SlidingBandPowers
from keras_emotion.pipelines.sound_features import MediaMFCC, MediaSoundFunctionals
from keras_emotion.pipelines.study_channels import ChannelSet, StudyChannels
from keras_emotion.pipelines.teacher_features import TeacherFeatures
from keras_emotion.pipelines.wavelet_packet_energies import WaveletPacketEnergies
from keras_emotion.pipelines.windowing import Windowing

__all__ = [
    "BandStatistics",
    "ChannelEntropies",
    "ChannelSet",
    "ConnectivityFeatures",
    "EEGBlocks",
    "EEGChannelFeatures",
    "EEGGridFeatures",
    "EEGImages",
    "EEGStepFeatures",
    "EyeFeatures",
    "FaceFeatures",
    "FaceQuantities",
    "FeaturePart",
    "FeatureStore",
    "Features",
    "JoinedArrays",
    "MediaColours",
    "MediaFrames",
    "MediaLogMel",
    "MediaMFCC",
    "MediaPart",
    "MediaSoundFunctionals",
    "MediaSoundPart",
    "MediaVGGishPatches",
    "ModelInput",
    "OfficialFeatures",
    "RawSignals",
    "SlidingBandPowers",
    "Source",
    "StoreEntry",
    "StoredFeatures",
    "StudyChannels",
    "TeacherFeatures",
    "WaveletPacketEnergies",
    "WindowBatches",
    "Windowing",
    "clips_of",
    "content_hash",
    "count_dropped",
    "extract_features",
    "extract_rated",
    "feature_covariance",
    "feature_statistics",
    "features_of_trials",
    "file_hash",
    "find_part",
    "find_transform",
    "match_windows",
    "pair_windows",
    "path_hash",
    "prepare_backend",
    "register_transform",
    "trials_without_signals",
]


def __getattr__(name: str) -> Any:
    return moved_name(__name__, name)
