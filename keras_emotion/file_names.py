"""File names for words of the user (subjects, ratings): readable, portable, and different for different words.

A subject may be called `A/01`, `../..` or by three hundred characters; `s1` and `S1` are two subjects, and so are two
spellings of `é` in Unicode. None of that is safe as a file name. The beginning of a name here is for readers, and a
hash of the exact words tells them apart.
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
"""With the hash and an ending a name stays below 200 bytes; most file systems take 255, some 143 to 200."""

_HASH_BYTES = 16

# In lower case alone, since "s1" and "S1" are one file on some systems; and none of the devices of Windows.
_PLAIN_WORD = re.compile(r"(?!(con|prn|aux|nul|com\d|lpt\d)$)[a-z0-9_]{1,64}")


def readable_words(words: Sequence[Any]) -> str:
    """Words joined by hyphens, with other characters than letters, digits, `_` and `-` replaced, and cut short."""
    shown = [re.sub(r"[^A-Za-z0-9_-]", "_", str(word)[:_LONGEST_WORD]) for word in words]
    return "-".join(shown)[:_LONGEST_BEGINNING].lstrip("-") or "_"


def file_name(words: Sequence[Any], exact: Any = None) -> str:
    """Name of a file, without its ending: a readable beginning, and a 128-bit hash of what it is about.

    Args:
        words: the readable beginning; they may be alike for different files.
        exact: JSON-able value that is different for each file; by default `words`. A number and the same number as
            text are two values.

    Returns:
        A plain file name of ASCII letters, digits, `_` and `-`, of at most 183 bytes. Different values have different
        names also where upper and lower case are the same.

    Example:
        >>> file_name(["valence", "A/01"])
        'valence-A_01-5cab5652a4252f0e4bd26f2c6fe9be71'
    """
    text = json.dumps(words if exact is None else exact, sort_keys=True, ensure_ascii=False)
    # Half of a character (see `refuse_unusable_words`) has no code in UTF-8; it must not be taken for another.
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_HASH_BYTES).hexdigest()
    return f"{readable_words(words)}-{digest}"


def word_file_name(word: str) -> str:
    """Name of a file about one word, without its ending: the word itself where it is safe, else as `file_name`.

    Args:
        word: name of a rating, for example.

    Example:
        >>> word_file_name("valence")
        'valence'
    """
    return word if _PLAIN_WORD.fullmatch(word) else file_name([word])


def refuse_unusable_words(what: str, words: Sequence[Any]) -> None:
    """Refuse words that no table can hold.

    Args:
        what: what they are, for the message: `"subject"`.
        words: numbers and texts.

    Raises:
        InputError: a text has half of a character (a lone surrogate: a file name that is not UTF-8 becomes one), or two
            words are the same text (the number 1 and the text "1").
    """
    texts: dict[str, Any] = {}
    for word in dict.fromkeys(words):
        text = str(word)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InputError(
                f"{what} {text!r}: has a character that is not valid Unicode, which no table of results can hold; "
                "rename it"
            ) from None
        if text in texts:
            raise InputError(
                f"{what} {texts[text]!r} and {what} {word!r} are the same in a table of results; rename one of them"
            )
        texts[text] = word
