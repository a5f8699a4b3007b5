import pytest

from keras_emotion.signals import PUBLISHED_BANDS, THREE_FACRNN_BANDS, check_bands


def test_bands_of_the_paper():
    assert list(THREE_FACRNN_BANDS.items()) == [
        ("theta", (4, 7)),
        ("alpha", (8, 13)),
        ("beta", (14, 30)),
        ("gamma", (31, 50)),
    ]


@pytest.mark.parametrize("name", PUBLISHED_BANDS)
def test_published_bands_fit_the_rate_they_were_published_for(name):
    check_bands(PUBLISHED_BANDS[name], 128)


@pytest.mark.parametrize(
    ("band", "message"),
    [
        ((0, 4), "band `x` is 0-4 Hz"),
        ((-1, 4), "band `x` is -1-4 Hz"),
        ((8, 8), "band `x` is 8-8 Hz"),
        ((13, 8), "band `x` is 13-8 Hz"),
        ((31, 64), "64 Hz, half of the sampling rate of 128 Hz"),
        ((31, 70), "64 Hz, half of the sampling rate of 128 Hz"),
        ((float("nan"), 8), "band `x`"),
    ],
)
def test_impossible_bands_are_refused(band, message):
    with pytest.raises(ValueError, match=message):
        check_bands({"fine": (8, 13), "x": band}, 128)


def test_no_band_at_all_is_refused():
    with pytest.raises(ValueError, match="`bands` is empty"):
        check_bands({}, 128)
