"""Checks of targets and label rules that leave a class empty: refused before computing, or reported afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from keras_emotion.datasets import Reader
from keras_emotion.evaluation import POOL, joint_ratings
from keras_emotion.experiment.jobs import Plan, not_a_rating
from keras_emotion.schema import InputError
from keras_emotion.systems.experiment import Experiment


def require_rated_targets(experiment: Experiment, described: Sequence[tuple[str, ...] | None]) -> None:
    """Refuse targets that no trial has a rating of, before hours of feature extraction.

    Args:
        experiment: the experiment.
        described: names of the ratings of each subject's trials; with a `None`, which a reader does not describe,
            nothing is refused here.

    Raises:
        InputError: there is such a target.
    """
    known = [names for names in described if names is not None]
    if len(known) < len(described):
        return
    names = list(dict.fromkeys(name for own in known for name in own))
    for target in experiment.targets:
        for rating in joint_ratings(target) or (target,):
            if rating not in names:
                raise InputError(not_a_rating(rating, experiment.dataset, names))


def require_fitting_rules(experiment: Experiment, dataset: Reader) -> None:
    """Refuse a label rule that does not fit its target, or whose limit no rating of the scale, or every one, exceeds.

    Raises:
        InputError: there is such a rule.
    """
    for target in experiment.targets:
        experiment.rule(target, dataset.class_names)
        for rating in joint_ratings(target) or (target,):
            _require_rule_on_scale(experiment, dataset, rating)


def _require_rule_on_scale(experiment: Experiment, dataset: Reader, rating: str) -> None:
    if rating in dataset.class_names or rating not in dataset.rating_scales:
        return
    low, high = dataset.rating_scales[rating]
    rule = experiment.label_rule
    off = [limit for limit in rule.limits if not (low < limit or (low == limit and rule.kind != "greater_equal"))]
    off += [limit for limit in rule.limits if not (limit < high or (limit == high and rule.kind == "greater_equal"))]
    if off:
        raise InputError(
            f"label_rule {rule.name}: {rating} of {dataset.name} is rated from {low:g} to {high:g}, so that {off[0]:g} "
            f"leaves a class empty; expected a limit within, such as --label-rule.threshold {(low + high) / 2:g}"
        )


def single_class_lines(plan: Plan) -> list[str]:
    """Return a line for each rating of which none, or each, exceeds a limit of the label rule."""
    lines, rule = [], plan.experiment.label_rule
    for rating in dict.fromkeys(
        one for target in plan.experiment.targets for one in joint_ratings(target) or (target,)
    ):
        if rating in plan.class_names:
            continue
        values = plan.window_set(POOL, rating).table[rating].dropna()
        if rule.limits and len(values) and len(set(rule.apply(values.to_numpy(float)))) == 1:
            low, high = values.min(), values.max()
            lines.append(
                f"{rating}: rated from {low:g} to {high:g}, all in one class under the label rule {rule.name}; give "
                f"--label-rule.threshold, such as {(low + high) / 2:g}, or --label-rule.kind median"
            )
    return lines
