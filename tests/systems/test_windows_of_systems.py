"""One windowing for all parts of a system: faces have the windows of the signals."""

import pytest

from keras_emotion.pipelines import ConnectivityFeatures, EEGGridFeatures, FaceFeatures, FaceQuantities, RawSignals
from keras_emotion.systems.comparison_estimators import ComparisonEstimator
from keras_emotion.systems.comparison_networks import ComparisonNetwork
from keras_emotion.systems.deepvanet import DeepVANetSystem
from keras_emotion.systems.facrnn import FACRNN
from keras_emotion.systems.logistic_regression import BandPowerRegression
from keras_emotion.systems.prior_dfcn import PriorDFCNSystem

# Regardless of other settings of the faces.
FACES = FaceFeatures(window_seconds=7.0, steps=5, hop_seconds=0.1, lag_seconds=0.5)
FACE = FaceQuantities(window_seconds=7.0, hop_seconds=0.1, lag_seconds=0.5)
TRIALS = ConnectivityFeatures(sample_seconds=12.0, window_seconds=3.0, hop_seconds=6.0)
SYSTEMS = {
    "3FACRNN": FACRNN(teacher="fold", features=EEGGridFeatures(hop_seconds=0.5), faces=FACES),
    "3FACRNN of windows": FACRNN(
        teacher="fold", features=EEGGridFeatures(sequence="windows", window_seconds=1.0, steps=3), faces=FACES
    ),
    "DeepVANet": DeepVANetSystem(bio=RawSignals(window_seconds=2.0, hop_seconds=0.5), faces=FACES),
    "PriorDFCN": PriorDFCNSystem(features=TRIALS, face=FACE),
    "DCCA": ComparisonNetwork(network="dcca", features=TRIALS, face=FACE),
    "several kernels": ComparisonEstimator(estimator_name="mkl", features=TRIALS, face=FACE),
}


@pytest.mark.parametrize("name", list(SYSTEMS))
def test_faces_are_cut_as_the_signals_and_as_much_later_as_is_said(name):
    system = SYSTEMS[name]
    leading, face = system.parts().values()
    for field in ("window_seconds", "hop_seconds"):
        assert getattr(face.windowing, field) == getattr(leading.windowing, field) == getattr(system.windowing, field)
    # Raw signals have no steps; those of the faces stay.
    assert face.windowing.steps == system.windowing.steps == (5 if name == "DeepVANet" else leading.windowing.steps)
    assert face.windowing.lag_seconds == system.windowing.lag_seconds == 0.5
    assert leading.windowing.lag_seconds == 0


def test_a_system_of_one_part_has_its_windows():
    features = EEGGridFeatures(steps=1, hop_seconds=0.5)
    assert BandPowerRegression(features=features).windowing == features.windowing
    assert ComparisonNetwork(network="conti_cnn", grid=features).windowing.hop_seconds == 0.5
    assert ComparisonNetwork(network="eegnet").windowing.window_seconds == 1.0
