"""MERCL as plain PyTorch networks, written from the paper (Lee, Kim and Kim, 2024, section 3): both stages."""

import itertools

import torch
from torch import nn
from torch.nn import functional

MODALITIES = ("visual", "audio", "eeg")
# As Keras's: its epsilon, and a moving average of 0.99.
NORMALIZATION = {"eps": 1e-3, "momentum": 0.01}


class TemporalBlock(nn.Module):
    """Eq. 1, batch normalisation and ELU around a residual connection."""

    def __init__(self, n_features, units, dilation):
        super().__init__()
        self.padding = 2 * dilation
        self.conv = nn.Conv1d(n_features, units, 3, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm1d(units, **NORMALIZATION)
        self.project = nn.Conv1d(n_features, units, 1) if n_features != units else nn.Identity()

    def forward(self, sequence):
        return functional.elu(self.norm(self.conv(functional.pad(sequence, (self.padding, 0))))) + self.project(
            sequence
        )


class ConformerConvolution(nn.Module):
    """The convolution module of EEG Conformer; returns `(batch, filters, steps)`."""

    def __init__(self, n_channels, n_bands, filters=40):
        super().__init__()
        self.temporal = nn.Conv2d(n_bands, filters, (5, 1), bias=False)
        self.spatial = nn.Conv2d(filters, filters, (1, n_channels), bias=False)
        self.norm = nn.BatchNorm2d(filters, **NORMALIZATION)
        self.pool = nn.AvgPool2d((3, 1), (2, 1))
        self.project = nn.Linear(filters, filters)

    def forward(self, eeg):
        maps = self.pool(functional.elu(self.norm(self.spatial(self.temporal(eeg.transpose(1, 2))))))
        return self.project(maps.squeeze(-1).transpose(1, 2)).transpose(1, 2)


class Encoders(nn.Module):
    """Sequences `(batch, units, steps)` from features of pictures `(batch, features, frames)`, of sound and of EEG."""

    def __init__(self, n_picture_features=768, n_sound_features=128, n_channels=32, n_bands=5, units=128):
        super().__init__()
        self.conformer = ConformerConvolution(n_channels, n_bands)
        widths = {"visual": n_picture_features, "audio": n_sound_features, "eeg": 40}
        self.tcn = nn.ModuleDict(
            {
                name: nn.Sequential(
                    *(TemporalBlock(width if dilation == 1 else units, units, dilation) for dilation in (1, 2, 4, 8))
                )
                for name, width in widths.items()
            }
        )

    def forward(self, visual, audio, eeg):
        inputs = {"visual": visual, "audio": audio, "eeg": self.conformer(eeg)}
        return {name: self.tcn[name](inputs[name]) for name in MODALITIES}


class MERCLEmbeddings(nn.Module):
    """The first stage: `(batch, 3, units)` embeddings of length 1."""

    def __init__(self, units=128):
        super().__init__()
        self.encoders = Encoders(units=units)
        self.project = nn.ModuleDict({name: nn.Linear(units, units, bias=False) for name in MODALITIES})

    def forward(self, **inputs):
        h = self.encoders(**inputs)
        z = torch.stack([self.project[name](h[name].mean(dim=-1)) for name in MODALITIES], dim=1)
        return functional.normalize(z, dim=-1)


class MERCLClassifier(nn.Module):
    """The second stage: logits, on fixed encoders."""

    def __init__(self, units=128, n_heads=4, n_classes=2):
        super().__init__()
        self.encoders = Encoders(units=units).requires_grad_(False)
        self.pairs = [pair for one, two in itertools.combinations(range(3), 2) for pair in ((two, one), (one, two))]
        self.attentions = nn.ModuleList(
            nn.MultiheadAttention(units, n_heads, bias=False, batch_first=True) for _ in self.pairs
        )
        self.hidden = nn.Linear(6 * units, units)
        self.classifier = nn.Linear(units, n_classes)
        self.train()

    def train(self, mode=True):
        super().train(mode)
        self.encoders.eval()
        return self

    def forward(self, **inputs):
        h = [sequence.transpose(1, 2) for sequence in self.encoders(**inputs).values()]
        means = [
            attention(h[target], h[source], h[source], need_weights=False)[0].mean(dim=1)
            for attention, (source, target) in zip(self.attentions, self.pairs, strict=True)
        ]
        return self.classifier(self.hidden(torch.cat(means, dim=1)).relu())


def mercl_loss(z, labels, temperature=0.1, alpha=1.0):
    """Eq. 3 to 7 with exponentials of the dot products, all weights 1."""
    n_rows, n_modalities, _ = z.shape
    z = z.float().transpose(0, 1).flatten(0, 1)
    products = z @ z.T
    modality = torch.arange(n_modalities).repeat_interleave(n_rows)
    row, label = torch.arange(n_rows).repeat(n_modalities), labels.repeat(n_modalities)
    same_modality = modality[:, None] == modality
    same_class = label[:, None] == label
    another = ~torch.eye(len(z), dtype=torch.bool)

    def ratio(pairs):
        logits = products / temperature
        everything = logits.masked_fill(~pairs, -torch.inf).logsumexp(dim=1)
        positives = logits.masked_fill(~(pairs & same_class), -torch.inf).logsumexp(dim=1)
        return (everything - positives).mean()

    same_row = (row[:, None] == row) & ~same_modality
    alignment = ((products[same_row] - alpha) ** 2).mean()
    return ratio(same_modality & another) + ratio(~same_modality) + alignment
