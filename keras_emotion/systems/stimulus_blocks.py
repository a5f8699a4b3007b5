"""Base class of MERCL's comparison methods: blocks of stimulus and EEG, paired by time."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import model_validator
from typing_extensions import override

from keras_emotion.pipelines import EEGBlocks, FeaturePart, Windowing
from keras_emotion.pipelines.windowing import LagSeconds, Seconds
from keras_emotion.systems.base import System


class StimulusBlocks(System):
    """Features of stimulus and EEG in MERCL's blocks; the EEG may be delayed.

    Args:
        window_seconds: length of a block in seconds, of all features.
        hop_seconds: time between consecutive block starts in seconds; `None`: no overlap.
        lag_seconds: delay of the EEG of a block relative to the stimulus in seconds.
    """

    hint: ClassVar[str] = "give the folder of the stimuli with --stimuli"
    reads: ClassVar[tuple[str, ...]]
    """Names of the attributes that are feature parts, the leading one first."""

    window_seconds: Seconds = 4.0
    hop_seconds: Seconds | None = 2.0
    lag_seconds: LagSeconds = 0.0

    @model_validator(mode="after")
    def _blocks_are_those_of_the_system(self):
        for name in self.reads:
            part = getattr(self, name)
            for field in ("window_seconds", "hop_seconds", "lag_seconds"):
                value = getattr(part, field, None)
                if field in type(part).model_fields and value not in (
                    type(part).model_fields[field].default,
                    getattr(self, field),
                ):
                    raise ValueError(f"{name}.{field}: {value:g}; all features have the same blocks; choose {field}")
        return self

    @property
    @override
    def windowing(self) -> Windowing:
        return Windowing(window_seconds=self.window_seconds, hop_seconds=self.hop_seconds, lag_seconds=self.lag_seconds)

    def parts(self) -> dict[str, FeaturePart]:
        """See `System`; all with the same windows."""
        in_step = self.windowing.model_copy(update={"lag_seconds": 0.0})
        parts = {name: getattr(self, name) for name in self.reads}
        return {
            name: part.with_windowing(self.windowing if isinstance(part, EEGBlocks) else in_step)
            for name, part in parts.items()
        }

    @override
    def scientific_config(self) -> dict[str, Any]:
        fields = self.model_dump(mode="json", exclude=set(self.reads))
        return {**fields, **{name: part.key() for name, part in self.parts().items()}}
