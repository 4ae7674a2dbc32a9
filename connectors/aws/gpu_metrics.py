"""How busy accelerators on AWS were, from CloudWatch, as files of connectors/gpu_usage.py: one row a device and hour.

| | EC2, through the CloudWatch agent | SageMaker endpoints | SageMaker training jobs |
|---|---|---|---|
| namespace | CWAgent | /aws/sagemaker/Endpoints | /aws/sagemaker/TrainingJobs |
| resource_id | InstanceId, else host | the endpoint's ARN | the job's ARN |
| device | index | all | the host |
| group | AutoScalingGroupName | EndpointName | the job's name |
| utilisation | nvidia_smi_utilization_gpu, percent | GPUUtilization, percent x GPUs | GPUUtilization, percent x GPUs |
| memory | nvidia_smi_memory_used / nvidia_smi_memory_total | GPUMemoryUtilization | GPUMemoryUtilization |
| power | nvidia_smi_power_draw | | |

CloudWatch lists a metric for two weeks after its last value, so what was brought before is kept when a month is asked
again. SageMaker's metrics do not name the machine; what it is, SageMaker itself is asked.

Source: CloudWatch API reference, ListMetrics and GetMetricData (500 queries a request; 0.01 USD for 1,000 metrics);
CloudWatch agent, NVIDIA GPU metrics; SageMaker developer guide, "Metrics for monitoring"; read 2026-11-21.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import polars as pl
from botocore.exceptions import ClientError

from connectors import sync
from connectors.access import Window
from connectors.aws.api import HOME_REGION, Api
from connectors.gpu_usage import ALL
from finops import schema as s
from finops.errors import SourceUnreachable
from finops.rules import load_rules, machine

Apis = Callable[[str, str], Api]
"""The Api of a service in a region."""

LIST, GET = "cloudwatch:ListMetrics", "cloudwatch:GetMetricData"
DESCRIBE: Final = ("sagemaker:DescribeEndpoint", "sagemaker:DescribeEndpointConfig", "sagemaker:DescribeTrainingJob")
USD_PER_METRIC: Final = Decimal("0.00001")
SETTLED_DAYS: Final = 2
AGENT, ENDPOINTS, JOBS = "CWAgent", "/aws/sagemaker/Endpoints", "/aws/sagemaker/TrainingJobs"
_USED: Final = {AGENT: "nvidia_smi_utilization_gpu", ENDPOINTS: "GPUUtilization", JOBS: "GPUUtilization"}
_QUERIES: Final = 500
_STATE: Final = ".pulled.json"
_KEY: Final = ("region", "resource_id", "device", "hour")

_UTILISATION: Final = {
    "utilisation_mean": "Average", "utilisation_p95": "p95", "utilisation_max": "Maximum", "samples": "SampleCount",
}  # fmt: skip
_AGENT_STATS: Final = (
    *(("nvidia_smi_utilization_gpu", stat, column) for column, stat in _UTILISATION.items()),
    ("nvidia_smi_memory_used", "Average", "memory_mean"),
    ("nvidia_smi_memory_used", "Maximum", "memory_max"),
    ("nvidia_smi_memory_total", "Maximum", "memory_total"),
    ("nvidia_smi_power_draw", "Average", "power_w"),
)
_SAGEMAKER_STATS: Final = (
    *(("GPUUtilization", stat, column) for column, stat in _UTILISATION.items()),
    ("GPUMemoryUtilization", "Average", "memory_mean"),
    ("GPUMemoryUtilization", "Maximum", "memory_max"),
)
COLUMNS: Final[dict[str, pl.DataType]] = {
    "hour": s.TIME,
    **dict.fromkeys(
        ("provider", "account_id", "region", "resource_id", "resource_name", "device", "group", "instance_type",
         "accelerator"),
        pl.String(),
    ),
    "accelerator_count": s.MONEY,
    **dict.fromkeys(
        ("utilisation_mean_ratio", "utilisation_p95_ratio", "utilisation_max_ratio", "memory_mean_ratio",
         "memory_max_ratio", "power_w"),
        pl.Float64(),
    ),
    "samples": pl.Int64(),
}  # fmt: skip


@dataclass(frozen=True)
class Device:
    """What one series of metrics is about; scale: what a percentage of it is divided by."""

    namespace: str
    dimensions: tuple[tuple[str, str], ...]
    region: str
    resource_id: str
    resource_name: str | None
    device: str
    group: str | None
    instance_type: str | None
    accelerator: str | None
    count: Decimal
    scale: Decimal


@dataclass(frozen=True)
class Watched:
    """What a pull did: months brought, months that are final, and how many metrics were paid for."""

    months: tuple[str, ...]
    final: tuple[str, ...]
    metrics: int


def pull(
    apis: Apis,
    folder: Path,
    *,
    source_id: str,
    since: date,
    regions: Sequence[str],
    today: date,
    say: Callable[[str], None],
) -> Watched:
    """Bring `<folder>/<YYYY-MM>.csv` up to yesterday; a month is replaced whole or stays as it is.

    Raises SourceUnreachable when AWS does not answer, or lacks a permission, which it names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    apis = cache(apis)  # clients are dear to make
    state = sync.stated(folder / _STATE)
    asked = ",".join(sorted(regions))
    months = sync.windows(since, today - timedelta(days=1)) if since < today else []
    todo = [month for month in months if not _is_final(month, state, asked)]
    account = str(apis("sts", HOME_REGION).called("sts:GetCallerIdentity", "get_caller_identity")["Account"])
    devices = [device for region in regions for device in found(apis, region, say=say)] if todo else []
    queries = sum(len(_stats(device)) for device in devices) * len(todo)
    if todo:
        say(
            f"{source_id}: {len(devices)} accelerator series in {', '.join(regions)}; CloudWatch takes "
            f"{queries * USD_PER_METRIC:.2f} USD for {queries:,} metrics of {len(todo)} month(s)"
        )
    for month in todo:
        hours = [row for region in regions for row in _hours(apis, region, devices, month, account)]
        _write(folder / f"{month.name}.csv", pl.DataFrame(hours, schema=COLUMNS))
        state = {**state, month.name: {"pulled_on": today.isoformat(), "asked": f"{month.start}/{month.end} {asked}"}}
        sync.write(folder / _STATE, state)
    final = tuple(month.name for month in months if month not in todo)
    return Watched(tuple(month.name for month in todo), final, queries)


# ------------------------------------------------------------------------------------------------------------ devices
def found(apis: Apis, region: str, *, say: Callable[[str], None]) -> list[Device]:
    """Everything in a region that reported how busy its accelerators are, within two weeks."""
    cloudwatch = apis("cloudwatch", region)
    devices = []
    for namespace, metric in _USED.items():
        listed = cloudwatch.pages(LIST, "list_metrics", Namespace=namespace, MetricName=metric)
        for page in listed:
            for series in page["Metrics"]:
                dimensions = tuple((d["Name"], d["Value"]) for d in series["Dimensions"])
                device = _device(apis, namespace, dimensions, region)
                if device is None:
                    named = ", ".join(f"{name}={value}" for name, value in dimensions) or "no dimensions"
                    say(f"left out: {namespace} {metric} of {named}: which machine it is of is not known")
                else:
                    devices.append(device)
    return devices


def _device(apis: Apis, namespace: str, dimensions: tuple[tuple[str, str], ...], region: str) -> Device | None:
    said = dict(dimensions)
    if namespace == AGENT:
        resource = said.get("InstanceId") or said.get("host")
        if resource is None or "index" not in said:
            return None
        instance_type = said.get("InstanceType")
        holds = load_rules().accelerators.get(machine(instance_type or ""))
        return Device(
            namespace, dimensions, region, resource, said.get("host"), said["index"], said.get("AutoScalingGroupName"),
            instance_type, holds.model if holds else None, Decimal(1), Decimal(100),
        )  # fmt: skip
    sagemaker = apis("sagemaker", region)
    try:
        if namespace == ENDPOINTS and "EndpointName" in said:
            arn, instance_type, copies = _endpoint(sagemaker, said["EndpointName"], said.get("VariantName"))
            name, device = said["EndpointName"], said.get("VariantName") or ALL
        elif namespace == JOBS and "Host" in said:
            name, _, device = said["Host"].partition("/")
            arn, instance_type = _job(sagemaker, name)
            copies = 1
        else:
            return None
    except SourceUnreachable as error:
        if isinstance(error.__cause__, ClientError) and "Could not find" in str(error.__cause__):
            return None
        raise
    holds = load_rules().accelerators.get(machine(instance_type))
    if holds is None:
        return None
    return Device(
        namespace, dimensions, region, arn, name, device, name, instance_type, holds.model, holds.count * copies,
        holds.count * 100,
    )  # fmt: skip


def _endpoint(sagemaker: Api, name: str, variant: str | None) -> tuple[str, str, int]:
    """ARN, instance type and number of machines of a variant."""
    endpoint = sagemaker.called(DESCRIBE[0], "describe_endpoint", EndpointName=name)
    config = sagemaker.called(
        DESCRIBE[1], "describe_endpoint_config", EndpointConfigName=endpoint["EndpointConfigName"]
    )
    of = [v for v in config["ProductionVariants"] if variant in (None, v["VariantName"])]
    running = [v for v in endpoint.get("ProductionVariants", ()) if variant in (None, v["VariantName"])]
    copies = running[0].get("CurrentInstanceCount") if running else None
    return endpoint["EndpointArn"], of[0].get("InstanceType", "") if of else "", copies or 1


def _job(sagemaker: Api, name: str) -> tuple[str, str]:
    job = sagemaker.called(DESCRIBE[2], "describe_training_job", TrainingJobName=name)
    return job["TrainingJobArn"], job["ResourceConfig"].get("InstanceType", "")


# -------------------------------------------------------------------------------------------------------------- hours
def _stats(device: Device) -> tuple[tuple[str, str, str], ...]:
    return _AGENT_STATS if device.namespace == AGENT else _SAGEMAKER_STATS


def _hours(apis: Apis, region: str, devices: Sequence[Device], month: Window, account: str) -> Iterator[dict[str, Any]]:
    """Rows of COLUMNS, one a device and hour in which it was seen."""
    cloudwatch = apis("cloudwatch", region)
    here = [device for device in devices if device.region == region]
    wanted = [(device, *stat) for device in here for stat in _stats(device)]
    values: dict[tuple[Device, datetime], dict[str, float]] = {}
    start, end = (datetime.combine(day, time(), UTC) for day in (month.start, month.end))
    for first in range(0, len(wanted), _QUERIES):
        some = wanted[first : first + _QUERIES]
        queries = [_query(f"q{n}", device, metric, stat) for n, (device, metric, stat, _) in enumerate(some)]
        for page in cloudwatch.pages(
            GET, "get_metric_data", MetricDataQueries=queries, StartTime=start, EndTime=end, ScanBy="TimestampAscending"
        ):
            for result in page["MetricDataResults"]:
                device, _, _, column = some[int(result["Id"][1:])]
                for moment, value in zip(result["Timestamps"], result["Values"], strict=True):
                    values.setdefault((device, moment.astimezone(UTC)), {})[column] = value
    for (device, hour), seen in values.items():
        if "utilisation_mean" in seen:
            yield _row(device, hour, seen, account)


def _query(name: str, device: Device, metric: str, stat: str) -> dict[str, Any]:
    dimensions = [{"Name": key, "Value": value} for key, value in device.dimensions]
    return {
        "Id": name,
        "MetricStat": {
            "Metric": {"Namespace": device.namespace, "MetricName": metric, "Dimensions": dimensions},
            "Period": 3600,
            "Stat": stat,
        },
        "ReturnData": True,
    }


def _row(device: Device, hour: datetime, seen: Mapping[str, float], account: str) -> dict[str, Any]:
    total = seen.get("memory_total") if device.namespace == AGENT else float(device.scale)

    def share(column: str, whole: float | None) -> float | None:
        return seen[column] / whole if column in seen and whole else None

    samples = seen.get("samples")
    return {
        "hour": hour,
        "provider": "AWS",
        "account_id": account,
        "region": device.region,
        "resource_id": device.resource_id,
        "resource_name": device.resource_name,
        "device": device.device,
        "group": device.group,
        "instance_type": device.instance_type,
        "accelerator": device.accelerator,
        "accelerator_count": device.count,
        **{f"{name}_ratio": share(name, float(device.scale)) for name in _UTILISATION if name != "samples"},
        "memory_mean_ratio": share("memory_mean", total),
        "memory_max_ratio": share("memory_max", total),
        "power_w": seen.get("power_w"),
        "samples": None if samples is None else int(samples),
    }


# ------------------------------------------------------------------------------------------------------------ on disk
def _is_final(month: Window, state: Mapping[str, object], asked: str) -> bool:
    pulled = state.get(month.name)
    if not isinstance(pulled, dict) or pulled.get("asked") != f"{month.start}/{month.end} {asked}":
        return False
    return date.fromisoformat(str(pulled["pulled_on"])) >= month.end + timedelta(days=SETTLED_DAYS)


def _write(path: Path, hours: pl.DataFrame) -> None:
    """The new hours and those of before that CloudWatch no longer tells."""
    if path.exists():
        before = pl.read_csv(path, schema_overrides={**COLUMNS, "hour": pl.String}).with_columns(
            pl.col("hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC")
        )
        hours = pl.concat([hours, before.select(*COLUMNS).join(hours, on=_KEY, how="anti")])
    new = path.with_name(f".{path.name}.new")
    hours.sort(_KEY).write_csv(new, datetime_format="%Y-%m-%dT%H:%M:%SZ")
    new.replace(path)
