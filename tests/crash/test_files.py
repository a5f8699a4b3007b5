"""What is on the disk when, and what a killed command leaves there."""

import os
import time
import types

import numpy as np
import pytest

from keras_emotion.experiment.compiled_model import save_model
from keras_emotion.experiment.feature_table import _write
from keras_emotion.files import LEFTOVER_SECONDS
from keras_emotion.reports.report import output_folder

WRITERS = {
    "report": lambda folder: output_folder(folder),
    "pictures of a report": lambda folder: output_folder(folder.parent),
    "features": lambda folder: _write(folder / "X.npz", (1,), iter([np.zeros(1, "<f4")]), {}),
}


@pytest.mark.parametrize("name", WRITERS)
def test_what_a_killed_writer_left_goes_when_it_is_old(name, tmp_path):
    folder = tmp_path / "figures"
    folder.mkdir()
    old, new, other = folder / ".writing-a", folder / ".writing-b", folder / "mine.txt"
    for path in (old, new, other):
        path.touch()
    before = time.time() - LEFTOVER_SECONDS - 60
    for path in (old, other):
        os.utime(path, (before, before))
    WRITERS[name](folder)
    assert not old.exists()
    assert new.exists()
    assert other.exists()


def test_a_model_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    order = []
    replace = os.replace
    monkeypatch.setattr(os, "fsync", lambda file: order.append("on the disk"))
    monkeypatch.setattr(os, "replace", lambda *paths: (order.append("named"), replace(*paths)))
    model = types.SimpleNamespace(save=lambda path: path.write_bytes(b"weights"))
    origin = types.SimpleNamespace(add_to=lambda path: order.append("with its origin"))
    save_model(model, tmp_path / "models" / "a.keras", origin)
    assert order == ["with its origin", "on the disk", "named"]
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["a.keras"]
