"""Training step of our networks compared with plain PyTorch versions of the same networks, on the CPU.

All contenders of a network start from the same weights and take the same steps on the same batch in memory, each in a
new process that imports only what it needs. Dropout is off, so that their losses are comparable.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import math
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from hlstm_training import HLSTMTraining
from measurement import Outcome, in_fresh_process, n_threads
from mercl_training import MERCLClassifierStep, MERCLPretrainingStep

OURS = "keras_emotion"
OURS_XLA = "keras_emotion, XLA"
OURS_BFLOAT16 = "keras_emotion, mixed_bfloat16"
OURS_JAX = "keras_emotion, JAX"
TORCH = "PyTorch, eager"
TORCH_CHANNELS_LAST = "PyTorch, eager, channels_last"
TORCH_COMPILE = "PyTorch, torch.compile"
TORCH_BFLOAT16 = "PyTorch, eager, bfloat16 autocast"

TORCH_INSTALLATION = "pip install torch"
JAX_INSTALLATION = "pip install jax"
REPEATS = 3
"""Processes of each contender: with the five of the other benchmarks this one would take half an hour on two cores."""
N_WARM_UP, N_STEPS = 3, 15
"""Steps whose losses are compared, and subsequent timed steps."""
SLOW_SECONDS = 60
"""CPU seconds after which no further step is timed unless all are requested."""
LEARNING_RATE = 1e-3
EPSILON = 1e-12
"""Epsilon of Adam. Keras adds it before the bias correction and PyTorch after it: with their defaults, steps of small
gradients would differ."""
EFFECT = 0.5
"""Difference between the inputs of the two classes: with uninformative labels a network learns almost nothing in three
steps, and no difference would be visible."""

AGREEMENT = 1e-5
"""Largest difference of outputs in inference from PyTorch's, which are probabilities and features from -1 to 1."""
LOSS_AGREEMENT = {"float32": 0.01, "bfloat16": 0.05}
"""Largest difference of a loss of the first steps from that of `OURS`, as a share of its fall over these steps."""


class DeepVANetTraining:
    """DeepVANet: batches of 64 windows of five faces and 40 channels."""

    def batch(self) -> tuple[dict[str, Any], Any]:
        """Return inputs in Keras's layout, and labels."""
        import numpy as np

        rng = np.random.default_rng(0)
        labels = rng.integers(0, 2, (64, 1)).astype(np.float32)
        faces = rng.random((64, 5, 64, 64, 3), np.float32)
        bio = rng.standard_normal((64, 128, 40), np.float32) + EFFECT * labels[:, :, None]
        return {"faces": faces, "bio": bio}, labels

    def ours(self, weights: dict[str, Any] | None, dtype: str) -> Any:
        """Return our network, with PyTorch's weights if given."""
        from keras_emotion.models import DeepVANet

        if weights is None:
            return DeepVANet(dropout=0.0, dtype=dtype)
        return DeepVANet.load_released_weights(weights, dropout=0.0, dtype=dtype)

    def ours_losses(self) -> dict[str, Any]:
        """Return our system's arguments of `compile`."""
        return {"loss": "binary_crossentropy"}

    def ours_targets(self, labels: Any) -> Any:
        """Return the targets of our system."""
        return labels

    def ours_outputs(self, outputs: Any) -> list[Any]:
        """Return the outputs that are compared in inference."""
        return [outputs]

    def torch(self) -> Any:
        """Return the PyTorch network."""
        from torch_deepvanet import ReleasedDeepVANet

        return ReleasedDeepVANet(dropout=0.0)

    def torch_loss(self, outputs: Any, labels: Any) -> Any:
        """Return the same loss in PyTorch."""
        from torch.nn import functional

        return functional.binary_cross_entropy(outputs.float(), labels)

    def torch_outputs(self, outputs: Any) -> list[Any]:
        """Return the outputs that are compared in inference."""
        return [outputs]


class FACRNNEEGTraining:
    """The EEG network of 3FACRNN without a teacher: batches of 128 windows of four slices."""

    def batch(self) -> tuple[dict[str, Any], Any]:
        """Return inputs in Keras's layout, and labels."""
        import numpy as np

        rng = np.random.default_rng(0)
        labels = rng.integers(0, 2, 128)
        effect = EFFECT * labels[:, None, None, None, None].astype(np.float32)
        return {"eeg": rng.standard_normal((128, 4, 9, 9, 4), np.float32) + effect}, labels

    def ours(self, weights: dict[str, Any] | None, dtype: str) -> Any:
        """Return our network, with PyTorch's weights if given."""
        import numpy as np

        from keras_emotion.models import FACRNNEEGNetwork

        model = FACRNNEEGNetwork(dtype=dtype)
        if weights is None:
            return model

        def kernel_and_bias(name):
            return [np.moveaxis(weights[f"{name}.weight"], (0, 1), (-1, -2)), weights[f"{name}.bias"]]

        layers = {f"convolution_{number + 1}": kernel_and_bias(f"cnn.{2 * number}") for number in range(4)}
        dense = weights["cnn.10.weight"]
        # PyTorch flattens channel by channel, Keras position by position.
        dense = np.moveaxis(dense.reshape(len(dense), 128, 4, 4), 1, -1).reshape(len(dense), -1)
        layers["dense"] = [dense.T, weights["cnn.10.bias"]]
        for number in range(2):
            layers[f"recurrent_{number + 1}"] = [
                weights[f"lstm.weight_ih_l{number}"].T,
                weights[f"lstm.weight_hh_l{number}"].T,
                weights[f"lstm.bias_ih_l{number}"],
            ]
        attention = [f"self_attention.{name}" for name in ("alignment", "state", "aligned", "score")]
        layers["self_attention"] = [weights[f"{name}.weight"].T for name in attention] + [
            weights[f"{name}.bias"] for name in (attention[1], attention[3])
        ]
        layers["classifier"] = kernel_and_bias("classifier")
        layers["band_attention"] = [weights["band_attention.conv.weight"]]
        for name, arrays in layers.items():
            model.get_layer(name).set_weights(arrays)
        return model

    def ours_losses(self) -> dict[str, Any]:
        """Return our system's arguments of `compile`."""
        from keras_emotion.models import distillation_losses

        return distillation_losses(teacher=False)

    def ours_targets(self, labels: Any) -> Any:
        """Return the targets of our system: every slice has the label of its window."""
        return {"probabilities": labels[:, None].repeat(4, axis=1)}

    def ours_outputs(self, outputs: Any) -> list[Any]:
        """Return the outputs that are compared in inference."""
        return [outputs["probabilities"], outputs["features"]]

    def torch(self) -> Any:
        """Return the PyTorch network."""
        from torch_facrnn import FACRNNEEG

        return FACRNNEEG()

    def torch_loss(self, outputs: Any, labels: Any) -> Any:
        """Return the same loss in PyTorch."""
        from torch.nn import functional

        logits, _ = outputs
        labels = labels[:, None].expand(-1, logits.shape[1])
        return functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum") / len(labels)

    def torch_outputs(self, outputs: Any) -> list[Any]:
        """Return the outputs that are compared in inference."""
        logits, features = outputs
        return [logits.softmax(dim=-1), features]


NETWORKS: dict[str, Any] = {
    "DeepVANet": DeepVANetTraining(),
    "3FACRNN EEG": FACRNNEEGTraining(),
    "MERCL, contrastive stage": MERCLPretrainingStep(),
    "MERCL, classifier": MERCLClassifierStep(),
    "Video-EEG hierarchical LSTM": HLSTMTraining(),
}

Job = tuple[Callable[[], Callable[[], float]], int]
"""Function that prepares a network for training, and the training step, which returns the loss before it; and the
number of trained parameters."""


def _ours(network: str, weights: str | None, xla: bool = False, dtype: str = "float32") -> Job:
    # As at the start of a run: threads, and an allocator that keeps freed memory.
    from keras_emotion.pipelines import prepare_backend

    prepare_backend(n_threads())
    import keras

    keras.utils.set_random_seed(0)
    training = NETWORKS[network]
    model = training.ours(_load(weights), dtype)
    inputs, labels = training.batch()
    batch = inputs, training.ours_targets(labels)
    inputs, targets = keras.tree.map_structure(keras.ops.convert_to_tensor, batch)

    def start():
        model.compile(keras.optimizers.Adam(LEARNING_RATE, epsilon=EPSILON), jit_compile=xla, **training.ours_losses())
        return lambda: float(model.train_on_batch(inputs, targets))

    return start, _n_parameters(model.trainable_weights)


def _torch(
    network: str, weights: str, channels_last: bool = False, compiled: bool = False, bfloat16: bool = False
) -> Job:
    import torch

    torch.set_num_threads(n_threads())
    training = NETWORKS[network]
    model = training.torch()
    model.load_state_dict({name: torch.from_numpy(array) for name, array in _load(weights).items()})
    inputs, labels = training.batch()
    inputs, labels = _torch_inputs(inputs, channels_last), torch.from_numpy(labels)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)

    def start():
        network = torch.compile(model) if compiled else model
        optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, eps=EPSILON)

        def step():
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                loss = training.torch_loss(network(**inputs), labels)
            loss.backward()
            optimizer.step()
            return loss.item()

        return step

    return start, _n_parameters(parameter for parameter in model.parameters() if parameter.requires_grad)


def _n_parameters(weights: Iterable[Any]) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


def _load(weights: str | None) -> dict[str, Any] | None:
    import numpy as np

    if weights is None:
        return None
    with np.load(weights) as arrays:
        return dict(arrays)


def _torch_inputs(inputs: dict[str, Any], channels_last: bool = False) -> dict[str, Any]:
    """Move channels after the axes of samples, as required by PyTorch's convolutions."""
    import torch

    tensors = {}
    for name, array in inputs.items():
        tensor = torch.from_numpy(array).movedim(-1, 1 if array.ndim == 3 else 2)
        tensors[name] = tensor if channels_last and array.ndim == 5 else tensor.contiguous()
    return tensors


CONTENDERS: dict[str, Callable[..., Job]] = {
    OURS: _ours,
    OURS_XLA: functools.partial(_ours, xla=True),
    OURS_BFLOAT16: functools.partial(_ours, dtype="mixed_bfloat16"),
    OURS_JAX: functools.partial(_ours, xla=True),
    TORCH: _torch,
    TORCH_CHANNELS_LAST: functools.partial(_torch, channels_last=True),
    TORCH_COMPILE: functools.partial(_torch, compiled=True),
    TORCH_BFLOAT16: functools.partial(_torch, bfloat16=True),
}


# --- run in new processes


def prepare(network: str, folder: str) -> dict[str, Any]:
    """Write initial weights for all contenders, drawn by PyTorch, and compare the two implementations.

    Returns:
        The file of the weights, the number of trained parameters of ours and of PyTorch's, and the largest difference
        of their outputs in inference.
    """
    _on_the_cpu()
    import numpy as np
    import torch

    training = NETWORKS[network]
    torch.manual_seed(0)
    theirs = training.torch().eval()
    weights = str(Path(folder, f"{network}.npz"))
    np.savez(weights, **{name: tensor.numpy() for name, tensor in theirs.state_dict().items()})
    ours = training.ours(_load(weights), "float32")
    inputs, _ = training.batch()
    with torch.no_grad():
        expected = training.torch_outputs(theirs(**_torch_inputs(inputs)))
    outputs = training.ours_outputs(ours(inputs, training=False))
    return {
        "weights": weights,
        "n_parameters": [
            _n_parameters(ours.trainable_weights),
            _n_parameters(parameter for parameter in theirs.parameters() if parameter.requires_grad),
        ],
        "max_abs_difference": float(
            np.max([np.abs(our - their.numpy()).max() for our, their in zip(outputs, expected, strict=True)])
        ),
    }


def measure(network: str, contender: str, weights: str | None, full: bool) -> dict[str, Any]:
    """Measure the time of a contender's training steps.

    Returns:
        Seconds from the built network to the end of its first step; medians of the seconds of the timed steps, by the
        clock on the wall and of the processor, and these seconds; the losses of the steps before them.
    """
    _on_the_cpu()
    with tempfile.TemporaryDirectory() as folder:
        # Earlier compilations would be found there.
        os.environ |= {"TORCHINDUCTOR_CACHE_DIR": folder, "JAX_COMPILATION_CACHE_DIR": folder}
        if contender == OURS_JAX:
            os.environ |= {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
        start, n_parameters = CONTENDERS[contender](network, weights)
        began = time.perf_counter()
        step = start()
        losses = [step()]
        first_seconds = time.perf_counter() - began
        losses += [step() for _ in range(N_WARM_UP - 1)]
        wall_seconds, cpu_seconds = [], []
        while len(wall_seconds) < N_STEPS and (full or sum(cpu_seconds) < SLOW_SECONDS):
            began = time.perf_counter(), time.process_time()
            step()
            wall_seconds.append(time.perf_counter() - began[0])
            cpu_seconds.append(time.process_time() - began[1])
    return {
        "first_seconds": first_seconds,
        "wall_seconds": statistics.median(wall_seconds),
        "cpu_seconds": statistics.median(cpu_seconds),
        "steps": {"wall_seconds": wall_seconds, "cpu_seconds": cpu_seconds},
        "losses": losses,
        "n_parameters": n_parameters,
    }


def _on_the_cpu() -> None:
    os.environ |= {"CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}


# --- the benchmark


def benchmark(repeats: int = REPEATS, full: bool = False, threads: int | None = None) -> Outcome:
    """Measure every contender `repeats` times, in turns, so that other load on the machine affects all of them equally.

    Args:
        repeats: number of new processes per contender.
        full: `N_STEPS` steps for slow contenders, too, instead of a limit of `SLOW_SECONDS`.
        threads: threads of every contender; `None`: one per core.
    """
    threads = threads or os.cpu_count() or 1
    missing = _missing()
    contenders = [name for name in CONTENDERS if name not in missing]
    load = [os.getloadavg()[0]]
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {
        network: {name: [] for name in contenders} for network in NETWORKS
    }
    prepared: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        if TORCH in contenders:
            prepared = {name: in_fresh_process(prepare, threads, network=name, folder=folder) for name in NETWORKS}
        for _ in range(repeats):
            for network in NETWORKS:
                weights = prepared[network]["weights"] if prepared else None
                for name in contenders:
                    runs[network][name].append(
                        in_fresh_process(measure, threads, network=network, contender=name, weights=weights, full=full)
                    )
    load.append(os.getloadavg()[0])
    agreement = [line for network in NETWORKS for line in _agreement(network, prepared.get(network), runs[network])]
    return Outcome(
        title=f"A training step on the CPU, threads: {threads}, medians of {repeats}",
        columns=("", "ms per step", "ratio", "CPU ms per step", "CPU ratio", "first step s", "parameters", "measured"),
        rows=tuple(
            _row(network, name, runs[network])
            if name in contenders
            else (f"{network}: {name}", *[""] * 6, missing[name])
            for network in NETWORKS
            for name in CONTENDERS
        ),
        notes=(
            "Ratios are relative to keras_emotion without XLA. Random inputs: the numbers are about speed, not about "
            "emotion.",
            *(line for _, line in agreement),
            "Imports and construction of the network are excluded. Wall times depend on other load; load "
            f"average {load[0]:.1f} before and {load[1]:.1f} after, of which this benchmark causes up to {threads}.",
        ),
        measured={"threads": threads, "load_average": load, "prepared": prepared, "runs": runs},
        passed=all(agrees for agrees, _ in agreement),
    )


def _missing() -> dict[str, str]:
    """Return the contenders that cannot run here, with the reason."""
    missing = {} if importlib.util.find_spec("jax") else {OURS_JAX: f"not installed: {JAX_INSTALLATION}"}
    if importlib.util.find_spec("torch") is None:
        reason = f"not installed: {TORCH_INSTALLATION}"
        return missing | {name: reason for name in CONTENDERS if name.startswith("PyTorch")}
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        missing[TORCH_COMPILE] = "no C++ compiler (g++, or what CXX names)"
    return missing


def _row(network: str, name: str, runs: dict[str, list[dict[str, Any]]]) -> tuple[str, ...]:
    def median(key, name=name):
        return statistics.median(run[key] for run in runs[name])

    label = f"{network}: {name}"
    if name.startswith("PyTorch"):
        label = label.replace("PyTorch", f"PyTorch {importlib.metadata.version('torch')}")
    return (
        label,
        f"{1000 * median('wall_seconds'):.0f}",
        f"{median('wall_seconds') / median('wall_seconds', OURS):.2f}",
        f"{1000 * median('cpu_seconds'):.0f}",
        f"{median('cpu_seconds') / median('cpu_seconds', OURS):.2f}",
        f"{median('first_seconds'):.1f}",
        f"{runs[name][0]['n_parameters']:,}",
        f"{' + '.join(str(len(run['steps']['wall_seconds'])) for run in runs[name])} steps",
    )


def _agreement(
    network: str, prepared: dict[str, Any] | None, runs: dict[str, list[dict[str, Any]]]
) -> list[tuple[bool, str]]:
    """Whether the contenders of a network compute the same, in sentences."""
    found = []
    if prepared is not None:
        ours, theirs = prepared["n_parameters"]
        agrees = prepared["max_abs_difference"] <= AGREEMENT and ours == theirs
        found.append(
            (
                agrees,
                f"{network}: outputs of ours and of PyTorch's {'agree' if agrees else 'DIFFER'} in inference with the "
                f"same weights: largest difference {prepared['max_abs_difference']:.1e} (allowed: {AGREEMENT:g}); "
                f"{ours:,} and {theirs:,} trained parameters.",
            )
        )
    expected = runs[OURS][0]["losses"]
    for precision, allowed in LOSS_AGREEMENT.items():
        compared = {
            name: _difference([run["losses"] for run in runs[name]], expected)
            for name in runs
            if ("bfloat16" in name) == (precision == "bfloat16")
        }
        agrees = all(difference <= allowed for difference in compared.values())
        found.append(
            (
                agrees,
                f"{network}: losses of the first steps {'agree' if agrees else 'DIFFER'} in {precision}: keras_emotion "
                f"{', '.join(f'{loss:.4f}' for loss in expected)}; differences up to "
                f"{', '.join(f'{difference:.1e} ({name})' for name, difference in compared.items())} "
                f"of their fall (allowed: {allowed:g}).",
            )
        )
    return found


def _difference(losses: list[list[float]], expected: list[float]) -> float:
    """Return the largest difference of several runs, relative to the fall of the expected loss; NaN if undefined."""
    fall = abs(expected[0] - expected[-1])
    differences = [abs(loss - other) / fall for run in losses for loss, other in zip(run, expected, strict=True)]
    return max(differences, key=lambda difference: (math.isnan(difference), difference))
