"""What all tests share: a home of their own, and the sample data where it lies beside the checkout."""

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from finops.config import Config, Source, load_config
from finops.pipeline.ingest import ingest
from finops.pipeline.totals import Batch
from finops.store import Lake
from tests import azurite as azure
from tests.object_store import S3, serving

SHARED = Path(__file__).parents[2] / "shared" / "data"
TODAY = date(2026, 11, 21)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of the sample data are deselected, not skipped, where the data is absent."""
    if SHARED.exists():
        return
    absent = [item for item in items if item.get_closest_marker("shared")]
    config.hook.pytest_deselected(items=absent)
    items[:] = [item for item in items if item not in absent]


@pytest.fixture
def shared() -> Path:
    """The folder with the sample data."""
    return SHARED


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home."""
    return tmp_path / "home"


@pytest.fixture
def config(home: Path) -> Config:
    """The default config of the home."""
    return load_config(home)


@pytest.fixture
def lake(config: Config) -> Lake:
    """The home's lake, empty."""
    return Lake.of(config)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A local S3 with a bucket for lakes."""
    with serving(tmp_path_factory.mktemp("s3") / "requests.log") as server:
        yield server


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[azure.Azurite]:
    """A local Blob storage."""
    with azure.serving(tmp_path_factory.mktemp("azurite") / "requests.log") as server:
        yield server


@pytest.fixture
def load(config: Config, lake: Lake) -> Callable[..., list[Batch]]:
    """Ingest a file or folder as the source `bill`."""

    def run(path: Path, connector: str = "focus", *, replace: bool = False, period: str | None = None) -> list[Batch]:
        source = Source(id="bill", connector=connector, path=path)
        return ingest(config, lake, source, say=lambda _: None, until=TODAY, replace=replace, period=period)

    return run


def focus_rows(*rows: dict[str, object]) -> pl.DataFrame:
    """FOCUS rows as text: a plain usage charge of one day, with what each dict changes."""
    usual = {
        "BilledCost": "1.5",
        "EffectiveCost": "1.5",
        "ListCost": "2",
        "ContractedCost": "1.5",
        "BillingCurrency": "USD",
        "BillingPeriodStart": "2026-09-01T00:00:00Z",
        "BillingPeriodEnd": "2026-10-01T00:00:00Z",
        "ChargePeriodStart": "2026-09-03T00:00:00Z",
        "ChargePeriodEnd": "2026-09-04T00:00:00Z",
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ServiceProviderName": "AWS",
        "ServiceName": "Amazon Elastic Compute Cloud",
        "ServiceCategory": "Compute",
        "BillingAccountId": "100",
        "SubAccountId": "012345678901",
        "SkuId": "SKU1",
        "RegionId": "eu-central-1",
        "Tags": '{"team": "Search"}',
    }
    return pl.DataFrame([{**usual, **row} for row in rows])
