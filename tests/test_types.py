import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "keras_emotion"

# A code in brackets, then the reason as a comment of its own.
WITH_REASON = re.compile(r"# type: ignore\[[a-z-]+(?:, [a-z-]+)*\]  # \w")


def test_other_packages_are_told_that_there_are_types():
    assert (PACKAGE / "py.typed").read_bytes() == b""


def test_each_ignored_complaint_of_the_type_checker_has_a_code_and_a_reason():
    lines = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in sorted(PACKAGE.glob("**/*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if "type: ignore" in line
    ]
    assert lines, "the pattern finds none: is it still how they are written?"
    assert [line for line in lines if not WITH_REASON.search(line)] == []


def test_what_is_promised_is_checked_strictly():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    assert settings.get("strict_optional", True)
    (strict,) = [one for one in settings["overrides"] if one.get("disallow_untyped_defs")]
    assert {"keras_emotion.schema", "keras_emotion.evaluation.*", "keras_emotion.systems.base"} <= set(strict["module"])
    assert all(strict[name] for name in ("disallow_any_generics", "warn_return_any"))
