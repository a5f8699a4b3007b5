"""Which frames a network looked at: how many, where, and what was there."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.style
import numpy as np
from matplotlib.figure import Figure

from keras_emotion.reports.figures import STYLE, Picture, picture

MOST_SHOWN = 8
"""Looks of a window that are shown, evenly spread where there are more."""


def draw_looks(
    looks: np.ndarray,
    positions: np.ndarray,
    frame_seconds: float,
    n_frames: int,
    strips: Sequence[tuple[str, int, np.ndarray | None, np.ndarray | None]],
    band_names: Sequence[str],
    title: str,
    mark: str,
) -> Picture:
    """Histograms of looks and of their positions, and the faces and EEG images at the chosen frames of some windows.

    Args:
        looks: `(windows,)` numbers of frames that were looked at.
        positions: `(windows, looks)` frames from 0.
        frame_seconds: time from a frame to the next.
        n_frames: frames of a window.
        strips: title, window, faces `(frames, rows, columns, 3)` uint8 or `None`, and EEG images `(frames, bands, rows,
            columns)` or `None`, of each window that is shown.
        band_names: names of the bands.
        title: what is shown.
        mark: mark of synthetic data, or empty.
    """
    chosen = positions[np.arange(positions.shape[1]) < np.asarray(looks)[:, np.newaxis]]
    rows_of = [
        [*(["face"] if faces is not None else []), *(band_names if images is not None else [])]
        for _, _, faces, images in strips
    ]
    n_rows = sum(map(len, rows_of))
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(7.5, 2.6 + 0.95 * n_rows + 0.3 * len(strips)), layout="constrained")
        parts = figure.subfigures(
            1 + len(strips), 1, height_ratios=[2.2, *(0.95 * len(rows) + 0.3 for rows in rows_of)]
        )
        parts = np.atleast_1d(parts)
        left, right = parts[0].subplots(1, 2)
        left.hist(chosen * frame_seconds, bins=np.arange(n_frames + 1) * frame_seconds, color="#0072B2")
        left.set(xlabel="time in the window (s)", ylabel="looks", title="where it looked")
        right.hist(looks, bins=np.arange(0.5, positions.shape[1] + 1), color="#0072B2")
        right.set(xlabel="looks", ylabel="windows", title="how often it looked")
        for part, rows, (name, window, faces, images) in zip(parts[1:], rows_of, strips, strict=True):
            part.suptitle(name, fontsize=9)
            seen = positions[window, : looks[window]]
            seen = seen[np.unique(np.linspace(0, len(seen) - 1, min(MOST_SHOWN, len(seen))).round().astype(int))]
            panels = part.subplots(len(rows), MOST_SHOWN, squeeze=False)
            for axes in panels.ravel():
                axes.axis("off")
            for column, frame in enumerate(seen):
                panels[0, column].set_title(f"{frame * frame_seconds:.2f} s", fontsize=7)
                if faces is not None:
                    panels[0, column].imshow(faces[frame])
                if images is not None:
                    for axes, image in zip(panels[len(rows) - len(band_names) :, column], images[frame], strict=True):
                        axes.imshow(image, cmap="RdBu_r", vmin=-3, vmax=3)
            for axes, row in zip(panels[:, 0], rows, strict=True):
                place = {"ha": "right", "va": "center", "transform": axes.transAxes}
                axes.text(-0.15, 0.5, row, rotation=90, fontsize=7, **place)
        return picture(
            "looks",
            title,
            mark,
            "Windows that the network was not trained on. Below: faces and topographic images (standardised powers, "
            "red is high) at the frames that it chose.",
            figure,
        )
