"""Run named checks one after another and report the first failure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

from keras_emotion.schema import InputError

Case = TypeVar("Case")
T = TypeVar("T")


def require(condition: Any, message: str) -> None:
    """Raise an `AssertionError` unless a condition holds; unlike `assert`, also under `python -O`."""
    if not condition:
        raise AssertionError(message)


def required(value: T | None, message: str) -> T:
    """Return a value; raise an `AssertionError` if it is `None`."""
    if value is None:
        raise AssertionError(message)
    return value


def compile_options() -> dict[str, bool]:
    """Return arguments of `compile` for a single training step, where tracing takes longer than running.

    Empty on JAX, where each operation would be a separate program.
    """
    import keras

    is_jax = keras.config.backend() == "jax"
    return {"jit_compile": is_jax, "run_eagerly": not is_jax}


def run_checks(
    subject: str,
    checks: Mapping[str, Callable[[Case], None]],
    case: Case,
    skip: Collection[str] = (),
    prepare: Callable[[], None] = lambda: None,
) -> None:
    """Run checks in order.

    Args:
        subject: name of the checked object, for the message.
        checks: functions by name; each raises if the case violates the contract.
        case: argument of each check.
        skip: names of checks to skip.
        prepare: called before each check.

    Raises:
        AssertionError: a check failed or raised another exception; the message names the check and the reason.
        ValueError: `skip` contains an unknown name.
    """
    if unknown := sorted(set(skip) - set(checks)):
        raise ValueError(f"`skip` has unknown names {', '.join(unknown)}; expected some of {', '.join(checks)}")
    for name, check in checks.items():
        if name in skip:
            continue
        prepare()
        try:
            check(case)
        except AssertionError as error:
            raise AssertionError(f"{subject}: check {name!r}: {error}") from error
        except Exception as error:
            raise AssertionError(f"{subject}: check {name!r}: raised {type(error).__name__}: {error}") from error


def input_error(call: Callable[[], Any], what: str) -> str:
    """Return the message of the `InputError` that a call raises."""
    try:
        call()
    except InputError as error:
        return str(error)
    raise AssertionError(f"{what}, but no InputError is raised")


def listed(values: Iterable[Any], most: int = 5) -> str:
    """Return values as text, only the first few if there are many."""
    texts = list(map(str, values))
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")
