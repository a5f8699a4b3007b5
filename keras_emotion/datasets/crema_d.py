"""CREMA-D reader: 91 actors speak twelve sentences with six emotions; audio and video, no EEG."""

from __future__ import annotations

import csv
import functools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from keras_emotion.datasets.acted_clips import ActedClips, FileFormat, MediaFile, Medium, Utterance
from keras_emotion.datasets.reader import GENDERS, Gender, Problem
from keras_emotion.refusals import refusing_unreadable
from keras_emotion.schema import InputError

FACTS: dict[str, Any] = json.loads((Path(__file__).parent / "facts" / "crema_d.json").read_text(encoding="utf-8"))
"""Counts, codes, missing and damaged files of CREMA-D (`facts/crema_d.json`)."""

EMOTIONS: tuple[str, ...] = tuple(FACTS["emotions"].values())
LEVELS: tuple[str, ...] = tuple(FACTS["levels"].values())

# One file name of an older copy lacks an X at its end.
_FILE_NAME = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_(XX?|LO|MD|HI)\.(wav|mp3|flv|mp4)", re.IGNORECASE)
_MEDIA: Mapping[str, tuple[Medium, int]] = {
    # Users commonly convert the flash videos to mp4.
    "wav": ("audio", 0),
    "mp3": ("audio", 1),
    "flv": ("video", 0),
    "mp4": ("video", 1),
}
_VIDEO_AS_SOUND = 2


def _codes() -> list[tuple[str, str, str]]:
    """Return sentence, emotion and level of the utterances, in order."""
    codes = []
    for sentence in FACTS["sentences"]:
        for emotion in FACTS["emotions"]:
            has_levels = sentence == FACTS["sentence_with_levels"] and emotion != FACTS["emotion_without_levels"]
            codes += [(sentence, emotion, level) for level in (FACTS["levels"] if has_levels else ["XX"])]
    return codes


_TRIALS = {codes: trial for trial, codes in enumerate(_codes(), 1)}


class CREMAD(ActedClips):
    """Reader of the Crowd-sourced Emotional Multimodal Actors Dataset (`1001_DFA_ANG_XX.wav`, ...).

    File names consist of actor, sentence, emotion and level. Files are read from `AudioWAV` (or else `AudioMP3`) and
    `VideoFlash`, or any subfolders; if the audio file is missing, the audio of the video is read.

    A trial is an utterance, numbered 1 to 82 in the order of sentences, emotions and levels of `facts/crema_d.json`.
    `Trial.stimulus` is the file name (`"1001_DFA_ANG_XX"`). Ratings are classes: `emotion` (six), `intensity` (low,
    medium, high; of one sentence only), and `perceived_emotion`, the majority vote of the raters of audio and video
    together, if `summaryTable.csv` exists and gives a single emotion: it often differs from `emotion`.

    Four videos (and the mp3 of the same) and one wav are damaged in the dataset itself and skipped; twenty utterances
    do not exist.

    Args:
        root: folder of the files, which may be in subfolders.
        file_format: see `ActedClips`.

    Raises:
        InputError: `root` contains no such files.
        ValueError: `file_format` is invalid.

    References:
        Cao et al., "CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset", IEEE Transactions on Affective
        Computing 5(4), 2014. Open Database License.
    """

    name = "crema_d"
    usual_protocols: ClassVar[tuple[str, ...]] = ("subject_disjoint",)
    class_names: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "emotion": EMOTIONS,
        "intensity": LEVELS,
        "perceived_emotion": EMOTIONS,
    }
    meaning_of_stimulus = "one utterance of one actor: no stimulus is shared by two subjects"
    example = "1001_DFA_ANG_XX.wav"

    def __init__(self, root: str | Path, file_format: FileFormat | None = None):
        super().__init__(root, file_format)
        self.vote_file = next(iter(sorted(self.root.rglob(FACTS["votes"]))), None)
        self.demographics_file = next(iter(sorted(self.root.rglob(FACTS["demographics"]))), None)

    def source_files(self, subject: int) -> tuple[Path, ...]:
        """Return all files of the actor that are read, including the table of votes."""
        return (*super().source_files(subject), *filter(None, [self.vote_file]))

    def genders(self) -> Mapping[int, Gender]:
        """See `Reader.genders`; empty if the table of actors is missing."""
        if self.demographics_file is None:
            return {}
        rows = _rows(self.demographics_file, ("ActorID", "Sex"))
        genders = {int(row["ActorID"]): row["Sex"].lower() for row in rows if row["ActorID"].isdigit()}
        return {subject: GENDERS[genders[subject]] for subject in self.subjects if genders.get(subject) in GENDERS}

    @override
    def notes(self, subjects: Sequence[int] | None = None) -> list[str]:
        without = [] if self.vote_file else [f"{FACTS['votes']} missing: perceived emotions are not read"]
        return [*super().notes(subjects), *without]

    @property
    def _all_subjects(self) -> Sequence[int]:
        return range(FACTS["first_actor"], FACTS["first_actor"] + FACTS["n_actors"])

    def _expected(self, subject: int) -> Mapping[int, str]:
        names = {trial: "_".join([str(subject), *codes]) for codes, trial in _TRIALS.items()}
        return {trial: name for trial, name in names.items() if name not in FACTS["missing"]}

    def _is_damaged(self, one: MediaFile) -> bool:
        suffix = one.path.suffix.lower().removeprefix(".")
        return one.utterance.stimulus in FACTS["damaged"]["flv" if suffix == "mp4" else suffix]

    def _files_of_name(self, path: Path) -> Sequence[MediaFile]:
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            return ()
        actor, sentence, emotion, level, suffix = (word.upper() for word in match.groups())
        codes = (sentence, emotion, "XX" if level == "X" else level)
        if codes not in _TRIALS:
            return ()
        ratings = {"emotion": float(list(FACTS["emotions"]).index(emotion))}
        if level in FACTS["levels"]:
            ratings["intensity"] = float(list(FACTS["levels"]).index(level))
        utterance = Utterance(int(actor), _TRIALS[codes], "_".join([actor, *codes]), ratings)
        medium, rank = _MEDIA[suffix.lower()]
        files = [MediaFile(path, medium, utterance, rank)]
        if medium == "video":
            files.append(MediaFile(path, "audio", utterance, _VIDEO_AS_SOUND + rank))
        return files

    # --- votes

    def _ratings(self, utterance: Utterance) -> dict[str, float]:
        # An unreadable table is reported separately.
        vote = None if self._shared_problems else self._votes.get(utterance.stimulus)
        return {**utterance.ratings, **({} if vote is None else {"perceived_emotion": vote})}

    @functools.cached_property
    def _shared_problems(self) -> tuple[Problem, ...]:
        if self.vote_file is None:
            return ()
        try:
            _ = self._votes
        except InputError as error:
            return (Problem(self.vote_file, str(error).removeprefix(f"{self.vote_file}: ")),)
        return ()

    @functools.cached_property
    def _votes(self) -> Mapping[str, float]:
        """Majority-vote emotion index by utterance, without ties.

        Raises:
            InputError: the table cannot be read.
        """
        if self.vote_file is None:
            return {}
        letters = {name[0].upper(): float(index) for index, name in enumerate(EMOTIONS)}
        votes = {}
        for line, row in enumerate(_rows(self.vote_file, ("FileName", "MultiModalVote")), 2):
            named = row["MultiModalVote"].split(":")
            if not set(named) <= set(letters):
                raise InputError(
                    f"{self.vote_file}: line {line}: MultiModalVote is {row['MultiModalVote']!r}; expected some of "
                    f"{', '.join(letters)}, joined by colons"
                )
            if len(named) == 1:
                votes[row["FileName"]] = letters[named[0]]
        return votes


def _rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    with refusing_unreadable(path), path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or any(row.get(name) is None for row in rows for name in columns):
        raise InputError(f"{path}: expected a csv with the columns {', '.join(columns)} in each row; copy it again")
    return rows
