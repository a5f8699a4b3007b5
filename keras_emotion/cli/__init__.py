"""The command line: `keras-emotion --help` lists the commands.

Exit codes are those of `keras_emotion.cli.exits`. Everything slow to import is imported by the command that needs it,
so that `--help` is quick.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from keras_emotion.cli.audit import Audit
from keras_emotion.cli.describe import Describe
from keras_emotion.cli.exits import with_exit_codes
from keras_emotion.cli.export import Export
from keras_emotion.cli.faces import Faces
from keras_emotion.cli.features import Features
from keras_emotion.cli.init_trials import InitTrials
from keras_emotion.cli.predict import Predict
from keras_emotion.cli.registration import without_register_option
from keras_emotion.cli.report import Report
from keras_emotion.cli.runs import Runs
from keras_emotion.cli.store import Store
from keras_emotion.cli.synthesize import Synthesize


@dataclasses.dataclass(frozen=True)
class Run:
    """Run one of the models on a dataset, your own included: `keras-emotion run --help` lists them.

    Its options depend on the model: `keras-emotion run --model facrnn --help`.
    """


_Command = (
    Annotated[Describe, tyro.conf.subcommand("describe")]
    | Annotated[Synthesize, tyro.conf.subcommand("synthesize")]
    | Annotated[InitTrials, tyro.conf.subcommand("init-trials")]
    | Annotated[Faces, tyro.conf.subcommand("faces")]
    | Annotated[Run, tyro.conf.subcommand("run")]
    | Annotated[Runs, tyro.conf.subcommand("runs")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[Audit, tyro.conf.subcommand("audit")]
    | Annotated[Predict, tyro.conf.subcommand("predict")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Features, tyro.conf.subcommand("features")]
    | Annotated[Store, tyro.conf.subcommand("store")]
)


@with_exit_codes
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code.

    Args:
        arguments: words of the command line, `sys.argv[1:]` by default.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    words = without_register_option(words)
    if words[:1] == ["run"]:
        from keras_emotion.cli.run import main as run

        return run(words[1:])
    command = tyro.cli(
        _Command,
        prog="keras-emotion",
        args=words,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
    )
    return command.run()
