"""Writer of synthetic AffectNet images: both formats, planted faults, and the relation of faces and ratings."""

import filecmp
import json

import cv2
import numpy as np
import pandas as pd
import pytest

from keras_emotion import cli
from keras_emotion.datasets import READERS
from keras_emotion.synthetic import write_affectnet
from keras_emotion.synthetic.affectnet import BROKEN, NON_FACE, NOT_RATED, UNCERTAIN

LISTS, IMAGES = "Manually_Annotated_file_lists", "Manually_Annotated_Images"


@pytest.fixture(scope="module")
def lists(tmp_path_factory):
    """The old generation, with enough images that some have no class."""
    return write_affectnet(tmp_path_factory.mktemp("lists") / "out", n_training=40, n_validation=3, n_broken=4)


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    """The new generation."""
    root = tmp_path_factory.mktemp("arrays") / "out"
    return write_affectnet(root, n_training=6, n_validation=2, n_broken=4, generation="arrays")


def test_lists(lists):
    assert sorted(path.name for path in lists.iterdir()) == [IMAGES, LISTS, "synthetic.json"]
    table = pd.read_csv(lists / LISTS / "training.csv")
    assert list(table.columns) == [
        *("subDirectory_filePath", "face_x", "face_y", "face_width", "face_height"),
        *("facial_landmarks", "expression", "valence", "arousal"),
    ]
    assert len(table) == 44
    assert len(pd.read_csv(lists / LISTS / "validation.csv")) == 7
    good = table[:40].astype({"valence": float})
    assert good["expression"].isin(range(11)).all()
    assert good["expression"].nunique() > 6
    no_face = good["expression"] == NON_FACE
    assert ((good["face_width"] < 0) == no_face).all()
    unrated = no_face | (good["expression"] == UNCERTAIN)
    assert 0 < unrated.sum() < 12
    for name in ("valence", "arousal"):
        assert (good.loc[unrated, name] == NOT_RATED).all()
        assert good.loc[~unrated, name].between(-1, 1).all()
    for row in good[~no_face].itertuples():
        image = cv2.imread(str(lists / IMAGES / row.subDirectory_filePath))
        assert 160 <= image.shape[0] <= 400
        points = np.array(row.facial_landmarks.split(";"), float).reshape(68, 2)
        assert ((points > 0) & (points < image.shape[1::-1])).all()
        corner, extent = np.array([row.face_x, row.face_y]), np.array([row.face_width, row.face_height])
        assert (points >= corner).all()
        assert (points <= corner + extent).all()
        assert (corner >= 0).all()
        assert (corner + extent <= image.shape[1::-1]).all()
    assert good["subDirectory_filePath"].str.fullmatch(r"\d+/[0-9a-f]{56}\.jpg").all()
    assert good["subDirectory_filePath"].is_unique


def test_arrays(arrays):
    assert sorted(path.name for path in arrays.iterdir()) == ["synthetic.json", "train_set", "val_set"]
    for folder, n_images in (("train_set", 6), ("val_set", 2)):
        assert len(list((arrays / folder / "images").iterdir())) == n_images + 4
        for index in range(n_images):
            assert cv2.imread(str(arrays / folder / "images" / f"{index}.jpg")).shape == (224, 224, 3)
            annotations = {
                kind: np.load(arrays / folder / "annotations" / f"{index}_{kind}.npy")
                for kind in ("exp", "val", "aro", "lnd")
            }
            assert 0 <= int(annotations["exp"]) <= 7
            assert -1 <= float(annotations["val"]) <= 1
            assert -1 <= float(annotations["aro"]) <= 1
            assert annotations["lnd"].shape == (136,)
            assert ((annotations["lnd"] > 0) & (annotations["lnd"] < 224)).all()


def test_broken_rows(lists, arrays):
    assert len(BROKEN["lists"]) == len(BROKEN["arrays"]) == 4
    table = pd.read_csv(lists / LISTS / "training.csv").iloc[40:]
    paths = [lists / IMAGES / path for path in table["subDirectory_filePath"]]
    assert [path.is_file() for path in paths] == [False, True, True, True]
    assert table["valence"].iloc[1] == "happy"
    assert [len(text.split(";")) for text in table["facial_landmarks"]] == [136, 136, 50, 136]
    assert paths[3].stat().st_size == 200
    annotations = arrays / "train_set" / "annotations"
    assert not (annotations / "6_val.npy").exists()
    assert np.load(annotations / "7_val.npy").item() == "happy"
    assert np.load(annotations / "8_lnd.npy").shape == (50,)
    assert (arrays / "train_set" / "images" / "9.jpg").stat().st_size == 200


def test_the_reader_takes_both(lists, arrays):
    for root, n_images in ((lists, 43), (arrays, 8)):
        reader = READERS["affectnet"](root)
        assert reader.synthetic
        trials = list(reader.trials())
        assert n_images / 2 < len(trials) <= n_images + 2
        assert all(trial.images.landmarks.shape == (1, 68, 2) for trial in trials)


def test_an_image_is_the_same_for_any_other_number(tmp_path, arrays):
    root = write_affectnet(tmp_path / "one", n_training=2, n_validation=0, generation="arrays")
    for name in ("images/1.jpg", "annotations/1_lnd.npy", "annotations/1_val.npy"):
        assert filecmp.cmp(root / "train_set" / name, arrays / "train_set" / name, shallow=False)
    images = [(arrays / folder / "images" / "0.jpg").read_bytes() for folder in ("train_set", "val_set")]
    assert images[0] != images[1]


@pytest.mark.parametrize("effect_size", [0.0, 1.0])
def test_faces_follow_ratings_by_the_effect(tmp_path, effect_size):
    n_images = 40
    options = {"n_validation": 0, "effect_size": effect_size, "generation": "arrays"}
    folder = write_affectnet(tmp_path, n_images, **options) / "train_set" / "annotations"
    rated, points = [], []
    for index in range(n_images):
        rated.append([float(np.load(folder / f"{index}_{kind}.npy")) for kind in ("val", "aro")])
        points.append(np.load(folder / f"{index}_lnd.npy").reshape(68, 2))
    rated, points = np.array(rated), np.array(points)
    width = np.linalg.norm(points[:, 45] - points[:, 36], axis=1)
    smile = (points[:, [51, 57], 1].mean(axis=1) - points[:, [48, 54], 1].mean(axis=1)) / width
    eyes = (points[:, [40, 41, 46, 47], 1].mean(axis=1) - points[:, [37, 38, 43, 44], 1].mean(axis=1)) / width
    for measured, name in ((smile, 0), (eyes, 1)):
        found = np.corrcoef(measured, rated[:, name])[0, 1]
        assert found > 0.6 if effect_size else abs(found) < 0.35


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_training": -1}, "`n_training` is -1"),
        ({"n_validation": -1}, "`n_validation` is -1"),
        ({"n_broken": -2}, "`n_broken` is -2"),
        ({"effect_size": -0.5}, "`effect_size` is -0.5"),
        ({"generation": "zip"}, "`generation` is 'zip'"),
    ],
)
def test_bad_arguments(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        write_affectnet(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_command_line(tmp_path):
    words = ["synthesize", "affectnet", str(tmp_path / "out"), "--training", "2", "--validation", "1", "--seed", "3"]
    assert cli.main([*words, "--effect-size", "0.5", "--generation", "arrays", "--broken", "1"]) == 0
    marker = json.loads((tmp_path / "out" / "synthetic.json").read_text())
    assert marker | {"written_by": None} == {
        "written_by": None,
        "dataset": "affectnet",
        "n_training": 2,
        "n_validation": 1,
        "seed": 3,
        "effect_size": 0.5,
        "generation": "arrays",
        "n_broken": 1,
    }
