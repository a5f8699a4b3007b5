"""Every file of the package has a limited number of code lines."""

import ast
import io
import tokenize
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "keras_emotion"
MOST_LINES = 450

_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def lines_of_code(source):
    """Number of code lines, without comments, docstrings and blank lines."""
    texts = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            texts |= set(range(node.lineno, node.end_lineno + 1))
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NO_CODE:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - texts)


def test_comments_docstrings_and_blank_lines_do_not_count():
    source = (
        '"""Text\n\nof a module."""\n\n# a comment\nx = (\n    1,\n)\n\n\ndef f():\n    """Text."""\n    return x\n'
    )
    assert lines_of_code(source) == 5


@pytest.mark.parametrize("file", sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")))
def test_files_are_short(file):
    assert lines_of_code((PACKAGE / file).read_text()) <= MOST_LINES
