"""Estimators that choose how much they are regularised on the validation windows of each fold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field

from keras_emotion.systems.base import EstimatorSystem, System


class RegularisedSystem(EstimatorSystem):
    """An estimator with a penalty, of which each fold chooses the weight: a network is compared with a tuned baseline.

    Each value of the grid is a candidate of the fold, trained on its training windows; the one with the highest mean
    log-likelihood of the validation windows is trained again on both and tested (under a protocol that chooses on the
    test fold, the one with the highest accuracy there, as of networks). Of equal ones the strongest penalty counts.
    `search.csv` of a run lists them.

    The leak audit trains hundreds of estimators on permuted labels: it takes `inverse_regularisation` for all of them,
    and for the real labels too, so that its p-value is exact and its time is that of one candidate.

    Args:
        inverse_regularisation: C, the inverse weight of the penalty, where no grid is given, and in the leak audit.
        inverse_regularisation_grid: values of C among which each fold chooses on its validation windows; none takes
            `inverse_regularisation`.
    """

    inverse_regularisation: Annotated[float, Field(gt=0)] = 1.0
    inverse_regularisation_grid: tuple[Annotated[float, Field(gt=0)], ...] = (0.01, 0.1, 1.0, 10.0, 100.0)

    @classmethod
    def of_record(cls, fields: Mapping[str, Any]) -> Self:
        """See `System`; before there was a grid, C was fixed."""
        return cls(**{"inverse_regularisation_grid": (), **fields})

    def scientific_config(self) -> dict[str, Any]:
        """See `System`."""
        fields = self.model_dump(mode="json")
        # As it was before there was a grid, so that those runs can be taken up.
        if not self.inverse_regularisation_grid:
            del fields["inverse_regularisation_grid"]
        return fields

    def candidates(self) -> dict[str, System]:
        """See `System`; one for each value of the grid."""
        if not self.inverse_regularisation_grid:
            return {"": self}
        fields = {"inverse_regularisation_grid": ()}
        return {
            f"c{value:g}": self.model_copy(update={**fields, "inverse_regularisation": value})
            for value in self.inverse_regularisation_grid
        }
