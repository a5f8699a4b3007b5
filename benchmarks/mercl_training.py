"""Both stages of MERCL for the benchmark of training steps, see `train.py`."""

from __future__ import annotations

from typing import Any

EFFECT = 0.5
N_ROWS = 64
_DILATIONS = 4


class MERCLPretrainingStep:
    """The contrastive stage of MERCL on features of frozen encoders: batches of 64 blocks of 4 s."""

    def batch(self) -> tuple[dict[str, Any], Any]:
        """Return inputs in Keras's layout, and labels."""
        import numpy as np

        rng = np.random.default_rng(0)
        labels = rng.integers(0, 2, N_ROWS)
        shapes = {"visual": (8, 768), "audio": (4, 128), "eeg": (25, 32, 5)}
        inputs = {}
        for name, shape in shapes.items():
            effect = EFFECT * labels.astype(np.float32).reshape(-1, *[1] * len(shape))
            inputs[name] = rng.standard_normal((N_ROWS, *shape), np.float32) + effect
        return inputs, labels

    def ours(self, weights: dict[str, Any] | None, dtype: str) -> Any:
        """Return our network, with PyTorch's weights if given."""
        from keras_emotion.models import MERCLEncoder

        model = MERCLEncoder(dropout=0.0, dtype=dtype)
        if weights is not None:
            _set_encoders(model, weights)
            for name in model.modalities:
                model.get_layer(f"{name}_projection").set_weights([weights[f"project.{name}.weight"].T])
        return model

    def ours_losses(self) -> dict[str, Any]:
        """Return our system's arguments of `compile`."""
        from keras_emotion.losses import MERCLLoss

        return {"loss": MERCLLoss()}

    def ours_targets(self, labels: Any) -> Any:
        """Return the targets of our system: class, stimulus, silent."""
        import numpy as np

        return np.stack([labels, np.arange(len(labels)), np.zeros_like(labels)], axis=1).astype(np.int32)

    def ours_outputs(self, outputs: Any) -> list[Any]:
        """Return the outputs that are compared in inference."""
        return [outputs]

    def torch(self) -> Any:
        """Return the PyTorch network."""
        from torch_mercl import MERCLEmbeddings

        return MERCLEmbeddings()

    def torch_loss(self, outputs: Any, labels: Any) -> Any:
        """Return the same loss in PyTorch."""
        from torch_mercl import mercl_loss

        return mercl_loss(outputs, labels)

    def torch_outputs(self, outputs: Any) -> list[Any]:
        """Return the outputs that are compared in inference."""
        return [outputs]


class MERCLClassifierStep(MERCLPretrainingStep):
    """The second stage of MERCL, its encoders frozen: batches of 64 blocks of 4 s."""

    def ours(self, weights: dict[str, Any] | None, dtype: str) -> Any:
        """Return our network, with PyTorch's weights if given."""
        import numpy as np

        from keras_emotion.models import MERCL

        model = MERCL(dropout=0.0, freeze_encoders=True, dtype=dtype)
        if weights is not None:
            _set_encoders(model, weights)
            kernels = []
            for number in range(6):
                projections = np.split(weights[f"attentions.{number}.in_proj_weight"], 3)
                n_units = len(projections[0])
                kernels += [projection.T.reshape(n_units, model.n_heads, -1) for projection in projections]
                kernels.append(weights[f"attentions.{number}.out_proj.weight"].T.reshape(model.n_heads, -1, n_units))
            model.get_layer("cross_modal_attention").set_weights(kernels)
            for name in ("hidden", "classifier"):
                model.get_layer(name).set_weights([weights[f"{name}.weight"].T, weights[f"{name}.bias"]])
        return model

    def ours_losses(self) -> dict[str, Any]:
        """Return our system's arguments of `compile`."""
        return {"loss": "sparse_categorical_crossentropy"}

    def ours_targets(self, labels: Any) -> Any:
        """Return the targets of our system."""
        return labels

    def torch(self) -> Any:
        """Return the PyTorch network."""
        from torch_mercl import MERCLClassifier

        return MERCLClassifier()

    def torch_loss(self, outputs: Any, labels: Any) -> Any:
        """Return the same loss in PyTorch."""
        from torch.nn import functional

        return functional.cross_entropy(outputs.float(), labels)

    def torch_outputs(self, outputs: Any) -> list[Any]:
        """Return the outputs that are compared in inference."""
        return [outputs.softmax(dim=-1)]


def _set_encoders(model: Any, weights: dict[str, Any]) -> None:
    import numpy as np

    def normalization(name):
        return [weights[f"encoders.{name}.{one}"] for one in ("weight", "bias", "running_mean", "running_var")]

    def kernel(name):
        # Filters and features come first in PyTorch, last in Keras.
        return np.moveaxis(weights[f"encoders.{name}.weight"], (0, 1), (-1, -2))

    conformer = "conformer"
    model.get_layer("eeg_conformer").set_weights(
        [
            kernel(f"{conformer}.temporal"),
            kernel(f"{conformer}.spatial"),
            *normalization(f"{conformer}.norm"),
            weights[f"encoders.{conformer}.project.weight"].T,
            weights[f"encoders.{conformer}.project.bias"],
        ]
    )
    for modality in model.modalities:
        arrays = []
        for number in range(_DILATIONS):
            block = f"tcn.{modality}.{number}"
            arrays += [kernel(f"{block}.conv"), *normalization(f"{block}.norm")]
            if f"encoders.{block}.project.weight" in weights:
                arrays += [kernel(f"{block}.project"), weights[f"encoders.{block}.project.bias"]]
        model.get_layer(f"{modality}_tcn").set_weights(arrays)
