"""Portable, collision-free file names for user-defined names (subjects, ratings).

A subject may be called `A/01`, `../..` or have a name of 300 characters; `s1` and `S1` are two subjects, and so are two
Unicode spellings of `é`. None of these is safe as a file name. A file name here starts with a readable part and ends
with a hash of the exact name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from keras_emotion.schema import InputError

_LONGEST_WORD = 32
_LONGEST_BEGINNING = 150
"""With the hash and an extension, a name stays below 200 bytes; most file systems allow 255, some 143 to 200."""

_HASH_BYTES = 16

# Lower case only, since "s1" and "S1" are one file on some systems; device names of Windows are excluded.
_PLAIN_WORD = re.compile(r"(?!(con|prn|aux|nul|com\d|lpt\d)$)[a-z0-9_]{1,64}")


def slug(words: Sequence[Any]) -> str:
    """Join names by hyphens, truncated, with characters other than letters, digits, `_` and `-` replaced."""
    shown = [re.sub(r"[^A-Za-z0-9_-]", "_", str(word)[:_LONGEST_WORD]) for word in words]
    return "-".join(shown)[:_LONGEST_BEGINNING].lstrip("-") or "_"


def file_name(words: Sequence[Any], exact: Any = None) -> str:
    """Return a file name without extension: a readable part and a 128-bit hash.

    Args:
        words: the names of the readable part; they may be equal for different files.
        exact: JSON-able value that differs between files; by default `words`. A number and the same number as text are
            two values.

    Returns:
        A plain file name of ASCII letters, digits, `_` and `-`, of at most 183 bytes. Different values have different
        names also on case-insensitive file systems.

    Example:
        >>> file_name(["valence", "A/01"])
        'valence-A_01-5cab5652a4252f0e4bd26f2c6fe9be71'
    """
    text = json.dumps(words if exact is None else exact, sort_keys=True, ensure_ascii=False)
    # A lone surrogate (see `refuse_unusable_words`) has no UTF-8 code; it must not collide with another name.
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_HASH_BYTES).hexdigest()
    return f"{slug(words)}-{digest}"


def word_file_name(word: str) -> str:
    """Return the file name of one name, without extension: the name itself if it is safe, else as `file_name`.

    Args:
        word: a name, such as that of a rating.

    Example:
        >>> word_file_name("valence")
        'valence'
    """
    return word if _PLAIN_WORD.fullmatch(word) else file_name([word])


def refuse_unusable_words(what: str, words: Sequence[Any]) -> None:
    """Refuse names that a table cannot hold.

    Args:
        what: what the names are, for the message: `"subject"`.
        words: numbers and strings.

    Raises:
        InputError: a name has a lone surrogate (a file name that is not UTF-8 becomes one), or two names have the same
            text (the number 1 and the text "1").
    """
    texts: dict[str, Any] = {}
    for word in dict.fromkeys(words):
        text = str(word)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InputError(
                f"{what} {text!r}: has a character that is not valid Unicode; expected a name that a table of results "
                "can hold; rename it"
            ) from None
        if text in texts:
            raise InputError(
                f"{what} {texts[text]!r} and {what} {word!r} are equal in a table of results; expected different "
                "names; rename one of them"
            )
        texts[text] = word
