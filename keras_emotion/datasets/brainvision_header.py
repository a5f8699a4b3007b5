"""Parse BrainVision headers: file names, channel units, start times of segments."""

from __future__ import annotations

import dataclasses
import datetime
import re
from pathlib import Path

from keras_emotion.refusals import refuse_special_file
from keras_emotion.schema import InputError

BRAINVISION_SUFFIXES = (".vhdr", ".ahdr")

_DEFAULT_UNIT = "\N{MICRO SIGN}V"
_DATE_FORMAT = "%Y%m%d%H%M%S%f"


@dataclasses.dataclass(frozen=True)
class BrainVisionHeader:
    """BrainVision header.

    Args:
        data_file: the file with the samples.
        marker_file: the file with the markers, `None` if the header names none.
        units: units by channel number, from 0, as spelled in the header.
    """

    data_file: Path
    marker_file: Path | None
    units: dict[int, str]

    @classmethod
    def read(cls, path: Path) -> BrainVisionHeader:
        """Read a header file.

        Raises:
            InputError: the header names no data file.
        """
        sections = _sections(path)
        common = sections.get("common infos", {})
        if not common.get("datafile"):
            raise InputError(f"{path}: DataFile missing; expected the header of a BrainVision recording; copy it again")
        marker_file = path.parent / common["markerfile"] if common.get("markerfile") else None
        if marker_file is not None and not marker_file.is_file():
            # MNE's default if the recording was renamed.
            marker_file = path.with_suffix(".vmrk") if path.with_suffix(".vmrk").is_file() else None
        units = {}
        for key, value in sections.get("channel infos", {}).items():
            _, _, _, unit, *_ = [*value.split(","), "", "", "", ""]
            number = key.removeprefix("ch")
            if not number.isdecimal():
                raise InputError(f"{path}: invalid channel {key!r}; expected Ch1, Ch2, ...; copy it again")
            units[int(number) - 1] = unit.strip() or _DEFAULT_UNIT
        return cls(path.parent / common["datafile"], marker_file, units)

    def segment_starts(self) -> list[tuple[int, datetime.datetime | None]]:
        """Return the first sample of each segment, and its time of recording if the markers give it."""
        if self.marker_file is None:
            return []
        found = []
        for value in _sections(self.marker_file).get("marker infos", {}).values():
            kind, _, sample, *rest = [*value.split(","), ""]
            if kind == "New Segment" and sample.strip().isdecimal():
                found.append((int(sample) - 1, _date(rest[2]) if len(rest) > 2 else None))
        return sorted(found, key=lambda segment: segment[0])


def _date(text: str) -> datetime.datetime | None:
    try:
        return datetime.datetime.strptime(text.strip(), _DATE_FORMAT).replace(tzinfo=datetime.UTC)
    except ValueError:
        return None


def _sections(path: Path) -> dict[str, dict[str, str]]:
    """Parse entries by section, with lower-case names."""
    refuse_special_file(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Older recorders write in a Windows code page.
        text = content.decode("cp1252", errors="replace")
    sections: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in text.splitlines():
        if heading := re.fullmatch(r"\[(.+)\]", line.strip()):
            current = sections.setdefault(heading[1].lower(), {})
        elif "=" in line and not line.startswith(";"):
            key, _, value = line.partition("=")
            current[key.strip().lower()] = value.strip()
    return sections
