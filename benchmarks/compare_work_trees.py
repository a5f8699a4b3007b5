"""Run the same experiments in two work trees of this repository, and compare all resulting numbers.

    git worktree add ../before COMMIT
    python benchmarks/compare_work_trees.py ../before . --sam40 ../shared/data/sam40 --output /tmp/compared

For a change that must not affect results: 3FACRNN, DeepVANet, dynamic brain networks and logistic regression under the
protocols, an audit, an ablation table and the predictions of a saved model, on SAM40 and on synthetic data. About ten
minutes for each tree on two cores; run both on one machine, without other load. Trees with finished commands are not
run again: use another --output to start over.

All csv files are compared: rows sorted, values as strings, columns that both trees have. Identities in folder names may
differ. Exit code 0: every value is equal; 1: some are not, or a file is missing in one tree.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

# Spellings that both trees support: trees before 0.2.0 have neither --workers nor predict's --output.
_SHARED = "--jobs 2 --feature-store {output}/fs"
_SHORT = "--targets valence --protocols trial_disjoint --training.epochs 2"
_CLI = "-m keras_emotion.cli"

COMMANDS = (
    "{tree}/reproductions/sam40_3facrnn.py --data-root {sam40} --subjects 1 2 3 4 --protocols as_published "
    "window_disjoint trial_disjoint stimulus_disjoint subject_disjoint --maximum-folds 3 --training.epochs 2 "
    f"--output a {_SHARED}",
    "{tree}/reproductions/sam40_logistic_regression.py --data-root {sam40} --subjects 1 2 3 4 --output b "
    f"{_SHARED}",
    f"{_CLI} audit b --light-permutations 19",
    f"{_CLI} synthesize deap dd --subjects 3 --trials 12 --effect-size 2 --face-videos --video-frame-rate-hz 8 "
    "--video-size 160 128",
    "{tree}/reproductions/deap_3facrnn.py --data-root dd --preset demo --teacher fold --system.w-grid 0.5 1 "
    f"--system.teacher-training.epochs 2 {_SHORT} --output c {_SHARED}",
    f"{{tree}}/reproductions/deap_deepvanet.py --data-root dd --preset demo {_SHORT} --output d {_SHARED}",
    "{tree}/reproductions/deap_deepvanet.py --data-root dd --preset demo --system.fusion decision "
    f"{_SHORT} --output d_decision {_SHARED}",
    f"{_CLI} synthesize mahnob_hci m --subjects 3 --trials 6 --lead-seconds 5 --stimulus-seconds 20",
    f"{_CLI} run --model logistic_regression --dataset mahnob_hci --data-root m --target valence "
    f"--protocol trial_disjoint subject_disjoint --output e {_SHARED}",
    # In a separate folder, since demos of one dataset once shared their data.
    f"IN dfcn {{tree}}/reproductions/deap_dfcn.py --table 2 {_SHARED}",
    f"{_CLI} synthesize recordings r --subjects 2 --trials 8",
    f"{_CLI} run --model facrnn --data r --target valence --preset demo --training.epochs 1 --maximum-folds 3 "
    f"--save-models --output f {_SHARED}",
    f"{_CLI} predict FIRST:f/models/*.keras r/s01.edf --out predicted",
)
"""Commands of each tree, in this order, in a separate folder: arguments of Python."""


def main() -> int:
    """Run unfinished commands, compare, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="work tree to compare with")
    parser.add_argument("after", type=Path, help="work tree that is compared")
    parser.add_argument("--sam40", type=Path, required=True, help="folder of SAM40")
    parser.add_argument("--output", type=Path, required=True, help="output folder of both trees")
    options = parser.parse_args()
    folders = []
    for side in ("before", "after"):
        folder = (options.output / side).absolute()
        run(getattr(options, side).absolute(), options.sam40.absolute(), folder)
        folders.append(folder)
    differences, n_values = compare(*folders)
    for line in differences:
        print(line)
    print(f"{n_values} values compared, {len(differences)} differences")
    return 1 if differences or not n_values else 0


def run(tree: Path, sam40: Path, folder: Path) -> None:
    """Run the unfinished commands with the package and the scripts of one work tree."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(tree), "MPLBACKEND": "Agg"}
    for number, command in enumerate(COMMANDS):
        finished = folder / f"finished-{number}"
        if finished.exists():
            continue
        words = command.format(tree=tree, sam40=sam40, output=folder).split()
        where = folder
        if words[0] == "IN":
            where = folder / words[1]
            where.mkdir(exist_ok=True)
            words = words[2:]
        words = [
            str(min(folder.glob(word.removeprefix("FIRST:")))) if word.startswith("FIRST:") else word for word in words
        ]
        started = time.perf_counter()
        with (folder / f"log-{number}.txt").open("w") as log:
            answer = subprocess.run(
                [sys.executable, *words], cwd=where, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        if answer.returncode:
            raise SystemExit(f"{tree}: exit code {answer.returncode}: python {' '.join(words)}\nsee {log.name}")
        print(f"{tree.name}: {time.perf_counter() - started:5.0f} s  python {command}", flush=True)
        finished.touch()


def compare(before: Path, after: Path) -> tuple[list[str], int]:
    """Return the differences between the csv files of two folders, one line each, and the number of values compared."""
    sides = [_tables(before), _tables(after)]
    lines = [
        f"{name}: only {side}"
        for name in sorted(sides[0].keys() ^ sides[1].keys())
        for side in ["before" if name in sides[0] else "after"]
    ]
    n_values = 0
    for name in sorted(sides[0].keys() & sides[1].keys()):
        there, here = (pd.read_csv(side[name], dtype=str, keep_default_na=False) for side in sides)
        shared = [column for column in there if column in here]
        there, here = (table[shared].sort_values(shared, ignore_index=True) for table in (there, here))
        n_values += there.size
        if len(there) != len(here):
            lines.append(f"{name}: {len(there)} rows before, {len(here)} after")
        elif not there.equals(here):
            different = (there != here).to_numpy()
            columns = ", ".join(there.columns[different.any(axis=0)])
            lines.append(f"{name}: {different.sum()} of {there.size} values differ, in {columns}")
    return lines, n_values


def _tables(folder: Path) -> dict[str, Path]:
    """Return the csv files by path, without identities and without features, whose paths are hashes."""
    files = [path for path in folder.rglob("*.csv") if path.relative_to(folder).parts[0] != "fs"]
    return {re.sub(r"-[0-9a-f]{8,16}(?![0-9a-f])", "", str(path.relative_to(folder))): path for path in files}


if __name__ == "__main__":
    sys.exit(main())
