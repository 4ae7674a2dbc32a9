"""Ingest: nothing is lost, nothing is counted twice, and a refused load changes nothing."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from finops import schema as s
from finops.errors import InputError, LakeError, LoadRefused
from finops.pipeline import ingest as ingesting
from finops.pipeline.totals import Batch
from finops.store import Lake
from tests.conftest import focus_rows

Load = Callable[..., list[Batch]]
OCTOBER = {"BillingPeriodStart": "2026-10-01T00:00:00Z", "BillingPeriodEnd": "2026-11-01T00:00:00Z"}


def bill(path: Path, *rows: dict[str, object]) -> Path:
    """Write a FOCUS CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    focus_rows(*rows).write_csv(path)
    return path


def billed(lake: Lake) -> dict[str, Decimal]:
    """What the lake holds, per billing period."""
    sums = lake.scan("spend_daily").group_by(s.BILLING_PERIOD).agg(pl.col(s.BILLED_COST).sum()).collect()
    return dict(sums.iter_rows())


def test_a_restated_period_replaces_itself(tmp_path: Path, load: Load, lake: Lake) -> None:
    """The same file with other content replaces its rows, and leaves other periods alone."""
    load(bill(tmp_path / "bill.csv", {}, OCTOBER))
    load(bill(tmp_path / "bill.csv", {"BilledCost": "7"}, OCTOBER))
    assert billed(lake) == {"2026-09": Decimal(7), "2026-10": Decimal("1.5")}


def test_a_row_that_moves_to_another_period_leaves_the_old_one(tmp_path: Path, load: Load, lake: Lake) -> None:
    """When a restated file no longer has rows of a period, that period's old rows go."""
    load(bill(tmp_path / "bill.csv", {}, OCTOBER))
    load(bill(tmp_path / "bill.csv", {}))
    assert billed(lake) == {"2026-09": Decimal("1.5")}


def test_a_load_that_leaves_out_a_file_is_refused(tmp_path: Path, load: Load, lake: Lake) -> None:
    """A period is replaced whole, so a load that lacks one of its files is refused, and says which."""
    bill(tmp_path / "bill" / "a.csv", {}, OCTOBER)
    bill(tmp_path / "bill" / "b.csv", {})
    load(tmp_path / "bill")
    before = billed(lake)
    alone = bill(tmp_path / "other" / "a.csv", {"BilledCost": "7"})
    with pytest.raises(LoadRefused, match=r"leaves out b.csv, which the lake holds in 2026-09"):
        load(alone)
    assert billed(lake) == before
    load(alone, replace=True)
    assert billed(lake) == {"2026-09": Decimal(7)}


def test_a_file_of_another_period_may_come_alone(tmp_path: Path, load: Load, lake: Lake) -> None:
    """Month after month in files of their own needs no --replace."""
    load(bill(tmp_path / "september.csv", {}))
    load(bill(tmp_path / "october.csv", OCTOBER))
    assert billed(lake) == {"2026-09": Decimal("1.5"), "2026-10": Decimal("1.5")}


def test_one_period_can_be_loaded_alone(tmp_path: Path, load: Load, lake: Lake) -> None:
    """--period loads that month only; a later whole load brings the rest."""
    path = bill(tmp_path / "bill.csv", {}, OCTOBER)
    load(path, period="2026-10")
    assert billed(lake) == {"2026-10": Decimal("1.5")}
    load(path)
    assert billed(lake) == {"2026-09": Decimal("1.5"), "2026-10": Decimal("1.5")}


def test_equal_rows_are_different_charges(tmp_path: Path, load: Load, lake: Lake) -> None:
    """Two rows alike in everything are two charges, each counted."""
    load(bill(tmp_path / "bill.csv", {}, {}))
    assert lake.scan("charges").select(pl.col(s.CHARGE_ID).n_unique()).collect().item() == 2
    assert billed(lake) == {"2026-09": Decimal(3)}


def test_bad_rows_are_quarantined_with_reason_and_row(tmp_path: Path, load: Load, lake: Lake) -> None:
    """Each refused row is kept verbatim with its number and reason; money that can be read is accounted for."""
    wrong = [
        {"BilledCost": "$10,000.00"},
        {"EffectiveCost": "NULL"},
        {"BillingCurrency": "MC1"},
        {"ChargePeriodEnd": "2026-09-02T00:00:00Z"},
        {"BillingPeriodStart": "soon"},
        {"ListUnitPrice": "ten"},
    ]
    usual = [{"ListUnitPrice": "2"} | w for w in [{}, *wrong, {}]]
    batches = load(bill(tmp_path / "bill.csv", *usual))
    rows = lake.scan("quarantine").sort("source_row").collect()
    assert rows["source_row"].to_list() == [2, 3, 4, 5, 6, 7]
    assert rows["reason"].to_list() == [
        'BilledCost is "$10,000.00", which is no number',
        "EffectiveCost is empty",
        'BillingCurrency is "MC1", which is no ISO 4217 code',
        "ChargePeriodEnd lies before ChargePeriodStart",
        'BillingPeriodStart is "soon", which is no date',
        'ListUnitPrice is "ten", which is no number',
    ]
    assert '"BilledCost":"$10,000.00"' in rows["record"][0]
    assert {b.billing_period: (b.rows_stored, b.rows_quarantined) for b in batches} == {
        "2026-09": (2, 5),
        "unknown": (0, 1),
    }
    in_september = {t.currency: t for b in batches if b.billing_period == "2026-09" for t in b.billed_cost}
    assert in_september["USD"].quarantined == Decimal("4.5")
    assert in_september["USD"].read == Decimal("7.5")
    assert in_september["XXX"].quarantined == Decimal("1.5")


def test_a_repaired_row_leaves_quarantine(tmp_path: Path, load: Load, lake: Lake) -> None:
    """Loading the corrected file replaces the quarantined rows too, also those of unknown period."""
    load(bill(tmp_path / "bill.csv", {}, {"BilledCost": "x"}, {"BillingPeriodStart": "soon"}))
    assert lake.scan("quarantine").collect().height == 2
    load(bill(tmp_path / "bill.csv", {}, {}, {}))
    assert lake.scan("quarantine").collect().height == 0
    assert billed(lake) == {"2026-09": Decimal("4.5")}


def test_a_file_without_a_readable_row_is_refused(tmp_path: Path, load: Load, lake: Lake) -> None:
    """Where every row fails, the load is refused with the first reasons, and the lake is untouched."""
    with pytest.raises(InputError, match=r"bill.csv row 1: BilledCost is .\$1.00"):
        load(bill(tmp_path / "bill.csv", {"BilledCost": "$1.00"}, {"BilledCost": "$2.00"}))
    assert lake.versions() == {}


def test_a_load_that_does_not_tie_out_changes_nothing(
    tmp_path: Path, load: Load, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a charge went missing on the way to the lake, the load fails and the old snapshot stays."""
    load(bill(tmp_path / "bill.csv", {}))
    classify = ingesting.classify
    monkeypatch.setattr(ingesting, "classify", lambda charges, *rest: classify(charges, *rest).head(1))
    with pytest.raises(LakeError, match="does not tie out"):
        load(bill(tmp_path / "bill.csv", {"BilledCost": "7"}, {}))
    assert billed(lake) == {"2026-09": Decimal("1.5")}


def test_currencies_stay_apart(tmp_path: Path, load: Load) -> None:
    """Rows in two currencies give two totals, never one."""
    (batch,) = load(bill(tmp_path / "bill.csv", {}, {"BillingCurrency": "eur", "BilledCost": "4"}))
    assert {t.currency: t.stored for t in batch.billed_cost} == {"USD": Decimal("1.5"), "EUR": Decimal(4)}


@pytest.mark.parametrize("keep", [0.3, 0.97])
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_a_truncated_file_is_refused(tmp_path: Path, load: Load, lake: Lake, suffix: str, keep: float) -> None:
    """A file that was cut off in the middle of a row is refused, whatever its format."""
    path = tmp_path / f"bill{suffix}"
    rows = focus_rows(*({"SkuId": f"SKU{i}"} for i in range(50)))
    if suffix == ".parquet":
        rows.write_parquet(path)
    else:
        rows.write_csv(path, compression="gzip" if suffix == ".csv.gz" else "uncompressed")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(InputError):
        load(path)
    assert lake.versions() == {}


def test_a_missing_path_and_an_empty_folder_are_named(tmp_path: Path, load: Load) -> None:
    """A path that is not there and a folder without data files say so."""
    with pytest.raises(InputError, match="no file or folder"):
        load(tmp_path / "nowhere.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no file"):
        load(tmp_path / "empty")
    (tmp_path / "bill.xlsx").write_text("x")
    with pytest.raises(InputError, match="does not end in"):
        load(tmp_path / "bill.xlsx")


@pytest.mark.parametrize("column", ["BilledCost", "EffectiveCost", "BillingCurrency", "ChargePeriodStart"])
def test_a_file_without_a_needed_column_is_refused(tmp_path: Path, load: Load, column: str) -> None:
    """The message names the column that is missing."""
    path = tmp_path / "bill.csv"
    focus_rows({}).drop(column).write_csv(path)
    with pytest.raises(InputError, match=f"has no column {column}"):
        load(path)
