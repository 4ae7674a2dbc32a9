"""The demo company: who it is, what it runs and where, what it has committed to. No provider's format is known here.

Aldermoor is an invented online marketplace with its own payments arm: six teams, four homes for its workloads (AWS,
Azure, Google Cloud, its own servers). Amounts per day are those of the last day; earlier days follow from growth,
rhythm and noise.
"""

import uuid
from calendar import monthrange
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final, Literal

from finops.errors import CallError

NAME: Final = "Aldermoor"
TEAMS: Final = ("Support", "Search", "Research", "Platform", "Risk", "Insights")
COST_CENTERS: Final = {
    "Support": "4100", "Search": "4200", "Research": "4300", "Platform": "4400", "Risk": "4500", "Insights": "4600",
}  # fmt: skip

EXPORT_LAG_DAYS: Final = 2
"""Days before today that the newest export does not show yet."""
SHORTEST_MONTHS, LONGEST_MONTHS = 3, 60


@dataclass(frozen=True)
class Account:
    """An account, subscription or project; team and purpose are what finance's mapping says of it, if anything."""

    key: str
    source: Literal["aws", "azure", "gcp"]
    account_id: str
    name: str
    team: str | None
    environment: str | None = None
    purpose: str | None = None


def number(name: str) -> str:
    """The GUID of something of that name, always the same."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.aldermoor.example"))


ACCOUNTS: Final = (
    Account("billing", "aws", "018302119400", "aldermoor-billing", "Platform", "prod"),
    Account("support", "aws", "018302119401", "support-prod", "Support", "prod"),
    Account("search", "aws", "204417730962", "search-prod", "Search", "prod"),
    Account("research", "aws", "337905512844", "research", "Research", "dev"),
    Account("risk", "aws", "409928837105", "risk-prod", "Risk", "prod"),
    Account("platform", "aws", "512266094378", "platform-prod", "Platform", "prod"),
    Account("platform-dev", "aws", "620053918417", "platform-dev", "Platform", "dev"),
    Account("sandbox", "aws", "771940026583", "innovation-sandbox-7", None),
    Account("ai-services", "azure", number("ai-services"), "ai-services-prod", "Platform", "prod"),
    Account("azure-risk", "azure", number("risk"), "risk-prod", "Risk", "prod"),
    Account("azure-research", "azure", number("research"), "research-h100", "Research", "prod", "training"),
    Account("azure-it", "azure", number("it"), "corporate-it", "Platform", "prod"),
    Account("insights-models", "gcp", "aldermoor-insights-models", "Insights models", "Insights", "prod"),
    Account("insights-lab", "gcp", "aldermoor-insights-lab", "Insights lab", "Insights", "dev"),
    Account("insights-data", "gcp", "aldermoor-insights-data", "Insights data", "Insights", "prod"),
)

Rhythm = Literal["flat", "consumer", "office", "runs"]


@dataclass(frozen=True)
class Workload:
    """Something that runs every day and is metered.

    amounts: SKU -> instances running (fleet) or consumed units a day (metered), on the last day. growth: ratio of one
    year's end to its start. since, until: days before the last day. tagged: whether its resources carry tags.
    """

    name: str
    account: str
    team: str
    use_case: str
    purpose: str | None
    amounts: dict[str, float]
    growth: float = 1.4
    rhythm: Rhythm = "flat"
    fleet: bool = False
    resources: int = 1
    noise: float = 0.04
    environment: str = "prod"
    since: int | None = None
    until: int | None = None
    tagged: bool = True
    spot: bool = False


WORKLOADS: Final = (
    # ------------------------------------------------------------------------------------------------ AWS: AI
    Workload("support-assistant", "support", "Support", "support-assistant", "inference",
             {"aws.sonnet.in": 320_000, "aws.sonnet.out": 62_000, "aws.sonnet.read": 580_000,
              "aws.sonnet.write": 43_000},
             growth=1.15, rhythm="consumer", resources=3, noise=0.02),
    Workload("support-summaries", "support", "Support", "ticket-summaries", "inference",
             {"aws.novalite.in": 900_000, "aws.novalite.out": 130_000}, rhythm="office", resources=2),
    Workload("support-voice", "support", "Support", "voice-transcription", "inference", {"aws.sm.g5": 6},
             fleet=True, rhythm="consumer"),
    Workload("search-ranking", "search", "Search", "search-ranking", "inference", {"aws.g6e": 19.5}, fleet=True,
             growth=1.5, rhythm="consumer"),
    Workload("search-embeddings", "search", "Search", "search-embeddings", "inference", {"aws.g5": 13}, fleet=True,
             growth=1.5, rhythm="consumer"),
    Workload("search-rewrite", "search", "Search", "query-rewrite", "inference",
             {"aws.novapro.in": 310_000, "aws.novapro.out": 52_000}, growth=1.5, rhythm="consumer", resources=2),
    Workload("search-answers", "search", "Search", "search-answers", "inference",
             {"aws.haiku.in": 310, "aws.haiku.out": 62, "aws.haiku.read": 420}, growth=1.9, rhythm="consumer",
             resources=2, since=210),
    Workload("pretraining", "research", "Research", "ranking-model", "training", {"aws.p5": 2.9}, fleet=True,
             growth=1.3, rhythm="runs", environment="dev"),
    Workload("pretraining-burst", "research", "Research", "ranking-model", "training", {"aws.p5": 6}, fleet=True,
             growth=1.0, noise=0.01, environment="dev", since=118, until=98),
    Workload("a100-training", "research", "Research", "multilingual-model", "training", {"aws.p4d": 2.25}, fleet=True,
             growth=1.1, noise=0.08, environment="dev"),
    Workload("fine-tuning", "research", "Research", "domain-tuning", "fine_tuning", {"aws.sm.p4d": 1.3}, fleet=True,
             growth=1.3, rhythm="runs", environment="dev"),
    Workload("evaluation", "research", "Research", "model-evaluation", "development", {"aws.g5.12x": 3}, fleet=True,
             rhythm="office", environment="dev"),
    Workload("notebooks", "research", "Research", "notebooks", "development", {"aws.sm.notebook": 22}, fleet=True,
             rhythm="office", environment="dev"),
    Workload("training-data", "research", "Research", "training-data", "training",
             {"aws.s3": 760_000, "aws.s3.put": 21_000_000, "aws.s3.get": 340_000_000}, growth=1.7, resources=8,
             environment="dev"),
    Workload("fraud-scoring", "risk", "Risk", "fraud-scoring", "inference", {"aws.sm.g5.eu": 9}, fleet=True,
             rhythm="consumer"),
    Workload("document-checks", "risk", "Risk", "document-checks", "inference",
             {"aws.novapro.in": 120_000, "aws.novapro.out": 14_000}, rhythm="office", resources=2),
    Workload("identity-images", "risk", "Risk", "identity-checks", "inference", {"aws.g6e.eu": 5}, fleet=True,
             rhythm="consumer"),
    Workload("sandbox-gpus", "sandbox", "", "", None, {"aws.g5.12x": 3.2}, fleet=True, growth=3.0, since=63,
             tagged=False),
    Workload("sandbox-models", "sandbox", "", "", None, {"aws.sonnet.in": 31_000, "aws.sonnet.out": 7_500},
             growth=3.0, rhythm="office", since=61, tagged=False),
    # ------------------------------------------------------------------------------------------------ AWS: the rest
    Workload("marketplace", "platform", "Platform", "marketplace", None, {"aws.m7i": 36}, fleet=True, growth=1.25,
             rhythm="consumer"),
    Workload("search-index", "search", "Search", "search-index", None, {"aws.c7i": 30}, fleet=True, growth=1.4),
    Workload("payments", "risk", "Risk", "payments", None, {"aws.r7i.eu": 16}, fleet=True, growth=1.2),
    Workload("build-farm", "platform-dev", "Platform", "build-farm", None, {"aws.c7i": 18}, fleet=True, growth=1.3,
             rhythm="office", environment="dev"),
    Workload("volumes", "platform", "Platform", "marketplace", None, {"aws.ebs": 118_000}, growth=1.3, resources=30,
             noise=0.01),
    Workload("legacy-volumes", "platform-dev", "Platform", "build-farm", None, {"aws.ebs": 26_000}, growth=1.1,
             resources=14, noise=0.01, environment="dev", tagged=False),
    Workload("media", "platform", "Platform", "marketplace", None,
             {"aws.s3": 590_000, "aws.s3.put": 90_000_000, "aws.s3.get": 2_100_000_000}, growth=1.35, resources=10),
    Workload("support-archive", "support", "Support", "support-archive", None,
             {"aws.s3": 60_000, "aws.s3.put": 2_000_000, "aws.s3.get": 31_000_000}, growth=1.3, resources=4),
    Workload("traffic", "platform", "Platform", "marketplace", None,
             {"aws.egress": 6_800, "aws.regional": 19_000, "aws.nat": 5_200}, growth=1.3, rhythm="consumer",
             resources=6),
    Workload("search-traffic", "search", "Search", "search-index", None, {"aws.egress": 1_300, "aws.regional": 6_500},
             growth=1.4, rhythm="consumer", resources=3),
    Workload("telemetry", "platform", "Platform", "observability", None, {"aws.cw.logs": 620, "aws.cw.metrics": 14_500},
             growth=1.3, resources=8),
    Workload("databases", "platform", "Platform", "marketplace", None, {"aws.rds": 13}, fleet=True, growth=1.15),
    Workload("clusters", "platform", "Platform", "marketplace", None, {"aws.eks": 6}, fleet=True, growth=1.1),
    Workload("catalogue-search", "search", "Search", "search-index", None, {"aws.opensearch": 18}, fleet=True,
             growth=1.25),
    # ------------------------------------------------------------------------------------------------ Azure
    Workload("document-llm", "azure-risk", "Risk", "contract-review", "inference",
             {"azure.gpt41.in": 290_000_000, "azure.gpt41.out": 62_000_000}, growth=1.3, rhythm="office", resources=3,
             noise=0.03),
    Workload("code-assistant", "ai-services", "Platform", "code-assistant", "inference",
             {"azure.gpt5codex.in": 420_000_000, "azure.gpt5codex.read": 1_400_000_000,
              "azure.gpt5codex.out": 55_000_000},
             growth=1.8, rhythm="office", resources=3),
    Workload("search-vectors", "ai-services", "Search", "search-embeddings", "inference",
             {"azure.embed3": 900_000_000}, growth=1.3, rhythm="consumer", resources=2),
    Workload("h100-training", "azure-research", "Research", "multilingual-model", "training", {"azure.nd_h100": 1.97},
             fleet=True, growth=1.0, noise=0.005, until=75),
    Workload("batch-evaluation", "azure-research", "Research", "model-evaluation", "development",
             {"azure.nc_a100.spot": 9}, fleet=True, rhythm="runs", spot=True),
    Workload("risk-models", "azure-risk", "Risk", "credit-risk", "training", {"azure.nc_a100": 7}, fleet=True,
             growth=1.3, rhythm="office"),
    Workload("intranet", "azure-it", "Platform", "intranet", None, {"azure.d8s": 30}, fleet=True, growth=1.1,
             rhythm="office"),
    Workload("case-management", "azure-risk", "Risk", "case-management", None, {"azure.d8s": 18}, fleet=True,
             growth=1.2),
    Workload("office-disks", "azure-it", "Platform", "intranet", None, {"azure.disk": 110}, growth=1.1, resources=22,
             noise=0.005),
    Workload("case-files", "azure-risk", "Risk", "case-management", None,
             {"azure.blob": 310_000, "azure.blob.write": 24_000_000}, growth=1.4, resources=10),
    Workload("office-network", "azure-it", "Platform", "intranet", None, {"azure.bandwidth": 2_600}, growth=1.2,
             rhythm="office", resources=6),
    Workload("case-database", "azure-risk", "Risk", "case-management", None, {"azure.sql": 2_300}, growth=1.1,
             resources=4, noise=0.01),
    Workload("office-logs", "azure-it", "Platform", "observability", None, {"azure.logs": 145}, growth=1.3,
             resources=4),
    Workload("assistant-clusters", "ai-services", "Platform", "code-assistant", None, {"azure.aks": 3}, fleet=True,
             growth=1.0),
    # ------------------------------------------------------------------------------------------------ Google Cloud
    Workload("product-vision", "insights-models", "Insights", "product-vision", "inference", {"gcp.a2": 5.4},
             fleet=True, growth=1.2, rhythm="consumer"),
    Workload("listing-tags", "insights-models", "Insights", "listing-tags", "inference", {"gcp.g2.spot": 1.8},
             fleet=True, rhythm="consumer", spot=True),
    Workload("catalogue-enrichment", "insights-models", "Insights", "catalogue-enrichment", "inference",
             {"gcp.flash.in": 620_000_000, "gcp.flash.out": 74_000_000, "gcp.flash.read": 900_000_000}, growth=1.5,
             rhythm="consumer", resources=2),
    Workload("market-briefings", "insights-models", "Insights", "market-briefings", "inference",
             {"gcp.pro.in": 62_000_000, "gcp.pro.out": 9_000_000}, rhythm="office"),
    Workload("demand-forecasts", "insights-lab", "Insights", "demand-forecasts", "training", {"gcp.tpu.v5e": 520},
             growth=1.3, rhythm="runs", resources=4, environment="dev"),
    Workload("vision-tuning", "insights-lab", "Insights", "product-vision", "fine_tuning", {"gcp.vertex.a100": 60},
             growth=1.2, rhythm="runs", environment="dev"),
    Workload("feature-store", "insights-data", "Insights", "feature-store", None, {"gcp.bq": 26}, growth=1.4,
             rhythm="office", resources=2),
    Workload("event-lake", "insights-data", "Insights", "feature-store", None, {"gcp.gcs": 210_000}, growth=1.5,
             resources=3),
    Workload("pipelines", "insights-data", "Insights", "feature-store", None, {"gcp.n2": 3}, fleet=True, growth=1.2),
    Workload("insights-traffic", "insights-data", "Insights", "feature-store", None, {"gcp.egress": 700}, growth=1.2,
             rhythm="office"),
)  # fmt: skip


@dataclass(frozen=True)
class Commitment:
    """A commitment of one year that covers some workloads up to a fixed amount of money an hour, used or not.

    per_hour: USD. start: months before the open month. upfront_ratio: the part paid on the first day.
    """

    key: str
    account: str
    kind: Literal["Reserved Instance", "Savings Plan", "Reservation", "Committed Use Discount"]
    name: str
    covers: tuple[str, ...]
    per_hour: float
    start: int
    sku: str
    upfront_ratio: float = 0.0
    units: int | None = None
    """Instances, or cores, GiB or accelerators of Google Cloud, for a commitment to usage; None for one to spend."""

    @property
    def daily(self) -> bool:
        """Whether its fee is billed day by day, for one SKU of what it covers; Google's way."""
        return self.kind == "Committed Use Discount"

    @property
    def category(self) -> str:
        """What FOCUS calls a commitment that is measured in money or in usage."""
        return "Spend" if self.units is None else "Usage"


_ORDINARY: Final = ("marketplace", "search-index", "payments", "build-farm")
_PLAN: Final = "Compute Savings Plan 1yr partial upfront"
_P4D: Final = "p4d.24xlarge 1yr no upfront"
_CUD: Final = "Committed Use Discount"
COMMITMENTS: Final = (
    Commitment("sp-1", "billing", "Savings Plan", _PLAN, _ORDINARY, 70.0, 14, "aws.savings_plan", 0.5),
    Commitment("sp-2", "billing", "Savings Plan", _PLAN, _ORDINARY, 92.0, 2, "aws.savings_plan", 0.5),
    Commitment("ri-1", "billing", "Reserved Instance", _P4D, ("a100-training",), 27.842188, 15, "aws.p4d", units=2),
    Commitment("ri-2", "billing", "Reserved Instance", _P4D, ("a100-training",), 27.842188, 3, "aws.p4d", units=2),
    Commitment("h100", "azure-research", "Reservation", "h100-training-group", ("h100-training",), 125.8496, 10,
               "azure.nd_h100", units=2),
    Commitment("cud-gpu", "insights-models", _CUD, "A100 1 year", ("product-vision",), 9.24181, 9, "gcp.a2.gpu",
               units=5),
    Commitment("cud-core", "insights-models", _CUD, "A2 cores 1 year", ("product-vision",), 1.1949, 9, "gcp.a2.core",
               units=60),
    Commitment("cud-ram", "insights-models", _CUD, "A2 memory 1 year", ("product-vision",), 1.134325, 9, "gcp.a2.ram",
               units=425),
)  # fmt: skip
"""Hourly amounts of commitments to usage are units x the committed price of their SKU."""


@dataclass(frozen=True)
class Calendar:
    """The days that the exports show: from the first of a month to two days before today; the last month is open."""

    start: date
    end: date
    today: date
    months: tuple[date, ...] = field(default=())
    """First days of the months, the open one last."""

    @staticmethod
    def of(*, months: int, today: date) -> "Calendar":
        """The calendar of that many months, the open one included; raises CallError outside 3 to 60 months."""
        if not SHORTEST_MONTHS <= months <= LONGEST_MONTHS:
            raise CallError(
                f"a demo company of {months} months",
                expected=f"{SHORTEST_MONTHS} to {LONGEST_MONTHS} months",
                next_step="choose --months in that range; 18 shows a whole year's commitments",
            )
        end = today - timedelta(days=EXPORT_LAG_DAYS)
        firsts = tuple(month_before(end, months - 1 - i) for i in range(months))
        return Calendar(start=firsts[0], end=end, today=today, months=firsts)

    @property
    def open_month(self) -> date:
        """The first day of the month that is not invoiced yet."""
        return self.months[-1]

    @property
    def closed(self) -> tuple[date, ...]:
        """First days of the invoiced months."""
        return self.months[:-1]

    def days_before_end(self, days: int) -> date:
        """The day that many days before the last one."""
        return self.end - timedelta(days=days)


def month_before(day: date, months: int) -> date:
    """The first day of the month that lies that many months before the day's own (after it, when negative)."""
    index = day.year * 12 + day.month - 1 - months
    return date(index // 12, index % 12 + 1, 1)


def next_month(first: date) -> date:
    """The first day of the month after."""
    return month_before(first, -1)


def days_of_month(first: date) -> int:
    """How many days a month has."""
    return monthrange(first.year, first.month)[1]


def invoice_id(source: str, first: date) -> str:
    """The number of the invoice of a closed month."""
    before, after = {"aws": ("EUINDE26-", "01"), "azure": ("E0600", "K7")}.get(source, (f"{source.upper()}-", ""))
    return f"{before}{first:%Y%m}{after}"


def account(key: str) -> Account:
    """The account of that key."""
    return next(a for a in ACCOUNTS if a.key == key)


def workload(name: str) -> Workload:
    """The workload of that name."""
    return next(w for w in WORKLOADS if w.name == name)
