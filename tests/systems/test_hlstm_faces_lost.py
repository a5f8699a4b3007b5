"""Segments without faces: dropped, and counted in a dry run, in `finished.json` and in the report."""

import dataclasses

import pytest

from keras_emotion import faces
from keras_emotion.experiment import Runtime, estimate, left_out, prepare, run
from keras_emotion.pipelines import EEGImages, FaceFeatures
from keras_emotion.reports import build_report
from keras_emotion.schema import InputError
from keras_emotion.systems.hlstm import HLSTMExperiment, HLSTMSystem
from keras_emotion.systems.mind_reader import MindReader, MindReaderExperiment
from tests.middle_faces import RATE, MiddleDetector, write_video

SECONDS = 12


@pytest.fixture
def reader(memory_reader, tmp_path, monkeypatch):
    """Eight trials of 12 s: one without a video, one with a short video, one in which the face is lost twice."""
    lost = {4: [(4.5, 7.5), (10.0, 10.5)]}
    videos = {}
    for trial in range(1, 9):
        if trial == 2:
            continue
        times = [frame / RATE for frame in range(RATE * SECONDS)]
        levels = [0 if any(a <= time < b for a, b in lost.get(trial, ())) else 200 for time in times]
        n_frames = round(7.3 * RATE) if trial == 3 else len(levels)
        videos[trial] = write_video(tmp_path / f"{trial}.avi", levels[:n_frames])

    class WithVideos(memory_reader):
        def video_files(self, subject):
            return tuple(videos.values())

        def trials(self, subjects=None):
            for trial in super().trials(subjects):
                yield dataclasses.replace(trial, video=videos.get(trial.trial))

    monkeypatch.setattr(faces, "make_detector", lambda *arguments: MiddleDetector())
    return WithVideos(tmp_path, n_subjects=1, n_trials=8, seconds=SECONDS)


def experiments(tmp_path):
    fields = {
        "name": "test",
        "dataset": "memory",
        "targets": ("valence",),
        "protocols": ("trial_disjoint",),
        "runtime": Runtime(workers=1, feature_store=tmp_path / "store"),
    }
    crops = FaceFeatures(image_size=16)
    system = HLSTMSystem(images=EEGImages(window_seconds=2.0), faces=crops)
    in_step = crops.with_windowing(system.windowing)
    return (
        HLSTMExperiment(**fields, system=system),
        MindReaderExperiment(**fields, system=MindReader(window_seconds=2.0, faces=in_step)),
    )


def test_segments_without_faces_are_dropped_and_counted(reader, tmp_path):
    wanted, same_windows = experiments(tmp_path)
    # Of six segments each: all; those in which the face is more than a second away; those that end after 7.3 s. The
    # second loss is short: its frames have the faces beside them.
    counts = {
        "no face video": 6,
        "no face in the video": 2,
        f"{tmp_path / '3.avi'}: ends before the trial, at 7.2 s": 3,
    }
    line = "windows dropped: subject 1: " + ", ".join(f"{n} ({reason})" for reason, n in sorted(counts.items()))
    plan, _ = prepare(wanted, reader)
    assert left_out(plan) == [line]
    table = plan.window_set(1, "valence").table
    assert table.groupby("trial")["start_seconds"].agg(list).loc[[3, 4]].tolist() == [[0, 2, 4], [0, 2, 8, 10]]
    assert len(table) == 8 * 6 - sum(counts.values())
    folder = run(same_windows, reader, tmp_path / "run")
    assert folder.summary["dropped_windows"] == {"1": counts}
    report = build_report(folder)
    assert line in report.table.notes
    assert line in report.path.read_text()


def test_a_dry_run_refuses_what_a_run_would(reader, tmp_path):
    wanted, _ = experiments(tmp_path)
    # All of one class: nothing can be evaluated.
    plan, _ = prepare(wanted.changed({"label_rule.threshold": 8.0}), reader)
    with pytest.raises(InputError, match=r"^nothing can be evaluated:\n(.*\n)+  windows dropped: subject 1: 3 \("):
        estimate(plan)
    assert "not evaluable: valence, subject 1, trial_disjoint: " in left_out(plan)[1]
