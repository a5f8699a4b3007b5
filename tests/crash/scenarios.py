"""What happens to a run besides signals: lost workers, full disks, damaged files, clocks, permissions, memory."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from keras_emotion.json_files import json_bytes, read_json
from tests.crash.conditions import as_an_ordinary_user, fill, small_disk, with_clock, with_memory
from tests.crash.phases import PHASES, SEARCH, TWO_WORKERS, Prepared, prepare
from tests.crash.starts import Ended, Kill, processes_of, run, say

RESUME = ("--resume",)
BY_NAME = {phase.name: phase for phase in PHASES}


@dataclasses.dataclass
class Case:
    """Where scenarios work.

    Args:
        prepared: each phase with its starting point and its results.
        folder: of the case, the same each time.
        rng: seeded.
    """

    prepared: dict[str, Prepared]
    folder: Path
    rng: random.Random

    def start(self, name: str) -> Prepared:
        """Put the folder back to where a phase starts."""
        self.prepared[name].case(self.folder)
        return self.prepared[name]

    def finished(self, prepared: Prepared, words: tuple[str, ...] | None = None) -> list[str]:
        """Start a command again without any trouble; what is wrong with its end."""
        ended = run((*(words or prepared.phase.words), *prepared.phase.resume), self.folder)
        return self.compared(prepared, ended)

    def compared(self, prepared: Prepared, ended: Ended) -> list[str]:
        """What is wrong with the end of a command that had to end well."""
        faults = [f"orphan: {line}" for line in ended.orphans]
        if ended.code:
            return [*faults, f"exit code {ended.code}: {ended.err[-2500:]}"]
        if "Traceback" in ended.err:
            faults.append(f"traceback: {ended.err[-2500:]}")
        found = prepared.phase.compared(self.folder)
        names = sorted({*found, *prepared.expected})
        different = [name for name in names if found.get(name) != prepared.expected.get(name)]
        return faults + [f"{name}: differs from the uninterrupted one" for name in different]


def refused(ended: Ended, *texts: str) -> list[str]:
    """What is wrong with the end of a command that had to be refused with one message.

    Args:
        ended: how it ended.
        texts: of which the message holds one.
    """
    faults = [f"orphan: {line}" for line in ended.orphans]
    errors = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    if ended.code != 2 or len(errors) != 1 or "Traceback" in ended.err:
        faults.append(f"exit code {ended.code}, {len(errors)} lines of errors: {ended.err[-3000:]}")
    elif texts and not any(text in ended.err for text in texts):
        faults.append(f"expected one of {texts}: {ended.err[-2000:]}")
    return faults


Scenario = Iterator[tuple[str, list[str]]]
"""Name of each trial, and its faults."""


def lost_workers(case: Case, engine: str = "processes") -> Scenario:
    """A worker is killed at three moments of a run in two workers."""
    words = (*SEARCH, *TWO_WORKERS, "--engine", engine)
    prepared = case.prepared["search"]
    for seconds in (0.3, 2.0, 5.0):
        case.start("search")

        def kill_one(pid: int, mark: str, seconds: float = seconds) -> None:
            until = time.monotonic() + 120
            while time.monotonic() < until:
                workers = [
                    number
                    for number, line in processes_of(mark, pid).items()
                    if number != pid and any(name in line for name in ("popen_loky_posix", "spawn_main", "ray::"))
                ]
                jobs = list((case.folder / "run" / "jobs").glob("[!.]*.json"))
                if len(workers) > 1 and (jobs or seconds < 1):
                    time.sleep(seconds)
                    victim = case.rng.choice(sorted(workers))
                    try:
                        os.kill(victim, signal.SIGKILL)
                    except ProcessLookupError:
                        continue
                    return
                time.sleep(0.02)

        ended = run(words, case.folder, meanwhile=kill_one)
        # A worker that had nothing to do may be lost without harm.
        faults = case.compared(prepared, ended) if ended.code == 0 else refused(ended, "worker was killed")
        yield f"{engine}, after {seconds} s: exit code {ended.code}", faults + case.finished(prepared, words)


_CLUSTER = """
import dask, distributed, sys
if __name__ == "__main__":
    dask.config.set({"distributed.worker.daemon": False})
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


def lost_scheduler(case: Case) -> Scenario:
    """The scheduler of a Dask cluster that runs already is killed while a run uses it."""
    prepared = case.start("search")
    program = case.folder.parent / "cluster.py"
    program.write_text(_CLUSTER)
    with subprocess.Popen(
        [sys.executable, program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as cluster:
        address = cluster.stdout.readline().strip()

        def kill_scheduler(pid: int, mark: str) -> None:
            until = time.monotonic() + 300
            while not list((case.folder / "run" / "jobs").glob("[!.]*.json")) and time.monotonic() < until:
                time.sleep(0.05)
            cluster.kill()

        words = (*SEARCH, *TWO_WORKERS, "--engine", "dask", "--cluster-address", address)
        ended = run(words, case.folder, meanwhile=kill_scheduler)
        cluster.wait()
    faults = refused(ended, "worker was killed") + case.finished(prepared)
    yield f"scheduler killed after the first job: exit code {ended.code}", faults


def full_disk(case: Case) -> Scenario:
    """A disk that has room for so much and no more, in each phase."""
    for name in BY_NAME:
        for kibibytes in (0, 16, 64, 200, 600):
            shutil.rmtree(case.folder, ignore_errors=True)
            prepared = case.prepared[name]
            try:
                with small_disk(case.folder, 64):
                    shutil.copytree(prepared.start, case.folder, dirs_exist_ok=True)
                    filler = fill(case.folder, kibibytes)
                    ended = run(prepared.phase.words, case.folder)
                    filler.unlink()
                    if ended.code == 0:
                        faults = case.compared(prepared, ended)
                    else:
                        faults = refused(ended, "No space left on device") + case.finished(prepared)
                    yield f"{name}, {kibibytes} KiB: exit code {ended.code}", faults
            except PermissionError as error:
                yield f"not tried: {error}", []
                return


def _damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    if how == "one byte":
        content[middle : middle + 1] = bytes([content[middle] ^ 0x20]) if content else b"x"
    # As after a power cut, where a file has its length and none of its blocks, or some of them.
    path.write_bytes({"truncated": content[:middle], "empty": b"", "zeros": bytes(len(content))}.get(how, content))


def damaged_files(case: Case) -> Scenario:
    """After a kill, the newest files are damaged as by a power cut; the run is resumed."""
    for name in ("training", "search", "audit"):
        for how in ("truncated", "empty", "zeros", "one byte"):
            prepared = case.start(name)
            event = case.rng.randint(prepared.ended.events // 3, prepared.ended.events)
            run(prepared.phase.words, case.folder, Kill(signal.SIGKILL, event=event))
            files = sorted(
                (path for path in case.folder.rglob("*") if path.is_file() and "study" not in path.parts),
                key=lambda path: path.stat().st_mtime_ns,
            )
            files = [path for path in files if path.name not in ("config.json", ".in-use")][-4:]
            for path in files:
                _damage(path, how)
            named = ", ".join(path.name[:30] for path in files)
            yield f"{name}, {how} (kill at file event {event}): {named}", case.finished(prepared)


def damaged_finished(case: Case) -> Scenario:
    """Each kind of file of a finished run is damaged; `--resume` makes it again, or refuses."""
    prepared = case.start("search")
    ended = run(prepared.phase.words, case.folder)
    whole = case.folder.with_name("whole")
    shutil.rmtree(whole, ignore_errors=True)
    shutil.copytree(case.folder, whole)
    kinds: dict[str, Path] = {}
    for path in sorted((whole / "run").rglob("*")) + sorted((whole / "store").rglob("*")):
        if path.is_file() and path.name != ".in-use":
            kind = path.name if path.parent.name not in ("jobs", "starts", "sources") else path.parent.name
            kinds.setdefault(kind, path.relative_to(whole))
    for kind, path in kinds.items():
        for how in ("truncated", "zeros"):
            shutil.rmtree(case.folder)
            shutil.copytree(whole, case.folder)
            _damage(case.folder / path, how)
            ended = run((*prepared.phase.words, *RESUME), case.folder)
            if ended.code == 0:
                faults = case.compared(prepared, ended)
            else:
                faults = refused(ended, "damaged", "cannot be read")
                if kind != "config.json":
                    faults.append(f"refused: {ended.err[-500:]}")
            yield f"{kind}, {how}: exit code {ended.code}", faults


def clock(case: Case) -> Scenario:
    """The clock goes a year back, or forward, between a kill and the resumption; times of files lie in the future."""
    for name in ("training", "search", "audit"):
        for days in (-365, 365):
            prepared = case.start(name)
            run(prepared.phase.words, case.folder, Kill(signal.SIGKILL, event=prepared.ended.events * 2 // 3))
            first = _first_start(case.folder)
            if days < 0:
                later = time.time() + 400 * 24 * 3600
                for path in case.folder.rglob("*"):
                    os.utime(path, (later, later))
            ended = run((*prepared.phase.words, *prepared.phase.resume), case.folder, before=with_clock(days * 86400))
            faults = case.compared(prepared, ended)
            if first is not None and (now := _first_start(case.folder)) != first:
                faults.append(f"environment.json: the first start is {now}, and was {first}")
            yield f"{name}, {days} days", faults


def _first_start(folder: Path) -> str | None:
    file = folder / "run" / "environment.json"
    return json.loads(file.read_text())["started"] if file.is_file() else None


OTHER_USER = 12345


def permissions(case: Case) -> Scenario:
    """Folders and files that an ordinary user may not read, or not write."""

    def tried(name: str, words: tuple[str, ...], prepare_files: Callable[[Path], None], start: str, resume: bool):
        prepared = case.start(start)
        if resume:
            run(prepared.phase.words, case.folder, Kill(signal.SIGKILL, event=prepared.ended.events * 2 // 3))
        prepare_files(case.folder)
        ended = run(words, case.folder, before=as_an_ordinary_user)
        # 1: `runs` and `describe` list what they can, and what is wrong with the rest.
        faults = refused(ended) if ended.code not in (0, 1) else []
        faults += [f"traceback: {ended.err}"] if "Traceback" in ended.err else []
        for path in (case.folder, *case.folder.rglob("*")):
            os.chown(path, 0, 0)
            path.chmod(0o755 if path.is_dir() else 0o644)
        last = next((line for line in ended.err.splitlines() if line.startswith("error: ")), "")
        return f"{name}: exit code {ended.code} {last}", faults

    def mode(bits: int, *names: str) -> Callable[[Path], None]:
        def change(folder: Path) -> None:
            for name in names:
                for path in [folder] if name == "." else sorted(folder.glob(name), reverse=True):
                    path.chmod(bits)

        return change

    def of_another(*names: str) -> Callable[[Path], None]:
        def change(folder: Path) -> None:
            for name in names:
                for path in (*folder.glob(name),):
                    for one in sorted((path, *path.rglob("*")), reverse=True):
                        one.chmod(0o700 if one.is_dir() else 0o600)
                        os.chown(one, OTHER_USER, OTHER_USER)

        return change

    search, audit, report = (case.prepared[name].phase.words for name in ("search", "audit", "report"))
    again = (*search, *RESUME)
    yield tried("data that may not be written", search, mode(0o555, "study", "study/*"), "search", False)
    yield tried("a recording that may not be read", search, mode(0, "study/s01.edf"), "search", False)
    yield tried("a data folder that may not be read", search, mode(0, "study"), "search", False)
    yield tried("a folder in which nothing may be made", search, mode(0o555, "."), "search", False)
    yield tried("a whole store that may not be written", search, mode(0o555, "store", "store/*"), "search", False)
    yield tried("a store that may not be read", search, mode(0, "store"), "search", False)
    yield tried("an entry of the store that may not be read", search, mode(0, "store/*"), "search", False)
    yield tried("arrays of the store that may not be read", search, mode(0, "store/*/*.npy"), "search", False)
    for name, changed in (
        ("a run folder that may not be read", mode(0, "run")),
        ("a run folder that may not be written", mode(0o555, "run", "run/*")),
        ("records that may not be read", mode(0, "run/jobs/*")),
        ("a folder of records that may not be read", mode(0, "run/jobs")),
        ("a folder of records that may not be listed", mode(0o311, "run/jobs")),
        ("a config.json that may not be read", mode(0, "run/config.json")),
        ("a run folder of another user", of_another("run")),
        ("a store of another user", of_another("store")),
    ):
        yield tried(f"resume, {name}", again, changed, "search", True)
        yield tried(f"audit, {name}", audit, changed, "audit", False)
        yield tried(f"report, {name}", report, changed, "report", False)
        yield tried(f"runs, {name}", ("runs", "."), changed, "report", False)
        yield tried(f"finished run, {name}", search, changed, "report", False)
    yield tried("describe, a recording", ("describe", "study"), mode(0, "study/s01.edf"), "search", False)
    yield tried("describe, trials.csv", ("describe", "study"), mode(0, "study/trials.csv"), "search", False)
    yield tried("describe, the folder", ("describe", "study"), mode(0, "study"), "search", False)
    yield tried("store, the folder", ("store", "store"), mode(0, "store"), "search", False)
    yield tried("store, an entry", ("store", "store"), mode(0, "store/*"), "search", False)
    yield tried("features, no output", case.prepared["features"].phase.words, mode(0o555, "."), "features", False)


def memory(case: Case) -> Scenario:
    """Commands with so much memory above what they have at their start, then without a limit."""
    for name in BY_NAME:
        for mebibytes in (1, 8, 30, 100, 300):
            prepared = case.start(name)
            ended = run(prepared.phase.words, case.folder, before=with_memory(mebibytes))
            if ended.code == 0:
                faults = case.compared(prepared, ended)
            elif ended.code in (-signal.SIGABRT, -signal.SIGSEGV) or "OpenBLAS error: Memory" in ended.err:
                # Native code that is given no memory ends the process, with a line of its own or none.
                faults = []
            else:
                faults = refused(ended, "memory")
            yield f"{name}, {mebibytes} MiB: exit code {ended.code}", faults + case.finished(prepared)


def memory_of_workers(case: Case) -> Scenario:
    """The same for workers of their own, which inherit the limit."""
    prepared, words = case.prepared["search"], (*SEARCH, *TWO_WORKERS)
    for mebibytes in (50, 400, 1500):
        case.start("search")
        ended = run(words, case.folder, before=with_memory(mebibytes))
        faults = case.compared(prepared, ended) if ended.code == 0 else refused(ended, "memory", "killed")
        yield f"{mebibytes} MiB: exit code {ended.code}", faults + case.finished(prepared, words)


def other_version(case: Case) -> Scenario:
    """An interrupted run of another version of the package is resumed, one with a field that this version lacks not."""

    def change(pattern: str, **fields: object) -> None:
        for path in (case.folder / "run").glob(pattern):
            content, _ = read_json(path)
            for place, value in fields.items():
                content[place] = {**content[place], **value}
            path.write_bytes(json_bytes(content))

    for is_newer in (False, True):
        prepared = case.start("search")
        run(prepared.phase.words, case.folder, Kill(signal.SIGKILL, event=prepared.ended.events * 2 // 3))
        version = "9.0.0" if is_newer else "0.1.0"
        for pattern in ("starts/*.json", "environment.json"):
            change(pattern, packages={"keras_emotion": version})
        if is_newer:
            change("config.json", science={"a_field_of_it": 1})
        ended = run((*prepared.phase.words, *RESUME), case.folder)
        named = f"keras_emotion {version} (here "
        faults = refused(ended, "a_field_of_it: 1 -> null") if is_newer else case.compared(prepared, ended)
        faults += [] if named in ended.err else [f"expected {named!r}: {ended.err[-1000:]}"]
        yield f"version {version}: exit code {ended.code}", faults


SCENARIOS: dict[str, Callable[[Case], Scenario]] = {
    "lost workers": lost_workers,
    "lost workers of Dask": lambda case: lost_workers(case, "dask"),
    "lost scheduler of Dask": lost_scheduler,
    "lost workers of Ray": lambda case: lost_workers(case, "ray"),
    "full disk": full_disk,
    "damaged newest files": damaged_files,
    "damaged files of a finished run": damaged_finished,
    "clock": clock,
    "permissions": permissions,
    "other version": other_version,
    "memory": memory,
    "memory of workers": memory_of_workers,
}


def run_all(place: Path, names: list[str], seed: int) -> int:
    """Run scenarios; gives the number of trials with faults.

    Args:
        place: folder to work in.
        names: of scenarios, or none for all.
        seed: of what is random in them.
    """
    case = Case({}, place / "case", random.Random(seed))
    for prepared in prepare(PHASES, place / "starts", case.folder):
        case.prepared[prepared.phase.name] = prepared
    n_faulty = 0
    for name, scenario in SCENARIOS.items():
        if names and name not in names:
            continue
        n_trials, n_own, began = 0, 0, time.monotonic()
        for trial, faults in scenario(case):
            n_trials += 1
            n_own += bool(faults)
            say(f"{'FAULT' if faults else 'ok'}: {name}: {trial}")
            for fault in faults:
                say(f"  {fault}")
        say(f"{name}: {n_trials} trials, {n_own} with faults, {time.monotonic() - began:.0f} s")
        n_faulty += n_own
    return n_faulty
