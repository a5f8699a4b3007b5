"""What all tests share."""

import gc
import hashlib
import inspect
import os
import subprocess
import sys
import types
import weakref
from pathlib import Path

import numpy as np
import pytest

from keras_emotion.datasets import Reader, SubjectReport
from keras_emotion.schema import Recording, Trial

# Before TensorFlow starts: one thread, as a worker of a run has, so that what is trained here is reproducible.
os.environ.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1", OMP_NUM_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3")

# What XLA computes is the question here, not how fast.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

# No test takes the power away: what is written need not be on the disk.
os.fsync = lambda file: None

# Graphs leave many objects: to go through them all that often is 5 % of the time.
gc.set_threshold(50_000, 20, 20)

# Likewise in the processes that tests start, whose imports are most of their time: see `sitecustomize.py` there.
CHILDREN = str(Path(__file__).with_name("children"))
_search_path = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one and one != CHILDREN]
os.environ["PYTHONPATH"] = os.pathsep.join([CHILDREN, *_search_path])


LONG_FILES = ("experiment", "contract", "papers", "audit", "cli", "systems", "models", "testing", "inference")
"""Folders with the files that take longest, which are begun first: no worker has one left when the others are done."""


def pytest_configure(config):
    """Let pytest-xdist, where it is, begin files in the order below, and not those with most tests first.

    What is imported for tests stays: until they are there (`pytest_collection_finish`), nothing is garbage.
    """
    gc.disable()
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    """Long files first; otherwise the order stays."""

    def place(item):
        folder = item.path.parent
        is_long = folder.parent == Path(__file__).parent and folder.name in LONG_FILES
        return LONG_FILES.index(folder.name) if is_long else len(LONG_FILES)

    items.sort(key=place)


def pytest_collection_finish():
    """What is imported for tests stays: no collection goes through it."""
    _keep_kernels()
    _remember_signatures()
    gc.freeze()
    gc.enable()


def pytest_unconfigure():
    """One last collection, in which files that nobody closed are found; not the six of pytest and Python."""
    gc.collect()
    gc.freeze()


def _remember_signatures():
    """Let the signature of a function be found once.

    Keras asks for those of a layer's methods whenever it makes the layer: a tenth of the time of making models.
    """
    find, found = inspect._signature_from_callable, weakref.WeakKeyDictionary()

    def remembered(one, **options):
        if not isinstance(one, types.FunctionType) or options.get("globals") or options.get("locals"):
            return find(one, **options)
        own = found.setdefault(one, {})
        key = frozenset(options.items())
        if key not in own:
            own[key] = find(one, **options)
        return own[key]

    inspect._signature_from_callable = remembered


def _keep_kernels():
    """Let seeds be set without TensorFlow's throwing away all kernels of eager operations: a tenth of the time.

    It does so for random operations that keep a state in their kernel. Keras's have none: they are given their seeds.
    """
    if "tensorflow" in sys.modules:
        from tensorflow.python import pywrap_tfe

        pywrap_tfe.TFE_ContextClearCaches = lambda context: None


WITHOUT_COLLECTIONS = """
import atexit, gc, os, runpy, sys
gc.disable()
atexit.register(gc.freeze)
del sys.argv[0]
sys.path[0] = os.path.dirname(sys.argv[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="session")
def run_script():
    """A function that runs a Python file in a new process: its words, and variables of the environment.

    Without garbage collections, which are a sixth of what such a process does.
    """

    def run(file, *words, **variables):
        command = [sys.executable, "-c", WITHOUT_COLLECTIONS, *map(str, (file, *words))]
        answer = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True)
        assert answer.returncode == 0, answer.stderr[-5000:]

    return run


REAL_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data():
    """The folder of real recordings beside the checkout."""
    if not REAL_DATA.is_dir():
        pytest.skip("the real recordings are not beside the checkout (../shared/data)")
    return REAL_DATA


CHANNELS = ("F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2")


class MemoryReader(Reader):
    """A reader of trials that live in memory: what the runner needs of a data set, and nothing else.

    Noise whose power above 31 Hz follows the label, with gains that wander anew in each trial.

    `effect` is the log-gain between low and high valence; `fingerprint` the size of each trial's own log-gains,
    independent of the ratings; `seed` gives other noise and ratings.
    """

    name = "memory"
    synthetic = True
    file_format = None
    subjects = ()
    shows_faces = False
    """Whether trials have a video, `high.avi` or `low.avi`, for parts that look at names: they see no ratings."""

    def __init__(
        self, folder: Path, n_subjects=2, n_trials=8, effect=1.5, fingerprint=0.0, seconds=12, rate=128.0, seed=7
    ):
        super().__init__(folder)
        self.subjects = tuple(range(1, n_subjects + 1))
        self._settings = (n_trials, effect, fingerprint, seconds, rate, seed)

    def inspect(self, subject):
        return SubjectReport({"subject": subject}, ())

    def source_files(self, subject):
        path = self.root / f"{subject}-{hashlib.md5(repr(self._settings).encode()).hexdigest()}.txt"
        if not path.is_file():
            path.write_text(f"{subject} {self._settings}")
        return (path,)

    def trials(self, subjects=None):
        n_trials, effect, fingerprint, seconds, rate, seed = self._settings
        for subject in subjects or self.subjects:
            rng = np.random.default_rng([seed, subject])
            valence = rng.permutation(np.repeat([3.0, 7.0], n_trials // 2))
            for trial in range(1, n_trials + 1):
                n_samples = round((seconds + 3) * rate)
                signal = rng.standard_normal((len(CHANNELS), n_samples))
                fast = np.fft.irfft(np.fft.rfft(signal) * (np.fft.rfftfreq(n_samples, 1 / rate) > 30), n_samples)
                gains = np.exp(fingerprint * rng.standard_normal((len(CHANNELS), 1)))
                gains = gains * np.exp(effect * (valence[trial - 1] > 5))
                signal[:, round(3 * rate) :] += ((gains - 1) * fast)[:, round(3 * rate) :]
                recording = Recording(signal, CHANNELS, ("uV",) * len(CHANNELS), rate, 3.0)
                ratings = {"valence": valence[trial - 1], "arousal": 10 - valence[trial - 1]}
                video = Path("high.avi" if valence[trial - 1] > 5 else "low.avi") if self.shows_faces else None
                yield Trial("memory", subject, trial, str(trial), recording, CHANNELS, ratings, video=video)


@pytest.fixture(scope="session")
def memory_reader():
    """The class of a reader whose trials live in memory."""
    return MemoryReader
