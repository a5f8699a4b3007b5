"""`python -m tests.crash`: kill commands at seeded moments of each phase, resume them, and compare their results."""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

# As a worker of a run has it: what is trained is the same each time.
os.environ.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1", OMP_NUM_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3")

from tests.crash import kills, phases, starts
from tests.crash.starts import say


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="kills over all phases (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="seed of moments and signals (default: 0)")
    parser.add_argument("--phases", nargs="*", default=[], help="names of phases; by default all")
    parser.add_argument("--scenarios", nargs="*", help="run the scenarios too, or those named (see scenarios.py)")
    parser.add_argument("--cold", type=float, default=0.1, help="share of kills of a new interpreter (default: 0.1)")
    parser.add_argument("--json", type=Path, help="file for one line of JSON a kill")
    options = parser.parse_args()
    starts.preload()
    all_phases = (*phases.PHASES, phases.WHOLE)
    chosen = tuple(phase for phase in all_phases if not options.phases or phase.name in options.phases)
    # Half as many of the one that takes longest.
    weights = [0.5 if phase is phases.WHOLE else 1.0 for phase in chosen]
    bounds = [round(options.kills * total / sum(weights)) for total in itertools.accumulate(weights, initial=0.0)]
    shares = [stop - start for start, stop in itertools.pairwise(bounds)]
    began, outcomes, failures = time.monotonic(), [], 0
    # Not by `TemporaryDirectory`, which forks would remove at their end.
    place = tempfile.mkdtemp(prefix="crash-")
    try:
        case = Path(place) / "case"
        if options.kills:
            say(f"{platform.platform()}, {os.cpu_count()} cores; seed {options.seed}")
            for number, prepared in enumerate(phases.prepare(chosen, Path(place) / "starts", case)):
                share = shares[number]
                name = prepared.phase.name
                say(f"{name}: {prepared.ended.seconds:.1f} s, {prepared.ended.events} file events")
                rng = random.Random(f"{options.seed} {name}")
                n_cold = round(options.cold * share)
                for is_cold, count in ((False, share - n_cold), (True, n_cold)):
                    for outcome in kills.kill_phase(prepared, count, rng, case, is_cold):
                        outcomes.append(outcome)
                        _print(outcome)
                        if options.json:
                            with options.json.open("a") as file:
                                file.write(json.dumps(vars(outcome)) + "\n")
            _print_counts(outcomes)
        if options.scenarios is not None:
            from tests.crash import scenarios

            failures = scenarios.run_all(Path(place) / "scenarios", options.scenarios, options.seed)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    n_faulty = sum(bool(outcome.faults) for outcome in outcomes)
    n_killed = sum(outcome.was_killed for outcome in outcomes)
    say(f"{n_killed} kills, {n_faulty} with faults; {time.monotonic() - began:.0f} s")
    return int(bool(n_faulty or failures))


def _print(outcome: kills.Outcome) -> None:
    state = "FAULT" if outcome.faults else "ok"
    start = "new interpreter, " if outcome.cold else ""
    say(f"{state}: {outcome.phase}: {start}{outcome.kill}: exit code {outcome.code}")
    for fault in outcome.faults:
        say(f"  {fault}")


def _print_counts(outcomes: list[kills.Outcome]) -> None:
    """Kills by phase and signal, as a table in Markdown."""
    count = collections.Counter((one.phase, one.signal) for one in outcomes if one.was_killed)
    names = [signal.name for signal in kills.SIGNALS]
    say(f"| phase | {' | '.join(names)} | faults |\n|---|{'---|' * (len(names) + 1)}")
    for phase in dict.fromkeys(one.phase for one in outcomes):
        numbers = [str(count[phase, name]) for name in names]
        n_faults = sum(bool(one.faults) for one in outcomes if one.phase == phase)
        say(f"| {phase} | {' | '.join(numbers)} | {n_faults} |")


if __name__ == "__main__":
    sys.exit(main())
