"""What the package is built from: no file of the tree is left out of a wheel."""

import configparser
import subprocess
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def files():
    """Files of the package that are under version control."""
    listed = subprocess.run(["git", "ls-files", "keras_emotion"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("no checkout of git")
    return [PurePosixPath(line) for line in listed.stdout.splitlines()]


def test_each_data_file_is_package_data(files):
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    patterns = [one.strip() for one in settings["options.package_data"]["keras_emotion"].split(",")]
    data = [path for path in files if path.suffix != ".py"]
    assert len(data) > 40
    # A suffix anywhere, or a file of the package's own folder.
    suffixes = {pattern.removeprefix("**/*") for pattern in patterns if pattern.startswith("**/*.")}
    names = {pattern for pattern in patterns if "*" not in pattern}
    assert [
        str(path)
        for path in data
        if path.suffix not in suffixes and str(path) not in {f"keras_emotion/{n}" for n in names}
    ] == []


def test_each_folder_with_modules_is_a_package(files):
    # `find:` takes folders with an `__init__.py` only, and silently leaves out the others.
    folders = {path.parent for path in files if path.suffix == ".py"}
    assert sorted(str(folder) for folder in folders if folder / "__init__.py" not in files) == []
    assert PurePosixPath("keras_emotion/datasets/formats") in folders
