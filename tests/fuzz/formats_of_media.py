"""Videos, sound, pictures and the tables of programs that look at faces."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_emotion.audio import audio_facts, read_audio
from keras_emotion.datasets.stimuli import StimulusFolder, clip_facts
from keras_emotion.faces import sample_frames, video_facts
from keras_emotion.faces.openface import read_openface
from keras_emotion.synthetic import WRITERS, write_stimuli
from keras_emotion.synthetic.acted_clips import write_wav
from keras_emotion.synthetic.deap_videos import write_video
from keras_emotion.synthetic.stimuli import write_clip
from tests.fuzz.formats import Format

SIZE = (64, 48)


def frames(n_frames: int = 20) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return list(rng.integers(0, 256, (n_frames, SIZE[1], SIZE[0], 3), np.uint8))


def sound(seconds: float = 2.0, rate_hz: int = 16_000) -> np.ndarray:
    return (0.1 * np.random.default_rng(1).standard_normal(round(seconds * rate_hz))).astype(np.float32)


def read_video(path: Path) -> list[Any]:
    found = [video_facts(path)]
    found += [(seconds, frame.image) for seconds, frame in sample_frames(path, 5.0)]
    return found


def read_sound(path: Path) -> list[Any]:
    return [audio_facts(path), read_audio(path, 16_000)]


def read_clip(path: Path) -> list[Any]:
    return [clip_facts(path), *read_video(path), *read_sound(path)]


def read_stimuli(folder: Path) -> list[Any]:
    found = StimulusFolder.read(folder)
    facts = [clip_facts(file) for file in found.files]
    return [found.clips, found.problems, facts, found.find_problems(dict.fromkeys(found.clips, 2.0))]


def _of(name: str, kind: str, write: Callable[[Path], Any], read: Callable[[Path], Any]) -> Format:
    return Format(kind, lambda folder: write(folder / name), lambda folder: read(folder / name), (name,))


def _write_openface(folder: Path) -> None:
    WRITERS["deap"](folder / "all", n_subjects=1, n_trials=1, openface=True)
    first = sorted((folder / "all").rglob("s01_trial*.csv"))[0]
    lines = first.read_text().splitlines(keepends=True)
    (folder / "a.csv").write_text("".join(lines[:60]))
    for path in sorted((folder / "all").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (folder / "all").rmdir()


FORMATS = (
    _of("a.avi", "video AVI", lambda path: write_video(path, frames(), 10.0, SIZE), read_video),
    _of("a.mp4", "clip MP4", lambda path: write_clip(path, iter(frames()), sound(), 10.0, SIZE), read_clip),
    _of("a.wav", "sound WAV", lambda path: write_wav(path, sound(), 16_000), read_sound),
    Format(
        "stimulus folder",
        functools.partial(
            write_stimuli,
            emotions={name: {"valence": 0.5, "arousal": 0.1} for name in ("1", "2")},
            seconds={"1": 2.0, "2": 2.0},
            frame_rate_hz=5.0,
            size=SIZE,
        ),
        read_stimuli,
    ),
    Format("OpenFace csv", _write_openface, lambda folder: read_openface(folder / "a.csv"), ("a.csv",)),
)
