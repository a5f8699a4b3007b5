"""Read OpenFace output files: position, rotation, gaze and action units of a face."""

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

- `pose_Tx`, `pose_Ty`, `pose_Tz`: position of the head relative to the camera, in millimetres.
- `pose_Rx`, `pose_Ry`, `pose_Rz`: rotation of the head in radians, `R = Rx Ry Rz`; 0 is a face that looks along the
  axis of the camera. Positive is a head that is lowered (x), turned to the person's own right (y), and tilted clockwise
  in the picture (z).
- `gaze_0_*`, `gaze_1_*`: gaze direction of the eye on the left of the picture (the person's right eye) and of the
  other, as unit vectors; `(0, 0, -1)` looks along the axis into the camera.
- `AU01_r` ... `AU45_r`: intensity of an action unit, 0 (absent) to 5 (maximum).
"""

_EXPECTED = "expected the output of OpenFace 2's FeatureExtraction with -pose -gaze -aus; run it again"

_NOT_A_NUMBER = ("nan", "-nan", "nan(ind)", "-nan(ind)", "inf", "-inf")
"""Texts by which C++ writes NaN."""


def read_openface(path: Path | str, assumed_frame_rate_hz: float | None = None) -> pd.DataFrame:
    """Read a file of OpenFace 2's FeatureExtraction [1].

    Columns are found by name, with or without preceding blanks (2.0 wrote them, 2.2 does not); others are ignored. Of
    several faces (column `face_id`, of FaceLandmarkVidMulti), the one with the most successful frames is used, and the
    one with the lowest number in a tie, as `extract_faces` selects the face with the most samples.

    OpenFace computes times from the frame number and the rate in the header of the video; `assumed_frame_rate_hz`
    replaces that rate, for videos with a wrong header, and for folders of pictures, which have no times.

    Args:
        path: the `.csv` file.
        assumed_frame_rate_hz: the time of a frame is its number minus 1 over this rate; `None`, the default, uses the
            column `timestamp`.

    Returns:
        One row per frame: `time_seconds` from the first frame of the video, increasing, and `OPENFACE_QUANTITIES`; NaN
        if OpenFace did not succeed (`success` 0), or a quantity is not a finite number.

    Raises:
        InputError: the file is missing, not comma-separated text, has no rows, lacks a column, has a value that is not
            a number, or its times do not increase.
        ValueError: the rate is not above 0.

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
            f"{path}, line {values.index[late[0] + 1]}: {after:g} s follows {before:g} s; expected increasing "
            "times; give assumed_frame_rate_hz for pictures without times"
        )
    quantities = values[list(OPENFACE_QUANTITIES)].to_numpy(copy=True)
    usable = (values["success"].to_numpy() > 0) & np.isfinite(quantities).all(axis=1)
    quantities[~usable] = np.nan
    frames = pd.DataFrame(quantities, columns=list(OPENFACE_QUANTITIES))
    frames.insert(0, "time_seconds", times)
    return frames


def _texts(path: Path, needed: tuple[str, ...]) -> pd.DataFrame:
    """Return the required columns as text, and `face_id` if it exists; the index is the line number in the file."""
    if not path.exists():
        raise InputError(f"{path}: no such file; {_EXPECTED}")
    with reading_csv(path, f"{{path}}: unreadable table ({{reason}}); {_EXPECTED}"):
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = [name.strip() for name in next(csv.reader(file), [])]
        missing = [name for name in needed if name not in header]
        if missing:
            raise InputError(f"{path}: missing column {', '.join(missing)}; {_EXPECTED}")
        wanted = [header.index(name) for name in (*needed, "face_id") if name in header]
        # As text, so that invalid numbers can be reported; a short row has empty last columns.
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
    # A quantity may be NaN; a time, a success or a face may not.
    wrong[list(OPENFACE_QUANTITIES)] &= ~texts[list(OPENFACE_QUANTITIES)].isin(_NOT_A_NUMBER)
    lines, columns = np.nonzero(wrong.to_numpy())
    if len(lines):
        line, column = values.index[lines[0]], values.columns[columns[0]]
        raise InputError(f"{path}, line {line}, column {column}: {texts.loc[line, column]!r}; expected a number")
    return values


def _main_face(values: pd.DataFrame) -> float:
    return (values["success"] > 0).groupby(values["face_id"]).sum().idxmax()
