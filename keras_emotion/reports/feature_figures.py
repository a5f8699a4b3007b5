"""Figure of the features that a network passes to its classification head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from keras_emotion.reports.figures import COLOURS, MARKERS, STYLE, Picture, picture
from keras_emotion.schema import InputError


def draw_features(
    features: Mapping[str, tuple[Mapping[str, np.ndarray], np.ndarray]],
    class_names: Sequence[str],
    title: str,
    mark: str,
) -> Picture:
    """Draw features of windows in two dimensions by t-SNE: rows are targets, columns are kinds of features.

    Each panel shows the mean silhouette of the classes, computed from the features and not from the projection: 1 for
    well separated classes, 0 for mixed ones.

    Args:
        features: by target, the `(windows, features)` by name and the `(windows,)` labels.
        class_names: names of the classes, in the order of their index.
        title: title of the figure.
        mark: warning of synthetic data, or empty.
    """
    return draw_feature_places(place_features(features), class_names, title, mark)


def place_features(features: Mapping[str, tuple[Mapping[str, np.ndarray], np.ndarray]]) -> pd.DataFrame:
    """Project windows to two dimensions by t-SNE of their standardised features.

    Args:
        features: by target, the `(windows, features)` by name and the `(windows,)` labels.

    Returns:
        `target`, `features` (their name), `x`, `y`, `label`, and `silhouette` (of the classes among the features; NaN
        for a single class).

    Raises:
        InputError: there are fewer than three windows.
    """
    # Imported here, because it takes a second and no other figure needs it.
    from sklearn.manifold import TSNE
    from sklearn.metrics import silhouette_score
    from sklearn.preprocessing import StandardScaler

    parts = []
    for target, (kinds, labels) in features.items():
        for name, values in kinds.items():
            values = StandardScaler().fit_transform(values)
            if len(values) < 3:
                raise InputError(f"{target}: {len(values)} windows are too few for t-SNE; expected three or more")
            # The default perplexity, limited by the number of neighbours.
            places = TSNE(init="pca", perplexity=min(30.0, (len(values) - 1) / 3), random_state=0).fit_transform(values)
            apart = len(np.unique(labels)) in range(2, len(labels))
            columns = {"x": places[:, 0], "y": places[:, 1], "label": labels}
            silhouette = silhouette_score(values, labels) if apart else np.nan
            parts.append(pd.DataFrame({"target": target, "features": name, **columns, "silhouette": silhouette}))
    return pd.concat(parts, ignore_index=True)


def draw_feature_places(places: pd.DataFrame, class_names: Sequence[str], title: str, mark: str) -> Picture:
    """Draw windows at the places of `place_features`, as `draw_features` does.

    Args:
        places: result of `place_features`.
        class_names: names of the classes, in the order of their index.
        title: title of the figure.
        mark: warning of synthetic data, or empty.
    """
    with matplotlib.style.context(["default", STYLE]):
        return picture(
            "features",
            title,
            mark,
            "Test windows, t-SNE of their standardised features; only small distances are meaningful. Silhouette: of "
            "the classes among the features, 0 for mixed classes.",
            _features(places, class_names),
        )


def _features(places: pd.DataFrame, class_names: Sequence[str]) -> Figure:
    names, targets = (list(dict.fromkeys(places[column])) for column in ("features", "target"))
    figure = Figure(figsize=(2.5 * len(names) + 0.6, 2.4 * len(targets) + 0.8), layout="constrained")
    panels = figure.subplots(len(targets), len(names), squeeze=False)
    for row, target in zip(panels, targets, strict=True):
        for axes, name in zip(row, names, strict=True):
            own = places[(places["target"] == target) & (places["features"] == name)]
            for index in range(len(class_names)):
                mine = own[own["label"] == index]
                axes.scatter(mine["x"], mine["y"], s=9, marker=MARKERS[index], color=COLOURS[2 * index % 6])
            silhouette = own["silhouette"].iloc[0]
            said = "one class alone" if np.isnan(silhouette) else f"silhouette {silhouette:.2f}"
            axes.set_title(f"{name}: {said}", loc="left")
            axes.set_xticks([])
            axes.set_yticks([])
        row[0].set_ylabel(target)
    handles = [
        Line2D([], [], marker=MARKERS[index], color=COLOURS[2 * index % 6], linestyle="", label=class_name)
        for index, class_name in enumerate(class_names)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure
