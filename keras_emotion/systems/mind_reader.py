"""Separate face and EEG classifiers with comparison (Islam et al.), a comparison method of the hierarchical LSTM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from keras_emotion.systems.decision_fusion import DecisionFusion, LeadingComponents
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.faces_and_powers import FacesAndPowers
from keras_emotion.systems.registry import register_system

if TYPE_CHECKING:
    import sklearn.base


@register_system
class MindReader(FacesAndPowers):
    """Separate classifiers of face and EEG; if they disagree, the more certain one decides [1].

    Both are logistic regressions: on principal components of the grey picture (`LeadingComponents`), and on
    standardised powers. Everything is fitted on the training rows.

    **Deviations**: only the description in [2] is known: facial expressions and EEG are recognised separately, the two
    results are compared, and the comparison shows whether the emotion fluctuates. Features, classifiers and how the
    comparison becomes one class are unknown, and are our choice.

    Args:
        window_seconds: length of a segment in seconds.
        hop_seconds: time between consecutive segment starts in seconds; `None`: no overlap.
        faces: extraction of faces from videos; the mean over the steps of a segment is the picture.
        bands: `(low_hz, high_hz)` of the log-powers of the EEG by name.
        n_components: number of principal components of a face, fewer if the training rows span fewer.
        inverse_regularisation: C of both regressions.
        decides: `"most_certain"`: the classifier with the larger probability; `"face"` or `"eeg"`: only this one.

    References:
        [1] Islam, Hamza, Rahaman, Bhattacharjee and Rahman (2018). Mind reader: a facial expression and EEG based
        emotion recognizer. ICCMC 2018, 101-107.
        [2] Wu, Zhang and Zhao (2020). Multimodal fused emotion recognition about expression-EEG interaction and
        collaboration using deep learning. IEEE Access 8. There, [1] is [22].
    """

    n_components: Annotated[int, Field(ge=1)] = 50
    inverse_regularisation: Annotated[float, Field(gt=0)] = 1.0
    decides: Literal["most_certain", "face", "eeg"] = "most_certain"

    @property
    def paper_variant(self) -> str | None:
        """See `System`; the method as cited by [2], which has a bar in Fig. 8 and 9."""
        return "Ref [22]" if self.decides == "most_certain" else f"Ref [22], {self.decides} alone"

    def estimator(self, seed: int) -> sklearn.base.ClassifierMixin:
        """See `EstimatorSystem`; `seed` is that of the principal components."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        def regression():
            return LogisticRegression(C=self.inverse_regularisation, max_iter=1000)

        classifiers = {
            "face": make_pipeline(LeadingComponents(self.n_components, seed), regression()),
            "eeg": make_pipeline(StandardScaler(), regression()),
        }
        members = {
            name: (self.columns[name], one)
            for name, one in classifiers.items()
            if self.decides in ("most_certain", name)
        }
        return DecisionFusion(members, "most_certain")


class MindReaderExperiment(Experiment):
    """An experiment with separate classifiers of face and EEG."""

    system: MindReader = Field(default_factory=MindReader)
