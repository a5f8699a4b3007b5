"""AVE-KELM: kernel extreme learning machines on stimulus and EEG, a comparison method of MERCL (Lee et al., 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from keras_emotion.pipelines import MediaColours, MediaSoundFunctionals, WaveletPacketEnergies
from keras_emotion.systems.base import EstimatorSystem
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.feature_selection import SymmetricalRelevanceSelector, TreeSelector
from keras_emotion.systems.kernel_elm import KernelELM
from keras_emotion.systems.registry import register_system
from keras_emotion.systems.stimulus_blocks import StimulusBlocks

if TYPE_CHECKING:
    import sklearn.base


@register_system
class AVEKELM(StimulusBlocks, EstimatorSystem):
    """Kernel extreme learning machines on selected features of stimulus and EEG, with decision fusion [1].

    Double input symmetrical relevance selects the features of picture and sound, a decision tree the energies of
    wavelet packets of the EEG. Standard scores, selection and machines are fitted on the training rows.

    **Deviations**: [2] does not state the features of picture and sound; here, as for AVE-RT, light, colour and motion
    of the picture and functionals of the sound. Nor does it state the wavelet, its level, the numbers of features, the
    constants of the machines, or how decisions are fused: here by the weighted mean of their probabilities.

    Args:
        window_seconds: length of a block in seconds, of all features.
        hop_seconds: time between consecutive block starts in seconds; `None`: no overlap.
        lag_seconds: delay of the EEG of a block relative to the stimulus in seconds.
        picture: light, colour and motion.
        sound: functionals of the sound.
        eeg: energies of wavelet packets.
        n_selected: number of selected features of picture and sound; all if there are fewer.
        n_bins: number of bins of a feature for its symmetrical relevance.
        tree_depth: depth of the tree whose splits select features of the EEG; `None`: until its leaves hold one class.
        regularisation: C of the kernel extreme learning machines.
        audiovisual_weight: weight of the stimulus' machine in the decision, from 0 to 1; the EEG's machine has the
            rest.

    References:
        [1] Duan, Ge, Yang and Chen (2016). Multimodal fusion using kernel-based ELM for video emotion recognition.
        Proceedings of ELM-2015, vol. 1, 371-381.
        [2] Lee, Kim and Kim (2024), section 4.3, where [1] is [81].
    """

    reads: ClassVar[tuple[str, ...]] = ("picture", "sound", "eeg")

    picture: MediaColours = MediaColours()
    sound: MediaSoundFunctionals = Field(default_factory=MediaSoundFunctionals)
    eeg: WaveletPacketEnergies = WaveletPacketEnergies()
    n_selected: Annotated[int, Field(ge=1)] = 20
    n_bins: Annotated[int, Field(ge=2)] = 5
    tree_depth: Annotated[int, Field(ge=1)] | None = None
    regularisation: Annotated[float, Field(gt=0)] = 1.0
    audiovisual_weight: Annotated[float, Field(ge=0, le=1)] = 0.5

    @property
    def paper_variant(self) -> str | None:
        """See `System`; the row of Tables 3 to 6."""
        return "AVE-KELM"

    def vectors(self, arrays: Mapping[str, Any]) -> np.ndarray:
        """See `System`; picture and sound come first."""
        parts = [super(AVEKELM, self).vectors({name: arrays[name]}) for name in ("colours", "sound", "eeg")]
        return np.concatenate(parts, axis=1)

    def estimator(self, seed: int) -> sklearn.base.ClassifierMixin:
        """See `EstimatorSystem`; `seed` is that of the tree."""
        from sklearn.compose import ColumnTransformer
        from sklearn.ensemble import VotingClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        media = (part for name, part in self.parts().items() if name != "eeg")
        n_audiovisual = sum(shape[0] for part in media for shape in part.array_shapes(0, 0).values())
        selectors = {
            "audiovisual": (
                slice(None, n_audiovisual),
                SymmetricalRelevanceSelector(n_features=self.n_selected, n_bins=self.n_bins),
            ),
            "eeg": (slice(n_audiovisual, None), TreeSelector(max_depth=self.tree_depth, random_state=seed)),
        }
        machines = [
            (
                name,
                make_pipeline(
                    ColumnTransformer([("own", StandardScaler(), columns)]),
                    selector,
                    KernelELM(C=self.regularisation),
                ),
            )
            for name, (columns, selector) in selectors.items()
        ]
        weights = (self.audiovisual_weight, 1 - self.audiovisual_weight)
        return VotingClassifier(machines, voting="soft", weights=weights)


class AVEKELMExperiment(Experiment):
    """An experiment with AVE-KELM."""

    system: AVEKELM = Field(default_factory=AVEKELM)
