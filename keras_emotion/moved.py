"""Import paths of earlier versions, which raise a `DeprecationWarning` until version 0.3.0."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

_SYSTEMS = {
    f"keras_emotion.experiment.systems.{name}": f"keras_emotion.systems.{name}"
    for name in (
        "comparison_estimators",
        "comparison_networks",
        "deepvanet",
        "face_affect",
        "facrnn",
        "facrnn_visual",
        "logistic_regression",
        "multiple_kernel_svm",
        "prior_dfcn",
        "svm",
    )
}

MODULES: Mapping[str, str] = {
    "keras_emotion.exits": "keras_emotion.cli.exits",
    "keras_emotion.experiment.auditing": "keras_emotion.audit",
    "keras_emotion.experiment.configuration": "keras_emotion.systems",
    "keras_emotion.experiment.environment": "keras_emotion.environment",
    "keras_emotion.experiment.export": "keras_emotion.inference.export",
    "keras_emotion.experiment.live": "keras_emotion.inference.live",
    "keras_emotion.experiment.prediction": "keras_emotion.inference.predictor",
    "keras_emotion.experiment.system": "keras_emotion.systems.base",
    "keras_emotion.experiment.systems": "keras_emotion.systems",
    "keras_emotion.own_data": "keras_emotion.cli.run",
    "keras_emotion.reproduce": "keras_emotion.cli.reproduce",
    **_SYSTEMS,
}
"""Moved modules: old name to new name."""

NAMES: Mapping[str, str] = {
    # Split over several modules, or renamed.
    "keras_emotion.audio:cut_patches": "keras_emotion.audio:split_into_patches",
    "keras_emotion.evaluation.leaks:check_predictions": "keras_emotion.evaluation.external_predictions",
    "keras_emotion.evaluation.leaks:read_predictions": "keras_emotion.evaluation.external_predictions",
    "keras_emotion.evaluation.leaks:rescore": "keras_emotion.evaluation.external_predictions",
    "keras_emotion.experiment:Audit": "keras_emotion.audit",
    "keras_emotion.experiment:audit": "keras_emotion.audit",
    "keras_emotion.experiment.live:_microvolts": "keras_emotion.inference.live:microvolt_factor",
    "keras_emotion.experiment.systems:BandPowerRegression": "keras_emotion.systems.logistic_regression",
    "keras_emotion.experiment.systems:ComparisonEstimator": "keras_emotion.systems.comparison_estimators",
    "keras_emotion.experiment.systems:ComparisonNetwork": "keras_emotion.systems.comparison_networks",
    "keras_emotion.experiment.systems:DeepVANetSystem": "keras_emotion.systems.deepvanet",
    "keras_emotion.experiment.systems:FACRNN": "keras_emotion.systems.facrnn",
    "keras_emotion.experiment.systems:FACRNNVisual": "keras_emotion.systems.facrnn_visual",
    "keras_emotion.experiment.systems:LightModel": "keras_emotion.systems.logistic_regression",
    "keras_emotion.experiment.systems:PriorDFCNSystem": "keras_emotion.systems.prior_dfcn",
    "keras_emotion.experiment.systems.comparison_networks:EEG_METHODS": "keras_emotion.papers.prior_dfcn",
    "keras_emotion.experiment.systems.comparison_networks:TABLE_1": "keras_emotion.papers.prior_dfcn",
    "keras_emotion.experiment.systems.deepvanet:deepvanet_presets": "keras_emotion.papers.deepvanet",
    "keras_emotion.experiment.systems.face_affect:face_affect_presets": "keras_emotion.papers.deepvanet",
    "keras_emotion.experiment.systems.facrnn:presets": "keras_emotion.papers.facrnn",
    "keras_emotion.experiment.systems.facrnn_visual:visual_presets": "keras_emotion.papers.facrnn",
    "keras_emotion.experiment.systems.logistic_regression:regression_presets": "keras_emotion.papers.comparison",
    "keras_emotion.experiment.systems.prior_dfcn:TABLE_2": "keras_emotion.papers.prior_dfcn",
    "keras_emotion.experiment.systems.prior_dfcn:prior_dfcn_presets": "keras_emotion.papers.prior_dfcn",
    "keras_emotion.experiment.training:CompiledModel": "keras_emotion.experiment.compiled_model",
    "keras_emotion.experiment.training:Fitted": "keras_emotion.experiment.fit:FitResult",
    "keras_emotion.experiment.training:Fitting": "keras_emotion.experiment.fit:FitRequest",
    "keras_emotion.experiment.training:Learnt": "keras_emotion.experiment.training:FoldResult",
    "keras_emotion.own_data:SAMPLING_RATE_HZ": "keras_emotion.cli.readers",
    "keras_emotion.own_data:main": "keras_emotion.cli.run:run",
    "keras_emotion.pipelines:BioFeatures": "keras_emotion.pipelines:RawSignals",
    "keras_emotion.reproduce:CommandLine": "keras_emotion.cli.request:RunOptions",
    "keras_emotion.reproduce:draw_features": "keras_emotion.papers.figures",
    "keras_emotion.reproduce:draw_priors": "keras_emotion.papers.figures",
    "keras_emotion.reproduce:method": "keras_emotion.papers:with_system",
}
"""Moved names: old module and name to new module (and new name, if renamed)."""


def moved_name(module: str, name: str) -> Any:
    """Return the object that a name of an earlier version's module refers to, with a `DeprecationWarning`.

    Args:
        module: the old module.
        name: the name.

    Raises:
        AttributeError: the module never had this name.
    """
    place = NAMES.get(f"{module}:{name}")
    if place is None and module in MODULES:
        place = MODULES[module]
    if place is None or name.startswith("__"):
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    target, _, new_name = place.partition(":")
    value = getattr(importlib.import_module(target), new_name or name)
    # The stack level of the caller of the module's `__getattr__`, which calls this function.
    warnings.warn(
        f"{module}.{name} is now {target}.{new_name or name}; the old path will be removed in version 0.3.0",
        DeprecationWarning,
        stacklevel=3,
    )
    return value


def install() -> None:
    """Register the finder of earlier versions' modules; called once, when the package is imported."""
    if not any(isinstance(finder, _MovedModules) for finder in sys.meta_path):
        # First in the list: a folder that an update left empty would be imported as a namespace package.
        sys.meta_path.insert(0, _MovedModules())


class _MovedModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Find the modules of `MODULES` as empty modules that forward their names."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None) -> Any:
        if fullname not in MODULES:
            return None
        # As a package, because it had submodules.
        return importlib.machinery.ModuleSpec(fullname, self, is_package=fullname.endswith(".systems"))

    def exec_module(self, module: types.ModuleType) -> None:
        name = module.__name__
        module.__doc__ = f"Moved to `{MODULES[name]}`."
        vars(module)["__getattr__"] = lambda attribute: moved_name(name, attribute)
