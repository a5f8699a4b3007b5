"""Immutable settings of an experiment: how a network is trained, and where the work is done."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from keras_emotion.environment import visible_gpus
from keras_emotion.options import Option


class Configuration(BaseModel):
    """Immutable pydantic model; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """Return a validated copy with some fields changed.

        Args:
            changes: new value by dotted name of the field, `{"training.learning_rate": 1e-3}`; for a mapping, the key
                is the last part of the name.

        Raises:
            ValueError: a name is not a field, or a value is not valid.
        """
        return _changed(self, changes)


def _changed(value: Any, changes: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        return {**value, **changes}
    own: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {}
    for name, new in changes.items():
        field, _, rest = name.partition(".")
        if field not in type(value).model_fields:
            raise ValueError(f"{field!r} is not a field of {type(value).__name__}")
        if rest:
            nested.setdefault(field, {})[rest] = new
        else:
            own[field] = new
    own |= {field: _changed(getattr(value, field), inner) for field, inner in nested.items()}
    fields = {field: getattr(value, field) for field in type(value).model_fields}
    return type(value)(**{**fields, **own})


def differences(there: Any, here: Any, path: str = "") -> list[str]:
    """List the differences of two JSON-able values, one line each: `training.epochs: 100 -> 5`."""
    if isinstance(there, dict) and isinstance(here, dict):
        keys = sorted(there.keys() | here.keys())
        inner = (differences(there.get(key), here.get(key), f"{path}.{key}" if path else key) for key in keys)
        return [line for lines in inner for line in lines]
    return [] if there == here else [f"{path}: {json.dumps(there)} -> {json.dumps(here)}"]


class Training(Configuration):
    """Training settings of a network.

    Args:
        epochs: passes over the training windows.
        batch_size: number of windows per step.
        learning_rate: learning rate of Adam.
        restore_best: `"end"` loads the weights of the best epoch once, when training ends; `"each_epoch"` restores them
            after each epoch (the paper: "the optimal model parameters were loaded at the end of each epoch").
        precision: Keras dtype policy: `"float32"`, `"mixed_bfloat16"`, `"mixed_float16"`.
        jit_compile: XLA: `"auto"` is on with a GPU and off without (on a CPU it is slower, often by far), or `"on"` /
            `"off"`.
    """

    epochs: Annotated[int, Field(ge=1), Option(common=True)] = 100
    batch_size: Annotated[int, Field(ge=1)] = 128
    learning_rate: Annotated[float, Field(gt=0)] = 1e-6
    restore_best: Literal["end", "each_epoch"] = "end"
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    jit_compile: Literal["auto", "on", "off"] = "auto"


class Runtime(Configuration):
    """Execution settings: they do not affect results, and are not part of the identity.

    Args:
        workers: number of workers, 0 for one per GPU or core; without a GPU one for each `threads_per_worker` cores
            (with the engine `"vectorized"`, a single one, which uses all cores).
        threads_per_worker: number of threads of a worker. Recorded, because sums over another number of threads may
            differ in the last bit.
        engine: kind of workers; processes of this machine, or workers of a Ray or Dask cluster (extras `ray` and
            `dask`); or `"vectorized"`, processes that train many folds of a network at once on Keras's JAX backend
            (extra `jax`), made for GPUs.
        folds_at_once: number of folds at once, with `"vectorized"`; memory grows with it.
        cluster_address: address of a running cluster; by default one is started on this machine. Its workers need the
            same files under the same paths, on a shared disk.
        feature_store: folder of computed features, shared by runs.
        save_models: save the models of the last repetition (`models/*.keras`).
        tensorboard: write logs for TensorBoard (`tensorboard/<job>`; extra `tensorboard`).
    """

    workers: Annotated[int, Field(ge=0), Option(old="--jobs", common=True)] = 0
    threads_per_worker: Annotated[int, Field(ge=1)] = 1
    engine: Annotated[Literal["processes", "ray", "dask", "vectorized"], Option(common=True)] = "processes"
    folds_at_once: Annotated[int, Field(ge=1)] = 50
    cluster_address: str = ""
    feature_store: Path = Path("runs/features")
    save_models: Annotated[bool, Option(common=True)] = False
    tensorboard: bool = False

    @model_validator(mode="before")
    @classmethod
    def _workers_were_jobs(cls, fields: Any) -> Any:
        # Until 0.3.0, in records too.
        if not isinstance(fields, Mapping) or "jobs" not in fields or "workers" in fields:
            return fields
        warnings.warn(
            "`jobs` is now `workers`; the old name will be removed in 0.3.0", DeprecationWarning, stacklevel=2
        )
        return {**{name: value for name, value in fields.items() if name != "jobs"}, "workers": fields["jobs"]}

    @property
    def n_workers(self) -> int:
        """Number of training workers that `workers` stands for."""
        return self.workers or len(visible_gpus()) or (1 if self.engine == "vectorized" else self.n_feature_workers)

    @property
    def n_feature_workers(self) -> int:
        """Number of workers for features, which do not use a GPU."""
        return self.workers or max(1, (os.cpu_count() or 1) // self.threads_per_worker)
