"""What every connector must hold; its tests subclass the contracts of what it reads and say what their samples sum to.

ConnectorContract is for charges, UsageContract for metered usage.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import ClassVar, cast

import polars as pl
import pytest

from connectors import files
from connectors.registry import METERED, PARSED, RAW, REJECT, SOURCE_ROWS, Meter, RawPart, connector
from finops import schema as s
from finops.errors import InputError
from finops.pipeline.totals import Batch
from finops.store import Lake
from tests.conftest import TODAY

JSON_COLUMNS = [c.name for c in s.focus_columns() if c.data_type == "JSON"]


class ConnectorContract(ABC):
    """The contract suite; `sample` has one row that cannot be a charge, the rest can."""

    name: str
    rows: int
    billed: dict[str, Decimal]
    """BilledCost of all rows whose amount can be read, rejected or not."""
    effective: dict[str, Decimal]
    alien: str = "alien.csv"
    """Name of a file that the connector opens, for content that is not of its format."""

    @abstractmethod
    def sample(self, folder: Path) -> Path:
        """Write the sample below the folder and return the path to ingest."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """The sample, written."""
        return self.sample(tmp_path)

    def parsed(self, path: Path) -> pl.DataFrame:
        """All parts of the sample, parsed."""
        parse = connector(self.name).parse
        return pl.concat([parse(part).collect() for part in self.parts(path)])

    def parts(self, path: Path) -> list[RawPart]:
        """The parts of the sample, as an ingest finds them."""
        return files.source_parts(connector(self.name), path, until=TODAY, say=lambda _: None)

    def test_parse_returns_exactly_the_agreed_columns(self, path: Path) -> None:
        """`parse` is lazy and returns the columns and types of PARSED, in order."""
        part = self.parts(path)[0]
        frame = connector(self.name).parse(part)
        assert isinstance(frame, pl.LazyFrame)
        assert dict(frame.collect_schema()) == PARSED
        assert list(frame.collect_schema()) == list(PARSED)

    def test_parse_is_pure(self, path: Path) -> None:
        """Parsing twice gives the same rows."""
        first, second = self.parsed(path), self.parsed(path)
        assert first.sort(pl.all()).equals(second.sort(pl.all()))

    def test_every_source_row_is_counted_once(self, path: Path) -> None:
        """The rows of the source are the sum of x_SourceRows, and each has a file and a number."""
        parsed = self.parsed(path)
        assert parsed[SOURCE_ROWS].sum() == self.rows
        assert parsed.select(s.SOURCE_FILE, s.SOURCE_ROW).null_count().row(0) == (0, 0)

    def test_a_rejected_row_says_why_and_is_kept_verbatim(self, path: Path) -> None:
        """Exactly the rejected rows carry their reason and the raw row as JSON."""
        parsed = self.parsed(path)
        rejected = parsed.filter(pl.col(REJECT).is_not_null())
        assert len(rejected) == 1
        assert isinstance(json.loads(rejected[RAW][0]), dict)
        assert parsed.filter(pl.col(REJECT).is_null())[RAW].null_count() == len(parsed) - 1

    def test_accepted_charges_can_be_summed_and_dated(self, path: Path) -> None:
        """No accepted charge lacks its costs, currency or periods."""
        accepted = self.parsed(path).filter(pl.col(REJECT).is_null())
        needed = [
            s.BILLED_COST, s.EFFECTIVE_COST, s.BILLING_CURRENCY, s.BILLING_PERIOD_START, s.BILLING_PERIOD_END,
            s.CHARGE_PERIOD_START, s.CHARGE_PERIOD_END, s.CHARGE_CATEGORY, s.SERVICE_PROVIDER_NAME,
        ]  # fmt: skip
        assert sum(accepted.select(needed).null_count().row(0)) == 0
        assert (accepted[s.CHARGE_PERIOD_END] > accepted[s.CHARGE_PERIOD_START]).all()

    def test_json_columns_hold_json_objects(self, path: Path) -> None:
        """Tags and the other JSON columns are valid JSON objects."""
        for text in self.parsed(path).select(pl.concat_list(JSON_COLUMNS).explode().drop_nulls()).to_series():
            assert isinstance(json.loads(text), dict)

    def test_a_load_ties_out(self, path: Path, load: Callable[..., list[Batch]]) -> None:
        """Rows and costs read are the sample's, and stored + quarantined equals read to the last decimal."""
        batches = load(path, self.name)
        assert sum(b.rows_read for b in batches) == self.rows
        assert sum(b.rows_stored + b.rows_quarantined for b in batches) == self.rows
        for expected, cost in ((self.billed, "billed_cost"), (self.effective, "effective_cost")):
            read: dict[str, Decimal] = {}
            for total in (t for b in batches for t in getattr(b, cost)):
                assert total.read == total.stored + total.quarantined
                read[total.currency] = read.get(total.currency, Decimal(0)) + total.read
            assert {c: v for c, v in read.items() if v} == expected

    def test_loading_again_changes_nothing(self, path: Path, load: Callable[..., list[Batch]], lake: Lake) -> None:
        """A second load of the same files reports the same figures and writes no snapshot."""
        first = load(path, self.name)
        before = lake.versions()
        second = load(path, self.name)
        assert [(b.billing_period, b.billed_cost) for b in first] == [(b.billing_period, b.billed_cost) for b in second]
        assert not any(b.changed for b in second)
        assert lake.versions() == before

    def test_charge_ids_are_unique(self, path: Path, load: Callable[..., list[Batch]], lake: Lake) -> None:
        """No two stored charges share an id."""
        load(path, self.name)
        ids = lake.scan("charges").select(s.CHARGE_ID).collect().to_series()
        assert ids.n_unique() == len(ids)
        assert ids.null_count() == 0

    def test_the_daily_sums_are_the_charges(self, path: Path, load: Callable[..., list[Batch]], lake: Lake) -> None:
        """spend_daily sums to the charges, per currency and cost, to the last decimal."""
        load(path, self.name)
        costs = [pl.col(c).sum() for c in s.COSTS.values()]
        by_table = [
            lake.scan(table).group_by(s.BILLING_CURRENCY).agg(costs).sort(s.BILLING_CURRENCY).collect()
            for table in ("charges", "spend_daily")
        ]
        assert by_table[0].equals(by_table[1])

    @pytest.mark.parametrize("content", ["", "a,b\n1,2\n"])
    def test_a_file_of_another_format_is_refused(
        self, content: str, tmp_path: Path, load: Callable[..., list[Batch]], lake: Lake
    ) -> None:
        """An empty file, or one without the format's columns, raises InputError and leaves the lake untouched."""
        alien = tmp_path / self.alien
        alien.write_text(content)
        with pytest.raises(InputError):
            load(alien, self.name)
        assert lake.versions() == {}


class UsageContract(ABC):
    """The contract suite of metered usage; `sample` has one row that cannot be used, the rest can."""

    name: str
    rows: int
    counts: ClassVar[dict[str, Decimal]]
    """What the accepted rows sum to, per column of METERED; columns that are not named sum to nothing."""
    stated: ClassVar[dict[str, Decimal]] = {}
    """What all rows whose cost can be read say that they cost, per currency."""
    alien: str = "alien.csv"
    """Name of a file that the connector opens, for content that is not of its format."""

    @abstractmethod
    def sample(self, folder: Path) -> Path:
        """Write the sample below the folder and return the path to ingest."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """The sample, written."""
        return self.sample(tmp_path)

    def metered(self, path: Path) -> pl.DataFrame:
        """All parts of the sample that hold usage, parsed."""
        meter = cast(Meter, connector(self.name))
        return pl.concat([meter.parse_usage(part).collect() for part in self.parts(path)])

    def parts(self, path: Path) -> list[RawPart]:
        """The parts of the sample with usage, as an ingest finds them."""
        found = files.source_parts(connector(self.name), path, until=TODAY, say=lambda _: None)
        return [part for part in found if part.holds == "usage"]

    def test_usage_has_exactly_the_agreed_columns(self, path: Path) -> None:
        """`parse_usage` is lazy and returns the columns and types of METERED, in order."""
        frame = cast(Meter, connector(self.name)).parse_usage(self.parts(path)[0])
        assert isinstance(frame, pl.LazyFrame)
        assert dict(frame.collect_schema()) == METERED
        assert list(frame.collect_schema()) == list(METERED)

    def test_parsing_usage_is_pure(self, path: Path) -> None:
        """Parsing twice gives the same rows."""
        first, second = self.metered(path), self.metered(path)
        assert first.sort(pl.all()).equals(second.sort(pl.all()))

    def test_every_metered_row_is_counted_once(self, path: Path) -> None:
        """The rows of the source are the sum of x_SourceRows, and each has a file and a number."""
        metered = self.metered(path)
        assert metered[SOURCE_ROWS].sum() == self.rows
        assert metered.select(s.SOURCE_FILE, s.SOURCE_ROW).null_count().row(0) == (0, 0)

    def test_rejected_usage_says_why_and_is_kept_verbatim(self, path: Path) -> None:
        """Exactly the rejected row carries its reason and the raw row as JSON."""
        metered = self.metered(path)
        rejected = metered.filter(pl.col(REJECT).is_not_null())
        assert len(rejected) == 1
        assert isinstance(json.loads(rejected[RAW][0]), dict)
        assert metered.filter(pl.col(REJECT).is_null())[RAW].null_count() == len(metered) - 1

    def test_accepted_usage_can_be_dated_and_summed(self, path: Path) -> None:
        """No accepted row lacks its day or provider, counts below zero, or states a cost without its currency."""
        accepted = self.metered(path).filter(pl.col(REJECT).is_null())
        assert sum(accepted.select("day", "provider").null_count().row(0)) == 0
        assert not accepted.select(pl.any_horizontal(pl.col(*s.METER_COLUMNS) < 0).any()).item()
        assert accepted.filter(pl.col("stated_cost").is_not_null())["currency"].null_count() == 0
        for text in accepted["tags"].drop_nulls():
            assert isinstance(json.loads(text), dict)

    def test_a_load_of_usage_ties_out(self, path: Path, load: Callable[..., list[Batch]], lake: Lake) -> None:
        """Rows and counts of the sample are in the lake to the last decimal, and the stated costs are accounted."""
        batches = load(path, self.name)
        assert sum(b.rows_read for b in batches) >= self.rows
        assert sum(b.rows_stored + b.rows_quarantined for b in batches) == sum(b.rows_read for b in batches)
        usage = lake.scan("token_usage").collect()
        assert usage["usage_rows"].sum() == self.rows - 1
        sums = usage.select(pl.col(*s.METER_COLUMNS, "other_quantity").sum()).row(0, named=True)
        assert {name: value for name, value in sums.items() if value} == self.counts
        if self.stated:
            read: dict[str, Decimal] = {}
            for total in (t for b in batches for t in b.billed_cost):
                assert total.read == total.stored + total.quarantined
                read[total.currency] = read.get(total.currency, Decimal(0)) + total.read
            assert {currency: cost for currency, cost in read.items() if cost} == self.stated

    def test_usage_is_no_charge(self, path: Path, load: Callable[..., list[Batch]], lake: Lake) -> None:
        """What is metered adds nothing to the bill: no charge of the lake is a part that holds usage."""
        load(path, self.name)
        names = [part.name for part in self.parts(path)]
        assert lake.scan("charges").filter(pl.col(s.SOURCE_FILE).is_in(names)).collect().is_empty()

    def test_loading_usage_again_changes_nothing(
        self, path: Path, load: Callable[..., list[Batch]], lake: Lake
    ) -> None:
        """A second load of the same files writes no snapshot."""
        load(path, self.name)
        before = lake.versions()
        assert not any(b.changed for b in load(path, self.name))
        assert lake.versions() == before

    @pytest.mark.parametrize("content", ["", "a,b\n1,2\n"])
    def test_usage_of_another_format_is_refused(
        self, content: str, tmp_path: Path, load: Callable[..., list[Batch]], lake: Lake
    ) -> None:
        """An empty file, or one without the format's columns, raises InputError and leaves the lake untouched."""
        alien = tmp_path / self.alien
        alien.write_text(content)
        with pytest.raises(InputError):
            load(alien, self.name)
        assert lake.versions() == {}
