"""What readers of recordings warn of: dropped where it says nothing of what is read, else passed on, once."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_HARMLESS = (
    # What is looked at here: joined pieces, and channels of which the file does not say what they are.
    r"The data contains 'boundary' events, indicating data discontinuities",
    r"No coordinate information found for channels .* Setting channel types to misc",
    r"Not setting positions of \d+ .* channels? found in montage",
    # Names of files, dates and filters of the recorder, which nothing here goes by.
    r"This filename \(.*\) does not conform to MNE naming conventions",
    r"Invalid measurement date encountered in the header",
    r"Channels contain different (highpass|lowpass) filters",
    r"Highpass cutoff frequency .* is greater than lowpass cutoff frequency",
    r"Online software filter detected. Using software filter settings",
    # Triggers without a name, which are found by their place.
    r"Channel names are not unique, found duplicates for: \{''\}\. Applying",
    # Units are read here.
    r"Unsupported physical dimension for channel \d+ \(assuming dimensionless\)",
    # Of a file without signals, which is refused.
    r"Header information is incorrect for record length. Default record length set to 1\.\nIt is possible",
)
"""Warnings of readers, by their fixed words, that say nothing of what is read here."""

OF_MARKS = (
    r"Omitted \d+ annotation\(s\) that were outside data range",
    r"Limited \d+ annotation\(s\) that were expanding outside the data range",
)
"""Those that are harmless where marks are read here, on the clock of the file, which MNE does not know."""

OF_OTHER_CASE = (r"Did not find any events\.tsv associated with",)
"""Those that are harmless where the table of events is found here, whatever the case of its task."""

OF_LENGTH = (r"Number of records from the header does not match the file size .* Inferring from the file size",)
"""Those that are harmless where the length in the header is compared with that of the file here."""


def _is_no_warning(record: logging.LogRecord) -> bool:
    return record.levelno != logging.WARNING


@contextmanager
def warnings_of_readers(path: Path, notes: list[str] | None = None, harmless: Sequence[str] = ()) -> Iterator[None]:
    """Sorts the warnings that are issued within it by their words: known to be harmless, or to be passed on.

    MNE issues none at `verbose="ERROR"`: call it with `"WARNING"`.

    Args:
        path: the file that is read.
        notes: what is passed on is appended to it, once; without it, it is issued again, after the name of the file.
        harmless: how further ones begin that are known to say nothing here, as regular expressions.
    """
    known = re.compile("|".join((*_HARMLESS, *harmless)), re.DOTALL)
    logger = logging.getLogger("mne")
    # MNE writes its warnings into the user's log file as well, where there is one: harmless ones too.
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
        elif (note := f"the reader says: {text}") not in notes:
            notes.append(note)
