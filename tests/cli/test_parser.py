"""Options made from fields and signatures, and what a command line gives them."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from keras_emotion import cli
from keras_emotion.cli import describe
from keras_emotion.cli.parser import COMMON_OPTIONS, arguments_of, call, changed, help_text, parse
from keras_emotion.options import Option
from keras_emotion.schema import InputError
from keras_emotion.systems.settings import Configuration, Runtime, Training


def everything(  # noqa: D417
    place: Annotated[Path, Option(positional=True)],
    more: Annotated[tuple[Path, ...], Option(positional=True)] = (),
    *,
    number: int = 1,
    share: Annotated[float, Field(gt=0, le=1)] = 0.5,
    text: str = "",
    perhaps: float | None = 2.0,
    kind: Literal["a", "b"] = "a",
    folder_or_kind: Literal["none"] | Path = "none",
    people: tuple[int | str, ...] = (),
    size: tuple[int, int] = (2, 3),
    span: int | tuple[int, int] = 1,
    names: Sequence[str] = ("x",),
    is_fast: Annotated[bool, Option(old="--quick")] = False,
    is_sure: bool = True,
    output_folder: Annotated[Path | None, Option(aliases=("-o", "--to"), old="--out")] = None,
    modules: Annotated[tuple[str, ...], Option(repeated=True)] = (),
):
    """Do everything.

    A second paragraph.

    Args:
        place: where; behind the semicolon only in full.
        number: how many. Only in full.
        share: of all (as a: share): only in full.

    Examples:
        everything here
    """
    return dict(locals())


KNOWN = [*arguments_of(everything), *COMMON_OPTIONS]


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ("there", {"place": Path("there")}),
        ("there a b", {"place": Path("there"), "more": (Path("a"), Path("b"))}),
        ("--number 3 there", {"place": Path("there"), "number": 3}),
        ("p --number=-3", {"place": Path("p"), "number": -3}),
        ("p --share 1e-3", {"place": Path("p"), "share": 0.001}),
        ("p --perhaps None", {"place": Path("p"), "perhaps": None}),
        ("p --perhaps -.5", {"place": Path("p"), "perhaps": -0.5}),
        ("p --folder-or-kind none", {"place": Path("p"), "folder_or_kind": "none"}),
        ("p --folder_or_kind some", {"place": Path("p"), "folder_or_kind": Path("some")}),
        ("p --people 01 1 NA", {"place": Path("p"), "people": ("01", "1", "NA")}),
        ("p --people", {"place": Path("p"), "people": ()}),
        ("p --size 4 5", {"place": Path("p"), "size": (4, 5)}),
        ("p --span 4", {"place": Path("p"), "span": 4}),
        ("p --span 4 5", {"place": Path("p"), "span": (4, 5)}),
        ("p --names 1 2 --number 2", {"place": Path("p"), "names": ("1", "2"), "number": 2}),
        ("p --is-fast", {"place": Path("p"), "is_fast": True}),
        ("p --is-fast --no-is-fast", {"place": Path("p"), "is_fast": False}),
        ("p --no-is-sure", {"place": Path("p"), "is_sure": False}),
        ("p -o x", {"place": Path("p"), "output_folder": Path("x")}),
        ("p --to x --output-folder y", {"place": Path("p"), "output_folder": Path("y")}),
        ("p --modules a --modules b", {"place": Path("p"), "modules": ("a", "b")}),
        ("--number 2 -- --place", {"place": Path("--place"), "number": 2}),
        ("--help", {"help": True}),
        ("-h --help-all", {"help": True, "help_all": True}),
    ],
)
def test_words_become_values_of_the_types_of_the_fields(words, values, capsys):
    given = parse(words.split(), KNOWN)
    assert given == values
    assert {name: type(value) for name, value in given.items()} == {n: type(value) for n, value in values.items()}
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "PLACE: missing; see keras-emotion --help"),
        ("p --numbr 3", "--numbr: unknown option; did you mean --number?; see keras-emotion --help"),
        ("p --zzz", "--zzz: unknown option; see keras-emotion --help"),
        ("p --number", "--number: expected N, got nothing; see keras-emotion --help"),
        ("p --number --is-fast", "--number: expected N, got nothing"),
        ("p --number x", "--number x: expected a valid integer"),
        ("p --share 0", "--share 0: expected greater than 0"),
        ("p --kind c", "--kind c: expected a or b"),
        ("p --size 1", "--size: expected N N, got 1"),
        ("p --size 1 x", "--size 1 x: expected a valid integer"),
        ("p --is-fast=yes", "--is-fast: takes no value"),
    ],
)
def test_what_cannot_be_used_is_one_message(words, message):
    with pytest.raises(InputError) as raised:
        parse(words.split(), KNOWN)
    assert str(raised.value).startswith(message)


def test_the_folder_of_a_dataset_is_data_root_in_every_command_that_takes_one():
    """By its place or by name; not both."""
    takers = 0
    for name in cli.COMMANDS:
        command = cli._load(name)
        for argument in arguments_of(command) if isinstance(command, type) else ():
            if argument.text.startswith(("folder of the dataset", "root folder of the dataset")):
                takers += 1
                assert "--data-root" in argument.spellings(), name
    assert takers >= 6
    known = arguments_of(describe.Describe)
    by_place, by_name = parse(["x", "--brief"], known), parse(["--data-root", "x", "--brief"], known)
    assert by_place == by_name == {"root": Path("x"), "brief": True}
    with pytest.raises(InputError, match="x: unexpected argument"):
        parse(["--data-root", "x", "x"], known)
    full = help_text(known, "p", describe.Describe, is_full=True)
    assert "FOLDER, --data-root FOLDER" in full


def test_a_surplus_word_is_refused():
    (argument,) = arguments_of(everything)[:1]
    with pytest.raises(InputError, match=r"^b: unexpected argument"):
        parse(["a", "b"], [argument])


@pytest.mark.parametrize(
    ("words", "name", "value", "note"),
    [
        (["--out", "x"], "output_folder", Path("x"), "note: --out is now --output-folder; "),
        (["--out=x"], "output_folder", Path("x"), "note: --out is now --output-folder; "),
        (["--quick"], "is_fast", True, "note: --quick is now --is-fast; "),
    ],
)
def test_an_old_spelling_is_accepted_with_one_note_and_not_listed(words, name, value, note, capsys):
    given = parse(["p", *words], KNOWN)
    assert given[name] == value
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"{note}the old spelling will be removed in 0.3.0\n")
    for is_full in (False, True):
        assert words[0].partition("=")[0] not in help_text(KNOWN, "prog", everything, is_full=is_full).split()
    # In the first of two passes nothing is said yet.
    parse(["p", *words], KNOWN, is_complete=False)
    assert capsys.readouterr().err == ""


def test_the_first_pass_passes_over_what_it_does_not_know():
    words = ["--unknown", "1", "2", "--number", "3", "--other=4", "there", "--third", "--is-fast"]
    assert parse(words, KNOWN, is_complete=False) == {"number": 3, "place": Path("there"), "is_fast": True}


class Inner(Configuration):
    """Inner fields.

    Args:
        length: how long.
        limits: by name.
    """

    length: Annotated[float, Field(gt=0)] = 1.0
    limits: Mapping[str, tuple[float, float]] = {"low_part": (1.0, 2.0), "high": (3.0, 4.0)}


class Base(Configuration):
    """Fields.

    Args:
        name: not an option.
        inner: what is inside.
        runtime: how it runs.
    """

    name: Annotated[str, Option(fixed=True)] = "fixed"
    inner: Inner = Inner()
    runtime: Annotated[Runtime, Option(flat=True)] = Runtime()
    choice: Annotated[int, Option(aliases=("--pick",), common=True)] = 0


class Derived(Base):
    """Fields with another default.

    Args:
        choice: which one.
    """

    choice: int = 7


def test_options_of_a_model_are_its_fields_and_those_of_the_models_in_it():
    known = {argument.name: argument for argument in arguments_of(Derived(inner=Inner(length=5.0)))}
    assert "name" not in known
    assert known["inner.length"].default == 5.0
    assert known["inner.length"].text == "how long."
    assert known["inner.limits.low_part"].spelling == "--inner.limits.low-part"
    assert known["runtime.workers"].spelling == "--workers"
    # The subclass changes the default alone.
    assert known["choice"].option.aliases == ("--pick",)
    assert (known["choice"].default, known["choice"].text) == (7, "which one.")
    given = parse(["--inner.limits.low-part", "0", "9", "--pick", "3", "--jobs", "2"], list(known.values()))
    wanted = changed(Derived(), given)
    assert wanted.inner.limits == {"low_part": (0.0, 9.0), "high": (3.0, 4.0)}
    assert (wanted.choice, wanted.runtime.workers) == (3, 2)


def test_fields_that_do_not_go_together_are_one_message():
    class Strict(BaseModel):
        value: int = 1

        def changed(self, changes):
            return Strict(value="no number")

    with pytest.raises(InputError, match=r"^--value: expected a valid integer"):
        changed(Strict(), {})


def test_a_dataclass_or_function_is_called_with_what_was_given():
    @dataclasses.dataclass(frozen=True)
    class Command:
        """Command.

        Args:
            path: a path.
        """

        path: Annotated[Path, Option(positional=True)]
        brief: bool = False

    assert call(Command, ["x", "--brief"], "command") == Command(Path("x"), True)
    assert call(everything, ["x", "--number", "4"], "prog")["number"] == 4


def test_the_help_shows_the_first_clause_and_the_full_help_everything(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    short, full = (help_text(KNOWN, "prog", everything, is_full=is_full) for is_full in (False, True))
    assert short.splitlines()[:3] == ["usage: prog PLACE [MORE ...] [options]", "", "Do everything."]
    assert "  PLACE                     where\n" in short
    assert "  --number N                how many (default: 1)\n" in short
    assert "  --share NUMBER            of all (as a: share) (default: 0.5)\n" in short
    assert "  -o, --to, --output-folder PATH\n" in short
    assert "  --[no-]is-sure            (default: on)\n" in short
    assert "--size N N                (default: 2 3)" in short
    assert "--perhaps NUMBER|None     (default: 2)" in short
    assert "second paragraph" not in short
    assert "A second paragraph." in full
    assert "where; behind the semicolon only in full" in full
    assert short.endswith("\nexamples:\n  everything here")


def test_fields_of_a_model_are_listed_in_full_unless_they_are_common():
    short, full = (help_text(arguments_of(Base()), "prog", Base, is_full=is_full) for is_full in (False, True))
    n_fields = len(arguments_of(Base()))
    assert "--pick, --choice N" in short
    assert "--workers N" in short
    assert "--inner.length" not in short
    assert f"{n_fields - 4} more options: prog --help-all" in short
    assert "\n--inner.*: what is inside.\n  --inner.length NUMBER" in full
    assert full.count("--") >= n_fields


def test_what_was_jobs_is_workers():
    with pytest.warns(DeprecationWarning, match="`jobs` is now `workers`"):
        runtime = Runtime(jobs=2)
    assert runtime == Runtime(workers=2)
    with pytest.raises(ValueError, match="jobs"):
        Runtime(jobs=2, workers=3)
    with pytest.raises(ValueError, match="epochs"):
        Training(epochs=0)
