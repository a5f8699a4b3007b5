"""AffectNet reader, on lists and arrays that the tests write in the formats of both generations."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from keras_emotion import cli
from keras_emotion.datasets import READERS, AffectNet, affectnet
from keras_emotion.schema import InputError

HEADER = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
EXPRESSIONS = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")


def landmarks(number):
    return np.random.default_rng(number).uniform(0, 200, (68, 2)).round(2)


def row(number, **changes):
    """A row of a list, as texts by column."""
    cells = dict(
        zip(
            HEADER.split(","),
            [
                f"{number % 3 + 1}/{number:04x}.jpg",
                *("10", "12", "180", "181"),
                ";".join(map(str, landmarks(number).ravel().tolist())),
                *(str(number % 8), f"{-0.1 * (number % 10):.6f}", f"{0.05 * (number % 10):.6f}"),
            ],
            strict=True,
        )
    )
    return cells | {name: str(value) for name, value in changes.items()}


def write_image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((8, 8, 3), 99, np.uint8))


def write_list(root, name, rows, header=HEADER):
    folder = root / "Manually_Annotated_file_lists"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [row if isinstance(row, str) else ",".join(row.values()) for row in rows]
    (folder / f"{name}.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    for cells in rows:
        if not isinstance(cells, str) and not cells["subDirectory_filePath"].startswith(("/", "..")):
            write_image(root / "Manually_Annotated_Images" / cells["subDirectory_filePath"])
    return folder / f"{name}.csv"


def write_arrays(folder, numbers, as_text=False):
    for number in numbers:
        write_image(folder / "images" / f"{number}.jpg")
        (folder / "annotations").mkdir(exist_ok=True)
        values = {"exp": number % 8, "val": -0.1 * (number % 10), "aro": 0.05 * (number % 10)}
        for key, value in values.items():
            np.save(folder / "annotations" / f"{number}_{key}.npy", np.array(str(value) if as_text else value))
        np.save(folder / "annotations" / f"{number}_lnd.npy", landmarks(number).ravel())


@pytest.fixture
def root(tmp_path):
    """Lists of twelve and of five images."""
    write_list(tmp_path / "root", "training", [row(number) for number in range(1, 13)])
    write_list(tmp_path / "root", "validation", [row(number) for number in range(101, 106)])
    return tmp_path / "root"


@pytest.fixture
def arrays_root(tmp_path):
    """Arrays of four and of two images."""
    write_arrays(tmp_path / "arrays" / "train_set", (0, 2, 10, 9))
    write_arrays(tmp_path / "arrays" / "val_set", (0, 1), as_text=True)
    return tmp_path / "arrays"


def problems_of(dataset, subject="training"):
    return [(problem.message, problem.is_blocking) for problem in dataset.inspect(subject).problems]


def test_lists(root):
    dataset = AffectNet(root)
    assert dataset.file_format == "lists"
    assert dataset.subjects == ("training", "validation")
    dataset.check()
    assert dataset.missing_files() == ()
    for subject, numbers in (("training", range(1, 13)), ("validation", range(101, 106))):
        trials = list(dataset.trials([subject]))
        assert [trial.trial for trial in trials] == list(range(1, len(numbers) + 1))
        for trial, number in zip(trials, numbers, strict=True):
            written = row(number)
            assert (trial.dataset, trial.subject, trial.session, trial.presentation) == ("affectnet", subject, 1, -1)
            assert (trial.recording, trial.video, trial.eeg_channel_names) == (None, None, ())
            assert trial.stimulus == written["subDirectory_filePath"]
            assert trial.ratings == {name: float(written[name]) for name in ("expression", "valence", "arousal")}
            images = trial.images
            assert images.files == (root / "Manually_Annotated_Images" / trial.stimulus,)
            assert images.files[0].is_file()
            np.testing.assert_array_equal(images.times_seconds, [0.0])
            assert {name: values.tolist() for name, values in images.ratings.items()} == {
                name: [value] for name, value in trial.ratings.items()
            }
            assert (images.landmarks.dtype, images.landmarks.shape) == (np.float32, (1, 68, 2))
            np.testing.assert_allclose(images.landmarks[0], landmarks(number), rtol=1e-6)
    assert AffectNet.class_names == {"expression": EXPRESSIONS}


def test_chunks_give_the_same(root, monkeypatch):
    def summary():
        dataset = AffectNet(root)
        trials = [
            (trial.trial, trial.stimulus, trial.ratings, trial.images.landmarks.sum()) for trial in dataset.trials()
        ]
        return trials, dataset.describe(), dataset.source_files("training")

    whole = summary()
    monkeypatch.setattr(affectnet, "_CHUNK_ROWS", 5)
    assert summary() == whole


def test_other_places_of_images_and_lists(root):
    (root / "Manually_Annotated").mkdir()
    (root / "Manually_Annotated_Images").rename(root / "Manually_Annotated" / "Manually_Annotated_Images")
    assert len(list(AffectNet(root).trials())) == 17
    for folder in (root / "Manually_Annotated" / "Manually_Annotated_Images", root / "Manually_Annotated_file_lists"):
        for path in folder.iterdir():
            path.rename(root / path.name)
        folder.rmdir()
    dataset = AffectNet(root)
    trials = list(dataset.trials())
    assert len(trials) == 17
    assert trials[0].images.files == (root / trials[0].stimulus,)
    dataset.check()


def test_columns_go_by_name_and_quotes_and_line_ends_do_not_matter(root):
    expected = list(AffectNet(root).trials(["training"]))
    path = root / "Manually_Annotated_file_lists" / "training.csv"
    table = pd.read_csv(path, dtype=str).iloc[:, ::-1].assign(more="x")
    text = table.to_csv(index=False, quoting=1, lineterminator="\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    found = list(AffectNet(root).trials(["training"]))
    assert [(trial.trial, trial.stimulus, trial.ratings) for trial in found] == [
        (trial.trial, trial.stimulus, trial.ratings) for trial in expected
    ]


def test_one_list_alone(root):
    (root / "Manually_Annotated_file_lists" / "validation.csv").unlink()
    dataset = AffectNet(root)
    assert dataset.subjects == ("training",)
    dataset.check()
    (problem,) = dataset.describe()["problems"]
    assert problem["file"].endswith("validation.csv")
    assert problem["message"] == "missing file or folder; the validation images are not read; copy it"
    with pytest.raises(InputError, match="no files of subject validation; available: training"):
        next(dataset.trials(["validation"]))


def test_source_files(root, arrays_root):
    (file,) = AffectNet(root).source_files("validation")
    assert file.relative_to(root).as_posix() == "Manually_Annotated_file_lists/validation.csv"
    files = [
        path.relative_to(arrays_root / "val_set").as_posix()
        for path in AffectNet(arrays_root).source_files("validation")
    ]
    assert files[:4] == [f"annotations/0_{key}.npy" for key in ("exp", "val", "aro", "lnd")]
    assert len(files) == 8


# --- rows that cannot be used


SPOILED = {
    2: {"expression": 8, "valence": -2, "arousal": -2},
    3: {"expression": 9, "valence": -2, "arousal": -2},
    4: {"expression": 10, "valence": -2, "arousal": -2},
    5: {"face_width": -1},
    6: {"valence": "NULL"},
    7: {"expression": 3.5},
    8: {"facial_landmarks": "1.0;2.0"},
    9: {"facial_landmarks": ";".join(["1"] * 135 + ["x"])},
    10: {"valence": -2},
    11: {"expression": 11},
    12: {"arousal": 1.5},
}


def test_rows_that_cannot_be_used_are_listed_by_kind_and_skipped(root):
    write_list(root, "training", [row(number, **SPOILED.get(number, {})) for number in range(1, 15)])
    images = root / "Manually_Annotated_Images"
    (images / row(13)["subDirectory_filePath"]).unlink()
    (images / row(14)["subDirectory_filePath"]).write_bytes(b"")
    dataset = AffectNet(root)
    dataset.check()
    trials = list(dataset.trials(["training"]))
    # Row numbers do not change if earlier rows are skipped.
    assert [trial.trial for trial in trials] == [1, 10, 12]
    assert [list(trial.ratings) for trial in trials] == [
        ["expression", "valence", "arousal"],
        ["expression", "arousal"],
        ["expression", "valence"],
    ]
    assert problems_of(dataset) == [
        ("1 row (6): expression, valence, arousal or face width is not a number; skipped", False),
        ("2 rows (7, 11): expression is not a whole number from 0 to 10; skipped", False),
        ("1 row (2): expression is 8 (none); skipped", False),
        ("1 row (3): expression is 9 (uncertain); skipped", False),
        ("1 row (4): expression is 10 (non-face); skipped", False),
        ("1 row (5): face width is negative: no face was found; skipped", False),
        ("1 row (13): image is missing; copy the images again; skipped", False),
        ("1 row (14): image is empty; copy the images again; skipped", False),
        ("2 rows (8, 9): landmarks are not 68 pairs of finite numbers; skipped", False),
        ("2 rows (10, 12): valence or arousal is not from -1 to 1; rating left out", False),
    ]
    description = json.loads(json.dumps(dataset.describe(), allow_nan=False))
    assert [trial["trial"] for trial in description["subjects"][0]["trials"]] == [1, 10, 12]
    assert {problem["subject"] for problem in description["problems"]} == {"training"}


@pytest.mark.parametrize("value", ["nan", "inf", "1e999", "", "1e300"])
def test_landmarks_that_are_not_finite(root, value):
    write_list(root, "training", [row(1), row(2, facial_landmarks=";".join([value] + ["1"] * 135))])
    assert [trial.trial for trial in AffectNet(root).trials(["training"])] == [1]


def test_lines_that_are_no_rows_keep_the_numbers_of_the_others(root):
    lines = [row(1), "1/a.jpg,too,few", "", ",".join([*row(2).values(), "x", "y"]), '"' + "\x00junk,", row(3)]
    path = write_list(root, "training", lines)
    dataset = AffectNet(root)
    assert [trial.trial for trial in dataset.trials(["training"])] == [1, 6]
    assert problems_of(dataset) == [
        ("3 rows (2, 4, 5): the number of fields differs from the header; skipped", False),
    ]
    with path.open("ab") as file:
        file.write(b"\xff\xfe\x00" * 100)
    assert [trial.trial for trial in dataset.trials(["training"])] == [1, 6]


@pytest.mark.parametrize(
    "name", ["/etc/hostname", "../outside.jpg", "1/../../outside.jpg", "..", "a\\b.jpg", "", "C:/a.jpg"]
)
def test_paths_that_lead_elsewhere_are_refused(root, name):
    write_image(root / "outside.jpg")
    write_list(root, "training", [row(1), ",".join(row(2, subDirectory_filePath=name).values())])
    dataset = AffectNet(root)
    assert [trial.trial for trial in dataset.trials(["training"])] == [1]
    assert problems_of(dataset) == [
        ("1 row (2): path of the image is missing or leads out of the folder of images; skipped", False)
    ]


def test_a_folder_is_no_image(root):
    (root / "Manually_Annotated_Images" / "7").mkdir()
    write_list(root, "training", [row(1), ",".join(row(2, subDirectory_filePath="7").values())])
    assert problems_of(AffectNet(root)) == [("1 row (2): image is missing; copy the images again; skipped", False)]


def test_many_rows_make_one_line(root):
    write_list(root, "training", [row(1), *(",".join(row(2, expression=9).values()) for _ in range(300))])
    assert problems_of(AffectNet(root)) == [
        ("300 rows (2, 3, 4, 5, 6, ...): expression is 9 (uncertain); skipped", False)
    ]


def test_list_without_a_usable_row_blocks(root):
    path = write_list(root, "training", [row(1, expression=9), row(2, face_width=-5)])
    dataset = AffectNet(root)
    for attempt in (dataset.check, lambda: list(dataset.trials())):
        with pytest.raises(InputError, match="no usable image in the training list; expected images in") as caught:
            attempt()
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)
    dataset.check(["validation"])
    assert [is_blocking for _, is_blocking in problems_of(dataset)] == [False, False, True]


@pytest.mark.parametrize(
    ("header", "missing"),
    [
        (HEADER.replace("valence", "val"), "valence"),
        ("", "subDirectory_filePath, face_width, facial_landmarks, expression, valence, arousal"),
        (HEADER + ",expression", "expression"),
    ],
)
def test_list_without_its_columns(root, header, missing):
    path = write_list(root, "training", [row(1)], header=header)
    with pytest.raises(InputError) as caught:
        AffectNet(root).check()
    assert str(caught.value).startswith(
        f"{path}: column {missing} missing or repeated in the header; expected a csv file"
    )
    assert problems_of(AffectNet(root))[0][1]


def test_list_that_cannot_be_opened(root):
    path = root / "Manually_Annotated_file_lists" / "training.csv"
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match=r"training.csv: cannot be read \(Is a directory\); copy it again"):
        AffectNet(root).check()


# --- arrays


def test_arrays(arrays_root):
    dataset = AffectNet(arrays_root)
    assert dataset.file_format == "arrays"
    assert dataset.subjects == ("training", "validation")
    dataset.check()
    assert dataset.describe()["problems"] == []
    for subject, folder, numbers in (("training", "train_set", (0, 2, 9, 10)), ("validation", "val_set", (0, 1))):
        trials = list(dataset.trials([subject]))
        assert [trial.trial for trial in trials] == [number + 1 for number in numbers]
        for trial, number in zip(trials, numbers, strict=True):
            assert trial.stimulus == f"{folder}/images/{number}.jpg"
            assert trial.images.files == (arrays_root / trial.stimulus,)
            assert trial.ratings == pytest.approx(
                {"expression": number % 8, "valence": -0.1 * (number % 10), "arousal": 0.05 * (number % 10)}
            )
            assert (trial.images.landmarks.dtype, trial.images.landmarks.shape) == (np.float32, (1, 68, 2))
            np.testing.assert_allclose(trial.images.landmarks[0], landmarks(number), rtol=1e-6)


def test_arrays_without_sets(tmp_path):
    for name, subject in (("mine", "training"), ("train_set", "training"), ("val_set", "validation")):
        write_arrays(tmp_path / name, (3, 4))
        dataset = AffectNet(tmp_path / name)
        assert dataset.subjects == (subject,)
        assert [trial.stimulus for trial in dataset.trials()] == ["images/3.jpg", "images/4.jpg"]
        assert len(dataset.missing_files()) == 1


def test_names_with_leading_zeros(arrays_root):
    folder = arrays_root / "val_set"
    for path in [*(folder / "images").iterdir(), *(folder / "annotations").iterdir()]:
        path.rename(path.with_name(f"00{path.name}"))
    trials = list(AffectNet(arrays_root).trials(["validation"]))
    assert [(trial.trial, trial.stimulus) for trial in trials] == [
        (1, "val_set/images/000.jpg"),
        (2, "val_set/images/001.jpg"),
    ]
    write_image(folder / "images" / "1.png")
    with pytest.raises(InputError, match=r"val_set: duplicate image 1: 001\.jpg and 1\.png"):
        AffectNet(arrays_root).check()


class Bomb:
    """Pickle that creates a folder when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def save(value):
    return lambda path: np.save(path, value)


def save_archive(path):
    with path.open("wb") as file:
        np.savez(file, value=np.zeros(()))


ARRAY, NUMBER = (
    "annotation file is damaged, or holds Python objects",
    "expression, valence, arousal or face width is not a number",
)
LANDMARKS = "landmarks are not 68 pairs of finite numbers"


@pytest.mark.parametrize(
    ("key", "break_it", "message"),
    [
        ("lnd", lambda path: path.unlink(), "annotation file (_exp, _val, _aro or _lnd) is missing"),
        ("exp", lambda path: path.write_bytes(b""), ARRAY),
        ("exp", lambda path: path.write_bytes(path.read_bytes()[:-3]), ARRAY),
        ("exp", lambda path: path.write_bytes(bytes(2**20 + 1)), ARRAY),
        ("val", lambda path: path.write_bytes(b"hello"), ARRAY),
        ("val", save_archive, ARRAY),
        (
            "val",
            lambda path: path.write_bytes(path.read_bytes().replace(b"'shape': ()", b"'shape': (999999999999,)")),
            ARRAY,
        ),
        ("aro", save("high"), NUMBER),
        ("aro", save(np.zeros(3)), NUMBER),
        ("aro", save(np.array(1j)), NUMBER),
        ("aro", save(np.array(np.nan)), NUMBER),
        ("exp", save(np.array(12)), "expression is not a whole number from 0 to 10"),
        ("exp", save(np.array("8")), "expression is 8 (none)"),
        ("lnd", save(np.zeros(134)), LANDMARKS),
        ("lnd", save(np.zeros((2, 68))), LANDMARKS),
        ("lnd", save(np.array(["x"] * 136)), LANDMARKS),
        ("lnd", save(np.full(136, np.inf)), LANDMARKS),
    ],
)
def test_broken_array_is_listed_and_skipped(arrays_root, key, break_it, message):
    break_it(arrays_root / "train_set" / "annotations" / f"2_{key}.npy")
    dataset = AffectNet(arrays_root)
    dataset.check()
    assert [trial.trial for trial in dataset.trials(["training"])] == [1, 10, 11]
    ((line, is_blocking),) = problems_of(dataset)
    # Named like the image: 2.jpg.
    assert line.startswith(f"1 image (2): {message}")
    assert not is_blocking


def test_a_list_that_ends_within_its_only_row(tmp_path):
    path = write_list(tmp_path, "training", [row(1)])
    for n_bytes in (len(HEADER) + 5, len(HEADER) + 40):
        path.write_bytes(path.read_bytes()[:n_bytes])
        with pytest.raises(InputError, match=r"no usable image in the training list"):
            AffectNet(tmp_path).check()
        write_list(tmp_path, "training", [row(1)])


def test_pickles_are_never_executed(arrays_root, tmp_path):
    for key, number in (("exp", 2), ("val", 9), ("aro", 10), ("lnd", 0)):
        path = arrays_root / "train_set" / "annotations" / f"{number}_{key}.npy"
        np.save(path, np.array([Bomb(tmp_path / "exploded")], dtype=object), allow_pickle=True)
    dataset = AffectNet(arrays_root)
    with pytest.raises(InputError, match="no usable image in the training list"):
        dataset.check()
    assert problems_of(dataset)[0] == (f"4 images (0, 2, 9, 10): {ARRAY}, which are never loaded; skipped", False)
    assert not (tmp_path / "exploded").exists()
    # Unrestricted loading would have created it.
    np.load(path, allow_pickle=True)
    assert (tmp_path / "exploded").is_dir()


def test_images_and_annotations_alone(arrays_root):
    folder = arrays_root / "train_set"
    (folder / "images" / "0.jpg").unlink()
    (folder / "images" / "2.jpg").write_bytes(b"")
    write_image(folder / "images" / "77.jpg")
    write_image(folder / "images" / "cover.jpg")
    np.save(folder / "annotations" / "9_val.npy", np.array("-2"))
    np.save(folder / "annotations" / "10_lnd.npy", landmarks(10).astype(str))
    dataset = AffectNet(arrays_root)
    dataset.check()
    assert [(trial.trial, list(trial.ratings)) for trial in dataset.trials(["training"])] == [
        (10, ["expression", "arousal"]),
        (11, ["expression", "valence", "arousal"]),
    ]
    assert [line for line, _ in problems_of(dataset)] == [
        "1 image (77): annotation file (_exp, _val, _aro or _lnd) is missing; skipped",
        "1 image (0): image is missing; copy the images again; skipped",
        "1 image (2): image is empty; copy the images again; skipped",
        "1 image (9): valence or arousal is not from -1 to 1; rating left out",
    ]


# --- both


def test_nothing_depends_on_the_order_of_the_file_system(root, arrays_root, monkeypatch):
    iterdir = Path.iterdir
    found = []
    for reverse in (False, True):
        monkeypatch.setattr(Path, "iterdir", lambda self, r=reverse: iter(sorted(iterdir(self), reverse=r)))
        readers = [AffectNet(root), AffectNet(arrays_root)]
        found.append([(reader.describe(), list(map(reader.source_files, reader.subjects))) for reader in readers])
    assert found[0] == found[1]


def test_formats(root, arrays_root, tmp_path):
    assert READERS["affectnet"] is AffectNet
    with pytest.raises(ValueError, match="`file_format` is 'csv'; expected one of"):
        AffectNet(root, file_format="csv")
    with pytest.raises(InputError, match="AffectNet not found in format arrays; expected"):
        AffectNet(root, file_format="arrays")
    with pytest.raises(InputError, match="AffectNet not found in format lists; expected"):
        AffectNet(arrays_root, file_format="lists")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="AffectNet not found; expected Manually_Annotated_file_lists/training"):
        AffectNet(tmp_path / "empty")
    with pytest.raises(InputError, match="no such folder"):
        AffectNet(tmp_path / "nowhere")
    write_arrays(root / "train_set", (0,))
    assert AffectNet(root).file_format == "lists"
    assert AffectNet(root, file_format="arrays").subjects == ("training",)


@pytest.mark.parametrize("generation", ["root", "arrays_root"])
def test_command_line(request, generation, capsys):
    root = request.getfixturevalue(generation)
    assert cli.main(["describe", str(root), "--dataset", "affectnet", "--json"]) == 0
    description = json.loads(capsys.readouterr().out)
    assert [subject["subject"] for subject in description["subjects"]] == ["training", "validation"]
    trial = description["subjects"][0]["trials"][0]
    assert {"trial", "presentation", "stimulus", "ratings", "video"} <= set(trial)
    assert trial["duration_seconds"] == 0
    assert description["class_names"] == {"expression": list(EXPRESSIONS)}
    assert cli.main(["describe", str(root), "--dataset", "affectnet"]) == 0
    out = capsys.readouterr().out
    assert "mean valence" in out
    assert "mean expression" not in out
    assert out.splitlines()[-1] == "the copy is complete"
