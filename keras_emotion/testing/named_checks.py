"""Run named checks one after the other and report the first that fails."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

from keras_emotion.schema import InputError

Case = TypeVar("Case")


def require(condition: Any, message: str) -> None:
    """Raise an `AssertionError` unless a condition holds; unlike `assert`, also under `python -O`."""
    if not condition:
        raise AssertionError(message)


def compile_options() -> dict[str, bool]:
    """Arguments of `compile` for a model that is trained for one step: to trace a step takes longer than to do it.

    Not so on JAX, where each operation would be a program.
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
    """Run checks in their order.

    Args:
        subject: what is checked, for the message.
        checks: functions by name; each raises where the case breaks the contract.
        case: what each check is given.
        skip: names of checks to leave out.
        prepare: called before each check.

    Raises:
        AssertionError: a check failed, or raised anything else: names the check and says what is wrong.
        ValueError: `skip` names no check.
    """
    if unknown := sorted(set(skip) - set(checks)):
        raise ValueError(f"`skip` names {', '.join(unknown)}; expected some of {', '.join(checks)}")
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
    raise AssertionError(f"{what} and no InputError is raised")


def listed(values: Iterable[Any], most: int = 5) -> str:
    """Return values as a text, the first few of many."""
    texts = list(map(str, values))
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")
