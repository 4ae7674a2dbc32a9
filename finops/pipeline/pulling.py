"""Sources that are fetched from a provider's API or a bucket: what the config says of them, and the fetch itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from connectors import sync
from connectors.access import Access
from connectors.aws import cost_explorer, exports, gpu_metrics
from connectors.aws.api import HOME_REGION, Api, connect
from connectors.keys import read_key
from connectors.registry import connector
from finops.config import Aws, AwsIdentity, Config, Source
from finops.errors import CallError, ConfigError

if TYPE_CHECKING:
    from connectors.gcp.session import Session

_LOCK: Final = ".apis.lock"


def pull(config: Config, source: Source, *, today: date, say: Callable[[str], None]) -> None:
    """Bring the source's folder up to today.

    Raises as `deliveries.pull`, `cost_explorer.pull` and `gpu_metrics.pull`, `cost_query.pull` and `invoices.pull`,
    `bigquery.pull`, or `sync.pull` and `read_key`, do.
    """
    folder = config.files_of(source)
    if source.aws is not None:
        if source.aws.export:
            exports.pull(source, folder, today=today, say=say)
        _ask_apis(source, source.aws, folder, today=today, say=say)
    elif source.azure is not None:
        from finops.pipeline import pulling_azure  # Azure's SDKs take long to import: only who uses them waits

        pulling_azure.pull(config, source, source.azure, folder, today=today, say=say)
    elif source.gcp is not None:
        from connectors.gcp import bigquery  # so do Google's

        bigquery.pull(source, folder, home=config.home, today=today, say=say)
    else:
        sync.pull(source, _access(source), folder, key=_key(config, source), today=today, say=say)


def _ask_apis(source: Source, aws: Aws, folder: Path, *, today: date, say: Callable[[str], None]) -> None:
    """Cost Explorer and CloudWatch, where the source names them; one process at a time, because both cost."""
    if not (aws.cost_explorer or aws.gpu_regions):
        return
    api = connect(aws, who=source.id, say=say)
    with alone(source, folder, "AWS"):
        _ask_one_by_one(source, aws, api, folder, today=today, say=say)


@contextmanager
def alone(source: Source, folder: Path, provider: str) -> Iterator[None]:
    """One process at a time in the source's folder; raises CallError while another one asks."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / _LOCK, timeout=sync.LOCK_SECONDS):
            yield
    except Timeout as error:
        raise CallError(
            f"another process has been asking {provider} for {source.id} for {sync.LOCK_SECONDS:.0f} s",
            expected="one pull of a source at a time",
            next_step="wait for the other `finops` command to end, then repeat this one",
        ) from error


def _ask_one_by_one(
    source: Source,
    aws: Aws,
    api: Callable[[str, str], Api],
    folder: Path,
    *,
    today: date,
    say: Callable[[str], None],
) -> None:
    if aws.cost_explorer:
        asked = cost_explorer.Asked(aws.since, aws.cost_explorer, aws.max_requests)
        cost_explorer.pull(api("ce", HOME_REGION), folder, asked, source_id=source.id, today=today, say=say)
    else:
        gpu_metrics.pull(
            api, folder, source_id=source.id, since=aws.since, regions=aws.gpu_regions, today=today, say=say
        )


def connect_aws(config: Config, source_id: str | None, *, say: Callable[[str], None]) -> Callable[[str, str], Api]:
    """AWS's APIs as a source of finops.toml reads them; as the first that has `aws`, else as the SDK does by itself.

    Raises ConfigError for a source that has no `aws`, SourceUnreachable where there are no credentials.
    """
    identities = {source.id: source.aws for source in config.sources if source.aws is not None}
    if source_id is not None and source_id not in identities:
        raise ConfigError(
            f"no source {source_id} with `aws` in finops.toml",
            expected=f"one of {', '.join(identities)}" if identities else "a source with `aws`",
            next_step="name one of them, or leave --source out to use the SDK's own credentials",
        )
    name = source_id or next(iter(identities), None)
    return connect(identities[name] if name else AwsIdentity(), who=name or "AWS", say=say)


def connect_gcp(config: Config, source_id: str | None, *, say: Callable[[str], None], account: str = "") -> "Session":
    """Google as a source of finops.toml reads it; as the first that has `gcp`, else as the SDK does by itself.

    account: of billing, whose budgets are read. Raises ConfigError for a source that has no `gcp`, SourceUnreachable
    where there are no credentials.
    """
    from connectors.gcp.refusals import Asked
    from connectors.gcp.session import Session

    identities = {source.id: source.gcp for source in config.sources if source.gcp is not None}
    if source_id is not None and source_id not in identities:
        raise ConfigError(
            f"no source {source_id} with `gcp` in finops.toml",
            expected=f"one of {', '.join(identities)}" if identities else "a source with `gcp`",
            next_step="name one of them, or leave --source out to use the SDK's own credentials",
        )
    name = source_id or next(iter(identities), None)
    gcp = identities[name] if name else None
    project = gcp.job_project or gcp.table.rsplit(".", 2)[0] if gcp else ""
    asked = Asked(
        name or "Google Cloud", "the login of gcloud or of this machine", project, "repeat the command", account=account
    )
    return Session(gcp, config.home, asked, say=say)


def probe(config: Config, source: Source, *, today: date) -> list[sync.Probe]:
    """Whether each endpoint or object of the source can be read; raises as `sync.probe` and `read_key` do."""
    if source.aws is not None:
        return exports.probe(source) if source.aws.export else [_probe_apis(source, source.aws)]
    if source.azure is not None:
        from finops.pipeline import pulling_azure

        return pulling_azure.probe(config, source, source.azure, today=today)
    if source.gcp is not None:
        from connectors.gcp import bigquery

        return bigquery.probe(source, home=config.home, today=today)
    return sync.probe(source, _access(source), key=_key(config, source), today=today)


def _probe_apis(source: Source, aws: Aws) -> sync.Probe:
    """Whether the credentials are good; Cost Explorer itself is not asked, because each request costs."""
    api = connect(aws, who=source.id, say=lambda _: None)("sts", HOME_REGION)
    identity = api.called("sts:GetCallerIdentity", "get_caller_identity")["Arn"]
    needs = cost_explorer.ACTION if aws.cost_explorer else "cloudwatch:ListMetrics and cloudwatch:GetMetricData"
    return sync.Probe("sts", "ok", f"AWS is asked as {identity}, which must be allowed {needs}")


def _key(config: Config, source: Source) -> str:
    assert source.pull is not None, "the caller asked"
    return read_key(source.pull.key, config.home)


def _access(source: Source) -> Access:
    access: Access | None = getattr(connector(source.connector), "ACCESS", None)
    if access is None:
        raise ConfigError(
            f"{source.id} is to be pulled, but {source.connector} has no API that is known here",
            expected="a `path` to its files",
            next_step="replace `pull` of the source by `path` in finops.toml",
        )
    return access
