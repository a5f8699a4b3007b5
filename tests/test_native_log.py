"""Only the start-up log of native libraries is removed; Keras is imported without garbage collection."""

import gc
import importlib
import os
import sys

import keras  # noqa: F401 - as where all tests run: what is registered with Keras when it is imported, is
import pytest

from keras_emotion.native_log import LOG_LEVEL, quiet_start_up, without_start_up_log

START_UP = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795964207.578904   30652 port.cc:153] oneDNN custom operations are on.",
    "W0000 00:00:1795964510.620159     957 inference_feedback_manager.cc:121] Feedback manager requires a model",
    "2025-09-17 14:44:05.157831: I external/local_xla/xla/tsl/cuda/cudart_stub.cc:32] Could not find cuda drivers",
    "E0000 00:00:1758131045.203198 3722035 cuda_dnn.cc:8579] Unable to register cuDNN factory: Attempting to register",
    "E0000 00:00:1795964505.366282     808 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error",
    "To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow",
    "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
)
ERRORS = (
    "E0000 00:00:1795964505.366282     808 gpu_device.cc:52] out of memory",
    "F0000 00:00:1795964505.366282     808 cpu_feature_guard.cc:99] The library was compiled to use AVX instructions",
    "2025-09-17 14:44:05.157831: E tensorflow/core/framework/node_def_util.cc:680] an error",
    "Traceback (most recent call last):",
    "WARNING: disk almost full",
)
LINES = tuple(line for pair in zip(START_UP, (*ERRORS, *ERRORS), strict=False) for line in pair)


def _write():
    os.write(2, "".join(f"{line}\n" for line in LINES).encode())


@pytest.mark.parametrize(("level", "is_filtered"), [("3", True), ("2", True), ("0", False), (None, False)])
def test_start_up_lines_are_removed_in_the_block_unless_the_user_asks_for_them(level, is_filtered, capfd, monkeypatch):
    monkeypatch.delenv(LOG_LEVEL) if level is None else monkeypatch.setenv(LOG_LEVEL, level)
    with without_start_up_log():
        _write()
    expected = [line for line in LINES if line in ERRORS] if is_filtered else list(LINES)
    assert capfd.readouterr().err.splitlines() == expected
    _write()
    assert capfd.readouterr().err.splitlines() == list(LINES)


def test_a_block_that_raises_restores_standard_error(capfd, monkeypatch):
    monkeypatch.setenv(LOG_LEVEL, "3")
    with pytest.raises(ZeroDivisionError), without_start_up_log():
        raise ZeroDivisionError
    _write()
    assert capfd.readouterr().err.splitlines() == list(LINES)


def test_without_standard_error_the_block_runs(monkeypatch):
    monkeypatch.setenv(LOG_LEVEL, "3")
    monkeypatch.setattr(sys, "stderr", None)
    ran = []
    with without_start_up_log():
        ran.append(True)
    assert ran


def test_without_grep_every_line_is_printed(capfd, monkeypatch):
    monkeypatch.setenv(LOG_LEVEL, "3")
    monkeypatch.setenv("PATH", "")
    with without_start_up_log():
        _write()
    assert capfd.readouterr().err.splitlines() == list(LINES)


def test_an_import_of_tensorflow_is_filtered_whoever_does_it(capfd, monkeypatch, tmp_path):
    """Uses another module of this name, since the real one is imported already."""
    (tmp_path / "tensorflow.py").write_text(f"import os\nos.write(2, {chr(10).join([*LINES, '']).encode()!r})\n")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(LOG_LEVEL, "")
    monkeypatch.delenv(LOG_LEVEL)
    quiet_start_up()
    quiet_start_up()
    assert os.environ[LOG_LEVEL] == "3"
    module = importlib.import_module("tensorflow")
    assert module.__file__ == str(tmp_path / "tensorflow.py")
    assert capfd.readouterr().err.splitlines() == [line for line in LINES if line in ERRORS]
    assert not any(getattr(finder, "name", None) == "tensorflow" for finder in sys.meta_path)
    # So that the next test does not get this one.
    del sys.modules["tensorflow"]


def test_keras_is_imported_without_collections_and_later_ones_leave_it_out(monkeypatch, tmp_path):
    """Uses another module of this name, too."""
    (tmp_path / "keras.py").write_text("import gc\nlist_of_its_own, collects = [], gc.isenabled()\n")
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.syspath_prepend(tmp_path)
    quiet_start_up()
    quiet_start_up()
    module = importlib.import_module("keras")
    assert module.__file__ == str(tmp_path / "keras.py")
    assert not module.collects
    assert gc.isenabled()
    # It is frozen: excluded from garbage collection.
    assert gc.is_tracked(module.list_of_its_own)
    assert not any(held is module.list_of_its_own for held in gc.get_objects())
    assert not any(getattr(finder, "name", None) == "keras" for finder in sys.meta_path)
    del sys.modules["keras"]
