"""The command `store`: what the feature store holds, and pruning it."""

import json
import os
import time

import numpy as np
import pandas as pd
import pytest

from keras_emotion import cli
from keras_emotion.cli.store import readable_size
from keras_emotion.experiment import RunFolder
from keras_emotion.experiment.records import STORED_FEATURES
from keras_emotion.pipelines import FeatureStore
from keras_emotion.pipelines.feature_store import SHARED_ROWS

DAY_SECONDS = 24 * 3600


def _features():
    table = pd.DataFrame({"subject": [1, 1], "trial": [1, 2], "start_seconds": [0.0, 0.0]})
    return {"eeg": np.zeros((2, 1000))}, table


def _key(subject, kind="RawSignals"):
    return {"dataset": "DEAP", "subject": subject, "features": {"kind": kind}}


@pytest.fixture
def store(tmp_path):
    """A store of three entries, 0, 10 and 100 days old; the run `known` uses the oldest, made by a network."""
    store = FeatureStore(tmp_path / "runs" / "features")
    keys = {"new": _key(1), "old": _key(2, "Other"), "oldest": {"of": _key(2, "Other"), "by": {"kind": "Network"}}}
    folders = {name: store.folder(key, _features) for name, key in keys.items()}
    for name, days in (("new", 0), ("old", 10), ("oldest", 100)):
        os.utime(folders[name], times=(time.time() - days * DAY_SECONDS,) * 2)
    run = tmp_path / "runs" / "known"
    run.mkdir()
    RunFolder(run).write_json(STORED_FEATURES, {"folders": [str(folders["oldest"])]})
    (store.root / "notes.txt").write_text("mine")
    (store.root / "sources").mkdir()
    (store.root / ("0" * 32)).mkdir()
    return store, folders


def _listed(capsys, *words):
    assert cli.main(["store", *map(str, words), "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


def test_entries_have_their_runs_sizes_and_ages(store, capsys):
    store, folders = store
    listed = _listed(capsys, store.root)
    assert [entry["path"] for entry in listed["entries"]] == [str(folders[name]) for name in ("new", "old", "oldest")]
    new, old, oldest = listed["entries"]
    assert (new["dataset"], new["subject"], new["features"], new["runs"]) == ("DEAP", 1, "RawSignals", [])
    run = str(store.root.parent / "known")
    # What a network computed features from is used by the run as well.
    assert (oldest["features"], oldest["runs"], old["runs"]) == ("Network", [run], [run])
    assert [round(entry["age_days"]) for entry in listed["entries"]] == [0, 10, 100]
    size = sum(file.stat().st_size for file in folders["new"].iterdir())
    assert new["n_bytes"] == size > 16_000
    assert listed["n_bytes"] == sum(entry["n_bytes"] for entry in listed["entries"])


def test_a_table_by_run(store, capsys):
    assert cli.main(["store", str(store[0].root)]) == 0
    out = capsys.readouterr().out
    assert any(line.split()[:4] == ["unknown", "DEAP", "RawSignals", "1"] for line in out.splitlines())
    assert any(line.split()[:3] == ["known", "DEAP", "Other"] and "10 days ago" in line for line in out.splitlines())
    assert "3 entries" in out.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "deleted"),
    [
        (["--older-than", "5"], {"old", "oldest"}),
        (["--older-than", "50"], {"oldest"}),
        (["--older-than", "0"], {"new", "old", "oldest"}),
        # Used today: a run may have computed it, and record it in a moment.
        (["--unused"], set()),
        (["--unused", "--runs", "{empty}"], {"old", "oldest"}),
        (["--unused", "--older-than", "50", "--runs", "{empty}"], {"oldest"}),
    ],
)
def test_pruning_deletes_the_chosen_entries_and_nothing_else(store, words, deleted, tmp_path, capsys):
    store, folders = store
    (tmp_path / "empty").mkdir()
    words = [store.root, "--prune", *(word.format(empty=tmp_path / "empty") for word in words)]
    others = {"notes.txt", "sources", "0" * 32, ".in-use"}
    dry = _listed(capsys, *words, "--dry-run")
    assert {entry["path"] for entry in dry["entries"]} == {str(folders[name]) for name in deleted}
    assert dry["pruned"] is False
    assert all(folder.is_dir() for folder in folders.values())
    assert _listed(capsys, *words)["entries"] == dry["entries"]
    left = {folder.name for name, folder in folders.items() if name not in deleted}
    assert {path.name for path in store.root.iterdir()} == left | others


def test_entries_that_hold_the_windows_of_others_are_used_with_them(tmp_path, capsys):
    store = FeatureStore(tmp_path / "runs" / "features")
    clip = store.folder({"clip": "hash", "features": {"kind": "MediaFrames"}}, _features)
    of_subject = _key(1, "MediaFrames")
    table = _features()[1]
    subject = store.folder(of_subject, lambda: ({SHARED_ROWS: np.zeros((2, 2), int)}, table), [clip])
    made = store.folder({"of": of_subject, "by": {"kind": "Network"}}, _features)
    for folder in (clip, subject, made):
        os.utime(folder, times=(time.time() - 10 * DAY_SECONDS,) * 2)
    run = tmp_path / "runs" / "known"
    run.mkdir()
    RunFolder(run).write_json(STORED_FEATURES, {"folders": [str(made)]})
    listed = {entry["path"]: entry["runs"] for entry in _listed(capsys, store.root)["entries"]}
    assert listed == {str(folder): [str(run)] for folder in (clip, subject, made)}
    assert _listed(capsys, store.root, "--prune", "--unused")["entries"] == []
    # Pruning by age never deletes the windows of an entry that stays.
    assert store.holds(of_subject)
    assert clip.stat().st_mtime >= subject.stat().st_mtime
    (pruned,) = _listed(capsys, store.root, "--prune", "--older-than", "5")["entries"]
    assert pruned["path"] == str(made)


def test_a_foreign_file_in_an_entry_keeps_it(store, capsys):
    store, folders = store
    (folders["old"] / "mine.txt").write_text("mine")
    os.utime(folders["old"], times=(0, 0))
    _listed(capsys, store.root, "--prune", "--older-than", "1")
    assert [name for name, folder in folders.items() if folder.is_dir()] == ["new", "old"]


def test_a_store_that_a_run_works_with_is_not_pruned(store, capsys):
    store, folders = store
    with store.in_use(), store.in_use(), pytest.raises(SystemExit) as caught:
        cli.main(["store", str(store.root), "--prune", "--older-than", "0"])
    assert caught.value.code == 2
    assert "in use by a run" in capsys.readouterr().err
    assert all(folder.is_dir() for folder in folders.values())
    assert len(_listed(capsys, store.root, "--prune", "--older-than", "0")["entries"]) == 3


def test_an_entry_that_is_looked_for_is_used(store):
    store, folders = store
    assert store.holds(_key(2, "Other"))
    assert time.time() - folders["old"].stat().st_mtime < 3600


def test_damaged_entries_are_listed_and_go_too(store, capsys):
    store, folders = store
    (folders["new"] / "windows.csv").write_text("")
    assert not store.holds(_key(1))
    capsys.readouterr()
    assert sum(entry["is_damaged"] for entry in _listed(capsys, store.root)["entries"]) == 1
    _listed(capsys, store.root, "--prune", "--older-than", "0")
    assert not list((store.root / "damaged").iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere: no such folder; expected a feature store"),
        (["{tmp}"], "not a feature store: it contains no stored features"),
        (["{tmp}", "--prune"], "--prune: expected --older-than DAYS or --unused"),
        (["{tmp}", "--unused"], "need --prune; add it"),
        (["{tmp}", "--prune", "--older-than", "-1"], "--older-than -1.0: expected a number of days, 0 or more"),
        (["{tmp}", "--prune", "--unused", "--runs", "nowhere"], "--runs nowhere: no such folder"),
        (["{tmp}", "--prune", "--older-than", "0"], "not a feature store"),
    ],
)
def test_what_is_no_store_is_refused(words, message, tmp_path, capsys):
    (tmp_path / "mine.npy").write_text("mine")
    with pytest.raises(SystemExit) as caught:
        cli.main(["store", *(word.format(tmp=tmp_path) for word in words)])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
    assert (tmp_path / "mine.npy").is_file()


@pytest.mark.parametrize(
    ("n_bytes", "text"), [(0, "0 B"), (1000, "1 kB"), (999_600, "1 MB"), (2_340_000_000, "2.34 GB"), (5e15, "5e+03 TB")]
)
def test_sizes(n_bytes, text):
    assert readable_size(n_bytes) == text
