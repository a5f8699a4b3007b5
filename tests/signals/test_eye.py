"""Features of eye movements compared with closed forms."""

import numpy as np
import pytest

from keras_emotion.signals import (
    EVENT_FEATURE_NAMES,
    PUPIL_BANDS_HZ,
    event_features,
    interpolate_gaps,
    pupil_entropies,
    pupil_statistics,
)

RATE = 60.0


def sine(hz, amplitude=2.0, seconds=200.0, mean=40.0):
    return mean + amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)


@pytest.mark.parametrize(("hz", "band"), [(0.1, 0), (0.3, 1), (0.5, 2), (0.8, 3)])
def test_entropy_of_a_sine_is_that_of_its_power(hz, band):
    """A sine of amplitude 2 has the power 2, all of it in one band; the mean diameter has no influence."""
    entropies = pupil_entropies(sine(hz), RATE, 100.0)
    assert entropies.shape == (2, 4)
    np.testing.assert_allclose(entropies[:, band], np.log(2 * np.pi * np.e * 2.0) / 2, atol=2e-3)
    assert np.delete(entropies, band, axis=1).max() < -3
    np.testing.assert_allclose(pupil_entropies(sine(hz, mean=0.0), RATE, 100.0), entropies, atol=1e-9)
    # Three times the amplitude: log 3 more.
    higher = pupil_entropies(sine(hz, 6.0), RATE, 100.0)[:, band]
    np.testing.assert_allclose(higher - entropies[:, band], np.log(3), atol=1e-9)


def test_bands_add_up_to_the_variance():
    """White noise of variance 4, all bands together: the whole power, of a window and of many."""
    noise = np.random.default_rng(0).normal(0, 2, (2, 3, round(400 * RATE)))
    bands = {"low": (0.0, 1.0), "high": (1.0, RATE / 2)}
    entropies = pupil_entropies(noise, RATE, 4.0, 2.0, bands)
    assert entropies.shape == (2, 3, 199, 2)
    power = np.exp(2 * entropies) / (2 * np.pi * np.e)
    np.testing.assert_allclose(power.sum(axis=-1).mean(), 4, rtol=0.01)
    # The lowest of 30 Hz has a thirtieth, minus the part removed with the mean.
    assert 0.6 < power[..., 0].mean() / (4 / 30) < 1


def test_no_power_is_no_infinity_and_missing_samples_stay_missing():
    flat = np.full(480, 40.0)
    assert np.isfinite(pupil_entropies(flat, RATE, 4.0)).all()
    flat[3] = np.nan
    entropies = pupil_entropies(flat, RATE, 4.0)
    assert np.isnan(entropies[0]).all()
    assert np.isfinite(entropies[1]).all()
    assert pupil_entropies(flat.astype(np.float32), RATE, 4.0).dtype == np.float32


@pytest.mark.parametrize("band", [(0.4, 0.2), (0.2, 0.2), (1.0, 40.0)])
def test_invalid_bands(band):
    with pytest.raises(ValueError, match=r"`bands`: slow is .* Hz; expected the lower edge first, and at most 30 Hz"):
        pupil_entropies(sine(0.1), RATE, 4.0, bands={"slow": band})


def test_names_of_the_bands():
    assert list(PUPIL_BANDS_HZ.values()) == [(0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 1)]


def test_statistics_of_the_pupil():
    pupil = np.array([[1.0, 3.0, 2.0, 2.0, 9.0], [0.0, 0.0, 1.0, 5.0, 9.0]])
    expected = [[[2, 1], [2, 0]], [[0, 0], [3, 2]]]
    np.testing.assert_allclose(pupil_statistics(pupil, 1.0, 2.0), expected)


def test_gaps_are_filled_by_lines():
    nan = np.nan
    pupil = np.array([[nan, 1.0, nan, nan, 4.0, nan], [nan] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    filled = interpolate_gaps(pupil)
    np.testing.assert_array_equal(filled[0], [1, 1, 2, 3, 4, 4])
    assert np.isnan(filled[1]).all()
    np.testing.assert_array_equal(filled[2], pupil[2])
    assert np.isnan(pupil[0, 0])


def events(**changes):
    whole = {
        "pupil": np.array([[40.0, 30.0, 3.0, 4.0], [44.0, 30.0, 6.0, 8.0]]),
        "fixations_ms": np.array([200.0, 400.0]),
        "saccades": np.array([[30.0, 1.0], [50.0, 4.0]]),
        "blinks_ms": np.array([150.0]),
        "duration_seconds": 10.0,
    }
    return dict(zip(EVENT_FEATURE_NAMES, event_features(**{**whole, **changes}), strict=True))


def test_statistics_of_events_by_hand():
    assert events() == {
        **{"pupil_x_mean": 42, "pupil_x_std": 2, "pupil_y_mean": 30, "pupil_y_std": 0},
        **{"fixation_duration_mean": 300, "fixation_duration_std": 100},
        **{"dispersion_x_mean": 4.5, "dispersion_y_mean": 6, "dispersion_x_std": 1.5, "dispersion_y_std": 2},
        **{"saccade_duration_mean": 40, "saccade_duration_std": 10},
        **{"saccade_amplitude_mean": 2.5, "saccade_amplitude_std": 1.5},
        **{"blink_duration_mean": 150, "blink_duration_std": 0, "blink_rate": 0.1},
        **{"fixation_rate": 0.2, "fixation_duration_max": 400, "saccade_rate": 0.2},
        # 3 and 4, 6 and 8: 5 and 10.
        **{"dispersion_max": 10, "dispersion_total": 15},
    }


def test_events_that_did_not_happen():
    still = events(saccades=np.zeros((0, 2)), blinks_ms=np.zeros(0))
    assert [still[name] for name in ("saccade_rate", "saccade_duration_mean", "blink_rate", "blink_duration_std")] == [
        0
    ] * 4
    closed = events(pupil=np.zeros((0, 4)), fixations_ms=np.zeros(0))
    missing = {name for name, value in closed.items() if np.isnan(value)}
    assert missing == {name for name in closed if name.startswith(("pupil", "dispersion", "fixation_duration"))}
    assert closed["fixation_rate"] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pupil": np.ones((3, 4))}, r"`pupil` has shape \(3, 4\); expected \(2, 4\)"),
        ({"saccades": np.ones(2)}, r"`saccades` has shape \(2,\); expected \(2, 2\)"),
        ({"duration_seconds": 0.0}, "`duration_seconds` is 0.0; expected a number above 0"),
    ],
)
def test_events_that_do_not_fit(change, message):
    with pytest.raises(ValueError, match=message):
        events(**change)
