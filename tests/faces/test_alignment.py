"""Crops: the position of the square, that it follows the face, and its pixels."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_emotion.faces import align, crop_geometry, four_landmarks
from keras_emotion.faces.alignment import square_crop, upright_square

UPRIGHT = np.array([[-30.0, -20.0], [30.0, -20.0], [0.0, 8.0], [0.0, 40.0]])
"""Right eye, left eye, nose and mouth around the origin: the eyes 60 apart, the mouth 60 below them."""


def turned(points, degrees, scale=1.0, shift=(0.0, 0.0)):
    """Points turned clockwise on the screen, scaled, and moved."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return scale * points @ np.array([[cosine, sine], [-sine, cosine]]) + shift


def test_four_landmarks():
    points = np.zeros((68, 2))
    points[36:42], points[42:48] = [10, 20], [30, 22]
    points[36], points[39] = [4, 20], [16, 20]
    points[30], points[48], points[54], points[60] = [20, 30], [14, 40], [28, 42], [99, 99]
    expected = np.array([[10, 20], [30, 22], [20, 30], [21, 41]])
    np.testing.assert_allclose(four_landmarks(points), expected)
    np.testing.assert_allclose(four_landmarks(np.stack([points, points + 1])), np.stack([expected, expected + 1]))


def test_square_of_an_upright_face_by_hand():
    # Eyes 20 apart, mouth 24 below: the square is 2 * 24 * 1.2 wide, its middle 0.45 * 24 below the eyes.
    landmarks = np.array([[40.0, 50.0], [60.0, 50.0], [55.0, 61.0], [50.0, 74.0]])
    centre, axis = crop_geometry(landmarks, margin=0.1)
    np.testing.assert_allclose(centre, [50, 60.8])
    np.testing.assert_allclose(axis, [28.8, 0], atol=1e-12)
    np.testing.assert_allclose(crop_geometry(landmarks, margin=0)[1], [24, 0], atol=1e-12)
    # A broad face: the distance of the eyes is the larger one.
    landmarks[3] = [50, 60]
    centre, axis = crop_geometry(landmarks, margin=0.25)
    np.testing.assert_allclose(centre, [50, 54.5])
    np.testing.assert_allclose(axis, [30, 0], atol=1e-12)


def test_square_of_a_face_on_its_side_by_hand():
    # The person's left eye is below the right one, and the mouth to the left.
    centre, axis = crop_geometry(np.array([[80.0, 40.0], [80.0, 60.0], [70.0, 50.0], [56.0, 50.0]]), margin=0)
    np.testing.assert_allclose(centre, [80 - 0.45 * 24, 50])
    np.testing.assert_allclose(axis, [0, 24], atol=1e-12)


def test_square_of_a_face_in_profile_stays_upright():
    # The eyes are seen nearly in one place and their line is steep; the mouth is below them.
    landmarks = np.array([[50.0, 50.0], [52.0, 54.0], [60.0, 62.0], [52.0, 90.0]])
    _, axis = crop_geometry(landmarks)
    assert abs(np.degrees(np.arctan2(axis[1], axis[0]))) < 8


def test_points_in_one_place_give_a_crop_too():
    image = np.full((20, 20, 3), 7, np.uint8)
    np.testing.assert_array_equal(align(image, np.zeros((4, 2)), size=16), np.full((16, 16, 3), 7))


def drawn(landmarks, radius, height=260, width=300):
    """A frame with a red dot at the right eye, a green one at the left eye and a blue one at the mouth."""
    rows, columns = np.indices((height, width))
    dots = [
        np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2) / radius**2) for x, y in (landmarks[i] for i in (0, 1, 3))
    ]
    return (250 * np.stack(dots, axis=-1)).round().astype(np.uint8)


def middles_of_dots(crop):
    rows, columns = np.indices(crop.shape[:2])
    weights = crop.astype(float) / crop.sum(axis=(0, 1))
    return np.stack([(weights * columns[..., None]).sum((0, 1)), (weights * rows[..., None]).sum((0, 1))], axis=-1)


@settings(max_examples=40, deadline=None)
@given(
    degrees=st.floats(-180, 180),
    scale=st.floats(0.4, 1.3),
    shift=st.tuples(st.floats(130, 170), st.floats(110, 150)),
    size=st.sampled_from([48, 64, 97]),
    margin=st.sampled_from([0.0, 0.1, 0.3]),
)
def test_face_lands_in_the_same_place_however_it_lies(degrees, scale, shift, size, margin):
    landmarks = turned(UPRIGHT, degrees, scale, shift)
    crop = align(drawn(landmarks, 5 * scale), landmarks, size, margin)
    # The side is 2 * 60 (1 + 2 margin) and its middle 27 below the eyes, where the eyes are 60 apart.
    side = 120 * (1 + 2 * margin)
    expected = np.array([[-30, -27], [30, -27], [0, 33]]) / side * size + (size - 1) / 2
    np.testing.assert_allclose(middles_of_dots(crop), expected, atol=0.3)


def test_margin_makes_the_face_smaller():
    landmarks = turned(UPRIGHT, 0, 1, (150, 120))
    image = drawn(landmarks, 5)
    distances = []
    for margin in (0, 0.1, 0.5):
        right, left, _ = middles_of_dots(align(image, landmarks, 96, margin))
        distances.append(left[0] - right[0])
    np.testing.assert_allclose(distances, [48, 48 / 1.2, 48 / 2], atol=0.2)


def test_border_is_repeated_outside_of_the_frame():
    columns = np.broadcast_to(np.arange(40, 240, 2, dtype=np.uint8)[:, None], (100, 100, 3))
    crop = square_crop(columns, np.array([0.0, 50.0]), np.array([32.0, 0.0]), 64)
    # Half of the crop lies to the left of the first column.
    assert np.all(crop[:, :32] == 40)
    np.testing.assert_array_equal(crop[20, 32:, 0], (40 + 2 * (np.arange(32) + 0.5)).round())
    # Only border: the face is far outside.
    assert np.all(square_crop(columns, np.array([400.0, 50.0]), np.array([20.0, 5.0]), 32) == 238)


def test_square_that_is_the_frame_gives_the_frame():
    image = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    middle = np.array([23.5, 23.5])
    np.testing.assert_array_equal(square_crop(image, middle, np.array([24.0, 0.0]), 48), image)
    np.testing.assert_array_equal(square_crop(image, middle, np.array([0.0, 24.0]), 48), np.rot90(image))


@pytest.mark.parametrize("factor", [2, 5, 12])
def test_reduction_averages_the_area_of_a_pixel(factor):
    image = np.random.default_rng(1).integers(0, 256, (factor * 16, factor * 16, 3), np.uint8)
    side = factor * 16
    crop = square_crop(image, np.array([side - 1, side - 1]) / 2, np.array([side / 2, 0.0]), 16)
    means = image.reshape(16, factor, 16, factor, 3).mean(axis=(1, 3))
    assert np.abs(crop - means).max() <= 1


@pytest.mark.parametrize("degrees", [0, 20, 45])
@pytest.mark.parametrize("reduction", [2.9, 4.2, 9.9, 16.1])
def test_fine_checkerboard_comes_out_grey(degrees, reduction):
    checkerboard = (np.indices((700, 700)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    half = reduction * 32 / 2
    axis = half * np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    crop = square_crop(checkerboard, np.array([349.8, 350.3]), axis, 32)
    assert np.abs(crop.astype(float) - 127.5).max() < 35
    assert crop.mean() == pytest.approx(127.5, abs=2)


def test_size_too_small():
    with pytest.raises(ValueError, match="`size` is 1; expected 2 or more"):
        align(np.zeros((9, 9, 3), np.uint8), UPRIGHT, size=1)


@pytest.mark.parametrize(("half", "size"), [(10.0, 64), (31.3, 32), (45.2, 32), (50.0, 16), (60.0, 8)])
@pytest.mark.parametrize("centre", [(61.2, 57.7), (20.0, 20.0), (125.0, 5.5), (-500.0, 900.0)])
def test_upright_square_shows_each_place_where_it_lies(half, size, centre):
    # Colours that say where a pixel lies, by steps of two: no mean of blocks is rounded.
    rows, columns = 2 * np.indices((119, 126))
    image = np.stack([columns, rows, 0 * rows], axis=-1).astype(np.uint8)
    square = upright_square(image, np.array(centre), half, size)
    assert square.shape == (size, size, 3)
    places = (np.arange(size) + 0.5) / size * 2 * half - half
    block = max(2 * half / size, 1.0)
    for colour, last in ((0, 125), (1, 118)):
        wanted = centre[colour] + places
        shown = square[..., colour].mean(axis=colour) / 2
        # Samples lie at a 32nd of a block, and are rounded to a level.
        inside = (wanted > block) & (wanted < last - 3 * block)
        assert np.abs(shown - wanted)[inside].max(initial=0) < 0.3 + block / 32
        # Beside the frame its border is repeated, or that of the last whole block.
        assert np.abs(shown - wanted.clip(0, last)).max() <= max(0.5, 3 * block)


def test_upright_square_averages_the_area_of_a_pixel():
    image = np.random.default_rng(1).integers(0, 256, (128, 128, 3), np.uint8)
    for factor in (1, 2, 4, 8):
        size = 128 // factor
        square = upright_square(image, np.array([63.5, 63.5]), 64.0, size)
        means = image.reshape(size, factor, size, factor, 3).mean(axis=(1, 3))
        # Each halving rounds.
        assert np.abs(square - means).max() <= 1.5


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2), (17, 5)])
def test_squares_of_tiny_pictures(shape):
    image = np.full((*shape, 3), 9, np.uint8)
    for half in (0.4, 3.0, 100.0):
        assert np.all(upright_square(image, np.array([2.0, 1.0]), half, 8) == 9)
        assert np.all(square_crop(image, np.array([2.0, 1.0]), np.array([half, 0.3]), 8) == 9)


def test_square_does_not_depend_on_what_is_cut_out_for_it():
    image = np.random.default_rng(2).integers(0, 256, (200, 301, 3), np.uint8)
    rng = np.random.default_rng(3)
    for _ in range(40):
        centre, axis = rng.uniform(-20, 320, 2), rng.uniform(-60, 60, 2)
        reduction = 2 * np.hypot(*axis) / 32
        fine = 32 * int(np.ceil(reduction - min(reduction / 10, 0.5)))
        step = axis * 2 / fine
        rotation = np.array([[step[0], -step[1]], [step[1], step[0]]])
        shift = centre - rotation @ np.full(2, (fine - 1) / 2)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        whole = cv2.warpAffine(
            image, np.column_stack([rotation, shift]), (fine, fine), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        expected = cv2.resize(whole, (32, 32), interpolation=cv2.INTER_AREA)
        # Positions are rounded to a 32nd of a pixel.
        assert np.abs(square_crop(image, centre, axis, 32).astype(int) - expected).max() <= 8
