import numpy as np
import pytest

from keras_emotion import signals
from keras_emotion.pipelines import EEGChannelFeatures, EEGGridFeatures, feature_statistics
from keras_emotion.schema import InputError, Recording, Trial

CHANNELS = ("Fp1", "C3", "Oz", "T8")


def _trial(seconds=9.0, rate=128.0, baseline_seconds=3.0, trial=1, seed=0):
    signal = np.random.default_rng(seed).standard_normal((5, round((seconds + baseline_seconds) * rate)))
    names = (*CHANNELS, "GSR")
    recording = Recording(signal, names, ("uV",) * 5, rate, baseline_seconds)
    return Trial("deap", 1, trial, str(trial), recording, CHANNELS, {"valence": 6.5}, presentation=4)


def test_differential_entropies_lie_at_their_electrodes_in_time_order():
    trial = _trial()
    arrays, table = EEGGridFeatures(baseline="none").extract([trial])
    assert arrays["eeg"].shape == (4, 4, 9, 9, 4)
    assert arrays["eeg"].dtype == np.float32
    wanted = signals.differential_entropy_features(
        trial.eeg.signal, 128.0, signals.THREE_FACRNN_BANDS, 0.5, baseline_seconds=3.0, baseline="none"
    )
    for channel, (row, column) in enumerate(signals.grid_positions(CHANNELS)):
        for window in range(4):
            np.testing.assert_allclose(
                arrays["eeg"][window, :, row, column], wanted[4 * window : 4 * window + 4, channel], rtol=1e-5
            )
    occupied = np.zeros((9, 9), bool)
    occupied[tuple(signals.grid_positions(CHANNELS).T)] = True
    assert not arrays["eeg"][:, :, ~occupied].any()
    assert arrays["eeg"][:, :, occupied].all()
    assert table["start_seconds"].tolist() == [0, 2, 4, 6]
    assert table["stop_seconds"].tolist() == [2, 4, 6, 8]
    assert table["valence"].tolist() == [6.5] * 4


@pytest.mark.parametrize("representation", ["differential_entropy", "raw_slices", "raw_samples"])
def test_features_of_channels_are_those_of_their_cells(representation):
    fields = {"representation": representation, "window_seconds": 1.0, "hop_seconds": 0.5}
    maps, table = EEGGridFeatures(**fields).extract([_trial()])
    part = EEGChannelFeatures(**fields)
    arrays, same_table = part.extract([_trial()])
    rows, columns = signals.grid_positions(CHANNELS).T
    np.testing.assert_array_equal(arrays["eeg"], maps["eeg"][:, :, rows, columns])
    assert arrays["eeg"].shape[1:] == part.array_shapes(4, 128.0)["eeg"]
    assert arrays["eeg"].dtype == np.float32
    assert table.equals(same_table)


def test_a_sequence_of_windows_spans_them_all():
    arrays, table = EEGGridFeatures(sequence="windows", window_seconds=1.0, steps=4).extract(
        [_trial(), _trial(trial=2)]
    )
    assert arrays["eeg"].shape == (4, 4, 9, 9, 4)
    assert table["trial"].tolist() == [1, 1, 2, 2]
    assert (table["stop_seconds"] - table["start_seconds"]).tolist() == [4.0] * 4


def test_raw_slices_hold_the_band_passed_samples():
    trial = _trial()
    features = EEGGridFeatures(representation="raw_slices", baseline="none")
    arrays, _ = features.extract([trial])
    assert arrays["eeg"].shape == (4, 4, 9, 9, 64)
    wanted = signals.band_pass(trial.eeg.signal, 128.0, 4, 50)[:, 384:]
    row, column = signals.grid_positions(CHANNELS)[1]
    np.testing.assert_allclose(arrays["eeg"][2, 3, row, column], wanted[1, 2 * 256 + 3 * 64 : 3 * 256], rtol=1e-5)


def test_raw_samples_make_each_sample_a_step():
    slices, _ = EEGGridFeatures(representation="raw_slices").extract([_trial()])
    samples, _ = EEGGridFeatures(representation="raw_samples").extract([_trial()])
    assert samples["eeg"].shape == (4, 256, 9, 9, 1)
    row, column = signals.grid_positions(CHANNELS)[0]
    np.testing.assert_array_equal(samples["eeg"][1, :, row, column, 0], slices["eeg"][1, :, row, column].reshape(-1))


@pytest.mark.parametrize(
    ("features", "trials", "message"),
    [
        (EEGGridFeatures(), [_trial(seconds=1.5)], "trial 1: 1.5 s of signal; expected at least one sample of 2 s"),
        (EEGGridFeatures(), [_trial(baseline_seconds=0.0)], "no baseline before the stimulus"),
        (EEGGridFeatures(), [], "no trials"),
    ],
)
def test_bad_trials_are_named(features, trials, message):
    with pytest.raises(InputError, match=message):
        features.extract(trials)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"convention": "none-such"}, "convention"),
        ({"representation": "raw_slices", "baseline": "feature"}, "baseline"),
        ({"steps": 0}, "steps"),
        ({"speling": 1}, "speling"),
    ],
)
def test_bad_fields_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        EEGGridFeatures(**fields)


def test_statistics_see_the_given_windows_only():
    rng = np.random.default_rng(1)
    array = (1e4 + rng.standard_normal((50, 3, 2, 2))).astype(np.float32)
    rows = rng.permutation(50)[:20]
    array[np.setdiff1d(np.arange(50), rows)] = np.nan
    mean, deviation = feature_statistics(array, rows, chunk=7)
    chosen = array[rows].reshape(-1, 2, 2).astype(np.float64)
    np.testing.assert_allclose(mean, chosen.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(deviation, chosen.std(axis=0), rtol=1e-5)
    with pytest.raises(ValueError, match="empty"):
        feature_statistics(array, np.array([], int))
