"""The command `keras-emotion run`: a model on a data set, by name, your own recordings included."""

from __future__ import annotations

import argparse
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import create_model

from keras_emotion.datasets import READERS
from keras_emotion.evaluation import PROTOCOLS
from keras_emotion.exits import exit_on_input_error
from keras_emotion.experiment.configuration import Experiment, Training
from keras_emotion.experiment.system import System
from keras_emotion.experiment.systems.comparison_estimators import ComparisonEstimator
from keras_emotion.experiment.systems.comparison_networks import ComparisonNetwork
from keras_emotion.experiment.systems.deepvanet import DeepVANetExperiment, DeepVANetSystem, deepvanet_presets
from keras_emotion.experiment.systems.facrnn import FACRNN, FACRNNExperiment
from keras_emotion.experiment.systems.facrnn import presets as facrnn_presets
from keras_emotion.experiment.systems.logistic_regression import (
    BandPowerRegression,
    BandPowerRegressionExperiment,
    regression_presets,
)
from keras_emotion.experiment.systems.prior_dfcn import PriorDFCNExperiment, PriorDFCNSystem, prior_dfcn_presets
from keras_emotion.pipelines import BioFeatures, EEGGridFeatures
from keras_emotion.reproduce import main as reproduce
from keras_emotion.schema import InputError

Presets = Mapping[str, Experiment]


# For recordings without a baseline; `--system...baseline signal` is for those that have one.
_ON_GRID = EEGGridFeatures(baseline="none")
_RAW: dict[str, Any] = {"baseline": "none", "sampling_rate_hz": None}


def _facrnn(fields: Mapping[str, Any]) -> Presets:
    return facrnn_presets(FACRNNExperiment(**fields, system=FACRNN(teacher="none", features=_ON_GRID)), {})


def _deepvanet(fields: Mapping[str, Any]) -> Presets:
    system = DeepVANetSystem(bio=BioFeatures(**_RAW))
    return deepvanet_presets(DeepVANetExperiment(**fields, system=system), {})


def _dfcn(fields: Mapping[str, Any]) -> Presets:
    return prior_dfcn_presets(PriorDFCNExperiment(**fields, system=PriorDFCNSystem(prior="none")), {})


def _regression(fields: Mapping[str, Any]) -> Presets:
    system = BandPowerRegression(features=_ON_GRID.model_copy(update={"steps": 1}))
    return regression_presets(BandPowerRegressionExperiment(**fields, system=system), {})


def _comparison(system: System) -> Callable[[Mapping[str, Any]], Presets]:
    def presets(fields: Mapping[str, Any]) -> Presets:
        kind = create_model("ComparisonExperiment", __base__=Experiment, system=(type(system), system))
        full = kind(**fields, training=Training(learning_rate=1e-3))
        reduced = full.changed({"maximum_repetitions": 1, "maximum_folds": 5, "training.epochs": 30})
        demo = reduced.changed({"maximum_folds": 3, "training.epochs": 5})
        return {"paper": full, "converged": full, "reduced": reduced, "demo": demo}

    return presets


MODELS: dict[str, Callable[[Mapping[str, Any]], Presets]] = {
    "facrnn": _facrnn,
    "deepvanet": _deepvanet,
    "dfcn": _dfcn,
    "dgcnn": _comparison(ComparisonNetwork(network="dgcnn")),
    "graph_sleep_net": _comparison(ComparisonNetwork(network="graph_sleep_net")),
    "eegnet": _comparison(ComparisonNetwork(network="eegnet", raw=BioFeatures(channels="eeg", **_RAW))),
    "crnn_4d": _comparison(ComparisonNetwork(network="crnn_4d", grid=_ON_GRID)),
    "conti_cnn": _comparison(ComparisonNetwork(network="conti_cnn", grid=_ON_GRID)),
    "svm": _comparison(ComparisonEstimator(estimator_name="svm")),
    "logistic_regression": _regression,
}
"""By the name that `--model` takes: the presets of an experiment with these fields."""


SAMPLING_RATE_HZ = 128.0
"""What recordings of any rate are brought to: the rate of DEAP and of the models' defaults."""


@exit_on_input_error
def main(arguments: Sequence[str]) -> int:
    """Runs a model on a data set from the command line, as a reproduction does: records, report, then the audit.

    Args:
        arguments: words after `keras-emotion run`.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(
        prog="keras-emotion run",
        add_help=False,
        allow_abbrev=False,
        description="Run a model on a data set. All other options are those of the model's experiment: "
        "`keras-emotion run --model facrnn --help` lists them.",
    )
    models, protocols = (f"one of {', '.join(names)}" for names in (MODELS, PROTOCOLS))
    parser.add_argument("--model", choices=MODELS, required=True, metavar="MODEL", help=models)
    parser.add_argument("--data", "--data-root", type=Path, metavar="FOLDER", help="folder of the data set")
    formats = f"its format, one of {', '.join(READERS)}; by default your own recordings"
    parser.add_argument("--dataset", choices=READERS, default="recordings", metavar="NAME", help=formats)
    parser.add_argument("--target", "--targets", nargs="+", metavar="TARGET", help="ratings that are to be recognised")
    rate = f"samples a second to bring signals to; by default {SAMPLING_RATE_HZ:g} where files have rates of their own"
    parser.add_argument("--sampling-rate-hz", type=float, metavar="RATE", help=rate)
    protocols = f"{protocols}; by default trial_disjoint"
    parser.add_argument("--protocol", "--protocols", nargs="+", choices=PROTOCOLS, metavar="NAME", help=protocols)
    if not {"--model"} & {word.partition("=")[0] for word in arguments} and {"-h", "--help"} & set(arguments):
        parser.print_help()
        return 0
    asked, others = parser.parse_known_args(arguments)
    reader_options = _reader_options(asked)
    wants_help = bool({"-h", "--help"} & set(others))
    if not wants_help:
        if asked.data is None:
            raise InputError("--data: give the folder of the data set")
        if not asked.target:
            raise InputError(f"--target: what is to be recognised? {asked.data} has {', '.join(_targets(asked))}")
    fields = {
        "name": f"{asked.dataset}_{asked.model}",
        "dataset": asked.dataset,
        "targets": tuple(asked.target or ("valence",)),
        "protocols": tuple(asked.protocol or ("trial_disjoint",)),
    }
    reproduce(
        MODELS[asked.model](fields),
        demo_data=lambda folder: None,
        description=f"{asked.model} on a data set of the format {asked.dataset}.",
        arguments=[*([] if asked.data is None else ["--data-root", str(asked.data)]), *others],
        reader_options=reader_options,
    )
    return 0


def _reader_options(asked: argparse.Namespace) -> dict[str, Any]:
    rate = asked.sampling_rate_hz
    if "sampling_rate_hz" not in inspect.signature(READERS[asked.dataset]).parameters:
        if rate is None:
            return {}
        raise InputError(f"--sampling-rate-hz: {asked.dataset} is read at the rate it was published with")
    if rate is None:
        rate = SAMPLING_RATE_HZ
    if not 0 < rate < math.inf:
        raise InputError(f"--sampling-rate-hz {rate:g}: expected a number above 0")
    return {"sampling_rate_hz": rate}


def _targets(asked: argparse.Namespace) -> list[str]:
    reader = READERS[asked.dataset](asked.data)
    # Of some trials a rating may be missing: those of a whole subject.
    return sorted({name for trial in reader.trials(reader.subjects[:1]) for name in trial.ratings})
