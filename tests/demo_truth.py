"""What anomalies of the demo company should be found: planted incidents, and changes that its plan really has."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil, log
from typing import Final

import polars as pl

from connectors.demo.api_plan import CALLS, KEYS, project
from connectors.demo.bill import term_of
from connectors.demo.company import COMMITMENTS, WORKLOADS, Calendar, account
from connectors.demo.incidents import PRICE, RAMP_DAYS, RAMP_RATIO, TRIPLED, incidents
from finops import schema as s
from finops.pipeline.anomaly_search import Anomaly

VISIBLE_RATIO: Final = 1.25
"""A slow ramp is visible from the day on which it costs a quarter more than usual; all else from its first day."""
WITHIN_DAYS: Final = 2
"""Of its first visible day an incident is to be told."""
PLAN_DAYS: Final = 10
"""A change of the plan explains what is told so soon after it: a weekend may hide it."""
PROBATION_DAYS: Final = 35


@dataclass(frozen=True)
class Verdict:
    """How a search did: planted incidents told in time and not, anomalies that nothing explains, days watched."""

    told: tuple[str, ...]
    missed: tuple[str, ...]
    false: tuple[Anomaly, ...]
    days: int


def judge(found: Sequence[Anomaly], daily: pl.DataFrame, calendar: Calendar) -> Verdict:
    """The verdict on a company's anomalies; daily: the rows that were searched."""
    planted = []
    for incident in incidents(calendar):
        late = ceil((RAMP_DAYS - 1) * log(VISIBLE_RATIO) / log(RAMP_RATIO)) if incident.kind == TRIPLED else 0
        scope = {s.MODEL_ID: "gpt-4.1", s.TEAM: "Risk"} if incident.kind == PRICE else incident.scope
        planted.append((incident.kind, incident.first_day, late, _rows(scope)))
    plan: dict[date, pl.Expr] = {}
    for first, rows in _plan(calendar):
        plan[first] = plan[first] | rows if first in plan else rows
    told, explained = set(), set()
    for anomaly in found:
        for kind, first, late, rows in planted:
            passed = (anomaly.told_on - first).days
            if passed >= 0 and _is_of(anomaly, daily, rows):
                if passed <= late + WITHIN_DAYS and anomaly.sign > 0:
                    told.add(kind)
                if anomaly.told_on <= calendar.end and passed <= RAMP_DAYS:
                    explained.add(anomaly.anomaly_id)
        for first, rows in plan.items():
            if -1 <= (anomaly.told_on - first).days <= PLAN_DAYS and _is_of(anomaly, daily, rows):
                explained.add(anomaly.anomaly_id)
    kinds = [kind for kind, first, _, _ in planted if (first - calendar.start).days >= 2 * PROBATION_DAYS]
    return Verdict(
        tuple(k for k in kinds if k in told),
        tuple(k for k in kinds if k not in told),
        tuple(a for a in found if a.anomaly_id not in explained and a.known is None),
        (calendar.end - calendar.start).days - PROBATION_DAYS,
    )


def _plan(calendar: Calendar) -> Iterator[tuple[date, pl.Expr]]:
    """Days on which the plan really changes what something costs, and the rows that it changes."""
    for work in WORKLOADS:
        for days in (work.since, None if work.until is None else work.until - 1):
            if days is not None:
                yield calendar.days_before_end(days), pl.col(s.USE_CASE) == work.use_case
    keys = {key.key: key.use_case for key in KEYS}
    for calls in CALLS:
        changes = [calls.since, calls.until, *(since for since, _ in calls.models)]
        rows = pl.col(s.USE_CASE) == keys.get(calls.key or "", "")
        rows = rows | ((pl.col(s.SUB_ACCOUNT_ID) == project(calls.project).project_id) & pl.col(s.USE_CASE).is_null())
        for days in changes:
            if days is not None:
                yield calendar.days_before_end(days), rows
    for commitment in COMMITMENTS:
        covered = [w.use_case for w in WORKLOADS if w.name in commitment.covers]
        owner = pl.col(s.SUB_ACCOUNT_ID).str.ends_with(account(commitment.account).account_id)
        for day in term_of(commitment, calendar):
            yield day, pl.col(s.USE_CASE).is_in(covered) | owner


def _rows(scope: dict[str, str]) -> pl.Expr:
    return pl.all_horizontal(pl.col(name) == value for name, value in scope.items())


def _is_of(anomaly: Anomaly, daily: pl.DataFrame, rows: pl.Expr) -> bool:
    """Whether a part of the anomaly's cost, around the day on which it was told, is of these rows."""
    near = pl.col(s.CHARGE_DATE).is_between(anomaly.told_on - timedelta(days=7), anomaly.told_on)
    own = daily.filter(near, anomaly.scope.holds())
    return float(own.filter(rows.fill_null(value=False))[s.EFFECTIVE_COST].sum()) >= 0.2 * float(
        own[s.EFFECTIVE_COST].sum()
    )
