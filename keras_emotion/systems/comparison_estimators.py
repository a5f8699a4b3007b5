"""Scikit-learn classifiers on PriorDFCN's features, the comparison methods of Zheng et al. (2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from typing_extensions import override

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
    """Support vector machine on a trial's band powers, or on these and face quantities with several kernels.

    | name | classifier | input |
    |---|---|---|
    | `svm` | `sklearn.svm.SVC` with a radial kernel | band powers, mean over the windows of a trial |
    | `mkl` | `MultipleKernelSVM` | these, and the quantities of the face, mean over the windows |

    Inputs are standardised on the training trials.

    **Deviations**: Zheng et al. do not state the inputs, kernels and C. Here C is chosen on the validation windows of
    each fold, by the logistic loss of the decisions.

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
        """See `System`; unused features do not change the experiment's identity."""
        own = super().scientific_config()
        del own["features"], own["face"]
        return {**own, **{name: part.key() for name, part in self.parts().items()}}

    @property
    def paper_variant(self) -> str | None:
        """See `System`; the rows of Table 1 of Zheng et al."""
        return self.estimator_name.upper()

    @property
    def windowing(self) -> Windowing:
        """See `System`; the samples of the EEG, with its windows as steps."""
        return self.features.windowing.model_copy(update={"lag_seconds": self.face.lag_seconds})

    @override
    def parts(self) -> dict[str, FeaturePart]:
        parts: dict[str, FeaturePart] = {"eeg": self.features, "face": self.face.with_windowing(self.windowing)}
        return {name: parts[name] for name in self._reads}

    def with_released_features(self) -> System:
        """See `System`; supported by the support vector machine, which needs no faces."""
        if self.estimator_name != "svm":
            return super().with_released_features()
        return OfficialComparisonEstimator(
            inverse_regularisation=self.inverse_regularisation,
            inverse_regularisation_grid=self.inverse_regularisation_grid,
        )

    def vectors(self, arrays: Mapping[str, Any]) -> np.ndarray:
        """See `System`; faces come last, and connectivity is ignored."""
        return np.concatenate(
            [super(ComparisonEstimator, self).vectors({name: arrays[name]}) for name in self._reads], axis=1
        )

    def estimator(self, seed: int) -> sklearn.base.ClassifierMixin:
        """See `EstimatorSystem`; deterministic."""
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        if self.estimator_name == "svm":
            return make_pipeline(StandardScaler(), DecisionSVC(C=self.inverse_regularisation))
        n_quantities = 29
        return make_pipeline(StandardScaler(), MultipleKernelSVM((-1, n_quantities), C=self.inverse_regularisation))


@register_system
class OfficialComparisonEstimator(ComparisonEstimator):
    """Support vector machine on the features distributed with a dataset.

    Args:
        features: the features of the dataset, averaged over the windows of a sample.
    """

    estimator_name: Literal["svm"] = "svm"
    features: OfficialFeatures = OfficialFeatures()  # type: ignore[assignment]  # in place of the base class's own

    def with_released_features(self) -> System:
        """See `System`; returns itself."""
        return self
