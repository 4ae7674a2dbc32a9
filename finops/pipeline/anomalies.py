"""Anomalies of the lake's spend: searched with every run, kept with what people said of them, raised as alerts."""

import getpass
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal

import polars as pl

from finops import schema as s
from finops.alerts import Alert
from finops.config import Config
from finops.errors import CallError
from finops.pipeline.anomaly_causes import USAGE
from finops.pipeline.anomaly_search import Anomaly, search
from finops.scope import said
from finops.store import Lake, again_on_conflict
from finops.token_ledger import CACHE_READ, CACHE_WRITE, UNCACHED, kind_of
from finops.token_prices import METERS

Verdict = Literal["expected", "not"]
State = Literal["open", "known", "expected"]
"""known: an event, a price change or a commitment explains it. expected: a person said so, of it or of one like it."""

RULE: Final = "anomaly"
COLUMNS: Final = s.TABLES["anomalies"].columns
LEARNED: Final = Decimal("1.5")
"""An anomaly at most so many times as large as one of its scope that was expected is expected too."""
RECENT_DAYS: Final = 90
GRAVEST: Final = 3
_KIND_WORDS: Final = {
    "spike": "a spike", "step": "a step up", "drop": "a drop", "drift": "a slow rise", "new": "new spend",
    "ended": "spend that ended",
}  # fmt: skip


@dataclass(frozen=True)
class AnomalyRun:
    """What a search found: open anomalies of late, those of them that no run saw before, and those that are known."""

    open: int
    new: int
    known: int
    gravest: tuple[str, ...]


@again_on_conflict
def refresh(config: Config, lake: Lake, *, say: Callable[[str], None]) -> AnomalyRun:
    """Search the lake's spend and write the table `anomalies`; the same spend and feedback again change nothing."""
    found = search(_daily(lake), events=config.events, idle=_utilisation(lake), usage=_metered(lake))
    held = lake.scan("anomalies").collect()
    after = _records(found, held, lake.scan("feedback").collect(), now=datetime.now(UTC), run_id="")
    if not _same(after, held):
        with lake.transaction("anomalies") as tx:
            before, said_of = tx.scan("anomalies").collect(), tx.scan("feedback").collect()
            after = _records(found, before, said_of, now=tx.started_at, run_id=tx.run_id)
            tx.replace("anomalies", after)
    shown = recent(after).filter(pl.col("state") == "open")
    run = AnomalyRun(
        open=shown.height,
        new=shown.join(held, on="anomaly_id", how="anti").height,
        known=recent(after).filter(pl.col("state") == "known").height,
        gravest=tuple(shown["message"].head(GRAVEST)),
    )
    say(_counts(run))
    return run


def summary(run: AnomalyRun) -> list[str]:
    """What a run says of itself, in sentences for people: the counts, then the largest anomalies."""
    return [_counts(run), *run.gravest]


def _counts(run: AnomalyRun) -> str:
    return (
        f"{run.open} anomalies in the last {RECENT_DAYS} days, {run.new} of them new; "
        f"{run.known} more are explained by events, prices or commitments."
    )


def recent(anomalies: pl.DataFrame) -> pl.DataFrame:
    """Those that were told in the newest RECENT_DAYS days of any, or go on; the largest first."""
    newest = anomalies["last_day"].max()
    if not isinstance(newest, date):
        return anomalies
    late = (pl.col("told_on") > newest - timedelta(days=RECENT_DAYS)) | pl.col("ongoing")
    return sort_records(anomalies.filter(late))


def list_anomalies(lake: Lake, *, every: bool = False) -> pl.DataFrame:
    """The anomaly records, the largest first: open ones of late, or every one."""
    held = lake.scan("anomalies").collect()
    return sort_records(held) if every else recent(held).filter(pl.col("state") == "open")


def sort_records(anomalies: pl.DataFrame) -> pl.DataFrame:
    """Anomalies as people want them: what costs money before what saves some, and the largest first."""
    return anomalies.sort(pl.col("excess"), "anomaly_id", descending=[True, False])


@again_on_conflict
def give_feedback(lake: Lake, anomaly_id: str, verdict: Verdict, *, note: str = "", by: str | None = None) -> None:
    """Remember whether an anomaly was expected; one that was is not shown again, nor are smaller ones like it.

    Raises CallError for an id that the table does not hold.
    """
    with lake.transaction(f"anomaly {anomaly_id} {verdict}") as tx:
        held, said_of = tx.scan("anomalies").collect(), tx.scan("feedback").collect()
        if anomaly_id not in held["anomaly_id"]:
            raise CallError(
                f"no anomaly {anomaly_id}",
                expected="the id of an anomaly",
                next_step="list them with `finops anomalies --all`",
            )
        row = held.row(by_predicate=pl.col("anomaly_id") == anomaly_id, named=True)
        decision = {
            "about": RULE, "id": anomaly_id, "verdict": verdict, "scope": row["scope"], "currency": row["currency"],
            "size": row["daily_excess"], "note": note, "decided_by": by or getpass.getuser(),
            "decided_at": tx.started_at,
        }  # fmt: skip
        others = said_of.filter((pl.col("about") != RULE) | (pl.col("id") != anomaly_id))
        said_of = pl.concat([others, pl.DataFrame([decision], schema=s.TABLES["feedback"].columns)])
        tx.replace("feedback", said_of)
        judged = [_judged(record, said_of) for record in held.to_dicts()]
        changed = [
            {**now, "updated_at": tx.started_at, "run_id": tx.run_id} if now != was else now
            for now, was in zip(judged, held.to_dicts(), strict=True)
        ]
        tx.replace("anomalies", pl.DataFrame(changed, schema=COLUMNS))


def alerts_of(anomalies: pl.DataFrame, *, since: date) -> list[Alert]:
    """An alert for each open anomaly that began on that day or later."""
    late = anomalies.filter(pl.col("state") == "open", pl.col("first_day") >= since)
    return [
        Alert(
            rule=RULE, kind="rise" if row["daily_excess"] > 0 else "fall", scope=row["scope"],
            severity="warn" if row["daily_excess"] > 0 else "info", period=f"{row['first_day']:%Y-%m}",
            currency=row["currency"], expected=row["expected"], actual=row["actual"],
            variance_ratio=float(row["excess"] / row["expected"]) if row["expected"] > 0 else None,
            message=row["message"],
            next_step=f"{row['next_step']}; `finops anomalies feedback {row['anomaly_id']} expected` if it was planned",
        )
        for row in late.sort("told_on", "anomaly_id").to_dicts()
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- reading
def _daily(lake: Lake) -> pl.DataFrame:
    """Billed rows of spend_daily with the columns that the search reads."""
    kept = [*s.DAILY_DIMENSIONS, s.EFFECTIVE_COST, s.TOKENS, s.REQUESTS, s.ACCELERATOR_HOURS, s.CHARGE_COUNT]
    billed = lake.scan("spend_daily").filter(pl.col(s.LEDGER_ROLE) == s.BILLED).select(kept)
    return billed.collect(engine="streaming")


def _utilisation(lake: Lake) -> pl.DataFrame:
    """`accelerator, team, day, utilisation`: how busy accelerators were, weighted by their number."""
    number = pl.col("accelerator_count").cast(pl.Float64).fill_null(1.0)
    return (
        lake.scan("gpu_usage")
        .filter(pl.col("utilisation_mean_ratio").is_not_null())
        .group_by("accelerator", "team", pl.col("hour").dt.date().alias("day"))
        .agg(((pl.col("utilisation_mean_ratio") * number).sum() / number.sum()).alias("utilisation"))
        .collect(engine="streaming")
    )


def _metered(lake: Lake) -> pl.DataFrame:
    """USAGE of model APIs, with its tokens of input by whether they came from the cache: some bills count none."""
    names = {"source": "source_id", "account": "account_id", s.CHARGE_DATE: "day"}
    keys = [pl.col(names.get(name, name)).alias(name) for name in USAGE]
    rows = lake.scan("token_usage").group_by(keys).agg(pl.col(m.column for m in METERS if m.is_input).sum()).collect()
    inputs = {"Read": [CACHE_READ], "Uncached": [UNCACHED, CACHE_WRITE]}
    return pl.concat(
        rows.select(
            *USAGE,
            pl.lit("Input").alias("direction"),
            pl.lit(action).alias("cache"),
            pl.sum_horizontal(m.column for m in METERS if m.is_input and kind_of(m) in kinds).alias(s.TOKENS),
        )
        for action, kinds in inputs.items()
    )


# ------------------------------------------------------------------------------------------------------------- records
def _records(
    found: Iterable[Anomaly], held: pl.DataFrame, feedback: pl.DataFrame, *, now: datetime, run_id: str
) -> pl.DataFrame:
    """The table `anomalies` after a search: what was found, with the times and decisions that belong to it."""
    before = {row["anomaly_id"]: row for row in held.to_dicts()}
    rows = []
    for anomaly in found:
        row = _judged(_row(anomaly), feedback)
        old = before.get(anomaly.anomaly_id)
        same = old is not None and all(old[name] == value for name, value in row.items())
        times = ("first_seen_at", "updated_at", "run_id")
        kept = {name: old[name] for name in times} if old is not None else {}
        if not same:
            kept = {"first_seen_at": now, **kept, "updated_at": now, "run_id": run_id}
        rows.append({**row, **kept})
    return pl.DataFrame(rows, schema=COLUMNS)


def _same(after: pl.DataFrame, held: pl.DataFrame) -> bool:
    return after.sort("anomaly_id").drop("run_id").equals(held.sort("anomaly_id").drop("run_id"))


def _row(anomaly: Anomaly) -> dict[str, Any]:
    return {
        "anomaly_id": anomaly.anomaly_id, "state": "open" if anomaly.known is None else "known",
        "scope": str(anomaly.scope), "kind": anomaly.kind, "cause": anomaly.cause, "known": anomaly.known,
        "first_day": anomaly.first_day, "told_on": anomaly.told_on, "last_day": anomaly.last_day,
        "ongoing": anomaly.ongoing, "currency": anomaly.currency, "expected": anomaly.expected,
        "actual": anomaly.actual, "excess": anomaly.excess, "daily_excess": anomaly.daily_excess,
        "score": anomaly.score, "message": _message(anomaly), "next_step": anomaly.next_step,
    }  # fmt: skip


def _judged(row: Mapping[str, Any], feedback: pl.DataFrame) -> dict[str, Any]:
    """A record with the state that feedback gives it: said of it, or learnt from an expected one of its scope."""
    own = feedback.filter(pl.col("about") == RULE, pl.col("scope") == row["scope"])
    verdicts = dict(own.select("id", "verdict").iter_rows())
    state = "open" if row["known"] is None else "known"
    size = Decimal(row["daily_excess"])
    if row["anomaly_id"] in verdicts:
        state = "expected" if verdicts[row["anomaly_id"]] == "expected" else "open"
    elif any(
        was["verdict"] == "expected" and was["currency"] == row["currency"] and 0 < size / was["size"] <= LEARNED
        for was in own.filter(pl.col("size") != 0).to_dicts()
    ):
        state = "expected"
    return {**row, "state": state}


def _message(anomaly: Anomaly) -> str:
    what = said(str(anomaly.scope))
    side = "above" if anomaly.sign > 0 else "below"
    days = (anomaly.last_day - anomaly.first_day).days + 1
    span = f"since {anomaly.first_day}" if anomaly.ongoing else f"from {anomaly.first_day} to {anomaly.last_day}"
    why = f"{anomaly.cause}: {anomaly.known}" if anomaly.known else anomaly.cause
    money = f"{anomaly.currency} {abs(anomaly.excess):,.2f} {side} what was usual in {days} days"
    return f"{what[0].upper()}{what[1:]}: {_KIND_WORDS[anomaly.kind]} {span}, {money} ({why})."
