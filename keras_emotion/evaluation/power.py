"""Statistical power: the difference from chance that a study can detect, and the sample size it needs.

"At chance" means little if only near-perfect accuracy would have been distinguishable from chance. The detectable
difference is the true difference that a test detects with a given probability (its power, 80 % by convention). It
depends on the spread and on the size of the sample, not on the observed accuracy.

| sample | test | detectable difference |
|---|---|---|
| subjects | two-sided paired t-test over subjects | noncentral t with n - 1 degrees of freedom |
| folds of a subject | Nadeau and Bengio's corrected t-test | the same, of the corrected variance |
| trials | permutation of labels | from the width of the null distribution, taken to be normal |
| trials, before a study | exact binomial test against chance | binomial distribution |

References:
    Cohen (1988). Statistical power analysis for the behavioral sciences. 2nd edition, chapter 2.
    Nadeau and Bengio (2003). Inference for the generalization error. Machine Learning 52, 239-281.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.optimize
import scipy.stats

from keras_emotion.evaluation.protocols import Protocol
from keras_emotion.schema import InputError

POWER, ALPHA = 0.8, 0.05
"""Default power and level of the two-sided tests."""

_MOST = 1_000_000
"""Largest number of subjects or trials of a plan."""

FEWEST = {
    "trials": "3 trials of each class",
    "sessions": "3 sessions",
    "stimuli": "3 stimuli of each class",
    "subjects": "3 subjects",
    "subjects_and_stimuli": "3 subjects and 3 stimuli",
}
"""Minimum that a split into training, validation and test set needs, by what is disjoint."""


def t_test_power(effect: float, n_subjects: int, alpha: float = ALPHA) -> float:
    """Compute the power of a two-sided paired (one-sample) t-test.

    Args:
        effect: true mean difference in standard deviations of the differences (Cohen's d).
        n_subjects: number of pairs, two or more.
        alpha: level of the test.

    Raises:
        ValueError: fewer than two pairs, or `alpha` is not between 0 and 1.

    Example:
        >>> round(t_test_power(0.5, 34), 3)
        0.808
    """
    _check(alpha=alpha)
    if n_subjects < 2:
        raise ValueError(f"`n_subjects` is {n_subjects}; expected at least 2")
    return _t_power(abs(effect) * np.sqrt(n_subjects), n_subjects - 1, alpha)


def subjects_needed(effect: float, power: float = POWER, alpha: float = ALPHA) -> int:
    """Find the smallest number of subjects with which a two-sided paired t-test has the given power.

    Args:
        effect: true mean difference in standard deviations of the differences (Cohen's d); not 0.
        power: probability of detecting it.
        alpha: level of the test.

    Raises:
        ValueError: the effect is 0 or needs more than a million subjects, or a share is not between 0 and 1.

    Example:
        >>> subjects_needed(0.5)
        34
    """
    _check(power=power, alpha=alpha)
    if not effect or t_test_power(effect, _MOST, alpha) < power:
        raise ValueError(f"`effect` is {effect:g}; expected one that {_MOST} subjects can detect")
    low, high = 1, 2
    while t_test_power(effect, high, alpha) < power:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if t_test_power(effect, middle, alpha) >= power else (middle, high)
    return high


def detectable_effect(n_subjects: int, power: float = POWER, alpha: float = ALPHA) -> float:
    """Compute the effect (Cohen's d) that a two-sided paired t-test detects with this power.

    Args:
        n_subjects: number of pairs, two or more.
        power: probability of detecting it.
        alpha: level of the test.

    Example:
        >>> round(detectable_effect(34), 2)
        0.5
    """
    _check(power=power, alpha=alpha)
    if n_subjects < 2:
        raise ValueError(f"`n_subjects` is {n_subjects}; expected at least 2")
    return float(_detectable_noncentrality(n_subjects - 1, power, alpha) / np.sqrt(n_subjects))


def detectable_difference(
    differences: npt.ArrayLike, extra_variance: float = 0.0, power: float = POWER, alpha: float = ALPHA
) -> float:
    """Compute the mean difference that a two-sided paired t-test detects with this power, from observed differences.

    Args:
        differences: `(subjects,)` differences; or `(folds,)` of one subject, with `extra_variance`. NaN is ignored.
        extra_variance: n_test / n_training of Nadeau and Bengio's corrected test (see `corrected_t_test`).
        power: probability of detecting it.
        alpha: level of the test.

    Returns:
        In the unit of the differences; NaN with fewer than two, or if all are equal.
    """
    _check(power=power, alpha=alpha)
    differences = np.asarray(differences, dtype=np.float64)
    differences = differences[~np.isnan(differences)]
    # Equal differences of accuracies may differ by the rounding of their means.
    if len(differences) < 2 or np.ptp(differences) < 1e-9:
        return np.nan
    error = np.sqrt((1 / len(differences) + extra_variance) * differences.var(ddof=1))
    return float(_detectable_noncentrality(len(differences) - 1, power, alpha) * error)


def detectable_by_permutation(
    low: float, high: float, level: float = 0.95, power: float = POWER, tail: float | None = None
) -> float:
    """Compute the difference from chance that a permutation test detects with this power, from the width of its null.

    Assumes that the accuracy varies about its true value as the null varies about chance, normally.

    Args:
        low: lower end of the chance band.
        high: upper end.
        level: share of the null within the band.
        power: probability of detecting the difference.
        tail: share of the null at which the test rejects upwards; default: the share above the band.

    Returns:
        In the unit of the band; NaN if the null has no width.
    """
    if not high > low:
        return np.nan
    above = (1 - level) / 2
    width, critical = scipy.stats.norm.isf([above, above if tail is None else tail])
    return float((high - low) / (2 * width) * (critical + scipy.stats.norm.ppf(power)))


def binomial_power(difference: float, n_trials: int, chance: float = 0.5, alpha: float = ALPHA) -> float:
    """Compute the power of the exact binomial test of one subject's trials against chance, upwards at level alpha / 2.

    Args:
        difference: true accuracy minus chance, a share.
        n_trials: number of independent trials.
        chance: accuracy by chance, a share.
        alpha: two-sided level.
    """
    _check(chance=chance, alpha=alpha)
    return float(_binomial_power(difference, np.array([n_trials]), chance, alpha)[0])


def trials_needed(difference: float, chance: float = 0.5, power: float = POWER, alpha: float = ALPHA) -> int:
    """Find the number of trials from which on the exact binomial test against chance always has the given power.

    Args:
        difference: true accuracy minus chance, a share above 0.
        chance: accuracy by chance, a share.
        power: probability of detecting it.
        alpha: two-sided level.

    Raises:
        ValueError: no accuracy above chance can differ by so much, or a million trials are too few.

    Example:
        >>> trials_needed(0.1), trials_needed(0.05)
        (210, 820)
    """
    _check(power=power, chance=chance, alpha=alpha)
    if not 0 < difference <= 1 - chance + 1e-12:
        raise ValueError(f"`difference` is {difference:g}; expected a share above 0 and at most {1 - chance:g}")
    accuracy = min(1.0, chance + difference)
    normal = scipy.stats.norm.ppf([1 - alpha / 2, power]) @ np.sqrt([chance * (1 - chance), accuracy * (1 - accuracy)])
    about = (normal / difference) ** 2
    if about > _MOST:
        raise ValueError(f"`difference` is {difference:g}; expected one that {_MOST} trials can detect")
    # The power of an exact test oscillates with the number of trials; the oscillation is small beyond 1.3 times that.
    counts = np.arange(1, int(1.3 * about) + 60)
    short = np.flatnonzero(_binomial_power(difference, counts, chance, alpha) < power)
    return int(counts[short[-1]]) + 1 if len(short) else 1


def spread_interval(n_subjects: int, level: float = 0.95) -> tuple[float, float]:
    """Compute the confidence interval of a standard deviation, as factors of the observed one.

    Args:
        n_subjects: number of normal values behind the observed one, two or more.
        level: coverage.

    Example:
        >>> [round(factor, 2) for factor in spread_interval(10)]
        [0.69, 1.83]
    """
    _check(level=level)
    freedom = n_subjects - 1
    high, low = np.sqrt(freedom / scipy.stats.chi2.ppf([(1 - level) / 2, (1 + level) / 2], freedom))
    return float(low), float(high)


@dataclasses.dataclass(frozen=True)
class Assumptions:
    """Assumptions of a study plan. Shares, not percent.

    Args:
        chance: accuracy by chance.
        between: standard deviation of the true accuracies of subjects.
        power: probability of detecting the difference.
        alpha: two-sided level of the tests.
        n_measured: number of subjects from whose accuracies the spread was estimated; 0 if it is assumed.
    """

    chance: float = 0.5
    between: float = 0.05
    power: float = POWER
    alpha: float = ALPHA
    n_measured: int = 0

    def __post_init__(self) -> None:
        _check(chance=self.chance, power=self.power, alpha=self.alpha)
        if not 0 <= self.between < 1:
            raise InputError(f"standard deviation between subjects {self.between:g}: expected a share from 0 to 1")

    @classmethod
    def of_spread(cls, spread: float, n_trials: float, chance: float = 0.5, **others: Any) -> Assumptions:
        """Create from the standard deviation of the accuracies of subjects with `n_trials` tested trials each.

        Subtracts the binomial variance of `n_trials` trials, chance (1 - chance) / n_trials, from its square.
        """
        between = np.sqrt(max(0.0, spread**2 - chance * (1 - chance) / n_trials))
        return cls(chance=chance, between=float(between), **others)

    def spread(self, n_trials: float, difference: float = 0.0) -> float:
        """Standard deviation of the accuracies of subjects with this many tested trials each."""
        accuracy = self.chance + difference
        return float(np.sqrt(self.between**2 + accuracy * (1 - accuracy) / n_trials))


@dataclasses.dataclass(frozen=True)
class StudyPlan:
    """Required size of a study under one protocol. Differences are shares.

    Args:
        protocol: name of the protocol.
        difference: the difference from chance to detect.
        n_subjects: planned number of subjects; `None` if not given.
        n_trials: trials of a subject.
        tested_trials: tested trials of a subject: a holdout tests a part of them.
        subjects_needed: subjects of `n_trials` trials each, by a t-test over subjects.
        trials_needed: trials of each of `n_subjects`; `None` where no number suffices, and without `n_subjects`.
        detectable: difference that `n_subjects` of `n_trials` trials detect; `None` where not even an accuracy of 1 is
            detected, and without `n_subjects`.
        power: power of `n_subjects` with `n_trials` trials for `difference`; `None` without `n_subjects`.
        alone_trials_needed: trials with which one subject alone shows the difference, by a binomial test; `None` where
            the protocol trains on several.
        stimuli_needed: stimuli needed where all subjects rate a stimulus alike, so that stimuli and not trials are the
            sample; `None` where the protocol does not keep stimuli disjoint.
        at_least: minimum that the split itself needs.
    """

    protocol: str
    difference: float
    n_subjects: int | None
    n_trials: int
    tested_trials: float
    subjects_needed: int
    trials_needed: int | None
    detectable: float | None
    power: float | None
    alone_trials_needed: int | None
    stimuli_needed: int | None
    at_least: str

    def as_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        return dataclasses.asdict(self)


def plan_study(
    protocol: Protocol,
    difference: float = 0.05,
    n_subjects: int | None = None,
    n_trials: int = 40,
    assumptions: Assumptions | None = None,
) -> StudyPlan:
    """Plan how many subjects and trials a study needs to detect a difference from chance under a protocol.

    The accuracy of a subject is its true accuracy, which varies between subjects, plus a binomial error of its tested
    trials. Windows of a trial depend on each other and are not counted.

    Args:
        protocol: the protocol of the study.
        difference: true mean accuracy minus chance, a share.
        n_subjects: planned number of subjects, if given.
        n_trials: trials of each subject.
        assumptions: default `Assumptions()`.

    Raises:
        InputError: a number is out of range.
    """
    own = assumptions or Assumptions()
    if not 0 < difference < 1 - own.chance:
        raise InputError(
            f"difference {100 * difference:g} points: expected more than 0 and less than {100 * (1 - own.chance):g}, "
            f"with chance at {100 * own.chance:g} %"
        )
    if n_trials < 1 or (n_subjects is not None and n_subjects < 2):
        raise InputError(f"{n_subjects} subjects, {n_trials} trials: expected at least 2 subjects and 1 trial")
    share = 1 / protocol.n_splits if protocol.holdout and protocol.n_splits else 1.0
    tested = n_trials * share
    spread = own.spread(tested, difference)
    keeps_stimuli = "stimuli" in protocol.disjoint
    alone = protocol.scope != "across_subjects"
    binomial = _needed(trials_needed, difference, own.chance, own.power, own.alpha) if alone or keeps_stimuli else None
    needed = detectable = power = None
    if n_subjects is not None:
        effect = detectable_effect(n_subjects, own.power, own.alpha)
        left = (difference / effect) ** 2 - own.between**2
        accuracy = own.chance + difference
        needed = int(np.ceil(accuracy * (1 - accuracy) / left / share)) if left > 0 else None
        power = t_test_power(difference / spread, n_subjects, own.alpha)

        def missing(true: float) -> float:
            return t_test_power(true / own.spread(tested, true), n_subjects, own.alpha) - own.power

        most = 0.9999 * (1 - own.chance)  # at an accuracy of 1 trials scatter no more
        detectable = float(scipy.optimize.brentq(missing, 0.0, most)) if missing(most) > 0 else None
    return StudyPlan(
        protocol=protocol.name,
        difference=difference,
        n_subjects=n_subjects,
        n_trials=n_trials,
        tested_trials=tested,
        subjects_needed=_needed(subjects_needed, difference / spread, own.power, own.alpha),
        trials_needed=needed,
        detectable=detectable,
        power=power,
        alone_trials_needed=int(np.ceil(binomial / share)) if alone and binomial is not None else None,
        stimuli_needed=binomial if keeps_stimuli else None,
        at_least=FEWEST.get(protocol.disjoint, ""),
    )


def _needed(count: Callable[..., int], *arguments: float) -> int:
    try:
        return count(*arguments)
    except ValueError as error:
        raise InputError(f"the difference is too small to be detected by any study: {error}") from None


def _t_power(noncentrality: float, freedom: int, alpha: float) -> float:
    critical = scipy.stats.t.ppf(1 - alpha / 2, freedom)
    upper, lower = (
        scipy.stats.nct.sf(critical, freedom, noncentrality),
        scipy.stats.nct.cdf(-critical, freedom, noncentrality),
    )
    # SciPy returns NaN for the lower tail of a large noncentrality, which is negligibly small.
    return float(upper + np.nan_to_num(lower))


def _detectable_noncentrality(freedom: int, power: float, alpha: float) -> float:
    if power <= alpha:
        raise ValueError(f"`power` is {power:g}; expected more than `alpha`, {alpha:g}")
    high = 8.0
    while _t_power(high, freedom, alpha) < power:
        high *= 2
    return float(scipy.optimize.brentq(lambda value: _t_power(value, freedom, alpha) - power, 0.0, high))


def _binomial_power(difference: float, counts: np.ndarray, chance: float, alpha: float) -> np.ndarray:
    # The smallest number of correct trials that has a probability of at most alpha / 2 by chance.
    critical = scipy.stats.binom.isf(alpha / 2, counts, chance) + 1
    return np.asarray(scipy.stats.binom.sf(critical - 1, counts, min(1.0, chance + difference)))


def _check(**shares: float) -> None:
    for name, value in shares.items():
        if not 0 < value < 1:
            raise ValueError(f"`{name}` is {value:g}; expected a share between 0 and 1")
