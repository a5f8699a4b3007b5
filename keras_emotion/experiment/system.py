"""What a paper brings along, and the runner knows nothing of: features, network, loss."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from keras_emotion.pipelines import Features, StoredFeatures
from keras_emotion.schema import Trial

if TYPE_CHECKING:
    import keras


class System(BaseModel, abc.ABC):
    """A paper's features, network and loss, as a frozen value.

    The runner calls the methods in this order: `feature_key`, `compute_features` and `join` once a subject,
    `model` once for each architecture and shape, then for each fold `fit_statistics`, `batch`, `diagnostics`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def science(self) -> dict[str, Any]:
        """JSON-able fields that decide the numbers; paths are replaced by what lies there."""
        return self.model_dump(mode="json")

    @property
    def paper_variant(self) -> str | None:
        """The line of the paper's tables that this configuration stands for, as printed; `None` for the main one."""
        return None

    @abc.abstractmethod
    def feature_key(self) -> dict[str, Any]:
        """JSON-able parameters and code version of the features: with the source files, their key in the store."""

    @abc.abstractmethod
    def compute_features(self, trials: Iterable[Trial]) -> Features:
        """Arrays by modality and window table of the trials of one subject."""

    def join(self, stored: StoredFeatures) -> tuple[StoredFeatures, dict[str, int]]:
        """Add what does not come from the recordings.

        Returns:
            The features to train on, and by reason the number of windows dropped.
        """
        return stored, {}

    @abc.abstractmethod
    def model(self, shapes: Mapping[str, tuple[int, ...]], n_classes: int, inference: Mapping[str, Any]) -> keras.Model:
        """A new, uncompiled model for windows of the given shapes (by modality, without the batch axis)."""

    @abc.abstractmethod
    def losses(self) -> dict[str, Any]:
        """Arguments of `compile` that say what is minimised: `loss` and `loss_weights`."""

    @abc.abstractmethod
    def batch(self, elements: dict[str, np.ndarray], labels: np.ndarray) -> tuple:
        """`(inputs, targets)` of the model from the arrays and labels `(batch,)` of a batch."""

    def fit_statistics(self, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> None:
        """Fit what is fitted without gradients (scalers) on the training windows at `rows`, and on no others."""

    def diagnostics(self, model: keras.Model, arrays: Mapping[str, Any], rows: np.ndarray) -> dict[str, float]:
        """Quantities of the trained model worth a figure, over the test windows at `rows`; recorded as metrics."""
        return {}

    def source_files(self) -> tuple[Path, ...]:
        """Files besides the recordings that decide the numbers; they enter the data fingerprint."""
        return ()

    def inference(self, trial: Trial) -> dict[str, Any]:
        """What a saved model must know to be applied: bands, channel order, grid, window length."""
        return {}
