"""AFEW-VA reader, on clips that the tests write in both published layouts."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from keras_emotion import cli
from keras_emotion.datasets import AFEWVA, READERS
from keras_emotion.schema import InputError

CLIPS = {"001": ("Ann Lee", 3), "002": ("Bob Ray", 2), "017": (" Ann Lee ", 4), "051": ("Cy Orr", 1)}
"""Actor (as written) and number of frames of each clip."""


def annotation(clip):
    """Distinct scores and landmarks in each frame, from the clip's number."""
    actor, n_frames = CLIPS[clip]
    rng = np.random.default_rng(int(clip))
    return {
        "actor": actor,
        "frames": {
            f"{frame:05d}": {
                "landmarks": rng.uniform(0, 90, (68, 2)).round(3).tolist(),
                "valence": frame - 3,
                "arousal": int(rng.integers(-10, 11)),
            }
            # Unsorted: the reader sorts.
            for frame in reversed(range(n_frames))
        },
        "video_id": clip,
    }


def write_clip(folder, clip):
    folder.mkdir(parents=True)
    content = annotation(clip)
    (folder / f"{clip}.json").write_text(json.dumps(content))
    for frame in content["frames"]:
        assert cv2.imwrite(str(folder / f"{frame}.png"), np.full((12, 16, 3), int(frame), np.uint8))


PLACES = {
    "zips": {"001": "01/001", "002": "01/002", "017": "01/017", "051": "02/051"},
    "flat": {clip: clip for clip in CLIPS},
    "mixed": {"001": "01/001", "002": "002", "017": "017", "051": "2/051"},
}


@pytest.fixture(params=PLACES)
def places(request, tmp_path):
    """Folder of each clip, in one of the layouts."""
    places = {clip: tmp_path / "root" / place for clip, place in PLACES[request.param].items()}
    for clip, folder in places.items():
        write_clip(folder, clip)
    return places


@pytest.fixture
def root(tmp_path):
    """Clips grouped by zip, for tests that damage them."""
    for clip, place in PLACES["zips"].items():
        write_clip(tmp_path / "root" / place, clip)
    (tmp_path / "root" / "synthetic.json").write_text("{}")
    return tmp_path / "root"


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_both_layouts_and_their_mixture(places, tmp_path):
    dataset = AFEWVA(tmp_path / "root")
    assert dataset.file_format == "frames"
    assert dataset.subjects == ("Ann Lee", "Bob Ray", "Cy Orr")
    dataset.check()
    trials = list(dataset.trials())
    assert [(trial.subject, trial.trial, trial.stimulus) for trial in trials] == [
        ("Ann Lee", 1, "001"),
        ("Ann Lee", 17, "017"),
        ("Bob Ray", 2, "002"),
        ("Cy Orr", 51, "051"),
    ]
    for trial in trials:
        clip, written = trial.stimulus, annotation(trial.stimulus)
        names = sorted(written["frames"])
        frames = [written["frames"][name] for name in names]
        assert (trial.dataset, trial.recording, trial.video, trial.eeg_channel_names) == ("afew_va", None, None, ())
        assert (trial.presentation, trial.session) == (-1, 1)
        images = trial.images
        assert images.files == tuple(places[clip] / f"{name}.png" for name in names)
        np.testing.assert_allclose(images.times_seconds, 0.04 * np.arange(len(names)))
        for target in ("valence", "arousal"):
            scores = [frame[target] for frame in frames]
            np.testing.assert_array_equal(images.ratings[target], scores)
            assert trial.ratings[target] == pytest.approx(sum(scores) / len(scores))
        assert images.landmarks.dtype == np.float32
        np.testing.assert_allclose(images.landmarks, [frame["landmarks"] for frame in frames], rtol=1e-6)
    assert list(trials[0].ratings) == ["valence", "arousal"]


def test_one_actor(root):
    assert [trial.stimulus for trial in AFEWVA(root).trials(["Ann Lee"])] == ["001", "017"]
    assert [trial.stimulus for trial in AFEWVA(root).trials(["Cy Orr", "Bob Ray"])] == ["051", "002"]
    with pytest.raises(InputError, match="no files of subject Ann; available: Ann Lee, Bob Ray, Cy Orr"):
        AFEWVA(root).check(["Ann"])


def test_time_is_the_number_of_the_frame(root):
    """Frames without annotation leave a gap in time; the others keep their times."""

    def drop(content):
        del content["frames"]["00001"]

    edit(root / "01/017/017.json", drop)
    (root / "01/017/00001.png").unlink()
    *_, trial = AFEWVA(root).trials(["Ann Lee"])
    np.testing.assert_allclose(trial.images.times_seconds, [0, 0.08, 0.12])
    assert trial.ratings["valence"] == pytest.approx((-3 - 1 + 0) / 3)


def test_source_files(root):
    files = [path.relative_to(root).as_posix() for path in AFEWVA(root).source_files("Ann Lee")]
    assert files == [
        *("01/001/001.json", "01/001/00000.png", "01/001/00001.png", "01/001/00002.png"),
        *("01/017/017.json", *(f"01/017/0000{frame}.png" for frame in range(4))),
    ]


def test_nothing_depends_on_the_order_of_the_file_system(root, monkeypatch):
    def summary():
        dataset = AFEWVA(root)
        trials = [(trial.subject, trial.stimulus, trial.images.files) for trial in dataset.trials()]
        return dataset.subjects, trials, [dataset.source_files(actor) for actor in dataset.subjects], dataset.describe()

    iterdir = Path.iterdir
    found = []
    for reverse in (False, True):
        monkeypatch.setattr(Path, "iterdir", lambda self, r=reverse: iter(sorted(iterdir(self), reverse=r)))
        found.append(summary())
    assert found[0] == found[1]


def test_cropped_folders_and_other_files_are_not_read(root):
    """A copy on Kaggle adds cropped faces, with or without a json."""
    shutil.copytree(root / "01/001", root / "01/001_cropped")
    shutil.copytree(root / "01", root / "01_cropped")
    (root / "readme.txt").write_text("hello")
    (root / "003").write_text("a file, no folder")
    (root / "01/001/notes.txt").write_text("hello")
    dataset = AFEWVA(root)
    dataset.check()
    assert dataset.describe()["problems"] == []
    assert len(list(dataset.trials())) == 4


def test_description(root):
    description = json.loads(json.dumps(AFEWVA(root).describe(), allow_nan=False))
    assert description["dataset"] == "afew_va"
    assert description["problems"] == []
    ann, bob, _ = description["subjects"]
    assert (ann["subject"], ann["file"], ann["frame_rate_hz"]) == ("Ann Lee", str(root / "01"), 25)
    assert bob["file"] == str(root / "01/002")
    assert [trial["stimulus"] for trial in ann["trials"]] == ["001", "017"]
    assert [trial["n_frames"] for trial in ann["trials"]] == [3, 4]
    # Four frames at 25 Hz: from 0 s to one period after the last.
    assert ann["trials"][1]["duration_seconds"] == pytest.approx(0.16)
    assert {"trial", "presentation", "stimulus", "ratings", "video"} <= set(ann["trials"][0])


def test_files_of_an_actor_in_several_zips(root, monkeypatch):
    edit(root / "02/051/051.json", lambda content: content.update(actor="Ann Lee"))
    assert AFEWVA(root).inspect("Ann Lee").description["file"] == str(root)
    monkeypatch.chdir(root)
    assert AFEWVA(".").inspect("Ann Lee").description["file"] == "."


def test_command_line(root, capsys):
    assert cli.main(["describe", str(root), "--dataset", "afew_va", "--json"]) == 0
    description = json.loads(capsys.readouterr().out)
    assert [subject["subject"] for subject in description["subjects"]] == ["Ann Lee", "Bob Ray", "Cy Orr"]
    assert cli.main(["describe", str(root), "--dataset", "afew_va"]) == 0
    out = capsys.readouterr().out
    assert "mean valence" in out
    assert "0.16" in out
    assert out.splitlines()[-1] == "the copy is complete"


def test_command_line_of_a_relative_folder(root, capsys, monkeypatch):
    monkeypatch.chdir(root)
    assert cli.main(["describe", ".", "--dataset", "afew_va", "--brief"]) == 0
    assert "01/002" in capsys.readouterr().out


def test_command_line_names_problems(root, capsys):
    (root / "01/002/002.json").write_text("{")
    (root / "01/001/00001.png").unlink()
    assert cli.main(["describe", str(root), "--dataset", "afew_va"]) == 1
    problems = [line for line in capsys.readouterr().out.splitlines() if line.startswith("problem: ")]
    assert len(problems) == 2
    assert "002.json: damaged or truncated json" in problems[0]
    assert "no image of frame 00001" in problems[1]


def test_registry():
    assert READERS["afew_va"] is AFEWVA


def test_formats(root):
    assert AFEWVA(root, file_format="frames").subjects == AFEWVA(root).subjects
    with pytest.raises(ValueError, match="`file_format` is 'cropped'; expected one of"):
        AFEWVA(root, file_format="cropped")


# --- what does not block


def test_clips_that_a_real_copy_lacks(root):
    (root / "synthetic.json").unlink()
    dataset = AFEWVA(root)
    dataset.check()
    (problem,) = dataset.describe()["problems"]
    assert problem == {
        "file": str(root),
        "subject": None,
        "message": "missing clips 003, 004, 005, 006, 007 and 591 more; expected 001 to 600; unpack every zip",
    }


def test_image_without_annotation_is_listed_and_left_out(root):
    folder = root / "01/002"
    for name in ("00007.png", "00008.jpg"):
        shutil.copy(folder / "00000.png", folder / name)
    dataset = AFEWVA(root)
    dataset.check()
    (trial,) = dataset.trials(["Bob Ray"])
    assert len(trial.images.files) == 2
    (problem,) = dataset.inspect("Bob Ray").problems
    assert str(problem) == f"{folder}: no annotation in 002.json of image 00007.png, 00008.jpg; left out"
    assert not problem.is_blocking


def test_json_of_another_clip_is_listed(root):
    edit(root / "01/002/002.json", lambda content: content.update(video_id="300"))
    AFEWVA(root).check()
    (problem,) = AFEWVA(root).inspect("Bob Ray").problems
    assert problem.message == "`video_id` is '300'; expected '002', as the folder is named"
    edit(root / "01/002/002.json", lambda content: content.pop("video_id"))
    assert AFEWVA(root).inspect("Bob Ray").problems == ()


def test_jpeg_frames(root):
    """If a frame has two images, the PNG is used; a padded file is complete."""
    folder = root / "01/002"
    image = np.full((12, 16, 3), 7, np.uint8)
    assert cv2.imwrite(str(folder / "00000.jpg"), image)
    assert cv2.imwrite(str(folder / "00001.JPG"), image)
    (folder / "00001.png").unlink()
    with (folder / "00001.JPG").open("ab") as file:
        file.write(bytes(16))
    dataset = AFEWVA(root)
    dataset.check()
    (trial,) = dataset.trials(["Bob Ray"])
    assert [path.name for path in trial.images.files] == ["00000.png", "00001.JPG"]


# --- what is refused


def test_nothing_there(tmp_path):
    (tmp_path / "01").mkdir()
    (tmp_path / "000").mkdir()
    with pytest.raises(
        InputError, match=r"no clips of AFEW-VA; expected files such as 01/001/001\.json or 001/001\.json"
    ):
        AFEWVA(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        AFEWVA(tmp_path / "nowhere")


def test_same_clip_twice(root):
    shutil.copytree(root / "01/001", root / "001")
    with pytest.raises(InputError, match=r"duplicate clip 001: .*/root/001 and .*/root/01/001; keep one of them"):
        AFEWVA(root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "missing file; expected actor, scores and landmarks of the clip; copy the clip again"),
        (b"", "damaged or truncated json (Expecting value"),
        (b'{"actor": "Bob Ray", "frames": {"000', "damaged or truncated json (Unterminated string"),
        (b"\xff\xff", "damaged or truncated json ("),
        (b"[" * 100_000, "damaged or truncated json ("),
        (b"[1, 2]", "holds [1, 2]; expected an object with `actor` and `frames`"),
        (b'{"frames": {}}', "`actor` is missing; expected a name"),
        (b'{"actor": 5, "frames": {}}', "`actor` is 5; expected a name"),
        (b'{"actor": "  ", "frames": {}}', "`actor` is '  '; expected a name"),
        (b'{"actor": "A\\nB", "frames": {}}', "`actor` is 'A\\nB'; expected a name"),
        (b'{"actor": "A\\ud800", "frames": {}}', "`actor` is 'A\\ud800'; expected a name"),
    ],
)
def test_clip_of_an_unknown_actor(root, content, message):
    """Its actor is unknown, so it blocks all subjects; the others can still be inspected."""
    path = root / "01/002/002.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    dataset = AFEWVA(root)
    assert dataset.subjects == ("Ann Lee", "Cy Orr")
    (problem,) = dataset.missing_files()
    assert (problem.file, problem.subject, problem.is_blocking) == (path, None, True)
    assert problem.message.startswith(message)
    for attempt in (dataset.check, lambda: dataset.check(["Ann Lee"]), lambda: next(dataset.trials(["Ann Lee"]))):
        with pytest.raises(InputError) as caught:
            attempt()
        assert str(caught.value) == str(problem)
        assert "\n" not in str(caught.value)
    description = json.loads(json.dumps(dataset.describe()))
    assert len(description["subjects"]) == 2
    assert [problem["message"] for problem in description["problems"]] == [problem.message]


def in_frames(*names, **values):
    def change(content):
        for name in names:
            content["frames"][name].update(values)

    return change


def without(field):
    return lambda content: content["frames"]["00001"].pop(field)


def rename(old, new):
    return lambda content: content["frames"].update({new: content["frames"].pop(old)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("frames"), "`frames` is missing; expected an object with one entry per frame"),
        (lambda content: content.update(frames={}), "`frames` is {}; expected an object with one entry per frame"),
        (lambda content: content.update(frames=[1]), "`frames` is [1]; expected an object with one entry per frame"),
        (rename("00001", "first"), "`frames` names 'first'; expected five digits, as '00000'"),
        (without("valence"), "`valence` of frame 00001 is missing; expected a number from -10 to 10; copy"),
        (in_frames("00001", valence=11), "`valence` of frame 00001 is 11; expected a number from -10 to 10"),
        (in_frames("00001", arousal=-10.5), "`arousal` of frame 00001 is -10.5; expected a number from -10 to 10"),
        (in_frames("00001", arousal=float("nan")), "`arousal` of frame 00001 is nan; expected a number"),
        (in_frames("00001", arousal="3"), "`arousal` of frame 00001 is '3'; expected a number"),
        (in_frames("00001", valence=None), "`valence` of frame 00001 is None; expected a number"),
        (in_frames("00001", valence=True), "`valence` of frame 00001 is True; expected a number"),
        (
            in_frames("00000", "00001", "00002", valence=99),
            "`valence` of frame 00000 is 99; expected a number from -10 to 10 (also invalid: 00001, 00002); copy the",
        ),
        (without("landmarks"), "`landmarks` of frame 00001 is missing; expected 68 pairs of finite numbers"),
        (in_frames("00001", landmarks=[[1, 2]] * 67), "`landmarks` of frame 00001 is of shape (67, 2); expected 68"),
        (in_frames("00001", landmarks=[[1, 2, 3]] * 68), "`landmarks` of frame 00001 is of shape (68, 3)"),
        (in_frames("00001", landmarks=[[1, 2], [3]]), "`landmarks` of frame 00001 is rows of different lengths"),
        (in_frames("00001", landmarks=[["1", "2"]] * 68), "`landmarks` of frame 00001 is not all numbers"),
        (in_frames("00001", landmarks=[[1, None]] * 68), "`landmarks` of frame 00001 is not all numbers"),
        (in_frames("00001", landmarks=[[1, float("nan")]] * 68), "`landmarks` of frame 00001 is not finite"),
        (in_frames("00001", landmarks=[[1, 1e300]] * 68), "`landmarks` of frame 00001 is not finite"),
        (in_frames("00001", landmarks=[[1, 10**30]] * 68), "`landmarks` of frame 00001 is not all numbers"),
    ],
)
def test_broken_annotation(root, change, message):
    path = root / "01/017/017.json"
    edit(path, change)
    dataset = AFEWVA(root)
    with pytest.raises(InputError) as caught:
        dataset.check()
    assert str(caught.value).startswith(f"{path}: {message}")
    assert str(caught.value).endswith("; copy the clip again")
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError):
        list(dataset.trials(["Ann Lee"]))
    assert [trial.stimulus for trial in dataset.trials(["Bob Ray", "Cy Orr"])] == ["002", "051"]
    dataset.check(["Bob Ray", "Cy Orr"])
    (problem,) = dataset.describe()["problems"]
    assert (problem["file"], problem["subject"]) == (str(path), "Ann Lee")
    assert [trial["stimulus"] for trial in dataset.describe()["subjects"][0]["trials"]] == ["001"]


def test_frame_without_image(root):
    folder = root / "01/017"
    for frame in (1, 3):
        (folder / f"0000{frame}.png").unlink()
    message = f"{folder}: no image of frame 00001, 00003; expected 00001.png; copy the clip's images again"
    for attempt in (AFEWVA(root).check, lambda: list(AFEWVA(root).trials())):
        with pytest.raises(InputError) as caught:
            attempt()
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda path: path.write_bytes(b""), "empty image"),
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), "damaged or truncated PNG"),
        (lambda path: path.write_bytes(path.read_bytes()[:10]), "damaged or truncated PNG"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"IHDR", b"****")), "damaged or truncated PNG"),
        (
            lambda path: path.write_bytes(cv2.imencode(".jpg", np.zeros((9, 9, 3)))[1].tobytes()[:-2]),
            "damaged or truncated JPEG",
        ),
        (lambda path: path.write_bytes(b"<html>not found</html>"), "neither PNG nor JPEG"),
    ],
)
def test_broken_image(root, break_it, message):
    folder = root / "01/017"
    for frame in (0, 2):
        break_it(folder / f"0000{frame}.png")
    with pytest.raises(InputError) as caught:
        AFEWVA(root).check()
    assert str(caught.value) == f"{folder}: {message}: 00000.png, 00002.png; copy the clip's images again"
    (problem,) = AFEWVA(root).describe()["problems"]
    assert problem["subject"] == "Ann Lee"


def test_everything_wrong_is_listed_together(root):
    (root / "02/051/051.json").write_text("{")
    (root / "01/001/00000.png").write_bytes(b"")
    edit(root / "01/017/017.json", in_frames("00000", valence=50, arousal=50))
    (root / "01/017/00002.png").unlink()
    edit(root / "01/002/002.json", in_frames("00000", landmarks=[]))
    with pytest.raises(InputError) as caught:
        AFEWVA(root).check()
    lines = [line.removeprefix(f"{root}/").partition(" ")[0] for line in str(caught.value).splitlines()]
    assert lines == [
        "02/051/051.json:",
        "01/001:",
        "01/017/017.json:",
        "01/017/017.json:",
        "01/017:",
        "01/002/002.json:",
    ]
