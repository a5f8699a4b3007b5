"""The command line: `keras-emotion --help` lists the commands.

Exit codes are those of `keras_emotion.cli.exits`. A command is imported when it is called, and imports slow modules
itself, so that `--help` is quick.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from keras_emotion.cli.exits import with_exit_codes
from keras_emotion.cli.names import did_you_mean
from keras_emotion.cli.parser import COMMON_OPTIONS, arguments_of, call, docstring_section, parse, print_help
from keras_emotion.options import Option
from keras_emotion.schema import InputError

COMMANDS: Mapping[str, str] = {
    "run": "run",
    "papers": "Papers",
    "continuous": "Continuous",
    "runs": "Runs",
    "report": "Report",
    "audit": "Audit",
    "leaderboard": "Leaderboard",
    "plan": "Plan",
    "describe": "Describe",
    "init-trials": "InitTrials",
    "init-channels": "InitChannels",
    "init-stimuli": "InitStimuli",
    "synthesize": "synthesize",
    "faces": "Faces",
    "audio": "Audio",
    "predict": "Predict",
    "export": "Export",
    "features": "Features",
    "store": "Store",
}
"""Commands: the name of the dataclass (options, with a method `run`) or function (of the words) in the module of the
command. Both return the exit code, and their docstrings are the help."""


@dataclasses.dataclass(frozen=True)
class _CommandLine:
    """Reproduce papers on multimodal emotion recognition, with and without leakage.

    Args:
        command: one of the commands below.
        version: print the versions of this package, Python and the libraries.

    Examples:
        keras-emotion run                     # lists reproductions and models
        keras-emotion run deap_3facrnn        # minutes, on synthetic data
        keras-emotion describe /data/DEAP --dataset deap --brief
        keras-emotion run deap_3facrnn --data-root /data/DEAP --dry-run
    """

    command: Annotated[tuple[str, ...], Option(positional=True, rest=True, metavar="COMMAND")] = ()
    version: bool = False


@with_exit_codes
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: words of the command line, `sys.argv[1:]` by default.
    """
    known = [*arguments_of(_CommandLine), *COMMON_OPTIONS]
    given = parse(sys.argv[1:] if arguments is None else arguments, known)
    print_help(given, known, "keras-emotion", _CommandLine, ("keras-emotion COMMAND [options]",), listed=_summaries)
    if given.get("version"):
        from keras_emotion.environment import versions

        print("\n".join(f"{name}: {version}" for name, version in versions().items()))
        return 0
    if not given.get("command"):
        raise InputError("COMMAND: missing; see keras-emotion --help")
    name, *words = given["command"]
    if name not in COMMANDS:
        near = did_you_mean(name, list(COMMANDS))
        raise InputError(f"{name}: unknown command; expected one of {', '.join(COMMANDS)}{near}")
    command = _load(name)
    return call(command, words, f"keras-emotion {name}").run() if isinstance(command, type) else command(words)


def _load(name: str) -> Any:
    return getattr(importlib.import_module(f"{__name__}.{name.replace('-', '_')}"), COMMANDS[name])


def _summaries() -> dict[str, dict[str, str]]:
    return {"commands": {name: docstring_section(_load(name), "").split("\n\n")[0] for name in COMMANDS}}
