"""Fails where a notebook in the given folder carries outputs or execution counts."""

import json
import sys
from pathlib import Path

carrying = [
    f"{path}: cell {number} carries outputs; clear them before you commit"
    for path in sorted(Path(sys.argv[1]).glob("**/*.ipynb"))
    for number, cell in enumerate(json.loads(path.read_text())["cells"], start=1)
    if cell["cell_type"] == "code" and (cell["outputs"] or cell["execution_count"] is not None)
]
sys.exit("\n".join(carrying) or None)
