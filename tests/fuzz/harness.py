"""Reads damaged files in forked processes, and judges what became of each.

A worker is forked from a process that has imported everything, reads the intact files first, and then one damaged
input after the other, with limits of memory and time. An input is fine when it is read or refused with an `InputError`.
Everything else is a finding: another exception, a hang, the end of the process, memory beyond the limit, the execution
of anything that a file brought, and, of files of ours that have a checksum, other content than was written.
"""

from __future__ import annotations

import collections
import dataclasses
import faulthandler
import hashlib
import json
import os
import random
import re
import resource
import select
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_emotion.limits import ENVIRONMENT_VARIABLE
from keras_emotion.schema import InputError
from tests.fuzz.formats import Format
from tests.fuzz.mutations import Canary, attempt, damage, past_the_header

SECONDS = 10.0
"""An input that takes more time of a processor hangs."""

WAITED_SECONDS = 120.0
"""An input that takes longer by the clock hangs, whatever it does: other work on the machine counts, too."""

MEMORY_BYTES = 2**30
"""What an input may make a process allocate beyond what the intact files need."""

LIMITS = "memory_gib=0.25,table_mib=8,picture_megapixels=4,video_hours=1"
"""`--limit` of the workers: what a file declares has to be refused far below `MEMORY_BYTES`."""

OUT_OF_MEMORY = "out of memory"
"""Kind of a finding: the input is refused in one line, because a library asked for more memory than the limit. It is
listed, since the library may get that much on another machine, but it is no fault of the reader."""

PAST_HEADER_SHARE = 0.4
INPUTS_OF_A_WORKER = 500

_EXECUTIONS = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect")
_LACKING = re.compile(r"out of memory|[Uu]nable to allocate|Cannot allocate memory")


@dataclasses.dataclass(frozen=True)
class Finding:
    """An input that was neither read nor refused; `--format FORMAT --seed SEED --only INDEX` repeats it."""

    format: str
    seed: int
    index: int
    file: str
    kind: str
    text: str


@dataclasses.dataclass
class Figures:
    """What became of the inputs of a format."""

    format: str
    seed: int
    inputs: int = 0
    refused: int = 0
    as_before: int = 0
    other_content: int = 0
    past_header: int = 0
    seconds: float = 0.0
    slowest_seconds: float = 0.0
    findings: list[Finding] = dataclasses.field(default_factory=list)
    skipped: str = ""


# --- content


def fingerprint(value: Any) -> str:
    """Hash of what a reader gave: arrays and tables by their content, objects by their fields, paths by their names."""
    whole = hashlib.blake2b(digest_size=16)
    for piece in _pieces(value):
        whole.update(piece)
    return whole.hexdigest()


def _pieces(value: Any) -> Iterator[bytes]:
    if isinstance(value, np.ndarray):
        yield f"{value.dtype}{value.shape}".encode()
        yield repr(value.tolist()).encode() if value.dtype == object else np.ascontiguousarray(value).tobytes()
    elif isinstance(value, pd.DataFrame):
        yield value.to_csv().encode(errors="surrogatepass")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from _pieces({one.name: getattr(value, one.name) for one in dataclasses.fields(value)})
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield repr(key).encode()
            yield from _pieces(inner)
    elif isinstance(value, list | tuple):
        yield b"("
        for inner in value:
            yield from _pieces(inner)
    elif isinstance(value, set | frozenset):
        yield from _pieces(sorted(map(repr, value)))
    elif isinstance(value, Path):
        yield value.name.encode(errors="surrogatepass")
    else:
        yield repr(value).encode(errors="surrogatepass")


# --- inputs


def mutated(form: Format, contents: Mapping[str, bytes], seed: int, index: int) -> tuple[str, bytes, bool, bool]:
    """The input of an index: which file is changed, its new content, whether past the header, whether resealed."""
    rng = random.Random(f"{seed}:{form.name}:{index}")
    name = rng.choice(sorted(contents))
    content = contents[name]
    if rng.random() >= PAST_HEADER_SHARE:
        return name, damage(content, rng), False, False
    mutate = form.past_header or past_the_header(Path(name))
    return name, attempt(mutate, content, rng), True, True


class Target:
    """The files of a format in a folder of their own, one of which is replaced at a time."""

    def __init__(self, form: Format, corpus: Path, folder: Path):
        self.form, self._corpus, self.folder = form, corpus, folder
        self.contents = {
            path.relative_to(corpus).as_posix(): path.read_bytes()
            for pattern in form.files
            for path in sorted(corpus.glob(pattern))
            if path.is_file()
        }
        if not self.contents:
            raise LookupError(f"{form.name}: no files {form.files} in {corpus}")
        self.restore()

    def restore(self) -> None:
        """Make the folder anew."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self._corpus, self.folder)

    def read(self) -> str:
        """Read the folder.

        Raises:
            Exception: whatever the reader raises.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return fingerprint(self.form.read(self.folder))

    def replace(self, name: str, content: bytes) -> None:
        """Give a file other content."""
        (self.folder / name).write_bytes(content)

    def put_back(self, name: str) -> None:
        """Have the folder as it was."""
        if self.form.changes_folder:
            self.restore()
        else:
            self.replace(name, self.contents[name])


# --- workers


class _Executions:
    """What a file had the interpreter do, by Python's audit events; watched from `start` on."""

    def __init__(self):
        self.seen: list[str] = []
        self.is_on = False
        sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: tuple) -> None:
        if self.is_on and event in _EXECUTIONS and not self._is_ours(event, arguments):
            self.seen.append(f"{event} {arguments!r:.200}")

    @staticmethod
    def _is_ours(event: str, arguments: tuple) -> bool:
        # What a reader does by itself, on intact files too, and what restores exceptions of PyAV and pydantic.
        return event == "socket.connect" and "AF_UNIX" in repr(arguments)


def _worker(form: Format, corpus: Path, scratch: Path, seed: int, indices: range, out: int) -> None:
    """Read the inputs of some indices; a line of JSON for each."""
    os.environ[ENVIRONMENT_VARIABLE] = LIMITS
    # A crash is reported by its signal.
    faulthandler.disable()
    # The timer's signal ends the process; some libraries have it ignored.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    scratch.mkdir(parents=True, exist_ok=True)
    os.chdir(scratch)
    # What readers print about an input would be megabytes, and their native parts print past Python.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    target = Target(form, corpus, scratch / "files")
    intact = target.read()
    if target.read() != intact:
        intact = ""
    executions = _Executions()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    allowed = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))
    with os.fdopen(out, "w") as lines:
        for index in indices:
            name, content, is_past, is_resealed = mutated(form, target.contents, seed, index)
            told = {"index": index, "file": name, "past": is_past}
            started = time.monotonic()
            target.replace(name, content)
            executions.seen.clear()
            executions.is_on = True
            # Ends the process, also where it is in compiled code.
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            try:
                found = target.read()
                told["outcome"] = "as_before" if found == intact else "other_content"
                checked = form.has_checksum and not is_resealed and content != target.contents[name]
                if checked and found != intact:
                    told |= {"outcome": "finding", "kind": "accepted", "text": "damaged, and read with other content"}
            except InputError as error:
                told["outcome"] = "refused"
                if fault := _fault_of_refusal(error):
                    told |= {"outcome": "finding", "kind": "message", "text": fault}
                if _lacks_memory(error):
                    told |= {"outcome": "finding", "kind": OUT_OF_MEMORY, "text": str(error)[:300]}
            except BaseException as error:
                told |= {"outcome": "finding", "kind": "exception", "text": _place(error)}
                if _lacks_memory(error):
                    told["kind"] = "memory"
            signal.setitimer(signal.ITIMER_PROF, 0)
            executions.is_on = False
            told["seconds"] = time.monotonic() - started
            if executions.seen or (scratch / Canary.marker).exists():
                told |= {"outcome": "finding", "kind": "execution", "text": "; ".join(executions.seen[:3])}
                (scratch / Canary.marker).unlink(missing_ok=True)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            if peak - before > MEMORY_BYTES // 2 and told["outcome"] != "finding":
                told |= {"outcome": "finding", "kind": "memory", "text": f"{(peak - before) / 2**20:.0f} MiB"}
            before = max(before, peak)
            lines.write(json.dumps(told) + "\n")
            lines.flush()
            target.put_back(name)


def _fault_of_refusal(error: InputError) -> str:
    """What is wrong with a message: it has no text, or traces of a traceback."""
    text = str(error)
    if not text.strip():
        return "an empty message"
    if "Traceback (most recent call last)" in text:
        return f"a traceback in a message: {text[:200]}"
    return ""


def _lacks_memory(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError) or _LACKING.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [f"{Path(one.filename).name}:{one.lineno}" for one in frames if "keras_emotion" in one.filename][-3:]
    last = frames[-1]
    return f"{type(error).__name__}: {str(error)[:160]!r} in {' '.join(own)}, {Path(last.filename).name}:{last.lineno}"


def fuzz(form: Format, corpus: Path, scratch: Path, seed: int, indices: range) -> Figures:
    """Read damaged files of a format.

    Args:
        form: the format.
        corpus: its intact files.
        scratch: a folder for the damaged ones.
        seed: of the mutations, with the index.
        indices: which inputs.
    """
    figures, started = Figures(form.name, seed), time.monotonic()
    place = indices.start
    while place < indices.stop:
        own = range(place, min(place + form.inputs_of_a_worker, indices.stop))
        place = _watched(form, corpus, scratch, seed, own, figures)
    figures.seconds = time.monotonic() - started
    shutil.rmtree(scratch, ignore_errors=True)
    return figures


def fork() -> int:
    """`os.fork`, without the warnings of packages whose threads a fork does not have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return os.fork()


def _watched(form: Format, corpus: Path, scratch: Path, seed: int, indices: range, figures: Figures) -> int:
    """One worker, watched; gives the index after the last one that it came to."""
    reading, writing = os.pipe()
    process = fork()
    if not process:
        os.close(reading)
        code = 1
        try:
            _worker(form, corpus, scratch, seed, indices, writing)
            code = 0
        except BaseException as error:
            with open(corpus / ".fuzz-failed", "w") as file:
                traceback.print_exception(error, file=file)
        finally:
            os._exit(code)
    os.close(writing)
    place, buffered, has_hung = indices.start, b"", False
    # The intact files are read first, twice.
    patience = 4 * WAITED_SECONDS
    while True:
        ready, _, _ = select.select([reading], [], [], patience)
        piece = os.read(reading, 65536) if ready else b""
        if not piece:
            has_hung = not ready
            break
        *lines, buffered = (buffered + piece).split(b"\n")
        for line in lines:
            _count(figures, json.loads(line))
            place += 1
            patience = WAITED_SECONDS
    os.close(reading)
    if has_hung:
        os.kill(process, signal.SIGKILL)
    status = os.waitpid(process, 0)[1]
    if place < indices.stop:
        if os.WIFEXITED(status) and (failed := corpus / ".fuzz-failed").is_file():
            raise RuntimeError(f"{form.name}: the worker failed by itself:\n{failed.read_text()}")
        contents = Target(form, corpus, scratch / "again").contents
        name, _, is_past, _ = mutated(form, contents, seed, place)
        is_slow = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF
        kind, text = ("hang", f"over {SECONDS:g} s") if has_hung or is_slow else ("crash", f"wait status {status}")
        told = {"index": place, "file": name, "past": is_past, "outcome": "finding", "kind": kind, "text": text}
        _count(figures, told)
        place += 1
    return place


def _count(figures: Figures, told: Mapping[str, Any]) -> None:
    figures.inputs += 1
    figures.past_header += told["past"]
    figures.slowest_seconds = max(figures.slowest_seconds, told.get("seconds", 0.0))
    if told["outcome"] == "finding":
        finding = Finding(figures.format, figures.seed, told["index"], told["file"], told["kind"], told["text"])
        figures.findings.append(finding)
    else:
        setattr(figures, told["outcome"], getattr(figures, told["outcome"]) + 1)


# --- tables


def table(rows: list[Figures]) -> str:
    """Figures as a table in Markdown, with their sum."""
    lines = [
        "| format | inputs | refused | read, same content | read, other content | past the first checks | findings | s "
        "| slowest s |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in sorted(rows, key=lambda one: one.format):
        if one.skipped:
            lines.append(f"| {one.format} | skipped: {one.skipped} | | | | | | | |")
        else:
            lines.append(_row(one.format, one, len(one.findings), one.slowest_seconds))
    total = Figures("all", 0)
    for one in rows:
        for name in ("inputs", "refused", "as_before", "other_content", "past_header", "seconds"):
            setattr(total, name, getattr(total, name) + getattr(one, name))
    n_findings = sum(len(one.findings) for one in rows)
    lines.append(_row("**all**", total, n_findings, max((one.slowest_seconds for one in rows), default=0.0)))
    return "\n".join(lines) + "\n"


def _row(name: str, one: Figures, n_findings: int, slowest: float) -> str:
    counts = (one.inputs, one.refused, one.as_before, one.other_content, one.past_header, n_findings)
    cells = [name, *(f"{count:,}" for count in counts), f"{one.seconds:.0f}", f"{slowest:.1f}"]
    return f"| {' | '.join(cells)} |"


def summary(findings: list[Finding]) -> str:
    """Findings by format and words, the first index of each."""
    groups: dict[tuple[str, str, str], list[Finding]] = collections.defaultdict(list)
    for one in findings:
        groups[one.format, one.kind, re.sub(r"'.*?'|\d+", "#", one.text)[:120]].append(one)
    return "".join(
        f"{name} {kind} x{len(own)}: {own[0].file} (--seed {own[0].seed} --only {own[0].index}): {own[0].text}\n"
        for (name, kind, _), own in sorted(groups.items())
    )
