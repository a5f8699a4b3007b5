"""The command `keras-emotion plan`: power analysis, numbers of subjects and trials of a study."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from keras_emotion.cli.output import make_console, print_json
from keras_emotion.options import Option
from keras_emotion.schema import InputError

if TYPE_CHECKING:
    from keras_emotion.evaluation.power import Assumptions, StudyPlan

_TRIALS = 40
_BETWEEN = 5.0
"""Defaults: trials of a subject, as in DEAP, and standard deviation between subjects in points."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """Compute how many subjects and trials a study needs.

    The effect is a difference from chance, for each protocol. The mean accuracy over subjects is compared with chance
    by a two-sided t-test; a single subject by a binomial test of its trials. The spread over subjects comes from a
    finished run, from a published standard deviation, or is assumed: a standard deviation of the true accuracies of 5
    points, and the binomial error of the tested trials. Windows of a trial are not independent and do not count as
    trials.
    All accuracies are in percent, differences in points.

    Args:
        difference: true mean accuracy minus chance.
        subjects: number of subjects; adds their power and detectable difference. By default that of the run.
        trials: trials of each subject; by default 40, or those of the run.
        run_folder: finished run whose spread over subjects, chance, subjects and trials are taken, by protocol and
            target.
        spread: standard deviation of the accuracies over subjects, as printed after the mean in papers.
        spread_trials: trials of each subject behind this standard deviation; by default those of the plan.
        chance: chance level; by default 50, or that of the run.
        power: probability of detecting the difference (0 to 1).
        alpha: two-sided significance level (0 to 1).
        protocols: names of the protocols; by default those of trials, stimuli and subjects, or those of the run without
            flags.
        json: print one JSON object in place of a table; accuracies are 0 to 1.

    Examples:
        keras-emotion plan --difference 5
        keras-emotion plan --difference 3 --subjects 32 --trials 40
        keras-emotion plan --spread 8.2 --trials 20 --spread-trials 40
        keras-emotion plan --run runs/A --difference 2
    """

    difference: float = 5.0
    subjects: int | None = None
    trials: int | None = None
    run_folder: Annotated[Path | None, Option(name="run", metavar="FOLDER")] = None
    spread: float | None = None
    spread_trials: int | None = None
    chance: float | None = None
    power: float = 0.8
    alpha: float = 0.05
    protocols: Annotated[tuple[str, ...], Option(aliases=("--protocol",), metavar="NAME ...", names="protocol")] = ()
    json: bool = False

    def run(self) -> int:
        """Compute the plan, and return the exit code."""
        self._check()
        found = list(self._of_run(self.run_folder) if self.run_folder else self._assumed())
        if self.json:
            rows = [
                {"target": target, "assumptions": dataclasses.asdict(own), **plan.as_dict()}
                for target, own, plan in found
            ]
            print_json(plans=rows)
        else:
            _print(found, self._origin([own for _, own, _ in found]))
        return 0

    def _check(self) -> None:
        if self.run_folder and (self.spread is not None or self.chance is not None):
            raise InputError("--run: has its own spread and chance; leave out --spread and --chance")
        if self.spread_trials is not None and self.spread is None:
            raise InputError("--spread-trials: needs --spread; give both")
        for option, value, low, high in (
            ("difference", self.difference, 0, 100),
            ("spread", self.spread, 0, 50),
            ("chance", self.chance, 0, 100),
            ("power", self.power, self.alpha, 1),
            ("alpha", self.alpha, 0, 1),
        ):
            if value is not None and not low < value < high:
                raise InputError(f"--{option} {value:g}: expected a number between {low:g} and {high:g}")
        for option, value, low in (
            ("subjects", self.subjects, 2),
            ("trials", self.trials, 1),
            ("spread-trials", self.spread_trials, 1),
        ):
            if value is not None and value < low:
                raise InputError(f"--{option} {value}: expected at least {low}")

    def _origin(self, assumptions: Sequence[Assumptions]) -> str:
        if self.run_folder:
            from keras_emotion.evaluation.power import spread_interval

            fewest = min(own.n_measured for own in assumptions)
            low, high = spread_interval(fewest)
            return (
                f"spread over subjects and chance: those of {self.run_folder}; with {fewest} subjects the true spread "
                f"may be {low:.1f} to {high:.1f} times as large (95 % interval)"
            )
        if self.spread is not None:
            trials = self.spread_trials or self.trials or _TRIALS
            return f"spread over subjects: {self.spread:g} points with {trials} trials each, as given"
        return (
            f"assumed, because no spread is given (--run, --spread): a standard deviation of the true accuracies of "
            f"{_BETWEEN:g} points between subjects, and the binomial error of their trials"
        )

    def _assumed(self) -> Iterator[tuple[str, Assumptions, StudyPlan]]:
        from keras_emotion.evaluation import PROTOCOLS
        from keras_emotion.evaluation.power import Assumptions, plan_study

        trials = self.trials or _TRIALS
        fixed: dict[str, Any] = {"chance": (self.chance or 50.0) / 100, "power": self.power, "alpha": self.alpha}
        own = Assumptions(between=_BETWEEN / 100, **fixed)
        if self.spread is not None:
            own = Assumptions.of_spread(self.spread / 100, self.spread_trials or trials, **fixed)
        default = ("trial_disjoint", "stimulus_disjoint", "subject_disjoint", "subject_and_stimulus_disjoint")
        for name in self.protocols or default:
            yield "", own, plan_study(PROTOCOLS[name], self.difference / 100, self.subjects, trials, own)

    def _of_run(self, folder: Path) -> Iterator[tuple[str, Assumptions, StudyPlan]]:
        from keras_emotion.evaluation import PROTOCOLS
        from keras_emotion.evaluation.power import Assumptions, plan_study
        from keras_emotion.experiment.records import RunFolder
        from keras_emotion.reports.numbers import read_numbers

        numbers = read_numbers(RunFolder(folder))
        clean = [name for name, protocol in numbers.protocols.items() if not protocol["flags"]]
        names = self.protocols or clean or list(numbers.protocols)
        if unknown := [name for name in names if name not in numbers.protocols]:
            raise InputError(
                f"--protocols {unknown[0]}: {self.run_folder} has no such protocol; expected one of "
                f"{', '.join(numbers.protocols)}"
            )
        for name in names:
            for target in numbers.evaluated:
                if numbers.overall(name, target, "accuracy") is None:
                    continue
                accuracy, chance, tested = (
                    numbers.by_subject(name, target, column) for column in ("accuracy", "chance_accuracy", "n_trials")
                )
                if len(accuracy) < 2:
                    raise InputError(
                        f"{self.run_folder}: {target} has only one subject; expected two or more; give --spread"
                    )
                own = Assumptions.of_spread(
                    (accuracy - chance).std(ddof=1),
                    tested.mean(),
                    chance=chance.mean(),
                    n_measured=len(accuracy),
                    power=self.power,
                    alpha=self.alpha,
                )
                protocol = PROTOCOLS[name]
                whole = round(tested.mean() * (protocol.n_splits or 1 if protocol.holdout else 1))
                subjects = self.subjects or len(accuracy)
                yield target, own, plan_study(protocol, self.difference / 100, subjects, self.trials or whole, own)


def _print(found: Sequence[tuple[str, Assumptions, StudyPlan]], origin: str) -> None:
    import rich.box
    from rich.table import Table
    from rich.text import Text

    _, one, first = found[0]
    table = Table(
        title=Text(
            f"To detect {100 * first.difference:g} points above chance with {100 * one.power:g} % power, "
            f"alpha {one.alpha:g} two-sided",
            style="bold",
        ),
        title_justify="left",
        box=rich.box.SIMPLE_HEAD,
    )
    has_subjects = first.n_subjects is not None
    has_targets = any(target for target, _, _ in found)
    headings = [
        "protocol",
        *(["target"] if has_targets else []),
        "chance",
        "spread",
        "subjects needed",
        *(["trials needed", "detectable", "power"] if has_subjects else []),
        "alone: trials",
        "stimuli",
        "the split needs",
    ]
    n_names = 1 + has_targets
    for place, heading in enumerate(headings):
        is_text = place < n_names or place == len(headings) - 1
        table.add_column(Text(heading), justify="left" if is_text else "right", overflow="fold", no_wrap=place == 0)
    for target, own, plan in found:
        of_subjects = [
            _or_dash(plan.trials_needed),
            "–" if plan.detectable is None else f"{100 * plan.detectable:.1f}",
            f"{100 * plan.power:.0f} %" if plan.power is not None else "–",
        ]
        cells = [
            plan.protocol,
            *([target] if has_targets else []),
            f"{100 * own.chance:.1f}",
            f"{100 * own.spread(plan.tested_trials, plan.difference):.1f}",
            str(plan.subjects_needed),
            *(of_subjects if has_subjects else []),
            _or_dash(plan.alone_trials_needed),
            _or_dash(plan.stimuli_needed),
            plan.at_least,
        ]
        table.add_row(*map(Text, cells))
    console = make_console()
    console.print(table, crop=False)
    for line in [origin, *_notes([plan for _, _, plan in found])]:
        console.print(Text(line), soft_wrap=True)


def _notes(plans: Sequence[StudyPlan]) -> Iterator[str]:
    trials = ", ".join(dict.fromkeys(str(plan.n_trials) for plan in plans))
    yield "chance in percent; spread (standard deviation of the subjects' accuracies) and detectable in points"
    yield f"subjects needed: of {trials} trials each, by a t-test over subjects"
    subjects = ", ".join(dict.fromkeys(str(plan.n_subjects) for plan in plans))
    if plans[0].n_subjects is not None:
        yield (
            f"trials needed: of each of {subjects} subjects; detectable and power: of {subjects} subjects with "
            f"{trials} trials each"
        )
        if any(plan.trials_needed is None for plan in plans):
            yield (
                "trials needed –: the spread over subjects is so large that no number of trials is enough; add subjects"
            )
    if any(plan.tested_trials != plan.n_trials for plan in plans):
        yield "a holdout tests only part of the trials and needs more of them"
    if any(plan.alone_trials_needed is not None for plan in plans):
        yield "alone: trials of a single subject that are needed to detect the difference, by a binomial test"
    if any(plan.stimuli_needed is not None for plan in plans):
        yield (
            "stimuli: number needed if all subjects rate a stimulus the same; the stimuli are then the sample, for any "
            "number of subjects"
        )


def _or_dash(number: int | None) -> str:
    return "–" if number is None else str(number)
