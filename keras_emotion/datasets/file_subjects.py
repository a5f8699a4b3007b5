"""Derive the subject of a recording from its file name."""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from keras_emotion.schema import InputError

_PERSON_WORDS = (
    "subject|subj|sub|suj|participant|person|patient|pat|pt|proband|vpn|vp|volunteer|control|ctrl|user|id|ppt|pp"
)
_RUN_WORDS = "session|sess|ses|run|part|block|visit|day|trial|take|rep|segment|seg|split|r"
_CONDITIONS = "baseline|rest|task|pre|post|eo|ec|morning|evening"

_PERSON = re.compile(rf"(?<![^\W_])(?:sub-[^\W_]+|(?:{_PERSON_WORDS})[-_ ]?\d+)", re.IGNORECASE)
"""`sub-anna`, `subject_3`, `VP07`: identifies a subject anywhere in a name."""

_SHORT_PERSON = re.compile(r"(?:^|(?<=/))(?!p300)[sp]\d+", re.IGNORECASE)
"""`s01`, `P7`: a subject at the start of a name; elsewhere possibly a session or a part."""

_SESSION = re.compile(r"(?:^|[^A-Za-z])(?:session|sess|ses|visit)(?:-([^\W_]+)|[_ ]?(\d+))", re.IGNORECASE)

_FORM = re.compile(r"[-_](?:raw|eeg|ieeg|meg|sss|tsss)$", re.IGNORECASE)

_RUN = re.compile(
    rf"(?:(?:^|[-_ ./]|(?<=\d))(?:{_RUN_WORDS})[-_ ]?\d+|[-_ ./](?:{_CONDITIONS})"
    r"|(?:^|[-_ ./])(?:19|20)\d\d-?\d\d-?\d\d(?:[-_ T]?\d\d[-:]?\d\d(?:[-:]?\d\d)?)?)$",
    re.IGNORECASE,
)
"""Suffix that distinguishes recordings of one subject: a run, a condition, a date."""

_NUMBER = re.compile(r"[-_ ./(]+(\d+)\)?$")


@dataclasses.dataclass(frozen=True)
class FileSubjects:
    """Subjects of some recordings.

    Args:
        subjects: subject by recording, in order.
        sessions: session by recording; empty texts if the names have none.
        notes: how they were derived, for the user to check.
    """

    subjects: tuple[str, ...]
    sessions: tuple[str, ...]
    notes: tuple[str, ...]


def subjects_from_names(files: Sequence[str], is_bids: bool = False, pattern: str | None = None) -> FileSubjects:
    """Derive the subjects of recordings from their names.

    A subject is identified by the usual prefixes (`sub-03`, `subject_3`, `s03_...`, `P3/...`). Otherwise it is the name
    without a suffix that distinguishes recordings of one subject (`_run2`, `_20240131`, `_rest`; a number alone if the
    name before it also contains one, or if the same numbers occur with several names). In doubt, two recordings are
    assigned to the same subject: otherwise, one person could be in both the training and the test set.

    Args:
        files: paths relative to the data folder, with `/`.
        is_bids: whether they are in a BIDS tree; the subject then follows `sub-`.
        pattern: regular expression that is searched in each path, with a group `subject` and optionally a group
            `session`; replaces the rules above.

    Raises:
        InputError: the pattern is invalid, has no group `subject`, or does not match a file.

    Example:
        >>> subjects_from_names(["s01_1.edf", "s01_2.edf", "s02_1.edf"]).subjects
        ('s01', 's01', 's02')
    """
    if pattern is not None:
        found = [_by_pattern(file, pattern) for file in files]
        subjects, sessions = [subject for subject, _ in found], [session for _, session in found]
        return FileSubjects(tuple(subjects), tuple(sessions), _notes(files, subjects, f"--subject-pattern {pattern!r}"))
    stems = [_stem(file) for file in files]
    sessions = [match[1] or match[2] if (match := _SESSION.search(stem)) else "" for stem in stems]
    named = {place: person for place, stem in enumerate(stems) if (person := _named_person(stem))}
    others = [place for place in range(len(files)) if place not in named]
    subjects = ["" for _ in files]
    first_spelling: dict[str, str] = {}
    for place, person in named.items():
        # `S1` and `s01` are the same.
        spelling = re.sub(r"0*(\d*)\Z", r" \1", re.sub("[-_ ]", "", person.lower()), count=1)
        subjects[place] = first_spelling.setdefault(spelling, person.removeprefix("sub-") if is_bids else person)
    by_name, doubtful = _without_runs([stems[place] for place in others])
    for place, subject in zip(others, by_name, strict=True):
        subjects[place] = subject
    notes = list(_notes(files, subjects, "the file names"))
    if doubtful:
        notes.append(f"{_listed(doubtful)} differ only in a number: read as different subjects")
    return FileSubjects(tuple(subjects), tuple(sessions), tuple(notes))


def _stem(file: str) -> str:
    path = PurePosixPath(file.removesuffix(".gz"))
    return path.with_suffix("").as_posix()


def _by_pattern(file: str, pattern: str) -> tuple[str, str]:
    try:
        match = re.search(pattern, file)
        groups = re.compile(pattern).groupindex
    except re.error as error:
        raise InputError(f"--subject-pattern {pattern!r}: invalid regular expression ({error})") from None
    if "subject" not in groups:
        raise InputError(
            f"--subject-pattern {pattern!r}: missing group (?P<subject>...); expected it around the subject's id"
        )
    if match is None or not match["subject"]:
        raise InputError(f"--subject-pattern {pattern!r}: no match in {file}; expected one in every file")
    return match["subject"], (match["session"] or "" if "session" in groups else "")


def _named_person(stem: str) -> str | None:
    match = _PERSON.search(stem) or _SHORT_PERSON.search(stem)
    return match[0] if match else None


def _without_runs(stems: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return a subject's name for each stem, and the stems for which a lone number may or may not be a run."""
    bare = []
    for stem in stems:
        name = _FORM.sub("", stem)
        while (shorter := _RUN.sub("", name)) != name:
            name = shorter
        bare.append(name)
    numbered = [(name[: match.start()], match[1]) if (match := _NUMBER.search(name)) else ("", "") for name in bare]
    befores: dict[str, set[str]] = collections.defaultdict(set)
    for before, number in numbered:
        befores[number].add(before)
    # A number is a run if the same numbers occur with several names, or if a name occurs with and without one.
    counted = {
        before for before, number in numbered if len(befores[number]) > 1 or before in bare or re.search(r"\d", before)
    }
    keys = [before if before and before in counted else name for name, (before, _) in zip(bare, numbered, strict=True)]
    counts, of_before = collections.Counter(keys), collections.Counter(before for before, _ in numbered)
    doubtful = [key for key, (before, _) in zip(keys, numbered, strict=True) if before and before != key]
    doubtful = [key for key in doubtful if of_before[_NUMBER.sub("", key)] > 1]
    # If no subject has two recordings, subjects are named as their files, without the folder unless it is needed.
    last_parts = collections.Counter(PurePosixPath(stem).name for stem in stems)
    has_runs = max(counts.values(), default=0) > 1
    names = []
    for stem, key in zip(stems, keys, strict=True):
        last = PurePosixPath(stem).name
        if counts[key] > 1 or (has_runs and key != _FORM.sub("", stem)):
            names.append(key.replace("/", "_") or "1")
        else:
            names.append(last if last_parts[last] == 1 else stem.replace("/", "_"))
    return names, list(dict.fromkeys(doubtful))


def _notes(files: Sequence[str], subjects: Sequence[str], source: str) -> tuple[str, ...]:
    of_subject: Mapping[str, list[str]] = collections.defaultdict(list)
    for file, subject in zip(files, subjects, strict=True):
        of_subject[subject].append(file)
    people = "1 subject" if len(of_subject) == 1 else f"{len(of_subject)} subjects"
    return (
        f"{people}, by {source}: {_listed(list(of_subject))}",
        *(
            f"{subject}: {len(own)} files read as the same subject: {_listed(own)}"
            for subject, own in of_subject.items()
            if len(own) > 1
        ),
    )


def _listed(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
