"""How a field of a command or an experiment is given on the command line; quick to import."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """Metadata of a field's annotation for what its name and type leave open, `Annotated[Path, Option(old="--out")]`.

    A field without it is an option of its own name: `window_seconds` of `system.features` is
    `--system.features.window-seconds`.

    Args:
        name: name on the command line, where it is not that of the field.
        positional: the value is given by its place, without a name, or by one of the aliases.
        aliases: further spellings, listed in the help: `("--teacher",)`.
        old: spelling of an earlier version. Not listed; accepted with a note until version 0.3.0.
        metavar: placeholder of the value in the help; by default derived from the type.
        names: the registry that holds the valid values, see `keras_emotion.cli.names.REGISTRIES`.
        rest: a positional that takes all words from its place on, options too.
        repeated: the option takes one value and may be given several times.
        common: whether `--help` lists it, or only `--help-all`. By default what a command has of its own is listed, and
            the fields of an experiment are not.
        flat: the options of a nested model have no prefix.
        fixed: the field is no option.
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
