"""Show texts from files without letting them act on a terminal: control characters become escapes."""

from __future__ import annotations

import re
from typing import Any, TextIO

# C0 and C1 controls (ESC among them) except tab and newline; separators of lines and paragraphs; marks, embeddings,
# overrides and isolates of the writing direction (UAX #9); and half characters, which no encoding has.
_UNSAFE = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
_ACTING = re.compile(f"[{_UNSAFE}]")
_ACTING_IN_A_LINE = re.compile(f"[\t\n{_UNSAFE}]")


def visible(text: str, is_one_line: bool = False) -> str:
    r"""Return a text with its control characters as escapes: `\x1b`, `\u202e`.

    Letters of scripts that run from right to left stay; characters that change the direction of what follows do not.

    Args:
        text: any text.
        is_one_line: whether tabs and newlines are escaped too.

    Example:
        >>> visible("s1\x1b[31m")
        's1\\x1b[31m'
    """
    return (_ACTING_IN_A_LINE if is_one_line else _ACTING).sub(_escape, text)


def has_control_characters(text: str) -> bool:
    r"""Whether a text holds a tab, a newline or another control character.

    Example:
        >>> has_control_characters("valence"), has_control_characters("val\x1bence")
        (False, True)
    """
    return _ACTING_IN_A_LINE.search(text) is not None


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class VisibleStream:
    """A text stream that writes control characters as escapes, and characters that its encoding lacks too.

    A carriage return passes: progress lines start with it. What draws on a terminal by escape sequences (a bar of
    `rich`) writes to `raw`, after it made texts visible.

    Args:
        raw: the stream that is written to.
    """

    def __init__(self, raw: TextIO):
        self.raw = raw

    def write(self, text: str) -> int:
        """Write a text, and return its length."""
        shown = _ACTING.sub(lambda match: "\r" if match[0] == "\r" else _escape(match), text)
        encoding = getattr(self.raw, "encoding", None)
        if encoding and not shown.isascii():
            shown = shown.encode(encoding, "backslashreplace").decode(encoding)
        self.raw.write(shown)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write texts one after the other."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)
