"""The code in the documentation is that of the example files."""

import difflib
import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
EXAMPLES = ("toy_dataset.py", "toy_paper.py")


def code_lines(source):
    """The lines of a file or block, without blank lines and headings of sections."""
    return [line.rstrip() for line in source.splitlines() if line.strip() and not line.startswith("# ---")]


def without_module_docstring(source):
    return re.sub(r'\A""".*?"""', "", source, flags=re.DOTALL)


def python_blocks(page):
    return re.findall(r"^```python\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)


def test_the_page_on_adding_holds_the_examples_whole_and_in_order():
    blocks = python_blocks((DOCS / "adding.md").read_text(encoding="utf-8"))
    sources = [(DOCS / "examples" / name).read_text(encoding="utf-8") for name in EXAMPLES]
    # Verbatim, blank lines included.
    for block in blocks:
        assert any(block.rstrip() in source for source in sources), f"in no example file:\n{block}"
    shown = [line for block in blocks for line in code_lines(block)]
    expected = [line for source in sources for line in code_lines(without_module_docstring(source))]
    difference = difflib.unified_diff(expected, shown, "docs/examples", "docs/adding.md", lineterm="")
    assert shown == expected, "\n".join(difference)
