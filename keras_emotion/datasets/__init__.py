"""Dataset readers: trials with channel names, units, sampling rates and source files.

Readers are independent of windows, labels and splits. `READERS` maps command-line names to readers.
"""

from typing import TypeVar

from keras_emotion.datasets.afew_va import AFEWVA
from keras_emotion.datasets.affectnet import AffectNet
from keras_emotion.datasets.amigos import AMIGOS
from keras_emotion.datasets.crema_d import CREMAD
from keras_emotion.datasets.deap import DEAP
from keras_emotion.datasets.dreamer import DREAMER
from keras_emotion.datasets.eav import EAV
from keras_emotion.datasets.faced import FACED
from keras_emotion.datasets.mahnob_hci import MAHNOBHCI
from keras_emotion.datasets.ravdess import RAVDESS
from keras_emotion.datasets.reader import Problem, Reader, SubjectReport
from keras_emotion.datasets.recordings import Recordings
from keras_emotion.datasets.sam40 import SAM40
from keras_emotion.datasets.seed import SEED
from keras_emotion.datasets.seed_iv import SEEDIV
from keras_emotion.datasets.seed_multimodal import SEEDMultimodal
from keras_emotion.datasets.seed_v import SEEDV
from keras_emotion.datasets.seed_vii import SEEDVII
from keras_emotion.datasets.stimuli import StimulusFolder, with_stimuli

READERS: dict[str, type[Reader]] = {
    reader.name: reader
    for reader in (
        DEAP,
        SAM40,
        SEED,
        SEEDIV,
        SEEDV,
        SEEDVII,
        SEEDMultimodal,
        DREAMER,
        AMIGOS,
        FACED,
        EAV,
        MAHNOBHCI,
        AFEWVA,
        AffectNet,
        RAVDESS,
        CREMAD,
        Recordings,
    )
}
"""Readers by the names that `--dataset` takes: `deap`, `sam40`, ..., and `recordings` for your own files."""

ReaderType = TypeVar("ReaderType", bound=type[Reader])


def register_reader(reader: ReaderType) -> ReaderType:
    """Class decorator that registers a reader under its dataset's name for the command line.

    Raises:
        ValueError: the name is already registered.
    """
    there = READERS.setdefault(reader.name, reader)
    if (there.__module__, there.__qualname__) != (reader.__module__, reader.__qualname__):
        raise ValueError(f"a reader of {reader.name!r} is already registered by {there.__module__}")
    READERS[reader.name] = reader
    return reader


__all__ = [
    "AFEWVA",
    "AMIGOS",
    "CREMAD",
    "DEAP",
    "DREAMER",
    "EAV",
    "FACED",
    "MAHNOBHCI",
    "RAVDESS",
    "READERS",
    "SAM40",
    "SEED",
    "SEEDIV",
    "SEEDV",
    "SEEDVII",
    "AffectNet",
    "Problem",
    "Reader",
    "Recordings",
    "SEEDMultimodal",
    "StimulusFolder",
    "SubjectReport",
    "register_reader",
    "with_stimuli",
]
