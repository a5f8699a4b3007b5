"""Logistic regression baseline: the simplest model on the same windows, for comparison with each number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import SerializeAsAny
from typing_extensions import override

from keras_emotion.pipelines import EEGGridFeatures, FeaturePart, OfficialFeatures, StoredFeatures
from keras_emotion.systems.base import DerivedPart, EstimatorSystem, System
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.registry import register_system
from keras_emotion.systems.regularisation import RegularisedSystem

if TYPE_CHECKING:
    import pandas as pd
    import sklearn.base


def logistic_regression(inverse_regularisation: float = 1.0) -> sklearn.base.ClassifierMixin:
    """Create a pipeline of standardisation and multinomial logistic regression with an L2 penalty."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=inverse_regularisation, max_iter=2000))


@register_system
class BandPowerRegression(RegularisedSystem):
    """Logistic regression on band powers: the differential entropy of a Gaussian is half its log-power.

    C of `sklearn.linear_model.LogisticRegression` is chosen on the validation windows of each fold.

    Args:
        features: the features; default: one differential entropy per window, channel and band.
    """

    features: EEGGridFeatures = EEGGridFeatures(steps=1)

    @override
    def parts(self) -> dict[str, FeaturePart]:
        return {"eeg": self.features}

    @override
    def with_released_features(self) -> System:
        return OfficialFeatureRegression(
            inverse_regularisation=self.inverse_regularisation,
            inverse_regularisation_grid=self.inverse_regularisation_grid,
        )

    def vectors(self, arrays: Mapping[str, Any]) -> np.ndarray:
        """See `System`; without the empty cells of the grid."""
        vectors = super().vectors(arrays)
        return vectors[:, vectors.any(axis=0)]

    def estimator(self, seed: int) -> sklearn.base.ClassifierMixin:
        """See `EstimatorSystem`; deterministic."""
        return logistic_regression(self.inverse_regularisation)


@register_system
class OfficialFeatureRegression(BandPowerRegression):
    """Logistic regression on the features distributed with a dataset.

    Args:
        features: the features of the dataset, averaged over the windows of a sample.
    """

    features: OfficialFeatures = OfficialFeatures()  # type: ignore[assignment]  # in place of the base class's own

    def with_released_features(self) -> System:
        """See `System`; returns itself."""
        return self


class BandPowerRegressionExperiment(Experiment):
    """An experiment with logistic regression on band powers."""

    system: BandPowerRegression = BandPowerRegression()


class LightModel(EstimatorSystem):
    """Logistic regression on another system's network inputs: fast enough for the leak audit's many trainings.

    Args:
        of: the system whose parts and `vectors` are used.
    """

    of: SerializeAsAny[System]

    @override
    def scientific_config(self) -> dict[str, Any]:
        return {"of": {"kind": type(self.of).__name__, **self.of.scientific_config()}}

    @override
    def parts(self) -> dict[str, FeaturePart]:
        return self.of.parts()

    @override
    def derived(self) -> dict[str, DerivedPart]:
        return self.of.derived()

    @override
    def join(self, stored: StoredFeatures) -> tuple[StoredFeatures, pd.DataFrame]:
        return self.of.join(stored)

    @override
    def vectors(self, arrays: Mapping[str, Any]) -> np.ndarray:
        return self.of.vectors(arrays)

    def estimator(self, seed: int) -> sklearn.base.ClassifierMixin:
        """See `EstimatorSystem`; deterministic."""
        return logistic_regression()
