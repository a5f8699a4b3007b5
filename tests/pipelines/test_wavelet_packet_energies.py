"""Energies of wavelet packets of EEG, node by node."""

import numpy as np
import pytest
import pywt

from keras_emotion.pipelines import WaveletPacketEnergies, Windowing, find_part
from keras_emotion.schema import InputError, Recording, Trial

NAMES = ("F3", "GSR1", "F4")
RATE = 128.0


def trial_of(signal=None, seconds=9.0, rate=RATE):
    n_samples = round((seconds + 3) * rate)
    if signal is None:
        signal = 5 + np.random.default_rng(0).standard_normal((3, n_samples))
    recording = Recording(signal, NAMES, ("uV",) * 3, rate, 3.0)
    return Trial("test", 1, 1, "film1", recording, ("F3", "F4"), {"valence": 6.0})


def nodes_of(block, wavelet, level):
    """Coefficients of the nodes in the order of frequency: behind a high-pass filter, low and high change places."""
    if not level:
        return [block]
    low, high = pywt.dwt(block, wavelet, mode="periodization")
    return nodes_of(low, wavelet, level - 1) + nodes_of(high, wavelet, level - 1)[::-1]


@pytest.mark.parametrize(("wavelet", "level"), [("db4", 4), ("sym5", 2)])
def test_energies_are_those_of_each_node_and_add_up_to_the_variance(wavelet, level):
    part = WaveletPacketEnergies(wavelet=wavelet, level=level)
    arrays, table = part.extract([trial_of()])
    energies = arrays["eeg"]
    assert (energies.shape, energies.dtype) == ((3, 1, 2, 2**level), np.float32)
    assert table["start_seconds"].tolist() == [0.0, 2.0, 4.0]
    for row, start in enumerate(table["start_seconds"]):
        first = round((3 + start) * RATE)
        for channel, place in enumerate((0, 2)):
            block = trial_of().recording.signal[place, first : first + 512]
            expected = [(node**2).sum() / 512 for node in nodes_of(block - block.mean(), wavelet, level)]
            np.testing.assert_allclose(np.exp(energies[row, 0, channel]), expected, rtol=1e-5)
            np.testing.assert_allclose(sum(expected), block.var(), rtol=1e-9)


@pytest.mark.parametrize("tone_hz", [6.0, 14.0, 30.0, 54.0])
def test_nodes_are_in_the_order_of_frequency(tone_hz):
    times = np.arange(round(12 * RATE)) / RATE
    tone = np.tile(np.sin(2 * np.pi * tone_hz * times), (3, 1))
    energies = WaveletPacketEnergies(wavelet="db16").extract([trial_of(tone)])[0]["eeg"]
    assert (energies.argmax(axis=-1) == tone_hz // 4).all()


def test_a_lag_cuts_the_eeg_later():
    windowing = Windowing(window_seconds=4.0, hop_seconds=2.0, lag_seconds=1.5)
    arrays, table = WaveletPacketEnergies().with_windowing(windowing).extract([trial_of()])
    assert table["start_seconds"].tolist() == [0.0, 2.0]
    expected = WaveletPacketEnergies(hop_seconds=0.5).extract([trial_of()])[0]["eeg"][[3, 7]]
    np.testing.assert_allclose(arrays["eeg"], expected, rtol=1e-5)


def test_contract():
    part = WaveletPacketEnergies(lag_seconds=0.5)
    assert find_part("WaveletPacketEnergies") is WaveletPacketEnergies
    assert WaveletPacketEnergies.from_fields(part.description()["fields"]) == part
    assert part.array_shapes(62, 200.0) == {"eeg": (1, 62, 16)}
    # A channel without any signal.
    assert np.isfinite(part.extract([trial_of(np.zeros((3, 1536)))])[0]["eeg"]).all()
    # 200 Hz: blocks of 800 samples.
    assert part.extract([trial_of(seconds=9.0, rate=200.0)])[0]["eeg"].shape == (3, 1, 2, 16)


@pytest.mark.parametrize(
    ("options", "trial", "message"),
    [
        ({}, trial_of(seconds=3.5), "lasts 3.5 s; expected at least a window of 4 s"),
        ({"lag_seconds": 0.001}, trial_of(), "lag_seconds"),
        ({"level": 10}, trial_of(), "level 10 has 1024 nodes, more than the 512 samples of a block"),
    ],
)
def test_faults(options, trial, message):
    with pytest.raises(InputError, match=message):
        WaveletPacketEnergies(**options).extract([trial])


@pytest.mark.parametrize("wavelet", ["bior2.2", "nothing"])
def test_other_wavelets_are_refused(wavelet):
    with pytest.raises(ValueError, match=f"wavelet: '{wavelet}'; expected an orthogonal wavelet"):
        WaveletPacketEnergies(wavelet=wavelet)
