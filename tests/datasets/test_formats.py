"""Files of every writable format: pieces equal the whole, values and units are those written."""

import warnings

import edfio
import numpy as np
import pytest

from keras_emotion.datasets.electrodes import ChannelTable
from keras_emotion.datasets.reader_warnings import warnings_of_readers
from keras_emotion.datasets.recording_files import annotations_of, open_raw, open_recording
from keras_emotion.datasets.units import read_unit
from keras_emotion.schema import InputError
from tests.datasets.written_files import (
    RATE,
    Signal,
    raw_of,
    sine,
    write_array,
    write_brainvision,
    write_edf,
    write_fif,
    write_gdf,
    write_set,
)

EEG = [sine(name, hz, 50) for name, hz in (("Fz", 3), ("Cz", 7), ("Pz", 11), ("Oz", 19))]
SLOW = [
    sine("GSR", 0.5, 4, rate=32, unit="uS", offset=9),
    Signal("Temp", 33 + 0.02 * np.arange(20), "degC", 1),
    sine("EOG left", 2, 80, rate=100),
]


def opened(path, channels=""):
    table = path.parent / "channels.csv"
    table.write_text(f"name,kind\n{channels}")
    return open_recording(path, path.parent, ChannelTable(table))


def written(folder, form):
    volts = [Signal(one.name, one.values * 1e-6) for one in EEG]
    if form in ("edf", "bdf"):
        return write_edf(folder / f"a.{form}", EEG)
    if form in ("mixed.edf", "mixed.bdf"):
        return write_edf(folder / form, [*EEG[:2], *SLOW, *EEG[2:]])
    if form == "mixed.gdf":
        return write_gdf(folder / form, [*EEG[:2], *SLOW, *EEG[2:]])
    if form == "vectorized.vhdr":
        return write_brainvision(folder / form, EEG, orientation="VECTORIZED")
    if form == "vhdr":
        return write_brainvision(folder / "a.vhdr", EEG)
    if form in ("set", "fdt"):
        return write_set(folder / "a.set", EEG, data_file="b.fdt" if form == "fdt" else None)
    if form == "fif":
        return write_fif(folder / "a_raw.fif", raw_of(volts, "eeg", first_samp=77))
    if form == "split.fif":
        long = [Signal(one.name, np.tile(one.values, 20)) for one in volts]
        return write_fif(folder / "a_raw.fif", raw_of(long, "eeg"), split_size="2MB", buffer_size_sec=1)
    return write_array(folder / f"a.{form}", EEG)


FORMS = ["edf", "bdf", "mixed.edf", "mixed.bdf", "mixed.gdf", "vhdr", "vectorized.vhdr", "set", "fdt", "fif"]
FORMS += ["split.fif", "npy", "mat"]


@pytest.mark.parametrize("form", FORMS)
def test_pieces_are_parts_of_the_whole_and_values_are_those_written(tmp_path, form):
    recording = opened(written(tmp_path, form))
    names = [channel.name for channel in recording.channels]
    whole = recording.read(0, recording.n_samples)
    assert recording.sampling_rate_hz == RATE
    assert whole.shape == (len(names), recording.n_samples)
    rng = np.random.default_rng(0)
    borders = [0, recording.n_samples, *rng.integers(0, recording.n_samples, 20)]
    for start, stop in (
        *zip(borders, borders[2:], strict=False),
        (0, 1),
        (recording.n_samples - 1, recording.n_samples),
    ):
        start, stop = sorted((int(start), int(stop)))
        np.testing.assert_allclose(recording.read(start, stop), whole[:, start:stop], rtol=0, atol=1e-9)
    for one in EEG:
        expected = np.tile(one.values, recording.n_samples // len(one.values))
        # Some have 16 bits.
        np.testing.assert_allclose(whole[names.index(one.name)], expected, rtol=0, atol=0.011, err_msg=one.name)


@pytest.mark.parametrize("form", ["mixed.edf", "mixed.bdf", "mixed.gdf"])
def test_channels_of_several_rates_are_where_their_closed_form_is(tmp_path, form):
    recording = opened(written(tmp_path, form))
    units = dict(zip((channel.name for channel in recording.channels), recording.units, strict=True))
    signal = dict(zip(units, recording.read(0, recording.n_samples), strict=True))
    time = np.arange(recording.n_samples) / RATE
    inner = slice(3 * RATE, -3 * RATE)
    expected = {
        "GSR": 9 + 4 * np.sin(2 * np.pi * 0.5 * time),
        "Temp": 33 + 0.02 * time,
        "EOG left": 80 * np.sin(2 * np.pi * 2 * time),
    }
    for name, values in expected.items():
        # Of 16 bits, and of 80 dB in the filter.
        np.testing.assert_allclose(signal[name][inner], values[inner], rtol=0, atol=0.02, err_msg=name)
    known = form != "mixed.gdf"
    assert (units["GSR"], units["Temp"], units["EOG left"]) == ("uS" if known else "a.u.", "degC", "uV")
    said = " ".join(recording.notes)
    assert "from 32 Hz to 200 Hz of the file: GSR" in said
    assert "from 1 Hz to 200 Hz of the file: Temp" in said
    assert not [note for note in recording.notes if "edge artifacts" in note]


def test_a_fast_channel_that_is_left_out_does_not_set_the_rate(tmp_path):
    sound = sine("Audio", 100, 900, rate=2000)
    recording = opened(write_edf(tmp_path / "a.edf", [*EEG, sound]), "Audio,none\n")
    assert (recording.sampling_rate_hz, recording.n_samples) == (RATE, 20 * RATE)
    np.testing.assert_allclose(recording.read(100, 900)[0], EEG[0].values[100:900], rtol=0, atol=0.01)
    assert not any("brought from" in note for note in recording.notes)


def test_slow_channels_of_one_name_are_numbered(tmp_path):
    path = write_edf(tmp_path / "a.edf", [EEG[0], SLOW[0], Signal("GSR", SLOW[0].values + 1, "uS", 32)])
    recording = opened(path)
    first, second = recording.read(1000, 1100)[1:]
    np.testing.assert_allclose(second - first, 1, rtol=0, atol=1e-3)
    assert any("not unique" in note for note in recording.notes)


MICRO, MU = "\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}"
UNITS = [
    # Spelling, unit, and factor.
    ("uV", "uV", 1),
    (f"{MICRO}V", "uV", 1),
    (f"{MU}V", "uV", 1),
    ("mV", "uV", 1e3),
    ("nV", "uV", 1e-3),
    ("V", "uV", 1e6),
    ("uS", "uS", 1),
    (f"{MICRO}S", "uS", 1),
    (f"{MU}S", "uS", 1),
    ("S", "uS", 1e6),
    ("C", "degC", 1),
    ("degC", "degC", 1),
    ("kOhm", "kOhm", 1),
    ("Ohm", "ohm", 1),
    ("ARU", "ARU", 1),
]


@pytest.mark.parametrize("form", ["utf8.vhdr", "cp1252.vhdr", "edf", "bdf", "npy"])
def test_units_and_values(tmp_path, form):
    values = np.linspace(0.5, 1, 200)
    # Characters that the format supports.
    lacking = {"edf": (MICRO, MU), "bdf": (MICRO, MU), "cp1252.vhdr": (MU,)}.get(form, ())
    units = [row for row in UNITS if not row[0].startswith(lacking)]
    others = [Signal(f"X{place}", values, spelt) for place, (spelt, *_) in enumerate(units)]
    signals = [Signal("Fz", EEG[0].values[:200]), *others]
    if form in ("edf", "bdf"):
        path = write_edf(tmp_path / f"a.{form}", signals)
    elif form == "npy":
        path = write_array(tmp_path / "a.npy", signals)
    else:
        path = write_brainvision(tmp_path / form, signals, encoding="cp1252" if "cp" in form else "utf-8")
    recording = opened(path, "X*,bio\n")
    given = recording.read(100, 200)
    assert recording.units[0] == "uV"
    for place, (spelt, unit, factor) in enumerate(units, start=1):
        assert recording.units[place] == unit, spelt
        np.testing.assert_allclose(given[place], values[100:] * factor, rtol=2e-4, err_msg=spelt)
    unknown = [note for note in recording.notes if "unit" in note]
    assert len(unknown) == 1
    assert unknown[0].endswith(f": X{len(units) - 1}")


def test_the_mu_of_japanese_recorders():
    assert read_unit("\x83\xcaV") == read_unit("uV")


@pytest.mark.parametrize(("unit", "factor"), [("nV", 1e-3), ("mV", 1e3), ("", 1e6), ("counts", 1e6)])
def test_eeg_in_other_units_than_microvolt(tmp_path, unit, factor):
    recording = opened(write_edf(tmp_path / "a.edf", [Signal("Fz", EEG[0].values, unit)]))
    np.testing.assert_allclose(recording.read(0, 99)[0], EEG[0].values[:99] * factor, rtol=0, atol=1e-2 * factor)
    is_said = any("voltage unit missing in the file, read as volts: Fz" in note for note in recording.notes)
    assert is_said == (unit in ("", "counts"))


def test_eeg_that_is_no_voltage_is_refused(tmp_path):
    signal = Signal("Fz", EEG[0].values, "uS")
    for path in (write_edf(tmp_path / "a.edf", [signal]), write_array(tmp_path / "a.npy", [signal])):
        with pytest.raises(InputError, match=r"unit of EEG is uS; expected one of V, mV, uV, nV"):
            opened(path)


def test_channels_that_the_reader_calls_misc_are_named_by_their_first_word_or_reported(tmp_path):
    skin = Signal("GSR1", 24 + EEG[1].values / 50, f"{MICRO}S")
    path = write_brainvision(tmp_path / "a.vhdr", [EEG[0], skin, Signal("Odd", EEG[1].values, "N")])
    recording = opened(path)
    assert [(channel.name, channel.kind) for channel in recording.channels] == [("Fz", "eeg"), ("GSR1", "gsr")]
    assert recording.units == ("uV", "uS")
    np.testing.assert_allclose(recording.read(0, 99)[1], skin.values[:99], rtol=1e-6)
    assert any(note.startswith("channels of unknown kind left out: Odd") for note in recording.notes)


def test_of_peripheral_units_eeglab_says_nothing(tmp_path):
    signals = [EEG[0], Signal("EOG left", EEG[1].values), Signal("GSR1", 5 + EEG[1].values / 50)]
    signals.append(Signal("Temp", 33 + EEG[2].values / 50))
    recording = opened(write_set(tmp_path / "a.set", signals))
    assert recording.units == ("uV", "uV", "a.u.", "a.u.")
    expected = np.array([one.values[:99] for one in signals])
    np.testing.assert_allclose(recording.read(0, 99), expected, rtol=1e-5, atol=1e-4)
    assert any(note.endswith("values unchanged: GSR1, Temp") for note in recording.notes)


def test_units_of_fif(tmp_path):
    values = EEG[0].values
    names = [
        ("Fz", "eeg", 1e-6),
        ("skin", "gsr", 1e-6),
        ("warm", "temperature", 1),
        ("lid", "eog", 1e-6),
        ("o", "misc", 1),
    ]
    raw = raw_of([Signal(name, values * scale) for name, _, scale in names], [kind for _, kind, _ in names])
    recording = opened(write_fif(tmp_path / "a_raw.fif", raw))
    assert recording.units == ("uV", "uS", "degC", "uV")
    np.testing.assert_allclose(recording.read(0, 99), np.tile(values[:99], (4, 1)), rtol=1e-9)
    assert any("left out: o (" in note for note in recording.notes)


def test_units_of_another_kind_are_reported(tmp_path):
    path = write_edf(
        tmp_path / "a.edf", [EEG[0], Signal("GSR", EEG[1].values, "mV"), Signal("Temp", EEG[1].values, "uS")]
    )
    said = opened(path).notes
    assert "GSR: gsr in uV, expected uS or nS or ohm or kOhm; check the unit in the file" in said
    assert "Temp: temperature in uS, expected degC; check the unit in the file" in said


def test_units_of_gdf(tmp_path):
    signals = [Signal("Fz", EEG[0].values, "nV"), Signal("Temp", 33 + 0.1 * np.arange(4000) / 400, "degC")]
    recording = opened(write_gdf(tmp_path / "a.gdf", signals))
    assert recording.units == ("uV", "degC")
    fz, temperature = recording.read(400, 500)
    np.testing.assert_allclose(fz, EEG[0].values[400:500] * 1e-3, rtol=0, atol=1e-4)
    np.testing.assert_allclose(temperature, signals[1].values[400:500], rtol=0, atol=0.011)


# --- warnings of readers


def test_warnings_of_readers_are_notes_once(tmp_path):
    path = write_edf(tmp_path / "a.edf", EEG)
    path.write_bytes(path.read_bytes()[: -2 * 4 * RATE])  # a record less than the header says
    said = [note for note in opened(path).notes if "Number of records from the header does not match" in note]
    assert len(said) == 1
    assert said[0].startswith("reader warning: ")
    with pytest.warns(UserWarning, match=r"a\.edf: Number of records from the header"):
        open_raw(path, tmp_path)


def test_known_warnings_are_dropped_by_their_words_alone(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        notes = []
        for text in ("The data contains 'boundary' events, indicating data discontinuities. Be cautious", "Unheard of"):
            with warnings_of_readers(tmp_path / "a.set", notes):
                warnings.warn(text, RuntimeWarning, stacklevel=1)
    assert notes == ["reader warning: Unheard of"]


def test_files_without_a_signal(tmp_path):
    edfio.Edf([], annotations=[edfio.EdfAnnotation(1, 2, "stage")]).write(tmp_path / "marks.edf")
    with pytest.raises(InputError, match=r"marks\.edf: annotations but no signals"):
        opened(tmp_path / "marks.edf")
    assert annotations_of(tmp_path / "marks.edf", tmp_path) == [(1.0, 2.0, "stage")]


# --- trees of BIDS


def test_what_a_bids_tree_says_beside_the_file(tmp_path):
    pytest.importorskip("mne_bids")
    folder = tmp_path / "sub-01" / "eeg"
    folder.mkdir(parents=True)
    (tmp_path / "dataset_description.json").write_text('{"Name": "a", "BIDSVersion": "1.8.0"}')
    (tmp_path / "participants.tsv").write_text("participant_id\nsub-01\n")
    skin = Signal("Skin", 5 + EEG[1].values / 50)
    path = write_set(folder / "sub-01_task-a_eeg.set", [EEG[0], EEG[1], skin])
    (folder / "sub-01_task-a_eeg.json").write_text('{"TaskName": "a", "PowerLineFrequency": 50}')
    rows = ["Fz\tEEG\tuV\tgood", "Cz\tEEG\tmV\tbad", "Skin\tGSR\tnS\tgood"]
    (folder / "sub-01_task-a_channels.tsv").write_text("\n".join(["name\ttype\tunits\tstatus", *rows, ""]))
    events = ["3.0\t0.5\tBAD_noise", "5.0\t2.0\tgo", "25.0\t1.0\tbeyond"]
    (folder / "sub-01_task-a_events.tsv").write_text("\n".join(["onset\tduration\ttrial_type", *events, ""]))
    recording = open_recording(path, tmp_path, ChannelTable(tmp_path / "channels.csv"))
    assert recording.units == ("uV", "uV", "nS")
    assert recording.bad_channels == ("Cz",)
    assert [(span.start_sample, span.stop_sample) for span in recording.bad_spans] == [(600, 700)]
    np.testing.assert_allclose(recording.read(0, 99)[2], skin.values[:99], rtol=1e-5)
    assert any("Omitted 1 annotation(s) that were outside data range" in note for note in recording.notes)
    assert annotations_of(path, tmp_path, open_raw(path, tmp_path, [])) == [(3.0, 0.5, "BAD_noise"), (5.0, 2.0, "go")]


# --- real files


def real_recordings(folder):
    """Real recordings with their required channel kinds, by name; SAM40's arrays with a sidecar."""
    for path in sorted((folder / "eeg_files").iterdir()):
        if path.suffix in (".edf", ".bdf", ".set"):
            yield path, "EXG*,eog\nT9*,none\nT10*,none\nM1,none\nM2,none\n"
    for name in ("bv_gsr_microsiemens", "bv_one_sample_marks", "edf_nihon_kohden_times", "set_peripheral_units"):
        (path,) = (
            path for path in (folder / "failing_inputs" / name).iterdir() if path.suffix in (".vhdr", ".edf", ".set")
        )
        yield path, ""


@pytest.mark.real_data
def test_pieces_of_real_files_are_parts_of_the_whole(real_data, tmp_path):
    rng = np.random.default_rng(0)
    found = 0
    for path, channels in real_recordings(real_data):
        table = tmp_path / "channels.csv"
        table.write_text(f"name,kind\n{channels}")
        recording = open_recording(path, path.parent, ChannelTable(table))
        whole = recording.read(0, recording.n_samples)
        for start in (0, recording.n_samples - 200, *rng.integers(0, recording.n_samples - 200, 5)):
            np.testing.assert_allclose(recording.read(start, start + 200), whole[:, start : start + 200], rtol=1e-12)
        found += 1
    assert found == 8
