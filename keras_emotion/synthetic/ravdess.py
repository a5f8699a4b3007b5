"""Synthetic data in the published format of RAVDESS."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from keras_emotion.synthetic.acted_clips import HIGH_RATE, Actor, write_wav
from keras_emotion.synthetic.facts import read_facts, write_marker
from keras_emotion.synthetic.stimuli import write_clip

FACTS = read_facts("ravdess")

STRENGTHS = (0.8, 1.4)
"""Strength of the expression of normal and of strong intensity."""

Files = Literal["audio", "video", "audio_video"]
Layout = Literal["actors", "archives", "flat"]

_LENGTH_SEED = 64
_CODES = {"audio_video": "01", "video": "02", "audio": "03"}


def write_ravdess(
    out: str | Path,
    n_subjects: int = 4,
    seed: int = 0,
    effect_size: float = 1.0,
    files: Sequence[Files] = ("audio", "audio_video"),
    *,
    n_emotions: int = 8,
    n_statements: int = 2,
    n_repetitions: int = 1,
    song: bool = False,
    clip_seconds: float = 3.0,
    layout: Layout = "actors",
    video_frame_rate_hz: float = 10.0,
    video_size: tuple[int, int] = (96, 96),
) -> Path:
    """Write synthetic utterances with the names of RAVDESS: a face and a voice that follow the emotion.

    The files are `03-01-06-01-02-01-12.wav` (16 bits, 48 kHz), and `01-...mp4` (H.264, AAC at 48 kHz). Face, head and
    light vary as in the synthetic AFEW-VA; pitch, level and brightness of the voice follow arousal and valence of the
    emotion. The files of an actor do not depend on the number of actors.

    Args:
        out: output folder; created if missing.
        n_subjects: number of actors, 1 to 24: the first ones.
        seed: random seed; the same seed gives the same audio, and the same video on one machine.
        effect_size: strength of the effect on face and voice; 0 is no effect.
        files: files to write: audio only, video only, audio-video.
        n_emotions: number of emotions, 2 to 8: the first ones.
        n_statements: sentences, 1 or 2.
        n_repetitions: repetitions of each, 1 or 2.
        song: also write songs; those of the first six emotions, and none of actor 18.
        clip_seconds: duration of an utterance in seconds, up to a tenth longer.
        layout: files of an actor in `Actor_01` (`actors`), in the folders of the archives (`archives`), or all in one
            folder (`flat`).
        video_frame_rate_hz: frames per second; RAVDESS has 30.
        video_size: width and height of a frame; RAVDESS has 1280 x 720.

    Returns:
        `out`.

    Raises:
        ValueError: a number is out of range, or a name is unknown.
    """
    ranges = {
        "n_subjects": (n_subjects, 1, FACTS["n_actors"]),
        "n_emotions": (n_emotions, 2, len(FACTS["emotions"])),
        "n_statements": (n_statements, 1, FACTS["n_statements"]),
        "n_repetitions": (n_repetitions, 1, FACTS["n_repetitions"]),
        "clip_seconds": (clip_seconds, 0.5, 60),
        "video_frame_rate_hz": (video_frame_rate_hz, 1, 120),
    }
    for name, (value, low, high) in ranges.items():
        if not low <= value <= high:
            raise ValueError(f"`{name}` is {value}; expected {low} to {high}")
    if not files or not set(files) <= set(get_args(Files)):
        raise ValueError(f"`files` is {tuple(files)}; expected some of {get_args(Files)}")
    if layout not in get_args(Layout):
        raise ValueError(f"`layout` is {layout!r}; expected one of {get_args(Layout)}")
    out = Path(out)
    for number in range(1, n_subjects + 1):
        actor = Actor(seed, number, video_size, is_female=number % 2 == 0)
        for channel, channel_name in FACTS["vocal_channels"].items():
            is_song = channel_name == "song"
            if is_song and (not song or number in FACTS["without_song"]):
                continue
            n_own = min(n_emotions, FACTS["n_song_emotions"]) if is_song else n_emotions
            for emotion, intensity, statement, repetition in itertools.product(
                range(1, n_own + 1), (1, 2), range(1, n_statements + 1), range(1, n_repetitions + 1)
            ):
                if emotion == 1 and intensity == 2:
                    continue
                codes = (emotion, intensity, statement, repetition)
                _write_utterance(
                    out, actor, channel, codes, files, layout, effect_size, clip_seconds, video_frame_rate_hz
                )
    write_marker(out, dataset="ravdess", n_subjects=n_subjects, seed=seed, effect_size=effect_size, files=list(files))
    return out


def _write_utterance(
    out: Path,
    actor: Actor,
    channel: str,
    codes: tuple[int, int, int, int],
    files: Sequence[Files],
    layout: Layout,
    effect_size: float,
    clip_seconds: float,
    frame_rate_hz: float,
) -> None:
    """Write the files of one utterance."""
    emotion, intensity, *_ = codes
    utterance = int("".join(map(str, (int(channel), *codes))))
    name = FACTS["emotions"][emotion - 1]
    expression = actor.expression(name, effect_size, STRENGTHS[intensity - 1])
    rng = np.random.default_rng([actor.seed, actor.number, utterance, _LENGTH_SEED])
    # Whole frames, so that audio and video have the same duration.
    seconds = round(clip_seconds * rng.uniform(1, 1.1) * frame_rate_hz) / frame_rate_hz
    rate_hz = FACTS["sampling_rate_hz"]
    voice = actor.voice(utterance, expression, seconds, rate_hz)
    for kind in files:
        stem = "-".join([_CODES[kind], channel, *(f"{code:02d}" for code in codes), f"{actor.number:02d}"])
        folder = out / _folder(kind, channel, actor.number, layout)
        folder.mkdir(parents=True, exist_ok=True)
        if kind == "audio":
            write_wav(folder / f"{stem}.wav", voice, rate_hz)
            continue
        frames = actor.frames(utterance, expression, seconds, frame_rate_hz)
        sound = voice if kind == "audio_video" else None
        write_clip(folder / f"{stem}.mp4", frames, sound, frame_rate_hz, actor.size, HIGH_RATE)


def _folder(kind: Files, channel: str, actor: int, layout: Layout) -> Path:
    if layout == "flat":
        return Path()
    own = f"Actor_{actor:02d}"
    if layout == "actors":
        return Path(own)
    what = FACTS["vocal_channels"][channel].capitalize()
    return Path(f"Audio_{what}_Actors_01-24" if kind == "audio" else f"Video_{what}_{own}") / own
