"""Quantities of a face as OpenFace measures them: position, rotation, gaze and action units, from its output files."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from keras_emotion.schema import InputError
from keras_emotion.tables import reading_csv

ACTION_UNITS = ("01", "02", "04", "05", "06", "07", "09", "10", "12", "14", "15", "17", "20", "23", "25", "26", "45")
"""Numbers of the 17 action units of the Facial Action Coding System whose intensity OpenFace estimates."""

OPENFACE_QUANTITIES = (
    *(f"pose_T{axis}" for axis in "xyz"),
    *(f"pose_R{axis}" for axis in "xyz"),
    *(f"gaze_{eye}_{axis}" for eye in (0, 1) for axis in "xyz"),
    *(f"AU{number}_r" for number in ACTION_UNITS),
)
"""The 29 quantities of a frame, by the names of OpenFace's columns.

Axes as seen by the camera: x to the right of the picture, y down, z away from the camera.

- `pose_Tx`, `pose_Ty`, `pose_Tz`: place of the head from the camera, in millimetres.
- `pose_Rx`, `pose_Ry`, `pose_Rz`: rotation of the head in radians, `R = Rx Ry Rz`; 0 is a face that looks along the
  axis of the camera. Positive is a head that is lowered (x), turned to the person's own right (y), and tilted clockwise
  in the picture (z).
- `gaze_0_*`, `gaze_1_*`: direction of the gaze of the eye on the left of the picture (the person's right eye) and of
  the other, as vectors of length 1; `(0, 0, -1)` looks along the axis into the camera.
- `AU01_r` ... `AU45_r`: intensity of an action unit, 0 (not there) to 5 (as strong as can be).
"""

_EXPECTED = "expected what FeatureExtraction of OpenFace 2 writes with -pose -gaze -aus"

_NOT_A_NUMBER = ("nan", "-nan", "nan(ind)", "-nan(ind)", "inf", "-inf")
"""What C++ writes for a number that is none."""


def read_openface(path: Path | str, assumed_frame_rate_hz: float | None = None) -> pd.DataFrame:
    """Read a file of OpenFace 2's FeatureExtraction [1].

    Columns are found by name, with or without blanks before it (2.0 wrote them, 2.2 does not); others are ignored. Of
    several faces (column `face_id`, of FaceLandmarkVidMulti) that with the most successful frames is taken, of equals
    the one with the lowest number, as `extract_faces` takes the face that is there longest.

    OpenFace counts time as the number of the frame over the rate in the header of the video; `assumed_frame_rate_hz`
    counts it anew, for videos whose header is wrong, and for folders of pictures, which have no times.

    Args:
        path: the `.csv` file.
        assumed_frame_rate_hz: time of a frame is its number, less 1, over this rate; `None`, the default, takes the
            column `timestamp`.

    Returns:
        A row a frame: `time_seconds` from the first frame of the video, increasing, and `OPENFACE_QUANTITIES`; NaN
        where OpenFace did not succeed (`success` 0), or a quantity is not a finite number.

    Raises:
        InputError: no such file, not a text file with commas, no rows, a column is missing, something is not a number,
            or times do not increase.
        ValueError: a rate that is not above 0.

    References:
        [1] Baltrušaitis, Zadeh, Lim, Morency, OpenFace 2.0: Facial Behavior Analysis Toolkit, FG 2018; the columns in
        its wiki, "Output Format".
    """
    path = Path(path)
    if assumed_frame_rate_hz is not None and not 0 < assumed_frame_rate_hz < np.inf:
        raise ValueError(f"`assumed_frame_rate_hz` is {assumed_frame_rate_hz}; expected more than 0")
    clock = "timestamp" if assumed_frame_rate_hz is None else "frame"
    needed = (clock, "success", *OPENFACE_QUANTITIES)
    values = _numbers(path, _texts(path, needed))
    if "face_id" in values:
        values = values[values["face_id"] == _main_face(values)]
    times = values[clock].to_numpy()
    if assumed_frame_rate_hz is not None:
        times = (times - 1) / assumed_frame_rate_hz
    late = np.flatnonzero(~(np.diff(times) > 0))
    if len(late):
        before, after = times[late[0] : late[0] + 2]
        raise InputError(
            f"{path}, line {values.index[late[0] + 1]}: {after:g} s comes after {before:g} s; expected times that "
            "increase (pictures without times need assumed_frame_rate_hz)"
        )
    quantities = values[list(OPENFACE_QUANTITIES)].to_numpy(copy=True)
    usable = (values["success"].to_numpy() > 0) & np.isfinite(quantities).all(axis=1)
    quantities[~usable] = np.nan
    frames = pd.DataFrame(quantities, columns=list(OPENFACE_QUANTITIES))
    frames.insert(0, "time_seconds", times)
    return frames


def _texts(path: Path, needed: tuple[str, ...]) -> pd.DataFrame:
    """The needed columns as texts, and `face_id` where it is there; the index is the line of the file."""
    if not path.exists():
        raise InputError(f"{path}: no such file; {_EXPECTED}")
    with reading_csv(path, f"{{path}}: not a readable table ({{reason}}); {_EXPECTED}"):
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = [name.strip() for name in next(csv.reader(file), [])]
        missing = [name for name in needed if name not in header]
        if missing:
            raise InputError(f"{path}: no column {', '.join(missing)}; {_EXPECTED}")
        wanted = [header.index(name) for name in (*needed, "face_id") if name in header]
        # As texts, so that what is no number can be said; a row that is too short leaves its last columns empty.
        texts = pd.read_csv(
            path,
            header=0,
            names=range(len(header)),
            usecols=wanted,
            index_col=False,
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
        )
    if not len(texts):
        raise InputError(f"{path}: no frames; {_EXPECTED}")
    texts.index = np.arange(len(texts)) + 2
    return texts.rename(columns=dict(enumerate(header)))


def _numbers(path: Path, texts: pd.DataFrame) -> pd.DataFrame:
    texts = texts.apply(lambda column: column.str.strip().str.lower())
    values = texts.apply(pd.to_numeric, errors="coerce").astype(float)
    wrong = ~np.isfinite(values)
    # A quantity may be none; a time, a success or a face may not.
    wrong[list(OPENFACE_QUANTITIES)] &= ~texts[list(OPENFACE_QUANTITIES)].isin(_NOT_A_NUMBER)
    lines, columns = np.nonzero(wrong.to_numpy())
    if len(lines):
        line, column = values.index[lines[0]], values.columns[columns[0]]
        raise InputError(f"{path}, line {line}, column {column}: {texts.loc[line, column]!r}; expected a number")
    return values


def _main_face(values: pd.DataFrame) -> float:
    return (values["success"] > 0).groupby(values["face_id"]).sum().idxmax()
