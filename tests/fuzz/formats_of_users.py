"""Tables, settings and weights that users give."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import keras_emotion.papers
from keras_emotion.array_files import map_npy, npz_shape, read_npz
from keras_emotion.datasets.electrodes import ChannelTable
from keras_emotion.datasets.first_channels import write_first_channels
from keras_emotion.datasets.spreadsheet import read_first_sheet
from keras_emotion.datasets.trial_table import TrialTable
from keras_emotion.evaluation.external_predictions import check_predictions, read_predictions, rescore
from keras_emotion.json_files import read_user_json
from keras_emotion.models.weight_files import finite_floats, read_state
from keras_emotion.pipelines.teacher_features import TeacherFeatures
from keras_emotion.reports.paper import paper_numbers
from keras_emotion.reports.references import read_references
from keras_emotion.synthetic.workbook import write_workbook
from keras_emotion.systems.vit_weights import ViTFolder
from tests.datasets import written_files as written
from tests.fuzz.formats import Format

TRIALS = """subject,trial,session,file,start_seconds,stop_seconds,stimulus,presentation,valence,arousal
p1,1,1,a.edf,0,5,film,1,3,2.5
p1,2,1,a.edf,6,11,song,2,7,6
p2,1,1,a.edf,1,9.5,film,1,4,1
"""
CHANNELS = """name,kind,electrode,factor,x,y,z,file
Fz,eeg,Fz,1,0,0.7,0.7,
EXG*,eog,,1000,,,,
GSR,gsr,,0.001,,,,*.edf
Status,none,,,,,,
"""
MONTAGES = {
    "a.sfp": "fidnz 0 9.3 0\nfidt9 -7.8 0 0\nfidt10 7.8 0 0\nFz 0 6 7\nCz 0 0 10\nPz 0 -6 7\n",
    "a.elc": "ReferenceLabel avg\nUnitPosition mm\nNumberPositions= 3\nPositions\nFz : 0 60 70\nCz : 0 0 100\n"
    "Pz : 0 -60 70\nLabels\nFz Cz Pz\n",
    "a.locs": "1 0 0.25 Fz\n2 0 0 Cz\n3 180 0.25 Pz\n",
    "a.csd": "// MatLab Sphere coordinates [degrees]\n// Label Theta Phi Radius X Y Z off sphere surface\n"
    "Fz 90 45 1 0 0.7 0.7 0\nCz 90 90 1 0 0 1 0\n",
    "a.bvef": '<?xml version="1.0"?><Electrodes><Electrode><Name>Fz</Name><Theta>45</Theta><Phi>90</Phi><Radius>1'
    "</Radius><Number>1</Number></Electrode><Electrode><Name>Cz</Name><Theta>0</Theta><Phi>0</Phi><Radius>1</Radius>"
    "<Number>2</Number></Electrode></Electrodes>",
}


def _text(name: str, kind: str, text: str, read: Callable[[Path], Any]) -> Format:
    return Format(kind, lambda folder: (folder / name).write_text(text), read, (name,))


def _predictions() -> str:
    rng = np.random.default_rng(0)
    rows = [
        (subject, trial, start, start + 2, fold, trial % 2, int(rng.integers(2)), f"clip{trial}")
        for subject in ("a", "b")
        for trial in range(1, 7)
        for start in (0, 2)
        for fold in [trial % 3]
    ]
    columns = ["subject", "trial", "start_seconds", "stop_seconds", "fold", "label", "prediction", "stimulus"]
    return pd.DataFrame(rows, columns=columns).to_csv(index=False)


def read_scored(folder: Path) -> Any:
    """Check and score a table of predictions, as `keras-emotion rescore` does."""
    table = read_predictions(folder / "a.csv")
    return [table, check_predictions(table), rescore(table, n_permutations=20)]


def _write_montage(name: str, folder: Path) -> None:
    (folder / name).write_text(MONTAGES[name])
    (folder / "data").mkdir()
    written.write_edf(folder / "data" / "a.edf", [written.sine(one, 5, 20, seconds=1) for one in ("Fz", "Cz")])


def _read_montage(name: str, folder: Path) -> Any:
    (folder / "data" / "channels.csv").unlink(missing_ok=True)
    found = write_first_channels(folder / "data", str(folder / name))
    return [found, (folder / "data" / "channels.csv").read_bytes()]


def _write_arrays(folder: Path) -> None:
    np.savez(folder / "a.npz", x=np.arange(10.0), names=np.array(["a", "b"]))
    np.savez_compressed(folder / "b.npz", x=np.arange(100.0))
    np.save(folder / "a.npy", np.zeros((3, 4)))


def _read_arrays(folder: Path) -> Any:
    found = [dict(read_npz(folder / name)) for name in ("a.npz", "b.npz")]
    return [*found, npz_shape(folder / "a.npz", "x"), np.array(map_npy(folder / "a.npy"))]


def _write_teacher(folder: Path) -> None:
    fields = {"dataset": "deap", "subject": "1", "session": "1", "trial": [1, 1, 2], "start_seconds": [0.0, 2.0, 0.0]}
    features = np.random.default_rng(0).standard_normal((3, 2, 4)).astype(np.float32)
    TeacherFeatures.write(folder / "a.npz", pd.DataFrame(fields), features)


def _read_teacher(folder: Path) -> Any:
    table = pd.DataFrame({"dataset": "deap", "subject": ["1"], "session": "1", "trial": [1], "start_seconds": [2.0]})
    found = TeacherFeatures(folder / "a.npz")
    return [found.features, found.for_windows(table)]


def _write_sheet(folder: Path) -> None:
    write_workbook(folder / "a.xlsx", [["name", "value"], ["a", 1.5], ["b", 2]])


def _write_state(folder: Path) -> None:
    np.savez(folder / "a.npz", **{"layer.weight": np.ones((3, 4), np.float32), "layer.bias": np.zeros(3, np.float32)})


def _read_state(name: str, folder: Path) -> Any:
    where, state = read_state(folder / name, "layer.weight")
    return {name: finite_floats(where, name, value) for name, value in state.items()}


def _write_checkpoint(folder: Path) -> None:
    import torch

    state = {"layer.weight": torch.ones((3, 4)), "layer.bias": torch.zeros(3)}
    torch.save(state, folder / "a.pth")


def _write_vit(folder: Path) -> None:
    from tests.systems.test_media_encoders import write_hugging_face

    write_hugging_face(folder / "vit")


def _read_vit(folder: Path) -> Any:
    found = ViTFolder.read(folder / "vit")
    return [found, found._tensors(folder / "vit" / "model.safetensors")]


def _write_paper(folder: Path) -> None:
    for name in ("hlstm.csv", "references.csv"):
        lines = Path(keras_emotion.papers.__file__).with_name(name).read_text().splitlines(keepends=True)
        (folder / name).write_text("".join(lines[:12]))


def _read_paper(folder: Path) -> Any:
    return [paper_numbers(folder / "hlstm.csv"), read_references(folder / "references.csv")]


def _write_legacy(folder: Path) -> None:
    import h5py

    with h5py.File(folder / "a.h5", "w") as file:
        file.attrs["layer_names"] = [b"dense"]
        group = file.create_group("dense")
        group.attrs["weight_names"] = [b"dense/kernel:0", b"dense/bias:0"]
        group["dense/kernel:0"], group["dense/bias:0"] = np.ones((3, 4), np.float32), np.zeros(4, np.float32)


def _read_legacy(folder: Path) -> Any:
    from keras_emotion.models.legacy_weights import _layers_of_file

    return _layers_of_file(folder / "a.h5")


FORMATS = (
    _text("trials.csv", "trials.csv", TRIALS, TrialTable.read),
    _text("channels.csv", "channels.csv", CHANNELS, lambda folder: ChannelTable(folder / "channels.csv").rows),
    _text("a.csv", "predictions of others", _predictions(), read_scored),
    _text(
        "a.json",
        "JSON settings",
        json.dumps({"a": [1, 2, {"b": None}]}),
        lambda folder: read_user_json(folder / "a.json"),
    ),
    *(
        Format(
            f"montage {name.removeprefix('a.')}",
            functools.partial(_write_montage, name),
            functools.partial(_read_montage, name),
            (name,),
        )
        for name in MONTAGES
    ),
    Format("arrays npz and npy", _write_arrays, _read_arrays),
    Format("teacher features npz", _write_teacher, _read_teacher, ("a.npz",)),
    Format("workbook xlsx", _write_sheet, lambda folder: read_first_sheet(folder / "a.xlsx"), ("a.xlsx",)),
    Format("weights npz", _write_state, functools.partial(_read_state, "a.npz"), ("a.npz",)),
    Format(
        "weights PyTorch", _write_checkpoint, functools.partial(_read_state, "a.pth"), ("a.pth",), packages=("torch",)
    ),
    Format("weights Keras 2 h5", _write_legacy, _read_legacy, ("a.h5",)),
    Format("weights ViT safetensors", _write_vit, _read_vit),
    Format("paper numbers csv", _write_paper, _read_paper),
)
