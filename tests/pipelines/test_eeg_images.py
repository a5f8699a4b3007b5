"""Band powers of video frames for topographic images, their statistics, and metadata of saved models."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import scipy.signal

from keras_emotion.experiment.scope import TrainingPart
from keras_emotion.pipelines import BandStatistics, EEGImages, find_part
from keras_emotion.pipelines.extraction import extract_features
from keras_emotion.schema import InputError, Recording, Trial
from keras_emotion.signals import wavelet_denoise

NAMES = ("F3", "GSR1", "F4", "Cz")
EEG = ("F3", "F4", "Cz")
RATE = 128.0


def trial_of(seconds=11.0, baseline_seconds=3.0, number=1, rate=RATE, eeg=EEG, signal=None):
    n_samples = round((seconds + baseline_seconds) * rate)
    if signal is None:
        signal = np.random.default_rng(number).standard_normal((len(NAMES), n_samples))
        signal += 3 * np.sin(2 * np.pi * 6 * np.arange(n_samples) / rate)
    recording = Recording(signal, NAMES, ("uV",) * len(NAMES), rate, baseline_seconds, Path("s01.dat"))
    return Trial("test", 1, number, f"film{number}", recording, eeg, {"valence": 6.0})


@pytest.mark.parametrize("denoise", ["wavelet", "none"])
def test_powers_are_those_of_each_frame(denoise):
    part = EEGImages(denoise=denoise)
    arrays, table = part.extract([trial_of(number=1), trial_of(number=2)])
    # Segments of 5 s without overlap; the remainder is dropped.
    assert (arrays["eeg"].shape, arrays["eeg"].dtype) == ((2 * 2, 40, 3, 3), np.float32)
    assert table["start_seconds"].tolist() == [0.0, 5.0] * 2
    assert (table["stop_seconds"] - table["start_seconds"] == 5.0).all()
    signal = trial_of(number=2).recording.signal[[0, 2, 3]]
    cleaned = wavelet_denoise(signal) if denoise == "wavelet" else signal
    for band, edges in enumerate(((4, 8), (8, 13), (13, 30))):
        sections = scipy.signal.butter(4, edges, "bandpass", fs=RATE, output="sos")
        before, after = (
            scipy.signal.sosfiltfilt(sections, one, padlen=27)[:, 3 * 128 : 13 * 128].reshape(3, 2, 40, 16) ** 2
            for one in (signal, cleaned)
        )
        expected = np.moveaxis(np.log(after.mean(axis=-1)), 0, -1)
        np.testing.assert_allclose(arrays["eeg"][2:, ..., band], expected, rtol=1e-4, atol=1e-4)
        if denoise == "wavelet":
            kept = after.sum(axis=(0, 2, 3)) / before.sum(axis=(0, 2, 3))
            np.testing.assert_allclose(arrays["kept_power"][2:, band], kept, rtol=1e-4)
    assert (set(arrays) == {"eeg"}) == (denoise == "none")


def test_of_no_power_all_is_kept_and_logarithms_are_finite():
    arrays, _ = EEGImages().extract([trial_of(signal=np.zeros((4, 14 * 128)))])
    assert (arrays["kept_power"] == 1).all()
    np.testing.assert_allclose(arrays["eeg"], np.log(np.finfo(np.float32).tiny), rtol=1e-6)


def test_whole_trials_overlap_and_lag():
    whole, table = EEGImages(window_seconds=11.0).extract([trial_of()])
    assert (whole["eeg"].shape, len(table)) == ((1, 88, 3, 3), 1)
    part = EEGImages(hop_seconds=1.0, lag_seconds=0.5)
    found, table = part.extract([trial_of()])
    assert table["start_seconds"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    for segment, start in enumerate(range(0, 6)):
        np.testing.assert_allclose(found["eeg"][segment], whole["eeg"][0, 8 * start + 4 : 8 * start + 44], atol=1e-5)


def test_frames_that_are_no_whole_number_of_samples_stay_in_step():
    rate = 125.0
    times = np.arange(round(63 * rate)) / rate - 3
    signal = np.sin(2 * np.pi * 10 * times) * ((times >= 50) & (times < 51)) + 1e-3 * np.sin(2 * np.pi * 10 * times)
    (arrays, _) = EEGImages(window_seconds=60.0, denoise="none").extract(
        [trial_of(seconds=60.0, rate=rate, signal=np.tile(signal, (4, 1)))]
    )
    assert 400 <= arrays["eeg"][0, :, 0, 1].argmax() < 408


# --- metadata of saved models


def test_what_a_saved_model_must_know():
    part = EEGImages(lag_seconds=0.5, hop_seconds=2.5)
    assert find_part("EEGImages") is EEGImages
    assert EEGImages.from_fields(part.description()["fields"]) == part
    assert part.array_shapes(32, 128.0) == {"eeg": (40, 32, 3), "kept_power": (3,)}
    assert EEGImages(denoise="none", window_seconds=60.0).array_shapes(32, 128.0) == {"eeg": (480, 32, 3)}
    assert part.for_new_recording() == EEGImages(lag_seconds=0.5)
    assert list(part.frequency_bands) == ["theta", "alpha", "beta"]
    # Two cycles of the narrow theta filter and more, and the reach of the coarsest wavelet.
    assert part.lead_in_seconds(128.0) - EEGImages(denoise="none").lead_in_seconds(128.0) == 7 * 32 / 128
    assert part.with_windowing(part.windowing) == part
    assert (part.windowing.steps, part.windowing.step_seconds) == (40, 0.125)
    part.check_channels(EEG, np.full((3, 3), np.nan))
    with pytest.raises(ValueError, match="electrodes without a position on the head: GSR1"):
        part.check_channels(NAMES, np.full((4, 3), np.nan))


@pytest.mark.parametrize("denoise", ["none", "wavelet"])
def test_a_block_has_the_powers_of_the_whole_recording(denoise):
    """With the lead-in of the part before and after it; for denoised signals, up to the noise estimate."""
    generator, n_samples = np.random.default_rng(0), round(63 * RATE)
    # As in EEG, slow waves are larger.
    signal = scipy.signal.lfilter([1], [1, -0.95], generator.standard_normal((4, n_samples)))
    whole, part = trial_of(seconds=60.0, signal=signal), EEGImages(denoise=denoise)
    expected = part.extract([whole])[0]["eeg"][5:8]
    n_lead = int(-(-part.lead_in_seconds(RATE) // 5))
    begin, end = round((3 + 25 - 5 * n_lead) * RATE), round((3 + 40 + 5 * n_lead) * RATE)
    block = trial_of(seconds=(end - begin) / RATE, baseline_seconds=0.0, signal=signal[:, begin:end])
    apart = np.abs(part.extract([block])[0]["eeg"][n_lead : n_lead + 3] - expected)
    if denoise == "none":
        assert apart.max() < 1e-4
    else:
        assert 0 < np.median(apart) < 0.05
        assert np.median(apart) < 0.05 * expected.std(axis=(0, 1, 2)).min()


def test_files_with_other_orders_of_channels_and_missing_ones():
    part = EEGImages()
    whole, _, wanted = extract_features(part, [trial_of()])
    turned = dataclasses.replace(
        trial_of(),
        recording=trial_of().recording.pick(("Cz", "F3", "F4", "GSR1")),
        eeg_channel_names=("Cz", "F3", "F4"),
    )
    found, _, present = extract_features(part, [turned])
    aligned = part.align_channels("eeg", found["eeg"], present, wanted)
    np.testing.assert_allclose(aligned, whole["eeg"], atol=1e-5)
    lacking, _, known = extract_features(part, [trial_of()])
    lacking = {name: np.delete(array, 2, axis=2) if name == "eeg" else array for name, array in lacking.items()}
    known = dataclasses.replace(
        known, names=known.names[:2], units=known.units[:2], directions=known.directions[:2], n_missing={}
    )
    means = {"eeg": np.float32([1, 2, 3])}
    filled = part.fill_missing(lacking, known, wanted, means)
    assert (filled["eeg"][:, :, 2] == means["eeg"]).all()
    np.testing.assert_array_equal(filled["eeg"][:, :, :2], lacking["eeg"])
    np.testing.assert_array_equal(filled["kept_power"], lacking["kept_power"])


# --- statistics of the training part


@pytest.mark.parametrize("n_segments", [1, 2, 7])
def test_statistics_are_those_of_training_rows_with_the_floor(n_segments):
    generator = np.random.default_rng(n_segments)
    values = (generator.standard_normal((12, 5, 4, 3)) * [1, 5, 1e-3] - [0, 60, -4]).astype(np.float32)
    values[0, 0, :, :2] = np.log(np.finfo(np.float32).tiny)
    rows = np.arange(n_segments)
    # Reading a segment outside the training set is an error.
    statistics = BandStatistics.fit(TrainingPart({"eeg": values}, rows, "test")["eeg"], rows, chunk=2)
    training = values[rows].reshape(-1, 3).astype(np.float64)
    medians = np.sort(training, axis=0)[(len(training) - 1) // 2]
    np.testing.assert_allclose(statistics.floor, medians + np.log(1e-3), rtol=1e-6)
    floored = np.maximum(training, statistics.floor)
    assert (floored[:, 0] > training[:, 0]).any()
    np.testing.assert_allclose(statistics.mean, floored.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(statistics.standard_deviation, floored.std(axis=0), rtol=1e-4)
    expected = (np.maximum(values, statistics.floor) - floored.mean(axis=0)) / floored.std(axis=0)
    np.testing.assert_allclose(statistics(values), expected, rtol=1e-3, atol=2e-3)


def test_faults_of_statistics():
    with pytest.raises(ValueError, match="`rows` is empty"):
        BandStatistics.fit(np.zeros((2, 4, 3, 3), np.float32), np.array([], int))
    with pytest.raises(ValueError, match="not finite"):
        BandStatistics.fit(np.full((2, 4, 3, 3), np.nan, np.float32), np.arange(2))
    constant = BandStatistics.fit(np.full((2, 4, 3, 3), 5, np.float32), np.arange(2))
    assert not constant(np.full((1, 4, 3, 3), 6, np.float32)).any()


# --- faults


@pytest.mark.parametrize(
    ("options", "trials", "message"),
    [
        ({}, [], "no trials"),
        (
            {"window_seconds": 60.0},
            [
                trial_of(),
                trial_of(seconds=60.0, number=2),
                trial_of(number=3),
                trial_of(seconds=61.0, number=4, eeg=("F3", "F4", "GSR1")),
                trial_of(seconds=61.0, number=5, rate=50.0),
            ],
            r"^s01.dat, subject 1, trial 1, 3: lasts 11 s; expected at least a window of 60 s; choose shorter windows "
            r"\(window_seconds\)\n"
            r"s01.dat, subject 1, trial 4, 5: channels or sampling rate differ from the first trial; expected",
        ),
        (
            {},
            [
                trial_of(number=number, eeg=NAMES, seconds=seconds)
                for number, seconds in ((1, 11.0), (2, 4.0), (3, 5.0))
            ],
            r"^s01.dat, subject 1, trial 1, 3: electrodes without a position on the head: GSR1; .*\n"
            r"s01.dat, subject 1, trial 2: lasts 4 s; [^\n]*$",
        ),
        (
            {},
            [trial_of(eeg=("F3", "GSR1", "F4", "Cz"))],
            "^s01.dat, subject 1, trial 1: electrodes without a position on the head: GSR1; expected names of the 10-5",
        ),
        ({}, [trial_of(eeg=("F3", "F4"))], "electrodes for images: F3, F4; expected three or more"),
        ({}, [trial_of(rate=50.0)], "band `beta` is 13-30 Hz"),
        ({"frame_rate_hz": 1000.0}, [trial_of()], "has no sample at 128 Hz"),
        (
            {"window_seconds": 0.25},
            [trial_of(seconds=0.5, baseline_seconds=0.0)],
            "64 samples; expected 224 or more for 5 levels",
        ),
    ],
)
def test_faults(options, trials, message):
    with pytest.raises(InputError, match=message):
        EEGImages(**options).extract(trials)


def test_fields_that_do_not_fit():
    with pytest.raises(ValueError, match=r"window_seconds: 5.1 s are 40.8 frames at 8 per second; expected a whole"):
        EEGImages(window_seconds=5.1)
    with pytest.raises(ValueError, match=r"bands.x: 5 to 4 Hz"):
        EEGImages(bands={"x": (5.0, 4.0)})
    with pytest.raises(ValueError, match="frame_rate_hz: 200; expected at most the sampling rate"):
        EEGImages(frame_rate_hz=200.0).array_shapes(32, 128.0)
