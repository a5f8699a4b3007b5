"""The examples of `docs/testing.md` run unchanged, and the package imports as documented."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "testing.md").read_text(encoding="utf-8"), re.DOTALL)


def test_there_is_an_example_of_each():
    called = [
        name for name in ("check_reader", "check_layer", "check_system") for code in EXAMPLES if f"{name}(" in code
    ]
    assert called == ["check_reader", "check_layer", "check_system"]


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples_run(number, tmp_path, monkeypatch):
    # A module of its own, as a user has it: its classes can be pickled.
    name = f"example_of_the_documentation_{number}"
    (tmp_path / f"{name}.py").write_text(EXAMPLES[number], encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    __import__(name)
    monkeypatch.delitem(sys.modules, name)


def test_importing_the_package_imports_neither_keras_nor_a_test_framework():
    unwanted = {"keras", "tensorflow", "jax", "torch", "pytest", "hypothesis"}
    code = f"import sys; import keras_emotion.testing; print(sorted({unwanted!r} & set(sys.modules)))"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ["PYTHONPATH"]])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]"


def test_the_toy_dataset_and_paper_keep_the_contracts(tmp_path):
    # In separate processes: both register themselves.
    code = (
        "import sys; from pathlib import Path\n"
        "import toy_dataset, toy_paper\n"
        "from keras_emotion.testing import check_reader, check_system\n"
        "root = toy_dataset.write_toy(Path(sys.argv[1]))\n"
        "check_reader(lambda: toy_dataset.ToyDataset(root), (1, 2, 3))\n"
        "check_system(toy_paper.ToyLook(), toy_dataset.ToyDataset(root))\n"
    )
    search_path = os.pathsep.join([str(ROOT), str(ROOT / "docs" / "examples"), os.environ["PYTHONPATH"]])
    process = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        env={**os.environ, "PYTHONPATH": search_path},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
