"""AVE-RT: a random tree on stimulus and EEG, which Lee, Kim and Kim (2024) compare MERCL with."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, field_validator

from keras_emotion.pipelines import MediaColours, MediaSoundFunctionals, SlidingBandPowers
from keras_emotion.pipelines.features import FeaturePart
from keras_emotion.systems.base import EstimatorSystem
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.registry import register_system
from keras_emotion.systems.stimulus_blocks import StimulusBlocks

if TYPE_CHECKING:
    import sklearn.base


@register_system
class AVERT(StimulusBlocks, EstimatorSystem):
    """Power spectral densities, eGeMAPS, light and colour, concatenated, in a random tree [1].

    A random tree splits on the best of a random choice of features, `log2` of their number, at each node, and is not
    pruned: `sklearn.tree.DecisionTreeClassifier(max_features="log2")`.

    **Deviations**: eGeMAPS needs the extra `opensmile`; without it functionals of librosa take its place, and runs are
    flagged. Not printed in [2]: the density's estimate (Welch, segments of 1 s, mean over the block, its logarithm,
    which a tree does not notice), how luminance coefficient and colour energy are defined (see `picture_quantities`;
    brightness, saturation and motion are there as well), the tree's constants.

    Args:
        window_seconds: length of a block in seconds, of all features.
        hop_seconds: from the start of a block to that of the next; `None`: side by side.
        lag_seconds: how much later than the stimulus the EEG of a block is cut.
        picture: light, colour and motion.
        sound: eGeMAPS or functionals of librosa.
        eeg: log-powers of five bands; one step, as long as a block.
        forest: 100 random trees, `sklearn.ensemble.RandomForestClassifier`, in place of one: not the paper's.

    References:
        [1] Xing, Zhang, Zhang, Zhang, Wu, Shi, Yu and Zhang (2019). Exploiting EEG signals and audiovisual feature
        fusion for video emotion recognition. IEEE Access 7, 59844-59861.
        [2] Lee, Kim and Kim (2024), section 4.3, where [1] is [45].
    """

    reads: ClassVar[tuple[str, ...]] = ("picture", "sound", "eeg")

    picture: MediaColours = MediaColours()
    sound: MediaSoundFunctionals = Field(default_factory=MediaSoundFunctionals)
    eeg: SlidingBandPowers = Field(default_factory=SlidingBandPowers)
    forest: bool = False

    @field_validator("eeg")
    @classmethod
    def _powers(cls, eeg):
        if eeg.eeg_input != "powers":
            raise ValueError("eeg.eeg_input: 'raw'; expected 'powers'")
        return eeg

    @property
    def paper_variant(self) -> str | None:
        """See `System`; the line of Tables 3 to 6, which has one tree."""
        return "AVE-RT, forest" if self.forest else "AVE-RT"

    def parts(self) -> dict[str, FeaturePart]:
        """See `System`; the EEG in one step."""
        parts = super().parts()
        parts["eeg"] = parts["eeg"].changed(step_window_seconds=self.window_seconds)
        return parts

    def estimator(self, seed: int) -> sklearn.base.ClassifierMixin:
        """See `EstimatorSystem`; the seed is that of the choices of features."""
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.tree import DecisionTreeClassifier

        if self.forest:
            return RandomForestClassifier(100, max_features="log2", random_state=seed)
        return DecisionTreeClassifier(max_features="log2", random_state=seed)


class AVERTExperiment(Experiment):
    """An experiment with AVE-RT."""

    system: AVERT = Field(default_factory=AVERT)
