"""Figures that are drawn of other things than the tables of a run."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.metrics import silhouette_score

from keras_emotion.reports import MethodTable, draw_features, draw_methods, draw_scalp_maps
from keras_emotion.reports.figures import picture
from keras_emotion.schema import InputError


def features_of(n_windows, apart):
    rng = np.random.default_rng(0)
    labels = np.arange(n_windows) % 2
    kinds = {name: rng.normal(0, 1, (n_windows, 4)) + apart * labels[:, np.newaxis] for name in ("faces", "bio")}
    # Another unit: distances are those of standardised features.
    kinds["bio"] = kinds["bio"] * np.array([1, 10, 100, 1000])
    return kinds, labels


def test_each_panel_says_how_far_the_classes_lie_apart():
    kinds, labels = features_of(60, apart=3.0)
    mixed = features_of(60, apart=0.0)
    picture = draw_features({"valence": (kinds, labels), "arousal": mixed}, ("low", "high"), "features", "synthetic")
    panels = picture.figure.axes
    assert [axes.get_ylabel() for axes in panels] == ["valence", "", "arousal", ""]
    titles = [axes.get_title("left") for axes in panels]
    values = kinds["bio"]
    standard = (values - values.mean(axis=0)) / values.std(axis=0)
    assert titles[1] == f"bio: silhouette {silhouette_score(standard, labels):.2f}"
    silhouettes = [float(title.rpartition(" ")[2]) for title in titles]
    assert min(silhouettes[:2]) > 0.5 > 0.1 > max(silhouettes[2:])
    # Each window is drawn once, with the sign of its class.
    assert [len(points.get_offsets()) for points in panels[0].collections] == [30, 30]
    again = draw_features({"valence": (kinds, labels), "arousal": mixed}, ("low", "high"), "features", "synthetic")
    assert again.png == picture.png


def test_a_single_class_and_too_few_windows_are_said():
    kinds, labels = features_of(10, apart=1.0)
    picture = draw_features({"valence": (kinds, np.ones_like(labels))}, ("low", "high"), "features", "")
    assert picture.figure.axes[0].get_title("left") == "faces: one class alone"
    with pytest.raises(InputError, match="2 windows are too few for t-SNE"):
        draw_features({"valence": features_of(2, apart=1.0)}, ("low", "high"), "features", "")


def scores_of(printed):
    """A table of two methods, two protocols and two targets."""
    rows = pd.DataFrame(
        [
            (protocol, method, target, metric)
            for protocol in ("as_published_hlstm", "trial_disjoint")
            for method in ("Ours", "Less")
            for target in ("valence", "arousal")
            for metric in ("accuracy", "f1")
        ],
        columns=["protocol", "method", "target", "metric"],
    )
    rows = rows.assign(mean=np.arange(16) / 20, standard_deviation=0.1, chance_high=0.6, printed=np.nan)
    rows.loc[(rows["method"] == "Less") & (rows["target"] == "arousal"), "printed"] = printed
    rows.loc[rows["method"] == "Less", "chance_high"] = 0.7
    return MethodTable("DEAP", "synthetic data", {}, {}, ("accuracy", "f1"), rows, Path("methods.csv"), "Less", ())


@pytest.mark.parametrize(("metric", "offset", "n_chance"), [("accuracy", 0, 2), ("f1", 1, 0)])
def test_methods_are_bars_beside_what_is_printed(metric, offset, n_chance):
    picture = draw_methods(scores_of(85.9), metric, "figure 6 of the paper")
    name = {"f1": "F1"}.get(metric, metric)
    assert picture.title == f"DEAP: {name}, figure 6 of the paper (synthetic data)"
    valence, arousal = picture.figure.axes
    assert [axes.get_title("left") for axes in (valence, arousal)] == ["valence", "arousal"]
    assert valence.get_ylabel() == f"{name} (%)"
    for axes, first in ((valence, 0), (arousal, 2)):
        # Both protocols, of each both methods in their order.
        heights = [bar.get_height() for bar in axes.patches]
        np.testing.assert_allclose(heights, [5 * (first + offset + place) for place in (0, 4, 8, 12)])
        assert [round(line.get_ydata()[0]) for line in axes.lines if line.get_linestyle() == "--"] == [70] * n_chance
    assert [tick.get_text() for tick in arousal.get_xticklabels()] == ["Ours", "Less"]
    (names,) = ([text.get_text() for text in legend.get_texts()] for legend in picture.figure.legends)
    chance = ["chance, Less: upper end of the 95 % band"] * (metric == "accuracy")
    assert names == ["as_published_hlstm", "trial_disjoint", "paper", *chance]
    of_paper = [lines.get_segments()[0] for lines in arousal.collections if len(lines.get_segments()) == 1]
    assert [(segment[0][1], segment[1][1]) for segment in of_paper] == [(85.9, 85.9)]
    # Below the second method.
    np.testing.assert_allclose(of_paper[0][:, 0], [0.55, 1.45])
    without = draw_methods(scores_of(np.nan), metric, "figure 6 of the paper").figure
    assert [text.get_text() for text in without.legends[0].get_texts()] == [*names[:2], *chance]


def test_methods_of_different_protocols_keep_their_printed_numbers_and_their_chance():
    # As Table 2 of DeepVANet: networks per subject under two protocols, one for all subjects under two others.
    table = scores_of(np.nan)
    rows = table.rows[table.rows["metric"] == "accuracy"].copy()
    others = {"as_published_hlstm": "as_published_mercl", "trial_disjoint": "subject_disjoint"}
    of_second = rows["method"] == "Less"
    rows.loc[of_second, "protocol"] = rows.loc[of_second, "protocol"].map(others)
    rows["printed"] = np.where(of_second, 85.9, 95.1)
    table = dataclasses.replace(table, rows=rows, reference="Ours")
    picture = draw_methods(table, "accuracy", "table 2 of the paper")
    assert picture.caption.endswith("of the accuracies of Ours and Less.")
    for axes in picture.figure.axes:
        printed = [lines.get_segments()[0] for lines in axes.collections if len(lines.get_segments()) == 1][-2:]
        assert sorted((one[0][0], one[0][1]) for one in printed) == [(-0.45, 95.1), (0.55, 85.9)]
        # The bars of a method lie side by side above its name.
        centres = [bar.get_x() + bar.get_width() / 2 for bar in axes.patches]
        np.testing.assert_allclose(sorted(centres), [-0.2, 0.2, 0.8, 1.2])
        chance = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if line.get_linestyle() == "--"]
        np.testing.assert_allclose(sorted(chance), [(-0.5, 60), (-0.5, 60), (0.5, 70), (0.5, 70)])
    (legend,) = picture.figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names[:4] == ["as_published_hlstm", "as_published_mercl", "trial_disjoint", "subject_disjoint"]
    assert names[-1] == "chance, Ours and Less: upper end of the 95 % band"


LONG_NAMES = {
    "Ours": "Proposed method (all samples)",
    "Less": "Proposed method (audio energy-based selection), without contrastive learning",
}


@pytest.mark.parametrize("renamed", [{"Ours": "Hierarchical attention", "Less": "Common stacked LSTM"}, LONG_NAMES])
def test_long_names_of_methods_leave_place_for_the_bars(renamed):
    table = scores_of(85.9)
    table = dataclasses.replace(table, rows=table.rows.replace({"method": renamed}), reference=renamed["Ours"])
    figure = draw_methods(table, "accuracy", "figure 6 of the paper").figure
    (legend,) = figure.legends
    assert figure.bbox.x0 <= legend.get_window_extent().x0
    assert legend.get_window_extent().x1 <= figure.bbox.x1
    for axes in figure.axes:
        width, height = (length / figure.dpi for length in axes.get_window_extent().size)
        assert width > 0.7 * figure.get_figwidth()
        assert height > 1.4
    first, second = (tick.get_window_extent() for tick in figure.axes[-1].get_xticklabels())
    assert first.x1 < second.x0


def test_a_long_title_is_within_the_figure():
    figure = Figure(figsize=(4.6, 3))
    title = "Dynamic brain networks, figure 1: functional connectivity, cross-modal prior and 3D convolutions"
    picture("long", title, "", "", figure)
    figure.draw_without_rendering()
    box = figure._suptitle.get_window_extent()
    assert figure.bbox.x0 <= box.x0
    assert box.x1 <= figure.bbox.x1
    assert figure.get_suptitle().replace("\n", " ") == title


def test_maps_of_the_scalp_have_one_scale_and_stand_below_what_was_seen():
    rng = np.random.default_rng(0)
    values, names = rng.random((3, 5)), ("Fp1", "Fp2", "Cz", "O1", "O2")
    pictures = rng.integers(0, 255, (3, 8, 8, 3), dtype=np.uint8)
    with_faces = draw_scalp_maps(values, names, ("0 s", "3 s", "6 s"), "prior", "", pictures).figure
    # Two rows of three, and the bar of colours.
    assert len(with_faces.axes) == 7
    maps = with_faces.axes[3:6]
    assert [axes.get_title() for axes in maps] == ["0 s", "3 s", "6 s"]
    assert {axes.images[0].get_clim() for axes in maps} == {(values.min(), values.max())}
    np.testing.assert_array_equal(with_faces.axes[1].images[0].get_array(), pictures[1])
    assert len(draw_scalp_maps(values, names, ("0 s", "3 s", "6 s"), "prior", "").figure.axes) == 4
    with pytest.raises(InputError, match="no scalp map of A9: expected three electrodes of the 10-10 system"):
        draw_scalp_maps(values, (*names[:4], "A9"), ("0 s", "3 s", "6 s"), "prior", "")
