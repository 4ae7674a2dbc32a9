"""Whether the lake can be trusted: invoices against it, how months changed after a load, how fresh each source is."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Final

import polars as pl
from deltalake.exceptions import DeltaError

from finops import schema as s
from finops.freshness import Visibility, billed_to, daily_counts, last_full_day, visibility
from finops.pipeline.stated_invoices import documents
from finops.reconciliation import UNKNOWN_PERIOD, Books, Reconciliation
from finops.reconciliation import reconcile as compared
from finops.residuals import UNEXPLAINED
from finops.restatement import CHANGES, by_month, changes
from finops.scope import parse_period
from finops.store import Lake

MEASURED_DAYS: Final = 30
"""So many days on which something was loaded are looked at to tell a source's usual delay."""
LOOKED_BACK: Final = 100
"""Days of a past load that tell up to when it was complete."""
KEPT_LOADS: Final = 60
"""So many loads of a source are looked through for one that changed a month."""
LOADED: Final = "ingest "
"""How the command of a snapshot begins that a load made."""


def reconcile(lake: Lake, *, today: date, period: str | None = None) -> Reconciliation:
    """Invoices against the lake's newest snapshot, of all billing periods or of one; see finops.reconciliation."""
    invoices, lines = documents(lake)
    books = Books(
        lake.scan("charges"), lake.scan("quarantine"), invoices, lines, lake.scan("fx_rates"), period_ends(lake), today,
    )  # fmt: skip
    return _with_changes(lake, compared(books).of(period))


def _with_changes(lake: Lake, found: Reconciliation) -> Reconciliation:
    """What is unexplained in a month that its last load changed says so: the invoice may be of the version before."""
    months = found.causes.filter(pl.col("cause") == UNEXPLAINED).select("source_id", "billing_period", "currency")
    notes = [
        {**place, "_said": f"the load of {row['new_loaded_at']:%Y-%m-%d} changed this month by {row['change']:,.2f}; "
                           f"`finops reconcile --restated --period {row['billing_period']}` shows where"}
        for place in months.unique().sort(months.columns).to_dicts()
        for row in by_month(
            restated(lake, period=place["billing_period"], source=place["source_id"])
            .filter(pl.col("currency") == place["currency"])
        ).to_dicts()
    ]  # fmt: skip
    if not notes:
        return found
    said = pl.DataFrame(notes)

    def told(frame: pl.DataFrame, where: pl.Expr) -> pl.DataFrame:
        joined = frame.join(said, on=months.columns, how="left", maintain_order="left")
        both = pl.concat_str("note", "_said", separator="; ", ignore_nulls=True)
        return joined.with_columns(note=pl.when(where & pl.col("_said").is_not_null()).then(both).otherwise("note"))

    rows, causes = told(found.rows, pl.col("unexplained") != 0), told(found.causes, pl.col("cause") == UNEXPLAINED)
    return Reconciliation(rows.drop("_said"), causes.drop("_said"))


def period_ends(lake: Lake) -> dict[tuple[str, str], date]:
    """Up to which day each billed source was billed in full by the end of each month that anything is known of."""
    counts = daily_counts(lake.scan("spend_daily"))
    periods = [lake.scan(table).select("billing_period").unique().collect() for table in ("loads", "invoices")]
    months = [m for m in pl.concat(periods)["billing_period"].unique().sort() if m != UNKNOWN_PERIOD]
    found = {}
    for source, days in counts.items():
        for month in months:
            until = {day: n for day, n in days.items() if day < parse_period(month).end}
            if until:
                found[source, month] = last_full_day(until)
    return found


# ------------------------------------------------------------------------------------------------------ restated months
def restated(lake: Lake, *, period: str | None = None, source: str | None = None, cost: str = "billed") -> pl.DataFrame:
    """How the last load of each source's month changed what the one before had: CHANGES, by service, account and kind.

    Both versions are read from the lake's history, as far back as it is kept. cost: of finops.schema.COSTS.
    """
    found = [
        changes(
            _version(lake, loaded, months, now), _version(lake, loaded, months, before), measure=s.COSTS[cost],
            complete_to=_ends(lake, before, made_at[before].date()).get(loaded),
            loaded_at=(made_at[before], made_at[now]),
        )
        for loaded, snapshots in _loads_of(lake).items()
        if source in (None, loaded)
        for made_at in [dict(snapshots)]
        for (now, before), months in _last_two(lake, loaded, list(made_at), period).items()
    ]  # fmt: skip
    return pl.concat([pl.DataFrame(schema=CHANGES), *found]).sort(
        "billing_period", "source_id", pl.col("change").abs(), descending=[True, False, True]
    )


def _loads_of(lake: Lake) -> dict[str, list[tuple[int, datetime]]]:
    """The newest snapshots that loads of each source made, the newest first."""
    loads = lake.snapshots().filter(pl.col("command").str.starts_with(LOADED))
    sources = loads.with_columns(source=pl.col("command").str.strip_prefix(LOADED))
    return {
        str(source): list(rows.head(KEPT_LOADS).select("snapshot_id", "made_at").iter_rows())
        for (source,), rows in sources.group_by(["source"], maintain_order=True)
    }


def _last_two(lake: Lake, source: str, snapshots: list[int], period: str | None) -> dict[tuple[int, int], list[str]]:
    """The months that were loaded again, by the snapshot of their last load and the newest that holds the one before.

    snapshots: those of the source's loads, the newest first.
    """
    now: dict[str, set[str]] = {}
    since: dict[str, int] = {}
    found: dict[tuple[int, int], list[str]] = {}
    for snapshot in snapshots:
        try:
            batches = _batches(lake, source, snapshot)
        except _GONE:
            break
        if not now:
            now = {month: held for month, held in batches.items() if period in (None, month)}
        for month in sorted(batches.keys() & now.keys()):
            if batches[month] == now[month]:
                since[month] = snapshot
            else:
                found.setdefault((since[month], snapshot), []).append(month)
                del now[month]
        if not now:
            break
    return found


def _batches(lake: Lake, source: str, snapshot: int) -> dict[str, set[str]]:
    mine = (pl.col("source_id") == source) & (pl.col("billing_period") != UNKNOWN_PERIOD)
    rows = lake.scan("loads", snapshot=snapshot).filter(mine).select("billing_period", "batch_id").unique().collect()
    return {month: set(part["batch_id"]) for (month,), part in rows.group_by(["billing_period"])}


def _version(lake: Lake, source: str, months: list[str], snapshot: int) -> pl.LazyFrame:
    mine = (pl.col(s.SOURCE_ID) == source) & pl.col(s.BILLING_PERIOD).is_in(months)
    return lake.scan("spend_daily", snapshot=snapshot).filter(mine)


# ------------------------------------------------------------------------------------------------------------ freshness
def freshness(lake: Lake, *, today: date) -> list[Visibility]:
    """Each billed source's newest complete day beside the delay at which its days were complete in past loads."""
    days: dict[date, int] = {}
    for snapshot, made_at in sorted(x for loads in _loads_of(lake).values() for x in loads):
        days[made_at.date()] = snapshot  # a day's last snapshot has all that was loaded on it
    seen: dict[str, list[tuple[date, date]]] = {}
    for loaded, snapshot in sorted(days.items(), reverse=True)[:MEASURED_DAYS]:
        try:
            ends: Mapping[str, date] = _ends(lake, snapshot, loaded)
        except _GONE:
            break
        for source, end in ends.items():
            seen.setdefault(source, []).append((loaded, end))
    return visibility(billed_to(lake.scan("spend_daily")), seen, today)


_GONE: Final = (OSError, DeltaError, pl.exceptions.ComputeError)
"""What reading a version raises that `Lake.vacuum` has deleted: history ends there."""


def _ends(lake: Lake, snapshot: int, loaded: date) -> dict[str, date]:
    first = loaded - timedelta(days=LOOKED_BACK)
    daily = lake.scan("spend_daily", snapshot=snapshot)
    return billed_to(daily.filter(pl.col(s.BILLING_PERIOD) >= f"{first:%Y-%m}", pl.col(s.CHARGE_DATE) >= first))
