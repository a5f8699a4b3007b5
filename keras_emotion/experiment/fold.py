"""Windows, rows and batches of one training."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_emotion.evaluation import PROTOCOLS
from keras_emotion.experiment.jobs import Job, Plan, WindowSet
from keras_emotion.experiment.scope import TrainingPart
from keras_emotion.pipelines import WindowBatches
from keras_emotion.pipelines.study_channels import ChangedArray, Imputation
from keras_emotion.systems.base import System
from keras_emotion.systems.settings import Training


@dataclasses.dataclass(frozen=True)
class Fold:
    """The batches of one training.

    Args:
        unit: the windows.
        arrays: arrays of the unit, and derived ones, from which the system learns.
        system: the system to train.
        training: training settings.
        train: rows of the training set.
        validation: rows that choose the epoch; empty if the last epoch is used.
        test: rows of the test set.
        scope: rows to which scalers and thresholds are fitted, if they are not the training rows (a published protocol
            that fits on all rows, which is flagged).
    """

    unit: WindowSet
    arrays: Mapping[str, Any]
    system: System
    training: Training
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    scope: np.ndarray | None = None

    @property
    def fitted_on(self) -> np.ndarray:
        """Rows to which scalers and thresholds are fitted."""
        return self.train if self.scope is None else self.scope

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """Return the `(windows,)` class of each window."""
        return self.unit.labels(self.fitted_on)

    def batches(self, rows: np.ndarray, shuffle_seed: int | None = None, *, stratified: bool = False) -> WindowBatches:
        """Return batches of the windows at `rows`, in order unless shuffled or stratified."""
        return WindowBatches(
            self.arrays,
            self.unit.training_labels(self.fitted_on),
            rows,
            self.training.batch_size,
            shuffle_seed,
            self.system.inputs,
            self.system.targets,
            self.labels if stratified else None,
        )

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Window shape by modality."""
        return {name: tuple(array.shape[1:]) for name, array in self.arrays.items()}


def job_fold(plan: Plan, job: Job) -> Fold:
    """Return the windows and labels of a job."""
    unit = plan.window_set(job.subject, job.target, job.session)
    system = plan.experiment.system.candidates()[job.candidate]
    return make_fold(plan, job, unit, plan.fold(unit, job.protocol, job.repetition, job.fold), system)


def make_fold(
    plan: Plan, job: Job, unit: WindowSet, rows: tuple[np.ndarray, np.ndarray, np.ndarray], system: System
) -> Fold:
    """Create the fold of a unit from known `(training, validation, test)` rows."""
    scope = np.arange(len(unit.table)) if PROTOCOLS[job.protocol].fitted_on == "all_rows" else None
    arrays = complete_arrays(unit, rows[0] if scope is None else scope)
    return Fold(unit, arrays, system, plan.experiment.training, *rows, scope)


def complete_arrays(unit: WindowSet, rows: np.ndarray) -> dict[str, Any]:
    """Return the arrays of a unit, with missing channels imputed.

    Args:
        unit: the windows.
        rows: rows whose means replace missing values: the training rows.
    """
    return {
        name: ChangedArray(array, Imputation.fit(array, rows)) if name in unit.incomplete else array
        for name, array in unit.arrays.items()
    }


def fitted_arrays(fold: Fold) -> Mapping[str, Any]:
    """Return the arrays of a fold, with the transformation fitted by its system to the training windows."""
    return fold.system.fit_arrays(training_part(fold), fold.fitted_on)(fold.arrays)


def training_part(fold: Fold) -> TrainingPart:
    """Return the arrays of a fold, restricted to the rows that may be used for fitting."""
    return TrainingPart(fold.arrays, fold.fitted_on, type(fold.system).__name__)
