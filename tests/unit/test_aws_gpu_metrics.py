"""CloudWatch's hours of accelerators are brought whole, once, and scaled to shares; what is not known is said."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import httpx
import polars as pl
import pytest
from botocore.exceptions import ClientError
from moto.cloudwatch.models import Statistics
from moto.server import ThreadedMotoServer

from connectors.aws import gpu_metrics
from connectors.aws.api import Api, connect
from finops.config import Aws, AwsIdentity, Config, Source
from finops.errors import SourceUnreachable
from finops.pipeline.ingest import ingest
from finops.store import Lake
from tests.cost_explorer_stub import QUICK

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
TODAY = NOW.date()
SINCE = TODAY - timedelta(days=2)
YESTERDAY = NOW - timedelta(days=1)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server that speaks CloudWatch and SageMaker; it is taught the 95th percentile, which it does not know."""
    known = Statistics.get_statistics_for_type

    def with_percentile(of: Statistics, stat: str) -> Any:
        values = sorted(of.metric_single_values_list)
        return values[int(0.95 * (len(values) - 1) + 0.5)] if stat == "p95" else known(of, stat)

    server = ThreadedMotoServer(port=0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Statistics, "get_statistics_for_type", with_percentile)
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


@pytest.fixture
def aws(address: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """The SDK's clients of an account of its own."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    httpx.post(f"{address}/moto-api/reset").raise_for_status()
    return lambda service: boto3.client(service, region_name="us-east-1", endpoint_url=address)


def put(client: Any, namespace: str, metric: str, value: float, when: datetime = YESTERDAY, **dimensions: str) -> None:
    """One value of a metric."""
    named = [{"Name": name, "Value": text} for name, text in dimensions.items()]
    datum = {"MetricName": metric, "Dimensions": named, "Timestamp": when, "Value": value}
    client.put_metric_data(Namespace=namespace, MetricData=[datum])


def agent(client: Any, used: float, *, index: str = "0", when: datetime = YESTERDAY) -> None:
    """What the CloudWatch agent says of one GPU at one time."""
    said = {"InstanceId": "i-1", "InstanceType": "g5.12xlarge", "index": index, "name": "NVIDIA A10G", "host": "n1"}
    put(client, "CWAgent", "nvidia_smi_utilization_gpu", used, when, **said)
    put(client, "CWAgent", "nvidia_smi_memory_used", 12_000, when, **said)
    put(client, "CWAgent", "nvidia_smi_memory_total", 24_000, when, **said)
    put(client, "CWAgent", "nvidia_smi_power_draw", 150, when, **said)


def pull(address: str, folder: Path, *, today: date = TODAY, said: list[str] | None = None) -> pl.DataFrame:
    """What a pull leaves in the folder."""
    apis = connect(AwsIdentity(endpoint_url=address), who="gpus", say=lambda _: None, tries=QUICK)
    said = [] if said is None else said
    gpu_metrics.pull(apis, folder, source_id="gpus", since=SINCE, regions=("us-east-1",), today=today, say=said.append)
    files = sorted(folder.glob("*.csv"))
    return pl.concat(pl.read_csv(f, schema_overrides={"device": pl.String}, infer_schema_length=None) for f in files)


def test_the_agent_is_read_by_the_hour(aws: Callable[[str], Any], address: str, tmp_path: Path) -> None:
    """Percentages become shares, memory is used over total, and two GPUs are two rows of one machine."""
    agent(aws("cloudwatch"), 40)
    agent(aws("cloudwatch"), 60, when=YESTERDAY + timedelta(minutes=30))
    agent(aws("cloudwatch"), 0, index="1")
    said: list[str] = []
    rows = pull(address, tmp_path, said=said).sort("device").to_dicts()
    assert [(row["device"], row["utilisation_mean_ratio"], row["utilisation_max_ratio"]) for row in rows] == [
        ("0", 0.5, 0.6),
        ("1", 0.0, 0.0),
    ]
    first = rows[0]
    assert first["hour"] == f"{YESTERDAY:%Y-%m-%dT%H:00:00Z}"
    assert (first["resource_id"], first["instance_type"], first["accelerator"]) == ("i-1", "g5.12xlarge", "A10G-24GB")
    assert (first["memory_mean_ratio"], first["power_w"], first["accelerator_count"]) == (0.5, 150.0, 1.0)
    assert "0.00 USD for 16 metrics" in said[0] or "metrics of" in said[0]


def test_sagemaker_counts_all_gpus_of_a_machine(aws: Callable[[str], Any], address: str, tmp_path: Path) -> None:
    """GPUUtilization of a machine with four GPUs goes to 400 percent; its share is a quarter of a hundredth of it."""
    sagemaker = aws("sagemaker")
    sagemaker.create_model(
        ModelName="m", ExecutionRoleArn="arn:aws:iam::123456789012:role/r", PrimaryContainer={"Image": "i"}
    )
    variant = {"VariantName": "all", "ModelName": "m", "InitialInstanceCount": 2, "InstanceType": "ml.g4dn.12xlarge"}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    arn = sagemaker.create_endpoint(EndpointName="chat", EndpointConfigName="c")["EndpointArn"]
    for metric, value in (("GPUUtilization", 300.0), ("GPUMemoryUtilization", 200.0)):
        put(aws("cloudwatch"), "/aws/sagemaker/Endpoints", metric, value, EndpointName="chat", VariantName="all")
    (row,) = pull(address, tmp_path).to_dicts()
    assert (row["utilisation_mean_ratio"], row["memory_mean_ratio"]) == (0.75, 0.5)
    assert (row["resource_id"], row["group"], row["accelerator_count"]) == (arn, "chat", 8.0)


def test_an_endpoint_that_is_gone_is_said(aws: Callable[[str], Any], address: str, tmp_path: Path) -> None:
    """A series whose machine nobody knows is left out, and named."""
    put(aws("cloudwatch"), "/aws/sagemaker/Endpoints", "GPUUtilization", 10, EndpointName="old", VariantName="all")
    said: list[str] = []
    assert pull(address, tmp_path, said=said).is_empty()
    assert "EndpointName=old" in said[0]


def test_hours_that_cloudwatch_forgot_are_kept(aws: Callable[[str], Any], address: str, tmp_path: Path) -> None:
    """When a machine is gone, a month that is asked again keeps its hours."""
    agent(aws("cloudwatch"), 40)
    before = pull(address, tmp_path)
    httpx.post(f"{address}/moto-api/reset").raise_for_status()
    agent(aws("cloudwatch"), 80, index="7")
    after = pull(address, tmp_path)
    assert set(after["device"]) == {"0", "7"}
    assert set(before["device"]) == {"0"}


def test_final_months_are_not_asked_again(aws: Callable[[str], Any], address: str, tmp_path: Path) -> None:
    """A month that was brought two days after its end stays as it is."""
    agent(aws("cloudwatch"), 40)
    later = (SINCE.replace(day=1) + timedelta(days=32)).replace(day=1) + timedelta(days=2)
    apis = connect(AwsIdentity(endpoint_url=address), who="gpus", say=lambda _: None, tries=QUICK)

    def again() -> gpu_metrics.Watched:
        return gpu_metrics.pull(
            apis, tmp_path, source_id="gpus", since=SINCE, regions=("us-east-1",), today=later, say=lambda _: None
        )

    first, second = again(), again()
    assert f"{SINCE:%Y-%m}" in first.months
    assert f"{SINCE:%Y-%m}" in second.final


def test_an_ingest_brings_and_stores_it(aws: Callable[[str], Any], address: str, config: Config, lake: Lake) -> None:
    """A source with gpu_regions ends in the lake's table, and a second run changes nothing."""
    agent(aws("cloudwatch"), 40)
    settings = Aws(since=SINCE, gpu_regions=("us-east-1",), endpoint_url=address)
    source = Source(id="gpus", connector="gpu_usage", aws=settings)
    until = TODAY + timedelta(days=1)
    ingest(config, lake, source, say=lambda _: None, until=until)
    stored = lake.scan("gpu_usage").collect()
    assert stored.select("source_id", "device", "utilisation_mean_ratio", "samples").rows() == [("gpus", "0", 0.4, 1)]
    assert not any(b.changed for b in ingest(config, lake, source, say=lambda _: None, until=until))


@pytest.mark.parametrize(
    ("operation", "permission"),
    [("list_metrics", "cloudwatch:ListMetrics"), ("get_metric_data", "cloudwatch:GetMetricData")],
)
def test_a_denied_action_is_named(tmp_path: Path, operation: str, permission: str) -> None:
    """A refusal names the permission that is missing and the policy to attach."""

    class Denied:
        def __getattr__(self, name: str) -> Callable[..., Any]:
            return lambda **_: self.answer(name)

        def answer(self, name: str) -> Any:
            if name == operation:
                raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, name)
            dimensions = [{"Name": "InstanceId", "Value": "i-1"}, {"Name": "index", "Value": "0"}]
            return {"Account": "123456789012", "Metrics": [{"Dimensions": dimensions}]}

    def apis(_service: str, _region: str) -> Api:
        return Api(Denied(), who="gpus", tries=QUICK, say=lambda _: None)

    with pytest.raises(SourceUnreachable, match=permission) as raised:
        gpu_metrics.pull(
            apis, tmp_path, source_id="gpus", since=SINCE, regions=("us-east-1",), today=TODAY, say=lambda _: None
        )
    assert permission in raised.value.next_step
    assert not list(tmp_path.glob("*.csv"))
