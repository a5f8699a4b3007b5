import numpy as np
import pytest

from keras_emotion.signals import band_pass, baseline_samples, remove_baseline


def loop(signal, rate, baseline_samples, segment):
    """The definition, sample by sample, for one channel whose baseline is a whole number of segments."""
    waveform = [
        sum(signal[start + phase] for start in range(0, baseline_samples, segment)) / (baseline_samples // segment)
        for phase in range(segment)
    ]
    return [value - waveform[index % segment] for index, value in enumerate(signal)]


@pytest.mark.parametrize(
    ("baseline_seconds", "segment_seconds", "n_samples"),
    [(3.0, 1.0, 100), (3.0, 1.0, 97), (2.0, 0.5, 64), (1.0, 1.0, 33)],
)
def test_equals_a_plain_loop(baseline_seconds, segment_seconds, n_samples):
    signal = np.random.default_rng(5).standard_normal((2, 3, n_samples)) + 5
    removed = remove_baseline(signal, 10.0, baseline_seconds, segment_seconds)
    expected = [
        [loop(channel, 10, round(baseline_seconds * 10), round(segment_seconds * 10)) for channel in trial]
        for trial in signal
    ]
    np.testing.assert_allclose(removed, expected, atol=1e-12)


def test_a_waveform_that_repeats_every_second_disappears_and_the_rest_stays():
    """10 Hz and an offset repeat every second and are removed; an effect that starts at stimulus onset is unchanged."""
    time = np.arange(8 * 128) / 128
    effect = np.where(time >= 3, np.sin(2 * np.pi * 6.5 * time), 0)
    removed = remove_baseline(40 + 5 * np.sin(2 * np.pi * 10 * time + 0.3) + effect, 128, 3)
    np.testing.assert_allclose(removed, effect, atol=1e-11)


def test_no_step_at_the_onset():
    """If the baseline were not corrected too, its offset against the trial would ring in the filter at onset."""
    removed = remove_baseline(np.full((1, 8 * 128), 50.0), 128, 3)
    assert np.abs(band_pass(removed, 128, 4, 7)).max() < 1e-10


def test_a_baseline_of_no_whole_number_of_segments_counts_back_from_the_onset():
    signal = np.array([100.0, 1, 2, 3, 4, 10, 10, 10, 10, 10])
    removed = remove_baseline(signal, sampling_rate_hz=2, baseline_seconds=2.5)
    # Segments 1 2 and 3 4 have the mean 2 3; the onset (sample 5) takes its first value.
    np.testing.assert_array_equal(removed[1:], [-1, -1, 1, 1, 8, 7, 8, 7, 8])
    assert removed[0] == 97


def test_dtype_layout_and_input():
    signal = np.random.default_rng(6).standard_normal((3, 60)).astype(np.float32)
    expected = remove_baseline(signal.astype(np.float64), 10, 2)
    before = signal.copy()
    signal.setflags(write=False)
    single = remove_baseline(signal, 10, 2)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, atol=1e-6)
    np.testing.assert_array_equal(signal, before)
    np.testing.assert_array_equal(remove_baseline(np.asfortranarray(signal), 10, 2), single)
    whole = np.arange(60).reshape(1, 60)
    assert remove_baseline(whole, 10, 2).dtype == np.float64


def test_bad_arguments():
    signal = np.zeros((2, 100))
    with pytest.raises(ValueError, match="expected a baseline of one segment or more"):
        remove_baseline(signal, 10, 0.5)
    with pytest.raises(ValueError, match="expected a baseline of one segment or more"):
        remove_baseline(signal, 10, 0)
    with pytest.raises(ValueError, match="less than the 100 samples"):
        remove_baseline(signal, 10, 10)
    with pytest.raises(ValueError, match="`baseline_seconds` is -1"):
        remove_baseline(signal, 10, -1)
    with pytest.raises(ValueError, match=r"`baseline_seconds` of 1.25 s is 12.5 samples"):
        remove_baseline(signal, 10, 1.25)
    with pytest.raises(ValueError, match=r"`segment_seconds` of 0.25 s is 2.5 samples"):
        remove_baseline(signal, 10, 3, 0.25)
    with pytest.raises(ValueError, match="expected 0 or more and less than the 100 samples"):
        baseline_samples(100, 10, -1)
    assert baseline_samples(100, 10, 0) == 0
