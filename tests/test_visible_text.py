"""Control characters never reach a terminal, and characters that its encoding lacks are escaped."""

import io

import pytest
import rich.table

from keras_emotion.visible_text import VisibleStream, visible, visible_console, visible_stream

HOSTILE = "s\x1b[31m1\x07\u202egnp.exe\x9b\u2066\u200f\r\ud800"
SHOWN = r"s\x1b[31m1\x07\u202egnp.exe\x9b\u2066\u200f\x0d\ud800"


def test_control_characters_are_escapes_and_letters_stay():
    assert visible(HOSTILE) == SHOWN
    # Hebrew, Persian with its joiner, combining marks, tab and newline.
    for text in ("שלום", "می\u200cخواهم", "e\u0301", "a\tb\n"):
        assert visible(text) == text
    assert visible("a\tb\n", is_one_line=True) == r"a\x09b\x0a"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_a_stream_writes_escapes_whatever_its_encoding(encoding):
    raw = io.TextIOWrapper(io.BytesIO(), encoding)
    stream = visible_stream(raw)
    assert visible_stream(stream) is stream
    print(HOSTILE, "é 漢", file=stream, flush=True)
    written = raw.buffer.getvalue().decode(encoding)
    expected = {"utf-8": "é 漢", "latin-1": r"é \u6f22", "ascii": r"\xe9 \u6f22"}[encoding]
    assert written == f"{SHOWN} {expected}\n"


def test_without_a_stream_text_is_discarded():
    assert visible_stream(None).write("discarded") == 9


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_console_draws_in_colour_and_shows_escapes_of_texts(encoding):
    raw = io.TextIOWrapper(io.BytesIO(), encoding)
    console = visible_console(VisibleStream(raw))
    console._force_terminal, console._color_system = True, rich.console.ColorSystem.STANDARD
    table = rich.table.Table("id\x1b[2J")
    table.add_row("s\x1b[31m1", "é")
    console.print(table, style="red")
    console.print("[bold]plain[/] \u202ex")
    raw.flush()
    written = raw.buffer.getvalue().decode(encoding)
    # Only rich's own sequences: colours and bold.
    assert "\x1b[1mplain\x1b[0m" in written
    assert r"\x1b[31m1" in written
    assert r"\u202ex" in written
    assert "\x1b[2J" not in written
    assert "\u202e" not in written
    assert ("é" in written) == (encoding == "utf-8")
