"""Puts the benchmarks on the path: the network of PyTorch that weights are compared with is one of their contenders."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
