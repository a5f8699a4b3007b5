"""Stimulus folders: clips by name or by table, all faults at once, and a reader that satisfies the contract."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from keras_emotion import cli
from keras_emotion.datasets import SAM40, StimulusFolder, with_stimuli
from keras_emotion.datasets.stimuli import clip_facts, silent_seconds, write_first_stimuli
from keras_emotion.schema import Clip, InputError
from keras_emotion.synthetic import write_deap, write_sam40
from keras_emotion.synthetic.stimuli import SAMPLING_RATE_HZ, write_clip
from keras_emotion.testing import check_reader
from tests.conftest import MemoryReader

SIZE = (32, 32)


def write(path, seconds, sound_seconds=None, amplitude=0.1):
    """A clip of grey pictures and a tone; of 0 s: without that track."""
    frames = (np.full((*SIZE, 3), 128, np.uint8) for _ in range(round(seconds * 4)))
    sound_seconds = seconds if sound_seconds is None else sound_seconds
    tone = amplitude * np.sin(np.arange(round(sound_seconds * SAMPLING_RATE_HZ)) * 0.3)
    write_clip(path, frames, tone.astype(np.float32) if sound_seconds else None, 4.0, SIZE)
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Six clips of 12 s, as long as the trials of `MemoryReader`."""
    folder = tmp_path_factory.mktemp("clips")
    write(folder / "1.mp4", 12)
    for number in range(2, 7):
        shutil.copy(folder / "1.mp4", folder / f"{number}.mp4")
    return folder


@pytest.fixture
def folder(clips, tmp_path):
    """Clips, for tests that damage them."""
    return shutil.copytree(clips, tmp_path / "clips")


@pytest.fixture
def dataset(tmp_path):
    class Described(MemoryReader):
        def inspect(self, subject):
            trials = [
                {"stimulus": trial.stimulus, "duration_seconds": trial.duration_seconds, "trial": trial.trial}
                for trial in self.trials([subject])
            ]
            return type(super().inspect(subject))({"subject": subject, "trials": trials}, ())

        def reopened(self, root=None):
            return Described(root or self.root, n_trials=6)

        def stimulus_starts(self):
            return {"1": 3.0, "2": 3.0}

    return Described(tmp_path, n_trials=6)


def test_a_clip_for_each_trial(folder, dataset):
    trials = list(with_stimuli(dataset, folder).trials([2]))
    assert [trial.media for trial in trials] == [Clip(folder / f"{n}.mp4", 0.0, 12.0) for n in range(1, 7)]
    (folder / "stimuli.csv").write_text("stimulus,file,start_seconds,stop_seconds\n1,2.mp4,1.5,\n2,2.mp4,2,8\n")
    media = [trial.media for trial in with_stimuli(dataset, folder).trials([1])]
    assert media == [Clip(folder / "2.mp4", 1.5, 13.5), Clip(folder / "2.mp4", 2.0, 8.0), *[None] * 4]


@pytest.mark.parametrize(
    ("seconds", "sound_seconds", "found"),
    [(2, None, (2.0, 2.0)), (2, 0, (2.0, None)), (0, 2, (None, 2.0)), (2, 1, (2.0, 1.0))],
)
def test_lengths_of_tracks(tmp_path, seconds, sound_seconds, found):
    facts = clip_facts(write(tmp_path / "a.mp4", seconds, sound_seconds))
    lengths = facts.picture_seconds, facts.sound_seconds
    # A frame of AAC is 64 ms.
    assert all(one is other is None or abs(one - other) <= 0.064 for one, other in zip(lengths, found, strict=True))


def test_relative_path_with_a_colon(clips, tmp_path, monkeypatch):
    shutil.copy(clips / "1.mp4", tmp_path / "take:2.mp4")
    monkeypatch.chdir(tmp_path)
    assert clip_facts(Path("take:2.mp4")) == clip_facts(clips / "1.mp4")


def break_missing(folder):
    (folder / "2.mp4").unlink()
    return "missing clip of stimulus 2; expected 2.mp4", True


def break_short(folder):
    write(folder / "2.mp4", 11)
    return "2.mp4: shorter than the trial: picture of 11.00 s, sound of 11.0", True


def break_short_sound(folder):
    write(folder / "2.mp4", 12, 6)
    return "2.mp4: shorter than the trial: sound of 6.", True


def break_no_sound(folder):
    write(folder / "2.mp4", 12, 0)
    return "2.mp4: no audio track; expected a clip with audio", "sound"


def break_no_picture(folder):
    write(folder / "2.mp4", 0, 12)
    return "2.mp4: no video track; expected a video", "picture"


def break_silent(folder):
    write(folder / "2.mp4", 12, 12, amplitude=0.0)
    return "2.mp4: silent throughout", None


def break_unreadable(folder):
    (folder / "2.mp4").write_bytes((folder / "2.mp4").read_bytes()[:2000])
    return "2.mp4: unreadable (", True


def break_empty(folder):
    (folder / "2.mp4").write_bytes(b"")
    return "2.mp4: empty file; expected a video or sound file; copy it again", True


def break_two_files(folder):
    shutil.copy(folder / "2.mp4", folder / "2.MKV")
    return "2 files of stimulus 2: 2.MKV, 2.mp4; expected one", True


def with_table(folder, change):
    rows = [f"{number},{number}.mp4,," for number in range(1, 7)]
    change(rows)
    (folder / "stimuli.csv").write_text("\n".join(["stimulus,file,start_seconds,stop_seconds", *rows]) + "\n")


TABLES = {
    "no stimulus": (
        lambda rows: rows.append(",1.mp4,,"),
        "stimuli.csv: line 8: stimulus is empty; expected its id",
        True,
    ),
    "unknown": (
        lambda rows: rows.append("77,1.mp4,,"),
        "stimuli.csv: line 8: stimulus 77 is not in the dataset, which has 1, 2, 3, 4, 5, ...",
        None,
    ),
    "twice": (lambda rows: rows.append("2,1.mp4,,"), "stimuli.csv: line 8: duplicate stimulus 2, also in line 3", True),
    "no row": (lambda rows: rows.pop(1), "stimuli.csv: missing clip of stimulus 2; expected a row with its file", True),
    "no file": (lambda rows: rows.__setitem__(1, "2,,,"), "stimuli.csv: line 3: file of stimulus 2 is empty", True),
    "lost file": (
        lambda rows: rows.__setitem__(1, "2,x.mp4,,"),
        "x.mp4: no such file; expected the clip of stimulus 2; it is in line 3 of stimuli.csv",
        True,
    ),
    "words": (lambda rows: rows.__setitem__(1, "2,2.mp4,x,"), "line 3: start_seconds is 'x'; expected seconds", True),
    "order": (
        lambda rows: rows.__setitem__(1, "2,2.mp4,5,4"),
        "line 3: start_seconds is 5 and stop_seconds 4; expected a start of 0 or more and a later stop",
        True,
    ),
    "late": (
        lambda rows: rows.__setitem__(1, "2,2.mp4,1,"),
        "2.mp4: shorter than the trial: picture of 11.00 s, sound of 11.",
        True,
    ),
    "cut": (
        lambda rows: rows.__setitem__(1, "2,2.mp4,0,9"),
        "2.mp4: shorter than the trial: clip of 9.00 s from 0 s on; expected the 12 s of stimulus 2; it is in line 3",
        True,
    ),
}
BREAKS = {name.removeprefix("break_"): function for name, function in globals().items() if name.startswith("break_")}


def problems_of(reader):
    return [f"{one['file']}: {one['message']}" for one in reader.describe()["problems"]]


@pytest.mark.parametrize("fault", [*BREAKS, *TABLES])
def test_faults(folder, dataset, fault):
    assert not problems_of(with_stimuli(dataset, folder))
    if fault in BREAKS:
        message, blocks = BREAKS[fault](folder)
    else:
        change, message, blocks = TABLES[fault]
        with_table(folder, change)
    reader = with_stimuli(dataset, folder)
    assert any(message in problem for problem in problems_of(reader))
    for track in ("picture", "sound"):
        wanted = reader.for_sources(("media", "recording", track))
        if (blocks is True and not (fault == "short_sound" and track == "picture")) or blocks == track:
            with pytest.raises(InputError) as error:
                wanted.check()
            assert message in str(error.value)
        else:
            wanted.check()
    # Runs that read no stimuli are not blocked by them.
    reader.for_sources(("recording",)).check()


def test_all_faults_at_once(folder, dataset):
    (folder / "1.mp4").unlink()
    break_short(folder)
    for name in ("3.mp4", "4.mp4"):
        (folder / name).write_bytes(b"none")
    shutil.copy(folder / "5.mp4", folder / "5.avi")
    with pytest.raises(InputError) as error:
        with_stimuli(dataset, folder).for_sources(("media",)).check()
    lines = str(error.value).splitlines()
    for place in ("5.avi, 5.mp4", "stimulus 1", "2.mp4", "3.mp4", "4.mp4"):
        assert sum(place in line for line in lines) == 1, (place, lines)


def test_folders_that_cannot_be_used(tmp_path, dataset):
    with pytest.raises(InputError, match="no such folder; expected a folder of stimuli"):
        with_stimuli(dataset, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no clips; expected one file per stimulus"):
        StimulusFolder.read(tmp_path / "empty")
    (tmp_path / "empty" / "stimuli.csv").write_text("stimulus;file\n1;1.mp4\n")
    with pytest.raises(InputError, match=r"stimuli.csv: missing column stimulus, file; found stimulus;file"):
        StimulusFolder.read(tmp_path / "empty")


def test_the_reader_keeps_the_contract(tmp_path):
    reader = SAM40(write_sam40(tmp_path / "sam40", n_subjects=1))
    stimuli = sorted({trial.stimulus for trial in reader.trials()})
    (tmp_path / "clips").mkdir()
    first = write(tmp_path / "clips" / f"{stimuli[0]}.mp4", 25.5)
    for stimulus in stimuli[1:]:
        shutil.copy(first, first.with_name(f"{stimulus}.mp4"))
    check_reader(with_stimuli(reader, tmp_path / "clips"), skip=("damaged_files",))


def test_readers_travel(folder, dataset):
    reader = with_stimuli(SAM40(write_sam40(folder / "sam40", n_subjects=1)), folder)
    copy = pickle.loads(pickle.dumps(reader))
    assert copy.media_files(1) == reader.media_files(1) == tuple(folder / f"{number}.mp4" for number in range(1, 7))
    assert (reader.name, reader.stimuli, reader.synthetic) == ("sam40", folder, True)
    assert reader.files_of(1, ("recording",)) == reader.source_files(1)
    assert type(reader.for_sources(("recording",))) is SAM40


def test_silence_is_counted_in_seconds(tmp_path):
    sound = 0.1 * np.sin(np.arange(8 * SAMPLING_RATE_HZ) * 0.3).astype(np.float32)
    sound[2 * SAMPLING_RATE_HZ : 5 * SAMPLING_RATE_HZ] = 0
    write_clip(tmp_path / "a.mp4", iter(()), sound, 4.0, SIZE)
    # Encoding smears the edges of audio over the adjacent seconds.
    assert silent_seconds(Clip(tmp_path / "a.mp4")) in (2, 3)
    assert silent_seconds(Clip(tmp_path / "a.mp4", 5.0, 8.0)) == 0


def test_a_first_table(folder, dataset):
    write(folder / "1.mp4", 30)
    write(folder / "3.mp4", 28)
    (folder / "4.mp4").write_bytes(b"none")
    (folder / "5.mp4").rename(folder / "five.mp4")
    written = write_first_stimuli(folder, dataset)
    assert (written.cut, written.without_start, written.without_file) == (("1",), ("3",), ("5",))
    assert [path.name for path in written.not_used] == ["five.mp4"]
    assert "4.mp4: unreadable" in written.faults[0]
    assert (folder / "stimuli.csv").read_text().splitlines() == [
        "stimulus,file,start_seconds,stop_seconds",
        "1,1.mp4,3,15",
        "2,2.mp4,,",
        "3,3.mp4,,",
        "4,4.mp4,,",
        "5,,,",
        "6,6.mp4,,",
    ]
    with pytest.raises(InputError, match="file exists"):
        write_first_stimuli(folder, dataset)


def test_commands(tmp_path, capsys):
    deap = write_deap(tmp_path / "deap", n_subjects=1, n_trials=1, stimuli=True)
    clips = deap / "stimuli"
    arguments = ["describe", str(deap), "--dataset", "deap", "--stimuli", str(clips)]
    assert cli.main([*arguments, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["stimuli"]
    assert (row["stimulus"], row["trial_seconds"]) == ("1", 60)
    assert row["sound_seconds"] >= 60
    (clips / "1.mp4").rename(clips / "one.mp4")
    assert cli.main([*arguments, "--brief"]) == 1
    assert "missing clip of stimulus 1" in capsys.readouterr().out
    write(clips / "1.mp4", 80)
    assert cli.main(["init-stimuli", str(clips), "--dataset", "deap", "--data-root", str(deap)]) == 0
    printed = capsys.readouterr().out
    assert "start and stop from the dataset: stimulus 1" in printed
    assert "not used, no stimulus of this name: one.mp4" in printed
    # `Highlight_start` of the synthetic video list.
    assert (clips / "stimuli.csv").read_text().splitlines()[1:] == ["1,1.mp4,17,77"]
