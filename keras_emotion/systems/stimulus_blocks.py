"""What the comparison methods of MERCL have in common: blocks of stimulus and EEG, paired by time."""

from __future__ import annotations

from typing import Any, ClassVar

from keras_emotion.pipelines import EEGBlocks, FeaturePart, Windowing
from keras_emotion.pipelines.windowing import LagSeconds, Seconds
from keras_emotion.systems.base import System


class StimulusBlocks(System):
    """Features of the stimulus and of the EEG in the blocks of MERCL; the EEG may be cut later.

    Args:
        window_seconds: length of a block in seconds, of all features.
        hop_seconds: from the start of a block to that of the next; `None`: side by side.
        lag_seconds: how much later than the stimulus the EEG of a block is cut.
    """

    hint: ClassVar[str] = "give the folder of the stimuli with --stimuli"
    reads: ClassVar[tuple[str, ...]]
    """Names of the fields that are feature parts, the one that leads first."""

    window_seconds: Seconds = 4.0
    hop_seconds: Seconds | None = 2.0
    lag_seconds: LagSeconds = 0.0

    @property
    def windowing(self) -> Windowing:
        """See `System`."""
        return Windowing(window_seconds=self.window_seconds, hop_seconds=self.hop_seconds, lag_seconds=self.lag_seconds)

    def parts(self) -> dict[str, FeaturePart]:
        """See `System`; all of them cut alike, whatever their own fields of the windows are."""
        in_step = self.windowing.model_copy(update={"lag_seconds": 0.0})
        parts = {name: getattr(self, name) for name in self.reads}
        return {
            name: part.with_windowing(self.windowing if isinstance(part, EEGBlocks) else in_step)
            for name, part in parts.items()
        }

    def scientific_config(self) -> dict[str, Any]:
        """See `System`."""
        fields = self.model_dump(mode="json", exclude=set(self.reads))
        return {**fields, **{name: part.key() for name, part in self.parts().items()}}
