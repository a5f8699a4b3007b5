"""DeepVANet as a PyTorch network whose state dict has the released names, written from the specification."""

import torch
from torch import nn


class ConvLSTMCell(nn.Module):
    """One step; a single convolution computes the gates i, f, o and g from input and hidden state."""

    def __init__(self, n_filters):
        super().__init__()
        self.conv = nn.Conv2d(2 * n_filters, 4 * n_filters, 3, padding=1)

    def forward(self, maps, hidden, cell):
        i, f, o, g = self.conv(torch.cat([maps, hidden], dim=1)).chunk(4, dim=1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        return o.sigmoid() * cell.tanh(), cell


class ConvLSTM(nn.Module):
    """The last hidden state of a sequence, from a state of zeros."""

    def __init__(self, n_filters):
        super().__init__()
        self.cell = ConvLSTMCell(n_filters)

    def forward(self, sequence):
        hidden = cell = torch.zeros_like(sequence[:, 0])
        for maps in sequence.unbind(dim=1):
            hidden, cell = self.cell(maps, hidden, cell)
        return hidden


class FaceFeatureExtractor(nn.Module):
    def __init__(self, units, rows):
        super().__init__()
        self.cnn = nn.Sequential(
            *(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.MaxPool2d(3, stride=2)),
            *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(3, stride=2)),
            *(nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, stride=2)),
        )
        self.rnn = ConvLSTM(128)
        self.fc = nn.Linear(128 * rows * rows, units)

    def forward(self, faces):
        maps = self.cnn(faces.flatten(0, 1)).unflatten(0, faces.shape[:2])
        return self.fc(self.rnn(maps).flatten(1))


class BioFeatureExtractor(nn.Module):
    def __init__(self, units, n_channels, n_samples):
        super().__init__()
        self.cnn = nn.Sequential(
            *(nn.Conv1d(n_channels, 24, 5), nn.BatchNorm1d(24), nn.ReLU()),
            *(nn.Conv1d(24, 16, 3), nn.BatchNorm1d(16), nn.ReLU()),
            *(nn.Conv1d(16, 8, 3), nn.BatchNorm1d(8), nn.ReLU()),
        )
        self.fc = nn.Linear(8 * (n_samples - 8), units)

    def forward(self, bio):
        return self.fc(self.cnn(bio).flatten(1))


class ReleasedDeepVANet(nn.Module):
    """Network for faces `(batch, frames, 3, rows, columns)`, signals `(batch, channels, samples)`, or both."""

    def __init__(self, n_channels=40, n_samples=128, rows=6, face_units=16, bio_units=64, dropout=0.5):
        super().__init__()
        if face_units:
            self.face_feature_extractor = FaceFeatureExtractor(face_units, rows)
        if bio_units:
            self.bio_feature_extractor = BioFeatureExtractor(bio_units, n_channels, n_samples)
        self.classifier = nn.Sequential(
            nn.Linear(face_units + bio_units, 20), nn.ReLU(), nn.Dropout(dropout), nn.Linear(20, 1), nn.Sigmoid()
        )

    def forward(self, faces=None, bio=None):
        features = [] if faces is None else [self.face_feature_extractor(faces)]
        features += [] if bio is None else [self.bio_feature_extractor(bio)]
        return self.classifier(torch.cat(features, dim=1))
