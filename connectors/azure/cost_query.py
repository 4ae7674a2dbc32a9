"""Pulls Cost Management's query month by month: the quick start where there is no export yet, or totals beside one.

    <folder>/cost_management/2026-10/actual-0001.json, amortized-0001.json             what the month comes to
    <folder>/cost_management/2026-10/usage-0001.json, reservation-..., other-..., fees-...    its charges

Each month is first asked for its totals in both views; they say which questions its charges need. A month takes the
place of its predecessor when its charges sum to its totals. Months that are final are not asked again, and a pull that
was interrupted goes on behind the last whole page. Queries cost nothing, but Azure counts their units.

Source: Cost Management REST API, Query - Usage, 2025-03-01 (at most two groups); "Manage costs with automation"
(latency, query units); read 2026-11-21.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl

from connectors import sync
from connectors.access import NoPage, Window
from connectors.azure import query_pages
from connectors.azure.api import Api
from connectors.azure.query_pages import (
    COMMITMENTS,
    COST,
    CURRENCY,
    DAY,
    FOLDER,
    GROUPS,
    QUANTITY,
    TOTALS,
    Holds,
    Total,
)
from connectors.azure.roles import Needs
from connectors.http import NoAnswer
from connectors.registry import REJECT, RawPart
from finops import schema as s
from finops.errors import ConfigError, SourceUnreachable

Detail = Literal["charges", "totals"]

API_VERSION: Final = "2025-03-01"
RESTATED_DAYS: Final = 10
"""Azure closes a month within five days of its end; refunds and late Marketplace usage may follow."""
_TOLERANCE: Final = Decimal("0.01")
"""What the charges of a month may differ from its totals by: Azure sums binary floats."""
_ATTEMPTS: Final = 2
_VIEWS: Final[dict[Holds, str]] = dict.fromkeys(("actual", "fees"), "ActualCost")


@dataclass(frozen=True)
class Asked:
    """What is to be asked: of which scope, from which day on, in which detail."""

    scope: str
    since: date
    detail: Detail

    @property
    def needs(self) -> Needs:
        """The permission that it takes."""
        billing = self.scope.lower().startswith("/providers/microsoft.billing/")
        role = "Billing account reader or Enrollment reader" if billing else "Cost Management Reader"
        return Needs("a Cost Management query", role, self.scope)

    @property
    def link(self) -> str:
        """Where it is asked."""
        return f"{self.scope.strip('/')}/providers/Microsoft.CostManagement/query?api-version={API_VERSION}"


@dataclass(frozen=True)
class Queried:
    """What a pull did: months pulled, months that are final, and requests sent."""

    months: tuple[str, ...]
    final: tuple[str, ...]
    requests: int


@dataclass(frozen=True)
class Question:
    """What is asked of a month: the answer's name, and the values of dimensions that it is about."""

    holds: Holds
    where: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def body(self, window: Window) -> dict[str, Any]:
        """The query; its period ends with the last second of its last day."""
        last = window.end - timedelta(days=1)
        is_total = self.holds in TOTALS
        summed = (COST,) if is_total else (COST, QUANTITY)
        dataset: dict[str, Any] = {
            "granularity": "Monthly" if is_total else "Daily",
            "aggregation": {name: {"name": name, "function": "Sum"} for name in summed},
            "grouping": [{"type": "Dimension", "name": name} for name in GROUPS[self.holds]],
        }  # fmt: skip
        terms = [
            {"dimensions": {"name": name, "operator": "In", "values": list(values)}}
            for name, values in self.where.items()
        ]
        if terms:
            dataset["filter"] = terms[0] if len(terms) == 1 else {"and": terms}
        return {
            "type": _VIEWS.get(self.holds, "AmortizedCost"),
            "timeframe": "Custom",
            "timePeriod": {"from": f"{window.start}T00:00:00+00:00", "to": f"{last}T23:59:59+00:00"},
            "dataset": dataset,
        }


def questions(totals: list[Total]) -> list[Question]:
    """What to ask for the charges of a month with these totals; together they are all of it, each once."""
    mine: dict[Holds, list[Total]] = {}
    for total in totals:
        holds = query_pages.belongs_to(total)
        if holds:
            mine.setdefault(holds, []).append(total)
    found = []
    for holds, its in mine.items():
        where = {"ChargeType": tuple(sorted({total.charge_type for total in its}))}
        # by pricing model only where there is something to tell apart: older bills leave it empty
        if holds in ("fees", *COMMITMENTS) or (holds == "usage" and mine.keys() & set(COMMITMENTS)):
            where["PricingModel"] = tuple(sorted({total.model for total in its}))
        found.append(Question(holds, where))
    return found


def pull(api: Api, folder: Path, asked: Asked, *, source_id: str, today: date, say: Callable[[str], None]) -> Queried:
    """Bring the folder up to today.

    Raises ConfigError for a `since` that is still to come, SourceUnreachable when Azure does not answer, or when a
    month's charges do not sum to its totals twice; what was pulled before stays.
    """
    if asked.since > today:
        raise ConfigError(
            f"{source_id} is to be read since {asked.since}, which is still to come",
            expected=f"a day up to {today}",
            next_step="correct `azure.since` of the source in finops.toml",
        )
    run = _Run(api, folder / FOLDER, asked, source_id, today)
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    months = sync.windows(asked.since, today)
    todo = [month for month in months if not run.is_final(month)]
    for month in todo:
        run.month(month)
    say(f"{source_id}: {len(todo)} month(s) pulled from Cost Management in {api.requests} request(s)")
    final = tuple(month.name for month in months if month not in todo)
    return Queried(tuple(month.name for month in todo), final, api.requests)


@dataclass
class _Run:
    """One pull of a source."""

    api: Api
    folder: Path
    asked: Asked
    source_id: str
    today: date

    def month(self, month: Window) -> None:
        """Pull a month; it takes its predecessor's place when it is whole."""
        target = self.folder / month.name
        part = target.with_name(f".{month.name}.part")
        for attempt in range(1, _ATTEMPTS + 1):
            sync.start(part, self._how(month))
            try:
                self._ask(month, part)
                break
            except NoAnswer as problem:
                if not problem.again:  # a link of a resumed pull may be one that is no longer known
                    shutil.rmtree(part)
                raise self.api.refused(problem, self.asked.needs) from problem
            except NoPage as why:
                # Azure may have restated a day between two requests
                shutil.rmtree(part)
                if attempt == _ATTEMPTS:
                    raise SourceUnreachable(
                        f"{self.source_id}: {month.name} cannot be read from Cost Management: {why}",
                        expected="pages that follow each other to the last one, and charges that sum to their totals",
                        next_step=f"run `finops ingest {self.source_id}` again; what was pulled before stays as it is",
                    ) from why
        final = self._settled(month) and month.start.day == 1
        sync.write(part / sync.PULLED, {"pulled_on": self.today.isoformat(), "asked": self._how(month), "final": final})
        sync.replace(target, part)

    def is_final(self, month: Window) -> bool:
        """Whether a month was pulled in the same way when nothing was restated any more."""
        settled = month.end + timedelta(days=RESTATED_DAYS)
        return sync.is_final(self.folder / month.name, asked=self._how(month), settled=settled)

    def _settled(self, month: Window) -> bool:
        return self.today >= month.end + timedelta(days=RESTATED_DAYS)

    def _how(self, month: Window) -> str:
        return f"{self.asked.scope} {month.start}/{month.end} {self.asked.detail}"

    def _ask(self, month: Window, part: Path) -> None:
        """All pages of a month; raises NoAnswer, and NoPage where they do not fit together."""
        for holds in TOTALS:
            self._save(part, Question(holds), month)
        totals = query_pages.totals(part)
        if self.asked.detail == "charges":
            for question in questions(totals):
                self._save(part, question, month)
            _refuse_other_sums(part, totals)

    def _save(self, part: Path, question: Question, month: Window) -> None:
        read = query_pages.rows_of(question.holds)
        pages = self.api.save(part, question.holds, "POST", self.asked.link, question.body(month), read)
        keys = [*GROUPS[question.holds], CURRENCY, *(() if question.holds in TOTALS else (DAY,))]
        seen: set[tuple[str, ...]] = set()
        for row in (row for page in pages for row in read(page)[0]):
            key = tuple(str(row[name]) for name in keys)
            if key in seen:
                raise NoPage(f"{question.holds} of {', '.join(key)} comes twice")
            seen.add(key)
            if question.holds not in TOTALS and not _is_in(row[DAY], month):
                raise NoPage(f"{question.holds} has the day {row[DAY]}, which was not asked for")


def _is_in(day: object, month: Window) -> bool:
    """A day that cannot be read at all is a rejected row, not one of another month."""
    return not str(day).isdecimal() or f"{month.start:%Y%m%d}" <= str(day) < f"{month.end:%Y%m%d}"


def _refuse_other_sums(part: Path, totals: list[Total]) -> None:
    """Raises NoPage where the charges do not sum to what the month comes to, actual and amortised."""
    pages = query_pages.charge_pages(part)
    frames = [query_pages.parse(RawPart(path, path.name, date.min)) for path in pages]
    found: dict[str, list[Decimal]] = {}
    if frames:
        charges = pl.concat(frames).filter(pl.col(REJECT).is_null())
        sums = charges.group_by(s.BILLING_CURRENCY).agg(pl.col(s.BILLED_COST, s.EFFECTIVE_COST).sum()).collect()
        found = {currency: values for currency, *values in sums.iter_rows()}
    for currency in {*found, *(total.currency for total in totals)}:
        for place, view in enumerate(TOTALS):
            should = sum((t.amount for t in totals if t.view == view and t.currency == currency), Decimal(0))
            is_ = found.get(currency, [Decimal(0)] * 2)[place]
            if abs(is_ - should) > _TOLERANCE:
                raise NoPage(f"its charges sum to {is_:,.2f} {currency}, its {view} cost is {should:,.2f} {currency}")
