"""Start-up of every Python process that tests start, by `PYTHONPATH` (see `conftest.py`): fewer garbage collections.

Importing TensorFlow leaves so many objects that going through them is a fifth of the time of a short process. The
thresholds are those of the tests' own process; at the end, nothing is collected.
"""

import atexit
import gc

gc.set_threshold(50_000, 20, 20)
atexit.register(gc.freeze)
