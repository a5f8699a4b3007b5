"""Synthetic data in the format of AFEW-VA."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from keras_emotion.synthetic.faces import (
    AnimatedFace,
    FaceIdentity,
    blink_course,
    light_course,
    pose_course,
    smooth_noise,
    write_image,
)
from keras_emotion.synthetic.facts import read_facts, write_marker

Layout = Literal["grouped", "flat"]

FACTS = read_facts("afew_va")

CLIPS_PER_GROUP = 50
"""Clips per zip file, and per folder of the grouped layout."""

TARGETS = ("valence", "arousal")

CLIP_SD, FLUCTUATION_SD, FLUCTUATION_SECONDS = 0.6, 0.4, 2.0
"""Standard deviations of a clip's mean and of the fluctuation around it, before they are squashed into [-1, 1]."""

# Last elements of seeds `[seed, clip, ...]`; those of actors are `[seed, 0, actor]`. None is 0, because trailing zeros
# do not change a seed.
_SCORES, _OWN_EXPRESSION = (1, 2), (3, 4)
_HEAD, _LIGHT, _BLINKS, _LENGTH = 5, 6, 7, 8


def write_afew_va(
    out: str | Path,
    n_clips: int = 20,
    n_actors: int = 10,
    frames_per_clip: int | tuple[int, int] = (10, 120),
    seed: int = 0,
    effect_size: float = 1.0,
    layout: Layout = "grouped",
    *,
    frame_size: tuple[int, int] = (720, 576),
) -> Path:
    """Write a synthetic AFEW-VA: clips of PNG frames, each with scores and landmarks.

    A clip shows one actor. Its scores fluctuate around the clip's mean; at `effect_size` 1 they are ten times the
    valence and arousal of the face (see `faces`), rounded. Head and light vary independently of the scores. Landmarks
    are those of the rendered frame, exact to a thousandth of a pixel. The files of a clip do not depend on the number
    of clips.

    Args:
        out: output folder; created if missing.
        n_clips: number of clips, 1 to 600: the first ones.
        n_actors: number of actors, who take turns over the clips.
        frames_per_clip: frames of each clip, or the smallest and largest number; there are 25 per second.
        seed: random seed; the same seed gives the same files.
        effect_size: correlation of the face with the scores, 0 to 1, before both are squashed into their range. The
            amount of facial movement does not depend on it.
        layout: layout of the folders; `"grouped"` (`01/001/00000.png`, 50 clips per folder, as in the zip files) or
            `"flat"` (`001/00000.png`).
        frame_size: width and height of a frame; at the default size a frame takes half a megabyte.

    Returns:
        `out`.

    Raises:
        ValueError: a number is out of range, or the layout is unknown.
    """
    if not 1 <= n_clips <= FACTS["n_clips"]:
        raise ValueError(f"`n_clips` is {n_clips}; expected 1 to {FACTS['n_clips']}")
    if n_actors < 1:
        raise ValueError(f"`n_actors` is {n_actors}; expected 1 or more")
    fewest, most = (frames_per_clip,) * 2 if isinstance(frames_per_clip, int) else frames_per_clip
    if not 1 <= fewest <= most:
        raise ValueError(
            f"`frames_per_clip` is {frames_per_clip}; expected 1 or more, or the smallest and largest number"
        )
    if not 0 <= effect_size <= 1:
        raise ValueError(f"`effect_size` is {effect_size}; expected 0 to 1")
    if layout not in get_args(Layout):
        raise ValueError(f"`layout` is {layout!r}; expected one of {get_args(Layout)}")
    if min(frame_size) < 32:
        raise ValueError(f"`frame_size` is {tuple(frame_size)}; expected 32 or more")
    out = Path(out)
    width, height = frame_size
    # The clips of an actor are written consecutively, so that only one face is in memory.
    for actor in range(1, min(n_actors, n_clips) + 1):
        face = AnimatedFace(height, width, FaceIdentity.draw(np.random.default_rng([seed, 0, actor])))
        for clip in range(actor, n_clips + 1, n_actors):
            n_frames = int(np.random.default_rng([seed, clip, _LENGTH]).integers(fewest, most + 1))
            group = f"{(clip - 1) // CLIPS_PER_GROUP + 1:02d}/" if layout == "grouped" else ""
            folder = out / f"{group}{clip:03d}"
            folder.mkdir(parents=True, exist_ok=True)
            frames = _write_frames(folder, face, seed, clip, n_frames, effect_size)
            content = {"actor": f"actor_{actor:02d}", "frames": frames, "video_id": f"{clip:03d}"}
            (folder / f"{clip:03d}.json").write_text(json.dumps(content) + "\n", encoding="utf-8")
    write_marker(
        out,
        dataset="afew_va",
        n_clips=n_clips,
        n_actors=n_actors,
        frames_per_clip=[fewest, most],
        seed=seed,
        effect_size=effect_size,
        layout=layout,
        frame_size=list(frame_size),
    )
    return out


def _write_frames(
    folder: Path, face: AnimatedFace, seed: int, clip: int, n_frames: int, effect_size: float
) -> dict[str, dict]:
    """Write the frames of a clip, and return their annotations in its JSON file."""

    def source(tag: int) -> np.random.Generator:
        return np.random.default_rng([seed, clip, tag])

    def course(tag: int) -> np.ndarray:
        rng = source(tag)
        return CLIP_SD * rng.standard_normal() + FLUCTUATION_SD * smooth_noise(rng, times, FLUCTUATION_SECONDS)

    times = np.arange(n_frames) / FACTS["frame_rate_hz"]
    scored = np.stack([course(tag) for tag in _SCORES], axis=-1)
    own = np.stack([course(tag) for tag in _OWN_EXPRESSION], axis=-1)
    shown = np.tanh(effect_size * scored + np.sqrt(1 - effect_size**2) * own)
    scores = np.rint(FACTS["score_range"][1] * np.tanh(scored)).astype(int)
    poses, blinks = pose_course(source(_HEAD), times), blink_course(source(_BLINKS), times)
    frames = {}
    for index, light in enumerate(light_course(source(_LIGHT), times)):
        name = f"{index:05d}"
        write_image(
            folder / f"{name}.png", face.frame(shown[index, 0], shown[index, 1], poses[index], light, blinks[index])
        )
        landmarks = face.landmarks(shown[index, 0], shown[index, 1], poses[index], blinks[index])
        frames[name] = {
            "landmarks": landmarks.round(3).tolist(),
            **dict(zip(TARGETS, scores[index].tolist(), strict=True)),
        }
    return frames
