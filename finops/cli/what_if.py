"""`finops what-if`: what the forecast would be with other growth, prices, use, cache rates and models."""

from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from finops.cli.session import Format, Session, print_table, session
from finops.errors import CallError
from finops.pipeline import what_if_log as log
from finops.pipeline.histories import TOTAL
from finops.pipeline.what_ifs import Outcome, check, evaluate
from reports.views import what_ifs as views
from reports.views.words import compact, percent

Series = Annotated[
    str, typer.Option("--series", help="A series of the forecast: total, team=Search, purpose=inference.")
]
what_ifs = typer.Typer(help="What-ifs on the forecast: written, shown, kept, compared.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    what_ifs.command("new")(new)
    what_ifs.command("show")(show)
    what_ifs.command("save")(save)
    what_ifs.command("list")(list_what_ifs)
    what_ifs.command("diff")(diff)
    app.add_typer(what_ifs, name="what-if")


def new(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Letters, digits, '.', '_' and '-'.")],
    overwrite: Annotated[bool, typer.Option("--replace", help="Write over a file of that name.")] = False,
) -> None:
    """Write a commented what-if with scopes and models of the company, every lever shown, one of them acting."""
    current = session(context)
    path = log.new(current.config, current.lake, name, overwrite=overwrite)
    if current.format is Format.table:
        typer.echo(f"Written to {path}")
        return
    current.show(pl.DataFrame({"what_if": [name], "path": [str(path)]}), key="written")


def show(
    context: typer.Context,
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="A saved one as NAME or NAME@VERSION, else a file that is not saved.")
    ],
    series: Series = TOTAL,
    by: Annotated[
        str | None, typer.Option("--by", help="All series of a grouping over all months: team.", metavar="GROUPING")
    ] = None,
) -> None:
    """What it comes to on the newest forecast, month by month, and each lever's part."""
    current = session(context)
    kept, outcome = _outcome(current, what)
    about = _about(kept) if kept else {"name": outcome.inputs.name, "version": None}
    _show(current, outcome, about, series, by)
    if kept and current.format is Format.table:
        typer.echo(_when_saved(kept))


def save(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file, or its name in the home.")],
    by: Annotated[str, typer.Option("--by", help="Who saves it.")],
) -> None:
    """Keep a what-if with its author, time and inputs; inputs that are kept already are not kept again."""
    current = session(context)
    kept, outcome = log.save(current.config, current.lake, log.read(current.config, file), by=by)
    if current.format is Format.table:
        said = "saved" if kept.is_new else "has these inputs already, so nothing was written; saved"
        typer.echo(f"{kept.title}: {said} by {kept.author} on {kept.saved_at:%-d %B %Y, %H:%M} UTC")
    _show(current, outcome, {**_about(kept), "is_new": kept.is_new}, TOTAL, None)


def list_what_ifs(context: typer.Context) -> None:
    """All versions that were saved, the newest first, and what each made of the forecast of its day."""
    current = session(context)
    found = log.listed(current.lake)
    if found.is_empty() and current.format is Format.table:
        typer.echo("None is saved yet. Next: `finops what-if new NAME`, then `finops what-if save NAME --by WHO`.")
        return
    if current.format is Format.table:
        found = found.with_columns(pl.col("saved_at").dt.strftime("%Y-%m-%d %H:%M"), pl.col("difference").round(0))
        found = found.select(
            "name", "version", "author", "saved_at", "levers", "currency", pl.col("difference").cast(pl.Int64)
        )
    current.show(found, key="what_ifs", title="What-ifs; the difference is to the forecast of the day")


def diff(
    context: typer.Context,
    first: Annotated[str, typer.Argument(help="NAME or NAME@VERSION, or a file.")],
    second: Annotated[str, typer.Argument(help="Another one.")],
    series: Series = TOTAL,
) -> None:
    """Two side by side: their levers, and what each month comes to with either on the newest forecast."""
    current = session(context)
    sides = [_outcome(current, what) for what in (first, second)]
    names = [kept.title if kept else outcome.inputs.name for kept, outcome in sides]
    one, other = (outcome for _, outcome in sides)
    log.of_series(one.months, series)
    inputs, money = log.inputs_beside(one.inputs, other.inputs), log.money_beside(one, other, series)
    if current.format is not Format.table:
        current.show(money, key="months", document={log.FIRST: names[0], log.SECOND: names[1],
                                                    "levers": inputs.to_dicts()})  # fmt: skip
        return
    headed = dict(zip((log.FIRST, log.SECOND), names if names[0] != names[1] else ("first", "second"), strict=True))
    current.show(inputs.rename(headed), title=f"Levers of {names[0]} and {names[1]}")
    for currency in _moved(money, "change"):
        mine = money.filter(currency=currency)
        print_table(_whole(mine, "base", *headed, "change").rename(headed), title=f"{series}, {currency}")


# ------------------------------------------------------------------------------------------------------------- results
def _outcome(current: Session, what: str) -> tuple[log.Saved | None, Outcome]:
    """The saved version of that title, else the file of that name, on the newest forecast."""
    try:
        kept = log.saved(current.lake, what)
    except CallError:
        if not what.endswith(".toml") and not log.is_file(current.config, what):
            raise
        inputs = log.read(current.config, Path(what))
        check(current.lake, inputs)
        return None, evaluate(current.config, current.lake, inputs)
    return kept, evaluate(current.config, current.lake, kept.inputs)


def _show(current: Session, outcome: Outcome, about: dict[str, Any], series: str, by: str | None) -> None:
    months, parts = (log.of_series(frame, series) for frame in (outcome.months, outcome.parts))
    levers = views.by_lever(parts)
    document = {
        **about, "forecast_id": outcome.forecast_id, "cutoff": outcome.cutoff,
        "inputs": outcome.inputs.model_dump(mode="json", by_alias=True), "levers": levers.to_dicts(),
        "parts": parts.drop("grouping").to_dicts(), "notes": list(outcome.notes),
    }  # fmt: skip
    rows = months.drop("grouping")
    if by is not None:
        rows = views.by_series(log.of_grouping(outcome.months, by), by)
        document["grouping"] = by
    if current.format is not Format.table:
        current.show(rows, key="months" if by is None else "series", document=document)
        return
    moved = _moved(months)
    for currency in moved:
        mine, of_levers = (frame.filter(currency=currency) for frame in (months, parts))
        typer.echo(views.headline(outcome.inputs.name, mine, of_levers))
        if by is None:
            bands = [name for name in ("p10", "p90") if mine[name].null_count() < len(mine)]
            print_table(_whole(mine, "base", "what_if", views.DIFFERENCE, *bands), title=f"{series}, {currency}")
    if by is not None:
        print_table(rows, title=f"By {by}, all months")
    print_table(
        levers.filter(pl.col("currency").is_in(moved)), title="What each lever makes of it; they sum to the difference"
    )
    for note in outcome.notes:
        typer.echo(f"- {note}")


def _whole(months: pl.DataFrame, *amounts: str) -> pl.DataFrame:
    """Months in whole units of their currency, so that they fit a terminal."""
    whole = months.select(pl.col(amounts).round(0).cast(pl.Int64)).rename({"base": "forecast"})
    return whole.insert_column(0, pl.Series("month", views.month_names(months)))


def _moved(months: pl.DataFrame, amount: str = views.DIFFERENCE) -> list[str]:
    """The currencies in which something changes; the first one where nothing does."""
    sums = months.group_by("currency", maintain_order=True).agg(pl.col(amount).abs().sum())
    return sums.filter(pl.col(amount) > 0)["currency"].to_list() or sums["currency"].to_list()[:1]


def _about(kept: log.Saved) -> dict[str, Any]:
    return {
        "name": kept.inputs.name, "version": kept.version, "author": kept.author, "saved_at": kept.saved_at,
        "when_saved": {"forecast_id": kept.forecast_id, "cutoff": kept.cutoff, "months": kept.came_to.to_dicts()},
    }  # fmt: skip


def _when_saved(kept: log.Saved) -> str:
    sums = kept.came_to.group_by("currency", maintain_order=True).agg(pl.col("base", "what_if").sum())
    then = [
        f"{compact(now - base, signed=True)} {currency} ({percent((now - base) / base, signed=True)})"
        for currency, base, now in sums.iter_rows()
        if now != base
    ]
    return (
        f"Version {kept.version}, saved by {kept.author} on {kept.saved_at:%-d %B %Y, %H:%M} UTC: on the forecast of "
        f"that day, from what was billed to {kept.cutoff}, it came to {' and '.join(then) or 'nothing'}."
    )
