"""Pages of the documentation site that are made from other files, as MkDocs asks for them (`hooks` of `mkdocs.yml`).

Home is the README; the changelog and the page for contributors are the files in the root; what was measured is
`reproductions/results`; tutorials are the notebooks, executed copies of which are shown with their outputs (folder
`executed`, which `.ci/run` fills); the command line is made from the parsers, the API from the packages' docstrings.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import logging
import posixpath
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from html import unescape
from pathlib import Path
from typing import Any

import latex2mathml.converter
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "reproductions" / "results"
LOG = logging.getLogger("mkdocs.hooks")
sys.path.insert(0, str(ROOT))

PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "reporting.md",
    "CONTRIBUTING.md": "contributing.md",
    "CODE_OF_CONDUCT.md": "code_of_conduct.md",
    "benchmarks/README.md": "benchmarks.md",
    "reproductions/results/README.md": "results/index.md",
    **{
        f"reproductions/results/{path.name}": f"results/{path.name}"
        for path in RESULTS.glob("*.md")
        if path.name != "README.md"
    },
}
"""Files of the repository that are pages of the site: their paths here and there."""

DOWNLOADS = ("CITATION.cff", "LICENSE")
"""Files of the repository that pages link to."""

PACKAGES = (
    "audio",
    "audit",
    "datasets",
    "evaluation",
    "experiment",
    "faces",
    "inference",
    "layers",
    "losses",
    "models",
    "papers",
    "pipelines",
    "reports",
    "schema",
    "signals",
    "synthetic",
    "systems",
    "testing",
)

RUNS = {
    "--model facrnn --dataset deap": "A model on a dataset",
    "deap_3facrnn": "3FACRNN on DEAP",
    "deap_deepvanet": "DeepVANet on DEAP",
    "deap_dfcn": "Dynamic brain networks on DEAP",
    "deap_mercl": "MERCL on DEAP",
    "deap_hlstm": "Hierarchical LSTM on DEAP",
}
"""What `run` is shown with: its options depend on the system."""

_LINK = re.compile(r"(!?\[[^\]]*\]\()([^)#\s]+)(#[^)\s]*)?\)")
_PAGE_IN_TEXT = re.compile(r"(?<!\[)`docs/(\w+\.md)`")
_FORMULA = re.compile(
    r"<(?P<tag>span|div) class=\"arithmatex\">\s*\\(?P<open>[(\[])(?P<formula>.*?)\\[)\]]\s*</(?P=tag)>", re.DOTALL
)
_COMMENT_BESIDE = re.compile(r"(?P<indent> *)(?P<command>\S.*?) +# +(?P<comment>.*)")
_COLUMNS = re.compile(r" {3}|─")
_LONGEST_LINE = 100
"""Characters of a line of code that are beside each other on a wide screen."""
_NUMBER_AND_SPREAD = re.compile(r"(?<=\d) ([±–]) (?=\d)")
_TOGETHER = "\N{NO-BREAK SPACE}\\1\N{WORD JOINER}\N{NO-BREAK SPACE}"
"""Lines may be broken after a dash, even before a no-break space."""
_CODE = re.compile(r"<code\b[^>]*>.*?</code>", re.DOTALL)
_OPTION = re.compile(r"(?<![\w<!-])--[A-Za-z][\w.-]*")
_CELL = re.compile(r"<td\b[^>]*>.*?</td>", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_LONG_CELL = 30
"""Characters of a cell of a table."""
_FIGURE = re.compile(r"(<img\b[^>]*\bsrc=\"(?!data:)([^\"]+)\"[^>]*>)")
_MEMBER = re.compile(
    r"<h2 id=\"(?P<anchor>keras_emotion\.\w+\.(?P<name>\w+))\"(?P<heading>.*?)</h2>.*?<p>(?P<text>.*?)</p>", re.DOTALL
)
_SENTENCE = re.compile(r".*?\.(?= [A-Z<])|.*", re.DOTALL)
_FIRST_MEMBER = '<div class="doc doc-children">'
_PACKAGE_IN_TABLE = re.compile(r"^\| `\w+`.*? \|", re.MULTILINE)
_FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2", re.MULTILINE | re.DOTALL)


def on_config(config: Any) -> Any:
    """Fill the parts of the navigation that are made from the repository."""
    parts = {
        "<tutorials>": ["tutorials/index.md", *(f"tutorials/{path.stem}.md" for path in notebooks())],
        "<command line>": ["command_line.md", *(f"cli/{name}.md" for name in commands())],
        "<api>": ["python_api.md", *(f"api/{name}.md" for name in PACKAGES)],
        "<measured>": [page for page in PAGES.values() if page.startswith("results/")],
    }
    config.nav = _filled(config.nav, parts)
    # A page that the navigation does not list yet can be reached all the same.
    listed = str(config.nav)
    config.nav[-1]["Project"] += [
        path.name for path in sorted((ROOT / "docs").glob("*.md")) if f"'{path.name}'" not in listed
    ]
    return config


def _filled(nav: Any, parts: Mapping[str, list[str]]) -> Any:
    if isinstance(nav, list):
        return [_filled(entry, parts) for entry in nav]
    if isinstance(nav, dict):
        return {title: _filled(entry, parts) for title, entry in nav.items()}
    return parts.get(nav, nav)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made from other files, and files that pages link to."""

    def add(path: str, content: str | bytes) -> None:
        files.append(File.generated(config, path, content=content))

    for source, page in PAGES.items():
        if (ROOT / source).is_file():
            add(page, (ROOT / source).read_text(encoding="utf-8"))
    for path in [*DOWNLOADS, *(f"reproductions/results/{one.name}" for one in RESULTS.glob("*.csv"))]:
        if (ROOT / path).is_file():
            add(_place(path), (ROOT / path).read_bytes())
    add("tutorials/index.md", _tutorials())
    for path in notebooks():
        for name, content in notebook_pages(path):
            add(f"tutorials/{name}", content)
    for name, calls in commands().items():
        add(f"cli/{name}.md", command_page(name, calls))
    for name in PACKAGES:
        add(f"api/{name}.md", f"# keras_emotion.{name}\n\n::: keras_emotion.{name}\n")
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Point links of files from elsewhere in the repository to their pages, and link pages that texts name."""
    here = page.file.src_uri
    source = next((path for path, uri in PAGES.items() if uri == here), f"docs/{here}")

    def moved(match: re.Match) -> str:
        before, target, anchor = match[1], match[2], match[3] or ""
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        return f"{before}{_relative(_place(path), here)}{anchor})"

    def linked(match: re.Match) -> str:
        return f"[`{match[0].strip('`')}`]({_relative(match[1], here)})" if match[1] != here else match[0]

    def outside_of_code(text: str) -> str:
        text = _PAGE_IN_TEXT.sub(linked, text)
        if here == "python_api.md":
            text = _PACKAGE_IN_TABLE.sub(lambda cell: re.sub(r"`(\w+)`", r"[`\1`](api/\1.md)", cell[0]), text)
        return _LINK.sub(moved, text) if (ROOT / source).is_file() else text

    parts, end = [], 0
    for fence in _FENCE.finditer(markdown):
        parts += [outside_of_code(markdown[end : fence.start()]), _code_block(fence[0])]
        end = fence.end()
    return "".join([*parts, outside_of_code(markdown[end:])])


def _code_block(block: str) -> str:
    """Break lines that are too long for the page: comments are put above their commands, and sentences are wrapped."""
    lines = block.split("\n")
    language = lines[0].strip(" `~")
    if language not in ("bash", "text") or max(map(len, lines)) <= _LONGEST_LINE:
        return block
    if language == "text":
        return "\n".join(map(_wrapped, lines))
    moved: list[str] = []
    for line in lines:
        match = _COMMENT_BESIDE.fullmatch(line)
        is_continued = bool(moved) and moved[-1].endswith("\\")
        moved += [f"{match['indent']}# {match['comment']}", match["command"]] if match and not is_continued else [line]
    return "\n".join(moved)


def _wrapped(line: str) -> str:
    """Break a long line of words; a row of a table, where several spaces are between columns, stays as it is."""
    if len(line) <= _LONGEST_LINE or _COLUMNS.search(line.strip()):
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(
        line, _LONGEST_LINE, subsequent_indent=f"{indent}    ", break_long_words=False, break_on_hyphens=False
    )


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Turn formulas into MathML, which browsers draw without a script; returned values have no name before a dash.

    Options are marked, so that lines are not broken after their hyphens, and so are long cells of tables, which narrow
    screens would make a word wide. A click on a figure opens it in full size.
    """
    html = re.sub(r'(<li class="doc-section-item field-body">)\s*–', r"\1", html)
    html = _CODE.sub(lambda code: _OPTION.sub(r"<span class='option'>\g<0></span>", code[0]), html)
    html = _FIGURE.sub(r"<a href='\2'>\1</a>", html)
    html = _CELL.sub(_cell, html)
    if page.file.src_uri.startswith("api/"):
        html = _with_overview(html, Path(page.file.src_uri).stem)
    return _FORMULA.sub(_mathml, html)


def _cell(match: re.Match) -> str:
    text = unescape(_TAG.sub("", match[0])).strip()
    cell = f"<td data-long{match[0].removeprefix('<td')}" if len(text) > _LONG_CELL else match[0]
    return _NUMBER_AND_SPREAD.sub(_TOGETHER, cell)


def _with_overview(html: str, package: str) -> str:
    """List the classes and functions of a package, with their first sentences, before the first of them.

    A public name without a docstring is not on the page: it is a warning, which is an error of a strict build.
    """
    members = list(_MEMBER.finditer(html))
    missing = _public_names(package) - {member["name"] for member in members}
    if missing:
        LOG.warning("api/%s.md: without a docstring: %s", package, ", ".join(sorted(missing)))
    rows = "".join(
        f"<tr><td><a href='#{member['anchor']}'><code>{member['name']}</code></a></td>"
        f"<td>{_SENTENCE.match(member['text'])[0]}</td></tr>\n"
        for member in members
        if "module-attribute" not in member["heading"]
    )
    return html.replace(_FIRST_MEMBER, f"<table class='options members'>\n{rows}</table>\n{_FIRST_MEMBER}", 1)


def _public_names(package: str) -> set[str]:
    path = ROOT / "keras_emotion" / package / "__init__.py"
    if not path.is_file():
        return set()
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            return set(ast.literal_eval(statement.value))
    return set()


def on_post_template(html: str, template_name: str, config: Any) -> str:
    """Lead readers on from the page of addresses that do not exist."""
    title = "<h1>404 - Not found</h1>"
    if template_name != "404.html" or title not in html:
        return html
    text = "There is no page at this address. The menu lists all pages, and the search finds words in them."
    return html.replace(title, f"<h1>Page not found</h1>\n<p>{text}</p>")


def _mathml(match: re.Match) -> str:
    display = "block" if match["open"] == "[" else "inline"
    formula = latex2mathml.converter.convert(unescape(match["formula"]), display=display)
    return f"<{match['tag']} class='formula'>{formula}</{match['tag']}>"


def _place(path: str) -> str:
    """Where a file of the repository is on the site."""
    if path == "notebooks":
        return "tutorials/index.md"
    return PAGES.get(path) or path.removeprefix("docs/").removeprefix("reproductions/")


def _relative(target: str, page: str) -> str:
    return posixpath.relpath(target, posixpath.dirname(page) or ".")


# --- tutorials


def notebooks() -> list[Path]:
    """The notebooks, executed copies where there are any."""
    executed = ROOT / "executed"
    return [
        executed / path.name if (executed / path.name).is_file() else path
        for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
    ]


def _tutorials() -> str:
    lines = ["# Tutorials", "Each page is a notebook of the folder `notebooks`; all of them run on synthetic data."]
    for path in notebooks():
        title, _, text = "".join(_cells(path)[0]["source"]).removeprefix("# ").partition("\n")
        first = text.strip().split("\n\n")[0].replace("\n", " ").removesuffix(" This notebook shows")
        # What follows the colon is not on this page.
        first = re.sub(r":$", ".", first)
        lines.append(f"**[{title}]({path.stem}.md)**: {first}")
    return "\n\n".join(lines) + "\n"


def _cells(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def notebook_pages(path: Path) -> Iterator[tuple[str, str | bytes]]:
    """The page of a notebook, and the pictures that it shows: names and contents."""
    parts, n_pictures, is_executed = [], 0, False
    for cell in _cells(path):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(_fenced(source, "python"))
        is_executed = is_executed or bool(cell["outputs"])
        for output in _joined(cell["outputs"]):
            data = output.get("data", {})
            if "image/png" in data:
                n_pictures += 1
                name = f"{path.stem}_{n_pictures}.png"
                yield name, base64.b64decode("".join(data["image/png"]))
                parts.append(f"![Output of the code above]({name})")
            elif "text/html" in data:
                parts.append(f"<div class='output' markdown='0'>{''.join(data['text/html'])}</div>")
            elif "text/markdown" in data:
                parts.append("".join(data["text/markdown"]))
            elif text := _as_shown("".join(output.get("text", data.get("text/plain", "")))):
                parts.append(_fenced(text, "text"))
    note = f"*This page is the notebook `notebooks/{path.name}`" + (
        ", as executed when the site was built.*" if is_executed else "; run it to see its outputs.*"
    )
    title, *rest = parts
    first, _, text = title.partition("\n")
    yield f"{path.stem}.md", "\n\n".join([first, note, text.strip(), *rest]) + "\n"


_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PROGRESS_BAR = "━"


def _joined(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The outputs of a cell; what is written to one stream piece by piece is one output."""
    found: list[dict[str, Any]] = []
    streams: dict[str, dict[str, Any]] = {}
    for output in outputs:
        if output["output_type"] != "stream":
            found.append(output)
        elif output["name"] in streams:
            streams[output["name"]]["text"] += "".join(output["text"])
        else:
            streams[output["name"]] = {"text": "".join(output["text"])}
            found.append(streams[output["name"]])
    return found


def _as_shown(text: str) -> str:
    """What a terminal shows in the end: the last state of each line, without colours and progress bars."""
    lines = [line.rpartition("\r")[2] for line in _ESCAPE.sub("", text).split("\n")]
    return "\n".join(line for line in lines if _PROGRESS_BAR not in line).strip("\n")


def _fenced(text: str, language: str) -> str:
    return f"````{language}\n{text.rstrip()}\n````"


# --- command line


def commands() -> dict[str, list[str]]:
    """By the name of a page, the command lines whose help it shows."""
    from keras_emotion.cli import COMMANDS

    return {name: [name, *(f"run {words}" for words in RUNS if name == "run")] for name in COMMANDS}


def command_page(name: str, calls: list[str]) -> str:
    """All options of a command, as `--help-all` lists them."""
    first, *others = calls
    parts = [f"# keras-emotion {name}", _help_as_markdown(_help_of(first), "##")]
    for call in others:
        title = RUNS[call.removeprefix("run ")]
        parts += [f"## {title}", f"`keras-emotion {call}`", _help_as_markdown(_help_of(call), "###")]
    return "\n\n".join(parts) + "\n"


def _help_of(call: str) -> str:
    from keras_emotion.cli import main

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main([*call.split(), "--help-all"])
    return printed.getvalue()


def _help_as_markdown(text: str, heading: str) -> str:
    """The usage and examples as code, lists of options as tables."""
    parts = []
    usage, purpose, *blocks = text.rstrip().split("\n\n")
    # A page begins with what the command does.
    for block in [purpose, usage, *blocks]:
        lines = block.splitlines()
        if block.startswith("usage:"):
            parts.append(_fenced(re.sub(r"^(usage:|      ) ", "", block, flags=re.MULTILINE), "text"))
        elif block.startswith("examples:"):
            parts += ["**Examples**", _fenced("\n".join(line[2:] for line in lines[1:]), "bash")]
        elif (options := _entries(lines)) is not None:
            title, rows = options
            parts.append(f"{heading} {title[0].upper()}{title[1:]}" if not title.startswith("--") else _group(title))
            table = "".join(
                f"<tr><td><code>{_escaped(one)}</code></td><td>{_escaped(what)}</td></tr>\n" for one, what in rows
            )
            parts.append(f"<table class='options'>\n{table}</table>")
        else:
            parts.append(_escaped(" ".join(lines)))
    return "\n\n".join(parts)


def _group(title: str) -> str:
    name, _, text = title.partition(": ")
    return f"**`{name}`** {_escaped(text)}"


def _escaped(text: str) -> str:
    return re.sub(r"[&<>*_\[]", lambda match: f"&#{ord(match[0])};", text)


def _entries(lines: list[str]) -> tuple[str, list[tuple[str, str]]] | None:
    """Title and entries of a list of the help; `None` of a paragraph."""
    first = next((at for at, line in enumerate(lines) if re.match(r"  (-|\S+(\s{2,}|$|, --))", line) and at), None)
    if first is None:
        return None
    title = " ".join(line.strip() for line in lines[:first]).removesuffix(":").removesuffix(".")
    rows: list[list[str]] = []
    for line in lines[first:]:
        if re.match(r"  \S", line):
            # Descriptions begin in one column, or in the next line where the option is longer.
            is_beside = line[27:28] == " " and line[28:] not in ("", "...")
            entry, what = (line[:28], line[28:]) if is_beside else (line, "")
            rows.append([entry.strip(), what.strip()])
        else:
            rows[-1][1] = f"{rows[-1][1]} {line.strip()}".strip()
    return title, [(entry, what) for entry, what in rows]
