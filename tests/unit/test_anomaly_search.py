"""Anomalies of spend: one cause is told once, where it lies, with its money, its cause and what was known of it."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from finops import schema as s
from finops.config import Config, Event
from finops.errors import CallError
from finops.pipeline import anomalies
from finops.pipeline.anomaly_search import Anomaly, search
from finops.store import Lake

FIRST, DAYS, AT = date(2026, 1, 1), 160, 120
SINCE = FIRST + timedelta(days=AT)
RNG = np.random.default_rng(11)
NOISE = {name: np.exp(RNG.normal(0, 0.02, DAYS)) for name in ("search", "chat", "web", "train", "desk")}
Change = Callable[[int, dict[str, object]], dict[str, object] | None]


def part(name: str, cost: float, **columns: object) -> list[dict[str, object]]:
    """A row a day of one part of spend."""
    return [
        {
            s.CHARGE_DATE: FIRST + timedelta(days=day), s.SOURCE_ID: "bill", s.LEDGER_ROLE: s.BILLED,
            s.SERVICE_PROVIDER_NAME: "AWS", s.CHARGE_CATEGORY: "Usage", s.SUB_ACCOUNT_ID: "main", s.USE_CASE: name,
            s.TEAM: "Search" if name == "search" else "Other", s.IS_AI: True, s.OWNER_STATUS: "known",
            s.BILLING_CURRENCY: "USD", s.EFFECTIVE_COST: cost * NOISE.get(name, np.ones(DAYS))[day],
            s.CHARGE_COUNT: 10, **columns,
        }
        for day in range(DAYS)
    ]  # fmt: skip


def company(*extra: list[dict[str, object]], change: Change | None = None) -> pl.DataFrame:
    """Spend of some use cases; change: what becomes of each row, given its day."""
    machines = {s.DRIVER: "accelerator", s.ACCELERATOR_MODEL: "H100-80GB", s.ACCELERATOR_HOURS: 500.0}
    tokens = {s.DRIVER: "model_api", s.TOKEN_DIRECTION: "Input"}
    uncached, cached = {s.TOKEN_CACHE_ACTION: "Uncached", s.TOKENS: 2e8}, {s.TOKEN_CACHE_ACTION: "Read", s.TOKENS: 6e8}
    rows = [
        *part("search", 3000, **machines), *part("train", 2000, **machines),
        *part("web", 4000, **{s.DRIVER: "compute"}),
        *part("chat", 600, **tokens, **uncached, **{s.MODEL_ID: "gpt"}),
        *part("chat", 180, **tokens, **cached, **{s.MODEL_ID: "gpt"}),
        *part("desk", 500, **tokens, **uncached, **{s.MODEL_ID: "claude", s.REQUESTS: 1000}),
        *(row for rows in extra for row in rows),
    ]  # fmt: skip
    if change is not None:
        rows = [new for row in rows if (new := change((row[s.CHARGE_DATE] - FIRST).days, row)) is not None]  # type: ignore[operator]
    columns = {**s.DAILY_DIMENSIONS, **s.DAILY_MEASURES}
    return pl.DataFrame(
        [{name: row.get(name) for name in columns} for row in rows],
        schema={name: pl.Float64() if kind == s.MONEY else kind for name, kind in columns.items()},
    ).with_columns(pl.col(name).cast(kind) for name, kind in columns.items())


def times(ratio: float, **where: object) -> Change:
    """Cost and what it counts, times a ratio from the day on, for the rows that have those values."""
    measures = (s.EFFECTIVE_COST, s.TOKENS, s.REQUESTS, s.ACCELERATOR_HOURS)

    def change(day: int, row: dict[str, object]) -> dict[str, object]:
        if day < AT or any(row.get(name) != value for name, value in where.items()):
            return row
        return {**row, **{name: row[name] * ratio for name in measures if row.get(name) is not None}}  # type: ignore[operator]

    return change


def only(found: list[Anomaly]) -> Anomaly:
    """The one anomaly that there is."""
    assert len(found) == 1, [(a.told_on, str(a.scope), a.kind) for a in found]
    return found[0]


def test_usual_spend_has_no_anomaly() -> None:
    """Noise, and fees that are charged by the month, are nothing."""
    fee = [{**row, s.CHARGE_COUNT: int(row[s.CHARGE_DATE].day == 1)} for row in part("fee", 900)]  # type: ignore[attr-defined]
    steps = [{**row, s.EFFECTIVE_COST: 900 + 100 * row[s.CHARGE_DATE].month} for row in fee]  # type: ignore[attr-defined]
    assert search(company(steps)) == []


def test_one_cause_is_told_once_where_it_lies() -> None:
    """A use case that costs more moves its team, its accelerator and the total, and is one anomaly of that use case."""
    found = only(search(company(change=times(1.6, **{s.USE_CASE: "search"}))))
    assert str(found.scope) in ("team=Search", "use_case=search")
    assert (found.kind, found.cause, found.known, found.ongoing) == ("step", "more accelerators", None, True)
    assert SINCE <= found.told_on <= SINCE + timedelta(days=2)
    assert found.first_day == SINCE
    assert found.excess == found.actual - found.expected
    assert float(found.excess) == pytest.approx(0.6 * 3000 * (DAYS - AT), rel=0.1)


def test_an_anomaly_is_the_same_whatever_comes_later() -> None:
    """Later days, and parts that come with them, change an anomaly's last day and money, not its id and name."""
    joins = part("later", 15, **{s.TEAM: "Search", s.DRIVER: "accelerator", s.ACCELERATOR_MODEL: "L4"})[AT + 20 :]
    daily = company(joins, change=times(1.6, **{s.USE_CASE: "search"}))
    whole = only(search(daily))
    early = only(search(daily.filter(pl.col(s.CHARGE_DATE) <= whole.told_on)))
    assert (early.anomaly_id, early.scope, early.first_day) == (whole.anomaly_id, whole.scope, whole.first_day)


def test_a_change_of_all_a_provider_sells_is_one_anomaly() -> None:
    """What moves everything is told of everything, not of each part."""
    found = only(search(company(change=times(1.5, **{s.SERVICE_PROVIDER_NAME: "AWS"}))))
    assert str(found.scope) in ("provider=AWS", "account=main")


def test_an_incomplete_newest_day_is_no_drop() -> None:
    """Days that are billed in part are left out until they are whole."""

    def late(day: int, row: dict[str, object]) -> dict[str, object]:
        return {**row, s.EFFECTIVE_COST: 40.0, s.CHARGE_COUNT: 1} if day == DAYS - 1 else row

    assert search(company(change=late)) == []


def test_a_move_within_a_use_case_is_no_anomaly() -> None:
    """A model that takes another's place at the same cost is not told."""

    def switch(day: int, row: dict[str, object]) -> dict[str, object]:
        return {**row, s.MODEL_ID: "claude-2"} if day >= AT and row[s.MODEL_ID] == "claude" else row

    assert search(company(change=lambda day, row: switch(day, {s.MODEL_ID: None, **row}))) == []


def test_a_commitment_that_nobody_uses_is_told_though_cost_is_the_same() -> None:
    """What was used and is now unused costs the same, and is waste."""

    def idle(day: int, row: dict[str, object]) -> dict[str, object]:
        if row[s.USE_CASE] != "train":
            return row
        status = "Unused" if day >= AT else "Used"
        return {**row, s.COMMITMENT_DISCOUNT_STATUS: status, s.USE_CASE: None if day >= AT else "train"}

    found = search(company(change=idle))
    waste = [a for a in found if a.sign > 0]
    assert only(waste).cause == "unused commitment"
    assert only(waste).told_on == SINCE
    assert dict(only(waste).scope.terms)["commitment_status"] == "Unused"


CAUSES = {
    "price change": lambda day, row: {**row, s.EFFECTIVE_COST: row[s.EFFECTIVE_COST] * 1.4}
    if day >= AT and row[s.USE_CASE] == "desk" else row,
    "more requests": times(1.6, **{s.USE_CASE: "desk"}),
    "cache rate fell": lambda day, row: {
        **row, **{name: row[name] * (0.2 if row[s.TOKEN_CACHE_ACTION] == "Read" else 3.4)
                  for name in (s.EFFECTIVE_COST, s.TOKENS)},
    } if day >= AT and row[s.USE_CASE] == "chat" else row,
}  # fmt: skip


def _desk(requests: float, **changed: object) -> Change:
    """The desk at 1.6 times its cost and tokens, its requests times a ratio, and what else is changed."""
    grown = times(1.6, **{s.USE_CASE: "desk"})

    def change(day: int, row: dict[str, object]) -> dict[str, object] | None:
        is_desk = row[s.USE_CASE] == "desk" and day >= AT
        return {**(grown(day, row) or {}), s.REQUESTS: 1000 * requests, **changed} if is_desk else row

    return change


CAUSES |= {
    "longer prompts": _desk(1.0),
    "retries": _desk(2.4),
    "another model": _desk(1.6, **{s.MODEL_ID: "claude-max"}),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_the_cause_is_told_from_what_is_counted(cause: str) -> None:
    """A dearer meter, more calls and a cache that fell are told apart by tokens and requests."""
    found = search(company(change=CAUSES[cause]))
    assert [a.cause for a in found] == [cause]
    assert (found[0].known is not None) is (cause == "price change")
    assert found[0].next_step


def test_an_account_that_nobody_owns_is_new() -> None:
    """A new account with AI spend and no owner is told on its first day, at the account."""
    shadow = part("x", 300, **{s.SUB_ACCOUNT_ID: "shadow", s.USE_CASE: None, s.TEAM: None, s.OWNER_STATUS: "none",
                               s.DRIVER: "accelerator", s.ACCELERATOR_MODEL: "A10G"})[AT:]  # fmt: skip
    found = only(search(company(shadow)))
    assert (found.kind, found.cause, found.told_on) == ("new", "nobody owns it", SINCE)
    assert found.expected == 0


def test_what_was_announced_is_named_and_no_anomaly() -> None:
    """An event of finops.toml that began then, of the same spend, names the anomaly; one of other spend does not."""
    daily = company(change=times(1.6, **{s.USE_CASE: "search"}))
    launch = Event(date=SINCE, kind="launch", name="New ranking goes live", where={"use_case": "search"})
    assert only(search(daily, events=[launch])).known == "New ranking goes live"
    other = launch.model_copy(update={"where": {"use_case": "web"}})
    past = launch.model_copy(update={"date": SINCE - timedelta(days=30)})
    assert only(search(daily, events=[other, past])).known is None


def test_two_currencies_are_never_added() -> None:
    """Each currency is searched by itself."""
    euro = part("euro", 900, **{s.BILLING_CURRENCY: "EUR", s.DRIVER: "compute"})
    daily = company(euro, change=times(2.0, **{s.USE_CASE: "euro"}))
    assert only(search(daily)).currency == "EUR"


def test_idle_machines_are_told_where_their_use_is_measured() -> None:
    """More accelerator hours that do nothing are idle accelerators."""
    daily = company(change=times(1.6, **{s.USE_CASE: "search"}))
    days = [SINCE + timedelta(days=n) for n in range(30)]
    idle = pl.DataFrame(
        {"accelerator": "H100-80GB", "team": "Search", "day": days, "utilisation": [0.03] * 30},
        schema={"accelerator": pl.String, "team": pl.String, "day": pl.Date, "utilisation": pl.Float64},
    )
    assert only(search(daily, idle=idle)).cause == "idle accelerators"


@pytest.mark.parametrize(
    ("metered_by", "share", "driver", "cause"),
    [
        ("claude", 0.4, "model_api", "cache rate fell"),
        ("gateway", 0.4, "model_api", "cache rate fell"),
        ("claude", 0.75, "model_api", "more usage"),
        ("claude", 0.4, "accelerator", "more usage"),
    ],
)
def test_a_bill_without_tokens_is_explained_by_its_usage(
    config: Config, lake: Lake, metered_by: str, share: float, driver: str, cause: str
) -> None:
    """Where the bill counts no tokens, the usage of its source, or else of its provider, says that fewer are cached."""
    bill = part("reader", 700, **{s.SOURCE_ID: "claude", s.SERVICE_PROVIDER_NAME: "Anthropic", s.DRIVER: driver,
                                  s.MODEL_ID: "claude-opus", s.SUB_ACCOUNT_ID: "work", s.USE_CASE: None})  # fmt: skip
    daily = company(bill, change=times(1.6, **{s.SOURCE_ID: "claude"})).with_columns(
        pl.col(s.CHARGE_DATE).dt.strftime("%Y-%m").alias(s.BILLING_PERIOD)
    )
    columns = s.TABLES["token_usage"].columns
    usage = [
        {"source_id": metered_by, "provider": "anthropic", "model": "claude-opus", "account_id": "work",
         "use_case": "reader", "day": FIRST + timedelta(days=day), "ledger_role": "billed", "billing_period": "2026-01",
         "cache_read_tokens": Decimal(int(1e6 * (0.8 if day < AT else share))),
         "uncached_input_tokens": Decimal(int(1e6 * (0.2 if day < AT else 1 - share)))}
        for day in range(DAYS)
    ]  # fmt: skip
    with lake.transaction("test") as tx:
        tx.append("spend_daily", daily.select(*s.TABLES["spend_daily"].columns))
        tx.append("token_usage", pl.DataFrame([{n: row.get(n) for n in columns} for row in usage], schema=columns))
    anomalies.refresh(config, lake, say=lambda _: None)
    found = anomalies.list_anomalies(lake)
    assert found["cause"].to_list() == [cause]
    assert ("cache" in found["next_step"][0]) is (cause == "cache rate fell")


# -------------------------------------------------------------------------------------------------------------- records
@pytest.fixture
def told(config: Config, lake: Lake) -> str:
    """A lake with one anomaly; its id."""
    with lake.transaction("test") as tx:
        columns = s.TABLES["spend_daily"].columns
        daily = company(change=times(1.6, **{s.USE_CASE: "search"})).with_columns(
            pl.col(s.CHARGE_DATE).dt.strftime("%Y-%m").alias(s.BILLING_PERIOD)
        )
        tx.append("spend_daily", daily.select(*columns))
    assert anomalies.refresh(config, lake, say=lambda _: None).new == 1
    return str(anomalies.list_anomalies(lake)["anomaly_id"][0])


def test_a_search_again_changes_nothing(config: Config, lake: Lake, told: str) -> None:
    """The same spend gives the same records in no new snapshot; they keep when they were first seen."""
    before = lake.scan("anomalies").collect()
    assert anomalies.refresh(config, lake, say=lambda _: None).new == 0
    assert lake.scan("anomalies").collect().equals(before)


def test_an_expected_anomaly_is_not_shown_again(config: Config, lake: Lake, told: str) -> None:
    """Feedback hides it from the list and the alerts, is remembered with who gave it, and can be taken back."""
    assert len(anomalies.alerts_of(lake.scan("anomalies").collect(), since=FIRST)) == 1
    anomalies.give_feedback(lake, told, "expected", note="planned", by="ada")
    anomalies.refresh(config, lake, say=lambda _: None)
    assert anomalies.list_anomalies(lake).is_empty()
    assert anomalies.alerts_of(lake.scan("anomalies").collect(), since=FIRST) == []
    assert lake.scan("feedback").select("verdict", "note", "decided_by").collect().row(0) == (
        "expected",
        "planned",
        "ada",
    )
    anomalies.give_feedback(lake, told, "not", by="ada")
    assert anomalies.list_anomalies(lake)["anomaly_id"].to_list() == [told]
    with pytest.raises(CallError, match="no anomaly"):
        anomalies.give_feedback(lake, "nonsense", "expected")


@pytest.mark.parametrize(("ratio", "state"), [("1.2", "expected"), ("2.5", "open"), ("-1", "open")])
def test_the_pattern_of_an_expected_anomaly_is_learnt(ratio: str, state: str) -> None:
    """A later one of the same scope and direction is expected too, unless it is much larger."""
    feedback = {"about": anomalies.RULE, "id": "a", "verdict": "expected", "scope": "team=Search", "currency": "USD",
                "size": Decimal(100), "note": "", "decided_by": "ada", "decided_at": None}  # fmt: skip
    row = {"anomaly_id": "b", "scope": "team=Search", "currency": "USD", "known": None,
           "daily_excess": Decimal(ratio) * 100}  # fmt: skip
    said_of = pl.DataFrame([feedback], schema=s.TABLES["feedback"].columns)
    assert anomalies._judged(row, said_of)["state"] == state
