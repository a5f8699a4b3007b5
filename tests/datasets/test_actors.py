"""Readers of actors' utterances, RAVDESS and CREMA-D: file names, missing media, faults."""

import json
import re
import shutil

import pytest

from keras_emotion.datasets import CREMAD, RAVDESS, READERS
from keras_emotion.datasets.crema_d import FACTS as CREMA_D_FACTS
from keras_emotion.datasets.ravdess import FACTS as RAVDESS_FACTS
from keras_emotion.schema import Clip, InputError
from keras_emotion.synthetic import write_crema_d, write_ravdess

SMALL = {"clip_seconds": 0.5, "video_size": (32, 32), "video_frame_rate_hz": 10.0}


@pytest.fixture(scope="module")
def ravdess(tmp_path_factory):
    """Two actors, three emotions, one sentence, one repetition: five utterances each, with audio and video."""
    return write_ravdess(tmp_path_factory.mktemp("ravdess"), 2, n_emotions=3, n_statements=1, **SMALL)


@pytest.fixture(scope="module")
def crema_d(tmp_path_factory):
    """Two actors, two emotions, two sentences: eight utterances each, with audio and video."""
    return write_crema_d(tmp_path_factory.mktemp("crema_d"), 2, n_emotions=2, n_sentences=2, **SMALL)


@pytest.fixture
def copy(tmp_path):
    def of(root):
        return shutil.copytree(root, tmp_path / "copy")

    return of


def test_ravdess(ravdess):
    dataset = RAVDESS(ravdess)
    assert (dataset.file_format, dataset.subjects, dataset.synthetic) == ("audio_video", (1, 2), True)
    assert dataset.genders() == {1: "male", 2: "female"}
    trials = list(dataset.trials([2]))
    stimuli = ["01-01-01-01-01-02", "01-02-01-01-01-02", "01-02-02-01-01-02", "01-03-01-01-01-02", "01-03-02-01-01-02"]
    assert [trial.stimulus for trial in trials] == stimuli
    # Four of neutral, eight of each further emotion.
    assert [trial.trial for trial in trials] == [1, 5, 9, 13, 17]
    names = RAVDESS.class_names
    told = [[names[name][int(trial.ratings[name])] for name in ("emotion", "intensity")] for trial in trials]
    assert told == [
        ["neutral", "normal"],
        *([emotion, one] for emotion in ("calm", "happy") for one in names["intensity"]),
    ]
    for trial in trials:
        assert (trial.dataset, trial.subject, trial.recording, trial.eeg_channel_names) == ("ravdess", 2, None, ())
        assert trial.video == ravdess / "Actor_02" / f"01-{trial.stimulus}.mp4"
        assert trial.voice.path == ravdess / "Actor_02" / f"03-{trial.stimulus}.wav"
        assert 0.5 <= trial.duration_seconds == trial.video_seconds <= 0.6
        assert trial.voice.duration_seconds == pytest.approx(trial.video_seconds)
    assert {path.suffix for path in dataset.voice_files(1)} == {".wav"}
    assert {path.suffix for path in dataset.video_files(1)} == {".mp4"}
    assert set(dataset.source_files(1)) == {*dataset.voice_files(1), *dataset.video_files(1)}


def test_crema_d(crema_d):
    dataset = CREMAD(crema_d)
    assert (dataset.file_format, dataset.subjects) == ("audio_video", (1001, 1002))
    assert dataset.genders() == {1001: "male", 1002: "female"}
    trials = list(dataset.trials([1001]))
    first = [f"1001_IEO_{emotion}_{level}" for emotion in ("ANG", "DIS") for level in ("LO", "MD", "HI")]
    assert [trial.stimulus for trial in trials] == [*first, "1001_TIE_ANG_XX", "1001_TIE_DIS_XX"]
    # The first sentence has sixteen utterances.
    assert [trial.trial for trial in trials] == [1, 2, 3, 4, 5, 6, 17, 18]
    assert [trial.ratings.get("intensity") for trial in trials] == [0, 1, 2, 0, 1, 2, None, None]
    assert [trial.ratings["emotion"] for trial in trials] == [0, 0, 0, 1, 1, 1, 0, 1]
    table = (crema_d / "processedResults" / "summaryTable.csv").read_text().splitlines()[1:]
    votes = {row.split(",")[1].strip('"'): row.split(",")[6].strip('"') for row in table}
    letters = dict(zip("ADFHNS", map(float, range(6)), strict=True))
    found = {trial.stimulus: trial.ratings.get("perceived_emotion") for trial in dataset.trials()}
    # A tie is not a rating.
    assert found == {name: letters.get(vote) for name, vote in votes.items()}
    assert None in found.values()
    assert crema_d / "processedResults" / "summaryTable.csv" in dataset.source_files(1002)
    assert trials[0].video == crema_d / "VideoFlash" / "1001_IEO_ANG_LO.flv"
    assert trials[0].voice.path == crema_d / "AudioWAV" / "1001_IEO_ANG_LO.wav"


@pytest.mark.parametrize("reader", [RAVDESS, CREMAD])
def test_sound_or_picture_alone(reader, ravdess, crema_d, tmp_path):
    root = {RAVDESS: ravdess, CREMAD: crema_d}[reader]
    for trial in reader(root, file_format="audio").trials():
        assert (trial.video, trial.duration_seconds) == (None, trial.voice.duration_seconds)
    for trial in reader(root, file_format="video").trials():
        assert (trial.voice, trial.duration_seconds) == (None, trial.video_seconds)
    shutil.copytree(root, tmp_path / "sound", ignore=shutil.ignore_patterns("*.mp4", "*.flv"))
    assert reader(tmp_path / "sound").file_format == "audio"
    # The audio of a video replaces a missing audio file.
    shutil.copytree(root, tmp_path / "picture", ignore=shutil.ignore_patterns("*.wav"))
    trial = next(reader(tmp_path / "picture").trials())
    assert isinstance(trial.voice, Clip)
    assert trial.voice.path == trial.video
    assert READERS[reader.name] is reader


@pytest.mark.parametrize("layout", ["archives", "flat"])
def test_layouts_of_ravdess(ravdess, tmp_path, layout):
    write_ravdess(tmp_path, 2, n_emotions=3, n_statements=1, layout=layout, **SMALL)
    expected = [(trial.stimulus, trial.ratings) for trial in RAVDESS(ravdess).trials()]
    assert [(trial.stimulus, trial.ratings) for trial in RAVDESS(tmp_path).trials()] == expected
    assert RAVDESS(tmp_path).describe()["problems"] == []


def test_songs(tmp_path):
    write_ravdess(tmp_path, 1, n_emotions=2, n_statements=1, song=True, files=("audio",), **SMALL)
    both = list(RAVDESS(tmp_path).trials())
    assert [trial.trial for trial in both] == [1, 5, 9, 61, 65, 69]
    for channel, expected in (("speech", both[:3]), ("song", both[3:])):
        dataset = RAVDESS(tmp_path, vocal_channel=channel)
        assert [trial.stimulus for trial in dataset.trials()] == [trial.stimulus for trial in expected]
        assert f"only {channel} is read" in dataset.notes()
        assert dataset.options == {"vocal_channel": channel}
    with pytest.raises(ValueError, match="`vocal_channel` is 'shout'"):
        RAVDESS(tmp_path, vocal_channel="shout")


def test_pictures_without_sound_are_read(ravdess, copy):
    root = copy(ravdess)
    for path in root.rglob("*.wav"):
        path.unlink()
    for path in root.rglob("01-*.mp4"):
        path.rename(path.with_name(f"02{path.name[2:]}"))
    dataset = RAVDESS(root)
    assert dataset.file_format == "video"
    assert all(trial.voice is None and trial.video.name.startswith("02-") for trial in dataset.trials())


def test_counts_of_the_real_datasets():
    expected = {actor: RAVDESS._expected(_Any(), actor) for actor in (1, 18)}
    assert [len(expected[actor]) for actor in (1, 18)] == [104, 60]
    # 24 actors speak and 23 sing, three files each.
    counts = RAVDESS_FACTS["n_utterances"]
    assert 3 * (24 * counts["speech"] + 23 * counts["song"]) == 3 * (23 * 104 + 60) == RAVDESS_FACTS["n_files"] == 7356
    names = [name for actor in range(1001, 1092) for name in CREMAD._expected(_Any(), actor).values()]
    assert len(set(names)) == len(names) == CREMA_D_FACTS["n_utterances"] == 7442
    assert "1076_ITS_NEU_XX" not in names
    assert "1091_WSI_SAD_XX" in names
    assert len(CREMA_D_FACTS["missing"]) == 91 * 82 - 7442


class _Any:
    vocal_channel = "both"

    def _is_read(self, channel):
        return True


# --- what is wrong


def test_missing_files_are_described(ravdess, crema_d, copy, tmp_path):
    root = copy(ravdess)
    (root / "synthetic.json").unlink()
    (root / "Actor_02" / "01-01-01-01-01-01-02.mp4").unlink()
    dataset = RAVDESS(root)
    dataset.check()
    messages = [problem["message"] for problem in dataset.describe()["problems"]]
    assert messages[0].startswith("no files of actor 3, 4, 5, 6, 7, 8, 9, 10 and 14 more")
    assert messages[1].startswith("actor 1: 99 utterances are missing: 01-01-01-01-02-01,")
    assert messages[3] == "actor 2: 1 utterances without picture: 01-01-01-01-01-02"
    shutil.copytree(crema_d, tmp_path / "other")
    (tmp_path / "other" / "synthetic.json").unlink()
    messages = [problem["message"] for problem in CREMAD(tmp_path / "other").describe()["problems"]]
    # Of actor 1002, 81 exist.
    assert messages[1].startswith("actor 1001: 74 utterances are missing")
    assert messages[2].startswith("actor 1002: 73 utterances are missing")


def test_an_utterance_that_is_there_twice(ravdess, copy):
    root = copy(ravdess)
    double = root / "again" / "03-01-01-01-01-01-01.wav"
    double.parent.mkdir()
    shutil.copy(root / "Actor_01" / double.name, double)
    dataset = RAVDESS(root)
    dataset.check()
    assert len(list(dataset.trials([1]))) == 5
    (problem,) = dataset.describe()["problems"]
    assert (problem["file"], problem["message"]) == (
        str(double),
        "duplicate utterance; the first file is read",
    )


def test_damaged_files_of_crema_d_are_not_read(crema_d, copy):
    root = copy(crema_d)
    for folder, suffix in (("AudioWAV", "wav"), ("VideoFlash", "flv")):
        source = root / folder / f"1001_IEO_ANG_MD.{suffix}"
        shutil.copy(source, root / folder / f"1064_IEO_DIS_MD.{suffix}")
        shutil.copy(source, root / folder / f"1076_MTI_SAD_XX.{suffix}")
        shutil.copy(source, root / folder / f"1076_TIE_SAD_XX.{suffix}")
    dataset = CREMAD(root)
    (trial,) = dataset.trials([1064])
    assert (trial.video, trial.voice.path.name) == (None, "1064_IEO_DIS_MD.wav")
    assert [trial.stimulus for trial in dataset.trials([1076])] == ["1076_TIE_SAD_XX"]
    assert dataset.notes()[1] == (
        "damaged in the dataset itself, skipped: 1064_IEO_DIS_MD.flv, 1076_MTI_SAD_XX.wav, 1076_MTI_SAD_XX.flv"
    )
    assert not any("1076_MTI" in path.name for path in dataset.source_files(1076))


def test_older_name_and_converted_files(crema_d, tmp_path):
    source = next((crema_d / "AudioWAV").iterdir())
    shutil.copy(source, tmp_path / "1040_ITH_SAD_X.wav")
    shutil.copy(next((crema_d / "VideoFlash").iterdir()), tmp_path / "1040_itH_sad_xx.FLV")
    (trial,) = CREMAD(tmp_path).trials()
    assert trial.stimulus == "1040_ITH_SAD_XX"
    assert (trial.voice.path.name, trial.video.name) == ("1040_ITH_SAD_X.wav", "1040_itH_sad_xx.FLV")


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:c6f9\nsize 72\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("AudioWAV/1001_IEO_ANG_MD.wav", POINTER, "Git LFS pointer; expected the file itself"),
        ("VideoFlash/1001_IEO_ANG_MD.flv", POINTER, "Git LFS pointer; expected the file itself"),
        ("AudioWAV/1001_IEO_ANG_MD.wav", b"", "empty"),
        ("VideoFlash/1001_IEO_ANG_MD.flv", b"FLV", "unreadable video"),
        (
            "processedResults/summaryTable.csv",
            b'"FileName","MultiModalVote"\n"a","Q"\n',
            "line 2: MultiModalVote is 'Q'",
        ),
        (
            "processedResults/summaryTable.csv",
            b'"FileName"\n"a"\n',
            "expected a csv with the columns FileName, Multi",
        ),
    ],
)
def test_broken_files(crema_d, copy, name, content, message):
    root = copy(crema_d)
    (root / name).write_bytes(content)
    dataset = CREMAD(root)
    with pytest.raises(InputError, match=f"^{re.escape(str(root / name))}: .*{message}") as caught:
        dataset.check([1001])
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=message):
        list(dataset.trials([1001]))
    assert message in json.dumps(dataset.describe()["problems"])


@pytest.mark.parametrize("reader", [RAVDESS, CREMAD])
def test_nothing_there(reader, ravdess, tmp_path):
    with pytest.raises(InputError, match=f"no files named like {reader.example}; expected the folder"):
        reader(tmp_path)
    # Audio with the modality code of video, and an emotion that is not sung.
    for name in (
        "01-01-06-01-02-01-12.wav",
        "03-02-08-01-02-01-12.wav",
        "03-01-01-02-01-01-01.wav",
        "1001_IEO_ANG_XX.wav",
    ):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match="no files named like"):
        reader(tmp_path)
    with pytest.raises(ValueError, match="`file_format` is 'mp4'"):
        reader(ravdess, file_format="mp4")


def test_without_tables_nothing_is_known_of_listeners_and_gender(crema_d, tmp_path):
    shutil.copytree(crema_d / "AudioWAV", tmp_path / "AudioWAV")
    dataset = CREMAD(tmp_path)
    assert dataset.genders() == {}
    assert not any("perceived_emotion" in trial.ratings for trial in dataset.trials())
    assert "summaryTable.csv missing: perceived emotions are not read" in dataset.notes()
