"""The page on Google Cloud bills shows a session that runs as shown, and the settings and limits of the code."""

import re
from pathlib import Path

import polars as pl

from connectors.gcp import bigquery, price_export, queries
from connectors.gcp.refusals import CREATE_JOBS, GET_DATA, GET_TABLE, LIST_BUDGETS, Asked, grant
from connectors.gcp.session import Tries
from finops.config import Gcp
from tests.docs.test_pages import DOCS, run_page
from tests.gcp_stub import GcpStub
from tests.unit import test_gcp_prices as unit

PAGE = (DOCS / "gcp.md").read_text()


def test_page_prints_what_it_shows(tmp_path: Path) -> None:
    """Every command of the page runs and prints what stands below it."""
    run_page("gcp.md", tmp_path)


def test_page_names_settings_and_limits() -> None:
    """All settings of the source, and how long and how often things are tried, are those of the code."""
    for setting in Gcp.model_fields:
        assert re.search(rf"\b{setting}\b", PAGE)
    assert (Tries().first_wait_s, Tries().longest_wait_s, Tries().total_s) == (1, 30, 300)
    assert (bigquery._RESTARTS, queries._JOBS, queries._READS) == (3, 3, 3)


def test_page_shows_the_commands_that_errors_name() -> None:
    """Each permission is there, with the role that the error's command grants."""
    asked = Asked("gcp", "serviceAccount:x", "acme-finops", "", "acme-billing.billing.t", "01AB23-C45D67-E89F01")
    for permission in (CREATE_JOBS, GET_DATA, GET_TABLE, LIST_BUDGETS):
        (role,) = re.findall(r"--role=\S+", grant(permission, asked))
        assert permission in PAGE
        assert role in PAGE


def test_page_shows_a_contract_beside_the_list(tmp_path: Path) -> None:
    """The machine of the page costs what the export of such a contract gives, by the columns that the page names."""
    with GcpStub() as stub:
        stub.prices = unit.exported(contract=unit.discounted)
        found = unit.fetched(stub, tmp_path)
    assert found.list_prices is not None
    paid = unit.machine(found)["on_demand_per_hour"]
    listed = found.list_prices.row(by_predicate=pl.col("instance_type") == "a3-highgpu-8g", named=True)["list_per_hour"]
    assert f"| {listed:.10f} | {paid:.10f} | {listed:.10f} | {paid / listed:.4f} |" in PAGE
    assert f"the last {price_export._RECENT.days} each account" in PAGE
    for column in ("billing_account_price", "list_price", "usd_amount", "pricing_unit_quantity"):
        assert f"`{column}`" in PAGE
