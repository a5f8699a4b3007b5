import importlib
import warnings

import numpy as np
import pytest
import scipy.signal
import scipy.special

from keras_emotion.signals import band_pass, band_power, coherence, pearson_correlation, phase_locking_value

RATE_HZ = 128
MODULE = importlib.import_module("keras_emotion.signals.connectivity")


def mixed(n_channels=5, seconds=9, seed=0, offset=0.0):
    """Channels that share part of their noise, in microvolt-like units."""
    generator = np.random.default_rng(seed)
    noise = generator.standard_normal((n_channels, n_channels)) @ generator.standard_normal((n_channels, 128 * seconds))
    return 10 * noise + offset


def each(signal, window, hop):
    """The windows `(channels, samples)` of a trial, one after the other."""
    return [signal[:, start : start + window] for start in range(0, signal.shape[1] - window + 1, hop)]


ALL = [
    (lambda x, **more: pearson_correlation(x, RATE_HZ, 2, **more)),
    (lambda x, **more: phase_locking_value(x, RATE_HZ, 8, 13, 2, **more)),
    (lambda x, **more: coherence(x, RATE_HZ, 8, 13, 2, **more)),
]
IDS = ["correlation", "phase locking", "coherence"]


# --- Pearson correlation


@pytest.mark.parametrize("offset", [0.0, 1e6, -3e6])
@pytest.mark.parametrize(("window_seconds", "hop_seconds"), [(3, None), (2, 0.5), (0.5, 1.25)])
def test_correlation_equals_numpy_in_every_window(offset, window_seconds, hop_seconds):
    signal = mixed(offset=offset)
    networks = pearson_correlation(signal, RATE_HZ, window_seconds, hop_seconds)
    cut = each(signal, round(128 * window_seconds), round(128 * (hop_seconds or window_seconds)))
    assert networks.shape == (len(cut), 5, 5)
    for network, window in zip(networks, cut, strict=True):
        # An offset of 1e6 leaves 1e-10 of a microvolt of the 15 that the signal has.
        np.testing.assert_allclose(network, np.corrcoef(window), atol=1e-13 if offset == 0 else 1e-9)


def test_correlation_of_what_is_known():
    time = np.arange(4 * 128) / RATE_HZ
    angle = 0.7
    # Two sines of whole periods correlate by the cosine of their phase difference.
    waves = np.stack([np.sin(2 * np.pi * 10 * time), 3 * np.sin(2 * np.pi * 10 * time + angle) + 1e6])
    networks = pearson_correlation(waves, RATE_HZ, 1)
    np.testing.assert_allclose(networks[:, 0, 1], np.cos(angle), atol=1e-9)
    assert (networks[:, [0, 1], [0, 1]] == 1).all()


def test_correlation_of_feature_vectors_is_the_same_function():
    bands = {"theta": (4, 8), "slow alpha": (8, 10), "alpha": (8, 12), "beta": (12, 30), "gamma": (30, 45)}
    # In squared volts: some 1e-12, as real ones are.
    powers = band_power(mixed(seconds=9) * 1e-6, RATE_HZ, bands, 3)
    networks = pearson_correlation(powers)
    assert networks.shape == (3, 5, 5)
    for network, vectors in zip(networks, powers, strict=True):
        np.testing.assert_allclose(network, np.corrcoef(vectors), atol=1e-12)


def test_float32_keeps_its_type_and_is_summed_in_float64():
    signal = mixed(offset=1e6).astype(np.float32)  # steps of 1/16 microvolt
    networks = pearson_correlation(signal, RATE_HZ, 3)
    assert networks.dtype == np.float32
    for network, window in zip(networks, each(signal.astype(np.float64), 384, 384), strict=True):
        np.testing.assert_allclose(network, np.corrcoef(window), atol=1e-7)


# --- phase locking value


def test_phase_locking_of_two_frequencies_in_closed_form():
    """The phase difference of two tones `d` Hz apart runs evenly: a geometric series over the window."""
    time = np.arange(20 * 128) / RATE_HZ
    waves = np.sin(2 * np.pi * np.array([[10], [10], [10.3]]) * time + np.array([[0], [1], [2]]))
    networks = phase_locking_value(waves, RATE_HZ, 7, 14, 2)[3:-3]
    step = np.pi * 0.3 / RATE_HZ
    expected = abs(np.sin(256 * step) / (256 * np.sin(step)))
    assert 0.4 < expected < 0.6
    np.testing.assert_allclose(networks[:, 0, 1], 1, atol=1e-4)
    np.testing.assert_allclose(networks[:, [0, 1], 2], expected, atol=2e-3)


@pytest.mark.parametrize("noise", [1.0, 3.0])
def test_phase_locking_under_noise_in_closed_form(noise):
    """Two tones of a fixed phase difference, each in noise of its own.

    The phase of a tone of power 1/2 in narrow-band noise of power p has the mean resultant length
    `sqrt(pi s) / 2 * exp(-s / 2) * (I0(s / 2) + I1(s / 2))` with `s = 1 / (2 p)`; of two independent ones the product.
    """
    generator, time = np.random.default_rng(1), np.arange(1200 * 128) / RATE_HZ
    waves = np.stack([np.sin(2 * np.pi * 10 * time + phase) for phase in (0.0, 2.0)])
    waves += noise * generator.standard_normal(waves.shape)
    locked = phase_locking_value(waves, RATE_HZ, 8, 13, 1200)[0, 0, 1]
    b, a = scipy.signal.butter(4, (8, 13), btype="bandpass", fs=RATE_HZ)
    _, response = scipy.signal.freqz(b, a, 2**15)
    gain = abs(scipy.signal.freqz(b, a, [10], fs=RATE_HZ)[1][0]) ** 2
    s = gain**2 / (2 * noise**2 * np.mean(np.abs(response) ** 4))
    length = np.sqrt(np.pi * s) / 2 * np.exp(-s / 2) * (scipy.special.i0(s / 2) + scipy.special.i1(s / 2))
    assert 0.1 < length**2 < 0.95
    assert locked == pytest.approx(length**2, abs=0.02)


def test_phase_locking_equals_a_loop():
    signal = mixed(n_channels=3, seconds=8)
    phases = np.angle(scipy.signal.hilbert(band_pass(signal, RATE_HZ, 8, 13)))
    networks = phase_locking_value(signal, RATE_HZ, 8, 13, 2, hop_seconds=1)
    for network, window in zip(networks, each(phases, 256, 128), strict=True):
        for i in range(3):
            for j in range(3):
                expected = abs(sum(np.exp(1j * (a - b)) for a, b in zip(window[i], window[j], strict=True))) / 256
                assert network[i, j] == pytest.approx(expected, abs=1e-12)


def test_phase_locking_of_independent_noise_falls_with_the_length_of_the_window():
    signal = np.random.default_rng(2).standard_normal((12, 480 * 128))
    pairs = np.triu_indices(12, 1)
    short, long = ((phase_locking_value(signal, RATE_HZ, 8, 13, seconds)[:, *pairs] ** 2).mean() for seconds in (3, 48))
    # Of the order of 1 / (bandwidth * length), as the docstring has it.
    assert 0.5 < short * 5 * 3 < 2
    assert 0.5 < long * 5 * 48 < 2


def test_phase_locking_equals_mne_connectivity():
    mne_connectivity = pytest.importorskip("mne_connectivity")
    mne = pytest.importorskip("mne")
    signal = mixed(n_channels=4, seconds=12)
    analytic = scipy.signal.hilbert(band_pass(signal, RATE_HZ, 8, 13))
    cut = np.stack(each(analytic, 256, 256))
    info = mne.create_info(4, RATE_HZ, "eeg")
    tfr = mne.time_frequency.EpochsTFRArray(info, cut[:, :, np.newaxis], np.arange(256) / RATE_HZ, np.array([10.0]))
    theirs = mne_connectivity.spectral_connectivity_time(tfr, method="plv", verbose=False)
    lower = np.tril_indices(4, -1)
    networks = phase_locking_value(signal, RATE_HZ, 8, 13, 2)
    np.testing.assert_allclose(networks[:, *lower], theirs.get_data("dense")[:, *lower, 0], atol=1e-10)


# --- coherence


@pytest.mark.parametrize(("low_hz", "high_hz"), [(7.5, 12.5), (0.5, 2.5)])
def test_coherence_equals_scipy_pair_by_pair(low_hz, high_hz):
    # An offset, which the taper spreads over the lowest frequencies unless it is taken off.
    signal = mixed(n_channels=4, seconds=9, offset=500.0)
    networks = coherence(signal, RATE_HZ, low_hz, high_hz, 3, hop_seconds=1.5)
    assert networks.shape == (5, 4, 4)
    for network, window in zip(networks, each(signal, 384, 192), strict=True):
        for i in range(4):
            for j in range(4):
                frequencies_hz, values = scipy.signal.coherence(window[i], window[j], RATE_HZ, nperseg=128)
                expected = values[(frequencies_hz > low_hz) & (frequencies_hz < high_hz)].mean()
                assert network[i, j] == pytest.approx(expected, abs=1e-12)


def test_coherence_weighs_the_edges_of_the_band_by_their_share():
    window = mixed(n_channels=2, seconds=4)
    frequencies_hz, values = scipy.signal.coherence(*window, RATE_HZ, nperseg=101, window="boxcar")
    width = RATE_HZ / 101
    shares = [max(0, min(12, f + width / 2) - max(9, f - width / 2)) for f in frequencies_hz]
    network = coherence(window, RATE_HZ, 9, 12, 4, segment_seconds=101 / 128, taper="boxcar")
    assert sum(shares) == pytest.approx(3)
    assert network[0, 0, 1] == pytest.approx(np.average(values, weights=shares), abs=1e-12)


def test_coherence_of_a_shared_source_in_closed_form():
    """Two channels with a common source of power 1 in noise of power p: `1 / (1 + p)^2` at every frequency."""
    generator = np.random.default_rng(3)
    signal = generator.standard_normal((1, 1200 * 128)) + np.sqrt(0.5) * generator.standard_normal((3, 1200 * 128))
    network = coherence(signal, RATE_HZ, 4, 50, 1200)[0]
    np.testing.assert_allclose(network[np.triu_indices(3, 1)], 1 / 1.5**2, atol=0.01)


@pytest.mark.parametrize(("window_seconds", "n_segments"), [(3, 5), (1.5, 2), (10, 19)])
def test_coherence_of_independent_noise_is_its_bias(window_seconds, n_segments):
    signal = np.random.default_rng(4).standard_normal((10, 600 * 128))
    networks = coherence(signal, RATE_HZ, 8, 30, window_seconds, segment_seconds=1)
    bias = (1 + (n_segments - 1) / (18 * n_segments)) / n_segments
    assert networks[:, *np.triu_indices(10, 1)].mean() == pytest.approx(bias, rel=0.02)


def test_coherence_equals_mne_connectivity():
    mne_connectivity = pytest.importorskip("mne_connectivity")
    signal = mixed(n_channels=4, seconds=20)
    segments = np.stack(each(signal, 128, 64))
    theirs = mne_connectivity.spectral_connectivity_epochs(
        segments, method="coh", mode="fourier", sfreq=RATE_HZ, fmin=8, fmax=12, verbose=False
    )
    expected = (theirs.get_data("dense") ** 2).mean(axis=-1)
    lower = np.tril_indices(4, -1)
    # Their taper is the symmetric one, of one sample less.
    np.testing.assert_allclose(coherence(signal, RATE_HZ, 7.5, 12.5, 20)[0][lower], expected[lower], atol=2e-3)


# --- all of them


@pytest.mark.parametrize("measure", ALL, ids=IDS)
def test_networks_are_symmetric_bounded_and_one_where_signals_are_the_same(measure):
    signal = mixed(n_channels=4)
    networks = measure(np.concatenate([signal, -2 * signal[:1] + 5]), hop_seconds=0.5)
    np.testing.assert_array_equal(networks, np.swapaxes(networks, 1, 2))
    assert (networks[:, range(5), range(5)] == 1).all()
    assert np.abs(networks).max() <= 1
    np.testing.assert_allclose(np.abs(networks[:, 0, 4]), 1, atol=1e-12)
    assert np.abs(networks[:, 0, 1:4]).max() < 0.999


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
@pytest.mark.parametrize("measure", ALL, ids=IDS)
def test_constant_channels_are_alone_and_reported(measure, value):
    signal = mixed(n_channels=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = measure(signal)
    signal[1] = value  # for good
    # In the second window only, and up to rounding.
    signal[3, 2 * 128 : 4 * 128] = value * (1 + 1e-15 * np.random.default_rng(1).standard_normal(256))
    with pytest.warns(RuntimeWarning, match="5 of 16 channels of windows are constant: their connectivity is 0"):
        networks = measure(signal)
    assert np.isfinite(networks).all()
    for window, alone in enumerate([[1], [1, 3], [1], [1]]):
        others = np.setdiff1d(range(4), alone)
        assert (networks[window][alone][:, others] == 0).all()
        assert (networks[window][np.ix_(alone, alone)] == np.eye(len(alone))).all()
    np.testing.assert_allclose(networks[:, 0, 2], whole[:, 0, 2], atol=1e-12)


@pytest.mark.parametrize("measure", ALL, ids=IDS)
def test_leading_axes_blocks_and_layout_do_not_matter(measure, monkeypatch):
    signal = np.random.default_rng(6).standard_normal((2, 3, 4, 5 * 128))
    expected = np.stack([[measure(one) for one in group] for group in signal])
    assert expected.shape == (2, 3, 2, 4, 4)
    np.testing.assert_allclose(measure(signal), expected, atol=1e-12)
    np.testing.assert_allclose(measure(np.asfortranarray(signal)), expected, atol=1e-12)
    monkeypatch.setattr(MODULE, "BLOCK_SAMPLES", 2 * signal[0, 0].size + 5)
    signal.setflags(write=False)
    np.testing.assert_allclose(measure(signal), expected, atol=1e-12)
    assert measure(signal[:0]).shape == (0, 3, 2, 4, 4)
    assert measure(signal.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("measure", ALL, ids=IDS)
def test_bad_signals(measure):
    signal = mixed(n_channels=3)
    for wrong in (np.nan, np.inf):
        broken = signal.copy()
        broken[2, 500] = wrong
        with pytest.raises(
            ValueError, match="`signal` has NaN or infinite values in channels 2; expected finite numbers"
        ):
            measure(broken)
    with pytest.raises(ValueError, match=r"shape \(1152,\); expected `\(\.\.\., channels, samples\)`"):
        measure(signal[0])
    with pytest.raises(ValueError, match="expected at least one window"):
        measure(signal[:, :200])
    with pytest.raises(ValueError, match=r"`hop_seconds` of 0\.001 s"):
        measure(signal, hop_seconds=0.001)
    with pytest.raises(ValueError, match="expected real numbers"):
        measure(signal * 1j)


def test_bad_arguments():
    signal = mixed(n_channels=3)
    with pytest.raises(ValueError, match="`signal` has 1 values per window; expected 2 or more for a correlation"):
        pearson_correlation(signal, RATE_HZ, 1 / RATE_HZ)
    with pytest.raises(ValueError, match="expected 2 or more for a correlation"):
        pearson_correlation(signal[:, :1])
    with pytest.raises(ValueError, match="expected 2 or more for a phase locking value"):
        phase_locking_value(signal, RATE_HZ, 8, 13, 1 / RATE_HZ)
    for wrong in ((RATE_HZ, None), (None, 2.0), (None, None, 1.0)):
        with pytest.raises(ValueError, match="expected a rate and a window, or none of the three"):
            pearson_correlation(signal, *wrong)
    for measure in (phase_locking_value, coherence):
        with pytest.raises(ValueError, match="band `signal` is 8-70 Hz"):
            measure(signal, RATE_HZ, 8, 70, 2)
    with pytest.raises(ValueError, match="expected more than 27"):
        phase_locking_value(signal[:, :20], RATE_HZ, 8, 13, 0.125)
    for segment_seconds in (2.0, 1.5, 1 / RATE_HZ):
        with pytest.raises(ValueError, match=r"`segment_seconds` is .* two of which, overlapping by half, fit"):
            coherence(signal, RATE_HZ, 8, 13, 2, segment_seconds=segment_seconds)
