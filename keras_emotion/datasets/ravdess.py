"""RAVDESS reader: 24 actors speak and sing two sentences with eight emotions; audio and video, no EEG."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from typing_extensions import override

from keras_emotion.datasets.acted_clips import ActedClips, FileFormat, MediaFile, Utterance
from keras_emotion.datasets.reader import Gender

FACTS: dict[str, Any] = json.loads((Path(__file__).parent / "facts" / "ravdess.json").read_text(encoding="utf-8"))
"""Counts and codes of RAVDESS (`facts/ravdess.json`); `notes` lists what is not read."""

VocalChannel = Literal["both", "speech", "song"]

EMOTIONS: tuple[str, ...] = tuple(FACTS["emotions"])
INTENSITIES: tuple[str, ...] = tuple(FACTS["intensities"])

_FILE_NAME = re.compile(r"(0[1-3])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(\d\d)\.(mp4|wav)", re.IGNORECASE)
_CHANNELS: Mapping[str, str] = FACTS["vocal_channels"]


def _codes(channel: str) -> Iterator[tuple[str, int, int, int, int]]:
    """Yield channel, emotion, intensity, statement and repetition of the utterances, in order."""
    emotions = range(1, (len(EMOTIONS) if channel == "01" else FACTS["n_song_emotions"]) + 1)
    for emotion in emotions:
        # Neutral has no strong intensity.
        for intensity in range(1, 2 if emotion == 1 else len(INTENSITIES) + 1):
            for statement in range(1, FACTS["n_statements"] + 1):
                for repetition in range(1, FACTS["n_repetitions"] + 1):
                    yield channel, emotion, intensity, statement, repetition


_TRIALS = {codes: trial for trial, codes in enumerate((*_codes("01"), *_codes("02")), 1)}


class RAVDESS(ActedClips):
    """Reader of the Ryerson Audio-Visual Database of Emotional Speech and Song (`03-01-06-01-02-01-12.wav`, ...).

    File names are codes: modality (01 audio and video, 02 video, 03 audio), vocal channel (01 speech, 02 song),
    emotion, intensity, statement, repetition, actor. Files may be in one folder, in `Actor_01` and so on, or as
    unpacked from the archives of Zenodo (record 1188976).

    A trial is an utterance: 1 to 60 speech, 61 to 104 song, in the order of the codes. Its video is the audio-video
    file, or else the video-only file; its audio (`Trial.voice`) is the audio-only file, or else that of the audio-video
    file. `Trial.stimulus` is its codes (`"01-06-01-02-01-12"`). Ratings are classes: `emotion` (eight; songs have the
    first six) and `intensity` (normal, strong).

    Args:
        root: folder of the files, which may be in subfolders.
        file_format: see `ActedClips`.
        vocal_channel: `"speech"`, `"song"` or `"both"`.

    Raises:
        InputError: `root` contains no such files.
        ValueError: an argument is invalid.

    References:
        Livingstone and Russo, "The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS)", PLoS ONE
        13(5), e0196391, 2018. CC BY-NC-SA 4.0.
    """

    name = "ravdess"
    usual_protocols: ClassVar[tuple[str, ...]] = ("subject_disjoint",)
    class_names: ClassVar[Mapping[str, tuple[str, ...]]] = {"emotion": EMOTIONS, "intensity": INTENSITIES}
    meaning_of_stimulus = "one utterance of one actor: no stimulus is shared by two subjects"
    example = "03-01-06-01-02-01-12.wav"

    def __init__(self, root: str | Path, file_format: FileFormat | None = None, vocal_channel: VocalChannel = "both"):
        if vocal_channel not in get_args(VocalChannel):
            raise ValueError(f"`vocal_channel` is {vocal_channel!r}; expected one of {get_args(VocalChannel)}")
        self.vocal_channel = vocal_channel
        super().__init__(root, file_format)

    @property
    @override
    def options(self) -> dict[str, Any]:
        return {"vocal_channel": self.vocal_channel}

    def genders(self) -> Mapping[int, Gender]:
        """See `Reader.genders`; odd numbers are male."""
        return {subject: "male" if subject % 2 else "female" for subject in self.subjects}

    @override
    def notes(self, subjects: Sequence[int] | None = None) -> list[str]:
        left_out = [] if self.vocal_channel == "both" else [f"only {self.vocal_channel} is read"]
        return [*super().notes(subjects), *left_out]

    @property
    def _all_subjects(self) -> Sequence[int]:
        return range(1, FACTS["n_actors"] + 1)

    def _is_read(self, channel: str) -> bool:
        return self.vocal_channel in ("both", _CHANNELS[channel])

    def _expected(self, subject: int) -> Mapping[int, str]:
        without = FACTS["without_song"]
        return {
            trial: _stimulus(codes, subject)
            for codes, trial in _TRIALS.items()
            if self._is_read(codes[0]) and not (_CHANNELS[codes[0]] == "song" and subject in without)
        }

    def _files_of_name(self, path: Path) -> Sequence[MediaFile]:
        match = _FILE_NAME.fullmatch(path.name)
        if match is None or not self._is_read(match[2]):
            return ()
        modality, channel, *numbers, actor, suffix = match.groups()
        emotion, intensity, statement, repetition = map(int, numbers)
        codes = (channel, emotion, intensity, statement, repetition)
        if codes not in _TRIALS or (suffix.lower() == "wav") != (modality == "03"):
            return ()
        ratings = {"emotion": float(emotion - 1), "intensity": float(intensity - 1)}
        utterance = Utterance(int(actor), _TRIALS[codes], _stimulus(codes, int(actor)), ratings)
        kind = FACTS["modalities"][modality]
        # A file with both precedes video-only files as video, and follows audio-only files as audio.
        ranks: dict[str, dict[Any, int]]
        ranks = {"audio_video": {"video": 0, "audio": 1}, "video": {"video": 1}, "audio": {"audio": 0}}
        return [MediaFile(path, medium, utterance, rank) for medium, rank in ranks[kind].items()]


def _stimulus(codes: tuple[str, int, int, int, int], actor: int) -> str:
    channel, *numbers = codes
    return "-".join([channel, *(f"{number:02d}" for number in (*numbers, actor))])
