"""Opening of video and sound files, the same for pictures and for sound."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from keras_emotion.limits import check_picture
from keras_emotion.refusals import refuse_special_file
from keras_emotion.schema import InputError

if TYPE_CHECKING:
    import av


def open_media(path: Path) -> av.container.InputContainer:
    """Open a video or sound file.

    Raises:
        InputError: it is a FIFO or a device, or a stream has a codec that FFmpeg does not know.
        av.error.FFmpegError: it is no such file, or damaged.
        OSError: it cannot be read.
    """
    import av

    # FFmpeg would wait for it.
    refuse_special_file(path)
    # FFmpeg takes what stands before a colon at the start of a relative path for a protocol.
    container = av.open(str(path.absolute()), metadata_errors="replace")
    for stream in (*container.streams.video, *container.streams.audio):
        if stream.codec_context is None:
            container.close()
            raise InputError(f"{path}: a {stream.type} stream of an unknown codec; expected one that FFmpeg decodes")
    return container


def check_picture_file(path: Path) -> None:
    """Refuse a picture that its header calls larger than `Limits.picture_megapixels`; nothing is decoded.

    A file that is no picture passes: whoever decodes it says so.

    Raises:
        InputError: it is larger, or a FIFO or a device.
    """
    refuse_special_file(path)
    try:
        with path.open("rb") as file:
            head = file.read(24)
        if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR":
            size = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
        else:
            size = _picture_size(path)
    except (OSError, SyntaxError, ValueError):
        return
    check_picture(path, *size)


def _picture_size(path: Path) -> tuple[int, int]:
    import PIL.Image

    # PIL has a limit of its own, which is lower than what the user may have allowed.
    most, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, None
    try:
        with PIL.Image.open(path) as image:
            return image.size
    finally:
        PIL.Image.MAX_IMAGE_PIXELS = most


def error_reason(error: Exception) -> str:
    """What an error of FFmpeg or of the system says, without its number."""
    return getattr(error, "strerror", None) or str(error)
