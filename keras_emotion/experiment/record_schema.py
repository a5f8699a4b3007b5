"""Schema of a job's record, and the name of its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from keras_emotion.file_names import file_name, slug

Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Name = int | str


class _Part(BaseModel):
    # Further fields are kept: a later version may add some.
    model_config = ConfigDict(strict=True, extra="allow")


class JobParts(_Part):
    """Fields that identify a job within its run."""

    model_config = ConfigDict(strict=True, extra="forbid")

    protocol: str
    target: str
    subject: Name
    repetition: Count
    fold: Count
    candidate: str = ""
    session: Name = ""


class TaskParts(_Part):
    """Fields that identify a task of an audit."""

    model_config = ConfigDict(strict=True, extra="forbid")

    model: str
    protocol: str
    target: str
    subject: Name
    session: Name = ""
    repetition: Count = 0
    fold: Count = 0
    candidate: str = ""
    first_permutation: Count
    last_permutation: Count


class _Predictions(_Part):
    """Columns of the same length, one row per test window."""

    __pydantic_extra__: dict[str, list[Any]]
    subject: list[Name]
    trial: list[Name]
    stimulus: list[Any]
    start_seconds: list[Finite]
    stop_seconds: list[Finite]
    label: list[Count]
    prediction: list[Count]

    @model_validator(mode="after")
    def _columns_fit(self):
        extra = self.__pydantic_extra__
        columns = {**{name: getattr(self, name) for name in type(self).model_fields}, **extra}
        if len({len(column) for column in columns.values()}) != 1:
            raise ValueError("columns of different lengths")
        probabilities = [column for name, column in extra.items() if name.startswith("probability_")]
        if not probabilities:
            raise ValueError("no column of probabilities")
        # Sums of float32 may end a little above 1.
        if not all(type(value) in (int, float) and -1e-3 <= value <= 1.001 for own in probabilities for value in own):
            raise ValueError("a probability is not a number from 0 to 1")
        return self


class JobRecord(_Part):
    """Record of a finished job."""

    job: JobParts
    metrics: dict[str, dict[str, float]]
    training_majority: Count
    n_training_windows: Count
    n_validation_windows: Count
    best_epoch: Count
    diagnostics: dict[str, float]
    predictions: _Predictions
    validation_score: Finite | None = None
    stages: list[dict[str, Any]] = []
    seconds: Finite = 0.0


class FailedRecord(_Part):
    """Record of a job whose training diverged."""

    job: JobParts
    failed: Annotated[str, Field(min_length=1)]
    test_subjects: list[str]
    seconds: Finite = 0.0


class _Counts(_Part):
    permutation: Count
    subject: str
    repetition: Count
    fold: Count
    right: Count
    labels: list[Count]
    candidate: str = ""
    validation_score: float | None = None


class _FailedPermutation(_Part):
    permutation: Count
    reason: str
    test_subjects: list[str]


class TaskRecord(_Part):
    """Record of a task of an audit; those of earlier versions have no `job`."""

    job: TaskParts | None = None
    model: str
    protocol: str
    target: str
    counts: list[_Counts]
    failed: list[_FailedPermutation] = []


def problem_of(record: Mapping[str, Any]) -> str:
    """Return the fault in the content of a record; empty if there is none."""
    schema = TaskRecord if "counts" in record else FailedRecord if "failed" in record else JobRecord
    return schema_problem(schema, record)


def schema_problem(schema: type[BaseModel], content: Mapping[str, Any]) -> str:
    """Describe the first fields of a content that violate the schema; empty if there are none."""
    try:
        schema.model_validate(content)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        missing = [".".join(map(str, one["loc"])) for one in errors if one["type"] == "missing"]
        if missing:
            return f"has no field {', '.join(missing)}"
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in errors[:3])
    return ""


def _words(job: Mapping[str, Any]) -> list[str]:
    words = [job["model"].replace(" ", "_")] if "model" in job else []
    words += [str(job[field]) for field in ("protocol", "target", "subject")]
    if job.get("session", "") != "":
        words.append(f"session{job['session']}")
    words += [f"{field}{job[field]}" for field in ("repetition", "fold") if field in job]
    if job.get("candidate"):
        words.append(job["candidate"])
    if "model" in job:
        words.append(f"permutations{job['first_permutation']}to{job['last_permutation']}")
    return words


def record_name(job: Mapping[str, Any]) -> str:
    """Return the name of the record of a job, unique in a run, and a valid file name.

    Args:
        job: fields of `JobParts` or `TaskParts`.
    """
    return file_name(_words(job), {"candidate": "", "session": "", **job})


def readable_name(job: Mapping[str, Any]) -> str:
    """Return the readable beginning of `record_name`."""
    return slug(_words(job))


def earlier_name(record: Mapping[str, Any]) -> str:
    """Return the name of a job's record in earlier versions; for a task of an audit, its beginning."""
    if record.get("job") is not None:
        return "-".join(_words(record["job"]))
    return "-".join((record["model"].replace(" ", "_"), record["protocol"], record["target"], ""))
