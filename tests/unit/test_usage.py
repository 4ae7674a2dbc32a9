"""Metered usage in the lake: its owners, its context tier, its sums by day, and files that hold nothing."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finops import schema as s
from finops.config import Config, Source, load_config
from finops.errors import LakeError
from finops.pipeline import tables
from finops.pipeline import usage as metering
from finops.pipeline.ingest import ingest
from finops.pipeline.totals import Batch
from finops.store import Lake
from tests.conftest import TODAY

Load = Callable[..., list[Batch]]


def result(**fields: Any) -> dict[str, Any]:
    """What OpenAI's usage endpoint says of one key and model on a day."""
    usual = {
        "object": "organization.usage.completions.result", "model": "gpt-5.5", "project_id": "proj_a",
        "api_key_id": "key_a", "input_tokens": 1_000, "input_cached_tokens": 400, "output_tokens": 50,
        "num_model_requests": 10,
    }  # fmt: skip
    return {**usual, **fields}


def page(path: Path, *results: dict[str, Any], day: date = date(2026, 11, 3)) -> Path:
    """A saved page of one day."""
    start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    bucket = {"object": "bucket", "start_time": start, "end_time": start + 86_400, "results": list(results)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"object": "page", "data": [bucket], "has_more": False, "next_page": None}))
    return path


def usage(lake: Lake) -> pl.DataFrame:
    return lake.scan("token_usage").sort("day", "consumer_id").collect()


def test_rows_of_one_key_model_and_day_are_one(tmp_path: Path, load: Load, lake: Lake) -> None:
    """Usage is summed by day and by what it is sliced by; a count that nobody counts stays empty."""
    load(page(tmp_path / "u" / "1.json", result(), result(), result(api_key_id="key_b")).parent, "openai")
    rows = usage(lake)
    assert rows["consumer_id"].to_list() == ["key_a", "key_b"]
    assert rows["uncached_input_tokens"].to_list() == [1_200, 600]
    assert rows["usage_rows"].to_list() == [2, 1]
    assert rows["input_video_tokens"].null_count() == 2


def test_usage_has_the_owners_that_the_mappings_give(tmp_path: Path, home: Path) -> None:
    """A key's mapping names its team and purpose, a project's stands behind it, and nobody's usage says so."""
    home.mkdir()
    (home / "mappings.csv").write_text(
        "kind,match,team,use_case,cost_center,environment,purpose,owner,source\n"
        "key,key_a,Support,assistant,,,inference,,finance\naccount,proj_a,Platform,,,,,,finance\n"
    )
    (home / "finops.toml").write_text('[tables]\nmappings = "mappings.csv"')
    config = load_config(home)
    lake = Lake.of(config)
    tables.load(config, lake, say=lambda _: None)
    path = page(tmp_path / "1.json", result(), result(api_key_id="key_b"), result(api_key_id=None, project_id=None))
    ingest(config, lake, Source(id="api", connector="openai", path=path), say=lambda _: None, until=TODAY)
    owners = usage(lake).select("team", "use_case", "purpose", "owner_status").rows()
    assert sorted(owners, key=str) == [
        ("Platform", None, "unknown", "inferred"),
        ("Support", "assistant", "inference", "known"),
        (None, None, "unknown", "none"),
    ]


@pytest.mark.parametrize(("tokens", "requests", "tier"), [(272_001, 1, 272_000), (272_000, 1, 0), (272_001, 2, None)])
def test_one_request_knows_its_context_tier(
    tokens: int, requests: int, tier: int | None, tmp_path: Path, load: Load, lake: Lake
) -> None:
    """A single request is above the longest step of its model that its input exceeds; of several nobody can say it."""
    counted = result(input_tokens=tokens, input_cached_tokens=0, num_model_requests=requests)
    load(page(tmp_path / "1.json", counted), "openai")
    assert usage(lake)[s.CONTEXT].to_list() == [tier]


def test_a_restated_day_replaces_itself(tmp_path: Path, load: Load, lake: Lake) -> None:
    """The page again with other figures replaces its rows; other months stay."""
    october = page(tmp_path / "pull" / "2026-10" / "1.json", result(), day=date(2026, 10, 3))
    november = page(tmp_path / "pull" / "2026-11" / "1.json", result())
    load(tmp_path / "pull", "openai")
    page(november, result(output_tokens=75))
    load(tmp_path / "pull", "openai")
    assert usage(lake)["output_tokens"].to_list() == [50, 75]
    assert october.exists()


def test_a_page_that_has_become_empty_is_no_file_left_out(tmp_path: Path, load: Load, lake: Lake) -> None:
    """A day that is taken back leaves no row, the load needs no --replace, and again it changes nothing."""
    folder = tmp_path / "pull"
    page(folder / "1.json", result())
    page(folder / "2.json", result(), day=date(2026, 11, 4))
    load(folder, "openai")
    page(folder / "2.json", day=date(2026, 11, 4))
    load(folder, "openai")
    assert usage(lake)["day"].to_list() == [date(2026, 11, 3)]
    versions = lake.versions()
    assert not any(batch.changed for batch in load(folder, "openai"))
    assert lake.versions() == versions


def test_lost_usage_is_noticed(tmp_path: Path, load: Load, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A load whose stored counts are not those that were read raises, and nothing of it is visible."""
    half = metering.usage_daily
    monkeypatch.setattr(
        "finops.pipeline.ingest.usage_daily",
        lambda *args: half(*args).with_columns(pl.col("output_tokens") - 1),
    )
    with pytest.raises(LakeError, match="does not tie out"):
        load(page(tmp_path / "1.json", result()), "openai")
    assert lake.versions() == {}


def test_usage_alone_costs_nothing(tmp_path: Path, load: Load, config: Config) -> None:
    """Usage without a stated cost is accounted in the company's currency with no money."""
    (batch,) = load(page(tmp_path / "1.json", result()), "openai")
    assert [(t.currency, t.read) for t in batch.billed_cost] == [(config.company.currency, Decimal(0))]
    assert batch.rows_stored == 1
