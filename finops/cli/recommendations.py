"""`finops recommendations`: our own right-sizing, and what a cloud recommends as a second opinion beside it."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import polars as pl
import typer

from connectors.aws import advice
from finops import schema as s
from finops.cli.rightsize import advice_rows
from finops.cli.session import Format, Session, session
from finops.pipeline.pulling import connect_aws
from finops.pipeline.rightsizing import rightsizing
from optimizer.running import Settings

_SHOWN = ("kind", "region", "resource", "current", "recommended", "monthly_savings", "savings_ratio", "currency")
_TITLES = {
    "aws": "What AWS recommends",
    "finops": "What right-sizing recommends",
    "all": "Right-sizing, and AWS beside",
}


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(recommendations)


def recommendations(
    context: typer.Context,
    whose: Annotated[
        Literal["aws", "finops", "all"],
        typer.Option("--from", help="Whose: a cloud's, our own, or both, side by side."),
    ],
    source: Annotated[str | None, typer.Option(help="Ask as this source of finops.toml; else as the SDK does.")] = None,
) -> None:
    """What to buy, stop or change: our own (`finops rightsize`), a cloud's, or both.

    A cloud's savings overlap among themselves and with ours, so the list has no total.
    """
    current = session(context)
    parts = []
    if whose in ("finops", "all"):
        parts.append(_own(current))
    if whose in ("aws", "all"):
        parts.append(_of_aws(current, source))
    rows = pl.concat(parts, how="diagonal") if len(parts) > 1 else parts[0]
    shown = rows.select("from", *_SHOWN) if whose == "all" else rows.select(_SHOWN)
    current.show(
        shown if current.format is Format.table else rows, key="recommendations", title=_TITLES[whose]
    )  # fmt: skip


def _own(current: Session) -> pl.DataFrame:
    rows = advice_rows(rightsizing(current.config, current.lake, Settings()))
    ratio = pl.col("saving").cast(pl.Float64) / pl.col("cost_before").cast(pl.Float64)
    return rows.select(
        pl.lit("finops").alias("from"),
        pl.col("action").alias("kind"),
        "region",
        pl.col("group").alias("resource"),
        pl.col("from").alias("current"),
        pl.col("to").alias("recommended"),
        pl.col("saving").cast(s.MONEY).alias("monthly_savings"),
        ratio.round(4).alias("savings_ratio"),
        "currency",
        "effort",
        "reason",
    )


def _of_aws(current: Session, source: str | None) -> pl.DataFrame:
    today = datetime.now(UTC).date()
    rows, failed = advice.fetch(connect_aws(current.config, source, say=current.say), today=today, say=current.say)
    for error in failed:
        current.failed(error)
    if len(rows):
        path = current.config.outputs / f"recommendations_aws_{today}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows.write_csv(path)
        current.say(f"written: {path}")
    return rows.with_columns(pl.lit("aws").alias("from"))
