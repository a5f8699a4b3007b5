"""Initial channels.csv, coordinates in it, and caps with their own electrode names."""

import csv
import json

import edfio
import mne
import numpy as np
import pytest

from keras_emotion import cli
from keras_emotion.datasets.electrodes import CHANNEL_FILE, ChannelTable, channels_of, directions_from, egi_net
from keras_emotion.datasets.recording_events import read_events
from keras_emotion.datasets.recording_files import open_recording
from keras_emotion.datasets.status_channels import is_status_channel
from keras_emotion.schema import InputError
from keras_emotion.signals import electrode_directions, grid_positions, nearest_cell

EPOC = ["AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4"]
STATUS = ["COUNTER", "INTERPOLATED", "RAW_CQ", *(f"CQ_{name}" for name in EPOC), "GYROX", "GYROY", "MARKER"]


def write_edf(path, names, values=None):
    signals = [
        edfio.EdfSignal(
            np.zeros(256) if values is None else row,
            128,
            label=name,
            physical_dimension="uV",
            physical_range=(-1000, 1000),
        )
        for name, row in zip(names, values if values is not None else names, strict=True)
    ]
    edfio.Edf(signals).write(path)


def write_array(path, names):
    np.save(path, np.zeros((len(names), 128)))
    sidecar = {"sampling_rate_hz": 128, "channel_names": names, "unit": "uV", "axes": ["channels", "samples"]}
    path.with_suffix(".json").write_text(json.dumps(sidecar))


def rows(folder):
    with (folder / CHANNEL_FILE).open(newline="") as file:
        return {row.pop("name"): row for row in csv.DictReader(file)}


def run(*words):
    return cli.main(["init-channels", *map(str, words)])


def test_status_channels_of_an_emotiv_are_left_out(tmp_path, capsys):
    path = tmp_path / "P01.edf"
    write_edf(path, [*STATUS, *EPOC])
    with pytest.raises(InputError, match=r"channel COUNTER, .* keras-emotion init-channels writes"):
        open_recording(path, tmp_path, ChannelTable(tmp_path / CHANNEL_FILE))
    assert run(tmp_path) == 0
    assert {name: row["kind"] for name, row in rows(tmp_path).items()} == {
        **dict.fromkeys(STATUS, "none"),
        **dict.fromkeys(EPOC, "eeg"),
    }
    out = capsys.readouterr().out
    assert "eeg, 14: AF3, F7, F3, FC5, T7, P7, O1, O2, P8, T8 and 4 more" in out
    assert f"none, {len(STATUS)}: COUNTER, INTERPOLATED, RAW_CQ" in out
    recording = open_recording(path, tmp_path, ChannelTable(tmp_path / CHANNEL_FILE))
    assert [channel.name for channel in recording.channels] == EPOC


def test_words_in_the_marker_channel_of_an_emotiv_begin_trials(tmp_path):
    words = np.zeros(256)
    words[64:70], words[128] = 7, 3
    # 16 bits for 2000 microvolts: trigger words are not exact integers.
    write_edf(tmp_path / "P01.edf", [*EPOC, "MARKER"], [*np.zeros((14, 256)), words])
    marks = read_events(tmp_path / "P01.edf", tmp_path).events
    assert [(event.start_seconds, event.kind, event.source) for event in marks] == [
        (0.5, "7", "trigger word"),
        (1.0, "3", "trigger word"),
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, True) for name in [*STATUS, "CQ_OVERALL", "EQ.AF3", "TIME_STAMP_ms", "BATTERY_PERCENT", "Markers"]),
        *((name, True) for name in ["Status", "AUX_RIGHT", "Right AUX", "AUX", "Accelerometer_X", "Gyro_Z", "HSI_TP9"]),
        *((name, True) for name in ["Accel Channel 2", "Digital Channel 0 (D11)", "Timestamp (Formatted)", "Trigger"]),
        # Bipolar inputs of amplifiers, which carry signals of the subject, and sensors.
        *((name, False) for name in ["Aux1", "AUX7", "EXG1", "GSR", "PPG_IR", "ECG", "Cz", "CP5", "BIP1", "Resp"]),
    ],
)
def test_which_channels_are_of_the_maker(name, expected):
    assert is_status_channel(name) == expected


def test_kinds_and_electrodes_come_from_the_names(tmp_path, capsys):
    write_edf(tmp_path / "a.edf", ["EEG FP1-REF", "T3", "hEOG", "GSR1", "X", "Fz"])
    write_array(tmp_path / "b.npy", ["Fz", "Oz"])
    (tmp_path / "c.edf").write_bytes(b"no EDF")
    assert run(tmp_path) == 1
    out, err = capsys.readouterr()
    found = rows(tmp_path)
    assert [(name, row["kind"], row["electrode"]) for name, row in found.items()] == [
        ("FP1-REF" if "FP1-REF" in found else "EEG FP1-REF", "eeg", "Fp1"),
        ("T3", "eeg", "T7"),
        ("hEOG", "eog", ""),
        ("GSR1", "gsr", ""),
        ("X", "eeg", ""),
        ("Fz", "eeg", ""),
        ("Oz", "eeg", ""),
    ]
    assert "no 10-5 name and no coordinates: X; fill in electrode or x, y and z" in out
    assert "not in all of the 2 recordings: " in out
    assert err.startswith(f"error: {tmp_path / 'c.edf'}: cannot be read")
    assert err.count("\n") == 1


def test_an_existing_table_is_not_overwritten(tmp_path, capsys):
    write_array(tmp_path / "b.npy", ["Fz", "Oz"])
    (tmp_path / CHANNEL_FILE).write_text("name\n")
    with pytest.raises(SystemExit, match=r"^2$"):
        run(tmp_path)
    assert "channels.csv: file exists" in capsys.readouterr().err
    assert (tmp_path / CHANNEL_FILE).read_text() == "name\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["."], "no recordings found"),
        ([".", "--montage", "nothing"], "--montage nothing: no such file or MNE montage"),
        ([".", "--montage", "bad.elc"], "--montage bad.elc: cannot be read"),
    ],
)
def test_bad_use_of_init_channels_is_one_message(tmp_path, monkeypatch, capsys, words, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.elc").write_text("nothing\n")
    with pytest.raises(SystemExit, match=r"^2$"):
        run(*words)
    assert told in capsys.readouterr().err


def equidistant(n=12):
    """Names and unit vectors of electrodes spread over the upper half of a sphere."""
    heights = (np.arange(n) + 0.5) / n
    turns = np.pi * (1 + 5**0.5) * np.arange(n)
    around = np.sqrt(1 - heights**2)
    return [f"{row}L" for row in range(1, n + 1)], np.column_stack(
        [around * np.cos(turns), around * np.sin(turns), heights]
    )


def test_a_montage_gives_coordinates(tmp_path, capsys):
    names, directions = equidistant()
    write_array(tmp_path / "a.npy", names)
    places = directions * 95 + [0, 7, 40]
    lines = [f"{name}\t: {x:.3f} {y:.3f} {z:.3f}" for name, (x, y, z) in zip(names, places, strict=True)]
    head = ["ReferenceLabel\tavg", "UnitPosition\tmm", f"NumberPositions=\t{len(names)}", "Positions"]
    (tmp_path / "cap.elc").write_text("\n".join([*head, *lines, "Labels", " ".join(names), ""]))
    assert run(tmp_path, "--montage", tmp_path / "cap.elc") == 0
    assert "no 10-5 name" not in capsys.readouterr().out
    recording = open_recording(tmp_path / "a.npy", tmp_path, ChannelTable(tmp_path / CHANNEL_FILE))
    found = np.array([channel.direction for channel in recording.channels])
    # The origin is arbitrary: that of the file is below the centre of the head.
    np.testing.assert_allclose(found, directions, atol=1e-3)
    assert len(np.unique(grid_positions(names, directions=found), axis=0)) == len(names)


def test_a_net_with_more_electrodes_than_cells_keeps_the_nearest_to_each(tmp_path, capsys):
    names = [f"E{number}" for number in range(1, 129)]
    write_array(tmp_path / "a.npy", names)
    assert run(tmp_path, "--grid", "9x9") == 0
    recording = open_recording(tmp_path / "a.npy", tmp_path, ChannelTable(tmp_path / CHANNEL_FILE))
    kept = [channel.name for channel in recording.channels]
    net = egi_net(names)
    cells = grid_positions(kept, directions=np.array([net[name] for name in kept]))
    assert len(np.unique(cells, axis=0)) == len(kept) > 50
    nearest = {name: nearest_cell(net[name]) for name in names}
    for name, cell in zip(kept, map(tuple, cells.tolist()), strict=True):
        assert nearest[name][0] == cell
        assert nearest[name][1] == min(found[1] for found in nearest.values() if found and found[0] == cell)
    assert {nearest[name][0] for name in kept} == {found[0] for found in nearest.values() if found}
    assert f"note: {len(kept)} of 128 EEG channels kept for the 9x9 grid" in capsys.readouterr().out


def table_of(tmp_path, text):
    (tmp_path / CHANNEL_FILE).write_text(text)
    return ChannelTable(tmp_path / CHANNEL_FILE)


def test_coordinates_in_the_table_replace_those_of_the_file(tmp_path):
    names, directions = equidistant()
    lines = [f"{name},{x * 9},{y * 9},{z * 9}" for name, (x, y, z) in zip(names, directions, strict=True)]
    table = table_of(tmp_path, "\n".join(["name,x,y,z", *lines]))
    in_file = np.column_stack([directions[:, 1], directions[:, 0], directions[:, 2]]) * 0.09
    channels, faults, _ = channels_of(names, ["eeg"] * len(names), in_file, table)
    assert faults == []
    np.testing.assert_allclose([channel.direction for channel in channels], directions, atol=1e-9)
    few = table_of(tmp_path, "\n".join(["name,x,y,z", *lines[:7]]))
    _, faults, _ = channels_of(names, ["eeg"] * len(names), in_file, few)
    assert faults[0] == (
        "channels.csv gives coordinates for 7 of its EEG channels; expected at least 8 to estimate the head centre"
    )


def test_a_name_with_the_signs_of_a_pattern_fits_itself(tmp_path):
    table = table_of(tmp_path, "name,kind\nEEG [1],none\nEXG*,eog\n")
    kinds = {name: table.entry(name, "kind") for name in ("EEG [1]", "EEG 1", "EXG7")}
    assert kinds == {"EEG [1]": "none", "EEG 1": "none", "EXG7": "eog"}


@pytest.mark.parametrize("cells", ["1,2,", "1,2,x", "1,2,inf"])
def test_invalid_coordinates_are_refused(tmp_path, cells):
    with pytest.raises(InputError, match=r"line 2: x, y, z are '1', '2', .*; expected three numbers, or none"):
        table_of(tmp_path, f"name,x,y,z\nE1,{cells}\n")


@pytest.mark.parametrize(("n", "montage"), [(32, "32"), (64, "65_1.0"), (128, "129"), (256, "257")])
def test_nets_of_egi_are_known_by_their_names(n, montage):
    names = [f"E{number}" for number in range(1, n + 1)]
    found = egi_net([*names, "Cz", "ECG"])
    expected = mne.channels.make_standard_montage(f"GSN-HydroCel-{montage}").get_positions()["ch_pos"]
    directions = directions_from(np.array(list(expected.values())))
    np.testing.assert_array_equal([found[name] for name in names], directions[:n])
    # The net's own vertex lies at the top of the head.
    assert found["Cz"] @ electrode_directions(["Cz"])[0] > np.cos(np.radians(15))
    assert egi_net(names[1:]) is None
    assert egi_net([*names[1:], f"E{n + 1}"]) is None


def test_a_net_without_coordinates_is_read_as_egis_and_noted(tmp_path):
    names = [f"E{number}" for number in range(1, 33)]
    channels, faults, notes = channels_of(names, ["eeg"] * 32, None, ChannelTable(tmp_path / "channels.csv"))
    assert faults == []
    assert np.isfinite([channel.direction for channel in channels]).all()
    assert any("E1, E2, ... read as EGI's HydroCel net of 32 electrodes" in note for note in notes)


# --- cells by place


def test_channels_placed_by_angle_share_out_the_cells():
    # Both lie nearest to Cz, the second a little to the right: it moves to C2.
    cz, c2 = electrode_directions(["Cz", "C2"])
    second = cz + 0.4 * (c2 - cz)
    cells = grid_positions(["a", "b"], directions=np.array([cz, second]))
    np.testing.assert_array_equal(cells, grid_positions(["Cz", "C2"]))
    # A channel keeps the cell of its name, even if another one is nearer.
    cells = grid_positions(["b", "Cz"], directions=np.array([second, cz]))
    np.testing.assert_array_equal(cells, grid_positions(["C2", "Cz"]))


def test_channels_for_which_there_are_not_enough_cells_near_are_refused():
    cz = electrode_directions(["Cz"])
    with pytest.raises(InputError, match=r"share row 4, column 4 of the 9x9 grid; leave one out"):
        grid_positions([f"x{number}" for number in range(40)], directions=np.repeat(cz, 40, axis=0))
    with pytest.raises(InputError, match=r"channels FT7 and FT9 share row 3, column 0"):
        grid_positions(["FT7", "FT9", "a", "b"], directions=np.repeat(cz, 4, axis=0))
    # Of the 10-5 system, no electrode is moved away from its place.
    with pytest.raises(InputError, match=r"channels Oz and Iz share row 8, column 4"):
        grid_positions(["Oz", "Iz"], directions=electrode_directions(["Oz", "Iz"]))


def test_the_upper_electrodes_of_a_net_of_64_have_a_cell_each():
    net = egi_net([f"E{number}" for number in range(1, 65)])
    names = [name for name, direction in net.items() if direction[2] > 0]
    cells = grid_positions(names, directions=np.array([net[name] for name in names]))
    assert len(np.unique(cells, axis=0)) == len(names) > 40
