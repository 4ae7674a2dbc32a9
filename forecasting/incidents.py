"""Incidents of a portfolio of daily costs: when something began to cost more or less than usual, and which part did.

The parts of a cost (by provider, team, model ...) all move when one of them does. An incident is told once, at the part
that explains most of the difference with the fewest dimensions; what shares its difference is no second incident.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from forecasting.anomalies import DAILY_CALM, DAILY_CALM_DAYS, GRAVER, Flags, alarms
from forecasting.daily_tests import PROBATION_DAYS, Days, daily_scores
from forecasting.load_tests import row_medians
from forecasting.series import Floats

Terms = tuple[tuple[str, str], ...]
Kind = Literal["spike", "step", "drop", "drift", "new", "ended"]

NONE: Final = "(none)"
"""The value of what has none in a dimension; a part of nothing else is no part."""
LEAST_RATIO: Final = 0.002
"""Of a usual day's whole cost: a smaller difference a day is nobody's incident."""
NEW_SCORE: Final = 3.0
QUIET_DAYS: Final = 28
"""What cost next to nothing for so long and then does is new ..."""
MANIFOLD: Final = 5.0
"""... where it is at least so many times the most of those days."""
ENDED_RATIO: Final = 0.05
SHARED: Final = 0.5
"""A part whose difference is to this share another incident's is told by that one."""
SHIFT: Final = 0.35
"""Where what rose and what fell within a home differ by less than this share, cost only moved within it ..."""
COUNTER: Final = 0.15
"""... and where one is at least this share of the other, it moved and changed: the home tells both as one."""
LASTING_DAYS: Final = 60
"""For so long an incident explains what is off in the same direction: by then it is what is usual."""
LOOK_BACK_DAYS: Final = 14
"""So far before the day on which it was told an incident may have begun."""
BACK: Final = 0.35
"""An incident is over when less than this share of its difference is left, three days in a row; or on its last day."""
TERM: Final = 0.1
"""What a term of a part's name counts against it, beside the logarithms of its score and money; (none) counts twice."""
SPIKE_DAYS: Final = 3
SLOWLY: Final = 0.4
"""What was off by this share three days ago already did not jump."""
MOVER: Final = 0.5
"""What changed by less than this share of itself did not move anywhere."""
HOME: Final = 0.6
"""A home of a part holds this share of its difference."""
WEEKS: Final = 4


@dataclass(frozen=True, eq=False)
class Costs:
    """Daily costs of the finest parts: days x parts, each part with its value in every dimension.

    known_until: the last day (its index) that each part is billed in full. waste: parts that are paid for and not
    used: they are never netted against what was used before. fees: parts that are charged by the month: they have no
    days of their own, and only being new is told of them. quantities: what each part's cost is charged for, 0 where
    nothing is counted.
    """

    days: Days
    values: Floats
    labels: Sequence[Mapping[str, str]]
    known_until: NDArray[np.int64]
    waste: Flags
    fees: Flags
    quantities: Floats


@dataclass(frozen=True, eq=False)
class Part:
    """A sum of finest parts, named by its terms."""

    terms: Terms
    members: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Incident:
    """One incident: the part, its first day, the day on which it was told, and its last day so far (indices).

    sign: 1 above, -1 below what was expected. expected: of each day from the first to the last. ongoing: not over.
    """

    part: Part
    kind: Kind
    first: int
    told: int
    last: int
    sign: int
    score: float
    usual: Floats
    ongoing: bool

    def expected(self, costs: Costs) -> Floats:
        """What each day of the incident should have cost, by what its weekday did before the incident."""
        weekdays = _weekdays(costs.days[self.first : self.last + 1])
        return self.usual[weekdays]


def find(
    costs: Costs, groupings: Sequence[tuple[str, ...]], homes: Sequence[Sequence[tuple[str, ...]]]
) -> list[Incident]:
    """All incidents, oldest first; those of a day are the same whatever came after it but for their last day and kind.

    groupings: dimensions whose values make the parts that are looked at. homes: dimensions within which cost may move
    from one part to another without being an incident, near ones before far ones.
    """
    least = LEAST_RATIO * _usual_total(costs.values.sum(axis=1))
    parts = [p for p in _parts(costs.labels, groupings) if _is_large(p, costs.values, least)]
    if not parts:
        return []
    member = np.zeros((len(costs.labels), len(parts)))
    for i, part in enumerate(parts):
        member[part.members, i] = 1.0
    distinct, which = np.unique(member, axis=1, return_inverse=True)
    score = _scores(costs, distinct, least)[:, which]
    told = np.stack(
        [alarms(column, calm=DAILY_CALM, quiet=DAILY_CALM_DAYS, again=GRAVER) for column in score.T], axis=1
    )
    search = _Search(costs, parts, score, [_parts(costs.labels, level) for level in homes], least, [])
    for day in np.flatnonzero(told.any(axis=1)):
        search.judge(int(day), np.flatnonzero(told[day]))
    return [search.as_of_now(found) for found in search.found]


def _scores(costs: Costs, member: Floats, least: Floats) -> Floats:
    """The score of each day and part, 1 and more being an alarm; member: finest parts x parts, 1 for what is in it."""
    series = costs.values @ member
    until = np.where(member > 0, costs.known_until[:, None], len(costs.days)).min(axis=0)
    later = np.arange(len(costs.days))[:, None] > until
    expected, score = daily_scores(np.where(later, np.nan, series), costs.days)
    score = np.fmax(score, _rate_scores(costs, member, later))
    before = np.vstack([np.zeros((1, score.shape[1])), score[:-1]])
    score = np.where(series < expected, np.fmin(score, before), score)  # one low day costs nobody anything
    score[:, costs.fees @ member > 0] = 0.0
    score = np.where(later, 0.0, np.fmax(score, _new(series, least)))
    return np.where(np.abs(series - _usual(series)) < least[:, None], 0.0, score)


@dataclass(frozen=True, eq=False)
class _Search:
    costs: Costs
    parts: list[Part]
    score: Floats
    homes: list[list[Part]]
    least: Floats
    found: list[Incident]

    def judge(self, day: int, alarmed: NDArray[np.int64]) -> None:
        """Add the incidents that a day's alarms tell, the one that explains most first."""
        excess = self._excess(day)
        scores: dict[int, float] = {}
        left: list[Part] = []
        for i in alarmed:
            part = self._in_its_home(self.parts[i], day, excess)
            if part is None or abs(excess[part.members].sum()) < self.least[day] or self._is_told(part, day, excess):
                continue
            if id(part) not in scores:
                left.append(part)
            scores[id(part)] = max(scores.get(id(part), 0.0), float(self.score[day, i]))
        fresh = excess.copy()
        for earlier in self.found:
            if day - earlier.first <= LASTING_DAYS:
                fresh[earlier.part.members] = 0.0
        while left:
            best = max(left, key=lambda p: _worth(p, scores[id(p)], fresh))
            self.found.append(self._incident(best, day, scores[id(best)], excess))
            left = [p for p in left if not _shares(p, best.members, excess)]

    def _excess(self, day: int) -> Floats:
        """Each finest part's cost of the day less its usual one by weekday."""
        usual = usual_week(self.costs.values, self.costs.days, day)
        return np.asarray(self.costs.values[day] - usual[_weekday(self.costs.days[day])])

    def _is_told(self, part: Part, day: int, excess: Floats) -> bool:
        """Whether an earlier incident explains the part's alarm: it lasts, or it has just ended and cost is back."""
        sign = np.sign(excess[part.members].sum())
        lasting = [
            earlier.part.members
            for earlier in self.found
            if earlier.sign == sign
            and day - earlier.first <= LASTING_DAYS
            and self._is_same(earlier, day)
            and (not self._is_waste(part) or self._is_waste(earlier.part))
        ]
        if lasting and _shares(part, np.unique(np.concatenate(lasting)), excess):
            return True
        if sign < 0 and any(self._is_other_side(part, earlier, day, excess) for earlier in self.found):
            return True
        return any(
            earlier.sign != sign and _shares(part, earlier.part.members, excess) and self._is_back(earlier, day)
            for earlier in self.found
        )

    def _is_waste(self, part: Part) -> bool:
        return bool(self.costs.waste[part.members].all())

    def _is_other_side(self, part: Part, earlier: Incident, day: int, excess: Floats) -> bool:
        """Whether a fall belongs to a rise in its home: what one lost the other got, or it now lies unused."""
        if earlier.sign < 0:
            return False
        near = [h for h in self.homes[0] if np.isin(earlier.part.members, h.members).any()]
        if self._is_waste(earlier.part) and day - earlier.first <= LASTING_DAYS:
            return any(_shares(part, home.members, excess, share=SHIFT) for home in near)
        if day - earlier.told > SPIKE_DAYS or abs(excess[part.members].sum()) > (1 + SHIFT) * self._off(earlier, day):
            return False
        return any(_shares(part, home.members, excess, share=HOME) for home in near)

    def _is_same(self, earlier: Incident, day: int) -> bool:
        """Whether an earlier incident lasts, and is not much further off than it was, or got there slowly."""
        off = [self._off(earlier, d) for d in range(earlier.told, day + 1)]
        if day - earlier.told > SPIKE_DAYS and max(off[-1 - SPIKE_DAYS : -1]) < BACK * max(off[:-1]):
            return False
        return off[-1] < GRAVER * off[0] or max(off[-1 - SPIKE_DAYS : -1] or off) >= SLOWLY * off[-1]

    def _is_back(self, earlier: Incident, day: int) -> bool:
        """Whether the earlier incident's part costs again what it did before it, after it did not until now."""
        off = [self._off(earlier, d) for d in range(earlier.told, day + 1)]
        lasted = np.median(off[-LOOK_BACK_DAYS:-SPIKE_DAYS] or [0.0])
        return bool(abs(off[-1]) <= BACK * max(off) and lasted >= SHARED * max(off))

    def _off(self, incident: Incident, day: int) -> float:
        """How far the incident's part is off on a day, in the incident's direction."""
        cost = self.costs.values[day, incident.part.members].sum()
        return float(incident.sign * (cost - incident.usual[_weekday(self.costs.days[day])]))

    def _in_its_home(self, part: Part, day: int, excess: Floats) -> Part | None:
        """The part; or its home where others of it moved the other way, None where that cancels out: a mere move.

        Its homes are those of the first level that hold most of its difference.
        """
        if self._is_waste(part):
            return part
        movers = np.abs(excess) >= MOVER * np.fmax(self.costs.values[day], self.costs.values[day] - excess)
        moved = np.where(movers, excess, 0.0)
        if abs(moved[part.members].sum()) < SHARED * abs(excess[part.members].sum()):
            return part
        holding = ([h for h in level if _shares(part, h.members, excess, share=HOME)] for level in self.homes)
        for home in next((homes for homes in holding if homes), []):
            inside = moved[home.members]
            rose, fell = float(inside[inside > 0].sum()), float(-inside[inside < 0].sum())
            if abs(rose - fell) < SHIFT * max(rose, fell):
                return None
            if min(rose, fell) >= COUNTER * max(rose, fell):
                return home
        return part

    def _incident(self, part: Part, day: int, score: float, excess: Floats) -> Incident:
        own = usual_week(self.costs.values[:, part.members].sum(axis=1), self.costs.days, day)
        amount = float(excess[part.members].sum())
        sign = 1 if amount > 0 else -1
        first = day
        while first > 0 and day - first < LOOK_BACK_DAYS and self._differs(part, own, first - 1, amount):
            first -= 1
        costs = self.costs.values[day, part.members].sum()
        if not own.any() or own.max() < ENDED_RATIO * costs:
            kind: Kind = "new"
        elif costs < ENDED_RATIO * own.max() and own.min() > 0:
            kind = "ended"
        elif day - first > SPIKE_DAYS:
            kind = "drift"
        else:
            kind = "step" if sign > 0 else "drop"
        return Incident(part, kind, first, day, day, sign, score, own, ongoing=True)

    def _differs(self, part: Part, usual: Floats, day: int, amount: float) -> bool:
        """Whether the part was off by a good part of the amount on an earlier day."""
        off = self.costs.values[day, part.members].sum() - usual[_weekday(self.costs.days[day])]
        return bool(off * np.sign(amount) >= SHARED * abs(amount))

    def as_of_now(self, incident: Incident) -> Incident:
        """The incident with its last day, and as a spike where it was over within days.

        What lasts longer than LASTING_DAYS is usual by then, but for waste.
        """
        members = incident.part.members
        known = int(self.costs.known_until[members].min())
        end = known if self._is_waste(incident.part) else min(known, incident.told + LASTING_DAYS)
        days = np.arange(incident.told, end + 1)
        actual = self.costs.values[days][:, incident.part.members].sum(axis=1)
        off = (actual - incident.usual[_weekdays(self.costs.days[days])]) * incident.sign
        calm = off < BACK * np.maximum.accumulate(off)
        over = calm & np.append(calm[1:], True) & np.append(calm[2:], [True, True])[: len(calm)]
        if not over.any():
            return replace(incident, last=end, ongoing=end == known)
        last = int(days[max(0, int(np.argmax(over)) - 1)])
        brief = last - incident.first < SPIKE_DAYS and incident.kind in ("step", "new", "drift")
        return replace(incident, last=last, ongoing=False, kind="spike" if brief else incident.kind)


def _worth(part: Part, score: float, excess: Floats) -> float:
    """What a part tells: how clearly it is off, how much of the money it explains, less the terms that name it.

    Rounded: parts of the same members are worth the same, and the first is told.
    """
    terms = len(part.terms) + sum(value == NONE for _, value in part.terms)
    money = np.log(abs(excess[part.members].sum()) + 1e-9)
    return round(float(np.log1p(score) + money - TERM * terms), 6)


def _shares(part: Part, members: NDArray[np.int64], excess: Floats, *, share: float = SHARED) -> bool:
    """Whether a part's difference is, to a share, that of some members."""
    own, shared = excess[part.members].sum(), excess[np.intersect1d(part.members, members)].sum()
    return bool(shared * np.sign(own) >= share * abs(own))


def _new(series: Floats, least: Floats) -> Floats:
    """NEW_SCORE where a part first costs what counts after QUIET_DAYS of next to nothing, once the ledger is older."""
    most = np.zeros_like(series)
    for day in range(PROBATION_DAYS, len(series)):
        most[day] = series[day - QUIET_DAYS : day].max(axis=0)
    first = (series >= least[:, None]) & (most < least[:, None]) & (series >= MANIFOLD * most)
    first[:PROBATION_DAYS] = False
    return np.where(first, NEW_SCORE, 0.0)


def _rate_scores(costs: Costs, member: Floats, later: Flags) -> Floats:
    """The scores of what a unit costs, on days on which all cost is counted: a price or a mix moves it, no volume."""
    quantities = costs.quantities @ member
    uncounted = np.where(costs.quantities > 0, 0.0, np.abs(costs.values)) @ member
    rates = np.full_like(quantities, np.nan)
    known = (quantities > 0) & (uncounted == 0) & ~later
    np.divide(costs.values @ member, quantities, out=rates, where=known)
    score, counted = np.zeros_like(rates), known.any(axis=0)
    if counted.any():
        score[:, counted] = daily_scores(rates[:, counted], costs.days)[1]
    return score


def _usual(series: Floats) -> Floats:
    """The median of the last four same weekdays, of each day and column; 0 before there is one."""
    past = np.full((*series.shape, WEEKS), np.nan)
    for week in range(1, WEEKS + 1):
        past[7 * week :, :, week - 1] = series[: -7 * week]
    return np.nan_to_num(row_medians(past.reshape(-1, WEEKS)).reshape(series.shape))


def _is_large(part: Part, values: Floats, least: Floats) -> bool:
    """Whether a part was ever large enough to be off by what counts, once anything is told."""
    cost = np.abs(values[PROBATION_DAYS:, part.members].sum(axis=1))
    return bool((cost >= least[PROBATION_DAYS:]).any())


def _usual_total(total: Floats) -> Floats:
    """The median of the last 28 days' whole cost, by day."""
    windows = [total[max(0, i - 27) : i + 1] for i in range(len(total))]
    return np.array([np.median(window) for window in windows])


def _weekday(day: np.datetime64) -> int:
    return int((day.astype("datetime64[D]").astype(np.int64) + 3) % 7)


def _weekdays(days: Days) -> NDArray[np.int64]:
    return (days.astype("datetime64[D]").astype(np.int64) + 3) % 7


def usual_week(values: Floats, days: Days, day: int) -> Floats:
    """The usual cost of each weekday and column: the median of its last four."""
    past, weekdays = values[max(0, day - 7 * WEEKS) : day], _weekdays(days[max(0, day - 7 * WEEKS) : day])
    return np.stack([np.median(past[weekdays == w], axis=0) for w in range(7)])


def _parts(labels: Sequence[Mapping[str, str]], groupings: Sequence[tuple[str, ...]]) -> list[Part]:
    """The parts of all groupings but for those that name nothing, in the order of the groupings.

    Parts with the same members stay: that they are the same may change with a part that is yet to come.
    """
    parts = []
    for grouping in groupings:
        groups: dict[tuple[str, ...], list[int]] = {}
        for i, label in enumerate(labels):
            groups.setdefault(tuple(label[name] for name in grouping), []).append(i)
        parts += [
            Part(tuple(zip(grouping, values, strict=True)), np.array(members))
            for values, members in groups.items()
            if any(value != NONE for value in values)
        ]
    return parts
