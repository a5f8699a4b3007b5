"""A support vector machine on descriptions of a person's voice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

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
    """A support vector machine with a radial kernel on functionals of the sound of a person, window by window.

    A baseline for datasets of voices (`Trial.voice`), and for what a network of sound has to beat. Standard scores come
    first, fitted on the training windows; C is chosen on the validation windows of each fold.

    Args:
        voice: functionals of the sound in windows of a second, side by side.
    """

    voice: MediaSoundFunctionals = Field(default_factory=_voice)

    def parts(self) -> dict[str, FeaturePart]:
        """See `System`."""
        return {"voice": self.voice.changed(stream="person")}

    def estimator(self, seed: int) -> sklearn.base.ClassifierMixin:
        """See `EstimatorSystem`; nothing in it is random."""
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        return make_pipeline(StandardScaler(), DecisionSVC(C=self.inverse_regularisation))
