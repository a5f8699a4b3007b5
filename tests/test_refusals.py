"""Failures of third-party readers become `InputError`; devices are refused before they are opened."""

import errno
import os
import socket
import tokenize
import zipfile

import pytest

from keras_emotion.refusals import reason_of, refuse_special_file, refusing_unreadable, system_failure
from keras_emotion.schema import InputError


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeyError("chanlocs"), "KeyError: 'chanlocs'"),
        (tokenize.TokenError("unexpected EOF", (1, 0)), "('unexpected EOF', (1, 0))"),
        (zipfile.BadZipFile("Bad CRC-32"), "Bad CRC-32"),
        (RecursionError("maximum recursion depth exceeded"), "maximum recursion depth exceeded"),
        (MemoryError(), "out of memory"),
        (Exception("Encountered invalid byte"), "Encountered invalid byte"),
        (ValueError("In x: ValueError: no header"), "no header"),
        (OSError(5, "Input/output error", "/data/a.set"), "Input/output error"),
        (RuntimeError("/data/a.set: two\n lines"), "a.set: two lines"),
        (RuntimeError("too short.\nWARNING: mne.io.read_raw_cnt supports Neuroscan CNT files only."), "too short"),
        (AttributeError("'NoneType' object has no attribute 'kind'"), "unsupported format or damaged: AttributeError"),
        (TypeError("'int' object is not subscriptable"), "unsupported format or damaged: TypeError"),
        (AssertionError(), "unsupported format or damaged: AssertionError"),
        (TypeError("The number of trials is 5"), "TypeError: The number of trials is 5"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_failure_is_one_line_with_file_and_reason(error, reason):
    assert reason_of(error, "/data/a.set") == reason
    with pytest.raises(InputError) as refused, refusing_unreadable("/data/a.set", "{path}: unusable ({reason})"):
        raise error
    assert str(refused.value) == f"/data/a.set: unusable ({reason})"
    assert refused.value.__cause__ is error


def test_a_refusal_passes_as_it_is_and_a_long_reason_is_cut():
    with pytest.raises(InputError, match=r"^own words$"), refusing_unreadable("a"):
        raise InputError("own words")
    assert len(reason_of(ValueError("x" * 1000))) == 303


def test_interruptions_pass():
    with pytest.raises(KeyboardInterrupt), refusing_unreadable("a"):
        raise KeyboardInterrupt


@pytest.mark.parametrize("kind", ["FIFO", "device", "socket"])
def test_special_files_are_refused_also_through_links(kind, tmp_path, monkeypatch):
    # Names of sockets are short.
    monkeypatch.chdir(tmp_path)
    if kind == "FIFO":
        os.mkfifo("there")
    elif kind == "device":
        os.symlink(os.devnull, "there")
    else:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("there")
    os.symlink("there", "link")
    for name in ("there", "link"):
        with pytest.raises(
            InputError, match=rf"^{name}: is a {kind}.*; expected a regular file; copy its content to a file$"
        ):
            refuse_special_file(name)
    refuse_special_file("gone")
    refuse_special_file(".")


class ResourceExhaustedError(Exception):
    """As that of TensorFlow."""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "out of memory; use fewer --workers"),
        (MemoryError("Unable to allocate 8 GiB"), "out of memory (Unable to allocate 8 GiB); use fewer --workers"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory; use fewer --workers"),
        (ResourceExhaustedError("OOM when allocating tensor"), "out of memory; use fewer --workers"),
        (PermissionError(errno.EACCES, "Permission denied", "a/b"), "a/b: Permission denied; change its permissions"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device; free some space"),
        (OSError(errno.EIO, "Input/output error", "a"), "a: Input/output error; check the disk"),
        (FileNotFoundError(errno.ENOENT, "No such file", "a"), ""),
        (ResourceExhaustedError("too many calls"), ""),
        (ValueError("out of memory"), ""),
    ],
    ids=repr,
)
def test_failures_of_the_machine_are_told_from_bugs(error, message):
    found = system_failure(error)
    assert found.startswith(message)
    assert bool(found) is bool(message)
