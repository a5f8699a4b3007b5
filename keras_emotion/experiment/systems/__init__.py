"""One paper a file: what it adds to the runner."""

from keras_emotion.experiment.system import System
from keras_emotion.experiment.systems.comparison_estimators import ComparisonEstimator
from keras_emotion.experiment.systems.comparison_networks import ComparisonNetwork
from keras_emotion.experiment.systems.deepvanet import DeepVANetSystem
from keras_emotion.experiment.systems.facrnn import FACRNN
from keras_emotion.experiment.systems.facrnn_visual import FACRNNVisual
from keras_emotion.experiment.systems.logistic_regression import BandPowerRegression, LightModel
from keras_emotion.experiment.systems.prior_dfcn import PriorDFCNSystem

SYSTEMS: dict[str, type[System]] = {
    system.__name__: system
    for system in (
        FACRNN,
        FACRNNVisual,
        DeepVANetSystem,
        PriorDFCNSystem,
        ComparisonNetwork,
        ComparisonEstimator,
        BandPowerRegression,
    )
}
"""The systems by the name that a run's files have."""

__all__ = [
    "FACRNN",
    "SYSTEMS",
    "BandPowerRegression",
    "ComparisonEstimator",
    "ComparisonNetwork",
    "DeepVANetSystem",
    "FACRNNVisual",
    "LightModel",
    "PriorDFCNSystem",
]
