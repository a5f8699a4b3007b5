"""The command `keras-emotion run`: run a reproduction, or a model on a dataset."""

from __future__ import annotations

from collections.abc import Sequence

from keras_emotion.cli.parser import COMMON_OPTIONS, docstring_section, help_text, parse

_USAGE = (
    "keras-emotion run NAME [options]",
    "keras-emotion run --model MODEL --data-root FOLDER [options]",
)


def run(words: Sequence[str]) -> int:
    """Run a reproduction, or a model on a dataset.

    Args:
        words: the words of the command line. Without any, reproductions and models are listed.

    Returns:
        The exit code: 1 where trainings diverged.

    Raises:
        InputError: the data, the options or the run folder cannot be used.

    Examples:
        keras-emotion run deap_3facrnn               # minutes, on synthetic data
        keras-emotion run deap_3facrnn --data-root /data/DEAP --dry-run
        keras-emotion run --model facrnn --data-root my_study --target valence
    """
    # Imported here, so that the list of commands is quick.
    from keras_emotion.cli import reproduce, request

    asked = request.first_pass(words)
    if {"name", "model"} & asked.keys():
        return reproduce.run_choice(request.choose(words), words)
    if not {"help", "help_all"} & asked.keys():
        if asked.keys() - {"register"}:
            request.choose(words)
        # No known option was given.
        parse(words, COMMON_OPTIONS, request.PROG)
    is_full = "help_all" in asked
    print(help_text(COMMON_OPTIONS, request.PROG, run, _USAGE, _listed(is_full), is_full=is_full))
    return 0


def _listed(is_full: bool) -> dict[str, dict[str, str]]:
    """Reproductions, models and datasets for the help; protocols only in the full help."""
    from keras_emotion.cli.names import REGISTRIES
    from keras_emotion.papers import reproductions

    titles = {name: _title(one.description) for name, one in reproductions().items()}
    options = {"--model MODEL": "model", "--dataset NAME": "dataset"}
    options |= {"--protocols NAME ...": "protocol of a run"} if is_full else {}
    listed = {option: ", ".join(REGISTRIES[kind]()) for option, kind in options.items()}
    return {"reproductions": titles, "models on any dataset": listed}


def _title(description: str) -> str:
    """First sentence of a description."""
    return docstring_section(description, "").split("\n\n")[0].rstrip(".")
