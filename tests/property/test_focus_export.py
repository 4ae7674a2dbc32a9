"""Whatever a bill holds, its FOCUS export reads back to the same totals and exports the same again."""

import tempfile
from pathlib import Path

import polars as pl
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from finops import schema as s
from finops.config import Source, load_config
from finops.focus_rules import VERSIONS
from finops.pipeline.exported import totals
from finops.pipeline.focus_export import FORMS, dataset, export_focus
from finops.pipeline.ingest import ingest
from finops.store import Lake
from tests.conftest import TODAY, focus_rows

AMOUNTS = st.decimals("-1e15", "1e15", places=18).map(lambda amount: f"{amount:f}")
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12)
ROWS = st.fixed_dictionaries(
    {
        "BilledCost": AMOUNTS,
        "EffectiveCost": AMOUNTS,
        "ListCost": st.none() | AMOUNTS,
        "ContractedCost": st.none() | AMOUNTS,
        "BillingCurrency": st.sampled_from(["USD", "EUR"]),
        "ChargeCategory": st.sampled_from(["Usage", "Purchase", "Tax", "Credit", "Adjustment", None]),
        "ChargeClass": st.sampled_from([None, "Correction"]),
        "ChargeDescription": st.none() | WORDS | st.sampled_from(['a "quoted", b', "two\nlines", "x;y|z\t", "=1+1"]),
        "CommitmentDiscountId": st.sampled_from([None, "sp-1"]),
        "ServiceName": st.sampled_from(["Amazon Bedrock", "Amazon Elastic Compute Cloud"]),
        "ServiceCategory": st.sampled_from(["AI and Machine Learning", "Compute"]),
        "SkuMeter": st.sampled_from(["EUC1-Claude4Sonnet-input-tokens", "BoxUsage:p5.48xlarge", None]),
        "ConsumedQuantity": st.none() | AMOUNTS.map(lambda amount: amount.removeprefix("-")[:12].rstrip(".")),
        "ConsumedUnit": st.sampled_from(["Hours", "1K tokens", None]),
        "SkuPriceDetails": st.sampled_from([None, "{}", '{"ModelId": "own"}', '{"x_A": "\\"TokenDirection\\": x"}']),
        "PublisherName": st.sampled_from([None, "AWS", "Data 'dog'"]),
        "Tags": st.sampled_from([None, '{"team": "Search", "n": 1.50, "spot": true}', '{"app": "\\u00e9\\"{"}']),
    }
)


def held(path: Path, home: Path) -> Lake:
    """A new lake that holds a file."""
    config = load_config(home)
    ingest(
        config,
        Lake.of(config),
        Source(id="bill", connector="focus", path=path),
        say=lambda _: None,
        until=TODAY,
    )
    return Lake.of(config)


# no shrinking: an example takes a second
@settings(max_examples=12, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(ROWS, min_size=1, max_size=6), version=st.sampled_from(VERSIONS), form=st.sampled_from(FORMS))
def test_export_and_ingest_reach_a_fixed_point(rows: list[dict[str, str | None]], version: str, form: str) -> None:
    """Export, ingest and export again: the four totals of each currency and every cell are the same."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        focus_rows(*rows).cast(pl.String).write_parquet(folder / "bill.parquet")
        first = held(folder / "bill.parquet", folder / "first")
        file = export_focus(first, folder / "out", version=version, form=form).charges.path
        second = held(file, folder / "second")
        costs = list(s.COSTS.values())
        assert totals(first.scan("charges"), costs, s.BILLING_CURRENCY) == totals(
            second.scan("charges"), costs, s.BILLING_CURRENCY
        )
        once, twice = (
            lake_rows.sort(lake_rows.columns)
            for lake in (first, second)
            for lake_rows in [dataset(lake, version).drop(s.SOURCE_ID, s.CHARGE_ID).collect()]
        )
        assert once.equals(twice)
        assert once.height == len(rows)
