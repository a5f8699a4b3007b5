"""The leak audit of an experiment or a run."""

from keras_emotion.audit.canaries import CANARY_COLUMNS
from keras_emotion.audit.leak_audit import Audit, audit
from keras_emotion.audit.null import SCORE_COLUMNS
from keras_emotion.audit.tasks import LIGHT, NETWORK, ORDER, STIMULUS

__all__ = ["CANARY_COLUMNS", "LIGHT", "NETWORK", "ORDER", "SCORE_COLUMNS", "STIMULUS", "Audit", "audit"]
