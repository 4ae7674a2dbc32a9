"""What-ifs on the newest frozen forecast: which cost each lever holds, what it makes of it, by series and month."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import polars as pl

from finops import schema as s
from finops.config import Config
from finops.errors import CallError
from finops.pipeline.histories import ACTUAL, CURRENCY, TOTAL, actuals, series_name
from finops.pipeline.landing import CENTS
from finops.pipeline.what_if_tokens import Usage, plain, reprice
from finops.scope import NONE, parse_scope
from finops.store import Lake
from finops.token_ledger import canonical
from forecasting.levers import Amount, CacheRate, Lever, ModelSwitch, WhatIf
from forecasting.series import DATE, SERIES
from forecasting.what_if import BANDS, CELL_SERIES, COST, LEAST, LEVER, bands, holds, what_if
from reports.views.scope import Scope, column
from reports.views.words import percent, period_name

WINDOW_DAYS: Final = 28
"""The days before the forecast whose cost and tokens say how a series divides, and what tokens are used."""
DIFFERENCE: Final = "difference"
IDLE: Final = 1e-6
"""Cost a day that stands for a series without any, so that its forecast has a cell to be in."""
_FAMILIAR: Final = 8
_MODEL: Final = "_model"


@dataclass(frozen=True)
class Outcome:
    """A what-if on a frozen forecast.

    days: grouping, series, currency, date, base, what_if, and p10 and p90 of both, as floats. months: grouping,
    series, currency, period, days (of the month that are known or forecast), base, what_if, difference, base_p10,
    base_p90, p10, p90; what is spent of the first month is in both, and bands are empty where no paths were frozen.
    parts: series, currency, period, lever (its number), what (in words), amount; those of a series and month sum to
    its difference. notes: what is to be known, in sentences.
    """

    inputs: WhatIf
    forecast_id: str
    cutoff: date
    days: pl.DataFrame
    months: pl.DataFrame
    parts: pl.DataFrame
    notes: tuple[str, ...]


def evaluate(config: Config, lake: Lake, inputs: WhatIf) -> Outcome:
    """What the levers make of the newest frozen forecast.

    Raises CallError where no forecast is frozen, and for a lever on tokens whose scope or model cannot be priced.
    """
    frozen = newest_forecast(lake)
    cutoff: date = frozen["cutoff"].min()  # type: ignore[assignment]
    start = cutoff - timedelta(days=WINDOW_DAYS - 1)
    groupings = [() if g == TOTAL else tuple(g.split(",")) for g in frozen["grouping"].unique().sort()]
    window = Scope.of({"is_ai": True}, start=start, end=cutoff, cost=frozen["measure"][0])
    cells = _with_all_series(_cells(config, lake, inputs, groupings, window), frozen, inputs)
    about = frozen.select("grouping", SERIES, CURRENCY).unique()
    names = set(about[SERIES])
    amounts = {n: lever for n, lever in enumerate(inputs.levers) if isinstance(lever, Amount)}
    booked = {n: frozenset(_pinned(lever, groupings)) & names for n, lever in amounts.items()}
    ratios, notes = _repriced(config, lake, inputs, start, cutoff)
    notes = [*_shares(inputs, cells, groupings, names, period_name(start, cutoff)), *notes, *_too_late(inputs, frozen)]
    rows, parts = what_if(frozen, cells, inputs.levers, repriced=ratios, booked=booked)
    period = pl.col(DATE).dt.strftime("%Y-%m").alias("period")
    dated = rows.with_columns(period)
    return Outcome(
        inputs,
        frozen["forecast_id"][0],
        cutoff,
        _days(frozen, rows),
        *_months(config, lake, frozen, dated, parts.with_columns(period), inputs.levers),
        tuple(notes),
    )


def newest_forecast(lake: Lake) -> pl.DataFrame:
    """The rows of the newest frozen forecast; raises CallError where there is none."""
    frozen = lake.scan("forecasts").filter(pl.col("forecast_id") == pl.col("forecast_id").max()).collect()
    if frozen.is_empty():
        raise CallError(
            "no frozen forecast in the lake",
            expected="a forecast that a what-if changes",
            next_step="run `finops run`, which makes and keeps one",
        )
    return frozen


def check(lake: Lake, inputs: WhatIf) -> None:
    """Raise CallError for a scope that no AI spend was ever in, and for a model that nobody has used."""
    ledger = Scope.of({"is_ai": True}).filter(lake.scan("spend_daily"))
    for number, lever in enumerate(inputs.levers, 1):
        if isinstance(lever, ModelSwitch):
            used = canonical(ledger.select(provider=s.SERVICE_PROVIDER_NAME, model=s.MODEL_ID).unique().collect())
            known = used["model"].drop_nulls().unique().sort()
            if plain(lever.model) not in known:
                raise _unknown(number, f"the model {lever.model}", known)
        for word, value in parse_scope(lever.scope).terms:
            named = pl.col(column(word)).cast(pl.String).fill_null(NONE)
            values = ledger.group_by(named.alias(word)).agg(pl.col(s.EFFECTIVE_COST).sum()).collect()
            if value not in values[word]:
                raise _unknown(number, f"{word}={value}", values.sort(s.EFFECTIVE_COST, descending=True)[word])
        if ledger.filter(parse_scope(lever.scope).holds()).head(1).collect().is_empty():
            raise _unknown(number, lever.scope, ["dimensions that meet in some AI spend"])


def _unknown(number: int, found: str, known: Iterable[str]) -> CallError:
    words = list(known)
    more = f" and {len(words) - _FAMILIAR} more" if len(words) > _FAMILIAR else ""
    return CallError(
        f"lever {number}: no AI spend with {found}",
        expected=f"one of: {', '.join(words[:_FAMILIAR])}{more}",
        next_step="correct the lever",
    )


# --------------------------------------------------------------------------------------------------------------- cells
def _cells(
    config: Config, lake: Lake, inputs: WhatIf, groupings: list[tuple[str, ...]], scope: Scope
) -> pl.DataFrame:  # fmt: skip
    """Cost a day of the window by the series that it is in and the levers that hold it."""
    text = {word: pl.col(column(word)).cast(pl.String).fill_null(NONE) for by in groupings for word in by}
    names = [series_name({word: text[word] for word in by}, config.company.currency) for by in groupings]
    flags = [holds(number) for number in range(len(inputs.levers))]
    who = {"provider": s.SERVICE_PROVIDER_NAME, "model": s.MODEL_ID}
    rows = (
        scope.filter(lake.scan("spend_daily"))
        .group_by(
            pl.concat_list(names).alias(CELL_SERIES),
            *(pl.col(name).alias(word) for word, name in who.items()),
            *(_held(lever).alias(flag) for lever, flag in zip(inputs.levers, flags, strict=True)),
        )
        .agg((pl.col(scope.measure).sum().cast(pl.Float64) / WINDOW_DAYS).alias(COST))
        .collect()
    )
    model = canonical(rows.select(*who)).get_column("model")
    switched = [
        (pl.col(flag) & (pl.col(_MODEL) == plain(lever.model)).fill_null(False)).alias(flag)
        for lever, flag in zip(inputs.levers, flags, strict=True)
        if isinstance(lever, ModelSwitch)
    ]
    return (
        rows.with_columns(model.alias(_MODEL)).with_columns(switched)
        .group_by(CELL_SERIES, *flags).agg(pl.col(COST).sum()).sort(CELL_SERIES, *flags)
    )  # fmt: skip


def _with_all_series(cells: pl.DataFrame, frozen: pl.DataFrame, inputs: WhatIf) -> pl.DataFrame:
    """The cells, and one more for each series that cost nothing in the window, which its forecast alone fills."""
    known = cells.filter(pl.col(COST) > LEAST)[CELL_SERIES].explode().unique()
    scopes = [
        None if isinstance(lever, CacheRate | ModelSwitch) else
        {f"{word}={value}" for word, value in parse_scope(lever.scope).terms if word != "is_ai"}
        for lever in inputs.levers
    ]  # fmt: skip
    others = frozen.filter(pl.col("grouping") != TOTAL, ~pl.col(SERIES).is_in(known.to_list()))
    idle = [
        {CELL_SERIES: [name, TOTAL + name[name.index(",currency=") :] if ",currency=" in name else TOTAL], COST: IDLE,
         **{holds(n): scope is not None and scope <= set(name.split(",")) for n, scope in enumerate(scopes)}}
        for name in others[SERIES].unique().sort()
    ]  # fmt: skip
    return pl.concat([cells, pl.DataFrame(idle, schema=cells.schema)])


def _held(lever: Lever) -> pl.Expr:
    """Whether a row of spend_daily is cost that the lever moves."""
    inside = parse_scope(lever.scope).holds()
    on_tokens = isinstance(lever, CacheRate | ModelSwitch)
    return inside & (pl.col(s.DRIVER) == "model_api").fill_null(False) if on_tokens else inside


def _pinned(lever: Lever, groupings: list[tuple[str, ...]]) -> Iterable[str]:
    """The series that hold all of a lever's scope, as it says itself: total, and those whose dimensions it names."""
    values = dict(parse_scope(lever.scope).terms)
    for by in groupings:
        if set(by) <= set(values):
            yield ",".join(f"{word}={values[word]}" for word in by) or TOTAL


def _repriced(
    config: Config, lake: Lake, inputs: WhatIf, start: date, cutoff: date
) -> tuple[dict[int, float], list[str]]:
    """Of each lever on tokens: cost at book prices after it / before it; and what is to be known of them."""
    on_tokens = {n: x for n, x in enumerate(inputs.levers) if isinstance(x, CacheRate | ModelSwitch)}
    if not on_tokens:
        return {}, []
    usage = Usage.of(config, lake, start, cutoff + timedelta(days=1))
    found = {n: reprice(usage, lever) for n, lever in on_tokens.items()}
    return {n: one.ratio for n, one in found.items()}, [
        f"Lever {n + 1}: {note}" for n, one in found.items() for note in one.notes
    ]


def _shares(
    inputs: WhatIf, cells: pl.DataFrame, groupings: list[tuple[str, ...]], names: set[str], window: str
) -> list[str]:
    """What is said of levers whose scope is no series of the forecast, or costs nothing."""
    found = []
    total = float(cells[COST].sum())
    for number, lever in enumerate(inputs.levers):
        words = {word for word, _ in parse_scope(lever.scope).terms} - {"is_ai"}
        own = not words or (any(set(by) == words for by in groupings) and set(_pinned(lever, groupings)) <= names)
        if isinstance(lever, Amount):
            if not own:
                series = ", ".join(sorted(set(_pinned(lever, groupings)) & names))
                found.append(
                    f"Lever {number + 1}: {lever.where} has no forecast of its own; the amount is in {series}."
                )
            continue
        share = float(cells.filter(pl.col(holds(number)))[COST].sum()) / total if total else 0.0
        if not share:
            found.append(f"Lever {number + 1}: nothing was paid for in its scope in {window}, so it changes nothing.")
        elif not own or isinstance(lever, CacheRate | ModelSwitch):
            found.append(f"Lever {number + 1} moves {percent(share)} of AI spend: its share in {window}.")
    return found


def _too_late(inputs: WhatIf, frozen: pl.DataFrame) -> list[str]:
    """What is said of levers that begin after the last day of the forecast."""
    last: date = frozen[DATE].max()  # type: ignore[assignment]
    late = [number for number, lever in enumerate(inputs.levers, 1) if lever.start > last]
    return [f"Lever {number} begins after {last}, where the forecast ends, so it changes nothing." for number in late]


# -------------------------------------------------------------------------------------------------------------- result
def _days(frozen: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    moved = [(pl.col(q) * pl.col("ratio") + pl.col("added")).alias(q) for q in ("p10", "p90")]
    about = frozen.select("grouping", SERIES, CURRENCY, DATE, "p10", "p90")
    return (
        about.join(rows, on=[SERIES, DATE]).with_columns(pl.col("p10", "p90").name.prefix("base_"), *moved)
        .select("grouping", SERIES, CURRENCY, DATE, "base", "what_if", *BANDS).sort("grouping", SERIES, DATE)
    )  # fmt: skip


def _months(
    config: Config, lake: Lake, frozen: pl.DataFrame, rows: pl.DataFrame, parts: pl.DataFrame, levers: tuple[Lever, ...]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Months and parts of an outcome: rounded to cents here, and exact from here on."""
    keys, by = [SERIES, "period"], ["grouping", SERIES, CURRENCY]
    about = frozen.select(*by, "cutoff").unique()
    spent = (
        actuals(config, lake, frozen).join(about, on=SERIES).filter(pl.col(DATE) <= pl.col("cutoff"))
        .group_by(SERIES, pl.col(DATE).dt.strftime("%Y-%m").alias("period")).agg(pl.col(ACTUAL).sum())
    )  # fmt: skip
    named = list(enumerate(map(str, levers)))
    words = pl.DataFrame(named, schema={LEVER: pl.Int64(), "what": pl.String()}, orient="row")
    amounts = (
        parts.group_by(*keys, LEVER).agg(_money(pl.col("amount").sum()))
        .join(about, on=SERIES).join(words, on=LEVER)
        .select(*by, "period", pl.col(LEVER) + 1, "what", "amount").sort(*by, "period", LEVER)
    )  # fmt: skip
    sums = amounts.group_by(keys).agg(pl.col("amount").sum().alias(DIFFERENCE))
    zero = pl.lit(0, s.MONEY)
    months = (
        rows.group_by(keys).agg(_money(pl.col("base").sum()), pl.col(DATE).max().dt.day().cast(pl.Int64).alias("days"))
        .join(about, on=SERIES)
        .join(spent, on=keys, how="left").join(sums, on=keys, how="left")
        .join(_bands(lake, frozen, rows), on=keys, how="left")
        .with_columns(pl.col(ACTUAL, DIFFERENCE).fill_null(zero), *(_money(pl.col(b)) for b in BANDS))
        .with_columns(pl.col("base", *BANDS) + pl.col(ACTUAL))
        .with_columns((pl.col("base") + pl.col(DIFFERENCE)).alias("what_if"))
        .select(*by, "period", "days", "base", "what_if", DIFFERENCE, *BANDS).sort(*by, "period")
    )  # fmt: skip
    return months, amounts


def _bands(lake: Lake, frozen: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    paths = lake.scan("forecast_paths").filter(pl.col("forecast_id") == frozen["forecast_id"][0])
    return bands(rows, paths.select(SERIES, DATE, "paths").collect())


def _money(amount: pl.Expr) -> pl.Expr:
    return amount.cast(CENTS).cast(s.MONEY)
