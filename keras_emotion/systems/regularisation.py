"""Estimators whose regularisation is selected on the validation windows of each fold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field
from typing_extensions import override

from keras_emotion.systems.base import EstimatorSystem, System


class RegularisedSystem(EstimatorSystem):
    """An estimator with a penalty whose weight is selected in each fold, so that baselines are tuned.

    Each value of the grid is a candidate of the fold, trained on its training windows; the one with the highest mean
    log-likelihood on the validation windows is trained again on both and tested (under a protocol that selects on the
    test fold, the one with the highest accuracy there, as for networks). Ties go to the strongest penalty. `search.csv`
    of a run lists the candidates.

    The leak audit trains hundreds of estimators on permuted labels: it uses `inverse_regularisation` for all of them,
    and for the real labels too, so that its p-value is exact and its time is that of one candidate.

    Args:
        inverse_regularisation: C, the inverse weight of the penalty, used without a grid, and in the leak audit.
        inverse_regularisation_grid: values of C from which each fold selects on its validation windows; empty: use
            `inverse_regularisation`.
    """

    inverse_regularisation: Annotated[float, Field(gt=0)] = 1.0
    inverse_regularisation_grid: tuple[Annotated[float, Field(gt=0)], ...] = (0.01, 0.1, 1.0, 10.0, 100.0)

    @classmethod
    def of_record(cls, fields: Mapping[str, Any]) -> Self:
        """See `System`; before version 0.2.0 there was no grid, and C was fixed."""
        return cls(**{"inverse_regularisation_grid": (), **fields})

    @override
    def scientific_config(self) -> dict[str, Any]:
        fields = self.model_dump(mode="json")
        # Left out if empty, so that runs of earlier versions can be resumed.
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
