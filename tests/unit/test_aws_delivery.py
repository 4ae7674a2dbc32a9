"""What AWS delivered: which files make up a bill, and which deliveries are refused."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.aws import find_parts, parse
from finops import schema as s
from finops.errors import InputError, LoadRefused
from finops.pipeline.totals import Batch
from tests.conftest import TODAY
from tests.unit.test_aws import line_item, read, write_csv

Load = Callable[..., list[Batch]]
MONTH = Path("acme/data/BILLING_PERIOD=2026-09")
METADATA = Path("acme/metadata/BILLING_PERIOD=2026-09")


def manifest(path: Path, *keys: str) -> None:
    """A manifest that lists these keys of the bucket."""
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = [f"s3://bucket/exports/{key}" for key in keys]
    path.write_text(json.dumps({"executionId": "1", "dataFiles": listed, "athena": ["create-table.sql"]}))


def test_only_what_the_manifest_lists_is_the_bill(tmp_path: Path) -> None:
    """Files of an older version beside the newest one are left out, and said."""
    for version, cost in (("2026-09-29T01-old", "1"), ("2026-09-30T01-new", "2")):
        for chunk in (1, 2):
            write_csv(tmp_path / MONTH / version / f"acme-0000{chunk}.csv", line_item(line_item_unblended_cost=cost))
    newest = [f"{MONTH.as_posix()}/2026-09-30T01-new/acme-0000{chunk}.csv" for chunk in (1, 2)]
    manifest(tmp_path / METADATA / "acme-Manifest.json", *newest)
    said: list[str] = []
    parts = find_parts(tmp_path, until=TODAY, say=said.append)
    assert [part.name for part in parts] == [f"acme/BILLING_PERIOD=2026-09/acme-0000{chunk}.csv" for chunk in (1, 2)]
    assert sum(parse(part).collect()[s.BILLED_COST].sum() for part in parts) == 4
    assert "2026-09-29T01-old" in said[0]


def test_the_last_of_many_manifests_counts(tmp_path: Path) -> None:
    """An export that keeps a manifest for each version is its newest version."""
    for version, cost in (("2026-09-29T01-b", "1"), ("2026-09-30T01-a", "2")):
        file = write_csv(tmp_path / MONTH / version / "acme-1.csv", line_item(line_item_unblended_cost=cost))
        manifest(tmp_path / METADATA / version / "acme-Manifest.json", file.relative_to(tmp_path).as_posix())
    assert read(tmp_path)[s.BILLED_COST].to_list() == [2]


def test_versions_without_a_manifest_are_refused(tmp_path: Path) -> None:
    """Two versions of a month beside each other are a bill counted twice: refused, and both are named."""
    for version in ("2026-09-29T01-b", "2026-09-30T01-a"):
        write_csv(tmp_path / MONTH / version / "acme-1.csv", line_item())
    with pytest.raises(InputError, match=r"several versions.*2026-09-29T01-b.*2026-09-30T01-a"):
        find_parts(tmp_path, until=TODAY)


def test_legacy_assemblies_that_cannot_be_ordered_are_refused(tmp_path: Path) -> None:
    """Assembly folders are named at random: manifests in them alone do not say which is the newest."""
    for assembly in ("9f0c", "1b2d"):
        folder = tmp_path / "report" / "20260901-20261001" / assembly
        file = write_csv(folder / "report-1.csv", line_item())
        manifest(folder / "report-Manifest.json", file.relative_to(tmp_path).as_posix())
    with pytest.raises(InputError, match="several versions"):
        find_parts(tmp_path, until=TODAY)
    manifest(tmp_path / "report/20260901-20261001/report-Manifest.json", "report/20260901-20261001/1b2d/report-1.csv")
    assert [part.path.parent.name for part in find_parts(tmp_path, until=TODAY)] == ["1b2d"]


@pytest.mark.parametrize("others", [0, 1])
def test_a_manifest_whose_file_is_missing_is_refused(others: int, tmp_path: Path) -> None:
    """A part that the manifest lists and that is not there stops the load, whatever else is there."""
    write_csv(tmp_path / "acme/data/BILLING_PERIOD=2026-08/acme-1.csv", line_item())
    for chunk in range(others):
        write_csv(tmp_path / MONTH / f"acme-{chunk}.csv", line_item())
    manifest(tmp_path / METADATA / "acme-Manifest.json", f"{MONTH.as_posix()}/acme-9.csv")
    with pytest.raises(InputError, match=r"acme-9\.csv, which is not there"):
        find_parts(tmp_path, until=TODAY)


def test_a_manifest_of_files_that_are_not_read_is_refused(tmp_path: Path) -> None:
    """A report delivered as ZIP is named, and the files beside its manifest are not taken for it."""
    write_csv(tmp_path / MONTH / "acme-1.csv", line_item())
    manifest(tmp_path / METADATA / "acme-Manifest.json", f"{MONTH.as_posix()}/acme-1.csv.zip")
    with pytest.raises(InputError, match="lists no file"):
        find_parts(tmp_path, until=TODAY)


def test_a_half_written_manifest_is_refused(tmp_path: Path) -> None:
    """A manifest that is cut off says so, instead of all files being taken."""
    write_csv(tmp_path / MONTH / "acme-1.csv", line_item())
    (tmp_path / METADATA).mkdir(parents=True)
    (tmp_path / METADATA / "acme-Manifest.json").write_text('{"dataFiles": ["s3://')
    with pytest.raises(InputError, match="no whole manifest"):
        find_parts(tmp_path, until=TODAY)


def test_manifest_and_files_in_one_folder(tmp_path: Path) -> None:
    """Files that were saved flat beside their manifest are found by their names."""
    write_csv(tmp_path / "acme-1.csv", line_item())
    write_csv(tmp_path / "notes.csv", line_item())
    manifest(tmp_path / "acme-Manifest.json", f"{MONTH.as_posix()}/acme-1.csv")
    assert [part.name for part in find_parts(tmp_path, until=TODAY)] == ["acme-1.csv"]


def test_a_refreshed_month_replaces_itself(tmp_path: Path, load: Load) -> None:
    """A new version under a new folder is the same part, so the month is replaced and not refused."""
    first = write_csv(tmp_path / "bill" / MONTH / "2026-09-29T01-b" / "acme-1.csv", line_item())
    assert load(tmp_path / "bill", "aws")[0].billed_cost[0].stored == Decimal("1.5")
    first.unlink()
    write_csv(tmp_path / "bill" / MONTH / "2026-09-30T01-a" / "acme-1.csv", line_item(line_item_unblended_cost="1.75"))
    [batch] = load(tmp_path / "bill", "aws")
    assert [(t.stored, t.currency) for t in batch.billed_cost] == [(Decimal("1.75"), "USD")]


def test_a_month_with_fewer_chunks_is_not_taken_in_silence(tmp_path: Path, load: Load) -> None:
    """A load that lacks a chunk which the lake holds is refused."""
    for chunk in (1, 2):
        write_csv(tmp_path / "bill" / MONTH / f"acme-{chunk}.csv", line_item())
    load(tmp_path / "bill", "aws")
    (tmp_path / "bill" / MONTH / "acme-2.csv").unlink()
    with pytest.raises(LoadRefused, match=r"acme-2\.csv"):
        load(tmp_path / "bill", "aws")
