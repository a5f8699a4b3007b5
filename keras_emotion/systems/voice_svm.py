"""Support vector machine on descriptors of a subject's voice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field
from typing_extensions import override

from keras_emotion.pipelines import FeaturePart
from keras_emotion.pipelines.sound_features import MediaSoundFunctionals
from keras_emotion.systems.registry import register_system
from keras_emotion.systems.regularisation import RegularisedSystem
from keras_emotion.systems.svm import DecisionSVC

if TYPE_CHECKING:
    import sklearn.base


def _voice() -> MediaSoundFunctionals:
    return MediaSoundFunctionals(window_seconds=1.0, hop_seconds=None, stream="person")


@register_system
class VoiceSVM(RegularisedSystem):
    """Support vector machine with a radial kernel on functionals of a subject's sound, window by window.

    A baseline for datasets of voices (`Trial.voice`), which sound networks should exceed. Inputs are standardised on
    the training windows; C is selected on the validation windows of each fold.

    Args:
        voice: functionals of the sound in windows of one second, without overlap.
    """

    voice: MediaSoundFunctionals = Field(default_factory=_voice)

    @override
    def parts(self) -> dict[str, FeaturePart]:
        return {"voice": self.voice.changed(stream="person")}

    def estimator(self, seed: int) -> sklearn.base.ClassifierMixin:
        """See `EstimatorSystem`; deterministic."""
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        return make_pipeline(StandardScaler(), DecisionSVC(C=self.inverse_regularisation))
