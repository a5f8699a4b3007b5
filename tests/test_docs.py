"""The code in the documentation is that of the example files; its links, options and lists match the package."""

import ast
import contextlib
import difflib
import functools
import importlib.util
import inspect
import io
import itertools
import re
import types
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


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_belongs_to_an_item_is_indented_by_four_spaces(path):
    # With fewer, the site ends the list there, and shows the next numbers within a paragraph.
    text = path.read_text(encoding="utf-8")
    blocks = re.sub(r"^( *)```.*?^\1```$", r"\1block", text, flags=re.DOTALL | re.MULTILINE)
    assert not re.findall(r"\n\n {1,3}\S.*", blocks)
    # Nor is a number an item that follows a paragraph without a blank line.
    assert not re.findall(r"\n\n {4}\S.*\n(?:\d+\.|-) .*", blocks)


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


def exported(path):
    """Names in `__all__` of the file of a package; of each, the file and name with which it is defined."""
    if path.name != "__init__.py":
        return {}
    defined, names = {}, []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            source = ROOT / (node.module.replace(".", "/") + ".py")
            source = source if source.is_file() else source.with_suffix("") / "__init__.py"
            defined |= {alias.asname or alias.name: (source, alias.name) for alias in node.names}
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names = ast.literal_eval(node.value)
    return {name: defined.get(name, (path, name)) for name in names}


@functools.cache
def documented_names(path):
    """Names that a file defines with a docstring; one after an assignment of several names belongs to none of them."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    names = {node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node)}
    for node, after in itertools.pairwise(body):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            names.add(target.id)
    return names


@pytest.mark.parametrize("package", sorted(path.parent.name for path in (ROOT / "keras_emotion").glob("*/__init__.py")))
def test_public_names_have_a_docstring_of_their_own(package):
    # Without one, the site does not list them.
    found = []
    for name, (path, original) in exported(ROOT / "keras_emotion" / package / "__init__.py").items():
        while original in exported(path) and exported(path)[original] != (path, original):
            path, original = exported(path)[original]
        if original not in documented_names(path):
            found.append(f"{name} ({path.relative_to(ROOT)})")
    assert not found


def test_the_page_on_python_lists_all_packages_of_the_site():
    statements = ast.parse((ROOT / ".ci" / "site.py").read_text(encoding="utf-8")).body
    (pages,) = (one.value for one in statements if isinstance(one, ast.Assign) and one.targets[0].id == "PACKAGES")
    page = (DOCS / "python_api.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`\w+`.*?) \|", page, re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(listed) == sorted(ast.literal_eval(pages))


SAMPLE = {
    "__init__.py": """
from sample.count import count
from sample.things import TABLE, Lines, Wide, find

__all__ = ["TABLE", "Lines", "Wide", "count", "find"]
""",
    "count.py": """
def count() -> int:
    '''Count.

    Returns:
        One number: the count.
    '''
""",
    "things.py": """
from typing import Annotated

from pydantic import BaseModel, Field, SerializeAsAny

_HIDDEN = 3
TABLE = {"a": _HIDDEN}


class _Base(BaseModel):
    width: Annotated[int, Field(ge=0)] | None = None
    bands: dict = Field(default_factory=lambda: dict(ALPHA))


class Lines(_Base):
    names: SerializeAsAny[tuple]
    rate: float = Field(default=2.0, ge=1)


class Wide(Lines):
    '''Wide lines.'''


def find(limit: int = _HIDDEN) -> dict[str, int]:
    '''Find.'''
""",
}


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A small package as the documentation site reads it."""
    griffe = pytest.importorskip("griffe")
    folder = tmp_path_factory.mktemp("packages") / "sample"
    folder.mkdir()
    for name, source in SAMPLE.items():
        (folder / name).write_text(source, encoding="utf-8")
    extensions = griffe.load_extensions(ROOT / ".ci" / "site_docstrings.py")
    return griffe.load("sample.things", search_paths=[folder.parent], extensions=extensions).parent


def test_the_site_takes_types_of_returned_values_from_signatures(sample):
    function = sample["count"]
    assert function.is_function, "the module of this name hides it"
    sections = function.docstring.parse("google", returns_multiple_items=False, returns_named_value=False)
    ((value,),) = (section.value for section in sections if section.kind.value == "returns")
    assert (str(value.annotation), value.description) == ("int", "One number: the count.")


def test_the_site_shows_no_private_names(sample):
    assert [str(base) for base in sample["Lines"].bases] == ["BaseModel"]
    assert sample["find"].parameters["limit"].default == "..."
    assert sample["TABLE"].value is None


def test_the_site_shows_fields_of_models_as_arguments(sample):
    expected = {
        "width": ("int | None", "None"),
        "bands": ("dict", "dict(ALPHA)"),
        "names": ("tuple", "None"),
        "rate": ("float", "2.0"),
    }
    for name in ("Lines", "Wide"):
        _, *arguments = sample[name].parameters
        assert {one.name: (str(one.annotation), str(one.default)) for one in arguments} == expected
        assert {one.kind for one in arguments} == {arguments[0].kind.keyword_only}


@pytest.fixture(scope="module")
def site():
    """The hooks of the documentation site."""
    for name in ("mkdocs", "latex2mathml"):
        pytest.importorskip(name)
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / ".ci" / "site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_long_cells_of_tables_are_marked(site):
    page = types.SimpleNamespace(file=types.SimpleNamespace(src_uri="page.md"))
    long, tags = "word " * 9, "<code>" + "</code><code>" * 9 + "short</code>"
    html = f"<td class='a'>{long}</td><td>{tags}</td><td>1 ± 2</td>"
    marked = site.on_page_content(html, page, None, None)
    assert marked == f"<td data-long class='a'>{long}</td><td>{tags}</td><td>1\xa0±\u2060\xa02</td>"


def test_long_lines_of_words_are_wrapped_and_rows_of_tables_are_not(site):
    words, row, rule = "  leak: " + "word " * 30, "cell   " * 20, "─" * 120
    page = types.SimpleNamespace(file=types.SimpleNamespace(src_uri="index.md"))
    shown = site.on_page_markdown(f"```text\n{words}\n{row}\n{rule}\n```", page, None, None).split("\n")
    assert shown[0] == "```text"
    assert shown[3:] == [row, rule, "```"]
    assert max(map(len, shown[1:3])) <= 100
    assert [line[:8] for line in shown[1:3]] == ["  leak: ", "      wo"]
    python = f"```python\n{words}\n```"
    assert site.on_page_markdown(python, page, None, None) == python


def test_the_overview_of_a_package_lists_its_members(site, caplog):
    anchor = "keras_emotion.testing.check_layer"
    member = f'<h2 id="{anchor}" class="doc">check_layer</h2>{{}}<p>Check it. Then stop.</p>'
    html = site._FIRST_MEMBER + member.format("<p class='bases'>Bases</p>")
    page = types.SimpleNamespace(file=types.SimpleNamespace(src_uri="api/testing.md"))
    shown = site.on_page_content(html, page, None, None)
    assert f"<a href='#{anchor}'><code>check_layer</code></a></td><td>Check it.</td>" in shown
    assert caplog.messages == ["api/testing.md: without a docstring: check_reader, check_system"]


def test_introductions_of_tutorials_end_as_sentences(site):
    paragraphs = site._tutorials().strip().split("\n\n")[2:]
    assert len(paragraphs) == len(list((ROOT / "notebooks").glob("*.ipynb")))
    assert all(paragraph.endswith(".") for paragraph in paragraphs), paragraphs
