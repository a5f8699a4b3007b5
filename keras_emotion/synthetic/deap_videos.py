"""Synthetic face videos of DEAP: a face whose expression follows the ratings of its trial."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from keras_emotion.faces.openface import OPENFACE_QUANTITIES
from keras_emotion.synthetic.faces import (
    AnimatedFace,
    FaceIdentity,
    blink_course,
    expression_course,
    light_course,
    pose_course,
    smooth_noise,
)
from keras_emotion.synthetic.facts import read_facts

FACTS = read_facts("deap")

EXPRESSION_PER_DEVIATION = 0.5
"""Expression per standard deviation of a rating, before it is squashed into [-1, 1]."""

EXPRESSION_FLUCTUATION_SD = 0.35
"""Standard deviation of the fluctuation of the expression during a trial, before it is squashed."""

# Last elements of seeds `[seed, subject, experiment id, ...]`, experiment id 0 for subject-level values. None is 0,
# because trailing zeros do not change a seed.
_VALENCE, _AROUSAL, _HEAD, _LIGHT, _BLINKS, IDENTITY_SEED, _OPENFACE = 1, 2, 3, 4, 5, 6, 7

_OPENFACE_MIDDLE = np.array([0.0, 0.0, 600.0, 0.1, 0.0, 0.0, 0.1, 0.3, -0.95, -0.1, 0.3, -0.95, *[0.8] * 17])
_OPENFACE_SPREAD = np.array([20.0, 15.0, 30.0, 0.05, 0.08, 0.05, *[0.05, 0.05, 0.01] * 2, *[0.25] * 17])
_OPENFACE_EXPRESSION = {
    **dict.fromkeys(("06", "12"), ("valence", 1.0)),
    **dict.fromkeys(("04", "15"), ("valence", -0.7)),
    **dict.fromkeys(("01", "02", "05", "26"), ("arousal", 0.8)),
}
"""Dependence of action units on the expression, with factors."""


def check_video(frame_rate_hz: float, size: tuple[int, int]) -> None:
    """Check a frame rate and a frame size.

    Raises:
        ValueError: a value is out of range; the message uses the parameter names of the dataset writers.
    """
    if not 1 <= frame_rate_hz <= 120:
        raise ValueError(f"`video_frame_rate_hz` is {frame_rate_hz}; expected 1 to 120")
    if len(size) != 2 or min(size) < 32 or any(side % 2 for side in size):
        raise ValueError(f"`video_size` is {tuple(size)}; expected an even width and height from 32 on")


def trial_expression(
    seed: int,
    subject: int,
    trial: int,
    deviations: Mapping[str, float],
    times_seconds: np.ndarray,
    face_effect_size: float = 1.0,
) -> dict[str, np.ndarray]:
    """Return valence and arousal of a subject's face during a trial, as a function of time.

    Args:
        seed: seed of the dataset.
        subject: id of the subject.
        trial: experiment id.
        deviations: ratings of valence and arousal in standard deviations above the middle of the scale.
        times_seconds: times from stimulus onset.
        face_effect_size: strength of the dependence on the ratings: the expression fluctuates around
            `tanh(face_effect_size * EXPRESSION_PER_DEVIATION * deviation)`.

    Returns:
        `valence` and `arousal`, of the shape of `times_seconds`, in (-1, 1).
    """
    courses = {}
    for name, tag in (("valence", _VALENCE), ("arousal", _AROUSAL)):
        mean = np.tanh(face_effect_size * EXPRESSION_PER_DEVIATION * deviations[name])
        rng = np.random.default_rng([seed, subject, trial, tag])
        courses[name] = expression_course(rng, times_seconds, mean, EXPRESSION_FLUCTUATION_SD)
    return courses


def trial_frames(
    face: AnimatedFace,
    seed: int,
    subject: int,
    trial: int,
    deviations: Mapping[str, float],
    times_seconds: np.ndarray,
    face_effect_size: float,
) -> Iterator[np.ndarray]:
    """Yield the frames of a trial, `(height, width, 3)` uint8 each, RGB; arguments as `trial_expression`."""
    expression = trial_expression(seed, subject, trial, deviations, times_seconds, face_effect_size)
    head, light, blinks = (np.random.default_rng([seed, subject, trial, tag]) for tag in (_HEAD, _LIGHT, _BLINKS))
    moments = zip(
        expression["valence"],
        expression["arousal"],
        pose_course(head, times_seconds),
        light_course(light, times_seconds),
        blink_course(blinks, times_seconds),
        strict=True,
    )
    return (face.frame(*moment) for moment in moments)


def write_face_videos(
    folder: Path,
    seed: int,
    subject: int,
    ratings: pd.DataFrame,
    deviations: Mapping[str, np.ndarray],
    face_effect_size: float,
    frame_rate_hz: float,
    size: tuple[int, int],
) -> None:
    """Write `sNN/sNN_trialMM.avi` of one subject, where MM is the trial's position in the order of presentation.

    Each lasts 60 s from stimulus onset. If the dataset lacks videos of a subject, the last ones are not written (which
    ones are missing is not verified), provided that all trials are written.

    Args:
        folder: `face_video` of the dataset.
        seed: seed of the dataset.
        subject: id of the subject; nothing is written if the dataset has no videos of this subject.
        ratings: rows of `participant_ratings.csv` of the subject.
        deviations: `valence` and `arousal` of each row, see `trial_expression`.
        face_effect_size: see `trial_expression`.
        frame_rate_hz: frames per second.
        size: width and height of a frame, even numbers.
    """
    facts = FACTS["face_video"]
    if subject > facts["last_subject"]:
        return
    n_videos = len(ratings)
    if n_videos == FACTS["n_trials"]:
        n_videos = facts["n_videos"].get(str(subject), n_videos)
    folder = folder / f"s{subject:02d}"
    folder.mkdir(parents=True, exist_ok=True)
    width, height = size
    identity = FaceIdentity.draw(np.random.default_rng([seed, subject, 0, IDENTITY_SEED]))
    times = np.arange(round(FACTS["trial_seconds"] * frame_rate_hz)) / frame_rate_hz

    def write(row: int, trial: int, presentation: int) -> None:
        # A face has its own buffers, so each thread needs one.
        face = AnimatedFace(height, width, identity)
        own = {name: values[row] for name, values in deviations.items()}
        frames = trial_frames(face, seed, subject, trial, own, times, face_effect_size)
        write_video(folder / f"s{subject:02d}_trial{presentation:02d}.avi", frames, frame_rate_hz, size)

    shown = enumerate(zip(ratings["Experiment_id"], ratings["Trial"], strict=True))
    # Threads, because warping and encoding release the interpreter lock.
    joblib.Parallel(n_jobs=-1, prefer="threads")(
        joblib.delayed(write)(row, trial, presentation)
        for row, (trial, presentation) in shown
        if presentation <= n_videos
    )


def write_openface_files(
    folder: Path,
    seed: int,
    subject: int,
    ratings: pd.DataFrame,
    deviations: Mapping[str, np.ndarray],
    face_effect_size: float,
    frame_rate_hz: float = 10.0,
) -> None:
    """Write `sNN_trialMM.csv` in the format of OpenFace 2's FeatureExtraction, for the videos of `write_face_videos`.

    The expression is that of the videos: action units 6 and 12 rise with valence, 4 and 15 fall with it, 1, 2, 5 and 26
    rise with arousal; the others, place, rotation and gaze vary randomly. In some frames no face is found.

    Args:
        folder: output folder.
        seed: seed of the dataset.
        subject: id of the subject.
        ratings: rows of `participant_ratings.csv` of the subject.
        deviations: `valence` and `arousal` of each row.
        face_effect_size: see `trial_expression`.
        frame_rate_hz: frames per second.
    """
    if subject > FACTS["face_video"]["last_subject"]:
        return
    folder.mkdir(parents=True, exist_ok=True)
    times = np.arange(round(FACTS["trial_seconds"] * frame_rate_hz)) / frame_rate_hz
    for row, (trial, presentation) in enumerate(zip(ratings["Experiment_id"], ratings["Trial"], strict=True)):
        own = {name: values[row] for name, values in deviations.items()}
        expression = trial_expression(seed, subject, trial, own, times, face_effect_size)
        rng = np.random.default_rng([seed, subject, trial, _OPENFACE])
        fluctuation = np.stack([smooth_noise(rng, times, 6.0) for _ in OPENFACE_QUANTITIES], axis=1)
        quantities = pd.DataFrame(fluctuation * _OPENFACE_SPREAD + _OPENFACE_MIDDLE, columns=list(OPENFACE_QUANTITIES))
        for unit, (name, slope) in _OPENFACE_EXPRESSION.items():
            quantities[f"AU{unit}_r"] += slope * expression[name]
        units = [name for name in OPENFACE_QUANTITIES if name.startswith("AU")]
        quantities[units] = quantities[units].clip(0, 5)
        success = (rng.random(len(times)) > 0.02).astype(int)
        frames = pd.DataFrame(
            {
                "frame": np.arange(1, len(times) + 1),
                "face_id": 0,
                "timestamp": times,
                "confidence": 0.98 * success,
                "success": success,
            }
        )
        table = pd.concat([frames, quantities * success[:, np.newaxis]], axis=1)
        table.to_csv(folder / f"s{subject:02d}_trial{presentation:02d}.csv", index=False, float_format="%.3f")


def write_video(path: Path, frames: Iterable[np.ndarray], frame_rate_hz: float, size: tuple[int, int]) -> None:
    """Write an H.264 AVI file, with the same bytes for the same frames on any number of cores.

    Args:
        path: output file.
        frames: `(height, width, 3)` uint8 each, RGB.
        frame_rate_hz: frames per second, to the nearest fraction with a denominator of at most 10000. FFmpeg gives the
            first frame of H.264 in AVI a time of one frame, not 0: times count from the first frame.
        size: width and height, even numbers.
    """
    import av
    import cv2

    width, height = size
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream("libx264", rate=Fraction(frame_rate_hz).limit_denominator(10_000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        # AVI stores no presentation times: without B-frames, the coding order is the presentation order.
        # The macroblock tree of x264 (core 165) occasionally gives other bytes, and more threads always do.
        stream.options = {"preset": "veryfast", "bf": "0", "x264-params": "mbtree=0:weightp=0"}
        stream.codec_context.thread_count = 1
        for frame in frames:
            planes: Any = cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(stream.encode())
