"""Faces of real people, in the clips of the shared data folder."""

import numpy as np
import pytest

from keras_emotion.faces import BlazeFace, FaceLandmarker, YuNet, extract_faces, video_facts

CLIPS = {
    "fer_woman2.mp4": (464, 78),
    "grid_bbaf2n.mpg": (75, 15),
    "grid_lrwp9a.mpg": (75, 15),
    "grid_swiz3n.mpg": (75, 15),
    "pyfeat_WolfgangLanger_Pexels.mp4": (472, 99),
    "pyfeat_single_face.mp4": (72, 12),
}
"""Frames of each clip, and samples at five a second."""

pytestmark = pytest.mark.real_data


@pytest.fixture
def clip(real_data, request):
    path = real_data / "face_video" / request.param
    if not path.is_file():
        pytest.skip(f"no {request.param} beside the checkout")
    return path


@pytest.mark.parametrize("clip", CLIPS, indirect=True)
def test_every_sampled_frame_gives_a_face(clip):
    sequence = extract_faces(clip, BlazeFace(), rate_hz=5)
    assert sequence.problem is None
    assert len(sequence.frames) == CLIPS[clip.name][1]
    assert sequence.frames["found"].all()
    assert sequence.quality["jumps"] == 0
    assert sequence.quality["most_faces"] == 1
    eyes = sequence.frames["left_eye_x"] - sequence.frames["right_eye_x"]
    assert np.all(eyes / sequence.frames["width"] > 0.2)
    # One person in one light: crops that lie one over the other are alike.
    crops = np.asarray(sequence.faces, float)
    assert np.abs(crops - crops.mean(axis=0)).mean() < 30
    assert video_facts(clip).n_frames in (0, CLIPS[clip.name][0])


@pytest.mark.parametrize("clip", ["pyfeat_single_face.mp4"], indirect=True)
@pytest.mark.parametrize(
    ("make", "name"),
    [(YuNet, "face_detection_yunet_2026may.onnx"), (FaceLandmarker, "face_landmarker.task")],
    ids=["yunet", "face_landmarker"],
)
def test_detectors_agree(real_data, clip, make, name):
    file = real_data / "weights" / name
    if not file.is_file():
        pytest.skip(f"no {name} beside the checkout")
    ours = extract_faces(clip, BlazeFace(), rate_hz=5).frames
    with make(file) as detector:
        sequence = extract_faces(clip, detector, rate_hz=5)
    assert sequence.frames["found"].all()
    apart = np.hypot(ours["left_eye_x"] - ours["right_eye_x"], ours["left_eye_y"] - ours["right_eye_y"])
    for point in ("right_eye", "left_eye", "nose", "mouth"):
        difference = np.hypot(*(sequence.frames[f"{point}_{axis}"] - ours[f"{point}_{axis}"] for axis in "xy"))
        assert np.median(difference / apart) < 0.2
    names = {"mesh": (12, 478, 3), "blendshapes": (12, 52), "transformation": (12, 4, 4)}
    assert {key: value.shape for key, value in sequence.details.items()} == (names if make is FaceLandmarker else {})
