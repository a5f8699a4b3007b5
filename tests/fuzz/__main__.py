"""`python -m tests.fuzz`: read damaged files of all formats, and write the figures.

It ends with 1 if there are findings other than refusals for lack of memory.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.fuzz.formats import Format, all_formats
from tests.fuzz.harness import OUT_OF_MEMORY, Figures, Finding, Target, fork, fuzz, mutated, summary, table

CLAIMS = "claims"
"""Folder in which a process that takes a format makes a file, which only one can make."""


def write_corpus(form: Format, folder: Path) -> None:
    """Write intact files in a fork of this process: TensorFlow, once started, survives no further fork."""
    folder.mkdir(parents=True, exist_ok=True)
    process = fork()
    if not process:
        code = 1
        try:
            form.write(folder)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    if os.waitpid(process, 0)[1]:
        raise RuntimeError(f"{form.name}: the intact files cannot be written")


def run_formats(forms: list[Format], n_inputs: int, first: int, seed: int, n_workers: int, home: Path) -> list[Figures]:
    """Fuzz formats in several processes, each with one format after the other."""
    (home / CLAIMS).mkdir(parents=True)
    processes = []
    for _ in range(n_workers):
        process = fork()
        if process:
            processes.append(process)
            continue
        code = 1
        try:
            for form in forms:
                _take(form, n_inputs, first, seed, home)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    for process in processes:
        if os.waitpid(process, 0)[1]:
            raise SystemExit("a process of the harness failed; see above")
    return [_read_figures(home / CLAIMS / form.name) for form in forms]


def _take(form: Format, n_inputs: int, first: int, seed: int, home: Path) -> None:
    claim = home / CLAIMS / form.name
    try:
        claim.touch(exist_ok=False)
    except FileExistsError:
        return
    if form.missing:
        figures = Figures(form.name, seed, skipped=f"{form.missing} not installed")
    else:
        corpus = home / "corpus" / form.name
        write_corpus(form, corpus)
        figures = fuzz(form, corpus, home / "scratch" / form.name, seed, range(first, first + n_inputs))
        shutil.rmtree(corpus)
    sys.stderr.write(f"{table([figures]).splitlines()[2]}\n")
    claim.write_text(json.dumps(dataclasses.asdict(figures)))


def _read_figures(path: Path) -> Figures:
    fields = json.loads(path.read_text())
    return Figures(**{**fields, "findings": [Finding(**one) for one in fields["findings"]]})


def keep_input(form: Format, seed: int, index: int, folder: Path) -> None:
    """Write the intact files of a format with one of them damaged, and read them: a finding, repeated."""
    corpus = folder / "intact"
    write_corpus(form, corpus)
    target = Target(form, corpus, folder / "damaged")
    name, content, _, _ = mutated(form, target.contents, seed, index)
    target.replace(name, content)
    before = len(target.contents[name])
    sys.stdout.write(f"{folder / 'damaged' / name}: {len(content)} bytes in place of {before}\n")
    sys.stdout.write(f"{form.read(folder / 'damaged')}\n")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, help="inputs in all, shared among the formats")
    parser.add_argument("--first", type=int, default=0, help="index of the first input of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--format", action="append", metavar="TEXT", help="formats whose name has this text; repeatable"
    )
    parser.add_argument("--only", type=int, metavar="INDEX", help="repeat one input of one format, and keep its files")
    parser.add_argument("--output", type=Path, help="file for the figures (.json; the table beside it as .md)")
    parser.add_argument("--list", action="store_true", help="list the formats")
    options = parser.parse_args()
    forms = [
        form
        for name, form in all_formats().items()
        if not options.format or any(text in name for text in options.format)
    ]
    if options.list or not forms:
        sys.stdout.write("".join(f"{form.name}\n" for form in forms) or "no format has such a name\n")
        return 0 if forms else 2
    if options.only is not None:
        exact = [form for form in forms if form.name in (options.format or ())] or forms
        keep_input(exact[0], options.seed, options.only, Path(tempfile.mkdtemp(prefix="fuzz-")))
        return 0
    # Before anything is forked: a fork that shares what is imported takes no time. No operation runs here.
    import keras  # noqa: F401

    import keras_emotion.inference
    import keras_emotion.models
    import keras_emotion.systems  # noqa: F401

    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as home:
        n_inputs = -(-options.inputs // len(forms))
        figures = run_formats(forms, n_inputs, options.first, options.seed, options.workers, Path(home))
    findings = [finding for one in figures for finding in one.findings]
    sys.stdout.write(f"{table(figures)}\n{summary(findings) or 'no findings'}\n")
    sys.stdout.write(
        f"seed {options.seed}, inputs {options.first} to {options.first + n_inputs - 1} of each format, "
        f"{options.workers} workers, {time.monotonic() - started:.0f} s\n"
    )
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps([dataclasses.asdict(one) for one in figures], indent=1))
        options.output.with_suffix(".md").write_text(table(figures))
    return 1 if any(finding.kind != OUT_OF_MEMORY for finding in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
