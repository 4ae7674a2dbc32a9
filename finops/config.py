"""finops.toml as frozen records; a key that is not known is an error, and without a file the defaults apply."""

import datetime as dt
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from finops.errors import ConfigError
from finops.schema import SHORT_NAMES

M = TypeVar("M", bound=BaseModel)

FILE_NAME = "finops.toml"
_CLOUDS = ("aws", "azure", "gcp")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Company(_Record):
    """Who this home belongs to."""

    name: str = "Our company"
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "USD"
    countries: tuple[str, ...] = ()
    """ISO 3166 codes of countries or parts of them (US, DE-BY); their public holidays are known to the forecasts."""

    @field_validator("countries")
    @classmethod
    def _have_holidays(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        from holidays import list_supported_countries  # only homes that name a country need it

        known = list_supported_countries() if codes else {}
        for code in codes:
            country, _, part = code.partition("-")
            if len(country) != len("US") or country not in known or (part and part not in known[country]):
                raise ValueError(f"the public holidays of {code} are not known; codes are like US or DE-BY")
        return codes


class LakeLocation(_Record):
    """Where the Delta lake is; by default the folder `lake` of the home."""

    uri: str | None = None
    storage_options: dict[str, str] = {}


class Key(_Record):
    """Where a secret is: an environment variable, a file, or an entry `service/user` of the system's keyring."""

    env: str | None = None
    file: Path | None = None
    keyring: Annotated[str, Field(pattern="^[^/]+/.+$")] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "Key":
        if sum(place is not None for place in (self.env, self.file, self.keyring)) != 1:
            raise ValueError("name one of env, file and keyring")
        return self


class Pull(_Record):
    """How a source is pulled from its provider's API into the folder `path`, month by month.

    since: the first day. restated_days: so many days after its end a month is pulled again, because late usage and
    corrections still arrive. url: the API's address where it is not the provider's own.
    """

    since: dt.date
    key: Key
    url: str | None = None
    restated_days: Annotated[int, Field(ge=0, le=366)] = 7


class AwsIdentity(_Record):
    """As whom AWS is read.

    profile: one of AWS's own config files; without it the SDK's usual places are searched. role_arn, external_id: a
    role that is assumed. region: the bucket's, where the SDK does not find it by itself.
    """

    profile: str | None = None
    role_arn: Annotated[str, Field(pattern="^arn:[a-z-]+:iam::[0-9]{12}:role/.+$")] | None = None
    external_id: str | None = None
    region: str | None = None
    endpoint_url: str | None = None


class Aws(AwsIdentity):
    """What is fetched from AWS.

    export: a data export, or a legacy Cost and Usage Report, as `s3://bucket/prefix/name`. since: a day of the first
    month that is fetched. cost_explorer: where there is no export its charges, of all accounts together or of each of
    the `accounts`; beside an export its monthly `totals`, which invoices are compared with. max_requests: of Cost
    Explorer in one run. gpu_regions: where CloudWatch is asked how busy accelerators were.
    """

    export: Annotated[str, Field(pattern="^s3://[A-Za-z0-9._-]+(/[^/]+)+/?$")] = ""
    since: dt.date
    cost_explorer: Literal["charges", "accounts", "totals"] | None = None
    max_requests: Annotated[int, Field(ge=1)] = 100
    gpu_regions: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_one_bill(self) -> "Aws":
        if self.export and self.cost_explorer in ("charges", "accounts"):
            raise ValueError('export and cost_explorer both are the bill; beside an export it may be "totals"')
        if not self.export and self.cost_explorer == "totals":
            raise ValueError("cost_explorer totals need an export beside them")
        if bool(self.export or self.cost_explorer) == bool(self.gpu_regions):
            raise ValueError("name export or cost_explorer for a bill, or gpu_regions for how busy accelerators were")
        return self

    @property
    def bucket(self) -> str:
        """The bucket that the export is delivered to."""
        return self.export.removeprefix("s3://").partition("/")[0]

    @property
    def prefix(self) -> str:
        """What the keys of all its objects begin with, up to the slash after its name."""
        return self.export.removeprefix("s3://").partition("/")[2].rstrip("/") + "/"

    @property
    def name(self) -> str:
        """The export's or report's name."""
        return self.prefix.rstrip("/").rpartition("/")[2]


class Azure(_Record):
    """What is fetched from Azure, and as whom.

    tenant_id, client_id, client_secret: an app registration; without a secret the SDK's usual places are searched
    (environment, managed identity, az login). export: a cost export, as
    `https://account.blob.core.windows.net/container/directory/export-name`. export_key: a SAS token or account key,
    where the container is not read by the identity. scope: of Cost Management, a subscription, resource group, billing
    account or billing profile by its resource id. cost_management: where there is no export its charges; beside an
    export its monthly `totals`, which invoices are compared with. invoices: of the billing account. since: a day of the
    first month that is fetched. url, login_url: where they are not those of the public cloud.
    """

    tenant_id: str | None = None
    client_id: str | None = None
    client_secret: Key | None = None
    export: Annotated[str, Field(pattern="^https?://[^/]+(/[^/]+){2,}/?$")] | None = None
    export_key: Key | None = None
    scope: Annotated[str, Field(pattern="^/(subscriptions|providers/Microsoft.(Billing|Management))/.+$")] | None = None
    cost_management: Literal["charges", "totals"] | None = None
    invoices: bool = False
    since: dt.date
    url: str = "https://management.azure.com"
    login_url: Annotated[str, Field(pattern="^https://")] = "https://login.microsoftonline.com"

    @model_validator(mode="after")
    def _is_one_bill(self) -> "Azure":
        if self.export and self.cost_management == "charges":
            raise ValueError('export and cost_management both are the bill; beside an export it may be "totals"')
        if not self.export and self.cost_management != "charges":
            raise ValueError('name an export, or cost_management = "charges"')
        if (self.cost_management or self.invoices) and not self.scope:
            raise ValueError("cost_management and invoices need a scope")
        return self


_BigQueryTable = Annotated[str, Field(pattern=r"^[a-z0-9.:-]+\.\w+\.\w+$")]


class Gcp(_Record):
    """What is fetched from Google Cloud, and as whom.

    credentials: a service account's key file; without it the SDK's usual places are searched. table: the billing export
    in BigQuery, as `project.dataset.table`. since: a day of the first invoice month that is fetched. job_project: which
    project pays for the queries, by default the table's. max_gib_billed: of one query; a query that would read more is
    refused by BigQuery and costs nothing. prices_table: the pricing export, for prices of the company's own contract.
    url: where it is not Google's own.
    """

    credentials: Path | None = None
    table: _BigQueryTable
    since: dt.date
    job_project: str | None = None
    max_gib_billed: Annotated[int, Field(ge=1)] = 1024
    prices_table: _BigQueryTable | None = None
    url: str | None = None

    @property
    def account(self) -> str | None:
        """The billing account that the export's table is named after, such as 01AB23-C45D67-E89F01."""
        match = re.search(r"_([0-9A-F]{6})_([0-9A-F]{6})_([0-9A-F]{6})$", self.table, re.IGNORECASE)
        return "-".join(match.groups()).upper() if match else None


class Splits(_Record):
    """The money that a derived source explains: that of a billed source, or of one of its keys only."""

    source: str
    key: str | None = None


class Source(_Record):
    """One bill, ledger or log that is ingested whole, period by period.

    path: where its files are; fetched ones by default in `raw/`. ledger_role: by default what the connector's data is.
    splits: of a derived source, whose charges its usage divides among teams and use cases.
    """

    id: Annotated[str, Field(pattern="^[A-Za-z0-9_.-]+$")]
    connector: str
    path: Path | None = None
    pull: Pull | None = None
    aws: Aws | None = None
    azure: Azure | None = None
    gcp: Gcp | None = None
    ledger_role: Literal["billed", "derived"] | None = None
    splits: Splits | None = None
    options: dict[str, str] = {}

    @model_validator(mode="after")
    def _has_files(self) -> "Source":
        fetched = [name for name in ("pull", *_CLOUDS) if getattr(self, name) is not None]
        if self.path is None and not fetched:
            raise ValueError(f"needs a path, pull or one of {', '.join(_CLOUDS)}")
        if len(fetched) > 1:
            raise ValueError(f"has {' and '.join(fetched)}, but is fetched from one place")
        reader = "gpu_usage" if self.aws is not None and self.aws.gpu_regions else fetched[0] if fetched else None
        if fetched and fetched[0] != "pull" and self.connector != reader:
            raise ValueError(f'has {fetched[0]}, which needs connector = "{reader}"')
        return self

    @property
    def is_fetched(self) -> bool:
        """Whether its files are brought by every load, from an API or a bucket."""
        return any(getattr(self, name) is not None for name in ("pull", *_CLOUDS))


class FinanceTables(_Record):
    """CSV files that finance keeps."""

    budgets: Path | None = None
    invoices: Path | None = None
    invoice_lines: Path | None = None
    fx_rates: Path | None = None
    business_metrics: Path | None = None
    mappings: Path | None = None


class TagKeys(_Record):
    """Which tag keys say who owns a charge; the first key that has a value wins, whatever its case."""

    team: tuple[str, ...] = ("team", "owner-team", "squad")
    use_case: tuple[str, ...] = ("use_case", "use-case", "application", "app")
    cost_center: tuple[str, ...] = ("cost_center", "costcenter", "cost-center")
    environment: tuple[str, ...] = ("environment", "env", "stage")
    purpose: tuple[str, ...] = ("purpose", "workload", "ai-purpose")


class Classification(_Record):
    """Rule files that come before the shipped rules."""

    rules: tuple[Path, ...] = ()


class Alerting(_Record):
    """Thresholds of the alerts, as ratios of the budget and as money in the company's currency."""

    warn_ratio: Annotated[float, Field(gt=0)] = 0.05
    breach_ratio: Annotated[float, Field(gt=0)] = 0.10
    unowned_amount: Annotated[float, Field(ge=0)] = 1_000.0
    idle_amount: Annotated[float, Field(ge=0)] = 1_000.0


class Prices(_Record):
    """A company's own prices, as CSV files, which win over the shipped ones.

    tokens: contracted prices of models. offers, commitments: what accelerators rent for, on demand and committed.
    """

    tokens: tuple[Path, ...] = ()
    offers: tuple[Path, ...] = ()
    commitments: tuple[Path, ...] = ()


class Forecasting(_Record):
    """What is forecast when the company is run."""

    horizon_days: Annotated[int, Field(ge=1, le=730)] = 90
    groupings: tuple[tuple[str, ...], ...] = (("purpose",), ("driver",), ("provider",), ("team",))
    origins: Annotated[int, Field(ge=1, le=24)] = 3
    cost: Literal["billed", "effective", "contracted", "list"] = "effective"


class Event(_Record):
    """Something with a date that moves cost; forecasts and anomalies know it.

    ratio: cost after over cost before, of what `where` names. amount: what a day costs more, in the company's currency,
    of a launch or a planned run. end: the last day. announced: since when it is known; no backtest uses it before.
    """

    date: dt.date
    end: dt.date | None = None
    kind: Literal["launch", "price_change", "commitment", "incident", "planned_run", "other"]
    name: str
    where: dict[str, str] = {}
    ratio: Annotated[float, Field(gt=0, le=100)] | None = None
    amount: Annotated[float, Field(allow_inf_nan=False)] | None = None
    announced: dt.date | None = None

    @model_validator(mode="after")
    def _agrees(self) -> "Event":
        if self.end is not None and self.end < self.date:
            raise ValueError(f"it ends on {self.end}, before it begins on {self.date}")
        unknown = [word for word in self.where if word not in SHORT_NAMES]
        if unknown:
            raise ValueError(f"where has no dimension {', '.join(unknown)}; one of {', '.join(SHORT_NAMES)}")
        if self.ratio is not None and self.amount is not None:
            raise ValueError("it has a ratio and an amount; give one of them")
        if self.ratio is not None and self.kind in ("incident", "planned_run"):
            raise ValueError(f"a ratio says nothing of the kind {self.kind}")
        if self.amount is not None and self.kind in ("incident", "price_change", "commitment"):
            raise ValueError(f"an amount says nothing of the kind {self.kind}; give a ratio, or nothing")
        return self


class Optimization(_Record):
    """Scenarios that every run solves, and how hard it tries."""

    scenarios: tuple[Path, ...] = ()
    time_limit_s: Annotated[float, Field(gt=0)] = 60
    gap_ratio: Annotated[float, Field(ge=0)] = 0.005


class Execution(_Record):
    """Where work fans out to: local processes, or a Dask scheduler."""

    workers: Annotated[int, Field(ge=1)] | None = None
    scheduler: str | None = None


class Config(_Record):
    """A home and everything that finops.toml says about it; relative paths are taken from the home."""

    home: Path
    company: Company = Company()
    lake: LakeLocation = LakeLocation()
    sources: tuple[Source, ...] = ()
    tables: FinanceTables = FinanceTables()
    tags: TagKeys = TagKeys()
    classification: Classification = Classification()
    prices: Prices = Prices()
    alerts: Alerting = Alerting()
    forecast: Forecasting = Forecasting()
    events: tuple[Event, ...] = ()
    optimize: Optimization = Optimization()
    execution: Execution = Execution()

    @property
    def raw(self) -> Path:
        """Where fetched and demo exports lie."""
        return self.home / "raw"

    @property
    def outputs(self) -> Path:
        """Where exports and reports are written."""
        return self.home / "outputs"

    @property
    def cache(self) -> Path:
        """What can be made again: it may be deleted at any time."""
        return self.home / "cache"

    @property
    def scenarios(self) -> Path:
        """Where scenario files are kept."""
        return self.home / "scenarios"

    def files_of(self, source: Source) -> Path:
        """Where the files of a source lie."""
        return self.path(source.path) if source.path else self.raw / source.id

    def path(self, path: Path) -> Path:
        """A path of the config, taken from the home when it is relative."""
        return path if path.is_absolute() else self.home / path


def load_config(home: Path) -> Config:
    """The config of a home; the defaults where it has no finops.toml.

    Raises ConfigError for a file that is no TOML, a key that is not known, or a value of the wrong type.
    """
    file = home / FILE_NAME
    if not file.exists():
        return Config(home=home)
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{file} is not valid TOML: {error}",
            expected="TOML 1.0 in UTF-8",
            next_step="correct that line; `finops init` in an empty home shows a commented example",
        ) from error
    return validated(Config, {"home": home, **content}, file)


def validated(model: type[M], content: dict[str, Any], file: Path) -> M:
    """The content of a TOML file as a record; raises ConfigError that lists every wrong key at once."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc']))}: {_reason(e)}" for e in error.errors()]
        raise ConfigError(
            f"{file} has {len(problems)} wrong setting(s): " + "; ".join(problems),
            expected=f"the settings of {model.__name__}: " + ", ".join(k for k in model.model_fields if k != "home"),
            next_step="correct or remove them",
        ) from error


def _reason(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "this key is not known"
    return f"{error['msg']} (found {error['input']!r})" if error["type"] != "missing" else "this key is missing"
