"""System whose every step can be replaced by a recipe: correct ones, and ones that leak. Data are noise.

A recipe is a function of this module under a name, so that a system consists of plain fields. `memory` is what recipes
keep between calls, as in code written without folds in mind.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import sklearn.base
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from keras_emotion.pipelines import FeaturePart
from keras_emotion.systems.base import EstimatorSystem
from tests.conftest import MemoryReader

memory: dict[Any, Any] = {}
"""State that recipes keep between calls; cleared before each audit."""

PART_RECIPES: dict[str, Callable[..., list[np.ndarray]]] = {}
DERIVED_RECIPES: dict[str, Callable[..., Mapping[str, np.ndarray]]] = {}
JOIN_RECIPES: dict[str, Callable[..., Any]] = {}
FIT_RECIPES: dict[str, Callable[..., Any]] = {}
VECTOR_RECIPES: dict[str, Callable[..., np.ndarray]] = {}
ESTIMATOR_RECIPES: dict[str, Callable[..., Any]] = {}


class Powers(FeaturePart):
    """Log-power of each channel in windows: `{"powers": (windows, 1, channels)}`, float32."""

    code_version: ClassVar[int] = 1

    window_seconds: float = 2.0
    hop_seconds: float = 2.0
    recipe: str = ""

    def extract(self, trials):
        """See `FeaturePart`; the recipe gets `(windows, channels)` of each trial, and the trials."""
        kept, powers, tables = [], [], []
        for trial in trials:
            signal, rate = trial.recording.signal[:, trial.recording.n_baseline_samples :], 128
            starts = np.arange(0, trial.duration_seconds - self.window_seconds + 1e-9, self.hop_seconds)
            cut = [signal[:, round(a * rate) : round((a + self.window_seconds) * rate)] for a in starts]
            powers.append(np.log(np.square(cut).mean(axis=2)))
            tables.append(trial.window_table(starts, self.window_seconds))
            kept.append(trial)
        if self.recipe:
            powers = PART_RECIPES[self.recipe](powers, kept)
        joined = np.concatenate(powers).astype(np.float32)
        return {"powers": joined[:, np.newaxis]}, pd.concat(tables, ignore_index=True)


@dataclasses.dataclass(frozen=True)
class Derived:
    """Features that a recipe derives from stored ones."""

    recipe: str
    replaces: ClassVar[str] = "eeg"

    def key(self):
        """See `DerivedPart`."""
        return {"recipe": self.recipe}

    def extract(self, stored):
        """See `DerivedPart`."""
        powers = np.asarray(stored.arrays["powers"])[:, 0]
        derived = DERIVED_RECIPES[self.recipe](powers, stored.table)
        return {"powers": derived.astype(np.float32)[:, np.newaxis]}, stored.table


class Recipes(EstimatorSystem):
    """Logistic regression on log-powers, with each step replaced by a recipe."""

    part: Powers = Powers()
    derives: str = ""
    joins: str = ""
    vectors_by: str = ""
    estimator_by: str = ""

    def parts(self):
        """See `System`."""
        return {"eeg": self.part}

    def derived(self):
        """See `System`."""
        return {"derived": Derived(self.derives)} if self.derives else {}

    def join(self, stored):
        """See `System`."""
        joined, dropped = super().join(stored)
        return (JOIN_RECIPES[self.joins](joined) if self.joins else joined), dropped

    def vectors(self, arrays):
        """See `System`."""
        vectors = super().vectors(arrays)
        return VECTOR_RECIPES[self.vectors_by](vectors) if self.vectors_by else vectors

    def estimator(self, seed):
        """See `EstimatorSystem`."""
        if self.estimator_by:
            return ESTIMATOR_RECIPES[self.estimator_by](seed)
        return make_pipeline(StandardScaler(), LogisticRegression())


class FittedRecipes(Recipes):
    """The same, with arrays fitted in each fold."""

    fits: str

    def fit_arrays(self, arrays, rows):
        """See `System`."""
        return FIT_RECIPES[self.fits](arrays, rows)


class Changed(MemoryReader):
    """A reader of noise whose trials are changed by `change`: a function of the trials of a subject."""

    change: Callable[..., Any] | None = None

    def trials(self, subjects=None):
        """See `Reader`; with the order of presentation."""
        for subject in subjects or self.subjects:
            order = np.random.default_rng(subject).permutation(self._settings[0]) + 1
            trials = [
                dataclasses.replace(trial, presentation=int(place))
                for trial, place in zip(super().trials([subject]), order, strict=True)
            ]
            yield from self.change(trials) if self.change else trials


class Kept(sklearn.base.ClassifierMixin, sklearn.base.BaseEstimator):
    """Third-party estimator that continues its previous fit."""

    def __init__(self, passes: int = 50):
        self.passes = passes

    def fit(self, X, y):
        """Continue from the end of the previous fit."""
        self.classes_ = np.array([0, 1])
        X = np.c_[np.asarray(X, float), np.ones(len(X))]
        if not hasattr(self, "weights_"):
            self.weights_ = np.zeros(X.shape[1])
        for _ in range(self.passes):
            error = 1 / (1 + np.exp(-X @ self.weights_)) - y
            self.weights_ = self.weights_ - 0.1 * X.T @ error / len(X)
        return self

    def predict_proba(self, X):
        """See `EstimatorSystem`."""
        high = 1 / (1 + np.exp(-(np.c_[np.asarray(X, float), np.ones(len(X))] @ self.weights_)))
        return np.stack([1 - high, high], axis=1)
