"""Formats of recordings beside those that MNE reads by itself, each given as MNE gives its own."""
