"""Face processing: detect, track, align and crop faces in videos, and measure their quality."""

from keras_emotion.faces.alignment import align, crop_geometry, four_landmarks
from keras_emotion.faces.detection import BlazeFace, Detector, Face, FaceLandmarker, YuNet, make_detector
from keras_emotion.faces.landmarker_quantities import landmarker_quantities
from keras_emotion.faces.openface import OPENFACE_QUANTITIES, read_openface
from keras_emotion.faces.sequence import FaceSequence, contact_sheet, extract_faces, nearest_found
from keras_emotion.faces.tracking import FaceTracker
from keras_emotion.faces.video import Frame, VideoFacts, same_frame_rate, sample_frames, video_facts

__all__ = [
    "OPENFACE_QUANTITIES",
    "BlazeFace",
    "Detector",
    "Face",
    "FaceLandmarker",
    "FaceSequence",
    "FaceTracker",
    "Frame",
    "VideoFacts",
    "YuNet",
    "align",
    "contact_sheet",
    "crop_geometry",
    "extract_faces",
    "four_landmarks",
    "landmarker_quantities",
    "make_detector",
    "nearest_found",
    "read_openface",
    "same_frame_rate",
    "sample_frames",
    "video_facts",
]
