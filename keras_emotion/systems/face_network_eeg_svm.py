"""Face network and EEG SVM with decision fusion (Huang et al.), a comparison method of the hierarchical LSTM."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from keras_emotion.systems.decision_fusion import DecisionFusion, LeadingComponents
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.faces_and_powers import FacesAndPowers
from keras_emotion.systems.registry import register_system
from keras_emotion.systems.svm import DecisionSVC

if TYPE_CHECKING:
    import sklearn.base


class _Passes(MLPClassifier):
    """Network with a limited number of epochs; suppresses the warning at the limit."""

    def fit(self, X, y):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return super().fit(X, y)


@register_system
class FaceNetworkEEGSVM(FacesAndPowers):
    """One-hidden-layer network on the face and support vector machine on the EEG, with decision fusion [1, 2].

    The face is reduced to 169 features, followed by 200 hidden units with sigmoids, trained by gradient descent at a
    learning rate of 0.1; all four numbers are those of Fig. 2 of [1], the English paper on the method that [2] is cited
    for. Here the features are principal components of the grey picture (`LeadingComponents`). The support vector
    machine reads standardised powers. Everything is fitted on the training rows.

    **Deviations**: only the abstract and one figure of [1] are known; the reduction of the face, the EEG features, the
    kernel and its C are not. [1] classifies four emotions, and with a second machine three intensities; its two fusion
    rules are a sum rule and a production rule, a table of the emotions and the intensity. The data of [3] have no
    intensity, and the table is unavailable: `rule="product"`, the product of the probabilities, is offered instead, and
    is not the production rule of [1]. For two classes both rules make the same decisions and differ in the
    probabilities only.

    Args:
        window_seconds: length of a segment in seconds.
        hop_seconds: time between consecutive segment starts in seconds; `None`: no overlap.
        faces: extraction of faces from videos; the mean over the steps of a segment is the picture.
        bands: `(low_hz, high_hz)` of the log-powers of the EEG by name.
        n_components: number of features of a face, fewer if the training rows span fewer.
        hidden_units: units of the hidden layer.
        learning_rate: learning rate of the network.
        epochs: maximum number of passes over the training rows; not stated in the paper.
        inverse_regularisation: C of the support vector machine.
        kernel: kernel of the support vector machine.
        rule: `"sum"` or `"product"`.

    References:
        [1] Huang, Yang, Liao and Pan (2017). Fusion of facial expressions and EEG for multimodal emotion recognition.
        Computational Intelligence and Neuroscience, 2107451.
        [2] Huang, Yang, Liao and Pan (2018). Fusion of facial expressions and EEG for emotion recognition. Computer
        Systems & Applications 27(2), 9-15 (in Chinese).
        [3] Wu, Zhang and Zhao (2020). Multimodal fused emotion recognition about expression-EEG interaction and
        collaboration using deep learning. IEEE Access 8. There, [2] is [20].
    """

    n_components: Annotated[int, Field(ge=1)] = 169
    hidden_units: Annotated[int, Field(ge=1)] = 200
    learning_rate: Annotated[float, Field(gt=0)] = 0.1
    epochs: Annotated[int, Field(ge=1)] = 200
    inverse_regularisation: Annotated[float, Field(gt=0)] = 1.0
    kernel: Literal["linear", "rbf"] = "linear"
    rule: Literal["sum", "product"] = "sum"

    @property
    def paper_variant(self) -> str | None:
        """See `System`; the method as cited by [3], which has a bar in Fig. 8 and 9."""
        return "Ref [20]" if self.rule == "sum" else f"Ref [20], {self.rule} rule"

    def estimator(self, seed: int) -> sklearn.base.ClassifierMixin:
        """See `EstimatorSystem`; `seed` is that of the weights and of the order of the rows."""
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        network = _Passes(
            (self.hidden_units,),
            activation="logistic",
            solver="sgd",
            learning_rate_init=self.learning_rate,
            max_iter=self.epochs,
            random_state=seed,
        )
        classifiers = {
            "face": make_pipeline(LeadingComponents(self.n_components, seed), network),
            "eeg": make_pipeline(StandardScaler(), DecisionSVC(C=self.inverse_regularisation, kernel=self.kernel)),
        }
        return DecisionFusion({name: (self.columns[name], one) for name, one in classifiers.items()}, self.rule)


class FaceNetworkEEGSVMExperiment(Experiment):
    """An experiment with a network on faces and a support vector machine on EEG."""

    system: FaceNetworkEEGSVM = Field(default_factory=FaceNetworkEEGSVM)
