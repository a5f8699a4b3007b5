"""Console and JSON output of commands."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from keras_emotion.visible_text import visible_console

if TYPE_CHECKING:
    import rich.console
    import rich.table


def make_console() -> rich.console.Console:
    """Return a console on standard output, 160 columns wide if that is not a terminal."""
    return visible_console(width=None if sys.stdout.isatty() else 160)


def print_json(**content: Any) -> None:
    """Print one JSON object; numbers that are not finite raise `ValueError`."""
    print(json.dumps(content, indent=2, allow_nan=False))
