"""Readers of data sets as they are distributed: trials with names, units, rates and where they came from.

A reader knows nothing of windows, labels or splits. `READERS` names each for the command line.
"""

from keras_emotion.datasets.afew_va import AFEWVA
from keras_emotion.datasets.affectnet import AffectNet
from keras_emotion.datasets.deap import DEAP
from keras_emotion.datasets.mahnob_hci import MAHNOBHCI
from keras_emotion.datasets.reader import Problem, Reader, SubjectReport
from keras_emotion.datasets.recordings import Recordings
from keras_emotion.datasets.sam40 import SAM40

READERS: dict[str, type[Reader]] = {
    reader.name: reader for reader in (DEAP, SAM40, MAHNOBHCI, AFEWVA, AffectNet, Recordings)
}

__all__ = [
    "AFEWVA",
    "DEAP",
    "MAHNOBHCI",
    "READERS",
    "SAM40",
    "AffectNet",
    "Problem",
    "Reader",
    "Recordings",
    "SubjectReport",
]
