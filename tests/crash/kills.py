"""Kill commands at seeded moments, start them again, and compare what they give."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from tests.crash.phases import Prepared
from tests.crash.starts import Ended, Kill, run

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
_MOST_KILLS = 3
"""Of one case, before it may end."""


@dataclasses.dataclass
class Outcome:
    """One kill.

    Args:
        phase: name of the phase.
        kill: when and how.
        code: exit code; 0 where the command ended before.
        seconds: how long it ran.
        cold: whether a new interpreter was started.
        faults: what is wrong, a line each.
    """

    phase: str
    kill: str
    signal: str
    code: int
    seconds: float
    cold: bool
    faults: list[str]

    @property
    def was_killed(self) -> bool:
        """Whether the command had not ended before."""
        return self.code != 0


def planned_kill(rng: random.Random, ended: Ended, in_forks: bool) -> Kill:
    """A kill at a moment of a command that ended so without: half by the clock, half at a file event."""
    number = rng.choice(SIGNALS)
    # A terminal and a scheduler signal all processes, `kill` one.
    to_group = number == signal.SIGINT or rng.random() < 0.5
    if in_forks and ended.events and rng.random() < 0.5:
        return Kill(number, event=rng.randint(1, ended.events), to_group=to_group)
    return Kill(number, seconds=rng.uniform(0, ended.seconds), to_group=to_group)


def kill_phase(prepared: Prepared, n_kills: int, rng: random.Random, case: Path, cold: bool) -> Iterator[Outcome]:
    """Kill a phase so many times, in cases of one to three kills, each of which is then run to its end."""
    phase = prepared.phase
    ended, n_done = prepared.ended, 0
    while n_done < n_kills:
        prepared.case(case)
        outcomes = []
        for number in range(min(rng.randint(1, _MOST_KILLS), n_kills - n_done)):
            words = phase.words if number == 0 else (*phase.words, *phase.resume)
            kill = planned_kill(rng, ended, not cold)
            stopped = run(words, case, kill, cold=cold)
            faults = faults_of(stopped, kill, cold)
            outcome = Outcome(phase.name, str(kill), kill_name(kill), stopped.code, stopped.seconds, cold, faults)
            outcomes.append(outcome)
            n_done += outcome.was_killed
            if not outcome.was_killed:
                break
        resumed = run((*phase.words, *phase.resume), case)
        outcomes[-1].faults += faults_after(prepared, resumed, case)
        yield from outcomes


def kill_name(kill: Kill) -> str:
    """Name of its signal."""
    return signal.Signals(kill.number).name


def faults_of(ended: Ended, kill: Kill, cold: bool) -> list[str]:
    """What is wrong with how a command ended that was sent a signal."""
    faults = [f"orphan: {line}" for line in ended.orphans]
    if "Traceback" in ended.err or "Exception ignored" in ended.err:
        faults.append(f"traceback after {kill}: {ended.err[-3000:]}")
    if ended.code == 0:
        return [*faults, f"the signal was lost: {kill}"] if ended.was_sent else faults
    # An interpreter that has not imported the command yet, or has ended it, ends as Python does.
    allowed = {-kill.number} if kill.number == signal.SIGKILL else {128 + kill.number, -kill.number}
    if cold and kill.number == signal.SIGINT:
        allowed.add(130)
    if ended.code not in allowed:
        faults.append(f"exit code {ended.code} after {kill}: {ended.err[-2000:]}")
    elif kill.number != signal.SIGKILL and ended.code == 128 + kill.number:
        lines = [line for line in ended.err.splitlines() if line.startswith("interrupted; ")]
        if len(lines) != 1:
            faults.append(f"{len(lines)} lines begin with 'interrupted; ' after {kill}: {ended.err[-2000:]}")
    return faults


def faults_after(prepared: Prepared, ended: Ended, case: Path) -> list[str]:
    """What is wrong with the end of a command that was started again, and with the files that it leaves."""
    faults = [f"orphan: {line}" for line in ended.orphans]
    if ended.code:
        return [*faults, f"started again: exit code {ended.code}: {ended.err[-3000:]}"]
    if "Traceback" in ended.err or "damaged" in ended.err:
        faults.append(f"started again: {ended.err[-2000:]}")
    found = prepared.phase.compared(case)
    faults += [
        f"{name}: differs from the uninterrupted one"
        for name in sorted({*found, *prepared.expected})
        if found.get(name) != prepared.expected.get(name)
    ]
    damaged = [str(path.relative_to(case)) for path in case.rglob("damaged")]
    faults += [f"{path}: a kill must damage nothing" for path in damaged]
    return [*faults, *_faults_of_leftovers(prepared, case)]


def _faults_of_leftovers(prepared: Prepared, case: Path) -> list[str]:
    """What killed writers left must go once it is old enough; none of it is there without a kill."""
    leftovers = list(case.rglob(".writing-*"))
    if not leftovers:
        return []
    old = time.time() - 3 * 24 * 3600
    for path in leftovers:
        for one in (*path.rglob("*"), path):
            os.utime(one, (old, old))
    again = run((*prepared.phase.words, *prepared.phase.resume), case)
    faults = [] if not again.code else [f"a third start: exit code {again.code}: {again.err[-2000:]}"]
    return faults + [f"{path.relative_to(case)}: left over for ever" for path in leftovers if path.exists()]
