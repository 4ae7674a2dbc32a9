"""Pulls AWS Cost Explorer month by month: the quick start where there is no export yet, or monthly totals beside one.

    <folder>/cost_explorer/2026-10/usage-0001.json, committed-0001.json, other-0001.json    charges
    <folder>/cost_explorer/2026-10/usage-123456789012-0001.json ...                         with an account each
    <folder>/cost_explorer/totals/0001.json                                                 totals of all months
    <folder>/cost_explorer/.requests.json                                                   what was spent on requests

AWS charges each request, so how many there will be is said before the first one, `max_requests` is never exceeded,
and months that are final are not asked again. A month takes the place of its predecessor when its charges sum to its
totals.

Source: Cost Explorer pricing (0.01 USD a paginated request) and API reference of GetCostAndUsage; read 2026-11-21.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl

from connectors import sync
from connectors.access import Window
from connectors.aws import cost_pages
from connectors.aws.api import Api
from connectors.aws.cost_pages import BILLED, CHARGED, EFFECTIVE, FOLDER, GROUPS, QUANTITY, RECORD_TYPES, Holds
from connectors.registry import REJECT, RawPart
from finops import schema as s
from finops.errors import ConfigError, SourceUnreachable

Detail = Literal["charges", "accounts", "totals"]
"""charges: of all accounts together. accounts: each account's own. totals: only what months sum to."""

ACTION: Final = "ce:GetCostAndUsage"
USD_PER_REQUEST: Final = Decimal("0.01")
RESTATED_DAYS: Final = 10
"""AWS finalises a bill in the first days of the next month; late credits and taxes may follow."""
_TOLERANCE: Final = Decimal("0.01")
"""What the charges of a month may differ from its totals by: Cost Explorer rounds each figure to ten places."""
_SPENT: Final = ".requests.json"


@dataclass(frozen=True)
class Asked:
    """What is to be asked: from which day on, in which detail, and with how many requests at most."""

    since: date
    detail: Detail
    max_requests: int


@dataclass(frozen=True)
class Explored:
    """What a pull did: months pulled, months that are final, and the requests that were paid for."""

    months: tuple[str, ...]
    final: tuple[str, ...]
    requests: int
    estimated_from: date | None


def pull(api: Api, folder: Path, asked: Asked, *, source_id: str, today: date, say: Callable[[str], None]) -> Explored:
    """Bring the folder up to today.

    Raises ConfigError before the request that would exceed max_requests, SourceUnreachable when AWS does not answer, or
    when a month's charges do not sum to its totals.
    """
    if asked.since > today:
        raise ConfigError(
            f"{source_id} is to be read since {asked.since}, which is still to come",
            expected=f"a day up to {today}",
            next_step="correct `aws.since` of the source in finops.toml",
        )
    run = _Run(api, folder / FOLDER, asked, source_id, today, say)
    try:
        return run.run()
    finally:
        run.keep_count()


@dataclass
class _Run:
    """One pull of a source."""

    api: Api
    folder: Path
    asked: Asked
    source_id: str
    today: date
    say: Callable[[str], None]
    requests: int = 0
    estimated: list[date] = field(default_factory=list)

    def run(self) -> Explored:
        self.folder.mkdir(parents=True, exist_ok=True)
        months = sync.windows(self.asked.since, self.today)
        todo = [] if self.asked.detail == "totals" else [month for month in months if not self._is_final(month)]
        self._announce(1 + len(CHARGED) * len(todo), "and more where an answer has several pages")
        totals = self._totals(months)
        wanted = {month.name for month in todo}
        accounts: list[str | None] = [*sorted({total.account for total in totals if total.period in wanted})]
        if self.asked.detail == "accounts" and todo:
            self._announce(len(CHARGED) * len(todo) * len(accounts), f"for {len(accounts)} account(s)")
        elif len(accounts) != 1:
            accounts = [None]
        for month in todo:
            self._month(month, accounts, [total for total in totals if total.period == month.name])
        final = tuple(month.name for month in months if month not in todo)
        self.say(f"{self.source_id}: {len(todo)} month(s) pulled from Cost Explorer, {self._cost(self.requests)} spent")
        open_from = min(self.estimated, default=None)
        if open_from:
            self.say(f"{self.source_id}: AWS calls its figures from {open_from} on estimates; they may still change")
        return Explored(tuple(month.name for month in todo), final, self.requests, open_from)

    def keep_count(self) -> None:
        """Add the requests to those of this calendar month and say them."""
        if not self.requests:
            return
        file = self.folder / _SPENT
        spent = sync.stated(file)
        month = f"{self.today:%Y-%m}"
        count = int(str(spent.get(month, 0))) + self.requests
        sync.write(file, {**spent, month: count})
        self.say(f"{self.source_id}: requests to Cost Explorer in {month}: {self._cost(count)}")

    # ----------------------------------------------------------------------------------------------------- one month
    def _month(self, month: Window, accounts: Sequence[str | None], totals: list[cost_pages.Total]) -> None:
        target = self.folder / month.name
        part = target.with_name(f".{month.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for account in accounts:
            for holds in CHARGED:
                self._save(part, holds, month, account)
        self._refuse_other_sums(month, part, totals)
        sync.write(part / sync.PULLED, {"pulled_on": self.today.isoformat(), "asked": self._how(month)})
        sync.replace(target, part)

    def _is_final(self, month: Window) -> bool:
        """A month that was pulled in the same detail when nothing was restated any more."""
        settled = month.end + timedelta(days=RESTATED_DAYS)
        return sync.is_final(self.folder / month.name, asked=self._how(month), settled=settled)

    def _how(self, month: Window) -> str:
        return f"{month.start}/{month.end} {self.asked.detail}"

    def _refuse_other_sums(self, month: Window, part: Path, totals: list[cost_pages.Total]) -> None:
        pages = (RawPart(path, path.name, self.today) for path in sorted(part.glob(f"*{cost_pages.SUFFIX}")))
        charges = pl.concat(cost_pages.parse(page) for page in pages).filter(pl.col(REJECT).is_null())
        costs = (s.BILLED_COST, s.EFFECTIVE_COST)
        sums = charges.group_by(s.BILLING_CURRENCY).agg(pl.col(*costs).sum()).collect()
        found = {currency: values for currency, *values in sums.iter_rows()}
        for currency in {*found, *(total.currency for total in totals)}:
            stated = [total for total in totals if total.currency == currency]
            expected = [sum((t.billed for t in stated), Decimal(0)), sum((t.effective for t in stated), Decimal(0))]
            for name, is_, should in zip(costs, found.get(currency, [Decimal(0)] * 2), expected, strict=True):
                if abs(is_ - should) > _TOLERANCE:
                    raise SourceUnreachable(
                        f"{self.source_id}: {name} of {month.name} is {is_:,.2f} {currency} by service and usage type, "
                        f"but {should:,.2f} {currency} by account",
                        expected=f"the same, within {_TOLERANCE} {currency}",
                        next_step=f"run `finops ingest {self.source_id}` again, AWS may have restated the month in "
                        "between; what was pulled before stays as it is",
                    )

    # ------------------------------------------------------------------------------------------------------ requests
    def _totals(self, months: Sequence[Window]) -> list[cost_pages.Total]:
        whole = Window(months[0].start, months[-1].end)
        part = self.folder / ".totals.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        self._save(part, "totals", whole, None)
        sync.replace(self.folder / "totals", part)
        return cost_pages.totals(self.folder.parent)

    def _save(self, part: Path, holds: Holds, window: Window, account: str | None) -> None:
        """Save the pages of one question."""
        request = _request(holds, window, account)
        prefix = "" if holds == "totals" else f"{holds}-{account}-" if account else f"{holds}-"
        pages = self.api.pages(
            ACTION, "get_cost_and_usage", token="NextPageToken", before=self._before_request, **request
        )
        for number, answer in enumerate(pages, start=1):
            text = cost_pages.page_text(holds, account, request, answer)
            (part / f"{prefix}{number:04}{cost_pages.SUFFIX}").write_text(text, encoding="utf-8")
            if holds != "totals":
                self._note_estimates(answer)

    def _note_estimates(self, answer: dict[str, Any]) -> None:
        days = [bucket["TimePeriod"]["Start"] for bucket in answer["ResultsByTime"] if bucket.get("Estimated")]
        self.estimated += [date.fromisoformat(day[:10]) for day in days]

    def _before_request(self) -> None:
        """Count a request that is about to be paid for; raises ConfigError where it would be one too many."""
        if self.requests >= self.asked.max_requests:
            raise self._too_many(self.requests + 1)
        self.requests += 1

    def _announce(self, more: int, why: str) -> None:
        """Say what the next requests cost; raises ConfigError where they are too many, before the first of them."""
        self.say(f"{self.source_id}: Cost Explorer takes {self._cost(more)} now, {why}")
        if self.requests + more > self.asked.max_requests:
            raise self._too_many(self.requests + more)

    def _too_many(self, count: int) -> ConfigError:
        return ConfigError(
            f"{self.source_id} needs {self._cost(count)} or more of Cost Explorer; {self._cost(self.requests)} spent",
            expected=f"at most {self.asked.max_requests} requests a run (`aws.max_requests`)",
            next_step="raise `aws.max_requests`, begin `aws.since` later, or set up a data export, which costs nothing",
        )

    @staticmethod
    def _cost(requests: int) -> str:
        return f"{requests} request(s), {requests * USD_PER_REQUEST} USD"


def _request(holds: Holds, window: Window, account: str | None) -> dict[str, Any]:
    """What is asked of GetCostAndUsage; `other` is everything that the first two leave out."""
    request: dict[str, Any] = {
        "TimePeriod": {"Start": window.start.isoformat(), "End": window.end.isoformat()},
        "Granularity": "MONTHLY" if holds == "totals" else "DAILY",
        "Metrics": [BILLED, EFFECTIVE] if holds == "totals" else [BILLED, EFFECTIVE, QUANTITY],
        "GroupBy": [{"Type": "DIMENSION", "Key": key} for key in GROUPS[holds]],
    }
    terms: list[dict[str, Any]] = []
    if holds in RECORD_TYPES:
        terms.append(_of("RECORD_TYPE", RECORD_TYPES[holds]))
    elif holds == "other":
        terms.append({"Not": _of("RECORD_TYPE", [kind for kinds in RECORD_TYPES.values() for kind in kinds])})
    if account:
        terms.append(_of("LINKED_ACCOUNT", [account]))
    if terms:
        request["Filter"] = terms[0] if len(terms) == 1 else {"And": terms}
    return request


def _of(dimension: str, values: Sequence[str]) -> dict[str, Any]:
    return {"Dimensions": {"Key": dimension, "Values": list(values)}}
