"""Filter warnings of recording readers: suppress irrelevant ones, and pass the others on once."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_HARMLESS = (
    # Checked by this package: joined segments, and channels of unknown type.
    r"The data contains 'boundary' events, indicating data discontinuities",
    r"No coordinate information found for channels .* Setting channel types to misc",
    r"Not setting positions of \d+ .* channels? found in montage",
    # File names, dates and recorder filters, which this package does not use.
    r"This filename \(.*\) does not conform to MNE naming conventions",
    r"Invalid measurement date encountered in the header",
    r"Channels contain different (highpass|lowpass) filters",
    r"Highpass cutoff frequency .* is greater than lowpass cutoff frequency",
    r"Online software filter detected. Using software filter settings",
    # Triggers without a name, which are found by their position.
    r"Channel names are not unique, found duplicates for: \{''\}\. Applying",
    # Units are read by this package.
    r"Unsupported physical dimension for channel \d+ \(assuming dimensionless\)",
    # A file without signals is refused.
    r"Header information is incorrect for record length. Default record length set to 1\.\nIt is possible",
)
"""Patterns of reader warnings that do not concern the data read by this package."""

OF_ANNOTATIONS = (
    r"Omitted \d+ annotation\(s\) that were outside data range",
    r"Limited \d+ annotation\(s\) that were expanding outside the data range",
)
"""Patterns that are harmless because annotations are read by this package, on the clock of the file."""

OF_OTHER_CASE = (r"Did not find any events\.tsv associated with",)
"""Patterns that are harmless because this package finds the event table regardless of the case of its task name."""

OF_LENGTH = (r"Number of records from the header does not match the file size .* Inferring from the file size",)
"""Patterns that are harmless because this package compares the lengths of header and file."""


def _is_no_warning(record: logging.LogRecord) -> bool:
    return record.levelno != logging.WARNING


@contextmanager
def warnings_of_readers(path: Path, notes: list[str] | None = None, harmless: Sequence[str] = ()) -> Iterator[None]:
    """Context manager that suppresses harmless warnings of readers and passes the others on.

    MNE issues no warnings at `verbose="ERROR"`: call it with `"WARNING"`.

    Args:
        path: the file that is read.
        notes: list to which the other warnings are appended, once each; without it, they are issued again, after the
            name of the file.
        harmless: regular expressions of the beginnings of further harmless warnings.
    """
    known = re.compile("|".join((*_HARMLESS, *harmless)), re.DOTALL)
    logger = logging.getLogger("mne")
    # MNE also writes its warnings, including harmless ones, into the user's log file, if there is one.
    logger.addFilter(_is_no_warning)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        logger.removeFilter(_is_no_warning)
    for warning in caught:
        if known.match(str(warning.message)) or issubclass(warning.category, DeprecationWarning):
            continue
        text = " ".join(str(warning.message).split())
        if notes is None:
            warnings.warn(f"{path}: {text}", stacklevel=4)
        elif (note := f"reader warning: {text}") not in notes:
            notes.append(note)
