"""What an experiment is: frozen values, of which the scientific ones make its identity."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tyro
from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, field_validator

from keras_emotion.evaluation import PROTOCOLS, SMALLEST_NUMBER_OF_FOLDS, LabelRule
from keras_emotion.experiment.environment import visible_gpus
from keras_emotion.experiment.system import System


class Configuration(BaseModel):
    """Frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """A copy with some fields changed, validated anew.

        Args:
            changes: new value by dotted name of the field, `{"training.learning_rate": 1e-3}`.

        Raises:
            ValueError: a name is no field, or a value is not valid.
        """
        return _changed(self, changes)


def _changed(value: BaseModel, changes: Mapping[str, Any]) -> Any:
    own: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {}
    for name, new in changes.items():
        field, _, rest = name.partition(".")
        if field not in type(value).model_fields:
            raise ValueError(f"{field!r} is no field of {type(value).__name__}")
        if rest:
            nested.setdefault(field, {})[rest] = new
        else:
            own[field] = new
    own |= {field: _changed(getattr(value, field), inner) for field, inner in nested.items()}
    fields = {field: getattr(value, field) for field in type(value).model_fields}
    return type(value)(**{**fields, **own})


def differences(there: Any, here: Any, path: str = "") -> list[str]:
    """Where two JSON-able values differ, a line each: `training.epochs: 100 -> 5`."""
    if isinstance(there, dict) and isinstance(here, dict):
        keys = sorted(there.keys() | here.keys())
        inner = (differences(there.get(key), here.get(key), f"{path}.{key}" if path else key) for key in keys)
        return [line for lines in inner for line in lines]
    return [] if there == here else [f"{path}: {json.dumps(there)} -> {json.dumps(here)}"]


class Training(Configuration):
    """How a network is trained.

    Args:
        epochs: passes over the training windows.
        batch_size: windows a step.
        learning_rate: of Adam.
        restore_best: `"end"` loads the weights of the best epoch once, when training ends; `"each_epoch"` goes back to
            them after each epoch (the paper: "the optimal model parameters were loaded at the end of each epoch").
        precision: Keras dtype policy: `"float32"`, `"mixed_bfloat16"`, `"mixed_float16"`.
        jit_compile: XLA: `"auto"` is on with a GPU and off without (on a CPU it is slower, often by far), or
            `"on"` / `"off"`.
    """

    epochs: Annotated[int, Field(ge=1)] = 100
    batch_size: Annotated[int, Field(ge=1)] = 128
    learning_rate: Annotated[float, Field(gt=0)] = 1e-6
    restore_best: Literal["end", "each_epoch"] = "end"
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    jit_compile: Literal["auto", "on", "off"] = "auto"


class Runtime(Configuration):
    """How and where it runs: nothing here changes what is computed, so nothing here is part of the identity.

    Args:
        jobs: workers; 0 is one for each GPU, or where there is none one for each `threads_per_worker` cores (a single
            one with `engine="vectorized"`, which uses all cores).
        threads_per_worker: threads of a worker. Recorded, because sums over another number of threads may differ in
            the last bit.
        engine: what the workers are: processes of this machine, or workers of a Ray or Dask cluster (extras `ray`
            and `dask`); or `"vectorized"`, processes that train many folds of a network at once on Keras's JAX backend
            (extra `jax`), made for GPUs.
        folds_at_once: how many, with `"vectorized"`; memory grows with it.
        cluster_address: address of a cluster that runs already; by default one is started on this machine. Its
            workers need the same files under the same paths, on a disk that they share.
        feature_store: folder of computed features, shared by runs.
        save_models: save the models of the last repetition (`models/*.keras`).
        tensorboard: write logs for TensorBoard (`tensorboard/<job>`; extra `tensorboard`).
    """

    jobs: Annotated[int, Field(ge=0)] = 0
    threads_per_worker: Annotated[int, Field(ge=1)] = 1
    engine: Literal["processes", "ray", "dask", "vectorized"] = "processes"
    folds_at_once: Annotated[int, Field(ge=1)] = 50
    cluster_address: str = ""
    feature_store: Path = Path("runs/features")
    save_models: bool = False
    tensorboard: bool = False

    @property
    def n_workers(self) -> int:
        """Number of workers that train, which `jobs` stands for."""
        return self.jobs or len(visible_gpus()) or (1 if self.engine == "vectorized" else self.n_feature_workers)

    @property
    def n_feature_workers(self) -> int:
        """Number of workers that compute features, where no GPU helps."""
        return self.jobs or max(1, (os.cpu_count() or 1) // self.threads_per_worker)


class Experiment(Configuration):
    """One experiment on one data set: everything that decides its numbers, and how it is run.

    Args:
        name: name of the reproduction.
        dataset: name of the data set (`keras_emotion.datasets.READERS`).
        subjects: ids of the subjects to use; all that are found when empty.
        targets: ratings to recognise.
        label_rule: how a rating becomes a class, for targets that are ratings (not classes already).
        protocols: names of the protocols, compared side by side.
        maximum_repetitions: at most so many repetitions of each protocol; 0 is as many as it defines.
        maximum_folds: at most so many folds of each protocol; 0 is as many as it defines.
        system: the paper's features, network and loss.
        training: see `Training`.
        seed: seed of folds, weights and shuffling.
        runtime: see `Runtime`.
    """

    name: tyro.conf.Fixed[str]
    dataset: tyro.conf.Fixed[str]
    subjects: tuple[int | str, ...] = ()
    targets: Annotated[tuple[str, ...], Field(min_length=1)]
    label_rule: LabelRule = LabelRule()
    protocols: Annotated[tuple[str, ...], Field(min_length=1)] = ("as_published", "trial_disjoint")
    maximum_repetitions: Annotated[int, Field(ge=0)] = 0
    maximum_folds: Annotated[int, Field(ge=0)] = 0
    system: SerializeAsAny[System]
    training: Training = Training()
    seed: Annotated[int, Field(ge=0)] = 0
    runtime: Annotated[Runtime, tyro.conf.arg(name="")] = Runtime()

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

    def science(self) -> dict[str, Any]:
        """The scientific fields as JSON-able values, the definition of each protocol included."""
        fields = self.model_dump(mode="json", exclude={"runtime"})
        fields["system"] = {"kind": type(self.system).__name__, **self.system.science()}
        fields["protocols"] = [PROTOCOLS[name].describe() for name in self.protocols]
        return fields

    def identity(self) -> str:
        """Hash of `science()`."""
        text = json.dumps(self.science(), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
