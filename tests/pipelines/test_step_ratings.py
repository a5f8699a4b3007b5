"""One value per step of a continuous rating."""

import numpy as np
import pytest

from keras_emotion.pipelines.step_ratings import step_ratings
from keras_emotion.schema import ContinuousRating


def rating(times_seconds, values):
    return ContinuousRating(np.asarray(times_seconds, float), np.asarray(values, float), (-1.0, 1.0))


def test_a_step_has_the_mean_of_its_values():
    # t / 10 four times a second: in [s, s + 2) the mean is that of s, s + 0.25, ..., s + 1.75.
    times = np.arange(0, 10, 0.25)
    found = step_ratings(rating(times, times / 10), np.arange(0, 10, 2.0), 2.0)
    np.testing.assert_allclose(found, (np.arange(0, 10, 2) + 0.875) / 10, rtol=1e-12)


def test_delayed_ratings_are_about_what_was_before():
    times = np.arange(0, 10, 0.25)
    found = step_ratings(rating(times, times / 10), np.arange(8.0), 1.0, delay_seconds=3.0)
    np.testing.assert_allclose(found[:7], (np.arange(3, 10) + 0.375) / 10, rtol=1e-12)
    assert np.isnan(found[7])


def test_missing_values_are_none():
    found = step_ratings(rating([0, 0.5, 1, 1.5, 2], [0.2, np.nan, np.nan, np.nan, 0.6]), np.arange(3.0), 1.0)
    # One value, none but values on both sides (halfway at 1.5 s: 3/4 of the way from 0 to 2 s), one value.
    np.testing.assert_allclose(found, [0.2, 0.5, 0.6], rtol=1e-12)


def test_between_rare_values_a_step_is_interpolated_and_far_outside_of_them_there_is_none():
    # Segments of 20 s, each with one value for its middle; the trial goes on for 8 s.
    found = step_ratings(rating([10, 30, 50], [-1, 0, 1]), np.arange(0, 68, 4.0), 4.0)
    middles = np.arange(2, 70, 4.0)
    expected = np.where(middles <= 60, np.clip((middles - 30) / 20, -1, 1), np.nan)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_starts_that_are_rounded_lose_no_value():
    # 0.1 + 0.2 lies above 0.3.
    starts = np.array([0.1 + 0.2])
    assert step_ratings(rating([0.3, 0.4], [0.5, 0.9]), starts, 0.1) == [0.5]


def test_no_values_at_all():
    assert np.isnan(step_ratings(rating([], []), np.arange(3.0), 1.0)).all()


@pytest.mark.parametrize(
    ("times_seconds", "values", "message"),
    [([0, 1], [0.0], r"expected both `\(values,\)`"), ([0, 0], [0.0, 1.0], "does not increase")],
)
def test_ratings_that_are_none(times_seconds, values, message):
    with pytest.raises(ValueError, match=message):
        rating(times_seconds, values)
