"""What commands print of many files, of hostile texts and of large files, and how they end."""

import io
import json
import os
import sys

import numpy as np
import pytest

from keras_emotion import cli
from keras_emotion.limits import ENVIRONMENT_VARIABLE
from keras_emotion.links import FOLLOW_VARIABLE
from keras_emotion.messages import QUIET_VARIABLE, VERBOSE_VARIABLE

SIDECAR = {"sampling_rate_hz": 64, "channel_names": ["Fz", "Cz"], "unit": "uV", "axes": ["channels", "samples"]}
COLUMNS = "subject,trial,file,start_seconds,stop_seconds"
HOSTILE = "p\x1b[31m1\u202e"


def write_array(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.random.default_rng(0).standard_normal((2, 640)) * 20)
    path.with_suffix(".json").write_text(json.dumps(SIDECAR))


def write_trials(folder, *rows, columns=COLUMNS):
    (folder / "trials.csv").write_text("\n".join([columns, *rows, ""]), encoding="utf-8")


def code_of(*words):
    try:
        return cli.main(list(map(str, words)))
    except SystemExit as end:
        return end.code


@pytest.fixture
def study(tmp_path):
    root = tmp_path / "study"
    write_array(root / "a.npy")
    write_trials(root, "1,1,a.npy,0,5", "1,2,a.npy,5,10")
    return root


def test_the_same_problem_of_many_files_is_one_line(tmp_path, capsys):
    for number in range(23):
        (tmp_path / f"s{number:02d}.edf").write_bytes(b"no recording")
    assert code_of("init-trials", tmp_path) == 2
    *lines, note = capsys.readouterr().err.splitlines()
    (line,) = lines
    assert line.startswith(f"error: {tmp_path}: 23 files (s00.edf, s01.edf, s02.edf and 20 more): cannot be read as ")
    assert note == "note: --verbose prints all of it"
    assert code_of("init-trials", tmp_path, "--verbose") == 2
    assert len(capsys.readouterr().err.splitlines()) == 23


def test_describe_lists_all_in_json(study, capsys):
    rows = [f"{number},1,s{number}.npy,0,5" for number in range(1, 31)]
    write_trials(study, *rows)
    for number in range(1, 31):
        (study / f"s{number}.npy").write_bytes(b"nothing")
    assert code_of("describe", study, "--brief") == 1
    shown = capsys.readouterr().out
    assert "30 files (s1.npy, s2.npy, s3.npy and 27 more): " in shown
    assert "30 problem(s)" in shown
    assert code_of("describe", study, "--json") == 1
    assert len(json.loads(capsys.readouterr().out)["problems"]) == 30


def test_options_of_a_command_end_with_it(study, capsys):
    variables = (ENVIRONMENT_VARIABLE, FOLLOW_VARIABLE, VERBOSE_VARIABLE)
    before = {name: os.environ.get(name) for name in variables}
    options = ("--verbose", "--follow-links", "--limit", "memory_gib=9")
    assert code_of("describe", study, "--json", *options) == 0
    assert {name: os.environ.get(name) for name in variables} == before
    assert code_of("describe", study, "--limit", "memory=9") == 2
    assert "--limit memory=9: expected a number above 0 for one of memory_gib" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_hostile_ids_reach_no_terminal(encoding, study, monkeypatch):
    write_trials(study, f"{HOSTILE},1,a.npy,0,5", f"{HOSTILE},2,a.npy,5,99", "é,1,a.npy,0,5")
    streams = [io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    codes = [code_of("describe", study), code_of("describe", study / HOSTILE)]
    assert sys.stdout is streams[0]
    for stream in streams:
        stream.flush()
    out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams)
    assert codes == [1, 2]
    for text in (out, err):
        assert r"\x1b[31m1\u202e" in text
        assert not {"\x1b", "\u202e"} & set(text)
    assert ("é" in out, r"\xe9" in out) == ((True, False) if encoding == "utf-8" else (False, True))


@pytest.mark.parametrize(
    ("columns", "row", "message"),
    [
        (COLUMNS, '"a\tb",1,a.npy,0,5', "line 2: subject is 'a\\tb'; expected text of one line without tabs"),
        (f"{COLUMNS},x\x1b", "1,1,a.npy,0,5,1", "column 'x\\x1b': control characters; expected plain text; rename it"),
        (f"{COLUMNS},mood", "1,1,a.npy,0,5,so\u202ery", "mood is 'so\\u202ery': control characters"),
    ],
)
def test_texts_that_become_columns_have_no_control_characters(columns, row, message, study, capsys):
    write_trials(study, row, columns=columns)
    assert code_of("describe", study, "--brief") == 1
    assert message in capsys.readouterr().out


@pytest.mark.parametrize("named", ["../other/b.npy", "/absolute/b.npy", "sub/../../other/b.npy"])
@pytest.mark.parametrize("column", ["file", "video"])
def test_paths_of_a_table_stay_in_its_folder(named, column, study, capsys):
    row = f"1,1,{named},0,5," if column == "file" else f"1,1,a.npy,0,5,{named}"
    write_trials(study, row, columns=f"{COLUMNS},video")
    assert code_of("describe", study, "--brief") == 1
    assert f"line 2: {column} is '{named}'; expected a path relative to the folder and" in capsys.readouterr().out


def test_follow_links_reads_what_is_outside(study, capsys):
    write_array(study.parent / "other" / "b.npy")
    write_trials(study, "1,1,../other/b.npy,0,5")
    assert code_of("describe", study, "--brief", "--follow-links") == 0
    # A link within the folder needs no option.
    (study / "linked").symlink_to(study.parent / "other")
    write_trials(study, "1,1,linked/b.npy,0,5")
    assert code_of("describe", study, "--brief") == 0
    capsys.readouterr()


@pytest.mark.parametrize("name", ["a.npy", "b.edf", "b.vhdr", "b.set"])
def test_a_fifo_is_refused_and_not_waited_for(name, study, capsys):
    path = study / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    write_trials(study, f"1,1,{name},0,5")
    assert code_of("describe", study, "--brief") == 1
    assert f"{name}: is a FIFO (named pipe); expected a regular file" in capsys.readouterr().out
    # Beside others, a search names it and goes on.
    (study / "trials.csv").unlink()
    write_array(study / "c.npy")
    assert code_of("init-trials", study) == 1
    assert f"{name}: is a FIFO (named pipe)" in capsys.readouterr().err


@pytest.mark.parametrize("named", ["/dev/zero", "../elsewhere.eeg"])
def test_a_header_names_no_device_and_nothing_outside(named, study, capsys):
    header = "Brain Vision Data Exchange Header File Version 1.0\n\n[Common Infos]\n"
    (study / "b.vhdr").write_text(f"{header}DataFile={named}\nNumberOfChannels=1\nSamplingInterval=1000\n")
    (study.parent / "elsewhere.eeg").write_bytes(b"\0" * 100)
    write_trials(study, "1,1,b.vhdr,0,5")
    assert code_of("describe", study, "--brief") == 1
    expected = "is a device" if named.startswith("/dev") else "within it; link the file there, or give --follow"
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize(
    ("sidecar", "message"),
    [
        ('{"sampling_rate_hz": 1e-300, ' + json.dumps(SIDECAR)[1:].partition(", ")[2], "sampling rate of 1e-300 Hz"),
        ("[" * 100_000, "cannot be read as JSON ("),
    ],
)
def test_a_sidecar_that_no_device_writes(sidecar, message, study, capsys):
    (study / "a.json").write_text(sidecar)
    assert code_of("describe", study, "--brief") == 1
    assert message in capsys.readouterr().out


def test_annotations_in_latin_1_are_read(tmp_path, capsys):
    import edfio

    path = tmp_path / "p1.edf"
    signal = edfio.EdfSignal(np.sin(np.arange(640)) * 50, 64, label="EEG Fz", physical_dimension="uV")
    edfio.Edf([signal], annotations=[edfio.EdfAnnotation(1, 5, "Augen Xffnen")]).write(path)
    path.write_bytes(path.read_bytes().replace(b"Augen Xffnen", "Augen öffnen".encode("latin-1")))
    assert code_of("init-trials", tmp_path) == 0
    capsys.readouterr()
    assert "p1.edf,1.0,6.0,Augen öffnen" in (tmp_path / "trials.csv").read_text(encoding="utf-8")


def test_more_and_less_are_not_asked_for_at_once(capsys, tmp_path):
    with pytest.raises(SystemExit) as ended:
        cli.main(["describe", str(tmp_path), "--verbose", "--quiet"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: --verbose --quiet: one prints more and the other less; give one of them\n"
    # Neither outlives its command.
    assert QUIET_VARIABLE not in os.environ
    assert VERBOSE_VARIABLE not in os.environ
