"""Track numbers of faces that appear, disappear, cross and hide, with a scripted detector."""

import dataclasses

import numpy as np
import pytest

from keras_emotion.faces import FaceTracker


def follow(detector, times, **options):
    """Output of the tracker at each time: faces by number."""
    tracker = FaceTracker(detector, **options)
    return [tracker.update(detector.frame, time) for time in times]


def numbers_of(found):
    return [sorted(faces) for faces in found]


def test_face_that_moves_keeps_its_number_and_is_placed_exactly(scripted):
    def path(time):
        return [(80 + 12 * time, 120 + 10 * np.sin(time), 40 + 2 * time)]

    detector = scripted(path)
    times = np.arange(0, 8, 0.2)
    found = follow(detector, times)
    assert numbers_of(found) == [[0]] * len(times)
    expected = np.array([path(time)[0] for time in times])
    # In cut-outs as in whole frames; colours are whole numbers, so that single places are not quite exact.
    for places in ([faces[0].centre for faces in found], [faces[0].landmarks[2] for faces in found]):
        errors = np.array(places) - expected[:, :2]
        assert np.abs(errors).max() < 0.3
        assert np.abs(errors.mean(axis=0)).max() < 0.05
    np.testing.assert_allclose([faces[0].side for faces in found], expected[:, 2], rtol=0.01)


def test_whole_frames_are_searched_now_and_then(scripted):
    detector = scripted(lambda time: [(100, 100, 40)])
    times = np.arange(50) / 5
    follow(detector, times, detect_every_seconds=2.0)
    assert detector.n_restarts == 1
    assert detector.searches == [0, 2, 4, 6, 8]
    # In between, and then too, one look at the place of the face; before it was found there is none.
    np.testing.assert_array_equal(detector.looks, times[1:])


def test_whole_frames_are_searched_while_no_face_is_tracked(scripted):
    detector = scripted(lambda time: [] if 1 <= time < 2 else [(100, 100, 40)])
    times = np.arange(30) / 10
    found = follow(detector, times, detect_every_seconds=10.0)
    assert numbers_of(found) == [[0]] * 10 + [[]] * 10 + [[0]] * 10
    np.testing.assert_array_equal(detector.searches, [0, *times[10:21]])
    np.testing.assert_array_equal(detector.looks, [*times[1:11], *times[21:]])


@pytest.mark.parametrize("follows", [False, True])
@pytest.mark.parametrize(("gap_seconds", "number"), [(0.4, 0), (2.8, 0), (3.4, 1), (30.0, 1)])
def test_number_after_a_gap(scripted, follows, gap_seconds, number):
    # The face comes back a whole side away from where it was lost.
    def script(time):
        return [(80, 100, 40)] if time < 1 else [] if time < 1 + gap_seconds else [(120, 100, 40)]

    detector = scripted(script, follows)
    times = np.arange(round(5 * (3 + gap_seconds))) / 5
    found = follow(detector, times, keep_seconds=3.2)
    assert numbers_of(found) == [[] if not script(time) else [0] if time < 1 else [number] for time in times]


def test_face_that_comes_back_far_away_is_somebody_else(scripted):
    found = follow(
        scripted(lambda time: [(40, 40, 30)] if time < 1 else [] if time < 2 else [(200, 200, 30)]), np.arange(15) / 5
    )
    assert numbers_of(found) == [[0]] * 5 + [[]] * 5 + [[1]] * 5


@pytest.mark.parametrize("follows", [False, True])
def test_two_faces_that_cross_keep_their_numbers(scripted, follows):
    # One passes above the other, by two thirds of a face.
    def script(time):
        return [(60 + 14 * time, 100, 42), (190 - 14 * time, 128, 42)]

    found = follow(scripted(script, follows), np.arange(45) / 5)
    for time, faces in zip(np.arange(45) / 5, found, strict=True):
        assert sorted(faces) == [0, 1]
        np.testing.assert_allclose(faces[0].centre, script(time)[0][:2], atol=0.2)
        np.testing.assert_allclose(faces[1].centre, script(time)[1][:2], atol=0.2)


def test_face_that_hides_another_leaves_two_tracks_in_the_end(scripted):
    # They pass through each other, and for a moment one is seen.
    def script(time):
        first, second = (60 + 14 * time, 100, 42), (186 - 14 * time, 102, 42)
        return [first] if abs(first[0] - second[0]) < 25 else [first, second]

    found = follow(scripted(script), np.arange(45) / 5)
    assert numbers_of(found)[:15] == [[0, 1]] * 15
    # A face is never tracked twice: as many numbers as faces, or one fewer until the next search.
    for time, faces in zip(np.arange(45) / 5, found, strict=True):
        assert 1 <= len(faces) <= len(script(time))
        centres = [face.centre for face in faces.values()]
        assert len(centres) == 1 or np.hypot(*(centres[0] - centres[1])) > 20
    assert len(found[-1]) == 2
    assert 0 in found[-1]


def test_passer_by_has_a_number_of_his_own(scripted):
    def script(time):
        stays = (90, 120, 50)
        return [stays] if not 3 <= time < 5 else [(200, 60 + 10 * time, 50), stays]

    found = follow(scripted(script), np.arange(50) / 5, detect_every_seconds=1.0)
    assert numbers_of(found) == [[0]] * 15 + [[0, 1]] * 10 + [[0]] * 25
    assert all(faces[0].centre[0] == pytest.approx(90, abs=0.2) for faces in found)


def test_new_faces_are_found_at_the_next_search(scripted):
    detector = scripted(lambda time: [(60, 100, 40), (180, 100, 40)][: 1 if time < 0.5 else 2])
    found = follow(detector, np.arange(20) / 5, detect_every_seconds=2.0)
    assert numbers_of(found) == [[0]] * 10 + [[0, 1]] * 10
    # Each of the two is searched.
    assert len(detector.looks) == 9 + 1 + 2 * 9


def test_two_tracks_on_one_face_become_one(scripted):
    # The second face moves up to the first one and then is gone.
    def script(time):
        return [(100, 100, 40), (170 - 20 * time, 100, 40)] if time < 3 else [(100, 100, 40)]

    found = follow(scripted(script), np.arange(40) / 5)
    assert numbers_of(found)[:10] == [[0, 1]] * 10
    assert numbers_of(found)[16:] == [[0]] * 24


def test_face_found_beside_its_track_is_no_new_one(scripted):
    # The search places the box a quarter of its side away from where the cut-out does.
    detector = scripted(lambda time: [(100, 100, 40)])
    exact = detector.detect
    detector.detect = lambda image, time_seconds: [
        dataclasses.replace(face, box=np.add(face.box, [10, 0, 4, 4])) for face in exact(image, time_seconds)
    ]
    found = follow(detector, np.arange(30) / 5, detect_every_seconds=0.4)
    assert numbers_of(found) == [[0]] * 30
    # The crop is decisive.
    assert all(faces[0].centre[0] == pytest.approx(100, abs=0.2) for faces in found[1:])


def test_detector_that_follows_sees_every_frame(scripted):
    detector = scripted(lambda time: [(100, 100, 40)] if not 1 <= time < 1.5 else [], follows=True)
    times = np.arange(20) / 5
    found = follow(detector, times)
    np.testing.assert_array_equal(detector.searches, times)
    assert detector.looks == []
    assert numbers_of(found) == [[] if 1 <= time < 1.5 else [0] for time in times]


@pytest.mark.parametrize("name", ["detect_every_seconds", "keep_seconds"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_wrong_arguments(scripted, name, value):
    with pytest.raises(ValueError, match=f"`{name}` is {value}; expected more than 0"):
        FaceTracker(scripted(lambda time: []), **{name: value})
