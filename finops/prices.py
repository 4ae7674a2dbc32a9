"""The dated offer book: what accelerators rent for, on demand, spot and committed; planning figures of owned ones.

Every row carries its currency, source and date. Shipped rows are in finops/data; a company adds or replaces rows with
its own CSV of the same columns. A price that breaks an ordering rule (spot <= on-demand, committed <= on-demand,
3 years <= 1 year) is a finding and is left out, never used in silence.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Final

import polars as pl

from finops.config import Config
from finops.errors import InputError
from finops.schema import MONEY

_TEXT = pl.String()

OFFERS: Final[dict[str, pl.DataType]] = {
    "provider": _TEXT, "region": _TEXT, "instance_type": _TEXT, "accelerator": _TEXT, "accelerator_count": MONEY,
    "accelerator_memory_gib": MONEY, "vcpus": MONEY, "memory_gib": MONEY, "currency": _TEXT,
    "on_demand_per_hour": MONEY, "spot_per_hour": MONEY, "source": _TEXT, "date": pl.Date(),
}  # fmt: skip
"""One row per provider, region and instance type; prices are per hour of the whole instance, null if not published."""
COMMITMENTS: Final[dict[str, pl.DataType]] = {
    "provider": _TEXT, "region": _TEXT, "instance_type": _TEXT, "accelerator": _TEXT, "accelerator_count": MONEY,
    "commitment": _TEXT, "term_years": pl.Int64(), "payment": _TEXT, "currency": _TEXT, "on_demand_per_hour": MONEY,
    "committed_per_hour": MONEY, "source": _TEXT, "date": pl.Date(),
}  # fmt: skip
"""A committed rate beside the on-demand price of the same source, per hour of the whole instance."""
ONPREM: Final[dict[str, pl.DataType]] = {
    "parameter": _TEXT, "value": MONEY, "low": MONEY, "high": MONEY, "unit": _TEXT, "source": _TEXT, "date": pl.Date(),
    "hardness": _TEXT,
}  # fmt: skip
"""A planning figure of owned hardware; hardness: datasheet, reported, planning, range, claim."""
FINDINGS: Final[dict[str, pl.DataType]] = {
    "provider": _TEXT, "region": _TEXT, "instance_type": _TEXT, "rule": _TEXT, "found": _TEXT, "source": _TEXT,
}  # fmt: skip
"""Prices that break an ordering rule and are therefore not used."""
MACHINE: Final = ("provider", "region", "instance_type")
_EXPECTED: Final[dict[pl.DataType, str]] = {
    MONEY: "a plain number, not below zero", pl.Date(): "a date as YYYY-MM-DD", pl.Int64(): "a whole number",
}  # fmt: skip
_OWN: Final = "is_own"
_COMMITTED: Final = (*MACHINE, "commitment", "term_years", "payment")


@dataclass(frozen=True)
class OwnPrices:
    """A company's own CSV files of offers and commitments, which come on top of the shipped ones."""

    offers: tuple[Path, ...] = ()
    commitments: tuple[Path, ...] = ()

    @classmethod
    def of(cls, config: Config) -> "OwnPrices":
        """Those that the config names."""
        return cls(*(tuple(map(config.path, named)) for named in (config.prices.offers, config.prices.commitments)))

    @property
    def stamps(self) -> tuple[int, ...]:
        """When each was written last; 0 for one that is not there."""
        return tuple(p.stat().st_mtime_ns if p.exists() else 0 for p in (*self.offers, *self.commitments))


@dataclass(frozen=True)
class PriceBook:
    """The prices that may be used, and the findings on those that may not."""

    offers: pl.DataFrame
    commitments: pl.DataFrame
    findings: pl.DataFrame


def load_prices(*, offers: Sequence[Path] = (), commitments: Sequence[Path] = ()) -> PriceBook:
    """The shipped prices with a company's own CSV files on top; their rows replace shipped ones of the same key.

    An offer whose spot price is above on-demand, a commitment above its on-demand price (its own or the book's), and a
    longer term that costs more than a shorter one are findings; both sides of a broken rule are left out. A shipped
    commitment above a company's own on-demand price is one too, and alone is left out: the contract made it worthless.
    Raises InputError for a file with other columns or a cell that is not of its type.
    """
    offered = _marked("gpu_offers.csv", OFFERS, MACHINE, offers)
    committed = _marked("gpu_commitments.csv", COMMITMENTS, _COMMITTED, commitments)
    undercut = _undercut(offered, committed)
    offered, committed = offered.drop(_OWN), committed.drop(_OWN).join(undercut, on=_COMMITTED, how="anti")
    worthless = _findings(undercut, "shipped commitment above the own on-demand", "committed_per_hour", "own_per_hour")
    spot, above_book = _spot_faults(offered), _book_faults(offered, committed)
    terms = pl.concat([_own_faults(committed), _term_faults(committed)])
    return PriceBook(
        offers=offered.join(pl.concat([spot, above_book]), on=MACHINE, how="anti"),
        commitments=committed.join(pl.concat([above_book, terms]), on=MACHINE, how="anti"),
        findings=pl.concat([spot, above_book, terms, worthless]),
    )


def load_offers(extra: Sequence[Path] = ()) -> pl.DataFrame:
    """The usable offers, with the columns OFFERS; see `load_prices`."""
    return load_prices(offers=extra).offers


def load_commitments(extra: Sequence[Path] = ()) -> pl.DataFrame:
    """The usable committed rates, with the columns COMMITMENTS; see `load_prices`."""
    return load_prices(commitments=extra).commitments


def load_onprem_assumptions() -> pl.DataFrame:
    """Planning figures of owned hardware with their range, source and hardness; columns ONPREM."""
    return _table("onprem_assumptions.csv", ONPREM, ("parameter",), ())


def age_days(today: date, extra: Sequence[Path] = ()) -> dict[str, int]:
    """Days since the newest price of each provider in the offers."""
    newest = load_offers(extra).group_by("provider").agg(pl.col("date").max()).sort("provider")
    return {provider: (today - day).days for provider, day in newest.iter_rows()}


# ------------------------------------------------------------------------------------------------------ ordering rules
def _spot_faults(offers: pl.DataFrame) -> pl.DataFrame:
    wrong = offers.filter(pl.col("spot_per_hour") > pl.col("on_demand_per_hour"))
    return _findings(wrong, "spot above on-demand", "spot_per_hour", "on_demand_per_hour")


def _own_faults(commitments: pl.DataFrame) -> pl.DataFrame:
    wrong = commitments.filter(pl.col("committed_per_hour") > pl.col("on_demand_per_hour"))
    return _findings(wrong, "committed above on-demand", "committed_per_hour", "on_demand_per_hour")


def _book_faults(offers: pl.DataFrame, commitments: pl.DataFrame) -> pl.DataFrame:
    book = offers.select(*MACHINE, "currency", pl.col("on_demand_per_hour").alias("offered_per_hour"))
    wrong = commitments.join(book, on=[*MACHINE, "currency"]).filter(
        pl.col("committed_per_hour") > pl.col("offered_per_hour")
    )
    return _findings(wrong, "committed above the offered on-demand", "committed_per_hour", "offered_per_hour")


def _term_faults(commitments: pl.DataFrame) -> pl.DataFrame:
    same = [*MACHINE, "commitment", "payment", "currency"]
    shorter = commitments.select(
        *same, pl.col("term_years").alias("shorter_years"), pl.col("committed_per_hour").alias("shorter_per_hour")
    )
    wrong = commitments.join(shorter, on=same).filter(
        pl.col("term_years") > pl.col("shorter_years"), pl.col("committed_per_hour") > pl.col("shorter_per_hour")
    )
    return _findings(wrong, "longer term above the shorter one", "committed_per_hour", "shorter_per_hour")


def _undercut(offers: pl.DataFrame, commitments: pl.DataFrame) -> pl.DataFrame:
    own = offers.filter(_OWN).select(*MACHINE, "currency", pl.col("on_demand_per_hour").alias("own_per_hour"))
    shipped = commitments.filter(~pl.col(_OWN)).join(own, on=[*MACHINE, "currency"])
    return shipped.filter(pl.col("committed_per_hour") > pl.col("own_per_hour"))


def _findings(wrong: pl.DataFrame, rule: str, price: str, limit: str) -> pl.DataFrame:
    # pl.format panics on columns whose chunks differ, as after a join
    return wrong.rechunk().select(
        *MACHINE,
        pl.lit(rule).alias("rule"),
        pl.format("{} > {} {} per hour", _plain(price), _plain(limit), "currency").alias("found"),
        "source",
    )


def _plain(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).str.strip_chars_end("0").str.strip_suffix(".")


# ------------------------------------------------------------------------------------------------------------- reading
def _table(name: str, columns: dict[str, pl.DataType], key: Sequence[str], extra: Sequence[Path]) -> pl.DataFrame:
    return _marked(name, columns, key, extra).drop(_OWN)


def _marked(name: str, columns: dict[str, pl.DataType], key: Sequence[str], extra: Sequence[Path]) -> pl.DataFrame:
    """The rows, and whether each is of a company's own file."""
    shipped = _typed((files("finops") / "data" / name).read_bytes(), columns, name)
    own = [_typed(_content(path), columns, str(path)).with_columns(pl.lit(True).alias(_OWN)) for path in extra]
    return pl.concat([shipped.with_columns(pl.lit(False).alias(_OWN)), *own]).unique(
        key, keep="last", maintain_order=True
    )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror})", expected="a CSV file of prices", next_step="correct the path"
        ) from error


def _typed(content: bytes, columns: dict[str, pl.DataType], name: str) -> pl.DataFrame:
    text = pl.read_csv(io.BytesIO(content), infer_schema=False)
    if set(text.columns) != set(columns):
        raise InputError(
            f"{name} has the columns {', '.join(text.columns)}",
            expected=", ".join(columns),
            next_step="correct its header",
        )
    typed = text.select(_cell(column, kind) for column, kind in columns.items())
    required = [c for c in ("source", "date", "currency") if c in columns]
    for column in columns:
        wrong = text[column].is_not_null() & typed[column].is_null()
        if columns[column] == MONEY:
            wrong |= (typed[column] < 0).fill_null(False)
        if column in required:
            wrong |= typed[column].is_null()
        if wrong.any():
            row = wrong.arg_true()[0]
            raise InputError(
                f"{name}, row {row + 2}, {column}: {text[column][row]!r}",
                expected=_EXPECTED.get(columns[column], "a value"),
                next_step="correct this cell; every price needs its currency, source and date",
            )
    return typed


def _cell(column: str, kind: pl.DataType) -> pl.Expr:
    text = pl.col(column).str.strip_chars()
    return text.str.to_date("%Y-%m-%d", strict=False) if kind == pl.Date() else text.cast(kind, strict=False)
