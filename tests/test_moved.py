"""Import paths of earlier versions."""

import importlib
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import keras_emotion
from keras_emotion import moved
from keras_emotion.cli import synthesize

CHANGELOG = (Path(__file__).parents[1] / "CHANGELOG.md").read_text()


def test_the_changelog_lists_what_is_deprecated():
    names = {old.replace(":", ".") for old in (*moved.MODULES, *moved.NAMES)}
    options = {
        option
        for path in (Path(moved.__file__).parent).glob("**/*.py")
        for option in re.findall(r'\bold="(--[a-z-]+)"', path.read_text())
    } | set(synthesize._OLD.values())
    assert {"--out", "--jobs", "--frames"} <= options
    assert [name for name in sorted(names | options) if f"| `{name}` |" not in CHANGELOG] == []
    assert f"## [{keras_emotion.__version__}]" in CHANGELOG


@pytest.mark.parametrize("old", moved.MODULES)
def test_a_module_of_an_earlier_version_leads_on(old):
    module = importlib.import_module(old)
    target = importlib.import_module(moved.MODULES[old])
    names = [name for name in vars(target) if not name.startswith("_") and f"{old}:{name}" not in moved.NAMES]
    names = [name for name in names if not isinstance(getattr(target, name), types.ModuleType)]
    for name in names[:3]:
        with pytest.warns(DeprecationWarning, match=r"will be removed in version 0\.3\.0"):
            assert getattr(module, name) is getattr(target, name)
    with pytest.raises(AttributeError):
        _ = module.nothing_of_this_name


@pytest.mark.parametrize("old", moved.NAMES)
def test_a_name_of_an_earlier_version_leads_on(old):
    module, _, name = old.partition(":")
    target, _, new_name = moved.NAMES[old].partition(":")
    with pytest.warns(DeprecationWarning, match=rf"{module}\.{name} is now {target}\.{new_name or name}"):
        assert getattr(importlib.import_module(module), name) is getattr(
            importlib.import_module(target), new_name or name
        )


def test_the_warning_names_the_line_that_imports(tmp_path):
    script = tmp_path / "old.py"
    script.write_text("import os\nfrom keras_emotion.experiment.configuration import Training\nprint(Training)\n")
    # An update may leave a folder of this name without files.
    done = subprocess.run(
        [sys.executable, "-W", "always::DeprecationWarning", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], *sys.path])},
    )
    assert done.returncode == 0, done.stderr
    assert "old.py:2: DeprecationWarning: keras_emotion.experiment.configuration.Training is now" in done.stderr
