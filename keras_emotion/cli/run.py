"""The command `keras-emotion run`: a reproduction by its name, or a model on a dataset."""

from __future__ import annotations

from collections.abc import Sequence

from keras_emotion.cli.parser import EVERYWHERE, docstring_section, help_text

_USAGE = (
    "keras-emotion run NAME [options]",
    "keras-emotion run --model MODEL --dataset NAME --data-root FOLDER --targets RATING ... [options]",
)


class _Run:
    """Run a reproduction, or a model on a dataset: training, evaluation, report.

    Examples:
        keras-emotion run deap_3facrnn --help        # its options
        keras-emotion run deap_3facrnn               # minutes, on synthetic data
        keras-emotion run deap_3facrnn --data-root /data/DEAP --dry-run
        keras-emotion run --model facrnn --data-root my_study --target valence
    """


def run(words: Sequence[str]) -> int:
    """Run a reproduction, or a model on a dataset: training, evaluation, report.

    Args:
        words: the words of the command line. Without any, reproductions and models are listed.

    Returns:
        The exit code: 1 where trainings diverged.

    Raises:
        InputError: the data, the options or the run folder cannot be used.
    """
    # Not before: the help of other commands lists this one, and these import the registry.
    from keras_emotion.cli import reproduce, request

    asked = request.first_pass(words)
    if not {"name", "model"} & asked.keys() and (not asked.keys() - {"register", "help", "help_all"}):
        print(help_text(EVERYWHERE, request.PROG, _Run, _USAGE, _listed()))
        return 0
    return reproduce.carry_out(request.choose(words), words)


def _listed() -> dict[str, dict[str, str]]:
    """What can be run, for the help."""
    from keras_emotion.cli.names import REGISTRIES
    from keras_emotion.papers import reproductions

    titles = {name: _title(one.description) for name, one in reproductions().items()}
    names = {kind: ", ".join(REGISTRIES[kind]()) for kind in ("model", "dataset", "protocol")}
    return {
        "reproductions": titles,
        "models on any dataset": {
            "MODEL": names["model"],
            "dataset NAME": names["dataset"],
            "protocols": names["protocol"],
        },
    }


def _title(description: str) -> str:
    """First sentence of a description."""
    return docstring_section(description, "").split("\n\n")[0].rstrip(".")
