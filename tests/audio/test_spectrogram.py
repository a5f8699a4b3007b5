"""Spectrograms compared with transforms written as sums and mel bands written as loops."""

import math

import numpy as np
import pytest

from keras_emotion.audio import (
    energy_dbfs,
    htk_mel_weights,
    log_mel,
    slaney_mel_weights,
    spectrogram,
    split_into_patches,
    vggish_log_mel,
    vggish_patches,
)


@pytest.fixture(scope="module")
def waveform():
    rng = np.random.default_rng(0)
    times = np.arange(8000) / 16000
    return 0.3 * np.sin(2 * np.pi * (300 + 4000 * times) * times) + 0.01 * rng.standard_normal(8000)


def spectrum_of(samples, window, n_fft):
    """The discrete Fourier transform as a sum."""
    padded = np.zeros(n_fft)
    padded[: len(window)] = samples * window
    k = np.arange(n_fft // 2 + 1)[:, None]
    return np.sum(padded * np.exp(-2j * np.pi * k * np.arange(n_fft) / n_fft), axis=1)


def slaney_hz(mel):
    return 200 / 3 * mel if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def slaney_weight(hz, band, n_bands, top_hz):
    """Triangles of equal area on Slaney's scale; the top lies above 1000 Hz."""
    top = 15 + 27 * math.log(top_hz / 1000, 6.4)
    left, middle, right = (slaney_hz(top * (band + place) / (n_bands + 1)) for place in range(3))
    if left < hz <= middle:
        height = (hz - left) / (middle - left)
    elif middle < hz < right:
        height = (right - hz) / (right - middle)
    else:
        height = 0.0
    return 2 * height / (right - left)


def htk_weight(hz, band):
    def mel(hz):
        return 1127 * math.log(1 + hz / 700)

    step = (mel(7500) - mel(125)) / 65
    distance = abs(mel(hz) - (mel(125) + (band + 1) * step)) / step
    return max(0.0, 1 - distance) if hz > 0 else 0.0


@pytest.mark.parametrize(
    ("arguments", "rate", "length", "hop", "n_bands", "top"),
    [
        ({}, 16000, 800, 160, 20, 8000),
        (
            {"window_seconds": 0.032, "hop_seconds": 0.02, "n_bands": 12, "band_hz": (0.0, 6000.0)},
            22050,
            706,
            441,
            12,
            6000,
        ),
    ],
)
def test_log_mel_is_the_sum(waveform, arguments, rate, length, hop, n_bands, top):
    # In part so quiet that some bands fall below the least power.
    waveform = waveform * np.repeat([1.0, 1e-4], 4000)
    found = log_mel(waveform, rate, **arguments)
    assert found[-1].min() == np.log(1e-10) < found[-1].max()
    n_frames = 1 + (8000 - length) // hop
    assert found.shape == (n_frames, n_bands)
    weights = [
        [slaney_weight(k * rate / length, band, n_bands, top) for band in range(n_bands)]
        for k in range(length // 2 + 1)
    ]
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(length) / length)
    for frame in (0, 1, n_frames // 2, n_frames - 1):
        powers = np.abs(spectrum_of(waveform[frame * hop : frame * hop + length], window, length)) ** 2
        np.testing.assert_allclose(found[frame], np.log(np.maximum(powers @ np.array(weights), 1e-10)), rtol=1e-6)


def test_vggish_is_the_sum(waveform):
    found = vggish_log_mel(waveform, 16000)
    assert found.shape == (1 + (8000 - 400) // 160, 64)
    weights = np.array([[htk_weight(k * 16000 / 512, band) for band in range(64)] for k in range(257)])
    np.testing.assert_allclose(htk_mel_weights(512, 16000, 64, 125.0, 7500.0), weights, atol=1e-9)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    for frame in (0, 1, 30, 47):
        magnitudes = np.abs(spectrum_of(waveform[frame * 160 : frame * 160 + 400], window, 512))
        np.testing.assert_allclose(found[frame], np.log(magnitudes @ weights + 0.01), rtol=1e-6)


def test_slaney_weights_against_librosa():
    librosa = pytest.importorskip("librosa")
    expected = librosa.filters.mel(sr=16000, n_fft=800, n_mels=20, fmin=0, fmax=8000, dtype=np.float64)
    np.testing.assert_allclose(slaney_mel_weights(800, 16000, 20, 0.0, 8000.0), expected.T, atol=1e-9)


def test_bands_of_equal_area():
    # As sums over the spectrum: the finer it is, the nearer they are to 1.
    weights = slaney_mel_weights(65536, 16000, 20, 0.0, 8000.0)
    np.testing.assert_allclose(weights.sum(axis=0) * 16000 / 65536, 1, rtol=1e-4)


def test_shapes_of_four_seconds():
    waveform = np.zeros((2, 64000), "float32")
    assert log_mel(waveform, 16000).shape == (2, 396, 20)
    assert split_into_patches(log_mel(waveform, 16000)).shape == (2, 4, 96, 20)
    assert vggish_log_mel(waveform, 16000).shape == (2, 398, 64)
    assert vggish_patches(waveform, 16000).shape == (2, 4, 96, 64)
    # Silence has the least of each.
    assert log_mel(waveform, 16000) == pytest.approx(np.log(1e-10))
    assert vggish_patches(waveform, 16000) == pytest.approx(np.log(0.01))
    # Less than a window or a patch.
    assert log_mel(waveform[0, :799], 16000).shape == (0, 20)
    assert log_mel(waveform[0, :800], 16000).shape == (1, 20)
    assert vggish_patches(waveform[0, : 400 + 94 * 160], 16000).shape == (0, 96, 64)
    assert vggish_patches(waveform[0, : 400 + 95 * 160], 16000).shape == (1, 96, 64)


def test_patches_follow_each_other():
    frames = np.arange(200 * 3).reshape(200, 3)
    np.testing.assert_array_equal(split_into_patches(frames, 96), [frames[:96], frames[96:192]])
    with pytest.raises(ValueError, match="`n_frames` must be 1 or more"):
        split_into_patches(frames, 0)


@pytest.mark.parametrize(
    "compute", [log_mel, vggish_log_mel, lambda waveform, rate: energy_dbfs(waveform, rate, 0.05, 0.01)[..., None]]
)
def test_precisions_axes_and_parts(waveform, compute, monkeypatch):
    expected = compute(waveform, 16000)
    assert expected.dtype == np.float64
    found = compute(waveform.astype("float32"), 16000)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)
    # Only the input and the output are float32.
    np.testing.assert_array_equal(found, compute(waveform.astype("float32").astype(float), 16000).astype("float32"))
    # Several waveforms, and computed in other parts.
    monkeypatch.setattr(spectrogram, "FRAMES_AT_ONCE", 7)
    several = compute(np.stack([waveform, 0.5 * waveform, waveform]), 16000)
    assert several.shape == (3, *expected.shape)
    np.testing.assert_allclose(several[0], expected, rtol=1e-12)
    np.testing.assert_allclose(several[1], compute(0.5 * waveform, 16000), rtol=1e-12)


def test_energy():
    rate = 1000
    times = np.arange(4 * rate) / rate
    sine = np.sin(2 * np.pi * 50 * times)
    waveform = np.concatenate([np.ones(rate), sine[:rate], 0.01 * sine[:rate], np.zeros(rate), np.ones(rate // 2)])
    expected = [0, 10 * np.log10(0.5), 10 * np.log10(0.5) - 40, -120]
    np.testing.assert_allclose(energy_dbfs(waveform, rate, 1.0), expected, atol=1e-9)
    # Half of the window silent: half of the power.
    overlapping = energy_dbfs(np.concatenate([np.ones(rate), np.zeros(rate)]), rate, 1.0, 0.5)
    np.testing.assert_allclose(overlapping, [0, 10 * np.log10(0.5), -120], atol=1e-9)


def test_arguments_out_of_range(waveform):
    for call, words in (
        (lambda: log_mel((1000 * waveform).astype("int16"), 16000), "`waveform` must be float32 or float64.*int16"),
        (lambda: log_mel(np.float64(1.0), 16000), "`waveform` must be \\(..., samples\\)"),
        (lambda: log_mel(waveform, 8000), "`band_hz` must be rising, from 0 to half the sampling rate, 4000 Hz"),
        (lambda: log_mel(waveform, 16000, band_hz=(4000.0, 1000.0)), "`band_hz` must be rising"),
        (lambda: log_mel(waveform, 0), "`sampling_rate_hz` must be above 0"),
        (lambda: log_mel(waveform, 16000, window_seconds=0.0), "`window_seconds` must be a sample or more"),
        (lambda: log_mel(waveform, 16000, hop_seconds=1e-6), "`hop_seconds` must be a sample or more"),
        (lambda: log_mel(waveform, 16000, n_bands=0), "`n_bands` must be 1 or more"),
        (lambda: log_mel(waveform, 16000, n_bands=400), "`n_bands` is 400 and bands .* contain no bin"),
        (lambda: vggish_patches(waveform, 44100), "`sampling_rate_hz` must be 16000 for VGGish; received 44100"),
        (lambda: energy_dbfs(waveform, 16000, -1.0), "`window_seconds` must be a sample or more"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
