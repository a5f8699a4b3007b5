"""Open video and sound files, and check the size of pictures."""

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
        InputError: the path is a FIFO or a device, or a stream has a codec that FFmpeg does not support.
        av.error.FFmpegError: the file is missing, damaged or not a media file.
        OSError: the file cannot be read.
    """
    import av

    # FFmpeg would block on a FIFO.
    refuse_special_file(path)
    # FFmpeg takes the text before a colon at the start of a relative path for a protocol.
    container = av.open(str(path.absolute()), metadata_errors="replace")
    for stream in (*container.streams.video, *container.streams.audio):
        if stream.codec_context is None:
            # Read now: attributes of a stream point into memory that `close` frees.
            kind = stream.type
            container.close()
            raise InputError(f"{path}: a {kind} stream of an unknown codec; expected one that FFmpeg decodes")
    return container


def check_picture_file(path: Path) -> None:
    """Refuse a picture whose header declares more than `Limits.picture_megapixels`, without decoding it.

    A file that is not a picture passes: its decoder raises the error.

    Raises:
        InputError: the picture is larger, or the path is a FIFO or a device.
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

    # PIL has its own limit, which may be lower than the user's.
    most, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, None
    try:
        with PIL.Image.open(path) as image:
            return image.size
    finally:
        PIL.Image.MAX_IMAGE_PIXELS = most


def error_reason(error: Exception) -> str:
    """Return the text of an FFmpeg or system error without its number."""
    return getattr(error, "strerror", None) or str(error)
