"""Readers of recording formats that MNE does not support, which return MNE objects."""
