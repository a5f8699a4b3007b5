"""The documentation page of the registry, `docs/papers.md`: `python -m keras_emotion.papers.page > docs/papers.md`."""

from __future__ import annotations

import sys

from keras_emotion.datasets import READERS
from keras_emotion.evaluation import PROTOCOLS, joint_ratings
from keras_emotion.papers import Paper, Reproduction, find_reproduction, papers
from keras_emotion.papers.registry import PRESETS

_NO_EDIT = (
    "<!-- Written by `python -m keras_emotion.papers.page > docs/papers.md`; change the registry, not this page. -->"
)


def markdown_page() -> str:
    """The registry as Markdown: each paper, what it is run on, and what its tables compare."""
    parts = [
        "# Papers",
        _NO_EDIT,
        "`keras-emotion run NAME`, or the script in `reproductions/`, runs one paper on one dataset; "
        "`keras-emotion run --model MODEL` runs a model on any dataset, your own recordings included. Every field of a "
        "configuration is an option (`--help-all`).",
    ]
    parts += [_section(paper) for paper in papers().values()]
    return "\n\n".join(parts) + "\n"


def _section(paper: Paper) -> str:
    lines = [f"## {paper.name}", paper.citation + "."]
    if paper.models:
        lines.append(f"`--model` {', '.join(f'`{name}`' for name in paper.models)}")
    lines += [_reproduction(one) for one in paper.reproductions]
    return "\n\n".join(lines)


def _reproduction(one: Reproduction) -> str:
    full = one.presets["paper"]
    training = full.training
    rows = [
        ("dataset", full.dataset.replace("_", "-").upper()),
        ("targets", ", ".join(full.targets)),
        ("classes", _classes(full)),
        ("network or estimator", f"`{type(full.system).__name__}`"),
        ("epochs, batch size, learning rate", f"{training.epochs}, {training.batch_size}, {training.learning_rate:g}"),
        ("paper's numbers on this dataset", "none" if one.printed_numbers is None else f"`{one.printed_numbers.name}`"),
    ]
    if one.command == "run":
        rows.insert(3, ("protocols", ", ".join(_protocol(name) for name in full.protocols)))
    for number, table in one.tables.items():
        rows.append((f"`--table {number}`", "; ".join(table)))
    for number, figure in one.compared_figures.items():
        rows.append((f"`--figure {number}`", f"{figure.metric}: {'; '.join(figure.methods)}"))
    if one.pretraining is not None:
        before = find_reproduction(one.pretraining.reproduction)
        what = f"`{before.name}` first, on {before.dataset.replace('_', '-').upper()}"
        rows.append(("`--pretraining-data FOLDER`", what))
    if unlike := full.system.unlike_the_paper():
        rows.append(("`--preset paper` differs from the paper", "; ".join(unlike)))
    small = {name: one.presets[name] for name in PRESETS if one.presets[name] is not full}
    for name, preset in small.items():
        changed = {field: getattr(preset.training, field) for field in ("epochs", "batch_size", "learning_rate")}
        folds = f", at most {preset.maximum_folds} folds" if preset.maximum_folds else ""
        epochs, batch_size, rate = changed.values()
        rows.append((f"`--preset {name}`", f"{epochs} epochs, batch size {batch_size}, learning rate {rate:g}{folds}"))
    table = "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])
    return f"### `reproductions/{one.name}.py`\n\n{table}"


def _classes(experiment) -> str:
    rule = experiment.label_rule
    rated = {
        "greater_than": f"above {rule.threshold:g} or not",
        "greater_equal": f"{rule.threshold:g} or more, or less",
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
    sys.stdout.write(markdown_page())
