"""Writers of SEED-IV, SEED-V and SEED-VII: shared code, and dependences on parameters."""

import filecmp
import json

import mne
import numpy as np
import pytest
import scipy.io

from keras_emotion.synthetic import seed_series, write_seed_iv, write_seed_v, write_seed_vii
from keras_emotion.synthetic.neuroscan_cnt import open_cnt_writer

BANDS = {"delta": (1, 4), "theta": (4, 8), "alpha": (8, 14), "beta": (14, 31), "gamma": (31, 50)}


@pytest.mark.parametrize(("hz", "band"), [(2, 0), (6, 1), (10, 2), (20, 3), (40, 4)])
def test_features_of_a_sine(hz, band):
    """A sine of amplitude 3 within a band has the power 4.5, whatever the window; its density is over the band."""
    signal = 3 * np.sin(2 * np.pi * hz * np.arange(1900) / 200)[np.newaxis]
    entropies, densities = seed_series.window_features(signal, 200, 4, BANDS)
    assert entropies.shape == densities.shape == (1, 2, 5)
    np.testing.assert_allclose(entropies[..., band], 0.5 * np.log(2 * np.pi * np.e * 4.5), atol=1e-6)
    low, high = list(BANDS.values())[band]
    np.testing.assert_allclose(densities[..., band], 4.5 / (high - low), rtol=1e-6)
    assert np.delete(entropies, band, axis=-1).max() < 0


def clips(**changes):
    sizes = {"effect_size": 1.0, "fingerprint_size": 0.6, "stimulus_fingerprint_size": 0.0}
    return seed_series.Clips(0, ("neutral", "sad"), 200, **{**sizes, **changes})


def test_a_class_shifts_eyes_as_it_does_the_eeg():
    names = seed_series.eye_feature_names("seed_eye_features")
    with_effect, without = (
        np.array(
            [clips(effect_size=size).eye_features(names, 1, 1, clip, clip % 2, 6).mean(axis=0) for clip in range(40)]
        )
        for size in (2.0, 0.0)
    )
    spread = without.std(axis=0)
    shift = np.abs(with_effect[::2].mean(axis=0) - with_effect[1::2].mean(axis=0)) / spread
    chance = np.abs(without[::2].mean(axis=0) - without[1::2].mean(axis=0)) / spread
    assert shift.mean() > 2
    assert chance.mean() < 0.6


def test_events_have_the_sizes_of_events():
    events = clips().eye_events(1, 1, 1, 0, 60)
    n_fixations = events["fixation"].size
    assert 120 < n_fixations < 240
    assert events["pupil"].shape == (n_fixations, 4)
    assert events["saccade"].shape == (n_fixations - 1, 2)
    assert events["event"].shape == (1, 28)
    # Also where nothing happens for long.
    assert clips().eye_events(1, 1, 1, 0, 4)["blink"].shape[0] == 1


@pytest.mark.parametrize("sample_bytes", [2, 4])
def test_recordings_are_read_as_written(tmp_path, sample_bytes):
    signal = np.random.default_rng(0).normal(0, 20, (3, 700))
    path = tmp_path / "x.cnt"
    events = [(100, 1), (300, 2)]
    with open_cnt_writer(path, ["Fz", "Cz", "M1"], 500, 700, events, sample_bytes=sample_bytes) as writer:
        writer.write(signal[:, :300])
        writer.write(signal[:, 300:])
    raw = mne.io.read_raw_cnt(path, preload=True, verbose="ERROR")
    assert (raw.ch_names, raw.info["sfreq"]) == (["Fz", "Cz", "M1"], 500)
    np.testing.assert_allclose(raw.get_data() * 1e6, signal, atol=0.026)
    assert raw.annotations.onset.tolist() == [0.2, 0.6]
    assert list(raw.annotations.description) == ["1", "2"]


def write(path, n_samples, **options):
    with open_cnt_writer(path, ["Fz"], 10, n_samples, [], **options) as writer:
        writer.write(np.zeros((1, 5)))


def test_recordings_that_cannot_be_written(tmp_path):
    with pytest.raises(ValueError, match="`sample_bytes` is 3; expected 2 or 4"):
        write(tmp_path / "x.cnt", 5, sample_bytes=3)
    with pytest.raises(ValueError, match="5 samples were written; expected 7"):
        write(tmp_path / "x.cnt", 7)


def test_files_do_not_depend_on_what_else_is_written(tmp_path):
    one = write_seed_iv(tmp_path / "one", n_subjects=1, n_sessions=1, clip_seconds=4)
    more = write_seed_iv(
        tmp_path / "more", n_subjects=2, n_sessions=1, clip_seconds=4, files=["features", "eye_features"]
    )
    for folder in ("eeg_feature_smooth", "eye_feature_smooth"):
        name = f"{folder}/1/1_20160518.mat"
        first, second = (scipy.io.loadmat(root / name) for root in (one, more))
        for key in first:
            if not key.startswith("__"):
                np.testing.assert_array_equal(first[key], second[key])
    assert not (more / "eeg_raw_data").exists()
    for name in ("Channel Order.xlsx", "ReadMe.txt"):
        assert filecmp.cmp(one / name, more / name, shallow=False)
    assert json.loads((more / "synthetic.json").read_text())["dataset"] == "seed_iv"


@pytest.mark.parametrize(
    ("writer", "options", "message"),
    [
        (write_seed_iv, {"n_subjects": 16}, "`n_subjects` is 16; expected 1 to 15"),
        (write_seed_v, {"n_sessions": 4}, "`n_sessions` is 4; expected 1 to 3"),
        (write_seed_vii, {"subjects": (21,)}, "`n_subjects` is 21; expected 1 to 20"),
        (write_seed_iv, {"clip_seconds": 3}, "`clip_seconds` is 3; expected 4 or more"),
        (write_seed_iv, {"files": ()}, r"`files` is \(\); expected some of \('raw', 'features', "),
        (write_seed_v, {"files": ("preprocessed",)}, r"`files` is \('preprocessed',\); expected some of \('raw', "),
        (write_seed_vii, {"files": ("eye_events",)}, r"`files` is \('eye_events',\)"),
        (write_seed_v, {"fingerprint_size": -1.0}, "`fingerprint_size` is -1.0; expected 0 or more"),
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path, writer, options, message):
    with pytest.raises(ValueError, match=message):
        writer(tmp_path / "x", **options)
    assert not (tmp_path / "x").exists()
