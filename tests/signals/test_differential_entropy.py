import importlib
import math
import tracemalloc

import numpy as np
import pytest
import scipy.signal
import scipy.stats

from keras_emotion.signals import (
    CONVENTIONS,
    PUBLISHED_BANDS,
    THREE_FACRNN_BANDS,
    DifferentialEntropyConvention,
    differential_entropy,
    differential_entropy_features,
    remove_baseline,
)

RATE_HZ = 128
FLOOR_NATS = 0.5 * math.log(2 * math.pi * math.e * 1e-20)
# The package has a function of the module's name, so the module is asked for by its full name.
MODULE = importlib.import_module("keras_emotion.signals.differential_entropy")


def trial(n_channels=3, seconds=63, seed=0):
    """Pink-ish noise with an offset, in microvolt-like units."""
    generator = np.random.default_rng(seed)
    return 10 * generator.standard_normal((n_channels, seconds * RATE_HZ)) + generator.standard_normal((n_channels, 1))


# Independent loops: one channel, one band, one window at a time, as in the published code.


def entropy_of(samples, log, ddof):
    mean = sum(samples) / len(samples)
    variance = sum((value - mean) ** 2 for value in samples) / (len(samples) - ddof)
    return 0.5 * log(2 * math.pi * math.e * variance)


def entropies_of(samples, window, log, ddof):
    return [entropy_of(samples[i : i + window], log, ddof) for i in range(0, len(samples) - window + 1, window)]


def loop_4d_crnn(channel, bands, window, onset, released):
    filtered_trial, filtered_baseline = {}, {}
    for name, band in bands.items():
        b, a = scipy.signal.butter(3, [edge / (RATE_HZ / 2) for edge in band], btype="band")
        filtered_trial[name] = scipy.signal.lfilter(b, a, channel[onset:])
        filtered_baseline[name] = scipy.signal.lfilter(b, a, channel[:onset])
    columns = []
    for name in bands:
        baseline = entropies_of(filtered_baseline[name], window, math.log, 1)
        if released:
            baseline[-3:] = entropies_of(filtered_baseline["theta"], window, math.log, 1)[-3:]
        mean = sum(baseline) / len(baseline) if baseline else 0.0
        columns.append([value - mean for value in entropies_of(filtered_trial[name], window, math.log, 1)])
    return np.transpose(columns)


def loop_torcheeg(channel, bands, window, onset):
    columns = []
    for band in bands.values():
        b, a = scipy.signal.butter(5, [edge / (RATE_HZ / 2) for edge in band], btype="band")
        starts = range(onset, len(channel) - window + 1, window)
        columns.append([entropy_of(scipy.signal.lfilter(b, a, channel[i : i + window]), math.log2, 0) for i in starts])
    return np.transpose(columns)


def loop_libeer(channel, bands, window, onset):
    columns = []
    for band in bands.values():
        b, a = scipy.signal.butter(3, [edge / (RATE_HZ / 2) for edge in band], "bandpass")
        columns.append(entropies_of(scipy.signal.filtfilt(b, a, channel[onset:]), window, math.log2, 1))
    return np.transpose(columns)


def loop_default(channel, bands, window, onset):
    columns = []
    for band in bands.values():
        sections = scipy.signal.butter(4, band, btype="bandpass", fs=RATE_HZ, output="sos")
        filtered = scipy.signal.sosfiltfilt(sections, channel)
        columns.append(entropies_of(filtered[onset:], window, math.log, 0))
    return np.transpose(columns)


LOOPS = {
    "default": loop_default,
    "4d-crnn": lambda *arguments: loop_4d_crnn(*arguments, released=False),
    "4d-crnn-released": lambda *arguments: loop_4d_crnn(*arguments, released=True),
    "torcheeg": loop_torcheeg,
    "libeer": loop_libeer,
}


def test_every_convention_has_its_loop():
    assert set(LOOPS) == set(CONVENTIONS)


@pytest.mark.parametrize("baseline_seconds", [3.0, 0.0])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_conventions_equal_the_published_procedure(convention, baseline_seconds):
    signal = trial(n_channels=2, seconds=9)
    bands = PUBLISHED_BANDS[convention if convention in ("torcheeg", "libeer", "4d-crnn") else "3facrnn"]
    features = differential_entropy_features(signal, RATE_HZ, bands, 0.5, convention, baseline_seconds=baseline_seconds)
    expected = np.stack([LOOPS[convention](x, bands, 64, round(baseline_seconds * RATE_HZ)) for x in signal], axis=1)
    assert features.shape == expected.shape == (18 - round(2 * baseline_seconds), 2, len(bands))
    np.testing.assert_allclose(features, expected, atol=1e-7)


def test_the_released_slip_changes_alpha_beta_and_gamma_only():
    arguments = (trial(), RATE_HZ, PUBLISHED_BANDS["4d-crnn"], 0.5)
    correct = differential_entropy_features(*arguments, "4d-crnn", baseline_seconds=3)
    released = differential_entropy_features(*arguments, "4d-crnn-released", baseline_seconds=3)
    np.testing.assert_array_equal(released[..., 0], correct[..., 0])
    assert np.abs(released[..., 1:] - correct[..., 1:]).min() > 1e-3
    # Without the baseline feature the error has no effect.
    np.testing.assert_array_equal(
        differential_entropy_features(*arguments, "4d-crnn-released", baseline_seconds=3, baseline="none"),
        differential_entropy_features(*arguments, "4d-crnn", baseline_seconds=3, baseline="none"),
    )
    no_theta = differential_entropy_features(trial(), RATE_HZ, {"alpha": (8, 14)}, 0.5, "4d-crnn-released")
    assert no_theta.shape == (126, 3, 1)


@pytest.mark.parametrize("amplitude", [1e-6, 1.0, 30.0])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sine_in_closed_form(amplitude, dtype):
    sine = amplitude * np.sin(2 * np.pi * 10 * np.arange(128) / 128)
    expected = 0.5 * math.log(2 * math.pi * math.e * amplitude**2 / 2)
    result = differential_entropy(sine.astype(dtype))
    assert result.dtype == dtype
    assert float(result) == pytest.approx(expected, rel=1e-12 if dtype == np.float64 else 1e-6)
    assert float(differential_entropy(sine, log_base=2)) == pytest.approx(expected / math.log(2), rel=1e-12)
    with_ddof = 0.5 * math.log(2 * math.pi * math.e * amplitude**2 / 2 * 128 / 127)
    assert float(differential_entropy(sine, ddof=1)) == pytest.approx(with_ddof, rel=1e-12)


@pytest.mark.parametrize("deviation", [0.1, 1.0, 25.0])
def test_gaussian_noise_of_known_variance(deviation):
    noise = deviation * np.random.default_rng(1).standard_normal((4, 250_000)) + 3
    expected = scipy.stats.norm(scale=deviation).entropy()
    # The standard error of half the log variance is 1 / sqrt(2 n) = 0.0014.
    np.testing.assert_allclose(differential_entropy(noise), expected, atol=0.007)


def test_float32_with_a_large_offset_keeps_its_variance():
    samples = 2**20 + np.random.default_rng(2).integers(-8, 9, (2, 5000)) / 4  # exact in float32
    np.testing.assert_allclose(
        differential_entropy(samples.astype(np.float32)), differential_entropy(samples), rtol=1e-6
    )


def test_axis():
    samples = np.random.default_rng(3).standard_normal((4, 50, 3))
    expected = [[entropy_of(samples[i, :, j], math.log, 0) for j in range(3)] for i in range(4)]
    np.testing.assert_allclose(differential_entropy(samples, axis=1), expected, rtol=1e-12)


def test_filtered_white_noise_has_the_variance_of_the_response():
    """White noise of variance s^2 through forwards-backwards filtering has s^2 times the mean of |H|^4."""
    noise = 2 * np.random.default_rng(4).standard_normal((40, 300 * RATE_HZ))
    features = differential_entropy_features(noise, RATE_HZ, THREE_FACRNN_BANDS, 300)
    for index, band in enumerate(THREE_FACRNN_BANDS.values()):
        b, a = scipy.signal.butter(4, band, btype="bandpass", fs=RATE_HZ)
        _, response = scipy.signal.freqz(b, a, 2**15)
        expected = 0.5 * math.log(2 * math.pi * math.e * 4 * np.mean(np.abs(response) ** 4))
        # 300 s * 3 Hz * 2 = 1800 degrees of freedom a channel in theta: 0.017 a channel, 0.0026 for their mean.
        assert features[0, :, index].mean() == pytest.approx(expected, abs=0.011)


@pytest.mark.parametrize("band", THREE_FACRNN_BANDS)
@pytest.mark.parametrize("convention", ["default", "4d-crnn", "libeer"])
def test_a_tone_shows_in_its_band_only(band, convention):
    frequency_hz = {"theta": 6, "alpha": 10, "beta": 22, "gamma": 40}[band]
    time = np.arange(20 * RATE_HZ) / RATE_HZ
    tone = 5 * np.sin(2 * np.pi * frequency_hz * time)[np.newaxis]
    features = differential_entropy_features(tone, RATE_HZ, THREE_FACRNN_BANDS, 1.0, convention)[5:15, 0]
    own = features[:, list(THREE_FACRNN_BANDS).index(band)]
    others = np.delete(features, list(THREE_FACRNN_BANDS).index(band), axis=1)
    # The single pass of order 3 separates the bands least.
    assert (own[:, np.newaxis] - others).min() > (1.5 if convention == "4d-crnn" else 3)
    settings = CONVENTIONS[convention]
    b, a = scipy.signal.butter(settings.filter_order, THREE_FACRNN_BANDS[band], btype="bandpass", fs=RATE_HZ)
    gain = abs(scipy.signal.freqz(b, a, [frequency_hz], fs=RATE_HZ)[1][0]) ** (2 if settings.zero_phase else 1)
    variance = 25 / 2 * gain**2 * RATE_HZ / (RATE_HZ - settings.ddof)
    expected = 0.5 * math.log(2 * math.pi * math.e * variance)
    np.testing.assert_allclose(own, expected / (1 if settings.log_base == "e" else math.log(2)), atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 5.0, -2e-5])
def test_a_constant_channel_has_the_floor_entropy(value):
    signal = np.stack([np.full(10 * RATE_HZ, value), trial(1, 10)[0]])
    features = differential_entropy_features(signal, RATE_HZ, THREE_FACRNN_BANDS, 0.5)
    np.testing.assert_allclose(features[:, 0], FLOOR_NATS, rtol=1e-12)
    assert features[:, 1].min() > -5
    raised = differential_entropy_features(signal, RATE_HZ, THREE_FACRNN_BANDS, 0.5, variance_floor=1e-4)
    np.testing.assert_allclose(raised[:, 0], 0.5 * math.log(2 * math.pi * math.e * 1e-4), rtol=1e-12)
    assert float(differential_entropy(np.full(9, value), log_base=2)) == pytest.approx(FLOOR_NATS / math.log(2))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_constant_channel_is_finite_everywhere(convention, dtype):
    signal = np.zeros((3, 10 * RATE_HZ), dtype)
    signal[1] = 1e4
    signal[2, 5 * RATE_HZ :] = 1
    features = differential_entropy_features(signal, RATE_HZ, THREE_FACRNN_BANDS, 0.5, convention, baseline_seconds=3)
    assert features.dtype == dtype
    assert np.isfinite(features).all()


def test_the_lead_in_is_filtered_with_the_trial():
    """An event in the baseline rings into the trial by default; conventions that start at onset are unaffected."""
    signal = trial(1, 10)
    disturbed = signal.copy()
    disturbed[:, 2 * RATE_HZ + 120 : 3 * RATE_HZ] += 1000
    for convention, sees in {"default": True, "libeer": False, "torcheeg": False}.items():
        features, changed = (
            differential_entropy_features(x, RATE_HZ, THREE_FACRNN_BANDS, 0.5, convention, baseline_seconds=3)
            for x in (signal, disturbed)
        )
        assert (not np.array_equal(features, changed)) == sees


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_signal_baseline_is_removed_before_the_filter(convention):
    signal = trial(2, 9)
    features = differential_entropy_features(
        signal, RATE_HZ, THREE_FACRNN_BANDS, 0.5, convention, baseline_seconds=3, baseline="signal"
    )
    expected = differential_entropy_features(
        remove_baseline(signal, RATE_HZ, 3),
        RATE_HZ,
        THREE_FACRNN_BANDS,
        0.5,
        convention,
        baseline_seconds=3,
        baseline="none",
    )
    np.testing.assert_array_equal(features, expected)


def test_feature_baseline_with_the_lead_in():
    signal = trial(2, 9)
    features = differential_entropy_features(
        signal, RATE_HZ, THREE_FACRNN_BANDS, 0.5, hop_seconds=0.25, baseline_seconds=3, baseline="feature"
    )
    for channel in range(2):
        for index, band in enumerate(THREE_FACRNN_BANDS.values()):
            sections = scipy.signal.butter(4, band, btype="bandpass", fs=RATE_HZ, output="sos")
            filtered = scipy.signal.sosfiltfilt(sections, signal[channel])
            baseline = np.mean(entropies_of(filtered[:384], 64, math.log, 0))  # six windows, whatever the hop
            for window in range(features.shape[0]):
                start = 384 + 32 * window
                expected = entropy_of(filtered[start : start + 64], math.log, 0) - baseline
                assert features[window, channel, index] == pytest.approx(expected, abs=1e-9)
    assert features.shape[0] == (6 * 128 - 64) // 32 + 1


@pytest.mark.parametrize("baseline", ["none", "signal", "feature"])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_leading_axes_blocks_and_layout_do_not_matter(convention, baseline, monkeypatch):
    signal = np.random.default_rng(6).standard_normal((2, 3, 4, 6 * RATE_HZ))
    options = {"baseline_seconds": 3, "baseline": baseline, "convention": convention}

    def of(x):
        return differential_entropy_features(x, RATE_HZ, THREE_FACRNN_BANDS, 0.5, **options)

    expected = np.stack([[of(one) for one in group] for group in signal])
    assert expected.shape == (2, 3, 6, 4, 4)
    np.testing.assert_array_equal(of(signal), expected)
    np.testing.assert_array_equal(of(np.asfortranarray(signal)), expected)
    np.testing.assert_array_equal(of(np.repeat(signal, 2, axis=2)[:, :, ::2]), expected)
    monkeypatch.setattr(MODULE, "BLOCK_SAMPLES", 2 * signal[0, 0].size + 5)
    signal.setflags(write=False)
    np.testing.assert_array_equal(of(signal), expected)
    assert of(signal[:0]).shape == (0, 3, 6, 4, 4)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_float32_gives_float32_of_the_same_values(convention):
    signal = trial(2, 9) + 3000
    signal = signal.astype(np.float32)
    features = differential_entropy_features(signal, RATE_HZ, THREE_FACRNN_BANDS, 0.5, convention, baseline_seconds=3)
    expected = differential_entropy_features(
        signal.astype(np.float64), RATE_HZ, THREE_FACRNN_BANDS, 0.5, convention, baseline_seconds=3
    )
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, expected, atol=1e-5)


def test_working_memory_does_not_grow_with_the_trials(monkeypatch):
    monkeypatch.setattr(MODULE, "BLOCK_SAMPLES", 2**14)

    def peak(n_trials):
        signal = np.ones((n_trials, 2, 2**13))
        tracemalloc.start()
        result = differential_entropy_features(signal, RATE_HZ, {"alpha": (8, 13)}, 1)
        beyond = tracemalloc.get_traced_memory()[1] - result.nbytes
        tracemalloc.stop()
        return beyond

    peak(1)  # makes the filter, which is kept
    assert peak(40) < 1.2 * peak(2)


def test_a_convention_of_ones_own():
    own = DifferentialEntropyConvention(log_base=2, ddof=0, filter_order=2, zero_phase=True, filter_scope="window")
    signal = trial(1, 3)
    features = differential_entropy_features(signal, RATE_HZ, {"alpha": (8, 13)}, 1, own)
    b, a = scipy.signal.butter(2, (8, 13), btype="bandpass", fs=RATE_HZ)
    expected = [
        entropy_of(scipy.signal.filtfilt(b, a, signal[0, start : start + 128]), math.log2, 0) for start in (0, 128, 256)
    ]
    np.testing.assert_allclose(features[:, 0, 0], expected, atol=1e-9)


def test_bad_arguments():
    signal = trial(2, 9)
    bands = {"alpha": (8, 13)}
    with pytest.raises(ValueError, match="`convention` is 'seed'; expected one of default, 4d-crnn"):
        differential_entropy_features(signal, RATE_HZ, bands, 0.5, "seed")
    with pytest.raises(ValueError, match="`baseline` is 'ratio'"):
        differential_entropy_features(signal, RATE_HZ, bands, 0.5, baseline="ratio", baseline_seconds=3)
    for baseline in ("signal", "feature"):
        with pytest.raises(ValueError, match="`baseline_seconds` is 0"):
            differential_entropy_features(signal, RATE_HZ, bands, 0.5, baseline=baseline)
    with pytest.raises(ValueError, match="expected a band named theta for `theta_baseline_windows`"):
        differential_entropy_features(signal, RATE_HZ, bands, 0.5, "4d-crnn-released", baseline_seconds=3)
    with pytest.raises(ValueError, match=r"shape \(1152,\); expected `\(..., channels, samples\)`"):
        differential_entropy_features(signal[0], RATE_HZ, bands, 0.5)
    with pytest.raises(ValueError, match="band `alpha` is 8-70 Hz"):
        differential_entropy_features(signal, RATE_HZ, {"alpha": (8, 70)}, 0.5)
    with pytest.raises(ValueError, match="less than the 1152 samples"):
        differential_entropy_features(signal, RATE_HZ, bands, 0.5, baseline_seconds=9)
    with pytest.raises(ValueError, match="expected at least one window"):
        differential_entropy_features(signal, RATE_HZ, bands, 7, baseline_seconds=3)
    with pytest.raises(ValueError, match="expected more than 27"):
        differential_entropy_features(signal[:, :20], RATE_HZ, bands, 0.125)
    with pytest.raises(ValueError, match="`log_base` is 10"):
        differential_entropy(signal, log_base=10)
    with pytest.raises(ValueError, match="`ddof` is 5 for 5 samples"):
        differential_entropy(signal[:, :5], ddof=5)
    with pytest.raises(ValueError, match="`variance_floor` is 0"):
        differential_entropy(signal, variance_floor=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"log_base": 10}, "`log_base` is 10"),
        ({"ddof": 2}, "`ddof` is 2"),
        ({"filter_scope": "session"}, "`filter_scope` is 'session'"),
        ({"baseline": "ratio"}, "`baseline` is 'ratio'"),
        ({"filter_order": 0}, "`filter_order` is 0"),
        ({"theta_baseline_windows": -1}, "`theta_baseline_windows` -1"),
        ({"filter_scope": "window", "filter_lead_in": True}, "a window has no lead-in"),
    ],
)
def test_invalid_conventions(change, message):
    fields = {"log_base": "e", "ddof": 0, "filter_order": 4, "zero_phase": True, "filter_scope": "trial"}
    with pytest.raises(ValueError, match=message):
        DifferentialEntropyConvention(**(fields | change))
