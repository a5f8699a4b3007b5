"""Writer of synthetic AMIGOS files."""

import numpy as np
import pytest
import scipy.io

from keras_emotion.synthetic import write_amigos
from keras_emotion.synthetic.amigos import VIDEOS, _assessments


def cells(root, person, name="joined_data"):
    return scipy.io.loadmat(root / f"Data_Preprocessed_P{person:02d}.mat")[name][0]


def test_a_person_does_not_depend_on_the_others(tmp_path):
    one = write_amigos(tmp_path / "one", subjects=(2,), clip_seconds=16)
    two = write_amigos(tmp_path / "two", 2, clip_seconds=16)
    for first, second in zip(cells(one, 2), cells(two, 2), strict=True):
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(cells(two, 1)[0], cells(two, 2)[0])


def test_groups_rate_alike_and_short_videos_have_the_known_means():
    long_video = _assessments("N1", 0)[:, 1]
    spread = np.std([long_video[[6, 0, 1, 15]], long_video[[13, 16, 17, 21]]], axis=1)
    assert spread.max() < 1 < np.nanstd(long_video)
    # 8, 24, 28 and 32 have no ratings of it.
    assert (np.flatnonzero(np.isnan(long_video)) + 1).tolist() == [8, 24, 28, 32]
    for video, arousal, valence in (("4", 4.08, 6.99), ("80", 5.50, 7.64)):
        assert video in VIDEOS
        np.testing.assert_allclose(_assessments(video, 0)[:, :2].mean(axis=0), [arousal, valence], atol=1e-5)


@pytest.mark.parametrize("effect_size", [0.0, 1.0])
def test_power_follows_the_annotation(tmp_path, effect_size):
    root = write_amigos(tmp_path, 2, effect_size=effect_size, fingerprint_size=0, clip_seconds=40)
    powers, values = [], []
    for person in (1, 2):
        for signal, annotation in zip(cells(root, person), cells(root, person, "labels_ext_annotation"), strict=True):
            # The first segment is the first 20 s, the others are contiguous from stimulus onset on, the last is the
            # last 20 s.
            seconds = len(signal) / 128
            middles = [10, *(15 + 20 * place for place in range(len(annotation) - 2)), seconds - 10]
            course = np.interp(np.arange(len(signal)) / 128, middles, annotation[:, 1])
            starts = range(640, len(signal) - 640, 640)
            # O1, channel 7, at the centre of the effect.
            spectra = [np.abs(np.fft.rfft(signal[start : start + 640, 6])) ** 2 for start in starts]
            own = np.array([np.log(spectrum[8 * 5 : 13 * 5].mean()) for spectrum in spectra])
            expected = np.array([course[start : start + 640].mean() for start in starts])
            powers += (own - own.mean()).tolist()
            values += (expected - expected.mean()).tolist()
    slope = np.polyfit(values, powers, 1)[0] * 0.4
    assert slope == pytest.approx(effect_size, abs=0.1 + 0.15 * effect_size)


@pytest.mark.parametrize(
    "options",
    [
        {"n_subjects": 41},
        {"subjects": (0,)},
        {"fingerprint_size": -0.1},
        {"stimulus_fingerprint_size": -0.1},
        {"clip_seconds": 15},
        {"layout": "nested"},
    ],
)
def test_bad_arguments(tmp_path, options):
    (name,) = options
    with pytest.raises(ValueError, match=f"`{name}` is"):
        write_amigos(tmp_path, **options)
