"""Topographic images compared with SciPy's interpolant of each image, MNE's positions and closed forms."""

import time

import numpy as np
import pytest
from scipy.interpolate import CloughTocher2DInterpolator, griddata

from keras_emotion.datasets.deap_facts import EEG_CHANNEL_NAMES
from keras_emotion.schema import InputError
from keras_emotion.signals import azimuthal_equidistant, electrode_directions, image_matrix, to_images

SEVERAL = ("Fp1", "Fp2", "Fz", "T7", "C3", "Cz", "C4", "T8", "Pz", "O1", "O2")


def turned(directions, degrees=20.0):
    """Of a cap that sits askew."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return directions @ np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])


def test_angles_from_the_vertex_become_lengths():
    angles, azimuths = np.array([0.0, 0.5, 1.5, 2.5, 3.0]), np.array([0.3, -1.0, 2.0, 3.0, 0.0])
    directions = np.stack(
        [np.sin(angles) * np.cos(azimuths), np.sin(angles) * np.sin(azimuths), np.cos(angles)], axis=1
    )
    expected = angles[:, np.newaxis] * np.stack([np.cos(azimuths), np.sin(azimuths)], axis=1)
    # Lengths have no influence.
    np.testing.assert_allclose(azimuthal_equidistant(directions * 0.09), expected, atol=1e-12)
    no_place = np.array([[0, 0, -1.0], [0, 0, 0], [np.nan, 0, 1]])
    assert np.isnan(azimuthal_equidistant(no_place)).all()


@pytest.mark.parametrize("montage", ["deap", "several", "askew"])
def test_images_are_those_of_scipy_image_by_image(montage):
    names = EEG_CHANNEL_NAMES if montage == "deap" else SEVERAL
    directions = electrode_directions(names)
    if montage == "askew":
        directions = turned(directions)
    matrix = image_matrix(names, directions, image_size=32)
    places = azimuthal_equidistant(directions)
    columns = np.linspace(places[:, 0].min(), places[:, 0].max(), 32)
    # The forehead is at the top.
    rows = np.linspace(places[:, 1].max(), places[:, 1].min(), 32)
    values = np.random.default_rng(0).standard_normal((6, 3, len(names)))
    images = to_images(values, matrix)
    assert images.shape == (6, 3, 32, 32)
    for place in np.ndindex(6, 3):
        expected = CloughTocher2DInterpolator(places, values[place], fill_value=0)(*np.meshgrid(columns, rows))
        np.testing.assert_allclose(images[place], expected, atol=1e-6)
    again = griddata(places, values[0, 0], tuple(np.meshgrid(columns, rows)), method="cubic", fill_value=0)
    np.testing.assert_allclose(images[0, 0], again, atol=1e-6)


def test_within_the_hull_a_plane_is_a_plane_and_outside_there_is_nothing():
    places = azimuthal_equidistant(electrode_directions(EEG_CHANNEL_NAMES))
    matrix = image_matrix(EEG_CHANNEL_NAMES, image_size=32)
    images = to_images(np.stack([np.ones(32), *places.T]), matrix)
    inside = images[0] > 0.5
    assert 600 < inside.sum() < 900
    np.testing.assert_allclose(images[0], inside, atol=1e-9)
    assert not matrix[:, ~inside].any()
    assert not inside[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    columns = np.linspace(*places[:, 0][[places[:, 0].argmin(), places[:, 0].argmax()]], 32)
    rows = np.linspace(places[:, 1].max(), places[:, 1].min(), 32)
    np.testing.assert_allclose(images[1][inside], np.broadcast_to(columns, (32, 32))[inside], atol=1e-9)
    np.testing.assert_allclose(images[2][inside], np.broadcast_to(rows[:, None], (32, 32))[inside], atol=1e-9)


@pytest.mark.parametrize(("name", "row", "column"), [("Fp1", 0, 0), ("O2", 1, 1), ("T7", None, 0), ("T8", None, 1)])
def test_the_forehead_is_at_the_top_and_the_left_ear_at_the_left(name, row, column):
    image = to_images(np.array([one == name for one in SEVERAL], float), image_matrix(SEVERAL, image_size=33))
    at = np.unravel_index(image.argmax(), image.shape)
    assert row is None or at[0] // 17 == row
    assert at[1] // 17 == column


def test_directions_that_are_given_decide_and_names_stand_in():
    askew = turned(electrode_directions(SEVERAL))
    mixed = askew.copy()
    mixed[3] = np.nan
    expected = askew.copy()
    expected[3] = electrode_directions(["T7"])[0]
    np.testing.assert_array_equal(image_matrix(SEVERAL, mixed), image_matrix(SEVERAL, expected))
    np.testing.assert_array_equal(image_matrix(SEVERAL), image_matrix(SEVERAL, electrode_directions(SEVERAL)))
    assert np.abs(image_matrix(SEVERAL, askew) - image_matrix(SEVERAL)).max() > 0.1


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("Fz", "GSR1", "Cz", "X2", "C3"),
            "^electrodes without a position on the head: GSR1, X2; expected names of",
        ),
        (("Fz", "T3", "Cz", "T7"), "^electrodes at the same position on the head: T3 and T7; expected one each"),
        (("Fz", "Cz"), "^electrodes for images: Fz, Cz; expected three or more that are not on a line"),
        ((), "^electrodes for images: none; expected three"),
    ],
)
def test_electrodes_without_images_are_named_in_one_line(names, message):
    with pytest.raises(InputError, match=message) as error:
        image_matrix(names)
    assert "\n" not in str(error.value)


def test_electrodes_on_a_line():
    directions = np.array([[0, np.sin(angle), np.cos(angle)] for angle in (-1.0, 0.0, 0.5, 1.0)])
    with pytest.raises(InputError, match="A, B, C, D; expected three or more that are not on a line"):
        image_matrix(list("ABCD"), directions)


def test_faults():
    with pytest.raises(ValueError, match="`image_size` is 1"):
        image_matrix(SEVERAL, image_size=1)
    with pytest.raises(ValueError, match=r"`directions` has shape \(3, 3\); expected \(11, 3\)"):
        image_matrix(SEVERAL, np.eye(3))
    with pytest.raises(ValueError, match="the string 'Fz'"):
        image_matrix("Fz")
    with pytest.raises(ValueError, match=r"`values` has shape \(2, 10\); expected `\(..., 11\)`"):
        to_images(np.zeros((2, 10)), image_matrix(SEVERAL))


def test_images_of_a_trial_take_less_than_50_ms_of_a_core():
    matrix = image_matrix(EEG_CHANNEL_NAMES)
    values = np.random.default_rng(0).standard_normal((480, 3, 32)).astype(np.float32)
    seconds = []
    for _ in range(5):
        start = time.process_time()
        images = to_images(values, matrix)
        seconds.append(time.process_time() - start)
    assert (images.shape, images.dtype) == ((480, 3, 32, 32), np.float32)
    assert min(seconds) < 0.05
