"""Escape control characters in text from files, so that it cannot act on a terminal."""

from __future__ import annotations

import atexit
import functools
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    import rich.console

# C0 and C1 controls (ESC among them) except tab and newline; line and paragraph separators; marks, embeddings,
# overrides and isolates of the writing direction (UAX #9); and lone surrogates, which no encoding has.
_UNSAFE = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
_ACTING = re.compile(f"[{_UNSAFE}]")
_ACTING_IN_A_LINE = re.compile(f"[\t\n{_UNSAFE}]")


def visible(text: str, is_one_line: bool = False) -> str:
    r"""Return a text with its control characters as escapes: `\x1b`, `\u202e`.

    Letters of right-to-left scripts stay; characters that change the direction of the following text are escaped.

    Args:
        text: any text.
        is_one_line: whether tabs and newlines are escaped too.

    Example:
        >>> visible("s1\x1b[31m")
        's1\\x1b[31m'
    """
    return (_ACTING_IN_A_LINE if is_one_line else _ACTING).sub(_escape, text)


def has_control_characters(text: str) -> bool:
    r"""Return whether a text contains a tab, a newline or another control character.

    Example:
        >>> has_control_characters("valence"), has_control_characters("val\x1bence")
        (False, True)
    """
    return _ACTING_IN_A_LINE.search(text) is not None


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class _Encodable:
    """Text stream that escapes characters that its encoding lacks."""

    def __init__(self, raw: TextIO):
        self.raw = raw

    def write(self, text: str) -> int:
        encoding = getattr(self.raw, "encoding", None)
        if encoding and not text.isascii():
            text = text.encode(encoding, "backslashreplace").decode(encoding)
        return self.raw.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


class VisibleStream:
    """Text stream that escapes control characters, and characters that its encoding lacks.

    Code that draws on a terminal by escape sequences (a progress bar of `rich`, see `visible_console`) writes to `raw`.

    Args:
        raw: the underlying stream.
    """

    def __init__(self, raw: TextIO):
        self.raw = raw

    def write(self, text: str) -> int:
        """Write a text and return its length."""
        _Encodable(self.raw).write(visible(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


def visible_stream(stream: TextIO | None) -> VisibleStream:
    """Wrap a stream as a `VisibleStream`; without one (a closed standard output or error), its text is discarded."""
    if stream is None:
        stream = _null_device()
    return stream if isinstance(stream, VisibleStream) else VisibleStream(stream)


@functools.cache
def _null_device() -> TextIO:
    stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open until the process ends
    atexit.register(stream.close)
    return stream


def visible_console(file: TextIO | None = None, width: int | None = None) -> rich.console.Console:
    """Return a rich console that escapes control characters in everything it prints.

    Args:
        file: output stream; by default the current standard output.
        width: characters per line; by default those of the terminal.
    """
    import rich.console
    import rich.segment

    class VisibleConsole(rich.console.Console):
        @property
        def file(self):
            stream = super().file
            return _Encodable(stream.raw) if isinstance(stream, VisibleStream) else stream

        @file.setter
        def file(self, stream):
            rich.console.Console.file.fset(self, stream)

        def print(self, *objects, **options):
            # Escaped before rich measures widths.
            super().print(*map(_visible_renderable, objects), **options)

        def render(self, renderable, options=None):
            # Escapes all text that was rendered otherwise.
            for segment in super().render(renderable, options):
                yield segment if segment.control else rich.segment.Segment(visible(segment.text), segment.style)

    # In a notebook, output to standard error is plain text too.
    return VisibleConsole(file=file, width=width, force_jupyter=None if file is None else False)


def _visible_renderable(item: Any) -> Any:
    """Escape control characters in a string, a rich text or the cells of a rich table."""
    import rich.table
    import rich.text

    if isinstance(item, str):
        return visible(item)
    if isinstance(item, rich.text.Text):
        return item if _ACTING.search(item.plain) is None else rich.text.Text(visible(item.plain), item.style)
    if isinstance(item, rich.table.Table):
        item.title = _visible_renderable(item.title)
        for column in item.columns:
            column.header = _visible_renderable(column.header)
            column._cells = [_visible_renderable(cell) for cell in column._cells]
    return item
