"""Systems: features, network and loss of each paper, one paper per file, and the corresponding experiments."""

from keras_emotion.systems.base import EstimatorSystem, NetworkSystem, System
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.registry import find_system, register_system, registered_systems
from keras_emotion.systems.settings import Configuration, Runtime, Training, differences
from keras_emotion.systems.stages import Stage

__all__ = [
    "Configuration",
    "EstimatorSystem",
    "Experiment",
    "NetworkSystem",
    "Runtime",
    "Stage",
    "System",
    "Training",
    "differences",
    "find_system",
    "register_system",
    "registered_systems",
]
