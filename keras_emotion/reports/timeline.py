"""Figure of a prediction: probabilities over time, band attention, and faces."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.figure import Figure, FigureBase
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from keras_emotion.reports.figures import COLOURS, STYLE, _set_title
from keras_emotion.reports.networks import LooksPanel

_WIDTH_INCHES = 9.0

_FACE_INCHES = 0.45
"""Width of a face, so that sixteen fit side by side."""


def draw_timeline(
    table: pd.DataFrame,
    title: str,
    warning: str | None = None,
    bands: Sequence[str] = (),
    band_attention: np.ndarray | None = None,
    faces: tuple[np.ndarray, np.ndarray] | None = None,
    below: LooksPanel | None = None,
) -> bytes:
    """Draw a prediction as a PNG file of 150 dpi without date or software.

    Args:
        table: one row for each window: `start_seconds`, `stop_seconds` and `probability_<class>` columns. Of two
            classes the second is drawn, of more all. Gaps and windows without a probability stay empty.
        title: model and recording.
        warning: why the numbers are meaningless; shown below the title.
        bands: names of the bands.
        band_attention: `(windows, bands)`, each weight between 0 and 1.
        faces: `(times,)` seconds and `(times, size, size, 3)` uint8 pictures.
        below: panel of the frames that the network selected.
    """
    names = [column for column in table if column.startswith("probability_")]
    shown = names[1:] if len(names) == 2 else names
    edges, rows = _edges(table["start_seconds"].to_numpy(), table["stop_seconds"].to_numpy())
    parts = [("probability", 2.2)]
    parts += [("attention", 1.8)] if band_attention is not None else []
    parts += [("faces", 0.6)] if faces is not None and len(faces[0]) else []
    with matplotlib.style.context(["default", STYLE]):
        heights = [height for _, height in parts]
        whole_inches = 0.9 + sum(heights)
        below_inches = 0.0 if below is None else below.inches
        figure = Figure(figsize=(_WIDTH_INCHES, whole_inches + below_inches), layout="constrained")
        timeline: FigureBase = figure
        if below is not None:
            ratios = [whole_inches, below_inches]
            timeline, rest = figure.subfigures(2, 1, squeeze=False, height_ratios=ratios)[:, 0]
            below.fill(rest)
        panels = timeline.subplots(len(parts), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
        for axes, (part, _) in zip(panels, parts, strict=True):
            if part == "probability":
                for place, name in enumerate(shown):
                    # Further classes than there are colours are dashed.
                    line = {
                        "color": COLOURS[(place + 2) % len(COLOURS)],
                        "linestyle": "-:"[place // len(COLOURS) % 2],
                    }
                    label = name.removeprefix("probability_")
                    axes.stairs(
                        _with_gaps(table[name].to_numpy(), rows),
                        edges,
                        baseline=None,
                        linewidth=1.2,
                        label=label,
                        **line,
                    )
                axes.axhline(1 / len(names), color="#888888", linewidth=0.8, linestyle="--")
                axes.set_ylim(0, 1)
                axes.set_ylabel(
                    f"probability of {shown[0].removeprefix('probability_')}" if len(shown) == 1 else "probability"
                )
                axes.grid(axis="y")
                if len(shown) > 1:
                    axes.legend(ncols=min(len(shown), 6), loc="upper right")
            elif part == "attention" and band_attention is not None:
                # From 0 to 1, so that the colours of two recordings are comparable.
                shown_bands = _with_gaps(band_attention, rows).T
                image = axes.pcolormesh(
                    edges, np.arange(len(bands) + 1), shown_bands, vmin=0, vmax=1, cmap="viridis", rasterized=True
                )
                axes.set_yticks(np.arange(len(bands)) + 0.5, bands)
                timeline.colorbar(image, ax=axes, label="band attention", pad=0.01)
            elif faces is not None:
                for time, face in zip(*faces, strict=True):
                    zoom = _FACE_INCHES * 72 / len(face)
                    axes.add_artist(AnnotationBbox(OffsetImage(face, zoom=zoom), (time, 0.5), frameon=False, pad=0))
                axes.set_ylim(0, 1)
                axes.set_yticks([])
                axes.set_ylabel("face")
        panels[-1].set_xlabel("seconds from the start of the recording")
        panels[-1].set_xlim(0, edges[-1])
        _set_title(figure, title, warning or "")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _edges(starts: np.ndarray, stops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges of the drawn intervals, and the window of each interval; -1 for gaps between windows."""
    has_gap = starts[1:] - stops[:-1] > 1e-6
    after = np.flatnonzero(has_gap)
    edges = np.append(np.insert(starts, after + 1, stops[after]), stops[-1])
    return edges, np.insert(np.arange(len(starts)), after + 1, -1)


def _with_gaps(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`(drawn, ...)`: the values of the windows, NaN between them."""
    drawn = np.asarray(values, float)[rows]
    drawn[rows < 0] = np.nan
    return drawn
