"""Graphs of networks: a box for each layer, an arrow for each tensor."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import matplotlib.style
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch

from keras_emotion.reports.figures import STYLE, Picture, picture

_COLOURS = {
    "input": "#D9D9D9",
    "convolution": "#CFE3F2",
    "recurrent": "#FBE3B5",
    "dense": "#CDEBDD",
    "attention": "#F3D6E6",
    "other": "#FFFFFF",
}

_BOX_WIDTH, _LANE_WIDTH = 2.35, 2.55
_LINE, _PADDING, _GAP = 0.15, 0.1, 0.2
"""Inches: height of a line of text, space above and below the text of a box, space between boxes."""

_MOST_PARTS = 16


@dataclasses.dataclass(frozen=True)
class Box:
    """Operation of a network.

    Args:
        name: name of the layer, unique in its network.
        kind: name of its class.
        shapes: shape of each output, without the batch axis.
        n_parameters: number of its weights, trainable or not.
        sources: names of the operations whose outputs it reads, in order.
        parts: nested layers: names, kinds, and numbers of weights.
        group: its colour group, a key of the legend.
        is_output: whether it is an output of the network.
    """

    name: str
    kind: str
    shapes: Sequence[Sequence[int | None]]
    n_parameters: int
    sources: Sequence[str] = ()
    parts: Sequence[tuple[str, str, int]] = ()
    group: str = "other"
    is_output: bool = False

    def lines(self) -> list[str]:
        """Lines of text of the box; the first is the heading."""
        shapes = "; ".join(_shape(shape) for shape in self.shapes)
        weights = f", {self.n_parameters:,} weight{'' if self.n_parameters == 1 else 's'}" if self.n_parameters else ""
        # An operation with a default name (`reshape_1`) is labelled by its kind.
        if not self.n_parameters and self.name.rstrip("_0123456789").replace("_", "") == self.kind.lower():
            return [f"{self.kind}: {shapes}"]
        found = [self.name, f"{self.kind}{weights}", shapes]
        for name, kind, count in self.parts[:_MOST_PARTS]:
            indent = " " * (len(name) - len(name.lstrip()))
            found.append(f"· {indent}{name.lstrip()}: {kind}{f', {count:,}' if count else ''}")
        if len(self.parts) > _MOST_PARTS:
            found.append(f"· {len(self.parts) - _MOST_PARTS} more")
        return found

    @property
    def height(self) -> float:
        """Inches."""
        return _LINE * len(self.lines()) + _PADDING


def draw_graphs(networks: Mapping[str, Sequence[Box]], name: str, title: str, caption: str) -> Picture:
    """Draw networks side by side, with inputs at the top and outputs at the bottom.

    Args:
        networks: the boxes of each network, by its title; a box comes after its sources.
        name: name of the picture.
        title: title of the figure.
        caption: how to read it.
    """
    layouts = {of: _layout(boxes) for of, boxes in networks.items()}
    widths = [_LANE_WIDTH * (1 + max(x for x, _ in places.values())) + 0.3 for places, _ in layouts.values()]
    height = max(bottom for _, bottom in layouts.values()) + 1.15
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(max(sum(widths), 4.6), height))
        # Leaves room for the title above and the legend below; one unit of the axes is an inch.
        left = max(0.0, (4.6 - sum(widths)) / 2)
        for (of, boxes), width in zip(networks.items(), widths, strict=True):
            places, _ = layouts[of]
            total_width = max(sum(widths), 4.6)
            axes = figure.add_axes(
                (left / total_width, 0.4 / height, width / total_width, (height - 1.05) / height),
                xlim=(-_LANE_WIDTH / 2 - 0.15, width - _LANE_WIDTH / 2 - 0.15),
                ylim=(height - 1.05, 0),
            )
            axes.axis("off")
            if len(networks) > 1:
                axes.set_title(of, fontsize=9, pad=1)
            _draw(axes, boxes, places)
            left += width
        groups = dict.fromkeys(box.group for boxes in networks.values() for box in boxes if box.group != "other")
        figure.legend(
            handles=[Patch(facecolor=_COLOURS[group], edgecolor="#555555", label=group) for group in groups],
            loc="lower center",
            ncols=len(groups),
            fontsize=7.5,
        )
        return picture(name, title, "", caption, figure)


def _layout(boxes: Sequence[Box]) -> tuple[dict[str, tuple[float, float]], float]:
    """Lane and top of each box, and the bottom of the lowest box."""
    ranks = _ranks(boxes)
    lanes = _lanes(boxes, ranks)
    tops, top = {}, 0.05
    for rank in sorted(set(ranks.values())):
        mine = [box for box in boxes if ranks[box.name] == rank]
        tallest = max(box.height for box in mine)
        for box in mine:
            tops[box.name] = top + (tallest - box.height) / 2
        top += tallest + _GAP
    return {name: (lanes[name], tops[name]) for name in tops}, top


def _ranks(boxes: Sequence[Box]) -> dict[str, int]:
    """Row of each box: below all its sources; an input directly above its first reader."""
    ranks: dict[str, int] = {}
    for box in boxes:
        ranks[box.name] = max((ranks[source] + 1 for source in box.sources), default=0)
    # From the end, so that a chain that starts with an input moves as a whole.
    for box in reversed(boxes):
        readers = [ranks[other.name] for other in boxes if box.name in other.sources]
        if readers and not box.is_output:
            ranks[box.name] = min(readers) - 1
    first = min(ranks.values())
    return {name: rank - first for name, rank in ranks.items()}


def _lanes(boxes: Sequence[Box], ranks: Mapping[str, int]) -> dict[str, float]:
    """Lane of each box from left to right: below its source, or in the middle of several."""
    lanes: dict[str, float] = {}
    n_inputs = 0
    taken: dict[int, list[float]] = {}
    n_readers: dict[str, int] = {}
    for box in boxes:
        if box.sources:
            wished = sum(lanes[source] for source in box.sources) / len(box.sources)
            if len(box.sources) == 1:
                (source,) = box.sources
                # The first reader is placed below its source, the others beside it.
                wished += n_readers.get(source, 0)
                n_readers[source] = n_readers.get(source, 0) + 1
        else:
            wished, n_inputs = float(n_inputs), n_inputs + 1
        row = taken.setdefault(ranks[box.name], [])
        while any(abs(wished - other) < 1 for other in row):
            wished = min(other for other in row if abs(wished - other) < 1) + 1
        row.append(wished)
        lanes[box.name] = wished
    return lanes


def _draw(axes, boxes: Sequence[Box], places: Mapping[str, tuple[float, float]]) -> None:
    known = {box.name: box for box in boxes}
    for box in boxes:
        x, top = places[box.name]
        left = x * _LANE_WIDTH - _BOX_WIDTH / 2
        axes.add_patch(
            FancyBboxPatch(
                (left, top),
                _BOX_WIDTH,
                box.height,
                boxstyle="round,pad=0,rounding_size=0.05",
                facecolor=_COLOURS[box.group],
                edgecolor="black" if box.is_output else "#777777",
                linewidth=1.6 if box.is_output else 0.7,
                zorder=2,
            )
        )
        lines = box.lines()
        for place, line in enumerate(lines):
            is_part = line.startswith("·")
            axes.text(
                left + 0.08 if is_part else left + _BOX_WIDTH / 2,
                top + _PADDING / 2 + _LINE * (place + 0.5),
                _shortened(line),
                ha="left" if is_part else "center",
                va="center",
                fontsize=6.5 if is_part or len(line) > 36 else 7.5,
                fontweight="bold" if place == 0 and len(lines) > 1 else "normal",
                color="#333333" if is_part else "black",
                zorder=3,
            )
        for source in dict.fromkeys(box.sources):
            from_x, from_top = places[source]
            start = from_x * _LANE_WIDTH, from_top + known[source].height
            is_blocked = any(
                abs(other_x - from_x) < 0.9 and from_top < other_top < top for other_x, other_top in places.values()
            )
            _arrow(axes, start, (x * _LANE_WIDTH, top), is_blocked)


def _arrow(axes, start: tuple[float, float], end: tuple[float, float], is_blocked: bool) -> None:
    """Draw an arrow down the lane of the source, then across to the target, around boxes in between."""
    line = {"color": "#555555", "linewidth": 0.9, "zorder": 1, "solid_joinstyle": "round"}
    (x, y), bend = start, end[1] - 0.6 * _GAP
    if is_blocked:
        side = x + _BOX_WIDTH / 2 + 0.1
        axes.plot([x, x, side, side, end[0]], [y, y + 0.4 * _GAP, y + 0.4 * _GAP, bend, bend], **line)
    elif abs(x - end[0]) > 1e-6:
        axes.plot([x, x, end[0]], [y, bend, bend], **line)
    if is_blocked or abs(x - end[0]) > 1e-6:
        x, y = end[0], bend
    axes.annotate(
        "", end, (x, y), arrowprops={"arrowstyle": "-|>", "color": "#555555", "linewidth": 0.9, "shrinkA": 0}, zorder=1
    )


def _shortened(line: str) -> str:
    return line if len(line) <= 46 else f"{line[:45]}…"


def _shape(shape: Sequence[int | None]) -> str:
    return " × ".join("?" if size is None else str(size) for size in shape) or "scalar"
