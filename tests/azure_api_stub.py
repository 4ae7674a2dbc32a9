"""Azure's management APIs over HTTP, strict: line items in, answers of Cost Management, Billing and a login out.

What Azure refuses is refused: an unknown api-version, more than two groups or aggregations, a period beyond a year or
that ends before it starts, dimensions that do not exist, a request without a bearer token.
"""

import itertools
import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from azure.core.credentials import AccessToken

from connectors.azure.api import Api
from connectors.http import Patience

SCOPE = "/subscriptions/00000000-0000-0000-0000-00000000000a"
QUICK = Patience(attempts=4, total_s=5, first_wait_s=0.001, longest_wait_s=0.002, jitter_s=0.001, answer_s=5)
DIMENSIONS = {
    "ChargeType", "PricingModel", "MeterCategory", "MeterSubcategory", "Meter", "SubscriptionId", "SubscriptionName",
    "PublisherType", "ResourceLocation", "ResourceGroupName", "ResourceId", "ServiceName", "BenefitId", "BenefitName",
    "ReservationId", "ReservationName", "Frequency", "InvoiceId", "MeterId",
}  # fmt: skip
"""What a query may group and filter by."""
WAITS = (
    "x-ms-ratelimit-microsoft.costmanagement-qpu-retry-after",
    "x-ms-ratelimit-microsoft.costmanagement-entity-retry-after",
    "x-ms-ratelimit-microsoft.costmanagement-tenant-retry-after",
    "x-ms-ratelimit-microsoft.costmanagement-client-retry-after",
    "Retry-After",
)


@dataclass(frozen=True)
class Item:
    """What a meter, or a charge without one, came to on one day, in both views."""

    day: date
    charge_type: str
    model: str
    category: str
    meter: str
    actual: str | None
    amortized: str | None
    quantity: str = "1"
    currency: str = "USD"

    def dimension(self, name: str) -> str:
        values = {"ChargeType": self.charge_type, "PricingModel": self.model, "MeterCategory": self.category,
                  "Meter": self.meter}  # fmt: skip
        return values[name]


class Refused(Exception):
    """An error answer: status, Azure's code and headers."""

    def __init__(self, status: int, code: str, message: str = "no", **headers: str) -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.headers = status, code, message, headers


@dataclass
class Azure:
    """A scope's costs and invoices; before: what a request meets instead of an answer, or nothing."""

    items: list[Item] = field(default_factory=list)
    invoices: list[dict[str, Any]] = field(default_factory=list)
    rows_a_page: int = 1000
    before: Callable[["Handler"], bool] = lambda _: False
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    answered: list[tuple[str, str]] = field(default_factory=list)
    """Path with query, and body, of each request that got its whole answer."""
    tokens: set[str] = field(default_factory=lambda: {"token"})
    url: str = ""

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> dict[str, Any]:
        if path.endswith("/providers/Microsoft.CostManagement/query") and method == "POST":
            return self._query(path, query, body)
        if path.startswith("/providers/Microsoft.Billing/billingAccounts/") and path.endswith("/invoices"):
            return self._invoices(path, query)
        raise Refused(404, "ResourceNotFound")

    # ------------------------------------------------------------------------------------------------------- queries
    def _query(self, path: str, query: dict[str, str], body: Any) -> dict[str, Any]:
        if query.get("api-version") != "2025-03-01":
            raise Refused(400, "InvalidApiVersionParameter")
        start, end = _period(body)
        dataset = body["dataset"]
        groups = [group["name"] for group in dataset.get("grouping", [])]
        summed = [one["name"] for one in dataset["aggregation"].values()]
        if (
            len(groups) > 2
            or len(summed) > 2
            or not {*groups} <= DIMENSIONS
            or not {*summed} <= {"Cost", "UsageQuantity"}
        ):
            raise Refused(400, "BadRequest", "invalid grouping or aggregation")
        if body["type"] not in ("ActualCost", "AmortizedCost") or dataset["granularity"] not in ("Daily", "Monthly"):
            raise Refused(400, "BadRequest", "invalid type or granularity")
        monthly = dataset["granularity"] == "Monthly"
        sums: dict[tuple[Any, ...], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
        for item in self.items:
            cost = item.actual if body["type"] == "ActualCost" else item.amortized
            if cost is None or not start <= item.day <= end or not _matches(item, dataset.get("filter")):
                continue
            when = f"{item.day:%Y-%m}-01T00:00:00" if monthly else int(f"{item.day:%Y%m%d}")
            key = (when, *(item.dimension(name) for name in groups), item.currency)
            sums[key][0] += Decimal(cost)
            sums[key][1] += Decimal(item.quantity)
        columns = [*summed, "BillingMonth" if monthly else "UsageDate", *groups, "Currency"]
        rows = [[*amounts[: len(summed)], *key] for key, amounts in sorted(sums.items(), key=lambda pair: str(pair[0]))]
        skip = int(query.get("$skiptoken", 0))
        page = rows[skip : skip + self.rows_a_page]
        more = skip + self.rows_a_page < len(rows)
        link = f"{self.url}{path}?api-version=2025-03-01&$skiptoken={skip + self.rows_a_page}" if more else None
        types = {"Cost": "Number", "UsageQuantity": "Number", "UsageDate": "Number", "BillingMonth": "Datetime"}
        return {
            "id": f"{path.strip('/')}/7c3f7f4c", "name": "7c3f7f4c", "type": "Microsoft.CostManagement/query",
            "location": None, "sku": None, "eTag": None,
            "properties": {
                "nextLink": link,
                "columns": [{"name": name, "type": types.get(name, "String")} for name in columns], "rows": page,
            },
        }  # fmt: skip

    # ------------------------------------------------------------------------------------------------------ invoices
    def _invoices(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        if query.get("api-version") != "2024-04-01":
            raise Refused(400, "InvalidApiVersionParameter")
        start, end = (date.fromisoformat(query[name]) for name in ("periodStartDate", "periodEndDate"))
        if end < start:
            raise Refused(400, "BadRequest", "periodEndDate lies before periodStartDate")
        begun = [i for i in self.invoices if start <= _day(i["properties"]["invoicePeriodStartDate"]) <= end]
        skip = int(query.get("$skip", 0))
        page = begun[skip : skip + self.rows_a_page]
        found: dict[str, Any] = {"value": page}
        if skip + self.rows_a_page < len(begun):
            kept = "&".join(f"{name}={query[name]}" for name in ("api-version", "periodStartDate", "periodEndDate"))
            found["nextLink"] = f"{self.url}{path}?{kept}&$skip={skip + self.rows_a_page}"
        return found


def _day(text: str) -> date:
    return datetime.fromisoformat(text).date()


def _period(body: Any) -> tuple[date, date]:
    try:
        start, end = (datetime.fromisoformat(body["timePeriod"][name]) for name in ("from", "to"))
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(400, "BadRequest", "timePeriod is missing") from error
    if body.get("timeframe") != "Custom" or end <= start or end - start > timedelta(days=366):
        raise Refused(400, "BadRequest", "invalid timePeriod")
    if (start.hour, start.minute, end.hour, end.minute) != (0, 0, 23, 59):
        raise Refused(400, "BadRequest", "the period does not take whole days")
    return start.date(), end.date()


def _matches(item: Item, condition: Any) -> bool:
    if condition is None:
        return True
    if set(condition) == {"and"} and len(condition["and"]) >= 2:
        return all(_matches(item, term) for term in condition["and"])
    if set(condition) != {"dimensions"} or condition["dimensions"]["name"] not in DIMENSIONS:
        raise Refused(400, "BadRequest", "invalid filter")
    if condition["dimensions"]["operator"] != "In" or not condition["dimensions"]["values"]:
        raise Refused(400, "BadRequest", "invalid operator")
    return item.dimension(condition["dimensions"]["name"]) in condition["dimensions"]["values"]


# ------------------------------------------------------------------------------------------------------------- server
class Handler(BaseHTTPRequestHandler):
    """One request to an Azure."""

    azure: Azure

    def do_GET(self) -> None:
        self._do()

    def do_POST(self) -> None:
        self._do()

    def _do(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        url = urlsplit(self.path)
        if url.path == "/identity":  # a managed identity's endpoint, as an app service has it
            expires = int(datetime.now().timestamp()) + 3600  # noqa: DTZ005
            token = {"access_token": "token", "expires_on": str(expires), "resource": "x", "token_type": "Bearer"}
            self.send(200, json.dumps(token).encode())
            return
        body = json.loads(text) if text else None
        self.azure.asked.append((self.command, self.path, body))
        if self.azure.before(self):
            return
        self.whole(text)

    def answer(self, text: str) -> bytes:
        """The whole body of the answer; raises Refused."""
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or token not in self.azure.tokens:
            raise Refused(401, "AuthenticationFailed", "the access token is missing or invalid")
        body = json.loads(text) if text else None
        return _as_json(self.azure.answer(self.command, url.path, query, body)).encode()

    def whole(self, text: str) -> None:
        try:
            content = self.answer(text)
        except Refused as error:
            self.refuse(error)
            return
        self.azure.answered.append((self.path, text))
        self.send(200, content)

    def refuse(self, error: Refused) -> None:
        body = json.dumps({"error": {"code": error.code, "message": error.message}}).encode()
        self.send(error.status, body, headers=error.headers)

    def send(
        self, status: int, content: bytes, *, length: int | None = None, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content) if length is None else length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def drop(self) -> None:
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


def _as_json(document: Any) -> str:
    """JSON with amounts as numbers to their last digit, as Azure writes them."""
    marks: dict[str, str] = {}

    def number(value: object) -> str:
        assert isinstance(value, Decimal)
        mark = f"#{len(marks)}#"
        marks[f'"{mark}"'] = f"{value:f}"
        return mark

    text = json.dumps(document, default=number)
    for mark, digits in marks.items():
        text = text.replace(mark, digits)
    return text


@contextmanager
def served(azure: Azure) -> Iterator[Azure]:
    """The Azure with its address."""
    handler = type("Bound", (Handler,), {"azure": azure})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    azure.url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield azure
    finally:
        server.shutdown()
        server.server_close()


class Token:
    """A credential whose tokens are good; get_token counts."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        self.asked.append(scopes)
        return AccessToken("token", 4_000_000_000)


def api(azure: Azure, *, patience: Patience = QUICK, said: list[str] | None = None, caller: str | None = None) -> Api:
    """The real SDK at the address, without waits."""
    say = (lambda _: None) if said is None else said.append
    return Api(azure.url, Token(), who="ours", say=say, patience=patience, caller=caller)


# ------------------------------------------------------------------------------------------------------------- faults
FAULTS = ("qpu", "entity", "tenant", "client", "plain", "500", "503", "reset", "half", "truncated", "expired", "loop")


def fault(name: str) -> Callable[[Handler], None]:
    """What a request meets instead of its answer."""

    def met(handler: Handler) -> None:
        if name in ("qpu", "entity", "tenant", "client", "plain"):
            header = next(h for h in WAITS if f"-{name}-" in h or (name == "plain" and h == "Retry-After"))
            handler.refuse(Refused(429, "429", "Too many requests. Please retry.", **{header: "0"}))
        elif name in ("500", "503"):
            handler.refuse(Refused(int(name), "InternalServerError"))
        elif name == "expired":
            handler.refuse(Refused(401, "ExpiredAuthenticationToken"))
        elif name == "reset":
            handler.drop()
        elif name == "loop":
            page = {"properties": {"nextLink": f"{handler.azure.url}{handler.path}", "columns": [], "rows": []}}
            handler.send(200, json.dumps(page).encode())
        else:
            whole = b'{"properties": {"nextLink": null, "columns": [{"na'
            handler.send(200, whole, length=2 * len(whole) if name == "half" else len(whole))
            if name == "half":
                handler.drop()

    return met


def instead(*faults: str | Refused, when: Callable[[Handler], bool] = lambda _: True) -> Callable[[Handler], bool]:
    """One of the faults meets each request that `when` names, in turn."""
    turn = itertools.cycle(faults)

    def met(handler: Handler) -> bool:
        if not when(handler):
            return False
        this = next(turn)
        if isinstance(this, Refused):
            handler.refuse(this)
        else:
            fault(this)(handler)
        return True

    return met


@dataclass
class Chance:
    """Faults by chance; every so often a request meets one of FAULTS, or a day is restated."""

    random: random.Random
    rate: float = 0.3
    restate: Callable[[], None] = lambda: None

    def __call__(self, handler: Handler) -> bool:
        if self.random.random() >= self.rate:
            return False
        if self.random.random() < 0.1:
            self.restate()
            return False
        fault(self.random.choice(FAULTS))(handler)
        return True


def folder_bytes(folder: Path) -> dict[str, bytes]:
    """Every file below a folder that lies in no hidden one, by its path."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and not any(part.startswith(".") for part in p.relative_to(folder).parent.parts)
    }
