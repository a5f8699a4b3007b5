"""Writer of synthetic AFEW-VA clips: the format, and the relation of faces and scores."""

import filecmp
import json

import cv2
import numpy as np
import pytest

from keras_emotion import cli
from keras_emotion.datasets import READERS
from keras_emotion.synthetic import write_afew_va

SMALL = {"frame_size": (96, 80)}


def annotations_of(root):
    return {path.stem: json.loads(path.read_text()) for path in sorted(root.rglob("*.json")) if path.parent != root}


def shown(clip):
    """Height of the corners of the mouth above the middle of the lips, and of the brows above the eyes."""
    points = np.array([frame["landmarks"] for frame in clip["frames"].values()])
    across = points[:, 45] - points[:, 36]
    width = np.linalg.norm(across, axis=1)
    down = np.stack([-across[:, 1], across[:, 0]], axis=1) / width[:, None]

    def height(upper, lower):
        difference = points[:, lower].mean(axis=1) - points[:, upper].mean(axis=1)
        return (difference * down).sum(axis=1) / width

    return height([48, 54], [51, 57]), height(list(range(17, 27)), [36, 39, 42, 45])


def scores(clip, name):
    return np.array([frame[name] for frame in clip["frames"].values()])


def correlation(root):
    """Correlation of the face with the scores of valence and arousal, with actors removed."""
    clips = annotations_of(root)
    by_actor = {}
    for clip in clips.values():
        by_actor.setdefault(clip["actor"], []).append(clip)
    pairs = []
    for own in by_actor.values():
        both = [np.concatenate([shown(clip)[index] for clip in own]) for index in (0, 1)]
        rated = [np.concatenate([scores(clip, name) for clip in own]) for name in ("valence", "arousal")]
        pairs.append([[column - column.mean() for column in side] for side in (both, rated)])
    return [
        np.corrcoef(*(np.concatenate([pair[side][index] for pair in pairs]) for side in (0, 1)))[0, 1]
        for index in (0, 1)
    ]


def test_format(tmp_path):
    root = write_afew_va(tmp_path / "out", n_clips=3, n_actors=2, frames_per_clip=(10, 14), **SMALL)
    assert sorted(path.name for path in root.iterdir()) == ["01", "synthetic.json"]
    assert sorted(path.name for path in (root / "01").iterdir()) == ["001", "002", "003"]
    clips = annotations_of(root)
    assert [clips[name]["actor"] for name in ("001", "002", "003")] == ["actor_01", "actor_02", "actor_01"]
    for name, clip in clips.items():
        assert list(clip) == ["actor", "frames", "video_id"]
        assert clip["video_id"] == name
        assert 10 <= len(clip["frames"]) <= 14
        assert list(clip["frames"]) == [f"{index:05d}" for index in range(len(clip["frames"]))]
        folder = root / "01" / name
        assert sorted(path.name for path in folder.glob("*.png")) == [f"{frame}.png" for frame in clip["frames"]]
        image = cv2.imread(str(folder / "00000.png"))
        assert image.shape == (80, 96, 3)
        for frame in clip["frames"].values():
            assert set(frame) == {"landmarks", "valence", "arousal"}
            assert all(type(frame[score]) is int and -10 <= frame[score] <= 10 for score in ("valence", "arousal"))
            points = np.array(frame["landmarks"])
            assert points.shape == (68, 2)
            assert ((points > 0) & (points < [96, 80])).all()
    reader = READERS["afew_va"](root)
    assert reader.synthetic
    assert reader.describe()["problems"] == []
    assert len(list(reader.trials())) == 3


def test_the_51st_clip_is_in_the_second_group(tmp_path):
    root = write_afew_va(tmp_path, n_clips=51, n_actors=1, frames_per_clip=1, frame_size=(32, 32))
    assert (root / "01" / "050" / "050.json").is_file()
    assert (root / "02" / "051" / "00000.png").is_file()


def test_layouts_and_numbers_of_clips_give_the_same_frames(tmp_path):
    options = {"frames_per_clip": 3, "n_actors": 2, **SMALL}
    grouped = write_afew_va(tmp_path / "grouped", n_clips=2, **options)
    flat = write_afew_va(tmp_path / "flat", n_clips=3, layout="flat", **options)
    seed = write_afew_va(tmp_path / "seed", n_clips=1, seed=1, **options)
    for name in ("001/00002.png", "002/00000.png", "002/002.json"):
        assert filecmp.cmp(grouped / "01" / name, flat / name, shallow=False)
    assert not filecmp.cmp(seed / "01/001/00000.png", flat / "001/00000.png", shallow=False)


def test_frames_follow_scores_by_the_effect(tmp_path):
    options = {"n_clips": 40, "n_actors": 4, "frames_per_clip": 6, "frame_size": (48, 40), "layout": "flat"}
    following = write_afew_va(tmp_path / "following", **options)
    independent = write_afew_va(tmp_path / "independent", effect_size=0, **options)
    assert min(correlation(following)) > 0.75
    assert np.abs(correlation(independent)).max() < 0.45
    clips, others = annotations_of(following), annotations_of(independent)
    for name in ("valence", "arousal"):
        rated = np.stack([scores(clip, name) for clip in clips.values()])
        assert rated.std() > 3
        assert (np.abs(np.diff(rated)) <= 2).all()
        # Scores are the same, and faces move equally.
        assert (rated == np.stack([scores(clip, name) for clip in others.values()])).all()
    moved = [np.mean([shown(clip)[0].std() for clip in group.values()]) for group in (clips, others)]
    assert 0.6 < moved[0] / moved[1] < 1.6


def test_landmarks_are_those_of_the_frame(tmp_path):
    """Dark pupils: the darkest place of each eye lies between its points."""
    root = write_afew_va(tmp_path, n_clips=4, n_actors=4, frames_per_clip=1, frame_size=(360, 288), layout="flat")
    for name, clip in annotations_of(root).items():
        image = cv2.imread(str(root / name / "00000.png"), cv2.IMREAD_GRAYSCALE).astype(np.float32)
        image = cv2.GaussianBlur(image, (0, 0), 2)
        points = np.array(clip["frames"]["00000"]["landmarks"])
        for eye in (points[36:42], points[42:48]):
            (left, top), (right, bottom) = np.floor(eye.min(axis=0)).astype(int), np.ceil(eye.max(axis=0)).astype(int)
            piece = image[top : bottom + 1, left : right + 1]
            row, column = np.unravel_index(piece.argmin(), piece.shape)
            place = np.array([left + column, top + row])
            assert np.abs(place - eye.mean(axis=0)).max() < 0.4 * (right - left)
            assert piece.min() < 0.75 * image[bottom + 8 : bottom + 14, left:right].mean()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_clips": 0}, "`n_clips` is 0"),
        ({"n_clips": 601}, "`n_clips` is 601"),
        ({"n_actors": 0}, "`n_actors` is 0"),
        ({"frames_per_clip": 0}, "`frames_per_clip` is 0"),
        ({"frames_per_clip": (9, 3)}, "`frames_per_clip` is"),
        ({"effect_size": 1.5}, "`effect_size` is 1.5"),
        ({"layout": "zip"}, "`layout` is 'zip'"),
        ({"frame_size": (16, 100)}, "`frame_size` is"),
    ],
)
def test_bad_arguments(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        write_afew_va(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_command_line(tmp_path, capsys):
    words = [
        "synthesize",
        "afew_va",
        str(tmp_path / "out"),
        "--clips",
        "2",
        "--actors",
        "1",
        "--frames-per-clip",
        "2",
        "2",
    ]
    words += ["--seed", "4", "--effect-size", "0.5", "--layout", "flat", "--frame-size", "48", "32"]
    assert cli.main(words) == 0
    marker = json.loads((tmp_path / "out" / "synthetic.json").read_text())
    assert marker | {"written_by": None} == {
        "written_by": None,
        "dataset": "afew_va",
        "n_clips": 2,
        "n_actors": 1,
        "frames_per_clip": [2, 2],
        "seed": 4,
        "effect_size": 0.5,
        "layout": "flat",
        "frame_size": [48, 32],
    }
    assert len(list((tmp_path / "out" / "002").iterdir())) == 3
    with pytest.raises(SystemExit, match="2"):
        cli.main(["synthesize", "afew_va", str(tmp_path / "other"), "--effect-size", "2"])
    assert "--effect-size 2.0: expected 0 to 1" in capsys.readouterr().err
