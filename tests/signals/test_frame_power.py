"""Power of video frames compared with a loop over SciPy's filters and time masks."""

import numpy as np
import pytest
import scipy.signal

from keras_emotion.signals import frame_power

BANDS = {"theta": (4.0, 8.0), "alpha": (8.0, 13.0), "beta": (13.0, 30.0)}


@pytest.mark.parametrize(("rate", "sizes"), [(128.0, {16}), (125.0, {15, 16}), (97.3, {12, 13})])
def test_frames_are_means_of_the_samples_whose_time_is_in_them(rate, sizes):
    signal = np.random.default_rng(0).standard_normal((3, round(20 * rate)))
    # Two segments that overlap, the second not on the raster of the frames of the first.
    starts = np.array([3.0, 7.05])[:, np.newaxis] + np.arange(40) / 8
    power = frame_power(signal, rate, BANDS, 1 / 8, starts)
    assert power.shape == (2, 40, 3, 3)
    times, found = np.arange(signal.shape[1]) / rate, set()
    for band, edges in enumerate(BANDS.values()):
        sections = scipy.signal.butter(4, edges, "bandpass", fs=rate, output="sos")
        squares = scipy.signal.sosfiltfilt(sections, signal, padlen=27) ** 2
        for place in np.ndindex(*starts.shape):
            inside = (times >= starts[place] - 1e-9) & (times < starts[place] + 1 / 8 - 1e-9)
            found.add(int(inside.sum()))
            np.testing.assert_allclose(power[place][:, band], squares[:, inside].mean(axis=1), rtol=1e-6)
    assert found == sizes


def test_times_that_floating_point_cannot_represent_are_those_of_whole_samples():
    signal = np.random.default_rng(0).standard_normal((2, 1000))
    # 0.1 * 3 is 0.30000000000000004.
    power = frame_power(signal, 100.0, {"alpha": (8.0, 13.0)}, 0.1, np.arange(100) * 0.1)
    sections = scipy.signal.butter(4, (8, 13), "bandpass", fs=100, output="sos")
    squares = scipy.signal.sosfiltfilt(sections, signal, padlen=27) ** 2
    np.testing.assert_allclose(power[..., 0].T, squares.reshape(2, 100, 10).mean(axis=-1), rtol=1e-6)


def test_a_tone_has_its_power_in_its_band_and_stays_in_step_with_time():
    rate = 125.0
    times = np.arange(round(60 * rate)) / rate
    # Alpha from second 30 to 31 only.
    burst = 3 * np.sin(2 * np.pi * 10 * times) * ((times >= 30) & (times < 31))
    power = frame_power(burst[np.newaxis], rate, BANDS, 1 / 8, np.arange(480) / 8)[:, 0]
    # Frames of 15.625 samples: counted as 15 each, they would be 19 frames late by then.
    assert 240 <= power[:, 1].argmax() < 248
    assert power[240:248, 1].mean() > 20 * power[np.r_[:232, 256:480], 1].max()
    tone = frame_power(np.sin(2 * np.pi * 20 * times)[np.newaxis], rate, BANDS, 1 / 8, np.arange(480) / 8)[:, 0]
    np.testing.assert_allclose(tone[16:-16].mean(axis=0), [0, 0, 0.5], atol=1e-3)


def test_the_last_frame_may_end_with_the_signal_and_shapes_are_kept():
    signal = np.random.default_rng(1).standard_normal((2, 3, 1024)).astype(np.float32)
    power = frame_power(signal, 128.0, BANDS, 1 / 8, np.arange(64) / 8)
    assert (power.shape, power.dtype) == ((2, 64, 3, 3), np.float32)
    np.testing.assert_array_equal(power[1], frame_power(signal[1], 128.0, BANDS, 1 / 8, np.arange(64) / 8))
    assert frame_power(signal, 128.0, BANDS, 1 / 8, np.zeros((0, 40))).shape == (2, 0, 40, 3, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"starts_seconds": np.arange(65) / 8},
            "frames extend from 0 to 8.125 s; expected them within the signal of 8",
        ),
        ({"starts_seconds": np.array([-0.1])}, "frames extend from -0.1"),
        ({"frame_seconds": 1 / 200}, "`frame_seconds` of 0.005 s has no sample at 128 Hz"),
        ({"sampling_rate_hz": 50.0}, "band `beta` is 13-30 Hz"),
        ({"signal": np.zeros(1024)}, r"`signal` has shape \(1024,\)"),
    ],
)
def test_faults(arguments, message):
    given = {"signal": np.zeros((1, 1024)), "sampling_rate_hz": 128.0, "frame_seconds": 1 / 8}
    # Just after a sample.
    given |= {"starts_seconds": np.arange(32) / 8 + 1e-3, **arguments}
    with pytest.raises(ValueError, match=message):
        frame_power(bands=BANDS, **given)
