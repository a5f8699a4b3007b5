"""The command `keras-emotion run`: a model on a dataset, by name, your own recordings included."""

from __future__ import annotations

import argparse
import inspect
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_emotion.cli.reproduce import run_reproduction
from keras_emotion.datasets import READERS
from keras_emotion.evaluation import PROTOCOLS
from keras_emotion.papers import Reproduction, models
from keras_emotion.schema import InputError

SAMPLING_RATE_HZ = 128.0
"""What recordings of any rate are brought to: the rate of DEAP and of the models' defaults."""


def main(arguments: Sequence[str]) -> int:
    """Runs a model on a data set from the command line, as a reproduction does: records, report, then the audit.

    Args:
        arguments: words after `keras-emotion run`.

    Returns:
        The exit code: 1 where trainings diverged.
    """
    parser = argparse.ArgumentParser(
        prog="keras-emotion run",
        add_help=False,
        allow_abbrev=False,
        description="Run a model on a data set. All other options are those of the model's experiment: "
        "`keras-emotion run --model facrnn --help` lists them.",
    )
    known = models()
    names_of_models, protocols = (f"one of {', '.join(names)}" for names in (known, PROTOCOLS))
    parser.add_argument("--model", choices=known, required=True, metavar="MODEL", help=names_of_models)
    parser.add_argument("--data", "--data-root", type=Path, metavar="FOLDER", help="folder of the data set")
    formats = f"its format, one of {', '.join(READERS)}; by default your own recordings"
    parser.add_argument("--dataset", choices=READERS, default="recordings", metavar="NAME", help=formats)
    parser.add_argument("--target", "--targets", nargs="+", metavar="TARGET", help="ratings that are to be recognised")
    rate = f"samples a second to bring signals to; by default {SAMPLING_RATE_HZ:g} where files have rates of their own"
    parser.add_argument("--sampling-rate-hz", type=float, metavar="RATE", help=rate)
    protocols = f"{protocols}; by default trial_disjoint"
    parser.add_argument("--protocol", "--protocols", nargs="+", choices=PROTOCOLS, metavar="NAME", help=protocols)
    if not {"--model"} & {word.partition("=")[0] for word in arguments} and {"-h", "--help"} & set(arguments):
        parser.print_help()
        return 0
    asked, others = parser.parse_known_args(arguments)
    reader_options = _reader_options(asked)
    wants_help = bool({"-h", "--help"} & set(others))
    if not wants_help:
        if asked.data is None:
            raise InputError("--data: give the folder of the data set")
        if not asked.target:
            raise InputError(f"--target: what is to be recognised? {asked.data} has {', '.join(_targets(asked))}")
    fields = {
        "name": f"{asked.dataset}_{asked.model}",
        "dataset": asked.dataset,
        "targets": tuple(asked.target or ("valence",)),
        "protocols": tuple(asked.protocol or ("trial_disjoint",)),
    }
    reproduction = Reproduction(
        name=fields["name"],
        presets=known[asked.model](fields),
        description=f"{asked.model} on a dataset of the format {asked.dataset}.",
    )
    data = [] if asked.data is None else ["--data-root", str(asked.data)]
    return run_reproduction(reproduction, [*data, *others], reader_options)


def _reader_options(asked: argparse.Namespace) -> dict[str, Any]:
    rate = asked.sampling_rate_hz
    if "sampling_rate_hz" not in inspect.signature(READERS[asked.dataset]).parameters:
        if rate is None:
            return {}
        raise InputError(f"--sampling-rate-hz: {asked.dataset} is read at the rate it was published with")
    if rate is None:
        rate = SAMPLING_RATE_HZ
    if not 0 < rate < math.inf:
        raise InputError(f"--sampling-rate-hz {rate:g}: expected a number above 0")
    return {"sampling_rate_hz": rate}


def _targets(asked: argparse.Namespace) -> list[str]:
    reader = READERS[asked.dataset](asked.data)
    # Of some trials a rating may be missing: those of a whole subject.
    return sorted({name for trial in reader.trials(reader.subjects[:1]) for name in trial.ratings})
