"""Which subjects the words after `--subjects` mean."""

from __future__ import annotations

from collections.abc import Sequence

from keras_emotion.datasets import Reader
from keras_emotion.datasets.reader import SubjectId
from keras_emotion.schema import InputError


def chosen_subjects(reader: Reader, words: Sequence[str]) -> tuple[tuple[SubjectId, ...], tuple[str, ...]]:
    """The subjects that are meant: those of exactly that name, else the one who has the number in another spelling.

    Args:
        reader: the dataset.
        words: as they stand on the command line: `01` and `1` may be two people.

    Returns:
        Their ids, as the reader has them, each once; and what is to be said of those whose name was spelt otherwise.

    Raises:
        InputError: nobody is called so, or a number is that of several people.
    """
    exact = {str(subject): subject for subject in reader.subjects}
    numbered: dict[int, list[SubjectId]] = {}
    for name, subject in exact.items():
        if name.isdecimal():
            numbered.setdefault(int(name), []).append(subject)
    found: dict[SubjectId, None] = {}
    notes, unknown = [], []
    for word in words:
        fitting = [exact[word]] if word in exact else numbered.get(int(word), []) if word.isdecimal() else []
        if len(fitting) > 1:
            raise InputError(
                f"--subjects {word}: {' and '.join(map(str, fitting))} have this number; write one of them"
            )
        if not fitting:
            unknown.append(word)
            continue
        found[fitting[0]] = None
        if word not in exact:
            notes.append(f"--subjects {word}: taken as {fitting[0]}")
    if unknown:
        reader.select(unknown)
    return tuple(found), tuple(notes)
