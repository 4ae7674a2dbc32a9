"""The offer book: dated, typed, and without prices that break an ordering rule."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from finops import prices
from finops.errors import InputError

OFFER = {
    "provider": "aws", "region": "eu-west-1", "instance_type": "own.8xlarge", "accelerator": "H100-80GB",
    "accelerator_count": "8", "accelerator_memory_gib": "80", "vcpus": "192", "memory_gib": "2048", "currency": "EUR",
    "on_demand_per_hour": "50", "spot_per_hour": "20", "source": "our contract", "date": "2026-11-01",
}  # fmt: skip
COMMITMENT = {
    "provider": "aws", "region": "eu-west-1", "instance_type": "own.8xlarge", "accelerator": "H100-80GB",
    "accelerator_count": "8", "commitment": "reserved", "term_years": "1", "payment": "no_upfront", "currency": "EUR",
    "on_demand_per_hour": "50", "committed_per_hour": "30", "source": "our contract", "date": "2026-11-01",
}  # fmt: skip


def written(path: Path, *rows: dict[str, str]) -> Path:
    pl.DataFrame(rows).write_csv(path)
    return path


def test_shipped_prices_are_dated_and_ordered() -> None:
    """Every shipped price has currency, source and date, one row a machine, and no broken rule among those in use."""
    book = prices.load_prices()
    assert dict(book.offers.schema) == prices.OFFERS
    assert dict(book.commitments.schema) == prices.COMMITMENTS
    for frame in (book.offers, book.commitments, prices.load_onprem_assumptions()):
        assert frame.select("source", "date").null_count().sum_horizontal().item() == 0
    assert not book.offers.select(prices.MACHINE).is_duplicated().any()
    assert book.offers.filter(pl.col("spot_per_hour") > pl.col("on_demand_per_hour")).is_empty()
    # a catalogue sells this machine's discounted price as on-demand; the machine price is 56.63
    fault = book.findings.filter(rule="committed above the offered on-demand").row(0, named=True)
    assert (fault["region"], fault["instance_type"]) == ("europe-west4", "a2-megagpu-16g")
    assert book.offers.filter(region="europe-west4", instance_type="a2-megagpu-16g").is_empty()


def test_instance_types_say_what_they_carry() -> None:
    """An instance type names its accelerator and their number; TPU slices count chips."""
    known = prices.load_offers().unique("instance_type")
    for machine, accelerator, count in (
        ("p5.48xlarge", "H100-80GB", 8),
        ("Standard_NC40ads_H100_v5", "H100-94GB", 1),
        ("tpu-v5p-8", "TPU-v5p-95GB", 4),
    ):
        row = known.filter(instance_type=machine).row(0, named=True)
        assert (row["accelerator"], row["accelerator_count"]) == (accelerator, count)


def test_own_rows_replace_and_add(tmp_path: Path) -> None:
    """A company's row is added, and replaces the shipped row of the same machine and region."""
    theirs = {"region": "us-east-1", "instance_type": "p5.48xlarge"}
    own = written(tmp_path / "own.csv", OFFER, {**OFFER, **theirs, "on_demand_per_hour": "41.5"})
    shipped, mine = prices.load_offers(), prices.load_offers([own])
    assert mine.height == shipped.height + 1
    record = mine.filter(**theirs).row(0, named=True)
    assert (record["on_demand_per_hour"], record["currency"]) == (Decimal("41.5"), "EUR")


def test_a_shipped_commitment_never_takes_an_own_price(tmp_path: Path) -> None:
    """What the own price on demand undercuts is found and left out; the own price stays."""
    shipped = prices.load_commitments().filter(pl.col("committed_per_hour") > 2).row(0, named=True)
    machine = {name: shipped[name] for name in prices.MACHINE}
    price = {"currency": shipped["currency"], "on_demand_per_hour": "1", "spot_per_hour": "0.5"}
    own = written(tmp_path / "own.csv", {**OFFER, **machine, **price})
    book = prices.load_prices(offers=[own])
    assert book.offers.filter(**machine)["on_demand_per_hour"].to_list() == [1]
    assert book.commitments.filter(**machine, commitment=shipped["commitment"]).is_empty()
    assert "shipped commitment above the own on-demand" in book.findings.filter(**machine)["rule"].to_list()


def test_broken_ordering_is_a_finding_and_not_used(tmp_path: Path) -> None:
    """Spot above on-demand, committed above on-demand and 3 years above 1 year are found, and none of them is used."""
    offers = written(tmp_path / "offers.csv", {**OFFER, "spot_per_hour": "50.01"})
    commitments = written(
        tmp_path / "commitments.csv",
        {**COMMITMENT, "instance_type": "dear", "committed_per_hour": "51"},
        {**COMMITMENT, "instance_type": "odd"},
        {**COMMITMENT, "instance_type": "odd", "term_years": "3", "committed_per_hour": "31"},
        {**COMMITMENT, "instance_type": "fine"},
    )
    book = prices.load_prices(offers=[offers], commitments=[commitments])
    mine = book.findings.filter(source="our contract").sort("instance_type").select("instance_type", "rule", "found")
    assert mine.rows() == [
        ("dear", "committed above on-demand", "51 > 50 EUR per hour"),
        ("odd", "longer term above the shorter one", "31 > 30 EUR per hour"),
        ("own.8xlarge", "spot above on-demand", "50.01 > 50 EUR per hour"),
    ]
    assert book.offers.filter(instance_type="own.8xlarge").is_empty()
    assert book.commitments.filter(source="our contract")["instance_type"].to_list() == ["fine"]


@pytest.mark.parametrize(
    ("column", "value"),
    [("on_demand_per_hour", "$50"), ("spot_per_hour", "-1"), ("date", "last year"), ("date", None), ("source", None)],
)
def test_wrong_cell_is_named(tmp_path: Path, column: str, value: str | None) -> None:
    """A price that is no plain number, a date that is none, and a missing source are refused with row and column."""
    own = written(tmp_path / "own.csv", OFFER, {**OFFER, column: value})  # type: ignore[dict-item]
    with pytest.raises(InputError, match=f"row 3, {column}"):
        prices.load_offers([own])


def test_other_columns_are_refused(tmp_path: Path) -> None:
    """A missing file, and a file with other columns, are refused."""
    own = written(tmp_path / "own.csv", {"provider": "aws", "price": "3"})
    with pytest.raises(InputError, match="provider, price"):
        prices.load_offers([own])
    with pytest.raises(InputError, match="cannot be read"):
        prices.load_offers([tmp_path / "missing.csv"])


def test_age_counts_from_the_newest_price() -> None:
    """The age of a provider's prices is the number of days since its newest row."""
    assert prices.age_days(date(2026, 5, 30))["gcp"] == 10
