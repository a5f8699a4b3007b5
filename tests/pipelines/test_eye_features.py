"""Eye movement features of windows: those of the authors, statistics of events, and missing data."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from keras_emotion.pipelines import EyeFeatures, OfficialFeatures, StoredFeatures, Windowing, extract_features
from keras_emotion.pipelines.pairing import pair_windows
from keras_emotion.schema import EyeEvents, EyeMovements, InputError, ReleasedFeatures, Trial
from keras_emotion.signals import EVENT_FEATURE_NAMES, event_features

SOURCE = Path("1_20160518.mat")
EVENTS = EyeEvents(
    np.arange(12.0).reshape(3, 4), np.array([200.0, 300.0, 250.0]), np.ones((2, 2)), np.array([100.0]), np.ones(28)
)


def movements(n_windows=5, **changes):
    values = np.arange(n_windows * 2.0).reshape(n_windows, 2)
    whole = EyeMovements((SOURCE,), ("x", "y"), 4.0, True, lambda: values, lambda: EVENTS)
    return dataclasses.replace(whole, **changes)


def trial(number=1, eye=None, n_windows=5, **fields):
    bands = {"low": (1.0, 4.0)}
    released = ReleasedFeatures(
        SOURCE, ("de_LDS",), ("Fz",), bands, 4.0, frozenset(), lambda name: np.ones((n_windows, 1, 1))
    )
    fields = {"released_features": released, "eye_movements": eye, **fields}
    return Trial("memory", 1, number, f"clip_{number}", None, (), {"emotion": 1.0}, **fields)


def broken():
    raise InputError(f"{SOURCE}: damaged")


def test_samples_are_consecutive_windows_of_the_authors():
    arrays, table, channels = extract_features(EyeFeatures(steps=2, hop_seconds=4.0), [trial(eye=movements())])
    assert channels is None
    assert arrays["eye"].dtype == np.float32
    assert arrays["eye"].tolist() == [[[0, 1], [2, 3]], [[2, 3], [4, 5]], [[4, 5], [6, 7]], [[6, 7], [8, 9]]]
    assert table["start_seconds"].tolist() == [0, 4, 8, 12]
    assert table["stop_seconds"].tolist() == [8, 12, 16, 20]
    assert table["emotion"].tolist() == [1] * 4
    assert table["unusable"].tolist() == [""] * 4


def test_events_are_of_the_trial():
    part = EyeFeatures(values="events", steps=2)
    arrays, table, _ = extract_features(part, [trial(eye=movements(read_features=None))])
    expected = event_features(EVENTS.pupil, EVENTS.fixations_ms, EVENTS.saccades, EVENTS.blinks_ms, 20.0)
    assert arrays["eye"].shape == (2, 2, len(EVENT_FEATURE_NAMES))
    np.testing.assert_allclose(arrays["eye"], np.broadcast_to(expected, arrays["eye"].shape), rtol=1e-6)
    assert table["start_seconds"].tolist() == [0, 8]


CLOSED = dataclasses.replace(EVENTS, pupil=np.zeros((0, 4)), fixations_ms=np.zeros(0))
MISSING = {
    "no eye movements": (EyeFeatures(), None, "no eye movements"),
    "no features": (EyeFeatures(), movements(read_features=None), "no eye features"),
    "no events": (EyeFeatures(values="events"), movements(read_events=None), "no events of eye movements"),
    "damaged": (EyeFeatures(), movements(read_features=broken), f"{SOURCE}: damaged"),
    "eyes closed": (EyeFeatures(values="events"), movements(read_events=lambda: CLOSED), "no fixation in the trial"),
}


@pytest.mark.parametrize("case", MISSING)
def test_what_is_missing_is_dropped_with_its_partners_and_counted(case):
    part, eye, reason = MISSING[case]
    trials = [trial(1, eye), trial(2, movements())]
    arrays, table, _ = extract_features(part, trials)
    assert arrays["eye"].shape[:2] == (10, 1)
    assert table["unusable"].tolist() == [reason] * 5 + [""] * 5
    eeg = OfficialFeatures(window_seconds=4.0)
    parts = {"eeg": extract_features(eeg, trials), "eye": (arrays, table)}
    paired, dropped = pair_windows({name: StoredFeatures(one[0], one[1]) for name, one in parts.items()})
    assert paired.table["trial"].tolist() == [2] * 5
    assert dropped[["trial", "reason", "n_windows"]].to_numpy().tolist() == [[1, reason, 5]]


def test_windows_that_the_eye_tracker_lacks_are_dropped():
    trials = [trial(1, movements(3))]
    eeg, eye = OfficialFeatures(window_seconds=4.0), EyeFeatures()
    parts = {"eeg": extract_features(eeg, trials), "eye": extract_features(eye, trials)}
    paired, dropped = pair_windows({name: StoredFeatures(one[0], one[1]) for name, one in parts.items()})
    assert paired.table["start_seconds"].tolist() == [0, 4, 8]
    assert dropped["reason"].tolist() == ["eye: no window at this time"]
    assert dropped["n_windows"].tolist() == [2]


@pytest.mark.parametrize(
    ("trials", "message"),
    [
        ([], "no trials to read eye movements from"),
        (
            [trial(), trial(2)],
            r"memory, subject 1: no trial has eye features \(no eye movements\); leave this subject out with --sub",
        ),
        (
            [trial(eye=movements(read_features=broken))],
            r"subject 1: no trial has eye features \(1_20160518.mat: damaged\); leave this subject out",
        ),
        (
            [trial(eye=movements(window_seconds=1.0))],
            r"1_20160518.mat: eye features have windows of 1 s; expected 4 s, .* --system.features.window-seconds 1",
        ),
        (
            [trial(eye=movements()), trial(2, movements(feature_names=("x", "z")))],
            "1_20160518.mat: eye features differ from those of the first trial of memory, subject 1",
        ),
    ],
)
def test_what_does_not_fit_is_refused(trials, message):
    with pytest.raises(InputError, match=message):
        extract_features(EyeFeatures(), trials)


def test_windows_are_those_of_the_eeg():
    part = EyeFeatures().with_windowing(Windowing(window_seconds=12.0, steps=3, hop_seconds=4.0))
    assert (part.window_seconds, part.steps, part.hop_seconds) == (4.0, 3, 4.0)
    assert part.windowing == Windowing(window_seconds=12.0, steps=3, hop_seconds=4.0)
    with pytest.raises(ValueError, match="lag_seconds: EyeFeatures cannot be delayed"):
        EyeFeatures().with_windowing(Windowing(window_seconds=4.0, lag_seconds=1.0))
    with pytest.raises(ValueError, match="hop_seconds: 6 s; expected a whole number of windows of 4 s"):
        EyeFeatures(hop_seconds=6.0)


def test_flags():
    smoothed, raw = trial(eye=movements()), trial(eye=movements(is_smoothed=False))
    (flag,) = EyeFeatures().flags(smoothed)
    assert flag.startswith("eye features were smoothed over the whole trial by their authors")
    assert EyeFeatures().flags(raw) == EyeFeatures().flags(trial()) == ()
    (flag,) = EyeFeatures(values="events").flags(raw)
    assert flag == "eye movements are statistics of the whole trial, the same for all of its windows"
