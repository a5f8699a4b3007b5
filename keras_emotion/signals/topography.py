"""Electrodes on a two-dimensional grid: convert channel features into maps of rows and columns, and back.

The cells are defined in `grids/<layout>.csv`, one row per channel, indices from 0, row 0 at the forehead, column 0 at
the left ear. Both layouts have 9 columns; each covers DEAP's 32 and SEED's 62 channels, which agree, and more channels
of the 10-10 system by these rules:

- `"9x9"`: a line of electrodes across the head is a row (Fp, AF, F, FC, C, CP, P, PO, O). In the five full lines the
  numbers 7 5 3 1 z 2 4 6 8 take the columns 0 to 8, in AF and PO 7 5 3 z 4 6 8 the columns 1 to 7, in Fp and O 1 z 2
  the columns 3 to 5 (SEED's CB1 and CB2 at their sides). The outer ring (9 and 10) takes the outermost column of its
  line: FT9 lies where FT7 does, and a montage with both has to leave one out.
- `"8x9"` (4D-CRNN): the same with Fp and AF in one row. AF moves outwards by one column where it fits (AF3 in 2, AF7
  in 1), AFz falls on Fpz, and AF5 and AF6 have no cell.

Channels without an evident cell (Iz, mastoids, AF1, PO1) are in neither: leave them out, give custom positions, or give
their position on the head (`directions` of `grid_positions`): they then get the cell of the nearest electrode that has
one, or a free one near it. `grids/directions.csv` has the directions of the 10-5 system: MNE's montage `standard_1005`,
relative to the centre of the best-fitting sphere of all of its electrodes (least squares), four digits.
"""

from __future__ import annotations

import csv
import functools
import importlib.resources
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.optimize

from keras_emotion.schema import InputError

GRID_SHAPES: Mapping[str, tuple[int, int]] = {"9x9": (9, 9), "8x9": (8, 9)}
"""Numbers of rows and columns of each electrode grid, by its name."""

FARTHEST_DEGREES = 25.0
"""Angle from the nearest electrode of a grid beyond which a channel has no cell; four centimetres on a head."""

_OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}


def _comparable(channel_name: str) -> str:
    name = "".join(channel_name.split()).rstrip(".").upper()
    return _OLD_NAMES.get(name, name)


@functools.cache
def _cells(layout: str) -> Mapping[str, tuple[int, int]]:
    if layout not in GRID_SHAPES:
        raise ValueError(f"`layout` is {layout!r}; expected one of {', '.join(GRID_SHAPES)}")
    table = importlib.resources.files("keras_emotion.signals").joinpath("grids", f"{layout}.csv")
    rows = csv.DictReader(table.read_text(encoding="utf-8").splitlines())
    return {_comparable(row["channel"]): (int(row["row"]), int(row["column"])) for row in rows}


@functools.cache
def _standard_directions() -> Mapping[str, tuple[str, np.ndarray]]:
    """Return spelling and direction of each electrode of the 10-5 system, by its normalised name."""
    table = importlib.resources.files("keras_emotion.signals").joinpath("grids", "directions.csv")
    rows = list(csv.reader(table.read_text(encoding="utf-8").splitlines()))[1:]
    # Old names follow the new ones in the table, and get their spelling.
    found: dict[str, tuple[str, np.ndarray]] = {}
    for name, *direction in rows:
        found.setdefault(_comparable(name), (name, np.array(direction, dtype=float)))
    return found


def standard_name(channel_name: str) -> str | None:
    """Return the spelling of an electrode in the 10-5 system or the grids; `None` if it is in neither.

    Args:
        channel_name: name of a channel; case, spaces, trailing dots and old names as in `grid_positions`.

    Example:
        >>> standard_name("FCZ"), standard_name("T3"), standard_name("Fc5."), standard_name("EXG1")
        ('FCz', 'T7', 'FC5', None)
    """
    name = _comparable(channel_name)
    if name in _standard_directions():
        return _standard_directions()[name][0]
    return name if name in _cells("9x9") else None


def electrode_directions(channel_names: Sequence[str]) -> np.ndarray:
    """Return the directions of 10-5 electrodes on a standard head.

    Args:
        channel_names: names, compared as in `grid_positions`.

    Returns:
        `(channels, 3)` unit vectors from the centre of the head (right, front, up); NaN for names that are not
        electrodes.

    Example:
        >>> electrode_directions(["T8", "GSR"]).round(1)
        array([[ 1. ,  0. , -0.1],
               [ nan,  nan,  nan]])
    """
    known = _standard_directions()
    unknown = ("", np.full(3, np.nan))
    directions = [known.get(_comparable(name), unknown)[1] for name in channel_names]
    return np.array(directions).reshape(-1, 3)


@functools.cache
def _placed_electrodes(layout: str) -> tuple[np.ndarray, np.ndarray]:
    """Return directions and cells of the electrodes that have both."""
    cells = _cells(layout)
    names = [name for name in cells if name in _standard_directions()]
    return electrode_directions(names), np.array([cells[name] for name in names])


def nearest_cell(direction: np.ndarray, layout: str = "9x9") -> tuple[tuple[int, int], float] | None:
    """Return the cell of the electrode of a layout that is nearest to a position on the head.

    Args:
        direction: `(3,)` from the centre of the head (right, front, up), of any length.
        layout: as in `grid_positions`.

    Returns:
        Row and column, and the angle to that electrode in degrees; `None` if it exceeds `FARTHEST_DEGREES`, or the
        direction is zero or NaN.

    Example:
        >>> nearest_cell(electrode_directions(["Cz"])[0])
        ((4, 4), 0.0)
    """
    directions, cells = _placed_electrodes(layout)
    length = np.linalg.norm(direction)
    if not length > 0:  # also true for NaN
        return None
    # With four digits, they are not exact unit vectors.
    cosines = directions @ (direction / length) / np.linalg.norm(directions, axis=1)
    nearest = cosines.argmax()
    degrees = round(float(np.degrees(np.arccos(min(cosines[nearest], 1.0)))), 3)
    return (tuple(cells[nearest].tolist()), degrees) if degrees <= FARTHEST_DEGREES else None


def grid_positions(
    channel_names: Sequence[str], layout: str = "9x9", directions: np.ndarray | None = None
) -> np.ndarray:
    """Return the cell of each channel.

    Args:
        channel_names: names in the order of the channels axis. Case, spaces and trailing dots are ignored (`"Fc5."`),
            and T3, T4, T5, T6 are the old names of T7, T8, P7, P8.
        layout: `"9x9"` (default, 3FACRNN) or `"8x9"` (4D-CRNN).
        directions: `(channels, 3)` vectors from the centre of the head to each electrode (right, front, up), of any
            length, as `Recording.electrode_directions`. A channel that is not in the layout by name gets the cell of
            the layout's nearest electrode by angle, if one is within `FARTHEST_DEGREES`. If two channels would share a
            cell, those without a 10-5 name (nets, equidistant caps) are assigned to the free cells so that the sum of
            their angles is smallest. By default only names are used.

    Returns:
        `(channels, 2)` integers: row and column, from 0.

    Raises:
        InputError: a channel has no cell in the layout, or there is no assignment with one channel per cell.
        ValueError: an unknown layout, or `directions` of another shape.

    Example:
        >>> grid_positions(["Fp1", "Fc5.", "T3"])
        array([[0, 3],
               [3, 1],
               [4, 0]])
        >>> grid_positions(["AFp3"], directions=electrode_directions(["AFp3"]))
        array([[0, 3]])
        >>> grid_positions(["FT7", "FT9"])
        Traceback (most recent call last):
        ...
        keras_emotion.schema.InputError: channels FT7 and FT9 share row 3, column 0 of the 9x9 grid; leave one out
    """
    if isinstance(channel_names, str):
        raise ValueError(f"`channel_names` is the string {channel_names!r}; expected a sequence of names")
    cells = _cells(layout)
    positions = [cells.get(_comparable(name)) for name in channel_names]
    if directions is not None:
        if np.shape(directions) != (len(positions), 3):
            raise ValueError(f"`directions` has shape {np.shape(directions)}; expected ({len(positions)}, 3)")
        by_place = [place for place, cell in enumerate(positions) if cell is None]
        for place in by_place:
            nearest = nearest_cell(np.asarray(directions[place], dtype=float), layout)
            positions[place] = None if nearest is None else nearest[0]
        found = [cell for cell in positions if cell is not None]
        if len(set(found)) < len(found):
            # An electrode of the 10-5 system keeps its cell.
            movable = [place for place in by_place if positions[place] and not standard_name(channel_names[place])]
            positions = _shared_out(positions, movable, directions, layout)
    unknown = [name for name, cell in zip(channel_names, positions, strict=True) if cell is None]
    if unknown:
        raise InputError(
            f"no cell in the {layout} grid for {', '.join(unknown)}; expected channels with a cell; leave them out, or "
            "give custom positions"
        )
    taken: dict[tuple[int, int], str] = {}
    found = [cell for cell in positions if cell is not None]
    for name, cell in zip(channel_names, found, strict=True):
        if cell in taken:
            raise InputError(
                f"channels {taken[cell]} and {name} share row {cell[0]}, column {cell[1]} of the {layout} grid; "
                "leave one out"
            )
        taken[cell] = name
    return np.array(found, dtype=np.intp).reshape(-1, 2)


def _shared_out(
    positions: list[tuple[int, int] | None], places: list[int], directions: np.ndarray, layout: str
) -> list[tuple[int, int] | None]:
    """Reassign the cells of some channels; return the cells unchanged if there is no complete assignment."""
    electrodes, cells = _placed_electrodes(layout)
    taken = {cell for place, cell in enumerate(positions) if place not in places}
    free = [row for row, cell in enumerate(map(tuple, cells.tolist())) if cell not in taken]
    if not places or not free:
        return positions
    wanted = np.asarray(directions, dtype=float)[places]
    cosines = (wanted / np.linalg.norm(wanted, axis=1, keepdims=True)) @ electrodes[free].T
    degrees = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    # Two electrodes of a layout may have one cell (T3 and T7): the nearer one is used.
    by_cell: dict[tuple[int, int], np.ndarray] = {}
    for column, row in enumerate(free):
        cell = tuple(cells[row].tolist())
        by_cell[cell] = np.minimum(by_cell.get(cell, np.inf), degrees[:, column])
    costs = np.column_stack(list(by_cell.values()))
    too_far = costs > FARTHEST_DEGREES
    channels, chosen = scipy.optimize.linear_sum_assignment(np.where(too_far, 1e6, costs))
    if len(channels) < len(places) or too_far[channels, chosen].any():
        return positions
    found = list(by_cell)
    positions = list(positions)
    for channel, cell in zip(channels, chosen, strict=True):
        positions[places[channel]] = found[cell]
    return positions


def _rows_and_columns(channels: Sequence[str] | np.ndarray, layout: str) -> tuple[np.ndarray, np.ndarray]:
    if layout not in GRID_SHAPES:
        raise ValueError(f"`layout` is {layout!r}; expected one of {', '.join(GRID_SHAPES)}")
    if isinstance(channels, str) or not np.issubdtype(np.asarray(channels).dtype, np.integer):
        names: Any = channels
        return tuple(grid_positions(names, layout).T)
    positions = np.asarray(channels)
    if positions.ndim != 2 or positions.shape[1] != 2:
        raise ValueError(f"positions have shape {positions.shape}; expected `(channels, 2)`")
    if (positions < 0).any() or (positions >= GRID_SHAPES[layout]).any():
        raise ValueError(
            f"positions extend from {positions.min()} to {positions.max()}; expected them within the {layout} grid"
        )
    if len(np.unique(positions, axis=0)) < len(positions):
        raise ValueError("two positions are the same cell; expected one channel per cell")
    return tuple(positions.T)


def to_grid(features: np.ndarray, channels: Sequence[str] | np.ndarray, layout: str = "9x9") -> np.ndarray:
    """Map channel features onto the grid; empty cells are zero.

    Args:
        features: `(..., channels)` of any dtype. For differential entropies `(windows, channels, bands)`, swap the last
            two axes first.
        channels: channel names as in `grid_positions`, or its `(channels, 2)` integers.
        layout: `"9x9"` (default) or `"8x9"`.

    Returns:
        `(..., rows, columns)` of the same dtype.

    Raises:
        InputError: as `grid_positions`.
        ValueError: an unknown layout, positions that repeat or leave the grid, or a number of channels that differs
            from that of `features`.

    Example:
        >>> entropies = np.ones((120, 3, 4))  # windows, channels, bands
        >>> to_grid(np.swapaxes(entropies, 1, 2), ["Fz", "Cz", "Pz"]).shape
        (120, 4, 9, 9)
    """
    features = np.asarray(features)
    rows, columns = _rows_and_columns(channels, layout)
    if features.ndim < 1 or features.shape[-1] != len(rows):
        raise ValueError(
            f"`features` has shape {features.shape}; expected `(..., {len(rows)})`, the number of channels"
        )
    grid = np.zeros(features.shape[:-1] + GRID_SHAPES[layout], features.dtype)
    grid[..., rows, columns] = features
    return grid


def from_grid(grid: np.ndarray, channels: Sequence[str] | np.ndarray, layout: str = "9x9") -> np.ndarray:
    """Extract channel features from the grid, the inverse of `to_grid`.

    Args:
        grid: `(..., rows, columns)` of any dtype.
        channels: as in `to_grid`.
        layout: `"9x9"` (default) or `"8x9"`.

    Returns:
        `(..., channels)` of the same dtype.

    Raises:
        InputError: as `grid_positions`.
        ValueError: as `to_grid`, or the grid has another shape than the layout.

    Example:
        >>> from_grid(to_grid(np.array([1.0, 2.0]), ["O1", "O2"]), ["O2", "O1"])
        array([2., 1.])
    """
    grid = np.asarray(grid)
    rows, columns = _rows_and_columns(channels, layout)
    if grid.shape[-2:] != GRID_SHAPES[layout]:
        raise ValueError(f"`grid` has shape {grid.shape}; expected `(..., {GRID_SHAPES[layout]})` for {layout}")
    return grid[..., rows, columns]
