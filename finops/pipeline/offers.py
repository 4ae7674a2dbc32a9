"""A cloud's price list, fetched as CSV files of the home that the price book reads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from connectors.aws import price_list
from connectors.aws.api import Api
from finops.config import Config

FOLDER = "prices"


@dataclass(frozen=True)
class Refreshed:
    """The files that were written, the new on-demand prices beside the book's before, and what was left out."""

    offers: Path
    commitments: Path
    changes: pl.DataFrame
    left_out: tuple[str, ...]


def refresh(
    config: Config, api: Api, *, regions: Sequence[str], today: date, before: pl.DataFrame, say: Callable[[str], None]
) -> Refreshed:
    """Fetch AWS's price list into `prices/` of the home; the files are replaced whole, or stay as they are.

    api: of the service `pricing`. regions: all where none is named. before: the offers of the book until now. Raises as
    `price_list.fetch` does.
    """
    found = price_list.fetch(api, regions=regions, today=today, say=say)
    folder = config.home / FOLDER
    offers = _write(folder / f"offers_{price_list.PROVIDER}.csv", found.offers)
    commitments = _write(folder / f"commitments_{price_list.PROVIDER}.csv", found.commitments)
    for setting, path in (("offers", offers), ("commitments", commitments)):
        named = [config.path(p) for p in getattr(config.prices, setting)]
        if path not in named:
            setting_line = f'{setting} = ["{path.relative_to(config.home)}"]'
            say(f"{path} is not in use yet; next: add {setting_line} under [prices] in finops.toml")
    return Refreshed(offers, commitments, _changes(before, found.offers), found.left_out)


def _write(path: Path, rows: pl.DataFrame) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    rows.write_csv(new)
    new.replace(path)
    return path


def _changes(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """The offers whose on-demand price differs from the book's, or that are new to it."""
    key = ["provider", "region", "instance_type", "currency"]
    held = before.select(*key, before="on_demand_per_hour", checked="date")
    return (
        after.select(*key, "accelerator", "accelerator_count", after="on_demand_per_hour")
        .join(held, on=key, how="left")
        .filter(pl.col("before").ne_missing(pl.col("after")))
        .with_columns(ratio=(pl.col("after").cast(pl.Float64) / pl.col("before").cast(pl.Float64)).round(4))
        .select(*key, "accelerator", "accelerator_count", "before", "checked", "after", "ratio")
    )
