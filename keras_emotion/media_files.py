"""Opening of video and sound files, the same for pictures and for sound."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av


def open_media(path: Path) -> av.container.InputContainer:
    """Open a video or sound file.

    Raises:
        av.error.FFmpegError: it is no such file, or damaged.
        OSError: it cannot be read.
    """
    import av

    # FFmpeg takes what stands before a colon at the start of a relative path for a protocol.
    return av.open(str(path.absolute()))


def error_reason(error: Exception) -> str:
    """What an error of FFmpeg or of the system says, without its number."""
    return getattr(error, "strerror", None) or str(error)
