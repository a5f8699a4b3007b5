"""`python -m tests.fuzz.guided FORMAT --runs N`: damaged files, chosen by the code that they reach.

Atheris mutates one file of a format and keeps what reaches new code of `keras_emotion`. It runs in one process: an
exception that is no `InputError`, a crash, or an input that takes too long ends the run, and leaves its content as a
file.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import sys
import tempfile
import warnings
from pathlib import Path

MEMORY_MIB = 4096
SECONDS = 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided", description=__doc__)
    parser.add_argument("format", help="name of a format, see `python -m tests.fuzz --list`")
    parser.add_argument("--file", help="the file that is damaged; by default the first of the format")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="above 0")
    parser.add_argument(
        "--findings", type=Path, default=Path("fuzz-findings"), help="folder for inputs that are findings"
    )
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        sys.stdout.write("skipped: atheris is not installed (pip install atheris)\n")
        return 0
    import atheris

    with atheris.instrument_imports(include=["keras_emotion"]):
        from keras_emotion.limits import ENVIRONMENT_VARIABLE
        from keras_emotion.schema import InputError
        from tests.fuzz.formats import all_formats
        from tests.fuzz.harness import LIMITS, Target

        forms = all_formats()
    if options.format not in forms:
        sys.stderr.write(f"{options.format}: no such format; expected one of {', '.join(forms)}\n")
        return 2
    form = forms[options.format]
    if form.missing:
        sys.stdout.write(f"skipped: {form.missing} is not installed\n")
        return 0
    os.environ[ENVIRONMENT_VARIABLE] = LIMITS
    home = Path(tempfile.mkdtemp(prefix="guided-"))
    for folder in ("intact", "seeds"):
        (home / folder).mkdir()
    form.write(home / "intact")
    target = Target(form, home / "intact", home / "damaged")
    name = options.file or sorted(target.contents)[0]
    (home / "seeds" / "intact").write_bytes(target.contents[name])
    options.findings.mkdir(parents=True, exist_ok=True)

    def read(content: bytes) -> None:
        target.replace(name, content)
        with warnings.catch_warnings(), contextlib.suppress(InputError):
            warnings.simplefilter("ignore")
            form.read(target.folder)
        if form.changes_folder:
            target.restore()

    limits = [f"-runs={options.runs}", f"-seed={options.seed}", f"-timeout={SECONDS}", f"-rss_limit_mb={MEMORY_MIB}"]
    size = f"-max_len={2 * len(target.contents[name]) + 64}"
    place = f"-artifact_prefix={options.findings.absolute()}/"
    atheris.Setup([sys.argv[0], str(home / "seeds"), *limits, size, place], read)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
