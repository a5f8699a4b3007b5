"""Options of commands, derived from fields or signatures: parsing and help.

Options are derived from the fields of a dataclass or of a pydantic model, or from the parameters of a function: their
names, types and defaults; the help is the section `Args` of their docstrings. An `Option` in the annotation adds what
these lack.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import os
import re
import shutil
import textwrap
import types
import typing
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from keras_emotion.cli.names import LISTED, REGISTRIES, check_name, did_you_mean
from keras_emotion.limits import set_limits
from keras_emotion.links import FOLLOW_VARIABLE
from keras_emotion.logs import LOGGER
from keras_emotion.messages import QUIET_VARIABLE, VERBOSE_VARIABLE
from keras_emotion.options import Option
from keras_emotion.schema import InputError

REQUIRED = inspect.Parameter.empty
"""Default of a required argument."""

_NONE = type(None)
_WIDTH = 80
_INDENT = 28

_LISTED_BRIEFLY = 100
"""Maximum length of the list of names of an option in `--help`; `--help-all` lists all."""


@dataclasses.dataclass(frozen=True)
class CommonOptions:
    """Options of all commands.

    Args:
        register: import a module that registers papers or datasets; may be given several times.
        limit: change a limit on the size of files (memory_gib, table_mib, picture_megapixels, video_hours); may be
            given several times.
        follow_links: read files outside of the dataset folder that a table or header refers to.
        verbose: print all messages in full: all files, all items of lists, and each step.
        quiet: print results, warnings and errors only: no notes, no progress.
        help: print this help.
        help_all: print all options, with full descriptions.
    """

    register: Annotated[tuple[str, ...], Option(repeated=True, metavar="MODULE")] = ()
    limit: Annotated[tuple[str, ...], Option(repeated=True, metavar="NAME=VALUE", common=False)] = ()
    follow_links: Annotated[bool, Option(common=False)] = False
    verbose: Annotated[bool, Option(common=False)] = False
    quiet: Annotated[bool, Option(common=False)] = False
    help: Annotated[bool, Option(aliases=("-h",))] = False
    help_all: bool = False


@dataclasses.dataclass(frozen=True)
class Argument:
    """Option or positional argument.

    Args:
        name: name of the field; dotted for nested models.
        annotation: its type, with the metadata that pydantic checks.
        default: its default, or `REQUIRED`.
        text: its documentation.
        option: see `Option`.
        group: name and documentation of the nested model that it belongs to.
        is_of_model: whether it is a field of a pydantic model.
    """

    name: str
    annotation: Any
    default: Any
    text: str = ""
    option: Option = dataclasses.field(default_factory=Option)
    group: tuple[str, str] = ("", "")
    is_of_model: bool = False

    @property
    def spelling(self) -> str:
        """Spelling on the command line: `--system.features.window-seconds`, or the placeholder of a positional."""
        return self.metavar if self.option.positional else f"--{self._dashed_name}"

    @property
    def _dashed_name(self) -> str:
        return _dashed(self.option.name or self.name)

    @property
    def is_flag(self) -> bool:
        """Whether it takes no value."""
        return _bare(self.annotation) is bool

    @property
    def is_common(self) -> bool:
        """Whether `--help` lists it; fields of models that are nested twice (training of a teacher) are not listed."""
        return (not self.is_of_model if self.option.common is None else self.option.common) and self.name.count(".") < 2

    @property
    def n_words(self) -> tuple[float, float]:
        """Minimum and maximum number of words of its value."""
        return (0, 0) if self.is_flag else (1, 1) if self.option.repeated else _n_words(self.annotation)

    @property
    def metavar(self) -> str:
        """Placeholder of its value."""
        if self.option.metavar:
            return self.option.metavar
        if self.option.positional:
            return self._dashed_name.upper()
        if self.option.names:
            return "NAME"
        has_default = self.default is not None and self.default is not REQUIRED
        return f"{_metavar(self.annotation)}{'|None' if has_default and _takes_none(self.annotation) else ''}"

    def spellings(self) -> dict[str, bool]:
        """All spellings that the help lists or implies, with the value that each gives to a flag."""
        # A positional argument has no spelling but its aliases.
        own = () if self.option.positional else (self.spelling,)
        found = dict.fromkeys((*own, *self.option.aliases), True)
        if self.is_flag:
            path, _, last = self._dashed_name.rpartition(".")
            found[f"--{path}.no-{last}" if path else f"--no-{last}"] = False
        return found


# --- arguments


def arguments_of(source: Any) -> list[Argument]:
    """Arguments for the fields of a dataclass or pydantic model, or for the parameters of a function or class.

    Args:
        source: a dataclass, another class or a function; a pydantic model, or an instance of one, whose values are then
            the defaults.
    """
    if _is_model(source if isinstance(source, type) else type(source)):
        found = _arguments_of_model(source)
    else:
        documented = _documented([source])
        is_made = isinstance(source, type) and not dataclasses.is_dataclass(source)
        hints = typing.get_type_hints(source.__init__ if is_made else source, include_extras=True)
        found = [
            Argument(name, hints[name], one.default, documented.get(name, ""), _option_in(hints[name]))
            for name, one in inspect.signature(source).parameters.items()
        ]
    return [argument for argument in found if not argument.option.fixed]


def _arguments_of_model(
    source: Any, prefix: str = "", spelt: str = "", group: tuple[str, str] = ("", "")
) -> list[Argument]:
    """Arguments of a model, with `prefix` before the names of its fields and `spelt` before those of the options."""
    from pydantic import BaseModel

    kind: Any = source if isinstance(source, type) else type(source)
    documented = _documented(kind.__mro__)
    found = []
    for field, info in kind.model_fields.items():
        default = info.get_default(call_default_factory=True) if source is kind else getattr(source, field)
        if source is kind and info.is_required():
            default = REQUIRED
        options = [
            _option_of_field(base.model_fields[field])
            for base in kind.__mro__
            if _is_model(base) and field in base.model_fields
        ]
        option = next((one for one in options if one is not None), Option())
        name, text = f"{prefix}{field}", documented.get(field, "")
        if spelt != prefix:
            option = dataclasses.replace(option, name=f"{spelt}{field}")
        if isinstance(default, BaseModel):
            inner = (spelt, group) if option.flat else (f"{spelt}{field}.", (name, text))
            found += _arguments_of_model(default, f"{name}.", *inner)
        elif isinstance(default, Mapping):
            values = typing.get_args(_bare(info.annotation))[1]
            found += [
                Argument(f"{name}.{key}", values, one, "", option, (name, text), True) for key, one in default.items()
            ]
        else:
            annotation = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
            found.append(Argument(name, annotation, default, text, option, group, True))
    return found


def _is_model(kind: type) -> bool:
    return hasattr(kind, "model_fields")


def _option_of_field(info: Any) -> Option | None:
    return next((one for one in info.metadata if isinstance(one, Option)), None)


def _option_in(annotation: Any) -> Option:
    metadata = annotation.__metadata__ if typing.get_origin(annotation) is Annotated else ()
    return next((one for one in metadata if isinstance(one, Option)), Option())


def _documented(sources: Iterable[Any]) -> dict[str, str]:
    """Documentation of each argument from the section `Args` of docstrings; earlier sources take precedence."""
    found: dict[str, str] = {}
    for source in sources:
        section = docstring_section(source, "Args")
        for entry in re.split(r"\n(?=\S)", section):
            name, colon, text = entry.partition(":")
            if colon:
                found.setdefault(name.strip(), " ".join(text.split()))
    return found


def docstring_section(source: Any, name: str) -> str:
    """Text of a section of a docstring without its indentation; for `""`, the text before all sections."""
    text = inspect.cleandoc((source if isinstance(source, str) else source.__doc__) or "")
    heading = r"^(?:Args|Returns|Raises|Example|Examples):\n"
    if not name:
        return re.split(heading, text, maxsplit=1, flags=re.MULTILINE)[0].strip()
    found = re.search(rf"^{name}:\n((?:    .*\n|\n)*)", f"{text}\n", flags=re.MULTILINE)
    return textwrap.dedent(found.group(1)).strip() if found else ""


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _bare(annotation: Any) -> Any:
    """A type without the metadata of `Annotated`."""
    while typing.get_origin(annotation) is Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation


def _members(annotation: Any) -> list[Any]:
    """Members of a union without `None`, or the type itself."""
    bare = _bare(annotation)
    if typing.get_origin(bare) in (typing.Union, types.UnionType):
        return [one for member in typing.get_args(bare) if member is not _NONE for one in _members(member)]
    return [bare]


def _takes_none(annotation: Any) -> bool:
    bare = _bare(annotation)
    return typing.get_origin(bare) in (typing.Union, types.UnionType) and _NONE in typing.get_args(bare)


def _items(annotation: Any) -> tuple[list[Any], bool] | None:
    """Types of the items of a sequence, and whether its length is arbitrary; `None` for other types."""
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is tuple:
        return ([arguments[0]], True) if arguments[1:] == (...,) else (list(arguments), False)
    is_sequence = isinstance(typing.get_origin(annotation), type) and issubclass(
        typing.get_origin(annotation), Sequence
    )
    return (list(arguments), True) if is_sequence else None


def _n_words(annotation: Any) -> tuple[float, float]:
    counts = []
    for member in _members(annotation):
        items = _items(member)
        counts.append((1, 1) if items is None else (0, math.inf) if items[1] else (len(items[0]),) * 2)
    return min(low for low, _ in counts), max(high for _, high in counts)


def _metavar(annotation: Any) -> str:
    found = []
    for member in _members(annotation):
        items = _items(member)
        if items is not None:
            words = " ".join(_metavar(item) for item in items[0])
            found.append(f"{words} ..." if items[1] else words)
        elif typing.get_origin(member) is Literal:
            found.append(f"{{{','.join(map(str, typing.get_args(member)))}}}")
        else:
            found.append({int: "N", float: "NUMBER", str: "TEXT"}.get(member, "PATH"))
    if found[1:] and set(found) == {"N", "TEXT"}:
        return "ID"
    return "|".join(dict.fromkeys(found))


COMMON_OPTIONS = arguments_of(CommonOptions)
"""Arguments of all commands."""


# --- parsing


def parse(
    words: Sequence[str], arguments: Sequence[Argument], prog: str = "keras-emotion", *, is_complete: bool = True
) -> dict[str, Any]:
    """Parse the words of a command line.

    Args:
        words: the words after the name of the command.
        arguments: the known arguments.
        prog: name of the command, for messages.
        is_complete: whether `arguments` are complete. Otherwise unknown options are skipped with their values, nothing
            is required, and names are not checked: the first of two passes, which determines the options of the second.

    Returns:
        The given values by the names of the arguments, each of the type of its field.

    Raises:
        InputError: an option is unknown, a value is missing or invalid.
    """
    raw = _read(words, arguments, prog, is_complete)
    if is_complete and not (raw.get("help") or raw.get("help_all")):
        for argument in arguments:
            if argument.default is REQUIRED and argument.name not in raw:
                raise InputError(f"{argument.spelling}: missing; see {prog} --help")
    known = {argument.name: argument for argument in arguments}
    set_limits(raw.get("limit", ()))
    # Set in the environment, so that workers inherit them.
    for name, variable in (("follow_links", FOLLOW_VARIABLE), ("verbose", VERBOSE_VARIABLE), ("quiet", QUIET_VARIABLE)):
        if name in raw:
            os.environ[variable] = "1" if raw[name] else ""
    if raw.get("verbose") and raw.get("quiet"):
        raise InputError("--verbose --quiet: one prints more and the other less; give one of them")
    # Registered modules add names, so they are imported before names are checked.
    register(raw.get("register", ()))
    return {name: _convert(known[name], value, is_complete) for name, value in raw.items()}


def register(modules: Sequence[str]) -> None:
    """Import the modules that `--register` names."""
    if modules:
        from keras_emotion.papers import register_module

        for name in modules:
            register_module(name)


def _read(words: Sequence[str], arguments: Sequence[Argument], prog: str, is_complete: bool) -> dict[str, Any]:
    """The words after each given option, by the name of the argument."""
    options: dict[str, tuple[Argument, bool]] = {}
    old: dict[str, Argument] = {}
    for argument in arguments:
        options |= {spelling: (argument, value) for spelling, value in argument.spellings().items()}
        if argument.option.old:
            old[argument.option.old] = argument
    raw: dict[str, Any] = {}
    places: list[str] = []
    rest = deque(words)
    while rest:
        word = rest.popleft()
        if word == "--":
            places += rest
            break
        if not _is_option(word):
            places.append(word)
            if any(argument.option.rest for argument in arguments):
                places += rest
                break
            continue
        spelling, equals, joined = word.partition("=")
        spelling = _dashed(spelling)
        if spelling not in options and spelling in old:
            argument, value = old[spelling], True
            if is_complete:
                note = f"{spelling} is now {argument.spelling}; the old spelling will be removed in 0.3.0"
                LOGGER.info(f"note: {note}")
        elif spelling in options:
            argument, value = options[spelling]
        elif is_complete:
            near = _nearest(spelling, [one for one, (_, value) in options.items() if value or "no-" in spelling])
            raise InputError(f"{spelling}: unknown option{near}; see {prog} --help")
        else:
            while not equals and rest and not _is_option(rest[0]):
                rest.popleft()
            continue
        if argument.is_flag:
            if equals:
                raise InputError(f"{spelling}: takes no value; see {prog} --help")
            raw[argument.name] = value
            continue
        most = argument.n_words[1]
        behind = [joined] if equals else []
        while not equals and rest and len(behind) < most and not _is_option(rest[0]):
            behind.append(rest.popleft())
        _check_count(argument, spelling, behind, prog)
        raw[argument.name] = (*raw.get(argument.name, ()), *behind) if argument.option.repeated else tuple(behind)
    _place(places, [argument for argument in arguments if argument.option.positional], raw, prog, is_complete)
    return raw


def _is_option(word: str) -> bool:
    return word.startswith("-") and word != "-" and not re.fullmatch(r"-\.?\d.*|-inf(inity)?|-nan", word, re.IGNORECASE)


def _check_count(argument: Argument, spelling: str, words: Sequence[str], prog: str) -> None:
    fewest, most = argument.n_words
    if not fewest <= len(words) <= most:
        given = " ".join(words) or "nothing"
        raise InputError(f"{spelling}: expected {argument.metavar}, got {given}; see {prog} --help")


def _place(words: list[str], arguments: list[Argument], raw: dict[str, Any], prog: str, is_complete: bool) -> None:
    """Assign words to positional arguments."""
    for argument in arguments:
        if not words:
            return
        if argument.name in raw:
            continue
        n_taken = len(words) if argument.n_words[1] > 1 else 1
        raw[argument.name], words = tuple(words[:n_taken]), words[n_taken:]
    if words and is_complete:
        raise InputError(f"{words[0]}: unexpected argument; see {prog} --help")


def _nearest(spelling: str, options: Sequence[str]) -> str:
    # `--epochs` more often means `--training.epochs` than another option with similar letters.
    ends = sorted((one for one in options if one.rpartition(".")[2] == spelling.lstrip("-")), key=len)
    return f"; did you mean {' or '.join(ends[:2])}?" if ends else did_you_mean(spelling, options)


def _convert(argument: Argument, value: Any, check_names: bool) -> Any:
    if argument.is_flag or argument.option.rest:
        return value
    from pydantic import TypeAdapter, ValidationError

    if check_names and argument.option.names in REGISTRIES:
        for name in value:
            check_name(argument.spelling, argument.option.names, name)
    if value == ("None",) and _takes_none(argument.annotation):
        return None
    # A single word, if the type also accepts a scalar.
    is_single = len(value) == 1 and any(_items(member) is None for member in _members(argument.annotation))
    try:
        converted = TypeAdapter(argument.annotation).validate_python(value[0] if is_single else value)
    except ValidationError as error:
        given = " ".join(value)
        raise InputError(f"{argument.spelling} {given}: {problem_text(error.errors()[0])}") from None
    return tuple(converted) if isinstance(converted, list) else converted


def problem_text(error: Mapping[str, Any]) -> str:
    """Problem of a value, from an error of pydantic."""
    text = error["msg"].removeprefix("Value error, ")
    text = re.sub(r"^Input should be ", "expected ", text)
    if error["type"] == "literal_error":
        text = text.replace("'", "")
    return text[0].lower() + text[1:] if text[:2].istitle() else text


def as_option(error: ValueError, prefix: str = "") -> InputError:
    """Convert an error about a parameter, `` `n_trials` is 50; ... ``, to one about the option.

    Args:
        error: the error.
        prefix: prefix of the options.
    """
    found = re.match(r"`(?:n_)?(\w+)` is '?(.*?)'?; ", str(error))
    return InputError(f"--{prefix}{_dashed(found[1])} {found[2]}: {str(error)[found.end() :]}" if found else str(error))


def changed(value: Any, changes: Mapping[str, Any]) -> Any:
    """Copy a configuration with changed fields.

    Raises:
        InputError: the changes are invalid or contradict each other.
    """
    from pydantic import ValidationError

    try:
        return value.changed(changes)
    except ValidationError as error:
        lines = []
        for one in error.errors():
            option = ".".join(map(str, one["loc"]))
            lines.append(f"--{_dashed(option)}: {problem_text(one)}" if option else f"options: {problem_text(one)}")
        raise InputError("\n".join(lines)) from None


def call(function: Callable[..., Any], words: Sequence[str], prog: str) -> Any:
    """Call a function or create a dataclass with the arguments of a command line.

    Args:
        function: the function or dataclass; its docstring is the help.
        words: the words of the command line.
        prog: name of the command.

    Returns:
        The result of the function.

    Raises:
        InputError: see `parse`.
        SystemExit: the help was printed.
    """
    own = arguments_of(function)
    given = parse(words, [*own, *COMMON_OPTIONS], prog)
    print_help(given, [*own, *COMMON_OPTIONS], prog, function)
    return function(**{argument.name: given[argument.name] for argument in own if argument.name in given})


# --- the help


def print_help(
    given: Mapping[str, Any],
    arguments: Sequence[Argument],
    prog: str,
    documented: Any,
    usage: Sequence[str] = (),
    listed: Callable[[], Mapping[str, Mapping[str, str]]] = dict,
) -> None:
    """Print the help and exit, if requested.

    Args:
        given: the given values.
        arguments: the known arguments.
        prog: name of the command.
        documented: object with the docstring of the command. `--help` shows its first paragraph, `--help-all` all of
            it; the section `Examples` has one command per line.
        usage: usage lines; by default derived from `arguments`.
        listed: returns further lists (texts by name by heading) that come before the options.

    Raises:
        SystemExit: the help was printed.
    """
    if given.get("help") or given.get("help_all"):
        print(help_text(arguments, prog, documented, usage, listed(), is_full=bool(given.get("help_all"))))
        raise SystemExit(0)


def help_text(
    arguments: Sequence[Argument],
    prog: str,
    documented: Any,
    usage: Sequence[str] = (),
    listed: Mapping[str, Mapping[str, str]] = types.MappingProxyType({}),
    *,
    is_full: bool = False,
) -> str:
    """Format the help of a command in lines of at most 80 columns; see `print_help`."""
    places = [argument for argument in arguments if argument.option.positional]
    options = [argument for argument in arguments if not argument.option.positional]
    common = [argument for argument in options if is_full or argument.is_common]
    usage = usage or [_usage(prog, places, options)]
    lines = [f"{'usage:' if not index else '      '} {line}" for index, line in enumerate(usage)]
    lines = [part for line in lines for part in _wrapped(line, hanging=9)]
    paragraphs = _plain(docstring_section(documented, "")).split("\n\n")
    for paragraph in paragraphs if is_full else paragraphs[:1]:
        lines += ["", *_wrapped(" ".join(paragraph.split()))]
    for title, entries in listed.items():
        lines += ["", f"{title}:", *(line for name, text in entries.items() for line in _entry(name, _plain(text)))]
    told = [argument for argument in places if not argument.option.rest]
    if told:
        lines += [
            "",
            "arguments:",
            *(line for one in told for line in _entry(_place_names(one, is_full), _told(one, is_full))),
        ]
    for name, text in sorted({argument.group if is_full else ("", "") for argument in common}):
        lines += ["", *_wrapped(f"--{_dashed(name)}.*: {_plain(text)}" if name else "options:", hanging=2)]
        of_group = [one for one in common if not is_full or one.group == (name, text)]
        lines += [line for one in of_group for line in _entry(_invocation(one), _told(one, is_full))]
    # Options of all commands do not count here: messages name them where they apply.
    if {one.name for one in options} - {one.name for one in (*common, *COMMON_OPTIONS)}:
        lines += ["", *_wrapped(f"{len(options) - len(common)} more options: {prog} --help-all")]
    examples = docstring_section(documented, "Examples")
    if examples:
        lines += ["", "examples:", *(f"  {line}" for line in examples.splitlines())]
    return "\n".join(lines)


def _usage(prog: str, places: Sequence[Argument], options: Sequence[Argument]) -> str:
    words = [prog]
    for one in places:
        word = f"{one.metavar} ..." if one.n_words[1] > 1 and not one.option.rest else one.metavar
        words.append(word if one.default is REQUIRED else f"[{word}]")
    words += [f"{one.spelling} {one.metavar}" for one in options if one.default is REQUIRED]
    return " ".join([*words, "[options]"])


def _place_names(argument: Argument, is_full: bool) -> str:
    names = [f"{alias} {argument.metavar}" for alias in argument.option.aliases] if is_full else []
    return ", ".join([argument.metavar, *names])


def _invocation(argument: Argument) -> str:
    short = [alias for alias in argument.option.aliases if not alias.startswith("--")]
    long = [alias for alias in argument.option.aliases if alias.startswith("--")]
    spelling = argument.spelling
    if argument.is_flag and argument.default is True:
        head, _, last = spelling.lstrip("-").rpartition(".")
        spelling = f"--{head}.[no-]{last}" if head else f"--[no-]{last}"
    # Shorter spellings first.
    names = ", ".join([*short, *long, spelling])
    return names if argument.is_flag else f"{names} {argument.metavar}"


def _told(argument: Argument, is_full: bool) -> str:
    text = _plain(argument.text)
    if not is_full:
        ends = (found.start() for found in re.finditer(r"; |\. (?=[A-Z])|: ", text))
        # Outside of parentheses.
        text = text[: next((end for end in ends if text[:end].count("(") == text[:end].count(")")), None)]
    text = text.rstrip(".")
    names = ", ".join(LISTED[argument.option.names]()) if argument.option.names else ""
    if names and (is_full or len(names) <= _LISTED_BRIEFLY):
        text = f"{text}: {names}"
    if argument.default is REQUIRED:
        return text if argument.option.positional else f"{text} (required)"
    shown = _shown(argument.default)
    return f"{text} (default: {shown})".lstrip() if shown else text


def _shown(default: Any) -> str:
    """Format a default as typed; empty if it means "not given"."""
    if default is None or default is False or default == math.inf:
        return ""
    if isinstance(default, (tuple, list)):
        return " ".join(map(_shown, default))
    return "on" if default is True else f"{default:g}" if isinstance(default, float) else str(default)


def _entry(head: str, text: str) -> list[str]:
    """Lines of one option: its spelling and, in a second column, its text."""
    wrapped = textwrap.wrap(text, _width() - _INDENT, break_on_hyphens=False) or [""]
    if len(head) <= _INDENT - 3:
        return [f"  {head:<{_INDENT - 2}}{wrapped[0]}".rstrip(), *(f"{'':{_INDENT}}{line}" for line in wrapped[1:])]
    heads = textwrap.wrap(head, _width() - 2, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)
    return [*heads, *(f"{'':{_INDENT}}{line}" for line in wrapped if line)]


def _wrapped(text: str, hanging: int = 0) -> list[str]:
    return textwrap.wrap(
        text, _width(), subsequent_indent=" " * hanging, break_on_hyphens=False, break_long_words=False
    )


def _width() -> int:
    return min(_WIDTH, max(40, shutil.get_terminal_size((_WIDTH, 24)).columns))


def _plain(text: str) -> str:
    """Remove code markup from the text of a docstring."""
    return re.sub(r'`"?([^"`]*)"?`', r"\1", text).replace("**", "")
