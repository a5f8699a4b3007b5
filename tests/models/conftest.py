"""Puts this folder on the path: the network of PyTorch is a module of its own."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
