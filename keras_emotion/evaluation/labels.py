"""Label rules: from float ratings to classes. Immutable, and part of a run's identity."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import pydantic

from keras_emotion.schema import InputError


class LabelRule(pydantic.BaseModel):
    """Rule that maps a rating to a class.

    | kind | class of a rating `r` | name in records |
    |---|---|---|
    | `"greater_than"` | 1 (high) where `r > threshold`, else 0 (low) | `>5` |
    | `"greater_equal"` | 1 (high) where `r >= threshold`, else 0 (low) | `>=5` |
    | `"median"` | 1 (high) where `r` is above the median of the training ratings, else 0 (low) | `>median` |
    | `"levels"` | the number of `edges` below `r`; a rating equal to an edge belongs to the level below it |
    `levels(3,6)` |
    | `"classes"` | the index of `r` in `values`, for a rating column that already holds classes | `classes(-1,0,1)` |

    Ratings are compared as floats: 5.0 is low and 5.01 is high under `>5`; there is no conversion to `int`.

    The median is fitted: `apply` computes it from `training_ratings`, the ratings of the training *rows*, so that a
    trial counts once per window. A stratifying splitter needs labels before there is a training set; give it
    `rule.apply(ratings, ratings)` for that purpose only, and label each fold again from its own training rows.

    `QuadrantRule` combines two ratings into one target.

    Args:
        kind: the rule.
        threshold: on the scale of the rating; default 5, the middle of DEAP's and MAHNOB-HCI's 1 to 9.
        edges: strictly increasing, at least one; for `"levels"`.
        values: the distinct ratings of class 0, 1, ...; for `"classes"`.
        names: names of the classes in order; empty for the default ones.

    Raises:
        ValueError: `edges` do not increase, `values` repeat, or the number of `names` is not that of the classes.

    Example:
        >>> rule = LabelRule()
        >>> rule.name, rule.class_names, rule.apply([4.9999, 5.0, 5.01, 9.0])
        ('>5', ('low', 'high'), array([0, 0, 1, 1]))
        >>> LabelRule(kind="levels", edges=(3, 6)).apply([1, 3, 3.5, 6.5])
        array([0, 0, 1, 2])
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["greater_than", "greater_equal", "median", "levels", "classes"] = "greater_than"
    threshold: float = 5.0
    edges: tuple[float, ...] = ()
    values: tuple[float, ...] = (0.0, 1.0)
    names: tuple[str, ...] = ()

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind == "levels" and (not self.edges or np.any(np.diff(self.edges) <= 0)):
            raise ValueError(f"`edges` must be one or more strictly increasing numbers; got {self.edges}")
        if self.kind == "classes" and (len(self.values) < 2 or len(set(self.values)) < len(self.values)):
            raise ValueError(f"`values` must be two or more distinct numbers; got {self.values}")
        if self.names and len(self.names) != self.n_classes:
            raise ValueError(f"`names` has {len(self.names)} entries for {self.n_classes} classes: {self.names}")
        return self

    @property
    def n_classes(self) -> int:
        """Number of classes, whether or not each of them occurs in the data."""
        return {"levels": len(self.edges) + 1, "classes": len(self.values)}.get(self.kind, 2)

    @property
    def limits(self) -> tuple[float, ...]:
        """Ratings at which a class ends, where the rule itself fixes them."""
        fixed = {"levels": self.edges, "greater_than": (self.threshold,), "greater_equal": (self.threshold,)}
        return fixed.get(self.kind, ())

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class, in the order of the labels."""
        if self.names:
            return self.names
        if self.kind == "classes":
            return tuple(f"{value:g}" for value in self.values)
        ordered = {2: ("low", "high"), 3: ("low", "medium", "high")}
        return ordered.get(self.n_classes) or tuple(f"level_{level + 1}" for level in range(self.n_classes))

    @property
    def name(self) -> str:
        """Short name for records, distinct for any two rules that label differently."""
        listed = ",".join(f"{value:g}" for value in (self.edges if self.kind == "levels" else self.values))
        return {
            "greater_than": f">{self.threshold:g}",
            "greater_equal": f">={self.threshold:g}",
            "median": ">median",
            "levels": f"levels({listed})",
            "classes": f"classes({listed})",
        }[self.kind]

    def apply(self, ratings: npt.ArrayLike, training_ratings: npt.ArrayLike | None = None) -> np.ndarray:
        """Return the label of each rating.

        Args:
            ratings: `(rows,)` ratings.
            training_ratings: `(training rows,)` ratings to which the median is fitted; needed by `"median"` only.

        Returns:
            `(rows,)` int64 labels, 0 to `n_classes - 1`.

        Raises:
            InputError: a rating is missing, infinite or not a number, or under `"classes"` not in `values`.
            ValueError: `"median"` without `training_ratings`.
        """
        ratings = _finite(ratings)
        if self.kind == "greater_equal":
            return (ratings >= self.threshold).astype(np.int64)
        if self.kind == "levels":
            return np.searchsorted(self.edges, ratings, side="left").astype(np.int64)
        if self.kind == "classes":
            matches = ratings[:, None] == np.asarray(self.values)
            if not matches.any(axis=1).all():
                stray = np.unique(ratings[~matches.any(axis=1)])
                raise InputError(
                    f"ratings {', '.join(f'{value:g}' for value in stray[:5])} belong to no class; "
                    f"expected one of {', '.join(f'{value:g}' for value in self.values)}"
                )
            return np.asarray(matches.argmax(axis=1))
        threshold = self.threshold
        if self.kind == "median":
            if training_ratings is None or np.size(training_ratings) == 0:
                raise ValueError("`training_ratings` is needed: the rule `median` is fitted on the training rows")
            threshold = np.median(_finite(training_ratings))
        return (ratings > threshold).astype(np.int64)

    def named(self, names: tuple[str, ...]) -> LabelRule:
        """Return the same rule with other class names; unchanged if `names` is empty.

        Args:
            names: in the order of the labels.

        Raises:
            ValueError: the number of names is not that of the classes.
        """
        return type(self)(**{**dict(self), "names": names}) if names else self


_QUADRANTS = np.array([[2, 1], [3, 0]])
"""Class by the labels (0 low, 1 high) of the first rating and of the second."""


class QuadrantRule(pydantic.BaseModel):
    """Rule that maps two ratings to one of four classes: the quadrants of the valence-arousal plane.

    The quadrants are counted counter-clockwise from the one where both ratings are high, as on the circumplex of
    valence and arousal: HVHA, LVHA, LVLA, HVLA.

    Args:
        ratings: names of the two ratings.
        rules: label rule of each rating, low or high.
        names: names of the classes in order; default: the initials of the ratings, or their names where both have the
            same initial.

    Raises:
        ValueError: a rule does not have two classes, both ratings are the same, or there are not four `names`.

    Example:
        >>> rule = QuadrantRule(ratings=("valence", "arousal"))
        >>> rule.name, rule.class_names
        ('quadrant(>5,>5)', ('HVHA', 'LVHA', 'LVLA', 'HVLA'))
        >>> rule.apply([[7, 8], [2, 8], [2, 5], [7, 1]])
        array([0, 1, 2, 3])
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    ratings: tuple[str, str]
    rules: tuple[LabelRule, LabelRule] = (LabelRule(), LabelRule())
    names: tuple[str, ...] = ()

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.ratings[0] == self.ratings[1]:
            raise ValueError(f"`ratings` are both {self.ratings[0]!r}; expected two of them")
        for rating, rule in zip(self.ratings, self.rules, strict=True):
            if rule.n_classes != 2:
                raise ValueError(f"{rating} has {rule.n_classes} classes ({rule.name}); a quadrant needs low and high")
        if self.names and len(self.names) != self.n_classes:
            raise ValueError(f"`names` has {len(self.names)} entries for {self.n_classes} classes: {self.names}")
        return self

    @property
    def n_classes(self) -> int:
        """Four."""
        return _QUADRANTS.size

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class, in the order of the labels."""
        if self.names:
            return self.names
        first, second = self.ratings
        named = np.empty(self.n_classes, dtype=object)
        for place, number in np.ndenumerate(_QUADRANTS):
            if first[0].upper() != second[0].upper():
                letters = ("LH"[label] + rating[0].upper() for label, rating in zip(place, self.ratings, strict=True))
                named[number] = "".join(letters)
            else:
                words = (
                    f"{('low', 'high')[label]}_{rating}" for label, rating in zip(place, self.ratings, strict=True)
                )
                named[number] = "_".join(words)
        return tuple(named)

    @property
    def name(self) -> str:
        """Short name for records."""
        return f"quadrant({','.join(rule.name for rule in self.rules)})"

    def apply(self, ratings: npt.ArrayLike, training_ratings: npt.ArrayLike | None = None) -> np.ndarray:
        """Return the label of each pair of ratings.

        Args:
            ratings: `(rows, 2)` ratings.
            training_ratings: `(training rows, 2)`; needed by the rule `"median"` only.

        Returns:
            `(rows,)` int64 labels, 0 to 3.

        Raises:
            InputError: as for `LabelRule.apply`.
            ValueError: `ratings` has another shape.
        """
        columns = _columns(ratings)
        fitted_on = (None, None) if training_ratings is None else _columns(training_ratings)
        first, second = (rule.apply(own, fit) for rule, own, fit in zip(self.rules, columns, fitted_on, strict=True))
        return np.asarray(_QUADRANTS[first, second])


def joint_ratings(target: str) -> tuple[str, str] | None:
    """Return the two ratings of a combined target (`"valence+arousal"`); `None` for a single rating."""
    parts = tuple(target.split("+"))
    return parts if len(parts) == 2 and all(parts) else None


def _columns(ratings: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    ratings = np.asarray(ratings)
    if ratings.ndim != 2 or ratings.shape[1] != 2:
        raise ValueError(f"`ratings` has shape {ratings.shape}; expected `(rows, 2)`")
    return ratings[:, 0], ratings[:, 1]


def _finite(ratings: npt.ArrayLike) -> np.ndarray:
    """Return the ratings as a `(rows,)` float64 array of finite numbers."""
    try:
        ratings = np.asarray(ratings, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"ratings must be numbers: {error}") from error
    if ratings.ndim != 1:
        raise ValueError(f"`ratings` has shape {ratings.shape}; expected `(rows,)`")
    bad = np.flatnonzero(~np.isfinite(ratings))
    if len(bad):
        raise InputError(
            f"{len(bad)} of {len(ratings)} ratings are missing or not finite (first at row {bad[0]}); "
            "drop those rows or complete the ratings"
        )
    return ratings
