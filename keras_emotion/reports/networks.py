"""Figures of trained networks: selected frames, attention between modalities, priors on the scalp."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import matplotlib.style
import numpy as np
from matplotlib.figure import Figure, FigureBase

from keras_emotion.reports.figures import STYLE, Picture, picture
from keras_emotion.sampling import evenly_spread
from keras_emotion.schema import InputError

MOST_SHOWN = 8
"""Most selected frames shown for a window; of more, evenly spaced ones are shown."""


@dataclasses.dataclass(frozen=True, eq=False)
class LooksPanel:
    """Panel of selected frames: histograms of their number and positions, faces and EEG images of some windows.

    Args:
        looks: `(windows,)` numbers of selected frames.
        positions: `(windows, looks)` frames from 0.
        frame_seconds: time between frames.
        n_frames: number of frames of a window.
        strips: title, window, faces `(frames, rows, columns, 3)` uint8 or `None`, and EEG images `(frames, bands, rows,
            columns)` or `None`, for each window shown.
        band_names: names of the bands.
    """

    looks: np.ndarray
    positions: np.ndarray
    frame_seconds: float
    n_frames: int
    strips: Sequence[tuple[str, int, np.ndarray | None, np.ndarray | None]]
    band_names: Sequence[str]

    @property
    def inches(self) -> float:
        """Height of the panel in inches."""
        return 2.6 + sum(map(self._strip_inches, self.strips))

    def fill(self, figure: FigureBase) -> None:
        """Draw into a figure or subfigure."""
        looks, positions = self.looks, self.positions
        chosen = positions[np.arange(positions.shape[1]) < np.asarray(looks)[:, np.newaxis]]
        heights = [2.2, *map(self._strip_inches, self.strips)]
        parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        left, right = parts[0].subplots(1, 2)
        left.hist(chosen * self.frame_seconds, bins=np.arange(self.n_frames + 1) * self.frame_seconds, color="#0072B2")
        left.set(xlabel="time in the window (s)", ylabel="looks", title="where it looked")
        right.hist(looks, bins=np.arange(0.5, positions.shape[1] + 1), color="#0072B2")
        right.set(xlabel="looks", ylabel="windows", title="number of looks")
        for part, strip in zip(parts[1:], self.strips, strict=True):
            name, window, faces, images = strip
            rows = self._strip_rows(strip)
            part.suptitle(name, fontsize=9)
            seen = positions[window, : looks[window]]
            seen = seen[evenly_spread(len(seen), MOST_SHOWN)]
            panels = part.subplots(len(rows), MOST_SHOWN, squeeze=False)
            for axes in panels.ravel():
                axes.axis("off")
            for column, frame in enumerate(seen):
                panels[0, column].set_title(f"{frame * self.frame_seconds:.2f} s", fontsize=7)
                if faces is not None:
                    panels[0, column].imshow(faces[frame])
                if images is not None:
                    below = panels[len(rows) - len(self.band_names) :, column]
                    for axes, image in zip(below, images[frame], strict=True):
                        axes.imshow(image, cmap="RdBu_r", vmin=-3, vmax=3)
            for axes, row in zip(panels[:, 0], rows, strict=True):
                place = {"ha": "right", "va": "center", "transform": axes.transAxes}
                axes.text(-0.15, 0.5, row, rotation=90, fontsize=7, **place)

    def _strip_rows(self, strip: tuple) -> list[str]:
        _, _, faces, images = strip
        return [*(["face"] if faces is not None else []), *(self.band_names if images is not None else [])]

    def _strip_inches(self, strip: tuple) -> float:
        return 0.95 * len(self._strip_rows(strip)) + 0.3


def draw_looks(panel: LooksPanel, title: str, mark: str) -> Picture:
    """Draw the frames that a network selected.

    Args:
        panel: the panel to draw.
        title: title of the figure.
        mark: warning of synthetic data, or empty.
    """
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(7.5, panel.inches), layout="constrained")
        panel.fill(figure)
        return picture(
            "looks",
            title,
            mark,
            "Test windows. Below: faces and topographic images (standardised powers, red is high) at the selected "
            "frames.",
            figure,
        )


def draw_attention(scores: Mapping[tuple[str, str], np.ndarray], title: str, mark: str) -> Picture:
    """Draw the attention between modalities, one panel for each ordered pair.

    Args:
        scores: by `(source, target)`, `(steps of the target, steps of the source)`; rows sum to 1.
        title: title of the figure.
        mark: warning of synthetic data, or empty.
    """
    with matplotlib.style.context(["default", STYLE]):
        n_columns = max(1, math.ceil(len(scores) / 2))
        figure = Figure(figsize=(2.4 * n_columns + 0.8, 5.2), layout="constrained")
        panels = figure.subplots(2, n_columns, squeeze=False)
        # Both directions of a pair of modalities are in the same column.
        for axes, ((source, target), score) in zip(panels.T.ravel(), scores.items(), strict=False):
            # 1: every step of the source has the same share.
            image = axes.imshow(score * score.shape[1], vmin=0, vmax=2, cmap="RdBu_r", aspect="auto")
            axes.set(title=f"{source} to {target}", xlabel=f"step of {source}", ylabel=f"step of {target}")
        for axes in panels.T.ravel()[len(scores) :]:
            axes.axis("off")
        figure.colorbar(image, ax=panels, shrink=0.7, label="attention (1: all steps alike)")
        return picture(
            "attention",
            title,
            mark,
            "Mean over heads and test windows; rows sum to the number of steps of the source.",
            figure,
        )


def draw_scalp_maps(
    values: np.ndarray,
    channel_names: Sequence[str],
    titles: Sequence[str],
    title: str,
    mark: str,
    pictures: Sequence[np.ndarray] = (),
) -> Picture:
    """Draw values of EEG channels on the scalp, one map for each window, below a picture of it.

    Args:
        values: `(windows, channels)`; all maps share one scale.
        channel_names: names of electrodes of the 10-10 system.
        titles: title of each map.
        title: title of the figure.
        mark: warning of synthetic data, or empty.
        pictures: one picture for each map, `(rows, columns, 3)`, or empty.

    Raises:
        InputError: the position of an electrode is unknown, or there are fewer than three.
    """
    import mne

    montage = mne.channels.make_standard_montage("easycap-M1")
    unknown = [name for name in channel_names if name not in montage.ch_names]
    if unknown or len(channel_names) < 3:
        names = ", ".join(unknown or channel_names)
        raise InputError(f"no scalp map of {names}: expected three electrodes of the 10-10 system or more")
    info = mne.create_info(list(channel_names), 1.0, "eeg").set_montage(montage)
    with matplotlib.style.context(["default", STYLE]):
        n_rows = 2 if len(pictures) else 1
        figure = Figure(figsize=(1.7 * len(values) + 0.9, 1.9 * n_rows + 0.7), layout="constrained")
        panels = figure.subplots(n_rows, len(values), squeeze=False)
        for axes, seen in zip(panels[0], pictures, strict=False):
            axes.imshow(seen)
            axes.set_axis_off()
        for axes, own, text in zip(panels[-1], values, titles, strict=True):
            image, _ = mne.viz.plot_topomap(
                own, info, axes=axes, show=False, contours=0, vlim=(values.min(), values.max()), cmap="RdBu_r"
            )
            axes.set_title(text)
        figure.colorbar(image, ax=list(panels[-1]), shrink=0.8)
        caption = "Mean of the prior over its last axis, for each electrode; one test trial."
        return picture("prior", title, mark, caption, figure)
