from pathlib import Path

import mne
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_emotion.schema import InputError
from keras_emotion.signals import GRID_SHAPES, electrode_directions, from_grid, grid_positions, standard_name, to_grid

EEG_FILES = Path(__file__).parents[2] / ".." / "shared" / "data" / "eeg_files"

# The published grids as pictures, "-" for an empty cell.
DEAP_9X9 = """
-   -   -   Fp1 -   Fp2 -   -   -
-   -   -   AF3 -   AF4 -   -   -
F7  -   F3  -   Fz  -   F4  -   F8
-   FC5 -   FC1 -   FC2 -   FC6 -
T7  -   C3  -   Cz  -   C4  -   T8
-   CP5 -   CP1 -   CP2 -   CP6 -
P7  -   P3  -   Pz  -   P4  -   P8
-   -   -   PO3 -   PO4 -   -   -
-   -   -   O1  Oz  O2  -   -   -
"""
DEAP_8X9 = """
-   -   AF3 Fp1 -   Fp2 AF4 -   -
F7  -   F3  -   Fz  -   F4  -   F8
-   FC5 -   FC1 -   FC2 -   FC6 -
T7  -   C3  -   Cz  -   C4  -   T8
-   CP5 -   CP1 -   CP2 -   CP6 -
P7  -   P3  -   Pz  -   P4  -   P8
-   -   -   PO3 -   PO4 -   -   -
-   -   -   O1  Oz  O2  -   -   -
"""
SEED_FULL_ROWS = """\
F7  F5  F3  F1  FZ  F2  F4  F6  F8
FT7 FC5 FC3 FC1 FCZ FC2 FC4 FC6 FT8
T7  C5  C3  C1  CZ  C2  C4  C6  T8
TP7 CP5 CP3 CP1 CPZ CP2 CP4 CP6 TP8
P7  P5  P3  P1  PZ  P2  P4  P6  P8
-   PO7 PO5 PO3 POZ PO4 PO6 PO8 -
-   -   CB1 O1  OZ  O2  CB2 -   -
"""
SEED_9X9 = "- - - FP1 FPZ FP2 - - -\n- - - AF3 - AF4 - - -\n" + SEED_FULL_ROWS
SEED_8X9 = "- - AF3 FP1 FPZ FP2 AF4 - -\n" + SEED_FULL_ROWS
SAM40_9X9 = """
-   -   -   Fp1 -   Fp2 -   -    -
-   -   -   -   -   -   -   -    -
F7  -   F3  -   Fz  -   F4  -    F8
FT9 FC5 -   FC1 -   FC2 -   FC6  FT10
T7  -   C3  -   Cz  -   C4  -    T8
-   CP5 -   CP1 -   CP2 -   CP6  -
P7  -   P3  -   Pz  -   P4  -    P8
PO9 -   -   -   -   -   -   -    PO10
-   -   -   O1  Oz  O2  -   -    -
"""


def cells_of(drawing):
    rows = [line.split() for line in drawing.strip().splitlines()]
    return {name: (r, c) for r, row in enumerate(rows) for c, name in enumerate(row) if name != "-"}


@pytest.mark.parametrize(
    ("drawing", "layout", "n_channels"),
    [
        (DEAP_9X9, "9x9", 32),
        (DEAP_8X9, "8x9", 32),
        (SEED_9X9, "9x9", 62),
        (SEED_8X9, "8x9", 62),
        (SAM40_9X9, "9x9", 32),
    ],
    ids=["deap-9x9", "deap-8x9", "seed-9x9", "seed-8x9", "sam40-9x9"],
)
def test_published_grids(drawing, layout, n_channels):
    cells = cells_of(drawing)
    assert len(cells) == n_channels
    positions = grid_positions(list(cells), layout)
    assert positions.shape == (n_channels, 2)
    assert np.issubdtype(positions.dtype, np.integer)
    np.testing.assert_array_equal(positions, list(cells.values()))


SEED_CHANNELS = list(cells_of(SEED_9X9))


@pytest.mark.parametrize("layout", GRID_SHAPES)
def test_cells_lie_as_the_electrodes_on_the_head(layout):
    """Against coordinates on the head: columns from left to right in every row, rows from front to back, mirrored."""
    head = {}
    for name, (x, y, z) in mne.channels.make_standard_montage("easycap-M1").get_positions()["ch_pos"].items():
        # The head flattened from the vertex: below the ears x and y alone would come back towards the middle.
        head[name] = np.arctan2(np.hypot(x, y), z) * np.array([x, y]) / max(np.hypot(x, y), 1e-12)
    cells = {}
    for name in head:
        try:
            cells[name] = tuple(int(index) for index in grid_positions([name], layout)[0])
        except InputError:
            continue
    assert len(cells) == {"9x9": 71, "8x9": 71}[layout]
    for name, (row, column) in cells.items():
        x, y = head[name]
        assert np.sign(np.round(x, 4)) == np.sign(column - 4), name
        for other, (other_row, other_column) in cells.items():
            other_x, other_y = head[other]
            # Row 0 of 8x9 holds two lines of electrodes.
            if row == other_row and column < other_column and (layout, row) != ("8x9", 0):
                assert x < other_x, (name, other)
            if row < other_row and column == other_column:
                assert y > other_y, (name, other)
    midline = ("Fpz", "AFz", "Fz", "FCz", "Cz", "CPz", "Pz", "POz", "Oz")
    assert [cells[name][0] for name in midline] == {"9x9": list(range(9)), "8x9": [0, *range(8)]}[layout]
    mirrored = {(row, 8 - column) for row, column in cells.values()}
    assert mirrored == set(cells.values())


@pytest.mark.parametrize(
    ("name", "same"), [("FP1", "Fp1"), ("fc5.", "FC5"), ("Cz..", "Cz"), (" Cz ", "Cz"), ("C z", "Cz")]
)
def test_spelling_does_not_matter(name, same):
    np.testing.assert_array_equal(grid_positions([name]), grid_positions([same]))


def test_old_names():
    np.testing.assert_array_equal(grid_positions(["T3", "T4", "t5.", "T6"]), grid_positions(["T7", "T8", "P7", "P8"]))


def test_unknown_channels_are_named():
    with pytest.raises(InputError, match="no cell in the 8x9 grid for hEOG, Status"):
        grid_positions(["Fp1", "hEOG", "Cz", "Status"], "8x9")


@pytest.mark.parametrize("pair", [("FT7", "FT9"), ("T3", "T7"), ("Cz", "CZ.")])
def test_two_channels_in_one_cell_are_named(pair):
    with pytest.raises(InputError, match=f"channels {pair[0]} and {pair[1]} share row"):
        grid_positions(["Fz", *pair])


def test_front_lines_share_a_row_in_8x9():
    with pytest.raises(InputError, match="channels Fpz and AFz share row 0, column 4 of the 8x9 grid"):
        grid_positions(["Fpz", "AFz"], "8x9")
    assert grid_positions(["Fpz", "AFz"], "9x9").tolist() == [[0, 4], [1, 4]]


@pytest.mark.real_data
def test_names_of_a_real_recording():
    path = EEG_FILES / "eegmmidb_64ch_128hz_124s_T0T1T2.edf"
    if not path.exists():
        pytest.skip(f"no recording at {path}")
    names = mne.io.read_raw_edf(path, preload=False, verbose=False).ch_names
    assert "Fc5." in names
    fitting = [name for name in names if name.rstrip(".").upper() not in ("IZ", "T9", "T10")]
    assert len(np.unique(grid_positions(fitting), axis=0)) == 61
    with pytest.raises(InputError, match="no cell in the 9x9 grid for Iz"):
        grid_positions(names)


@settings(deadline=None)
@given(
    names=st.lists(st.sampled_from(SEED_CHANNELS), unique=True, max_size=62),
    layout=st.sampled_from(list(GRID_SHAPES)),
    leading=st.lists(st.integers(0, 3), max_size=3),
    by_position=st.booleans(),
)
def test_roundtrip_and_empty_cells(names, layout, leading, by_position):
    generator = np.random.default_rng(len(names))
    features = generator.uniform(1, 2, (*leading, len(names)))
    channels = grid_positions(names, layout) if by_position else names
    grid = to_grid(features, channels, layout)
    assert grid.shape == (*leading, *GRID_SHAPES[layout])
    assert np.count_nonzero(grid) == features.size
    np.testing.assert_array_equal(from_grid(grid, channels, layout), features)


def test_each_feature_lies_in_its_cell():
    features = np.random.default_rng(0).standard_normal((5, 4, 32)).astype(np.float32)
    cells = cells_of(DEAP_9X9)
    grid = to_grid(features, tuple(cells))
    assert grid.dtype == np.float32
    for index, (row, column) in enumerate(cells.values()):
        np.testing.assert_array_equal(grid[..., row, column], features[..., index])
    assert to_grid(np.arange(2), np.array(["O1", "O2"])).dtype == np.arange(2).dtype


def test_bad_arguments():
    with pytest.raises(ValueError, match="`layout` is '7x7'; expected one of 9x9, 8x9"):
        grid_positions(["Cz"], "7x7")
    with pytest.raises(ValueError, match="`layout` is '7x7'"):
        to_grid(np.zeros(1), [[0, 0]], "7x7")
    with pytest.raises(ValueError, match="string 'Cz'"):
        grid_positions("Cz")
    with pytest.raises(ValueError, match=r"`features` has shape \(4, 3\); expected `\(..., 2\)`"):
        to_grid(np.zeros((4, 3)), ["Cz", "Pz"])
    with pytest.raises(ValueError, match=r"`grid` has shape \(2, 8, 9\)"):
        from_grid(np.zeros((2, 8, 9)), ["Cz"])
    with pytest.raises(ValueError, match="expected them within the 8x9 grid"):
        to_grid(np.zeros(1), [[8, 0]], "8x9")
    with pytest.raises(ValueError, match="expected them within the 9x9 grid"):
        to_grid(np.zeros(1), [[-1, 0]])
    with pytest.raises(ValueError, match="the same cell"):
        to_grid(np.zeros(2), [[1, 0], [1, 0]])
    with pytest.raises(ValueError, match=r"positions have shape \(3,\)"):
        to_grid(np.zeros(3), [1, 2, 3])


def montage():
    name = "colin27_1005" if "colin27_1005" in mne.channels.get_builtin_montages() else "standard_1005"
    return mne.channels.make_standard_montage(name).get_positions()["ch_pos"]


def test_directions_are_those_of_the_montage():
    positions = montage()
    names = [name for name in positions if name not in ("T3", "T4", "T5", "T6")]
    metres = np.array([positions[name] for name in names])
    # The centre of the head by another way than linear least squares.
    from scipy.optimize import least_squares

    everything = np.array(list(positions.values()))
    fitted = least_squares(
        lambda sphere: (np.sum((everything - sphere[:3]) ** 2, axis=1) - sphere[3] ** 2) * 1e3, [0, 0, 0, 0.1]
    )
    away = metres - fitted.x[:3]
    np.testing.assert_allclose(
        electrode_directions(names), away / np.linalg.norm(away, axis=1, keepdims=True), atol=2e-4
    )
    np.testing.assert_array_equal(electrode_directions(["T3", "t6"]), electrode_directions(["T7", "P8"]))
    assert np.isnan(electrode_directions(["EXG1"])).all()


def test_standard_names_are_spelt_one_way():
    names = list(montage())
    spelt = [standard_name(name.upper()) for name in names]
    old = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
    assert spelt == [old.get(name, name) for name in names]
    assert standard_name(" Fp 1..") == "Fp1"
    assert standard_name("cb1") == "CB1"
    assert standard_name("EXG1") is None


def test_a_name_counts_before_a_direction():
    everything = [*cells_of(DEAP_9X9)]
    wrong = np.tile([0.0, 0.0, 1.0], (len(everything), 1))
    np.testing.assert_array_equal(grid_positions(everything, directions=wrong), grid_positions(everything))


@pytest.mark.parametrize(("layout", "cells"), [("9x9", [(0, 3), (8, 5), (8, 4)]), ("8x9", [(0, 3), (7, 5), (7, 4)])])
def test_cell_of_the_nearest_electrode_by_angle(layout, cells):
    names = ["AFp3", "OI2", "Iz"]
    directions = electrode_directions(names)
    directions[1] *= 0.09  # the length has no influence
    found = grid_positions(["E1", "E2", "E3"], layout, directions)
    # An independent search: of all electrodes of the layout, the one with the smallest angle.
    table = np.genfromtxt(
        Path(__file__).parents[2] / "keras_emotion" / "signals" / "grids" / f"{layout}.csv",
        delimiter=",",
        names=True,
        dtype=None,
        encoding="utf-8",
    )
    for direction, cell in zip(directions, found, strict=True):
        angles = {}
        for row in table:
            other = electrode_directions([row["channel"]])[0]
            if np.isfinite(other).all():
                angles[tuple(map(int, (row["row"], row["column"])))] = float(
                    np.arccos(direction @ other / np.linalg.norm(direction) / np.linalg.norm(other))
                )
        nearest = [key for key, angle in angles.items() if angle == min(angles.values())]
        assert tuple(cell) in nearest
    assert [tuple(map(int, cell)) for cell in found] == cells


def test_directions_collide_are_too_far_or_of_the_wrong_shape():
    with pytest.raises(InputError, match="channels Oz and Iz share row 8, column 4"):
        grid_positions(["Oz", "Iz"], directions=electrode_directions(["Oz", "Iz"]))
    for nowhere in ([0, 0, -1.0], [np.nan] * 3, [0, 0, 0]):
        with pytest.raises(InputError, match="no cell in the 9x9 grid for E7"):
            grid_positions(["Cz", "E7"], directions=np.array([[0, 0, 1.0], nowhere]))
    with pytest.raises(ValueError, match=r"`directions` has shape \(1, 3\); expected \(2, 3\)"):
        grid_positions(["Cz", "E7"], directions=np.zeros((1, 3)))
