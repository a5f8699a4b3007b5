"""Files in the format of OpenFace's FeatureExtraction."""

import numpy as np
import pytest

from keras_emotion.faces import OPENFACE_QUANTITIES, read_openface
from keras_emotion.schema import InputError

# The columns of OpenFace 2.2.0, in its order.
UNITS = ["01", "02", "04", "05", "06", "07", "09", "10", "12", "14", "15", "17", "20", "23", "25", "26", "45"]
COLUMNS = [
    *("frame", "face_id", "timestamp", "confidence", "success"),
    *("gaze_0_x", "gaze_0_y", "gaze_0_z", "gaze_1_x", "gaze_1_y", "gaze_1_z", "gaze_angle_x", "gaze_angle_y"),
    *(f"eye_lmk_{axis}_{point}" for axis in "xyXYZ" for point in range(56)),
    *("pose_Tx", "pose_Ty", "pose_Tz", "pose_Rx", "pose_Ry", "pose_Rz"),
    *(f"{axis}_{point}" for axis in "xyXYZ" for point in range(68)),
    *("p_scale", "p_rx", "p_ry", "p_rz", "p_tx", "p_ty"),
    *(f"p_{mode}" for mode in range(34)),
    *(f"AU{unit}_r" for unit in UNITS),
    *(f"AU{unit}_c" for unit in sorted([*UNITS, "28"])),
]


def rows_of(n_frames, rate=25.0, face=0):
    """Rows by column: quantity `q` of frame `f` is `f + q / 100`; the other columns have other values."""
    rows = []
    for frame in range(n_frames):
        row = dict.fromkeys(COLUMNS, "-77.7")
        row.update({name: f"{frame + place / 100:.2f}" for place, name in enumerate(OPENFACE_QUANTITIES)})
        row |= {"frame": f"{frame + 1}", "face_id": f"{face}", "timestamp": f"{frame / rate:.3f}"}
        rows.append(row | {"confidence": "0.98", "success": "1"})
    return rows


def write(path, rows, columns=None, separator=","):
    columns = columns or list(rows[0])
    path.write_text("\n".join(separator.join(line) for line in [columns, *([row[c] for c in columns] for row in rows)]))
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "s01_trial01.csv"


def test_the_quantities_are_the_29_of_the_paper():
    assert len(COLUMNS) == 714
    position, rotation, gaze, units = np.split(OPENFACE_QUANTITIES, [3, 6, 12])
    assert " ".join(position) == "pose_Tx pose_Ty pose_Tz"
    assert " ".join(rotation) == "pose_Rx pose_Ry pose_Rz"
    assert " ".join(gaze) == "gaze_0_x gaze_0_y gaze_0_z gaze_1_x gaze_1_y gaze_1_z"
    assert " ".join(units) == " ".join(f"AU{unit}_r" for unit in UNITS)
    assert len(units) == 17


@pytest.mark.parametrize("separator", [",", ", "])
@pytest.mark.parametrize("order", ["theirs", "reversed", "only what is needed"])
def test_columns_are_found_by_name(path, separator, order):
    columns = {
        "theirs": COLUMNS,
        "reversed": COLUMNS[::-1],
        # OpenFace 2.0 has no face_id.
        "only what is needed": ["timestamp", "success", *OPENFACE_QUANTITIES[::-1]],
    }[order]
    frames = read_openface(write(path, rows_of(5), columns, separator))
    assert list(frames.columns) == ["time_seconds", *OPENFACE_QUANTITIES]
    np.testing.assert_allclose(frames["time_seconds"], np.arange(5) / 25)
    expected = np.arange(5)[:, np.newaxis] + np.arange(29) / 100
    np.testing.assert_allclose(frames[list(OPENFACE_QUANTITIES)], expected, rtol=1e-12)


@pytest.mark.parametrize("separator", [",", ", "])
def test_frames_without_a_face_are_missing(path, separator):
    rows = rows_of(6)
    rows[1]["success"] = "0"
    rows[3]["gaze_1_y"] = "-nan(ind)"
    rows[4]["pose_Rz"] = "nan"
    frames = read_openface(write(path, rows, separator=separator))
    assert len(frames) == 6
    assert frames[list(OPENFACE_QUANTITIES)].isna().all(axis=1).tolist() == [False, True, False, True, True, False]
    assert frames.notna().all(axis=1).tolist() == [True, False, True, False, False, True]


def test_of_several_faces_that_is_taken_which_is_there_longest(path):
    first, second, third = (rows_of(6, face=face) for face in (0, 1, 2))
    for row in second:
        row["pose_Tx"] = "500"
    for row in [*first[:3], second[0], third[5]]:
        row["success"] = "0"
    # Frame by frame, the faces one after the other.
    together = [row for frame in zip(first, second, third, strict=True) for row in frame]
    frames = read_openface(write(path, together))
    # Faces 1 and 2 have equally many samples.
    assert frames["pose_Tx"].tolist()[1:] == [500] * 5
    assert np.isnan(frames["pose_Tx"][0])
    np.testing.assert_allclose(frames["time_seconds"], np.arange(6) / 25)


def test_times_by_another_rate(path):
    rows = rows_of(5)
    del rows[2]
    for row in rows:
        row["timestamp"] = "0.000"  # as for a folder of pictures
    with pytest.raises(InputError, match=r"line 3: 0 s follows 0 s; .* give assumed_frame_rate_hz"):
        read_openface(write(path, rows))
    frames = read_openface(path, assumed_frame_rate_hz=50)
    np.testing.assert_allclose(frames["time_seconds"], [0, 0.02, 0.06, 0.08])
    for rate in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="`assumed_frame_rate_hz` is"):
            read_openface(path, assumed_frame_rate_hz=rate)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pose_Ty": "none"}, "line 4, column pose_Ty: 'none'; expected a number"),
        ({"AU45_r": ""}, "line 4, column AU45_r: ''; expected a number"),
        ({"timestamp": "nan"}, "line 4, column timestamp: 'nan'; expected a number"),
        ({"success": "yes"}, "line 4, column success: 'yes'; expected a number"),
        ({"face_id": "b"}, "line 4, column face_id: 'b'; expected a number"),
        ({"timestamp": "0.01"}, "line 4: 0.01 s follows 0.04 s"),
    ],
)
def test_what_is_no_number_or_no_time_is_reported(path, change, message):
    rows = rows_of(5)
    rows[2] |= change
    with pytest.raises(InputError, match=message) as raised:
        read_openface(write(path, rows))
    assert str(raised.value).startswith(f"{path}, ")


def test_a_row_that_breaks_off_is_reported(path):
    write(path, rows_of(5), ["frame", "timestamp", "success", *OPENFACE_QUANTITIES])
    text = path.read_text()
    path.write_text(text[: text.rindex(",") - 20])
    with pytest.raises(InputError, match="line 6, column AU20_r: ''; expected a number"):
        read_openface(path)


@pytest.mark.parametrize("missing", ["timestamp", "success", "pose_Rz", "gaze_1_z", "AU23_r"])
def test_a_missing_column_is_named(path, missing):
    write(path, rows_of(3), [name for name in COLUMNS if name != missing])
    with pytest.raises(
        InputError, match=f"missing column {missing}; expected the output of OpenFace 2's FeatureExtraction"
    ):
        read_openface(path)


def test_a_mark_of_the_byte_order_is_no_part_of_the_first_column(path):
    write(path, rows_of(3))
    path.write_text("\ufeff" + path.read_text(), encoding="utf-8")
    assert len(read_openface(path, assumed_frame_rate_hz=25)) == 3


def test_invalid_files(path):
    with pytest.raises(InputError, match="no such file; expected the output"):
        read_openface(path)
    for content in (b"", b"\xff\xfe\x00\x01" * 9, b"frame,success\n"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"{path}: (missing column|unreadable table)"):
            read_openface(path)
    path.write_text(", ".join(COLUMNS) + "\n")
    with pytest.raises(InputError, match="no frames; expected the output"):
        read_openface(path)
    with pytest.raises(InputError, match="unreadable table"):
        read_openface(path.parent)
