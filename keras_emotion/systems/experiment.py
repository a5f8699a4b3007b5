"""An experiment as a frozen value, of which the scientific fields make the identity."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, field_validator

from keras_emotion.evaluation import PROTOCOLS, SMALLEST_NUMBER_OF_FOLDS, LabelRule
from keras_emotion.options import Option
from keras_emotion.systems.base import System
from keras_emotion.systems.settings import Configuration, Runtime, Training


class Experiment(Configuration):
    """One experiment on one data set: everything that decides its numbers, and how it is run.

    Args:
        name: name of the reproduction.
        dataset: name of the data set (`keras_emotion.datasets.READERS`).
        subjects: ids of the subjects; all by default.
        targets: ratings to predict.
        label_rule: how a rating becomes a class, for targets that are ratings (not classes already).
        protocols: protocols to compare.
        maximum_repetitions: at most so many repetitions of each protocol; 0 is as many as it defines.
        maximum_folds: at most so many folds of each protocol; 0 is as many as it defines.
        study_channels: the channels of a study whose files have different ones: the `"union"`, where a channel that a
            file lacks is imputed from the training rows of each fold, or the `"intersection"`.
        system: the paper's features, network and loss.
        training: see `Training`.
        seed: seed of folds, weights and shuffling.
        runtime: see `Runtime`.
    """

    name: Annotated[str, Option(fixed=True)]
    dataset: Annotated[str, Option(fixed=True)]
    subjects: Annotated[tuple[int | str, ...], Option(common=True)] = ()
    targets: Annotated[
        tuple[str, ...], Field(min_length=1), Option(aliases=("--target",), metavar="RATING ...", common=True)
    ]
    label_rule: LabelRule = LabelRule()
    protocols: Annotated[
        tuple[str, ...],
        Field(min_length=1),
        Option(aliases=("--protocol",), metavar="NAME ...", names="protocol", common=True),
    ] = ("as_published", "trial_disjoint")
    maximum_repetitions: Annotated[int, Field(ge=0)] = 0
    maximum_folds: Annotated[int, Field(ge=0)] = 0
    study_channels: Literal["union", "intersection"] = "union"
    system: SerializeAsAny[System]
    training: Training = Training()
    seed: Annotated[int, Field(ge=0)] = 0
    runtime: Annotated[Runtime, Option(flat=True)] = Runtime()

    @field_validator("protocols")
    @classmethod
    def _protocols_exist(cls, names):
        for name in names:
            if name not in PROTOCOLS:
                raise ValueError(f"protocols: {name!r} is none of {', '.join(PROTOCOLS)}")
        return names

    @field_validator("maximum_folds")
    @classmethod
    def _folds_are_enough(cls, number):
        if number and number < SMALLEST_NUMBER_OF_FOLDS:
            raise ValueError(f"maximum_folds: {number}; training, validation and test need 3 folds, and 0 is all")
        return number

    @property
    def paper_variant(self) -> str | None:
        """The line of the paper's tables that this experiment stands for, as printed; `None` for the main one."""
        return self.system.paper_variant

    def scientific_config(self) -> dict[str, Any]:
        """The scientific fields as JSON-able values, the definition of each protocol included."""
        fields = self.model_dump(mode="json", exclude={"runtime"})
        # As it was before there was a choice, so that those runs can be taken up.
        if self.study_channels == "union":
            del fields["study_channels"]
        fields["system"] = {"kind": type(self.system).__name__, **self.system.scientific_config()}
        fields["protocols"] = [PROTOCOLS[name].describe() for name in self.protocols]
        return fields

    def identity(self) -> str:
        """Hash of `scientific_config()`."""
        text = json.dumps(self.scientific_config(), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
