"""Documentation page of the registry, `docs/papers.md`: `python -m keras_emotion.papers.page > docs/papers.md`.

Its diagrams of networks are drawn by `python -m keras_emotion.papers.page --figures docs/figures`.
"""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import PIL.Image
import PIL.PngImagePlugin

from keras_emotion.datasets import READERS
from keras_emotion.evaluation import PROTOCOLS, joint_ratings
from keras_emotion.messages import dataset_title
from keras_emotion.papers import (
    FigureSource,
    Item,
    Paper,
    Reproduction,
    differences_from_the_paper,
    find_reproduction,
    papers,
)
from keras_emotion.papers.registry import PRESETS, Table

_MOST_NAMES = 10
"""Maximum number of methods listed; of more, as in grids, the first ones and the last are listed."""

_NO_EDIT = (
    "<!-- Written by `python -m keras_emotion.papers.page > docs/papers.md`; change the registry, not this page. -->"
)


def markdown_page() -> str:
    """Write the registry as Markdown: papers, datasets, and methods of their tables."""
    parts = [
        "# Papers",
        _NO_EDIT,
        "`keras-emotion run NAME`, or the script in `reproductions/`, reproduces one paper on one dataset; "
        "`keras-emotion run --model MODEL` runs a model on any dataset, your own recordings included. Every field of a "
        "configuration is an option (`--help-all`). `keras-emotion papers` lists all tables and figures with their "
        "commands, the state of their runs and an estimate of the time; `keras-emotion papers --run PAPER` produces "
        "all tables and figures of one paper from synthetic data.",
        "The diagrams are drawn from the Keras models: `python -m keras_emotion.papers.page --figures docs/figures`.",
    ]
    parts += [_section(paper) for paper in papers().values()]
    return "\n\n".join(parts) + "\n"


def _section(paper: Paper) -> str:
    lines = [f"## {paper.title or paper.name}", paper.citation + "."]
    names = [f"all tables and figures: `keras-emotion papers --run {paper.name}`"] if paper.reproductions else []
    if paper.models:
        models = ", ".join(f"`{name}`" for name in paper.models)
        names.append(f"on any dataset: `keras-emotion run --model NAME`, with one of {models}")
    lines += [f"{text[0].upper()}{text[1:]}." for text in names]
    for name, one, number in network_figures(paper):
        caption = one.drawn_figures[number].caption
        lines.append(
            f"![{caption}](figures/{name})\n\nFigure {number}: {caption[0].lower() + caption[1:]} (`keras-emotion "
            f"run {one.name} --figure {number}`)."
        )
    lines += [_reproduction(one) for one in paper.reproductions]
    return "\n\n".join(lines)


def _reproduction(one: Reproduction) -> str:
    full = one.presets["paper"]
    training = full.training
    rows = [
        ("dataset", f"`{full.dataset}`"),
        ("targets", ", ".join(full.targets)),
        ("classes", _classes(full)),
        ("network or estimator", f"`{type(full.system).__name__}`"),
        ("epochs, batch size, learning rate", f"{training.epochs}, {training.batch_size}, {training.learning_rate:g}"),
        (
            "results printed in the paper, on this dataset",
            "none" if one.printed_numbers is None else f"`{one.printed_numbers.name}`",
        ),
    ]
    if one.command == "run":
        rows.insert(3, ("protocols", ", ".join(_protocol(name) for name in full.protocols)))
    for item in one.items():
        rows.append((f"`{item.option}`", _told(one, item)))
    if one.pretraining is not None:
        before = find_reproduction(one.pretraining.reproduction)
        what = f"pre-trains first: `{before.name}` on `{before.dataset}` in this folder"
        rows.append(("`--pretraining-data FOLDER`", what))
    if one.is_on_data_of_paper and (lines := differences_from_the_paper(one, full, None)):
        rows.append(
            ("differences of `--preset paper` from the paper (a run also lists those of its data)", "; ".join(lines))
        )
    small = {name: one.presets[name] for name in PRESETS if one.presets[name] is not full}
    for name, preset in small.items():
        changed = {field: getattr(preset.training, field) for field in ("epochs", "batch_size", "learning_rate")}
        folds = f", at most {preset.maximum_folds} folds" if preset.maximum_folds else ""
        epochs, batch_size, rate = changed.values()
        rows.append((f"`--preset {name}`", f"{epochs} epochs, batch size {batch_size}, learning rate {rate:g}{folds}"))
    table = "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])
    return f"### {dataset_title(full.dataset)}: `{one.name}`\n\n{table}"


def _told(one: Reproduction, item: Item) -> str:
    """Caption of a table or figure, with the methods that it compares."""
    if item.kind == "table":
        return _with_methods(one.table_captions.get(item.number, ""), one.tables[item.number])
    if item.number in one.drawn_figures:
        return item.caption
    figure = one.compared_figures[item.number]
    return _with_methods(figure.caption, figure.methods, f"{figure.metric}: ")


def _with_methods(caption: str, methods: Table, before: str = "") -> str:
    names = list(methods)
    if len(names) > _MOST_NAMES:
        names = [*names[:2], "...", f"{names[-1]}: {len(names)} runs"]
    listed = f"{before}{'; '.join(names)}"
    return f"{caption} ({listed})" if caption else listed


def network_figures(paper: Paper) -> Iterator[tuple[str, Reproduction, str]]:
    """File name, reproduction and number of each diagram of a paper, for its first reproduction."""
    found = set()
    for one in paper.reproductions:
        for number, figure in one.drawn_figures.items():
            if figure.needs == "network" and number not in found:
                found.add(number)
                yield f"{paper.name}_figure{number}.png", one, number


def draw_network_figures(folder: Path) -> None:
    """Write the pictures of the page to a folder, with few colours and the hash of their content."""
    folder.mkdir(parents=True, exist_ok=True)
    for paper in papers().values():
        for name, one, number in network_figures(paper):
            source, png = network_figure(one, number)
            information = PIL.PngImagePlugin.PngInfo()
            information.add_text("Source", source)
            with PIL.Image.open(io.BytesIO(png)) as image:
                small = image.convert("RGB").quantize(32, dither=PIL.Image.Dither.NONE)
            small.save(folder / name, optimize=True, pnginfo=information)


def network_figure(one: Reproduction, number: str) -> tuple[str, bytes]:
    """Hash of the content of a diagram, and the picture."""
    (drawing,) = one.drawn_figures[number].draw(FigureSource(number, one.presets["paper"]))
    content = drawing.table.to_csv(index=False).encode()
    return hashlib.blake2b(content, digest_size=8).hexdigest(), drawing.picture.png


def _classes(experiment) -> str:
    rule = experiment.label_rule
    rated = {
        "greater_than": f"above {rule.threshold:g}, or not",
        "greater_equal": f"{rule.threshold:g} or more, or below",
    }.get(rule.kind, rule.name)
    class_names = READERS[experiment.dataset].class_names
    own = [f"{name}: {', '.join(class_names[name])}" for name in experiment.targets if name in class_names]
    joint = [f"{name}: the four quadrants" for name in experiment.targets if joint_ratings(name)]
    return "; ".join([*([rated] if len(own) < len(experiment.targets) else []), *joint, *own])


def _protocol(name: str) -> str:
    protocol = PROTOCOLS[name]
    leaks = [flag for flag in protocol.flags if flag != protocol.assumed]
    assumed = f"; assumed: {protocol.assumed}" if protocol.assumed else ""
    return f"`{name}` (leaks: {'; '.join(leaks)}{assumed})" if leaks else f"`{name}`"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--figures"]:
        draw_network_figures(Path(sys.argv[2]))
    else:
        sys.stdout.write(markdown_page())
