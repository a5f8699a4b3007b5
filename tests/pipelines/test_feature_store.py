import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_emotion.files import LEFTOVER_SECONDS, remove_leftovers
from keras_emotion.pipelines import FeatureStore, StoredFeatures, content_hash
from keras_emotion.schema import InputError


def _compute(calls):
    def compute():
        calls.append(1)
        table = pd.DataFrame({"subject": ["01", "01"], "trial": [1, 2], "start_seconds": [0.1, 1 / 3]})
        return {"eeg": np.arange(6.0).reshape(2, 3)}, table

    return compute


def test_an_entry_is_computed_once_and_read_back_exactly(tmp_path):
    calls = []
    store = FeatureStore(tmp_path / "store")
    folder = store.folder({"a": 1, "b": 2}, _compute(calls))
    assert store.folder({"b": 2, "a": 1}, _compute(calls)) == folder
    assert len(calls) == 1
    stored = StoredFeatures.open(folder)
    assert isinstance(stored.arrays["eeg"], np.memmap)
    np.testing.assert_array_equal(stored.arrays["eeg"], np.arange(6.0).reshape(2, 3))
    pd.testing.assert_frame_equal(stored.table, _compute([])()[1])


def test_another_key_is_another_entry(tmp_path):
    calls = []
    store = FeatureStore(tmp_path)
    assert store.folder({"a": 1}, _compute(calls)) != store.folder({"a": 2}, _compute(calls))
    assert len(calls) == 2


def test_a_killed_writer_leaves_no_entry_and_foreign_files_stay(tmp_path):
    store = FeatureStore(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")

    def killed():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.folder({"a": 1}, killed)
    folder = store.folder({"a": 1}, _compute([]))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([folder.name, "notes.txt"])


def test_arrays_and_table_of_different_length_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'eeg': 3\} windows but the window table has 2 rows"):
        FeatureStore(tmp_path).folder({}, lambda: ({"eeg": np.zeros(3)}, pd.DataFrame({"trial": [1, 2]})))


def test_a_store_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "store").write_text("a file where the folder should be")
    with pytest.raises(InputError, match="feature store cannot be written"):
        FeatureStore(tmp_path / "store").folder({}, _compute([]))


def test_the_content_hash_sees_content_and_name_but_not_the_folder(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "s01.dat").write_text("one")
    first = content_hash([tmp_path / "a" / "s01.dat"])
    assert first == content_hash([tmp_path / "b" / "s01.dat"])
    (tmp_path / "b" / "s01.dat").write_text("two")
    os.utime(tmp_path / "b" / "s01.dat", ns=(1, 1))
    assert first != content_hash([tmp_path / "b" / "s01.dat"])
    (tmp_path / "a" / "s01.dat").rename(tmp_path / "a" / "s02.dat")
    assert first != content_hash([tmp_path / "a" / "s02.dat"])


def test_files_of_one_name_count_with_the_order_of_their_folders(tmp_path):
    def two(root, first, second):
        files = [tmp_path / root / folder / "eeg.fif" for folder in ("visit_1", "visit_2")]
        for file, content in zip(files, (first, second), strict=True):
            file.parent.mkdir(parents=True)
            file.write_text(content)
        return files

    here = two("here", "one", "two")
    assert content_hash(here) == content_hash(here[::-1]) == content_hash(two("there", "one", "two"))
    # Exchanged, they are different trials.
    assert content_hash(here) != content_hash(two("exchanged", "two", "one"))


def test_the_hash_of_files_of_different_names_is_what_it_was(tmp_path):
    for name, content in (("b.dat", "two"), ("a.dat", "one")):
        (tmp_path / name).write_text(content)
    one, two = (hashlib.blake2b(content, digest_size=16).hexdigest() for content in (b"one", b"two"))
    expected = hashlib.blake2b(f"a.dat:{one};b.dat:{two};".encode(), digest_size=16).hexdigest()
    assert content_hash([tmp_path / "b.dat", tmp_path / "a.dat"]) == expected


# Damaged entries ------------------------------------------------------------------------------------------------------

KEY = {"features": "eeg", "source": "0123"}


@pytest.fixture(scope="module")
def entry(tmp_path_factory):
    """An intact entry: name of its folder, and content of each of its files."""
    folder = FeatureStore(tmp_path_factory.mktemp("store")).folder(KEY, _compute([]))
    return folder.name, {path.name: path.read_bytes() for path in folder.iterdir()}


def _placed(store, entry, **changed):
    """The entry in another store, with other contents of some files; `None` removes one."""
    name, files = entry
    folder = store.root / name
    folder.mkdir(parents=True)
    for file, content in {**files, **changed}.items():
        if content is not None:
            (folder / file).write_bytes(content)
    return folder


def _is_whole(folder):
    found, (arrays, table) = StoredFeatures.open(folder), _compute([])()
    np.testing.assert_array_equal(found.arrays["eeg"], arrays["eeg"])
    pd.testing.assert_frame_equal(found.table, table)
    return list(found.arrays) == ["eeg"]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_no_damage_to_any_file_gives_other_numbers(entry, data):
    name = data.draw(st.sampled_from(sorted(entry[1])), "file")
    content = entry[1][name]
    place = data.draw(st.integers(0, len(content) - 1), "place")
    how = data.draw(st.sampled_from(["flip", "cut", "more", "gone"]), "damage")
    bit = 1 << data.draw(st.integers(0, 7), "bit")
    flipped = content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :]
    damaged = {"flip": flipped, "cut": content[:place], "more": content + content[place:], "gone": None}[how]
    with tempfile.TemporaryDirectory() as root:
        store, calls = FeatureStore(Path(root)), []
        folder = _placed(store, entry, **{name: damaged})
        assert store.folder(KEY, _compute(calls)) == folder
        assert _is_whole(folder)
        # Irrelevant changes (a blank in the record) stay; everything else is set aside.
        assert len(list(store.root.glob("damaged/*"))) == len(calls)
        assert calls or how == "flip" or name == "key.json"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (lambda files: {"windows.csv": files["windows.csv"][: len(files["windows.csv"]) // 2]}, "windows.csv differs"),
        (lambda files: {"windows.csv": files["windows.csv"].replace(b"0.1", b"0.2")}, "windows.csv differs"),
        (lambda files: {"eeg.npy": files["eeg.npy"][:-8]}, "eeg.npy has 168 bytes; expected 176"),
        (lambda files: {"eeg.npy": None}, "eeg.npy is missing"),
        (lambda files: {"windows.csv": None}, "windows.csv is missing"),
        (lambda files: {"key.json": None}, "key.json is missing"),
        (lambda files: {"key.json": b"{}"}, "key.json: the fields"),
        (lambda files: {"key.json": b"[" * 10**5}, "key.json: nested too deeply"),
        (
            lambda files: {"key.json": files["key.json"].replace(b"0123", b"0124")},
            "key.json: checksum mismatch: its content has changed",
        ),
    ],
)
def test_a_damaged_entry_is_set_aside_with_a_line_and_computed_anew(entry, tmp_path, capsys, changed, reason):
    store, calls = FeatureStore(tmp_path), []
    folder = _placed(store, entry, **changed(entry[1]))
    assert not store.holds(KEY)
    (line,) = capsys.readouterr().err.splitlines()
    (aside,) = (tmp_path / "damaged").iterdir()
    assert line.startswith(f"note: {folder}: the stored features are damaged ({reason}")
    assert line.endswith(f"moved to {aside}, to be computed again")
    assert store.folder(KEY, _compute(calls)) == folder
    assert calls
    assert _is_whole(folder)
    assert store.holds(KEY, verify=True)


def test_an_entry_under_the_name_of_another_is_not_believed(entry, tmp_path):
    store = FeatureStore(tmp_path)
    other = {**KEY, "source": "4567"}
    _placed(store, entry).rename(store.path(other))
    assert not store.holds(other)


def test_contents_are_read_again_where_time_or_size_is_another_or_on_demand(entry, tmp_path, capsys):
    store = FeatureStore(tmp_path)
    folder = _placed(store, entry)
    assert store.holds(KEY)  # and the times of these copies are recorded
    file, content = folder / "eeg.npy", entry[1]["eeg.npy"]
    before = file.stat()
    file.write_bytes(content[:-1] + b"\x00")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert store.holds(KEY)
    assert not store.holds(KEY, verify=True)
    assert "eeg.npy differs from its record" in capsys.readouterr().err


def test_a_copy_of_a_store_is_read_once_and_believed_then(entry, tmp_path, monkeypatch):
    store = FeatureStore(tmp_path)
    _placed(store, entry)
    read = []
    monkeypatch.setattr(
        "keras_emotion.pipelines.feature_store.file_hash",
        lambda file: read.append(file.name) or hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest(),
    )
    assert store.holds(KEY)
    assert read == ["eeg.npy"]
    assert store.holds(KEY)
    assert read == ["eeg.npy"]


def test_a_header_of_another_shape_is_seen_whatever_its_time(entry, tmp_path):
    store = FeatureStore(tmp_path)
    file = _placed(store, entry) / "eeg.npy"
    assert store.holds(KEY)
    before = file.stat()
    for old, new in ((b"(2, 3)", b"(3, 2)"), (b"<f8", b"<i8"), (b"'descr'", b"'dascr'"), (b"NUMPY", b"NUMPI")):
        content = entry[1]["eeg.npy"]
        assert old in content
        file.write_bytes(content.replace(old, new))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert not store.holds(KEY)
        shutil.move(next((tmp_path / "damaged").iterdir()), file.parent)


def _of_earlier_version(entry):
    """The entry as written by versions without sizes and hashes."""
    record = json.loads(entry[1]["key.json"])
    earlier = json.dumps({name: record[name] for name in ("key", "table_types")}, indent=1).encode()
    return entry[0], {**entry[1], "key.json": earlier}


def test_an_entry_of_an_earlier_version_is_used_and_gets_its_record(entry, tmp_path):
    store, calls = FeatureStore(tmp_path), []
    folder = _placed(store, _of_earlier_version(entry))
    assert store.folder(KEY, _compute(calls)) == folder
    assert not calls
    assert _is_whole(folder)
    file = folder / "eeg.npy"
    file.write_bytes(entry[1]["eeg.npy"][:-1] + b"\x00")
    assert not store.holds(KEY)


@pytest.mark.parametrize(
    ("file", "change", "reason"),
    [
        ("windows.csv", lambda content: b"".join(content.splitlines(keepends=True)[:-1]), "has 2 windows and"),
        ("windows.csv", lambda content: content[:-3], "windows.csv: damaged"),
        ("windows.csv", lambda content: content.replace(b",2,", b",two,"), "expected an integer"),
        ("eeg.npy", lambda content: content[:-1], "eeg.npy is not an array"),
        ("eeg.npy", lambda content: content + b"more", "eeg.npy is longer than its array"),
        ("key.json", lambda content: content.replace(b"0123", b"0124"), "belongs to another entry"),
        ("key.json", lambda content: content.replace(b"int64", b"int65"), ""),
    ],
)
def test_an_entry_of_an_earlier_version_is_checked_as_far_as_that_goes(entry, tmp_path, capsys, file, change, reason):
    store, earlier = FeatureStore(tmp_path), _of_earlier_version(entry)
    _placed(store, earlier, **{file: change(earlier[1][file])})
    assert not store.holds(KEY)
    assert reason in capsys.readouterr().err


def test_features_that_are_damaged_while_they_are_used_are_refused(entry, tmp_path):
    store = FeatureStore(tmp_path)
    folder = _placed(store, entry, **{"windows.csv": b"subject\n"})
    with pytest.raises(InputError, match=r"damaged while in use \(windows.csv differs .* --resume"):
        StoredFeatures.open(folder)
    with pytest.raises(InputError, match="no stored features; restart the run"):
        StoredFeatures.open(folder)


def test_what_another_process_has_computed_meanwhile_is_not_set_aside(entry, tmp_path, monkeypatch, capsys):
    store = FeatureStore(tmp_path)
    folder = _placed(store, entry, **{"windows.csv": b""})
    rename, calls = os.rename, []

    def overtaken(source, target):
        if not calls:
            # Between this process's check and its rename, another has set the entry aside and written an intact one.
            calls.append(1)
            rename(source, f"{target}-by-another")
            store.folder(KEY, _compute(calls))
        rename(source, target)

    monkeypatch.setattr(os, "rename", overtaken)
    assert store.holds(KEY)
    assert len(calls) == 2
    assert _is_whole(folder)
    assert len(list((tmp_path / "damaged").iterdir())) == 1
    assert capsys.readouterr().err == ""


def test_everything_is_on_the_disk_before_an_entry_has_its_name(tmp_path, monkeypatch):
    synced, before = [], []
    fsync, replace = os.fsync, os.replace

    def noted(descriptor):
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    def renamed(source, target):
        if Path(target).parent == tmp_path:
            before.extend([*synced, Path(source).name])
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(os, "replace", renamed)
    FeatureStore(tmp_path).folder(KEY, _compute([]))
    assert {"eeg.npy", "windows.csv"} < set(before)
    assert before[-2] == before[-1]  # the folder itself, after its files
    assert synced[-1] == tmp_path.name


def test_what_killed_writers_left_goes_when_it_is_old(tmp_path):
    def left(name, hours, is_folder):
        path = tmp_path / name
        if is_folder:
            path.mkdir()
            (path / "eeg.npy").write_text("half")
        file = path / "eeg.npy" if is_folder else path
        file.write_text("half")
        for one in {path, file}:
            os.utime(one, (one.stat().st_mtime - 3600 * hours,) * 2)
        return path

    old = LEFTOVER_SECONDS / 3600 + 1
    gone = [left(".writing-a", old, True), left(".writing-b", old, False)]
    kept = [left(".writing-c", old - 2, True), left(".writing-d", old - 2, False), left("notes", old, True)]
    slow = left(".writing-e", old, True)
    (slow / "faces.npy").write_text("still being written")
    remove_leftovers(tmp_path, tmp_path / "nowhere")
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in [*kept, slow])
