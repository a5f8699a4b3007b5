from pathlib import Path

import mne
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_emotion.schema import InputError
from keras_emotion.signals import GRID_SHAPES, from_grid, grid_positions, to_grid

EEG_FILES = Path(__file__).parents[2] / ".." / "shared" / "data" / "eeg_files"

# The published grids drawn as they look, "-" for an empty cell.
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
    with pytest.raises(ValueError, match="they leave the 8x9 grid"):
        to_grid(np.zeros(1), [[8, 0]], "8x9")
    with pytest.raises(ValueError, match="they leave the 9x9 grid"):
        to_grid(np.zeros(1), [[-1, 0]])
    with pytest.raises(ValueError, match="the same cell"):
        to_grid(np.zeros(2), [[1, 0], [1, 0]])
    with pytest.raises(ValueError, match=r"positions have shape \(3,\)"):
        to_grid(np.zeros(3), [1, 2, 3])
