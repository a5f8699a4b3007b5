"""Metadata of command-line options for fields of commands and experiments; quick to import."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """Metadata in a field's annotation, `Annotated[Path, Option(old="--out")]`.

    A field without it is an option with the field's name: `window_seconds` of `system.features` is
    `--system.features.window-seconds`.

    Args:
        name: name on the command line, if it differs from that of the field.
        positional: the value is positional, without an option name, or given by one of the aliases.
        aliases: further spellings, listed in the help: `("--teacher",)`.
        old: spelling of an earlier version. Hidden; accepted with a note until version 0.3.0.
        metavar: placeholder of the value in the help; by default derived from the type.
        names: the registry that holds the valid values, see `keras_emotion.cli.names.REGISTRIES`.
        rest: a positional that takes all remaining words, options included.
        repeated: the option takes one value and may be given several times.
        common: whether `--help` lists it, or only `--help-all`. By default a command's own options are listed, and the
            fields of an experiment are not.
        flat: the options of a nested model have no prefix.
        fixed: the field has no option.
    """

    name: str = ""
    positional: bool = False
    aliases: tuple[str, ...] = ()
    old: str = ""
    metavar: str = ""
    names: str = ""
    rest: bool = False
    repeated: bool = False
    common: bool | None = None
    flat: bool = False
    fixed: bool = False
