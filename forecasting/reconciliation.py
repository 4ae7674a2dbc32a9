"""Forecasts of crossing groupings made to sum, by a rule that the portfolio's own past forecasts may overrule."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from forecasting.coherence import (
    Flags,
    Keys,
    Weights,
    coherent,
    constraints,
    grouping_of,
    root_mean_square,
    shrunk,
    uncorrelated,
)
from forecasting.fits import Fitted
from forecasting.method import DEFAULT, Path
from forecasting.series import DailySeries, Floats

BASE: Final = "base"
"""Forecasts as they were made: not a rule to use, for they do not sum, but what rules are held against."""
WLS: Final = "wls"
MINT: Final = "mint_shrink"
KEPT: Final = "kept "
"""Before a grouping's name: its forecasts stay and the others follow. `kept total` is top-down, others bottom-up."""
LEAN: Final = "lean "
"""Before a grouping's name: its forecasts count as much surer than they were, so that the others give way more."""
SHARE: Final = {KEPT: 1e-3, LEAN: 0.3}
"""Of the deviation of a grouping that is kept or leant on; known actual values still come before a kept one."""
CLEAR_RATIO: Final = 0.95
"""A rule must have missed by less than this share of what the usual one did to be used in its place."""
LEAST_ERRORS: Final = 14
"""Fewer past errors of a series than these say less about its deviation than the spread of its own fit."""
DEVIATION_OF_SPREAD: Final = 1.25
"""Standard deviation over mean absolute error, of normal errors."""
LARGEST_RATIO: Final = 2.0
NEAR_DAYS: Final = 7
"""Sources are a few days apart: cutoffs of two series that are no further apart belong to the same fold."""

_Cutoffs = Mapping[str, int]
"""How many days were known of each series that was forecast."""


@dataclass(frozen=True, eq=False)
class Reconciled:
    """The fits with their newest paths moved, so that means sum; the rule, and why some groupings are left out.

    rule: None where there is nothing to sum. missed: pooled WAPE of past forecasts, of totals and parts alike, by rule
    and as they were made (BASE); empty without past forecasts. left_out: the series without a forecast, by grouping.
    """

    portfolio: list[Fitted]
    rule: str | None
    missed: Mapping[str, float]
    left_out: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class _Outlook:
    """What was forecast from certain cutoffs, as series x days from the earliest forecast day on.

    values: means, and the value that is known where one series was known on days that another had to forecast (known).
    came: what was billed for forecast days, NaN elsewhere. deviation: of errors, as the fits themselves tell.
    """

    names: list[str]
    values: Floats
    known: Flags
    came: Floats
    deviation: Floats
    floored: Flags


def reconcile(portfolio: Sequence[Fitted], keys: Keys, *, rule: str | None = None) -> Reconciled:
    """Make the newest means of a portfolio in one currency sum over every grouping that its keys tell.

    Each series' p50 and bands move along with its mean. keys: of all series that have a history, also of those that
    got no forecast. Without a rule (WLS, MINT, KEPT or LEAN with a grouping) it leans on the finest grouping, unless
    past cutoffs, each with what was known then, clearly speak for another. The order of series does not matter.
    """
    matrix, left_out = constraints(keys, sorted(one.series.name for one in portfolio))
    if not len(matrix):
        return Reconciled(list(portfolio), None, {}, left_out)
    asked = {name: key for name, key in keys.items() if grouping_of(key) not in left_out}
    members = sorted((one for one in portfolio if one.series.name in asked), key=lambda one: one.series.name)
    *past, newest = _folds(members)
    now = _outlook(members, newest)
    matrix, _ = constraints(asked, now.names)
    missed = _missed(members, past, asked)
    rule = rule or _choose(missed, _usual(asked))
    values = _reconciled(rule, now, matrix, asked, _past_errors(members, past, newest))
    means = {name: row[~known & ~np.isnan(row)] for name, row, known in zip(now.names, values, now.known, strict=True)}
    made = [_with_mean(one, means[one.series.name]) if one.series.name in asked else one for one in portfolio]
    return Reconciled(made, rule, missed, left_out)


def _folds(members: Sequence[Fitted]) -> list[_Cutoffs]:
    """Each series' cutoff at about the same day, for every day from which the longest fitted one was forecast.

    Oldest first; the last holds the newest cutoff of each, however far apart they are.
    """
    newest = {one.series.name: len(one.series.values) for one in members}
    longest = max(members, key=lambda one: len(one.paths))
    folds = []
    for cutoff in sorted(longest.paths)[:-1]:
        day = _first_day(longest.series, cutoff)
        near = {one.series.name: _nearest_cutoff(one, day) for one in members}
        folds.append({name: cutoff for name, cutoff in near.items() if cutoff is not None})
    return [*folds, newest]


def _nearest_cutoff(fitted: Fitted, day: int) -> int | None:
    apart = {
        cutoff: abs(_first_day(fitted.series, cutoff) - day)
        for cutoff in fitted.paths
        if cutoff < len(fitted.series.values)
    }
    near = [cutoff for cutoff, days in apart.items() if days <= NEAR_DAYS]
    return min(near, key=lambda cutoff: (apart[cutoff], cutoff), default=None)


def _first_day(series: DailySeries, cutoff: int) -> int:
    """The first day after a cutoff, as a number of days."""
    return series.start.toordinal() + cutoff


def _outlook(members: Sequence[Fitted], cutoffs: _Cutoffs) -> _Outlook:
    present = [one for one in members if one.series.name in cutoffs]
    starts = [_first_day(one.series, cutoffs[one.series.name]) for one in present]
    first, horizon = min(starts), max(one.horizon for one in present)
    shape = (len(present), max(starts) - first + horizon)
    values, came, known = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, dtype=np.bool_)
    deviation, floored = np.zeros(len(present)), np.zeros(len(present), dtype=np.bool_)
    for row, (one, start) in enumerate(zip(present, starts, strict=True)):
        cutoff, ahead = cutoffs[one.series.name], start - first
        path, history = _path(one, cutoff), one.series.known_at(cutoff)
        values[row, :ahead] = _last(history.values, ahead)
        known[row, :ahead] = True
        values[row, ahead : ahead + one.horizon] = path.mean
        billed = one.series.billed[cutoff : cutoff + one.horizon]
        came[row, ahead : ahead + len(billed)] = billed
        slope = np.hypot(path.unit, path.value(path.center))  # of the value by z
        deviation[row] = DEVIATION_OF_SPREAD * float((path.spread * slope).mean())
        floored[row] = bool((history.observed >= 0).all())
    return _Outlook([one.series.name for one in present], values, known, came, deviation, floored)


def _path(fitted: Fitted, cutoff: int) -> Path:
    return fitted.paths[cutoff][_used(fitted, cutoff)]


def _used(fitted: Fitted, cutoff: int) -> str:
    return fitted.model if fitted.model in fitted.paths[cutoff] else DEFAULT


def _last(values: Floats, count: int) -> Floats:
    """The last `count` values, NaN before the first one."""
    tail = values[max(0, len(values) - count) :]
    return np.concatenate([np.full(count - len(tail), np.nan), tail])


def _past_errors(members: Sequence[Fitted], earlier: Sequence[_Cutoffs], cutoffs: _Cutoffs) -> list[Floats]:
    """Errors of earlier fits as they were known at the cutoffs, by fold: a row for each day, a column a series."""
    present = [one for one in members if one.series.name in cutoffs]
    known = [one.series.known_at(cutoffs[one.series.name]).billed for one in present]
    blocks = []
    for fold in earlier:
        errors = {
            column: (_first_day(one.series, cutoff), _last(values, ahead)[: one.horizon] - path.mean[:ahead])
            for column, (one, values) in enumerate(zip(present, known, strict=True))
            if (cutoff := fold.get(one.series.name)) is not None
            and (ahead := cutoffs[one.series.name] - cutoff) > 0
            and (path := _path(one, cutoff))
        }
        first = min((start for start, _ in errors.values()), default=0)
        block = np.full((max((s + len(e) for s, e in errors.values()), default=first) - first, len(present)), np.nan)
        for column, (start, found) in errors.items():
            block[start - first : start - first + len(found), column] = found
        blocks.append(block[~np.isnan(block).all(axis=1)])
    return [block for block in blocks if len(block)]


def _rules(keys: Keys) -> list[str]:
    groupings = {grouping_of(key): len(key) for key in keys.values()}
    return [
        _usual(keys),
        WLS,
        MINT,
        *(KEPT + grouping for grouping in sorted(groupings, key=lambda g: (groupings[g], g))),
    ]


def _reconciled(rule: str, outlook: _Outlook, matrix: Floats, keys: Keys, past: Sequence[Floats]) -> Floats:
    weights = _weights(rule, outlook, keys, past)
    return coherent(outlook.values, matrix, weights, known=outlook.known, floored=outlook.floored)


def _about_reconciled(rule: str, outlook: _Outlook, matrix: Floats, keys: Keys, past: Sequence[Floats]) -> Floats:
    """As `_reconciled`, where what falls below zero is cut off: near enough to be judged, and many times quicker."""
    weights, anything = _weights(rule, outlook, keys, past), np.zeros(len(outlook.names), dtype=np.bool_)
    values = coherent(outlook.values, matrix, weights, known=outlook.known, floored=anything)
    return np.where(outlook.floored[:, None], np.maximum(values, 0), values)


def _weights(rule: str, outlook: _Outlook, keys: Keys, past: Sequence[Floats]) -> Weights:
    errors = np.concatenate([np.zeros((0, len(outlook.names))), *past])
    enough = (~np.isnan(errors)).sum(axis=0) >= LEAST_ERRORS
    deviation = np.where(enough, root_mean_square(errors), outlook.deviation)
    if rule == MINT:
        return shrunk(deviation, errors, independent=len(past))
    for prefix, share in SHARE.items():
        if rule.startswith(prefix):
            surer = [grouping_of(keys[name]) == rule.removeprefix(prefix) for name in outlook.names]
            deviation = np.where(surer, share * deviation, deviation)
    return uncorrelated(deviation)


def _missed(members: Sequence[Fitted], folds: Sequence[_Cutoffs], keys: Keys) -> dict[str, float]:
    """Pooled WAPE by rule, and of BASE, from every past fold whose horizon has come and that has folds before it.

    A series that was forecast some days after the others of a fold is judged by the days that have come.
    """
    came: list[Floats] = []
    means: dict[str, list[Floats]] = {rule: [] for rule in (BASE, *_rules(keys))}
    for at, fold in enumerate(folds):
        present = [one for one in members if one.series.name in fold]
        ends = {one.series.name: len(one.series.values) - one.series.estimated - one.horizon for one in present}
        if all(fold[name] > end for name, end in ends.items()):
            continue
        until = max(_first_day(one.series, fold[one.series.name]) for one in present)
        # what had not begun by then was not missing: the wholes did not know of it either
        later = {one.series.name for one in members if one.series.start.toordinal() >= until}
        begun = {name: key for name, key in keys.items() if name not in later}
        then = _outlook(members, fold)
        matrix, _ = constraints(begun, then.names)
        errors = _past_errors(members, folds[:at], fold)
        if not len(matrix) or not errors:
            continue
        judged = ~np.isnan(then.came)
        came.append(then.came[judged])
        for rule, parts in means.items():
            values = then.values if rule == BASE else _about_reconciled(rule, then, matrix, begun, errors)
            parts.append(values[judged])
    actual = np.concatenate([np.zeros(0), *came])
    size = np.abs(actual).sum()
    return {rule: float(np.abs(actual - np.concatenate(m)).sum() / size) for rule, m in means.items() if size > 0}


def _usual(keys: Keys) -> str:
    """Lean on the grouping with most series: what moves a part is plainer in it than in a sum (docs/forecasting.md)."""
    series = Counter(grouping_of(key) for key in keys.values())
    return LEAN + min(series, key=lambda grouping: (-series[grouping], grouping))


def _choose(missed: Mapping[str, float], usual: str) -> str:
    """The rule that missed least, where that is clear: close figures of few folds are luck."""
    rules = [rule for rule in missed if rule != BASE]
    best = min(rules, key=lambda rule: (missed[rule], rules.index(rule)), default=usual)
    return best if best != usual and missed[best] < CLEAR_RATIO * missed[usual] else usual


def _with_mean(fitted: Fitted, mean: Floats) -> Fitted:
    """The fits with another mean on the newest path, and its median moved along."""
    newest = len(fitted.series.values)
    path = moved(_path(fitted, newest), mean)
    paths = {**fitted.paths[newest], _used(fitted, newest): path}
    return replace(fitted, paths={**fitted.paths, newest: paths})


def moved(path: Path, mean: Floats) -> Path:
    """A path with another mean, its median and so its bands moved along: in proportion, or by as much.

    By as much where proportion is not defined or beyond LARGEST_RATIO. A path that may not fall below zero stays so.
    """
    mild = (path.mean > 0) & (mean >= path.mean / LARGEST_RATIO) & (mean <= path.mean * LARGEST_RATIO)
    ratio = np.divide(mean, path.mean, out=np.ones(len(mean)), where=mild)

    def along(z: Floats) -> Floats:
        value = path.unit * np.sinh(z)
        there = np.arcsinh(np.where(mild, value * ratio, value + mean - path.mean) / path.unit)
        return np.maximum(there, 0.0) if path.lowest >= 0 else there

    center = along(path.center)
    fixed = None if path.fixed is None else along(path.fixed)
    lowest, highest = min(path.lowest, float(center.min())), max(path.highest, float(center.max()))
    return replace(path, mean=mean, center=center, lowest=lowest, highest=highest, fixed=fixed)
