"""Windowing of trials: overlapping, delayed relative to another part, and the same for all parts of a system."""

import dataclasses

import numpy as np
import pytest
from pydantic import ValidationError

from keras_emotion.pipelines import (
    ConnectivityFeatures,
    EEGGridFeatures,
    FaceFeatures,
    FaceQuantities,
    RawSignals,
    StoredFeatures,
    Windowing,
    pair_windows,
)
from keras_emotion.schema import InputError, Recording, Trial

CHANNELS = ("F3", "F4", "Oz")
RATE, BASELINE_SECONDS = 128.0, 3.0
BANDS = {"alpha": (8.0, 12.0), "beta": (12.0, 30.0)}


def trial_of(seconds=13.0, number=1, rate=RATE):
    signal = np.random.default_rng(number).standard_normal((3, round((seconds + BASELINE_SECONDS) * rate)))
    recording = Recording(signal, CHANNELS, ("uV",) * 3, rate, BASELINE_SECONDS)
    return Trial("test", 1, number, f"film{number}", recording, CHANNELS, {"valence": 6.0})


def shifted(trial, seconds):
    """The trial starting this much later, without a baseline: the earlier signal is removed."""
    first = round((BASELINE_SECONDS + seconds) * trial.recording.sampling_rate_hz)
    recording = dataclasses.replace(trial.recording, signal=trial.recording.signal[:, first:], baseline_seconds=0.0)
    return dataclasses.replace(trial, recording=recording)


# Overlapping ----------------------------------------------------------------------------------------------------------

# Filters of whole trials use the signal before a window: filters of a single window can be compared with a loop.
LOCAL = {
    "entropies": EEGGridFeatures(baseline="none", convention="libeer", window_seconds=2.0, steps=1),
    "raw": RawSignals(window_seconds=2.0, baseline="none"),
    "connectivity": ConnectivityFeatures(sample_seconds=6.0, window_seconds=2.0, bands=BANDS),
    "powers": ConnectivityFeatures(sample_seconds=4.0, window_seconds=2.0, bands=BANDS, connectivity_from="powers"),
}


@pytest.mark.parametrize("hop_seconds", [0.25, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("name", [name for name in LOCAL if name != "entropies"])
def test_overlapping_windows_are_those_of_a_loop(name, hop_seconds):
    part, trials = LOCAL[name], [trial_of(number=1), trial_of(seconds=9.0, number=2)]
    length = part.windowing.window_seconds
    arrays, table = part.changed(hop_seconds=hop_seconds).extract(trials)
    row = 0
    for trial in trials:
        start = 0.0
        while start + length <= trial.recording.duration_seconds + 1e-9:
            expected, _ = part.extract([shifted(trial, start)])
            for array, values in expected.items():
                np.testing.assert_allclose(arrays[array][row], values[0], rtol=1e-5, atol=1e-5)
            assert (table["trial"][row], table["start_seconds"][row]) == (trial.trial, start)
            assert table["stop_seconds"][row] == start + length
            row, start = row + 1, start + hop_seconds
    assert row == len(table) == len(next(iter(arrays.values())))


@pytest.mark.parametrize("hop_seconds", [0.125, 0.5, 0.7421875, 2.5])
@pytest.mark.parametrize("representation", ["differential_entropy", "raw_slices", "raw_samples"])
@pytest.mark.parametrize("sequence", ["slices", "windows"])
def test_overlapping_samples_on_the_grid_are_those_of_a_loop(sequence, representation, hop_seconds):
    """Against the same steps, taken one by one from the filtered trial."""
    length, steps = (2.0, 4) if sequence == "slices" else (0.5, 4)
    fields = {"representation": representation, "sequence": sequence, "window_seconds": length, "steps": steps}
    part = EEGGridFeatures(**fields, hop_seconds=hop_seconds)
    trial = trial_of()
    arrays, table = part.extract([trial])
    # Each step by itself: a window of one step every sample, of which the wanted ones are picked.
    fine = {"differential_entropy": 1, "raw_slices": 1, "raw_samples": 64}[representation]
    each, _ = EEGGridFeatures(representation=representation, window_seconds=0.5, steps=1, hop_seconds=1 / RATE).extract(
        [trial]
    )
    n_windows = 0
    while n_windows * hop_seconds + 2.0 <= 13.0:
        for step in range(4):
            sample = round((n_windows * hop_seconds + 0.5 * step) * RATE)
            found = arrays["eeg"][n_windows, step * fine : (step + 1) * fine]
            np.testing.assert_allclose(found, each["eeg"][sample], rtol=1e-5, atol=1e-6)
        assert table["start_seconds"][n_windows] == n_windows * hop_seconds
        n_windows += 1
    assert len(table) == len(arrays["eeg"]) == n_windows
    assert ((table["stop_seconds"] - table["start_seconds"]) == 2.0).all()


EVERY = {
    **LOCAL,
    "grid": EEGGridFeatures(),
    "grid of windows": EEGGridFeatures(sequence="windows", window_seconds=0.5),
    "raw slices": EEGGridFeatures(representation="raw_slices"),
    "raw samples": EEGGridFeatures(representation="raw_samples"),
    "baseline of segments": RawSignals(window_seconds=1.0),
    "phase locking": ConnectivityFeatures(sample_seconds=6.0, window_seconds=2.0, measure="phase_locking"),
}


@pytest.mark.parametrize("name", list(EVERY))
def test_a_hop_of_a_window_is_side_by_side(name):
    part, trials = EVERY[name], [trial_of()]
    plain, table = part.extract(trials)
    hopped, same = part.changed(hop_seconds=part.windowing.window_seconds).extract(trials)
    for array, values in plain.items():
        np.testing.assert_array_equal(hopped[array], values)
    assert table.equals(same)


@pytest.mark.parametrize("name", list(EVERY))
def test_a_hop_is_a_whole_number_of_samples(name):
    with pytest.raises(InputError, match=r"subject 1, trial 1: `hop_seconds` of 0\.3 s is 38\.4 samples at 128 Hz"):
        EVERY[name].changed(hop_seconds=0.3).extract([trial_of()])


# Delayed --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hop_seconds", [None, 0.5])
def test_a_lag_takes_raw_windows_later_and_keeps_the_time_of_the_table(hop_seconds):
    """A signal whose values are its times."""
    n_samples = round(10 * RATE)
    clock = np.arange(n_samples) / RATE - BASELINE_SECONDS
    recording = Recording(np.tile(clock, (2, 1)), ("F3", "F4"), ("uV",) * 2, RATE, BASELINE_SECONDS)
    trial = Trial("test", 1, 1, "film", recording, ("F3", "F4"), {})
    part = RawSignals(baseline="none", lag_seconds=0.75, hop_seconds=hop_seconds)
    arrays, table = part.extract([trial])
    np.testing.assert_allclose(arrays["bio"][:, 0, 0], table["start_seconds"] + 0.75, atol=1e-6)
    # Of seven seconds the last window that ends within them starts at 5.25 s.
    assert table["start_seconds"].max() == 5.0
    leading = RawSignals(baseline="none", hop_seconds=hop_seconds).extract([trial])
    of_another = ({"lead": leading[0]["bio"]}, leading[1])
    paired, dropped = pair_windows({"lead": StoredFeatures(*of_another), "bio": StoredFeatures(arrays, table)})
    assert paired.table["start_seconds"].tolist() == table["start_seconds"].tolist()
    (reason,) = dropped["reason"].unique()
    assert reason == "bio: no window at this time"
    assert dropped["n_windows"].sum() == len(leading[1]) - len(table) > 0


def test_a_lag_takes_the_baseline_off_at_its_own_time():
    """The subtracted waveform repeats from the onset on, not from the first delayed sample."""
    trial = trial_of()
    plain, _ = RawSignals(hop_seconds=0.25).extract([trial])
    lagged, table = RawSignals(lag_seconds=0.25).extract([trial])
    np.testing.assert_array_equal(lagged["bio"], plain["bio"][1::4])
    assert table["start_seconds"].tolist() == list(range(12))


def test_a_lag_beyond_the_trial_is_refused():
    with pytest.raises(InputError, match=r"expected at least one window of 1 s, 12\.5 s after the onset"):
        RawSignals(lag_seconds=12.5).extract([trial_of()])


@pytest.mark.parametrize("part", [EEGGridFeatures(), ConnectivityFeatures()])
def test_parts_without_a_lag_say_so(part):
    with pytest.raises(ValueError, match=r"lag_seconds: .* cannot be delayed relative to other parts"):
        part.with_windowing(Windowing(window_seconds=2.0, lag_seconds=0.5))


# One value for all parts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "part",
    [
        *EVERY.values(),
        FaceFeatures(),
        FaceFeatures(hop_seconds=0.5, lag_seconds=1.0, steps=2),
        FaceQuantities(steps=3),
        RawSignals(hop_seconds=0.25, lag_seconds=0.5),
        EEGGridFeatures(sequence="windows", steps=3, hop_seconds=0.5),
        ConnectivityFeatures(sample_seconds=12.0, hop_seconds=6.0),
    ],
)
def test_a_part_with_its_own_windowing_is_itself(part):
    assert part.with_windowing(part.windowing) == part


def test_parts_are_cut_alike():
    windowing = Windowing(window_seconds=6.0, hop_seconds=3.0, steps=3)
    parts = EEGGridFeatures(), EEGGridFeatures(sequence="windows"), ConnectivityFeatures(), FaceFeatures()
    for part in parts:
        assert part.with_windowing(windowing).windowing == windowing
    assert EEGGridFeatures(sequence="windows").with_windowing(windowing).window_seconds == 2.0
    tables = [part.with_windowing(windowing).extract([trial_of()])[1] for part in parts[:3]]
    assert all(table["start_seconds"].tolist() == [0.0, 3.0, 6.0] for table in tables)


@pytest.mark.parametrize(
    "fields",
    [
        {"window_seconds": 0.0},
        {"window_seconds": float("nan")},
        {"window_seconds": float("inf")},
        {"window_seconds": 1e6},
        {"hop_seconds": 0.0},
        {"steps": 0},
        {"steps": 10**9},
        {"lag_seconds": -1.0},
        {"lag_seconds": float("nan")},
    ],
)
def test_bounds(fields):
    with pytest.raises(ValidationError, match=next(iter(fields))):
        Windowing(**{"window_seconds": 1.0, **fields})


# Keys -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "fields"),
    [
        (EEGGridFeatures(), {"hop_seconds": 0.5}),
        (RawSignals(), {"hop_seconds": 0.5}),
        (RawSignals(), {"lag_seconds": 0.5}),
        (ConnectivityFeatures(), {"hop_seconds": 30.0}),
        (FaceFeatures(), {"lag_seconds": 0.5}),
        (FaceQuantities(), {"lag_seconds": 0.5}),
    ],
)
def test_fields_that_were_added_are_in_a_key_where_they_differ_from_their_defaults(part, fields):
    (name,) = fields
    assert name not in part.key()
    assert name not in part.model_dump()
    assert name not in part.model_dump_json()
    changed = part.changed(**fields)
    assert changed.key()[name] == fields[name]
    assert type(part)(**changed.model_dump()) == changed
