"""AVE-RT: a random tree on stimulus and EEG, a comparison method of MERCL (Lee et al., 2024)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, field_validator

from keras_emotion.pipelines import MediaColours, MediaSoundFunctionals, SlidingBandPowers
from keras_emotion.pipelines.features import Bands, check_band_edges
from keras_emotion.pipelines.sliding_band_powers import MERCL_BANDS
from keras_emotion.systems.base import EstimatorSystem
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.registry import register_system
from keras_emotion.systems.stimulus_blocks import StimulusBlocks

if TYPE_CHECKING:
    import sklearn.base


@register_system
class AVERT(StimulusBlocks, EstimatorSystem):
    """Random tree on concatenated power spectral densities, eGeMAPS, light and colour features [1].

    At each node, a random tree splits on the best of `log2(n_features)` randomly chosen features; it is not pruned:
    `sklearn.tree.DecisionTreeClassifier(max_features="log2")`.

    **Deviations**: eGeMAPS needs the extra `opensmile`; without it functionals of librosa replace it, and runs are
    flagged. [2] does not state the estimate of the density (here: Welch, segments of 1 s, mean over the block, its
    logarithm, which does not affect a tree), the definitions of luminance coefficient and colour energy (see
    `picture_quantities`, which also has brightness, saturation and motion), and the tree's constants.

    Args:
        window_seconds: length of a block in seconds, of all features.
        hop_seconds: time between consecutive block starts in seconds; `None`: no overlap.
        lag_seconds: delay of the EEG of a block relative to the stimulus in seconds.
        picture: light, colour and motion.
        sound: eGeMAPS or functionals of librosa.
        bands: `(low_hz, high_hz)` of the log-powers of the EEG by name.
        forest: 100 random trees, `sklearn.ensemble.RandomForestClassifier`, in place of one: not the paper's.

    References:
        [1] Xing, Zhang, Zhang, Zhang, Wu, Shi, Yu and Zhang (2019). Exploiting EEG signals and audiovisual feature
        fusion for video emotion recognition. IEEE Access 7, 59844-59861.
        [2] Lee, Kim and Kim (2024), section 4.3, where [1] is [45].
    """

    reads: ClassVar[tuple[str, ...]] = ("picture", "sound", "eeg")

    picture: MediaColours = MediaColours()
    sound: MediaSoundFunctionals = Field(default_factory=MediaSoundFunctionals)
    bands: Bands = Field(default_factory=lambda: dict(MERCL_BANDS))
    forest: bool = False

    @field_validator("bands")
    @classmethod
    def _edges_in_order(cls, bands):
        check_band_edges(bands)
        return bands

    @property
    def eeg(self) -> SlidingBandPowers:
        """Log-powers of the EEG, one step as long as a block."""
        seconds = self.window_seconds
        return SlidingBandPowers(bands=self.bands, window_seconds=seconds, step_window_seconds=seconds)

    @property
    def paper_variant(self) -> str | None:
        """See `System`; the row of Tables 3 to 6, which has one tree."""
        return "AVE-RT, forest" if self.forest else "AVE-RT"

    def estimator(self, seed: int) -> sklearn.base.ClassifierMixin:
        """See `EstimatorSystem`; `seed` is that of the feature choices."""
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.tree import DecisionTreeClassifier

        if self.forest:
            return RandomForestClassifier(100, max_features="log2", random_state=seed)
        return DecisionTreeClassifier(max_features="log2", random_state=seed)


class AVERTExperiment(Experiment):
    """An experiment with AVE-RT."""

    system: AVERT = Field(default_factory=AVERT)
