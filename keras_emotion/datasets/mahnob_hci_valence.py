"""Read continuous valence annotations of MAHNOB-HCI's face videos, a file published after the dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_emotion.datasets.mahnob_hci_session import FACTS
from keras_emotion.datasets.matlab import read_variables
from keras_emotion.schema import ContinuousRating, InputError

CONTINUOUS_VALENCE = "continuous_valence"
"""Name of the target."""

LABEL_FILE: str = FACTS["continuous"]["file"]
_RATE_HZ: float = FACTS["continuous"]["rate_hz"]
_SCALE: tuple[float, float] = (float(FACTS["continuous"]["scale"][0]), float(FACTS["continuous"]["scale"][1]))
_VARIABLES = ("labels", "trials_included")


def read_continuous_valence(path: Path) -> dict[int, ContinuousRating]:
    """Read the continuous ratings by session id.

    The file identifies a session by the subject and the id modulo 130; value `k` is assigned to `k / 4` seconds from
    stimulus onset (not verified).

    Raises:
        InputError: the file cannot be read, or has other content.
    """
    variables = read_variables(path, _VARIABLES)
    labels, included = (variables.get(name) for name in _VARIABLES)
    if labels is None or included is None or labels.dtype != object:
        found = ", ".join(variables) or "neither"
        raise InputError(
            f"{path}: found {found}; expected a cell `labels` and an array `trials_included`; copy it again"
        )
    labels = labels.ravel()
    n_ids = FACTS["session_ids_per_subject"]
    is_table = included.dtype.kind in "fiu" and included.shape == (len(labels), 2)
    if not is_table or not ((included >= 1) & (included < n_ids) & (included == np.rint(included))).all():
        raise InputError(
            f"{path}: `trials_included` is {included.dtype} {included.shape}; expected a row for each of {len(labels)} "
            f"`labels`, a subject and a number from 1 to {n_ids - 1}; copy it again"
        )
    ratings: dict[int, ContinuousRating] = {}
    for place, ((subject, number), cell) in enumerate(zip(included.astype(int).tolist(), labels, strict=True), 1):
        where = f"{path}: trial {number} of subject {subject} (row {place})"
        values = np.asarray(cell)
        if values.dtype.kind not in "fiu" or values.ndim > 2 or values.size < 1 or max(values.shape) != values.size:
            raise InputError(f"{where}: {values.dtype} {values.shape}; expected a row of numbers; copy it again")
        values = values.ravel().astype(np.float64)
        if not np.isfinite(values).all() or values.min() < _SCALE[0] or values.max() > _SCALE[1]:
            raise InputError(f"{where}: expected numbers from {_SCALE[0]:g} to {_SCALE[1]:g}; copy it again")
        session = n_ids * (subject - 1) + number
        if session in ratings:
            raise InputError(f"{where}: duplicate trial; expected each once; copy it again")
        ratings[session] = ContinuousRating(np.arange(len(values)) / _RATE_HZ, values, _SCALE)
    return ratings
