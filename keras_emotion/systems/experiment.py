"""Immutable experiment configuration; its scientific fields define the identity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, field_validator, model_validator

from keras_emotion.evaluation import (
    PROTOCOLS,
    SMALLEST_NUMBER_OF_FOLDS,
    LabelRule,
    QuadrantRule,
    joint_ratings,
)
from keras_emotion.options import Option
from keras_emotion.pipelines.windowing import Seconds
from keras_emotion.schema import InputError
from keras_emotion.systems.base import System
from keras_emotion.systems.settings import Configuration, Runtime, Training


class Experiment(Configuration):
    """One experiment on one dataset: everything that determines its results, and how it is run.

    Args:
        name: name of the reproduction.
        dataset: name of the dataset (`keras_emotion.datasets.READERS`).
        subjects: ids of the subjects; all by default.
        sessions: ids of the sessions; all by default.
        targets: ratings to predict; two of them joined by a plus sign are one target of four classes, the quadrant
            (valence+arousal: HVHA, LVHA, LVLA, HVLA).
        label_rule: mapping from rating to class, for targets that are ratings (not classes already).
        class_names: class names of single targets, by target; the others have those of the label rule.
        protocols: protocols to compare.
        maximum_repetitions: upper limit of the repetitions of each protocol; 0: as many as it defines.
        maximum_folds: upper limit of the folds of each protocol; 0: as many as it defines.
        study_channels: the channels of a study whose files differ: the `"union"`, where a channel missing in a file is
            imputed from the training rows of each fold, or the `"intersection"`.
        middle_seconds: use only the windows in the middle of each trial, of this length; `None`: all windows. Trials of
            different lengths then have equally many windows. A shorter trial is refused.
        last_seconds: the same at the end of each trial, as is usual for clips of different lengths.
        system: the paper's features, network and loss.
        training: see `Training`.
        seed: seed of folds, weights and shuffling.
        runtime: see `Runtime`.
    """

    name: Annotated[str, Option(fixed=True)]
    dataset: Annotated[str, Option(fixed=True)]
    subjects: Annotated[tuple[int | str, ...], Option(common=True)] = ()
    sessions: tuple[int | str, ...] = ()
    targets: Annotated[
        tuple[str, ...], Field(min_length=1), Option(aliases=("--target",), metavar="RATING ...", common=True)
    ]
    label_rule: LabelRule = LabelRule()
    class_names: Mapping[str, tuple[str, ...]] = {}
    protocols: Annotated[
        tuple[str, ...],
        Field(min_length=1),
        Option(aliases=("--protocol",), metavar="NAME ...", names="protocol of a run", common=True),
    ] = ("as_published", "trial_disjoint")
    maximum_repetitions: Annotated[int, Field(ge=0)] = 0
    maximum_folds: Annotated[int, Field(ge=0)] = 0
    study_channels: Literal["union", "intersection"] = "union"
    middle_seconds: Seconds | None = None
    last_seconds: Seconds | None = None
    system: SerializeAsAny[System]
    training: Training = Training()
    seed: Annotated[int, Field(ge=0)] = 0
    runtime: Annotated[Runtime, Option(flat=True)] = Runtime()

    @field_validator("protocols")
    @classmethod
    def _protocols_exist(cls, names):
        for name in names:
            if name not in PROTOCOLS:
                raise ValueError(f"protocols: {name!r} is unknown; expected one of {', '.join(PROTOCOLS)}")
        return names

    @field_validator("maximum_folds")
    @classmethod
    def _folds_are_enough(cls, number):
        if number and number < SMALLEST_NUMBER_OF_FOLDS:
            raise ValueError(
                f"maximum_folds: {number}; expected 3 or more (training, validation and test), or 0 for all"
            )
        return number

    @model_validator(mode="after")
    def _part_holds_a_window(self):
        if None not in (self.middle_seconds, self.last_seconds):
            raise ValueError("middle_seconds and last_seconds: expected at most one of them")
        if self.part_of_trials is not None:
            part, seconds = self.part_of_trials
            try:
                window_seconds = self.system.windowing.window_seconds
            except NotImplementedError as error:
                raise ValueError(f"{part}_seconds: {error}") from None
            if window_seconds > seconds:
                raise ValueError(f"{part}_seconds: {seconds:g}; expected a window of {window_seconds:g} s or more")
        return self

    @model_validator(mode="after")
    def _something_chooses_among_candidates(self):
        nothing = [name for name in self.protocols if PROTOCOLS[name].epoch_chosen_by == "last_epoch"]
        if nothing and len(self.system.candidates()) > 1:
            raise ValueError(
                f"protocols: {nothing[0]} has no validation windows to choose among "
                f"{len(self.system.candidates())} candidates; give one value in place of the grid"
            )
        return self

    @property
    def part_of_trials(self) -> tuple[Literal["middle", "last"], float] | None:
        """The used part of each trial, and its length in seconds; `None`: all of it."""
        if self.middle_seconds is not None:
            return "middle", self.middle_seconds
        return None if self.last_seconds is None else ("last", self.last_seconds)

    @property
    def paper_variant(self) -> str | None:
        """Row of the paper's tables that corresponds to this experiment, as printed; `None` for the main one."""
        return self.system.paper_variant

    def rule(self, target: str, class_names: Mapping[str, tuple[str, ...]]) -> LabelRule | QuadrantRule:
        """Return the label rule of a target.

        Args:
            target: a rating, or two joined by a plus sign.
            class_names: classes by name of those ratings of the dataset that are class indices.

        Raises:
            InputError: the rule of this experiment does not fit the target, or its class names.
        """
        if target in class_names:
            names = tuple(class_names[target])
            if len(names) < 2:
                raise InputError(
                    f"target {target!r}: all trials are of the class {names[0]!r}; expected two classes or more; "
                    "choose another target, or correct the table"
                    if names
                    else f"target {target!r}: has no classes; expected two or more; choose another target"
                )
            return LabelRule(kind="classes", values=tuple(range(len(names))), names=names)
        names, pair = tuple(self.class_names.get(target, ())), joint_ratings(target)
        n_classes = 4 if pair else self.label_rule.n_classes
        if names and len(names) != n_classes:
            raise InputError(
                f"class_names of {target}: {len(names)} ({', '.join(names)}); expected {n_classes}, one for each class"
            )
        if pair is None:
            return self.label_rule.named(names)
        if pair[0] == pair[1]:
            raise InputError(f"target {target!r}: the same rating twice; expected two")
        rules: Any = tuple(self.rule(rating, class_names) for rating in pair)
        for rating, rule in zip(pair, rules, strict=True):
            if rule.n_classes != 2:
                raise InputError(
                    f"target {target!r}: {rating} has {rule.n_classes} classes ({rule.name}); expected two, low and "
                    "high; give another label rule or target"
                )
        return QuadrantRule(ratings=pair, rules=rules, names=names)

    def on_scales(self, scales: Mapping[str, tuple[float, float]]) -> Experiment:
        """Return the experiment with the middle of its targets' scale as the threshold of its label rule.

        Args:
            scales: lowest and highest rating by name, as far as the dataset defines them. If those of the targets are
                missing or have different middles, the experiment is unchanged.
        """
        ratings = {rating for target in self.targets for rating in joint_ratings(target) or (target,)}
        middles = {sum(scales[rating]) / 2 for rating in ratings if rating in scales}
        rule = self.label_rule
        if len(middles) != 1 or rule.kind not in ("greater_than", "greater_equal") or rule.threshold in middles:
            return self
        return self.changed({"label_rule.threshold": middles.pop()})

    def scientific_config(self) -> dict[str, Any]:
        """Return the scientific fields as JSON-able values, including the definition of each protocol."""
        fields = self.model_dump(mode="json", exclude={"runtime"})
        # Left out at the default, so that runs of earlier versions can be resumed.
        if self.study_channels == "union":
            del fields["study_channels"]
        for name in ("class_names", "sessions", "middle_seconds", "last_seconds"):
            if not fields[name]:
                del fields[name]
        fields["system"] = {"kind": type(self.system).__name__, **self.system.scientific_config()}
        fields["protocols"] = [PROTOCOLS[name].describe() for name in self.protocols]
        return fields

    def identity(self) -> str:
        """Return the hash of `scientific_config()`."""
        text = json.dumps(self.scientific_config(), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
