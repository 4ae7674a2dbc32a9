"""How busy accelerators were reaches the lake by the hour, nothing lost, nothing guessed."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from connectors import gpu_usage
from connectors.registry import REJECT, RawPart
from finops import schema as s
from finops.cli.main import run
from finops.config import Config, Source
from finops.errors import ConfigError, InputError, LoadRefused
from finops.pipeline.ingest import ingest
from finops.pipeline.totals import Batch
from finops.store import Lake

TODAY = date(2026, 11, 21)
HEADER = (
    "hour,resource_id,device,instance_type,utilisation_mean_ratio,utilisation_max_ratio,memory_mean_percent,power_w\n"
)
GOOD = "2026-10-31T23:00:00Z,i-1,0,p5.48xlarge,0.5,0.75,80,350\n"


def parsed(path: Path, **options: str) -> pl.DataFrame:
    """The file's rows."""
    return gpu_usage.parse_gpu_usage(RawPart(path, path.name, TODAY, options, "gpu_usage")).collect()


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """A CSV file of these rows."""

    def write(*rows: str, header: str = HEADER, name: str = "gpu.csv") -> Path:
        path = tmp_path / "gpus" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(header + "".join(rows))
        return path

    return write


def test_a_row_is_an_hour_of_a_device(file: Callable[..., Path], load: Callable[..., list[Batch]], lake: Lake) -> None:
    """Shares become ratios, and what the machine holds is known from its type."""
    batches = load(file(GOOD), "gpu_usage")
    assert [(b.billing_period, b.rows_read, b.rows_stored) for b in batches] == [("2026-10", 1, 1)]
    row = lake.scan("gpu_usage").collect().row(0, named=True)
    assert (row["hour"], row["resource_id"], row["device"]) == (datetime(2026, 10, 31, 23, tzinfo=UTC), "i-1", "0")
    assert (row["accelerator"], row["accelerator_count"]) == ("H100-80GB", Decimal(1))
    assert (row["utilisation_mean_ratio"], row["utilisation_max_ratio"], row["utilisation_p95_ratio"]) == (
        0.5,
        0.75,
        None,
    )
    assert (row["memory_mean_ratio"], row["power_w"], row["source_rows"]) == (0.8, 350.0, 1)
    assert lake.scan("charges").collect().is_empty()


def test_samples_become_hours(file: Callable[..., Path], load: Callable[..., list[Batch]], lake: Lake) -> None:
    """Rows of ten minutes are one hour: mean, 95th percentile and maximum of theirs, in the hour of UTC."""
    rows = [
        f"2026-10-05T14:{m:02}:00+02:00,i-1,0,,{u},,,\n"
        for m, u in zip(range(0, 60, 10), (0, 0.1, 0.2, 0.3, 0.4, 0.8), strict=True)
    ]
    load(file(*rows), "gpu_usage")
    row = lake.scan("gpu_usage").collect().row(0, named=True)
    assert row["hour"] == datetime(2026, 10, 5, 12, tzinfo=UTC)
    assert row["utilisation_mean_ratio"] == pytest.approx(0.3)
    assert (row["utilisation_p95_ratio"], row["utilisation_max_ratio"], row["samples"], row["source_rows"]) == (
        0.8,
        0.8,
        6,
        6,
    )


def test_means_are_weighted_by_samples(file: Callable[..., Path], load: Callable[..., list[Batch]], lake: Lake) -> None:
    """A row of 45 samples counts three times one of 15."""
    header = "time,host,gpu,utilization_mean_percent,samples\n"
    load(file("2026-10-05 12:00,n1,0,100,45\n", "2026-10-05 12:45,n1,0,0,15\n", header=header), "gpu_usage")
    assert lake.scan("gpu_usage").collect()["utilisation_mean_ratio"].to_list() == [0.75]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("yesterday,i-1,0,,0.5,,,\n", "hour is empty or no time"),
        ("2026-10-05T12:00:00Z,,0,,0.5,,,\n", "resource_id is empty"),
        ("2026-10-05T12:00:00Z,i-1,0,,,,,\n", "utilisation is empty"),
        ("2026-10-05T12:00:00Z,i-1,0,,busy,,,\n", 'utilisation_mean is "busy", which is no number'),
        ("2026-10-05T12:00:00Z,i-1,0,,NaN,,,\n", 'utilisation_mean is "NaN", which is no number'),
        ("2026-10-05T12:00:00Z,i-1,0,,67,,,\n", "utilisation_mean is 67, which is more than all of it"),
        ("2026-10-05T12:00:00Z,i-1,0,,-0.1,,,\n", "utilisation_mean is -0.1, which is below zero"),
        ("2026-10-05T12:00:00Z,i-1,0,,0.5,0.4,,\n", "utilisation_max is below the mean"),
        ("2026-10-05T12:00:00Z,i-1,0,,0.5,,101,\n", "memory_mean is 101, which is more than all of it"),
        ("2026-10-05T12:00:00Z,i-1,0,,0.5,,,watts\n", 'power_w is "watts", which is no number'),
    ],
)
def test_a_bad_row_is_quarantined_with_its_reason(
    row: str, reason: str, file: Callable[..., Path], load: Callable[..., list[Batch]], lake: Lake
) -> None:
    """What cannot be used is kept verbatim with the reason; the other rows are stored."""
    batches = load(file(GOOD, row), "gpu_usage")
    assert sum(b.rows_quarantined for b in batches) == 1
    held = lake.scan("quarantine").collect().row(0, named=True)
    assert held["reason"] == reason
    assert json.loads(held["record"])["device"] == "0"
    assert len(lake.scan("gpu_usage").collect()) == 1


def test_loading_again_changes_nothing(file: Callable[..., Path], load: Callable[..., list[Batch]], lake: Lake) -> None:
    """The same files write no snapshot; a corrected file replaces its month and leaves other months."""
    path = file(GOOD, "2026-09-01T00:00:00Z,i-1,0,,0.1,,,\n")
    load(path, "gpu_usage")
    before = lake.versions()
    assert not any(b.changed for b in load(path, "gpu_usage"))
    assert lake.versions() == before
    file(GOOD.replace("0.5", "0.6"), "2026-09-01T00:00:00Z,i-1,0,,0.1,,,\n")
    load(path, "gpu_usage")
    assert sorted(lake.scan("gpu_usage").collect()["utilisation_mean_ratio"]) == [0.1, 0.6]


def test_a_month_is_replaced_whole(file: Callable[..., Path], load: Callable[..., list[Batch]], lake: Lake) -> None:
    """A load that leaves out a file of the month is refused."""
    load(file(GOOD, name="a.csv").parent, "gpu_usage")
    other = file(GOOD.replace("i-1", "i-2"), name="b.csv")
    with pytest.raises(LoadRefused):
        load(other, "gpu_usage")
    load(other.parent, "gpu_usage")
    assert set(lake.scan("gpu_usage").collect()["resource_id"]) == {"i-1", "i-2"}


def test_a_share_without_a_unit_is_refused_or_said(file: Callable[..., Path], config: Config, lake: Lake) -> None:
    """DCGM's percentages need the option that says so; then they are read."""
    header = "timestamp,Hostname,UUID,modelName,DCGM_FI_DEV_GPU_UTIL\n"
    path = file("2026-10-05T12:00:00Z,n1,GPU-1,NVIDIA H100,67\n", header=header)
    with pytest.raises(InputError, match="may be a percentage or a ratio"):
        parsed(path)
    with pytest.raises(ConfigError, match="percentage"):
        parsed(path, shares="percentage")
    options = {"shares": "percent", "provider": "own", "instance_type": "p5.48xlarge"}
    source = Source(id="dcgm", connector="gpu_usage", path=path, options=options)
    ingest(config, lake, source, say=lambda _: None, until=TODAY)
    row = lake.scan("gpu_usage").collect().row(0, named=True)
    assert (row["utilisation_mean_ratio"], row["provider"], row["accelerator"]) == (0.67, "own", "NVIDIA H100")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("hour,device,utilisation_mean_ratio\n", "has no column resource_id"),
        ("hour,resource_id,device\n", "has no column of utilisation"),
        ("hour,resource_id,utilisation_mean_ratio,utilization_percent\n", "two columns for utilisation_mean"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(header: str, words: str, file: Callable[..., Path]) -> None:
    """A file without time, resource or utilisation, or with two columns for one, is refused."""
    with pytest.raises(InputError, match=words):
        parsed(file("a,b,c,d\n", header=header))


def test_rows_have_the_agreed_columns(file: Callable[..., Path]) -> None:
    """Rows have exactly GPU_HOURS; without a device a row stands for all accelerators of the machine."""
    frame = parsed(file("2026-10-05T12:00:00Z,i-1,,p5.48xlarge,0.5,,,\n"))
    assert dict(frame.schema) == gpu_usage.GPU_HOURS
    assert frame.select("device", "accelerator_count", REJECT).row(0) == ("all", Decimal(8), None)


def test_idle_accelerators_come_first(
    file: Callable[..., Path], load: Callable[..., list[Batch]], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command weighs hours by accelerators, counts idle ones and refuses columns that it does not know."""
    rows = [f"2026-10-05T{h:02}:00:00Z,i-1,,p5.48xlarge,{u},,,\n" for h, u in enumerate((0.9, 0.5, 0.01))]
    rows += ["2026-10-05T00:00:00Z,i-2,0,g5.xlarge,0.02,,,\n"]
    load(file(*rows), "gpu_usage")
    assert run(["--home", str(home), "--format", "json", "utilisation", "--by", "accelerator"]) == 0
    first, second = json.loads(capsys.readouterr().out)["rows"]
    assert (first["accelerator"], first["accelerator_hours"], first["idle_hours"]) == ("H100-80GB", 24.0, 8.0)
    assert (first["mean_ratio"], first["p95_ratio"], first["devices"]) == (pytest.approx(0.47), 0.9, 1)
    assert (second["accelerator"], second["idle_hours"]) == ("A10G-24GB", 1.0)
    assert run(["--home", str(home), "--format", "csv", "utilisation", "--where", "resource_id=i-2"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert run(["--home", str(home), "utilisation", "--by", "colour"]) == 2


def test_utilisation_bills_nothing(file: Callable[..., Path]) -> None:
    """Asked for charges, the connector says to load the bill."""
    path = file(GOOD)
    (part,) = gpu_usage.find_parts(path, until=TODAY, say=lambda _: None)
    assert part.holds == "gpu_usage"
    with pytest.raises(InputError, match="no charges"):
        gpu_usage.parse(part)
    assert s.TABLES["gpu_usage"].partitions == ("source_id", "billing_period")
