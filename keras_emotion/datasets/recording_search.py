"""Find the recordings in a folder and its subfolders, each once."""

from __future__ import annotations

import collections
import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path

from keras_emotion.datasets.electrodes import CHANNEL_FILE
from keras_emotion.datasets.formats.device_tables import TABLE_SUFFIXES
from keras_emotion.datasets.formats.dispatch import MIXED_SUFFIXES, is_recording
from keras_emotion.datasets.formats.gtec import GTEC_SUFFIXES
from keras_emotion.datasets.recording_events import RecordingWithEvents
from keras_emotion.datasets.recording_files import (
    ARRAY_SUFFIXES,
    BIDS_MARKER,
    RECORDING_SUFFIXES,
    is_array,
    sidecar_file,
)
from keras_emotion.datasets.trial_table import TRIAL_FILE
from keras_emotion.refusals import refuse_special_file
from keras_emotion.schema import InputError

_FURTHER_PART = re.compile(
    r"(?P<before>.+[-_](?:raw|eeg|ieeg|meg|t?sss))-\d+(?P<after>\.fif(?:\.gz)?)"
    r"|(?P<entities>.+_split-0*)(?!0*1_)\d+(?P<rest>_.+)",
    re.IGNORECASE,
)


_OWN_TABLES = (TRIAL_FILE, CHANNEL_FILE, "stimuli.csv")
"""Tables that may be in the folder of recordings."""


@dataclasses.dataclass(frozen=True)
class Search:
    """Result of a search for recordings.

    Args:
        recordings: files, or folders that are one recording, sorted.
        notes: files that were ignored.
        faults: files and folders that could not be read.
    """

    recordings: tuple[Path, ...]
    notes: tuple[str, ...]
    faults: tuple[str, ...]


def find_recordings(root: Path) -> Search:
    """Find the recordings in a folder and its subfolders; in a BIDS tree, those of its subjects.

    Links to folders are followed, unless their target is searched anyway or contains the link. Hidden files and folders
    are ignored.

    Args:
        root: the folder.
    """
    is_bids = (root / BIDS_MARKER).is_file()
    found: list[Path] = []
    notes: list[str] = []
    faults: list[str] = []
    no_sidecar: list[str] = []
    other: list[str] = []
    seen = {root.resolve()}
    # Real folders before links: the content of the folder keeps its own name.
    folders, links = [root], list[Path]()
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        if folder.is_symlink() and folder != root:
            target = folder.resolve()
            if target in seen or any(folder_above == target for folder_above in folder.parent.resolve().parents):
                notes.append(
                    f"{_below(folder, root)}: ignored link to {target}, which is searched already or contains it"
                )
                continue
            seen.add(target)
        try:
            paths = sorted(folder.iterdir())
        except OSError as error:
            faults.append(f"{_below(folder, root)}: cannot be searched ({error.strerror})")
            continue
        for path in paths:
            parts = path.relative_to(root).parts
            # pathlib's functions would raise if a folder can be listed but not entered.
            is_folder, is_there = os.path.isdir(path), os.path.exists(path)
            name = path.name.lower()
            may_be = name.endswith(".mff") if is_folder else name.endswith(RECORDING_SUFFIXES)
            if path.name.startswith(".") or (is_bids and not parts[0].startswith("sub-")):
                continue
            if not is_there and path.is_symlink():
                if (may_be and path.suffix.lower() not in MIXED_SUFFIXES) or not path.suffix:
                    faults.append(f"{_below(path, root)}: broken link ({os.readlink(path)})")
            elif may_be and not is_folder and not os.path.isfile(path):
                faults.append(f"{_below(path, root)}: {_fault_of_special(path)}")
            elif is_folder and not may_be:
                if path.is_symlink():
                    links.append(path)
                elif path.resolve() not in seen:
                    seen.add(path.resolve())
                    folders.append(path)
            elif may_be and not (is_bids and not path.stem.endswith("_eeg")):
                try:
                    if path.suffix.lower() in ARRAY_SUFFIXES and sidecar_file(path) is None and is_array(path):
                        no_sidecar.append(_below(path, root))
                    elif path.suffix.lower() not in MIXED_SUFFIXES or is_recording(path):
                        found.append(path)
                    elif path.suffix.lower() in (*TABLE_SUFFIXES, *GTEC_SUFFIXES) and path.name not in _OWN_TABLES:
                        other.append(_below(path, root))
                except InputError as error:
                    faults.append(str(error))
    if other:
        notes.append(f"unsupported devices, ignored: {', '.join(sorted(other))}")
    if no_sidecar:
        notes.append(f"arrays without a sidecar, ignored: {', '.join(sorted(no_sidecar))}")
    return Search(tuple(sorted(found)), tuple(notes), tuple(faults))


def _fault_of_special(path: Path) -> str:
    try:
        refuse_special_file(path)
    except InputError as error:
        return str(error).removeprefix(f"{path}: ")
    return "cannot be accessed"


def without_parts(recordings: Sequence[RecordingWithEvents], root: Path) -> tuple[list[RecordingWithEvents], list[str]]:
    """Leave out files that are read with another recording: further parts of a split file, and duplicates.

    Args:
        recordings: all recordings of a folder.
        root: the folder.

    Returns:
        The independent recordings, and notes on what was left out.
    """
    first_of = {part: recording for recording in recordings for part in recording.data_files[1:]}
    kept: dict[Path, RecordingWithEvents] = {}
    notes = []
    for recording in recordings:
        own = recording.data_files[0]
        first = first_of.get(own)
        while first is not None and first.data_files[0] in first_of:
            first = first_of[first.data_files[0]]
        if first is not None:
            notes.append(f"{_below(recording.path, root)}: part of {_below(first.path, root)}, read with it")
        elif own in kept:
            other = _below(kept[own].path, root)
            notes.append(f"{_below(recording.path, root)}: same data as {other} ({own.name}); left out")
        else:
            kept[own] = recording
    by_stem = collections.defaultdict(list)
    for recording in kept.values():
        by_stem[recording.path.with_suffix("")].append(_below(recording.path, root))
        if match := _FURTHER_PART.fullmatch(recording.path.name):
            first_name = (
                f"{match['before']}{match['after']}" if match["before"] else f"{match['entities']}1{match['rest']}"
            )
            notes.append(
                f"{_below(recording.path, root)}: named like a part of {first_name}, which is missing; expected all "
                "parts; copy them"
            )
    notes += [
        f"{' and '.join(names)} differ only in their suffix; if they are one recording in two formats, remove one"
        for names in by_stem.values()
        if len(names) > 1
    ]
    return list(kept.values()), notes


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
