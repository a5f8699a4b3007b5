"""Synthetic data in the published format of CREMA-D."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from keras_emotion.synthetic.acted_clips import FLASH, Actor, write_wav
from keras_emotion.synthetic.facts import check_files, read_facts, write_marker
from keras_emotion.synthetic.stimuli import write_clip

FACTS = read_facts("crema_d")

STRENGTHS = {"LO": 0.6, "MD": 1.0, "HI": 1.5, "XX": 1.2}
"""Strength of the expression by emotion level."""

VOTE_ERRORS = 0.3
"""Share of the utterances whose perceived emotion differs, or is tied."""

Files = Literal["audio", "video"]

_LENGTH_SEED, _VOTE_SEED = 64, 65


def write_crema_d(
    out: str | Path,
    n_subjects: int = 4,
    seed: int = 0,
    effect_size: float = 1.0,
    files: Sequence[Files] = ("audio", "video"),
    *,
    n_sentences: int = 2,
    n_emotions: int = 6,
    clip_seconds: float = 2.0,
    video_frame_rate_hz: float = 10.0,
    video_size: tuple[int, int] = (96, 96),
) -> Path:
    """Write synthetic utterances with the names of CREMA-D: a face and a voice that follow the emotion.

    The files are `AudioWAV/1001_DFA_ANG_XX.wav` (16 bits, 16 kHz), `VideoFlash/1001_DFA_ANG_XX.flv` (Flash video with
    audio), `VideoDemographics.csv` and `processedResults/summaryTable.csv`, in which three in ten utterances have
    another perceived emotion or a tie. See `write_ravdess` for their content. The files of an actor do not depend on
    the number of actors.

    Args:
        out: output folder; created if missing.
        n_subjects: number of actors, 1 to 91: 1001 and so on.
        seed: random seed; the same seed gives the same audio, and the same video on one machine.
        effect_size: strength of the effect on face and voice; 0 is no effect.
        files: files to write, audio or video or both.
        n_sentences: number of sentences, 1 to 12: the first ones; the first has three levels of each emotion.
        n_emotions: number of emotions, 2 to 6: the first ones.
        clip_seconds: duration of an utterance in seconds, up to a tenth longer.
        video_frame_rate_hz: frames per second.
        video_size: width and height of a frame.

    Returns:
        `out`.

    Raises:
        ValueError: a number is out of range, or a name is unknown.
    """
    ranges = {
        "n_subjects": (n_subjects, 1, FACTS["n_actors"]),
        "n_sentences": (n_sentences, 1, len(FACTS["sentences"])),
        "n_emotions": (n_emotions, 2, len(FACTS["emotions"])),
        "clip_seconds": (clip_seconds, 0.5, 60),
        "video_frame_rate_hz": (video_frame_rate_hz, 1, 120),
    }
    for name, (value, low, high) in ranges.items():
        if not low <= value <= high:
            raise ValueError(f"`{name}` is {value}; expected {low} to {high}")
    check_files(files, get_args(Files))
    out = Path(out)
    folders = {kind: out / FACTS["folders"][kind][0] for kind in files}
    for folder in (*folders.values(), out / "processedResults"):
        folder.mkdir(parents=True, exist_ok=True)
    people, votes = [], []
    for number in range(FACTS["first_actor"], FACTS["first_actor"] + n_subjects):
        is_female = number % 2 == 0
        rng = np.random.default_rng([seed, number, _VOTE_SEED])
        people.append((number, int(rng.integers(20, 75)), "Female" if is_female else "Male", "Unknown", "Unknown"))
        actor = Actor(seed, number, video_size, is_female)
        for place, (sentence, emotion, level) in enumerate(_codes(n_sentences, n_emotions)):
            name = f"{number}_{sentence}_{emotion}_{level}"
            if name in FACTS["missing"]:
                continue
            expression = actor.expression(FACTS["emotions"][emotion], effect_size, STRENGTHS[level])
            own = np.random.default_rng([seed, number, place, _LENGTH_SEED])
            seconds = round(clip_seconds * own.uniform(1, 1.1) * video_frame_rate_hz) / video_frame_rate_hz
            for kind, folder in folders.items():
                if kind == "audio":
                    rate_hz = FACTS["sampling_rate_hz"]
                    write_wav(folder / f"{name}.wav", actor.voice(place, expression, seconds, rate_hz), rate_hz)
                else:
                    frames = actor.frames(place, expression, seconds, video_frame_rate_hz)
                    sound = actor.voice(place, expression, seconds, FLASH.sampling_rate_hz)
                    write_clip(folder / f"{name}.flv", frames, sound, video_frame_rate_hz, video_size, FLASH)
            votes.append((name, _vote(rng, emotion)))
    _write_csv(out / FACTS["demographics"], ("ActorID", "Age", "Sex", "Race", "Ethnicity"), people)
    columns = ("FileName", "VoiceVote", "VoiceLevel", "FaceVote", "FaceLevel", "MultiModalVote", "MultiModalLevel")
    rows = [(number, name, vote, 60, vote, 60, vote, 60) for number, (name, vote) in enumerate(votes, 1)]
    _write_csv(out / "processedResults" / FACTS["votes"], ("", *columns), rows)
    write_marker(out, dataset="crema_d", n_subjects=n_subjects, seed=seed, effect_size=effect_size, files=list(files))
    return out


def _codes(n_sentences: int, n_emotions: int) -> list[tuple[str, str, str]]:
    """Return sentence, emotion and level of the utterances of an actor."""
    codes = []
    for sentence in FACTS["sentences"][:n_sentences]:
        for emotion in list(FACTS["emotions"])[:n_emotions]:
            has_levels = sentence == FACTS["sentence_with_levels"] and emotion != FACTS["emotion_without_levels"]
            levels = FACTS["levels"] if has_levels else (FACTS["unspecified_level"],)
            codes += [(sentence, emotion, level) for level in levels]
    return codes


def _vote(rng: np.random.Generator, emotion: str) -> str:
    """Draw the first letter of the majority emotion; two letters for a tie."""
    other = str(rng.choice([one for one in FACTS["emotions"] if one != emotion]))
    chance = rng.random()
    if chance < VOTE_ERRORS / 2:
        return other[0]
    return ":".join(sorted((emotion[0], other[0]))) if chance < VOTE_ERRORS else emotion[0]


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(columns)
        writer.writerows(rows)
