"""Forecasts that must sum: which sums there are, who gives way by how much, and which rule is used."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from forecasting import reconciliation
from forecasting.coherence import Flags, Keys, Weights, coherent, constraints, shrunk, uncorrelated
from forecasting.fits import Fitted
from forecasting.intervals import no_reach, quantiles
from forecasting.method import DEFAULT, Path
from forecasting.reconciliation import BASE, KEPT, LEAN, MINT, WLS, moved, reconcile
from forecasting.series import DailySeries, Floats

FIRST = date(2026, 1, 5)
TOTAL_AND_TWO: Keys = {"total": {}, "team=a": {"team": "a"}, "team=b": {"team": "b"}}
NAMES = ["total", "team=a", "team=b"]


def sums_of(values: list[list[float]], deviation: list[float], **known_or_floored: list[list[bool]]) -> Floats:
    """Total, a and b (series x days) made to sum."""
    numbers = np.array(values, dtype=np.float64)
    known: Flags = np.array(known_or_floored.get("known", np.zeros(numbers.shape)), dtype=np.bool_)
    floored: Flags = np.array(known_or_floored.get("floored", [[False] * len(numbers)])[0], dtype=np.bool_)
    matrix, _ = constraints(TOTAL_AND_TWO, NAMES)
    return coherent(numbers, matrix, uncorrelated(np.array(deviation)), known=known, floored=floored)


def path(mean: Floats, *, spread: float = 0.1, unit: float = 100.0, lowest: float = 0.0) -> Path:
    """A path whose median is its mean."""
    center = np.arcsinh(mean / unit)
    return Path(DEFAULT, unit, center, mean, np.full(len(mean), spread), lowest, float(center.max()) + 2)


def fitted(
    name: str, values: Floats, means: Mapping[int, float], *, horizon: int = 10, spread: float = 0.1, late: int = 0
) -> Fitted:
    """A series with one level forecast from each cutoff; `late` days of it are not known yet."""
    series = DailySeries(name, FIRST, values[: len(values) - late])
    paths = {
        cutoff - late * (cutoff == len(values)): {DEFAULT: path(np.full(horizon, mean), spread=spread)}
        for cutoff, mean in means.items()
    }
    return Fitted(series, horizon, paths)


def newest_mean(one: Fitted) -> Floats:
    """The mean of the newest path."""
    return one.paths[len(one.series.values)][DEFAULT].mean


def test_three_series_move_as_the_formula_says() -> None:
    """With variances 4, 1, 1 a gap of -2 is split 4 : 1 : 1, so the surest series move least."""
    found = sums_of([[10.0], [6.0], [6.0]], [2.0, 1.0, 1.0])
    assert found.ravel().tolist() == pytest.approx([10 + 4 / 3, 6 - 1 / 3, 6 - 1 / 3])


def test_every_series_is_the_sum_of_its_parts_in_each_finer_grouping() -> None:
    """Teams and purposes sum to the total; teams by purpose to the total, to their team and to their purpose."""
    keys = {
        **TOTAL_AND_TWO,
        "purpose=t": {"purpose": "t"},
        "team=a,purpose=t": {"team": "a", "purpose": "t"},
        "team=b,purpose=t": {"team": "b", "purpose": "t"},
    }
    names = list(keys)
    matrix, left_out = constraints(keys, names)
    assert left_out == {}
    sums = {(names[int(row.argmax())], tuple(np.array(names)[row < 0])) for row in matrix}
    both = ("team=a,purpose=t", "team=b,purpose=t")
    assert sums == {
        ("total", ("team=a", "team=b")), ("total", ("purpose=t",)), ("total", both), ("purpose=t", both),
        ("team=a", both[:1]), ("team=b", both[1:]),
    }  # fmt: skip


def test_a_grouping_with_a_series_that_was_refused_is_left_out_and_named() -> None:
    """Its parts cannot sum to anything; the other groupings still do."""
    keys = {**TOTAL_AND_TWO, "purpose=t": {"purpose": "t"}}
    matrix, left_out = constraints(keys, ["total", "team=a", "purpose=t"])
    assert left_out == {"team": "team=b"}
    assert matrix.tolist() == [[1, 0, -1]]
    assert constraints(keys, ["team=a", "team=b", "purpose=t"])[1] == {"total": "total"}


def test_shrinkage_is_that_of_schaefer_and_strimmer() -> None:
    """W and its shrinkage equal the formulas written out over all pairs."""
    errors = np.random.default_rng(1).normal(size=(12, 4)) @ np.array(
        [[1, 0.8, 0, 0], [0, 0.6, 0.3, 0], [0, 0, 1, 0], [0, 0, 0, 2.0]]
    )
    deviation = np.sqrt((errors**2).mean(axis=0))
    weights = shrunk(deviation, errors, independent=12)
    z, n = errors / deviation, len(errors)
    r = z.T @ z / n
    pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
    variance = sum(((z[:, i] * z[:, j] - r[i, j]) ** 2).sum() / (n * (n - 1)) for i, j in pairs)
    shrink = variance / sum(r[i, j] ** 2 for i, j in pairs)
    assert 0 < shrink < 1
    assert weights.shrink == pytest.approx(shrink)
    full = np.outer(deviation, deviation) * (shrink * np.eye(4) + (1 - shrink) * r)
    assert weights.times(np.eye(4)) == pytest.approx(full)


def test_series_with_few_known_errors_keep_their_own_variance_and_are_related_less() -> None:
    """Errors that are missing count as unrelated; a series without any error is related to none."""
    errors = np.random.default_rng(1).normal(size=(30, 1)) * np.array([[1.0, 1.0, 1.0]])
    errors[20:, 1] = np.nan
    errors[:, 2] = np.nan
    weights = shrunk(np.array([1.0, 1.0, 5.0]), errors, independent=30)
    covariance = weights.times(np.eye(3))
    assert np.diag(covariance).tolist() == pytest.approx([1, 1, 25])
    assert 0 < covariance[0, 1] < 1
    assert covariance[0, 2] == covariance[1, 2] == 0


def test_what_is_known_does_not_move() -> None:
    """On the first day b is known, so that the total and a alone give way; on the second all do."""
    known = [[False, False], [False, False], [True, False]]
    found = sums_of([[10, 10], [6, 6], [6, 6]], [1, 1, 1], known=known)
    assert found[:, 0].tolist() == pytest.approx([11, 5, 6])
    assert found[:, 1].tolist() == pytest.approx([10 + 2 / 3, 6 - 2 / 3, 6 - 2 / 3])


def test_a_sum_is_not_asked_for_where_one_of_it_is_unknown() -> None:
    """Days beyond the horizon of the total leave its parts as they are."""
    found = sums_of([[10, np.nan], [6, 6], [6, 6]], [1, 1, 1])
    assert found[1:, 1].tolist() == [6, 6]
    assert np.isnan(found[0, 1])


def test_nothing_falls_below_zero_that_never_was() -> None:
    """a would end at -2/3 and is zero; total and b meet in the middle. Where it may be negative, it is."""
    values, deviation = [[1.0], [1.0], [5.0]], [1.0, 1.0, 1.0]
    assert sums_of(values, deviation).ravel().tolist() == pytest.approx([1 + 5 / 3, 1 - 5 / 3, 5 - 5 / 3])
    floored = sums_of(values, deviation, floored=[[True, True, True]])
    assert floored.ravel().tolist() == pytest.approx([3, 0, 3])
    assert floored[1, 0] == 0


def test_what_never_erred_gives_way_only_if_nothing_else_can() -> None:
    """A constant and an all-zero series stay exactly; where no series ever erred, all share the gap."""
    assert sums_of([[10], [0], [6]], [3, 0, 1]).ravel().tolist() == pytest.approx([6.4, 0, 6.4])
    assert sums_of([[10], [0], [6]], [3, 0, 1])[1, 0] == 0
    assert sums_of([[10], [7], [6]], [0, 0, 0]).ravel().tolist() == pytest.approx([11, 6, 5])
    tiny = sums_of([[10], [7], [6]], [1e-160, 1e-160, 1e-160])
    assert tiny.ravel().tolist() == pytest.approx([11, 6, 5])


def test_one_series_and_none_stay_as_they_are() -> None:
    """There is nothing to sum."""
    one = fitted("total", np.full(100, 5.0), {100: 5.0})
    made = reconcile([one], {"total": {}})
    assert (made.portfolio, made.rule, made.left_out) == ([one], None, {})
    assert reconcile([], {}).portfolio == []


def test_a_grouping_that_is_left_out_keeps_its_forecasts() -> None:
    """b was refused: its team mates stay as they are, and the purposes sum to the total."""
    members = [*portfolio()[:2], *(replace(one, series=replace(one.series, name=f"purpose={k}")) for k, one in
                                   enumerate(portfolio()[1:]))]  # fmt: skip
    keys = {**TOTAL_AND_TWO, "purpose=0": {"purpose": "0"}, "purpose=1": {"purpose": "1"}}
    made = reconcile(members, keys)
    total, a, *purposes = (newest_mean(one) for one in made.portfolio)
    assert made.left_out == {"team": "team=b"}
    assert KEPT + "team" not in made.missed
    assert a.tolist() == [100.0] * 10
    np.testing.assert_allclose(sum(purposes), total, rtol=1e-12)


def test_median_and_bands_move_with_the_mean() -> None:
    """In proportion where the change is mild, by as much where it is not; ordered, and not below zero."""
    before = path(np.array([100.0, 100, 100, 0.0]), spread=1.0)
    after = moved(before, np.array([110.0, 50, 1, 30]))
    assert after.value(after.center).tolist() == pytest.approx([110, 50, 1, 30])
    bands = np.array(list(quantiles(after, no_reach()).values()))
    assert (np.diff(bands, axis=0) >= 0).all()
    assert (bands >= 0).all()
    skewed = moved(replace(before, center=np.arcsinh(np.full(4, 0.5))), np.full(4, 1.0))
    assert quantiles(skewed, no_reach())["p50"][:3].tolist() == [0.0] * 3, "50 less 99 would be below zero"
    constant = replace(before, spread=np.zeros(4), lowest=0.5, highest=0.5)
    assert quantiles(moved(constant, np.full(4, 300.0)), no_reach())["p50"][0] == pytest.approx(300)


def portfolio(*, late: int = 0, total_off: float = 30.0) -> list[Fitted]:
    """Total, a and b over 200 days; past forecasts of a were off by 1, those of b by 10, those of the total by more.

    The last one says 400 for a total whose parts say 100 and 200; b is known for `late` days less.
    """
    days, cutoffs = np.arange(200), range(120, 200, 10)
    wave = 1.0 - 2 * (days // 10 % 2)
    a, b = np.full(200, 100.0) + wave, np.full(200, 200.0) - 10 * wave
    return [
        fitted("total", a + b, {**{c: 300.0 + total_off * wave[c] for c in cutoffs}, 200: 400.0}, late=late),
        fitted("team=a", a, {**dict.fromkeys(cutoffs, 100.0), 200: 100.0}),
        fitted("team=b", b, {**dict.fromkeys(cutoffs, 200.0), 200: 200.0}, late=late),
    ]


@pytest.mark.parametrize("rule", [None, WLS, MINT, KEPT + "total", KEPT + "team", LEAN + "team"])
def test_newest_means_sum_by_any_rule_and_past_fits_stay(rule: str | None) -> None:
    """Whatever the rule, the parts sum to the total on every day."""
    members = portfolio()
    made = reconcile(members, TOTAL_AND_TWO, rule=rule)
    total, a, b = (newest_mean(one) for one in made.portfolio)
    np.testing.assert_allclose(a + b, total, rtol=1e-12)
    assert all(one.paths[190] is before.paths[190] for one, before in zip(made.portfolio, members, strict=True))
    if rule == KEPT + "total":
        np.testing.assert_allclose(total, 400, rtol=1e-3)
    if rule == KEPT + "team":
        np.testing.assert_allclose(total, 300, rtol=1e-3)


def test_the_series_that_erred_more_moves_more() -> None:
    """By past errors of 30 to 1 to 10, the total comes down to its parts and not they to it."""
    total, a, b = (newest_mean(one)[0] for one in reconcile(portfolio(), TOTAL_AND_TWO, rule=WLS).portfolio)
    assert 300 < total < 320
    assert 100 < a < 100.5
    assert 200 < b < 220


def test_days_that_one_series_knows_and_another_forecasts_hold_what_came() -> None:
    """a is billed five days further than b and the total: theirs are forecast to sum with what a really cost."""
    made = reconcile(portfolio(late=5), TOTAL_AND_TWO, rule=WLS)
    total, a, b = (newest_mean(one) for one in made.portfolio)
    assert made.portfolio[1].series.values[195:].tolist() == [99.0] * 5
    np.testing.assert_allclose(total[:5] - b[:5], 99, rtol=1e-12)
    np.testing.assert_allclose(total[5:], a[:5] + b[5:], rtol=1e-12)
    assert a[5:].tolist() == [100.0] * 5, "the total says nothing of these days"


def test_neither_order_nor_repetition_changes_anything() -> None:
    """The same portfolio in another order gives the same numbers to the last bit."""
    forth = reconcile(portfolio(), TOTAL_AND_TWO)
    back = reconcile(portfolio()[::-1], {name: TOTAL_AND_TWO[name] for name in reversed(NAMES)})
    assert [one.series.name for one in back.portfolio] == ["team=b", "team=a", "total"]
    for one, other in zip(forth.portfolio, back.portfolio[::-1], strict=True):
        assert newest_mean(one).tolist() == newest_mean(other).tolist()
    assert (forth.rule, forth.missed) == (back.rule, back.missed)


def test_the_finest_grouping_is_leant_on_unless_another_rule_missed_clearly_less() -> None:
    """Where past forecasts summed, all rules missed alike; errors that always went together show what MinT is for."""
    made = reconcile(portfolio(total_off=0), TOTAL_AND_TWO)
    assert set(made.missed) == {BASE, WLS, MINT, KEPT + "total", KEPT + "team", LEAN + "team"}
    assert list(made.missed.values()) == pytest.approx([made.missed[BASE]] * 6)
    assert made.rule == LEAN + "team"
    made = reconcile(portfolio(), TOTAL_AND_TWO)
    assert made.rule == MINT
    assert made.missed[MINT] < 0.95 * made.missed[LEAN + "team"] < made.missed[WLS] < made.missed[BASE]


def test_a_series_that_was_forecast_some_days_later_is_judged_by_the_days_that_have_come() -> None:
    """a has no forecast from day 190, but one from day 194: four of its ten days have not come yet."""
    total, a, b = portfolio()
    members = [
        replace(one, paths={cutoff + 4 * (one is a and cutoff == 190): paths for cutoff, paths in one.paths.items()
                            if cutoff in {150, 190, 200}})
        for one in (total, a, b)
    ]  # fmt: skip
    assert reconcile(members, TOTAL_AND_TWO).missed[BASE] > 0


@pytest.mark.parametrize(("wls", "used"), [(0.096, LEAN + "team"), (0.094, WLS)])
def test_a_rule_that_missed_a_little_less_is_not_used(wls: float, used: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """4 % in a few folds are luck, 6 % are not."""
    monkeypatch.setattr(reconciliation, "_missed", lambda *_: {BASE: 0.1, WLS: wls, MINT: 0.12, LEAN + "team": 0.1})
    assert reconcile(portfolio(), TOTAL_AND_TWO).rule == used


def test_without_past_forecasts_the_fits_own_spread_decides() -> None:
    """A short history has no past error: the wider a fit's own spread, the more it moves, and nothing is judged."""
    members = [
        fitted("total", np.full(50, 300.0), {50: 330.0}, spread=0.2),
        fitted("team=a", np.full(50, 100.0), {50: 100.0}, spread=0.01),
        fitted("team=b", np.full(50, 200.0), {50: 200.0}, spread=0.01),
    ]
    assert (usual := reconcile(members, TOTAL_AND_TWO)).rule == LEAN + "team"
    assert usual.missed == {}
    made = reconcile(members, TOTAL_AND_TWO, rule=WLS)
    total, a, b = (newest_mean(one)[0] for one in made.portfolio)
    assert 300 < total < 301
    assert 100 < a < b - 100 < 101


def test_a_past_cutoff_weighs_by_what_was_known_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes later, the weights of a past cutoff stay the same."""
    seen: list[dict[int, list[float]]] = []

    def spy(values: Floats, matrix: Floats, weights: Weights, *, known: Flags, floored: Flags) -> Floats:
        seen[-1].setdefault(len(seen[-1]), weights.deviation.tolist())
        return coherent(values, matrix, weights, known=known, floored=floored)

    monkeypatch.setattr(reconciliation, "coherent", spy)
    for factor in (1.0, 3.0):
        members = []
        for one in portfolio():
            values = one.series.values.copy()
            values[180:] *= factor
            members.append(replace(one, series=replace(one.series, values=values)))
        seen.append({})
        reconcile(members, TOTAL_AND_TWO, rule=WLS)
    before, after = seen
    assert len(before) == 5 * 7 + 1
    changed = [call for call in before if before[call] != after[call]]
    assert min(changed) >= 5 * 6, "only the fold at day 190 and the newest know of day 180"


def test_a_part_that_had_not_begun_is_not_missing_from_a_past_sum() -> None:
    """c begins on day 170: cutoffs before it are judged without it, and today it is part of the sum."""
    values = np.full(30, 5.0)
    new = Fitted(DailySeries("team=c", date(2026, 6, 24), values), 10, {30: {DEFAULT: path(np.full(10, 5.0))}})
    keys = {**TOTAL_AND_TWO, "team=c": {"team": "c"}}
    made = reconcile([*portfolio(), new], keys)
    assert made.missed[WLS] != made.missed[BASE]
    total, *parts = (newest_mean(one) for one in made.portfolio)
    np.testing.assert_allclose(sum(parts), total, rtol=1e-12)
