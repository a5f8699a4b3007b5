"""Face and EEG classified apart and compared (Islam et al.), a comparison method of the hierarchical LSTM."""

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
    """A classifier of the face and one of the EEG; where they disagree, the one that is more certain decides [1].

    Both are logistic regressions: on principal components of the grey picture (`LeadingComponents`), and on standard
    scores of the powers. All of it is fitted on the training rows.

    **Deviations**: known is what [2] writes of it: facial expressions and EEG are recognised apart, the results of the
    two are compared, and whether the emotion fluctuates is read off the comparison. Features, classifiers and how the
    comparison becomes one class are not known, and are decided here.

    Args:
        window_seconds: length of a segment in seconds.
        hop_seconds: from the start of a segment to that of the next; `None`: side by side.
        faces: how faces come from videos; the mean over the steps of a segment is the picture.
        bands: `(low_hz, high_hz)` of the log-powers of the EEG by name.
        n_components: principal components of a face, fewer where the training rows span fewer.
        inverse_regularisation: C of both regressions.
        decides: `"most_certain"`: of both, the one whose probability is larger; `"face"` or `"eeg"`: this one alone.

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
        """See `System`; the method as [2] cites it, which has a bar in Fig. 8 and 9."""
        return "Ref [22]" if self.decides == "most_certain" else f"Ref [22], {self.decides} alone"

    def estimator(self, seed: int) -> sklearn.base.ClassifierMixin:
        """See `EstimatorSystem`; the seed is that of the principal components."""
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
    """An experiment with a classifier of the face and one of the EEG."""

    system: MindReader = Field(default_factory=MindReader)
