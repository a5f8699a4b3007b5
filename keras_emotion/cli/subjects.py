"""Subjects selected by `--subjects`."""

from __future__ import annotations

from collections.abc import Sequence

from keras_emotion.datasets import Reader
from keras_emotion.datasets.reader import SubjectId
from keras_emotion.schema import InputError


def chosen_subjects(reader: Reader, words: Sequence[str]) -> tuple[tuple[SubjectId, ...], tuple[str, ...]]:
    """Find subjects by name, or else by number in another spelling (`1` for `01`).

    Args:
        reader: the dataset.
        words: names as typed; `01` and `1` may be different subjects.

    Returns:
        Their ids as in the reader, without duplicates; and a note for each name with another spelling.

    Raises:
        InputError: a subject does not exist, or a number matches several subjects.
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
            raise InputError(f"--subjects {word}: {' and '.join(map(str, fitting))} have this number; give one of them")
        if not fitting:
            unknown.append(word)
            continue
        found[fitting[0]] = None
        if word not in exact:
            notes.append(f"--subjects {word}: taken as {fitting[0]}")
    if unknown:
        reader.select(unknown)
    return tuple(found), tuple(notes)
