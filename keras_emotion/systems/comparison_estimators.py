"""Classifiers of scikit-learn that Zheng et al. (2023) compare with, on the features that PriorDFCN reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from keras_emotion.pipelines import ConnectivityFeatures, FaceQuantities, FeaturePart, OfficialFeatures, Windowing
from keras_emotion.systems.base import System
from keras_emotion.systems.multiple_kernel_svm import MultipleKernelSVM
from keras_emotion.systems.registry import register_system
from keras_emotion.systems.regularisation import RegularisedSystem
from keras_emotion.systems.svm import DecisionSVC

if TYPE_CHECKING:
    import sklearn.base


@register_system
class ComparisonEstimator(RegularisedSystem):
    """A support vector machine on the band powers of a trial, or on these and the face by several kernels.

    | name | classifier | what it reads |
    |---|---|---|
    | `svm` | `sklearn.svm.SVC` with a radial kernel | band powers, mean over the windows of a trial |
    | `mkl` | `MultipleKernelSVM` | these, and the quantities of the face, mean over the windows |

    Standard scores come first, fitted on the training trials.

    **Deviations**: what Zheng et al. gave them, with which kernels and which C, they do not say. Here C is chosen on
    the validation windows of each fold, by the logistic loss of the decisions.

    Args:
        estimator_name: name of the classifier.
        features: band powers of the windows of a trial.
        face: the 29 quantities of the face in the same windows.
    """

    hint: ClassVar[str] = "svm needs no faces"

    estimator_name: Literal["svm", "mkl"]
    features: ConnectivityFeatures = Field(default_factory=ConnectivityFeatures)
    face: FaceQuantities = Field(default_factory=FaceQuantities)

    @property
    def _reads(self) -> tuple[str, ...]:
        return ("eeg", "face") if self.estimator_name == "mkl" else ("eeg",)

    def scientific_config(self) -> dict[str, Any]:
        """See `System`; the features that it does not read do not make another experiment."""
        own = super().scientific_config()
        del own["features"], own["face"]
        return {**own, **{name: part.key() for name, part in self.parts().items()}}

    @property
    def paper_variant(self) -> str | None:
        """See `System`; the lines of Table 1 of Zheng et al."""
        return self.estimator_name.upper()

    @property
    def windowing(self) -> Windowing:
        """See `System`; the samples of the EEG, with its windows as steps."""
        return self.features.windowing.model_copy(update={"lag_seconds": self.face.lag_seconds})

    def parts(self) -> dict[str, FeaturePart]:
        """See `System`."""
        parts: dict[str, FeaturePart] = {"eeg": self.features, "face": self.face.with_windowing(self.windowing)}
        return {name: parts[name] for name in self._reads}

    def with_released_features(self) -> System:
        """See `System`; the support vector machine can, which needs no faces."""
        if self.estimator_name != "svm":
            return super().with_released_features()
        return OfficialComparisonEstimator(
            inverse_regularisation=self.inverse_regularisation,
            inverse_regularisation_grid=self.inverse_regularisation_grid,
        )

    def vectors(self, arrays: Mapping[str, Any]) -> np.ndarray:
        """See `System`; faces come last, and connectivity is not read."""
        return np.concatenate(
            [super(ComparisonEstimator, self).vectors({name: arrays[name]}) for name in self._reads], axis=1
        )

    def estimator(self, seed: int) -> sklearn.base.ClassifierMixin:
        """See `EstimatorSystem`; nothing in it is random."""
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        if self.estimator_name == "svm":
            return make_pipeline(StandardScaler(), DecisionSVC(C=self.inverse_regularisation))
        n_quantities = 29
        return make_pipeline(StandardScaler(), MultipleKernelSVM((-1, n_quantities), C=self.inverse_regularisation))


@register_system
class OfficialComparisonEstimator(ComparisonEstimator):
    """A support vector machine on the features that a dataset distributes.

    Args:
        features: the features of the dataset; those of the windows of a sample are averaged.
    """

    estimator_name: Literal["svm"] = "svm"
    features: OfficialFeatures = OfficialFeatures()  # type: ignore[assignment]  # in place of the base class's own

    def with_released_features(self) -> System:
        """See `System`; this one."""
        return self
