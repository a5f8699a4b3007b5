"""Puts this folder on the path: the tests and the other-backend process import the same table."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
