"""The code in the documentation is that of the example files; its links, options and lists match the package."""

import ast
import contextlib
import difflib
import functools
import inspect
import io
import itertools
import re
from pathlib import Path

import pytest

from keras_emotion.cli import COMMANDS, main
from keras_emotion.datasets import READERS
from keras_emotion.papers import models

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
EXAMPLES = ("toy_dataset.py", "toy_paper.py")


def code_lines(source):
    """Lines of a file or block, without blank lines and section headings."""
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


PAGES = [
    page
    for folder in (".", "benchmarks", "docs", "reproductions/results")
    for page in sorted((ROOT / folder).glob("*.md"))
]
WITHOUT_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)


def anchors(page):
    """Anchors of the headings of a page, as GitHub and the site generate them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(path):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", WITHOUT_CODE.sub("", path.read_text(encoding="utf-8"))):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        other = (path.parent / name).resolve() if name else path
        if not other.exists() or (anchor and anchor not in anchors(other.read_text(encoding="utf-8"))):
            broken.append(target)
    assert not broken


def test_the_readme_lists_all_models_and_its_two_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme[readme.index("| models (`--model`)") : readme.index("## Documentation")]
    assert set(re.findall(r"`(\w+)`", table)) == set(models())
    assert f"run {len(models())} models on {len(READERS) - 1} datasets" in readme
    assert len(re.findall(r"^python3\.11 -m venv ", readme, re.MULTILINE)) == 2


def commands_in_the_docs():
    """Command lines in code blocks, by page; continued lines are joined."""
    for path in PAGES:
        for block in re.findall(
            r"^ *```bash\n(.*?)^ *```$", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        ):
            for line in block.replace("\\\n", " ").splitlines():
                for command in re.split(r" && |; ", line.split(" # ")[0].split(" #")[0]):
                    yield path, command.strip()


@pytest.fixture(scope="module")
def help_of():
    @functools.cache
    def text(*words):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), pytest.raises(SystemExit):
            main([*words, "--help-all"])
        return printed.getvalue()

    return text


def test_commands_in_the_docs_have_options_that_exist(help_of):
    unknown, n_commands = [], 0
    for path, command in commands_in_the_docs():
        words = re.sub(r"^(\.venv/bin/)?(python )?reproductions/(\w+)\.py", r"keras-emotion run \3", command)
        words = words.removeprefix(".venv/bin/").removeprefix("keras-emotion ").split()
        options = [word for word in words if word.startswith("--")]
        if not command.split() or words[0] not in COMMANDS or "--register" in options or "$" in command:
            continue
        given = dict(itertools.pairwise(words))
        called = words[:1]
        if called == ["run"] and len(words) > 1 and not words[1].startswith("-"):
            called = words[:2]
        elif called == ["run"] and "--model" in given:
            called += ["--model", given["--model"], "--dataset", given.get("--dataset", "recordings")]
        elif called == ["synthesize"] and len(words) > 1:
            called += words[1:2]
        n_commands += 1
        listed = help_of(*called).replace("[no-]", "")
        for option in options:
            if option.replace("--no-", "--").replace(".no-", ".") not in re.findall(r"--[\w.*-]+", listed):
                unknown.append(f"{path.name}: {option} of {' '.join(called)}")
    assert not unknown, "\n".join(unknown)
    assert n_commands > 100


def misread_lines(docstring):
    """Lines of the sections `Args`, `Raises` and `Attributes` that look like an entry but have no name."""
    section = False
    for line in inspect.cleandoc(docstring).splitlines():
        if line.strip() and not line.startswith(" "):
            section = line in ("Args:", "Raises:", "Attributes:")
        elif section and re.match(r" {4}\S", line) and not re.match(r" {4}[\w.*`,/ -]+( \([^)]*\))?:( |$)", line):
            yield line.strip()


@pytest.mark.parametrize("package", sorted(path.parent.name for path in (ROOT / "keras_emotion").glob("*/__init__.py")))
def test_entries_of_docstrings_are_read_as_they_are_meant(package):
    found = []
    for path in (ROOT / "keras_emotion" / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                for line in misread_lines(ast.get_docstring(node, clean=False) or ""):
                    found.append(f"{path.name}: {getattr(node, 'name', '')}: {line}")
    assert not found, "\n".join(["continuation lines are indented further than the entry", *found])
