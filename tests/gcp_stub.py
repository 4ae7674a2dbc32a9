"""Google's APIs over HTTP as the real SDKs call them: BigQuery, Cloud Catalog, Budgets, and the token endpoint.

Strict: a request that Google would refuse is refused, and what no test expects is kept in `refused`. A query is run on
rows in memory after its SQL was checked: partition filter, month, typed parameters, limit of billed bytes, job name.
"""

import json
import re
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import RLock, Thread
from typing import Any, Self
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import google.auth.credentials
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests import gcp_prices

PROJECT, DATASET, NAME = "acme-billing", "billing", "gcp_billing_export_resource_v1_01AB23_C45D67_E89F01"
TABLE = f"{PROJECT}.{DATASET}.{NAME}"
PRICES_TABLE = f"{PROJECT}.{DATASET}.{gcp_prices.NAME}"
ACCOUNT = "01AB23-C45D67-E89F01"
EMAIL = "finops@acme-billing.iam.gserviceaccount.com"
SECRET = "ya29.secret"

Row = dict[str, Any]
Shape = Mapping[str, Any]
"""Columns: a type in BigQuery's words, a mapping for a record, either in a list where it is repeated."""
PAIRS = [{"key": "STRING", "value": "STRING"}]
EXPORT: Shape = {
    "billing_account_id": "STRING",
    "service": {"id": "STRING", "description": "STRING"},
    "sku": {"id": "STRING", "description": "STRING"},
    "usage_start_time": "TIMESTAMP",
    "usage_end_time": "TIMESTAMP",
    "project": {"id": "STRING", "number": "STRING", "name": "STRING", "labels": PAIRS},
    "labels": PAIRS,
    "system_labels": PAIRS,
    "location": {"location": "STRING", "country": "STRING", "region": "STRING", "zone": "STRING"},
    "resource": {"name": "STRING", "global_name": "STRING"},
    "export_time": "TIMESTAMP",
    "cost": "FLOAT",
    "currency": "STRING",
    "currency_conversion_rate": "FLOAT",
    "usage": {"amount": "FLOAT", "unit": "STRING", "amount_in_pricing_units": "FLOAT", "pricing_unit": "STRING"},
    "credits": [{"name": "STRING", "amount": "FLOAT", "full_name": "STRING", "id": "STRING", "type": "STRING"}],
    "invoice": {"month": "STRING"},
    "cost_type": "STRING",
    "price": {"effective_price": "NUMERIC", "tier_start_amount": "NUMERIC"},
    "cost_at_list": "FLOAT",
    "cost_at_effective_price_default": "FLOAT",
}
FOCUS: Shape = {
    "BilledCost": "NUMERIC",
    "EffectiveCost": "NUMERIC",
    "BillingCurrency": "STRING",
    "BillingPeriodStart": "TIMESTAMP",
    "BillingPeriodEnd": "TIMESTAMP",
    "ChargePeriodStart": "TIMESTAMP",
    "ChargePeriodEnd": "TIMESTAMP",
    "ChargeCategory": "STRING",
    "ServiceName": "STRING",
    "SkuId": "STRING",
    "Tags": PAIRS,
    "x_Credits": [{"Name": "STRING", "Amount": "NUMERIC"}],
    "x_ExportTime": "TIMESTAMP",
}


class Refusal(Exception):
    """An answer that is an error: status, Google's reason and message."""

    def __init__(self, status: int, reason: str, message: str = "a fault of the stub") -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message

    @property
    def document(self) -> dict[str, Any]:
        detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": self.reason, "domain": "googleapis"}
        error = {"reason": self.reason, "message": self.message, "domain": "global"}
        return {
            "error": {"code": self.status, "message": self.message, "errors": [error], "details": [detail],
                      "status": "PERMISSION_DENIED" if self.status == 403 else "UNAVAILABLE"}
        }  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    """One request: who asks is checked, a fault may come before or after what it does."""

    stub: "GcpStub"
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        asked = {name: values[-1] for name, values in parse_qs(url.query).items()}
        stub = self.stub
        with stub.lock:
            faults = stub.token_faults if url.path == "/token" else stub.faults
            fault = faults.pop(0) if faults else None
            stub.asked[f"{self.command} {_kind(url.path)}"] += 1
            try:
                if fault is not None and not fault.after:
                    raise fault.refusal or ConnectionResetError
                status, answer = 200, stub.answer(self, url.path, asked, body)
                if fault is not None and fault.refusal is not None:
                    raise fault.refusal
            except Refusal as error:
                status, answer = error.status, error.document if url.path != "/token" else {"error": error.reason}
            except ConnectionResetError:
                self._reset()
                return
        content = json.dumps(answer).encode()
        if fault is not None and fault.after:
            if fault.change is None:
                self._reset()
                return
            content = fault.change(content)
        self.send(status, content, cut=fault is not None and fault.cut)

    def send(self, status: int, content: bytes, *, cut: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if cut:
            self.wfile.write(content[: len(content) // 2])
            self._reset()
            return
        self.wfile.write(content)

    def _reset(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


class Fault:
    """What goes wrong with one request: before it has an effect, or with its answer (after)."""

    def __init__(
        self,
        refusal: Refusal | None = None,
        *,
        after: bool = False,
        change: Callable[[bytes], bytes] | None = None,
        cut: bool = False,
    ) -> None:
        self.refusal, self.after, self.change, self.cut = refusal, after, change, cut


def status(code: int, reason: str, message: str = "a fault of the stub") -> Fault:
    """An error answer; nothing was done."""
    return Fault(Refusal(code, reason, message))


RESET = Fault()
LOST = Fault(after=True)
"""The connection breaks after the request was carried out."""
CUT_OFF = Fault(after=True, change=lambda content: content, cut=True)
TRUNCATED = Fault(after=True, change=lambda content: content[: len(content) // 2])
PROXY = Fault(after=True, change=lambda _: b"<html>sign in</html>")
EXPIRED = status(401, "authError", "Invalid Credentials")
FAULTS = {
    "429": status(429, "rateLimitExceeded"), "403 rate": status(403, "rateLimitExceeded"),
    "500": status(500, "backendError"), "502": status(502, "badGateway"), "503": status(503, "backendError"),
    "reset": RESET, "lost": LOST, "cut off": CUT_OFF, "truncated": TRUNCATED, "proxy": PROXY, "expired": EXPIRED,
}  # fmt: skip


class GcpStub:
    """A server with a table of a billing export and one of prices, a catalog and budgets."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.catalog: dict[str, list[dict[str, Any]]] = {}
        self.budgets: list[dict[str, Any]] = []
        self.empty()

    def empty(self) -> None:
        """As a new server: no rows, jobs, faults."""
        self.shape: Shape = EXPORT
        self.rows: list[tuple[datetime, Row]] = []
        self.prices_shape: Shape = gcp_prices.PRICES
        self.prices: list[Row] = []
        self.partition: str | None = ""
        """Empty: by ingestion time; a column; or none."""
        self.expires = False
        self.denied: set[str] = set()
        self.jobs: dict[str, dict[str, Any]] = {}
        self.results: dict[str, tuple[Shape, list[Row]]] = {}
        self.fail_jobs: list[str] = []
        self.before_query: Callable[[], object] | None = None
        self.ran: list[str] = []
        """What was billed: `months`, or the month."""
        self.faults: list[Fault | None] = []
        self.token_faults: list[Fault | None] = []
        self.asked: Counter[str] = Counter()
        self.page_rows = 1000
        self.tokens: set[str] = set()
        self.catalog_page = 5000

    def __enter__(self) -> Self:
        # the SDK also asks, in a thread of its own and at Google's own address, where a service account may be used
        self._unasked = patch.object(
            google.auth.credentials.CredentialsWithRegionalAccessBoundary,
            "_maybe_start_regional_access_boundary_refresh",
            lambda *_: None,
        )
        self._unasked.start()
        handler = type("Bound", (Handler,), {"stub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._unasked.stop()

    def key_file(self, folder: Path) -> Path:
        """A service account's key file whose tokens come from here."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "key.json"
        account = {
            "type": "service_account", "project_id": PROJECT, "private_key_id": "1", "private_key": _private_key(),
            "client_email": EMAIL, "client_id": "1", "token_uri": f"{self.url}/token",
        }  # fmt: skip
        path.write_text(json.dumps(account))
        return path

    def fail(self, *faults: Fault | None) -> None:
        """What goes wrong with the next requests, in their order."""
        self.faults = list(faults)

    def calm(self) -> None:
        """Nothing goes wrong any more."""
        self.faults, self.token_faults, self.fail_jobs = [], [], []

    # ------------------------------------------------------------------------------------------------------ routing
    def answer(self, handler: Handler, path: str, asked: dict[str, str], body: bytes) -> dict[str, Any]:
        """The document that a request is answered with; raises Refusal."""
        if path == "/token":
            return self._token(parse_qs(body.decode()))
        bearer = handler.headers.get("Authorization", "").removeprefix("Bearer ")
        if bearer not in self.tokens and bearer.count(".") != 2:
            raise Refusal(401, "authError", "Invalid Credentials")
        for method, pattern, serve in self._routes():
            if handler.command == method and (match := re.fullmatch(pattern, path)):
                found: dict[str, Any] = serve(*match.groups(), asked=asked, body=body)
                return found
        raise Refusal(404, "notFound", f"no such address {path}")

    def _routes(self) -> Iterator[tuple[str, str, Callable[..., dict[str, Any]]]]:
        base = r"/bigquery/v2/projects/([^/]+)"
        yield "POST", rf"{base}/jobs", self._insert
        yield "GET", rf"{base}/jobs/([^/]+)", self._job
        yield "GET", rf"{base}/datasets/([^/]+)/tables/([^/]+)", self._table
        yield "GET", rf"{base}/datasets/([^/]+)/tables/([^/]+)/data", self._data
        yield "GET", r"/v1/services", self._services
        yield "GET", r"/v1/services/([^/]+)/skus", self._skus
        yield "GET", r"/v1/billingAccounts/([^/]+)/budgets", self._budgets

    def _token(self, form: dict[str, list[str]]) -> dict[str, Any]:
        if form.get("grant_type") != ["urn:ietf:params:oauth:grant-type:jwt-bearer"] or not form.get("assertion"):
            raise Refusal(400, "invalid_grant")
        token = f"{SECRET}{len(self.tokens)}"
        self.tokens.add(token)
        return {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}

    def _allow(self, permission: str, place: str) -> None:
        if permission in self.denied:
            raise Refusal(403, "accessDenied", f"Access Denied: {place}: User does not have {permission} permission")

    # ----------------------------------------------------------------------------------------------------- BigQuery
    def _table(self, project: str, dataset: str, name: str, *, asked: dict[str, str], body: bytes) -> dict[str, Any]:
        reference = {"projectId": project, "datasetId": dataset, "tableId": name}
        if dataset == "_anonymous":
            if name not in self.results:
                raise Refusal(404, "notFound", f"Not found: Table {project}:{dataset}.{name}")
            shape, rows = self.results[name]
            return {
                "tableReference": reference, "schema": {"fields": _fields(shape)}, "numRows": str(len(rows)),
                "type": "TABLE", "location": "EU",
            }  # fmt: skip
        self._allow("bigquery.tables.get", f"Table {project}:{dataset}.{name}")
        if (project, dataset) != (PROJECT, DATASET) or name not in (NAME, gcp_prices.NAME):
            raise Refusal(404, "notFound", f"Not found: Table {project}:{dataset}.{name}")
        shape = self.prices_shape if name == gcp_prices.NAME else self.shape
        split: dict[str, Any] = {"type": "DAY"}
        if self.partition:
            split["field"] = self.partition
        if self.expires:
            split["expirationMs"] = "5184000000"
        return {
            "tableReference": reference, "schema": {"fields": _fields(shape)}, "numRows": str(len(self.rows)),
            "type": "TABLE" if self.partition is not None else "VIEW", "location": "EU",
            **({"timePartitioning": split} if self.partition is not None else {}),
        }  # fmt: skip

    def _insert(self, project: str, *, asked: dict[str, str], body: bytes) -> dict[str, Any]:
        self._allow("bigquery.jobs.create", f"Project {project}")
        job = json.loads(body)
        query, reference = job["configuration"]["query"], job["jobReference"]
        is_dry = job["configuration"].get("dryRun", False)
        _must(reference.get("location") == "EU" and reference.get("projectId") == project, "where the job runs")
        _must(query.get("useLegacySql") is False, "standard SQL")
        _must(query.get("parameterMode") == "NAMED", "named parameters")
        if not is_dry:
            _must(int(query.get("maximumBytesBilled", 0)) > 0, "maximumBytesBilled")
            _must(bool(re.fullmatch(r"[A-Za-z0-9_-]{1,1024}", reference.get("jobId", ""))), "a job id")
            if reference["jobId"] in self.jobs:
                raise Refusal(409, "duplicate", f"Already Exists: Job {project}:EU.{reference['jobId']}")
        if "bigquery.tables.getData" in self.denied:
            raise Refusal(403, "accessDenied", f"Access Denied: Table {TABLE}: User does not have permission to query")
        parameters = {p["name"]: _parameter(p) for p in query["queryParameters"]}
        kind, shape, rows = self._run(query["query"], parameters)
        size = sum(len(json.dumps(row, default=str)) for row in rows) if kind != "months" else 40 * len(self.rows)
        if is_dry:
            reference = {k: v for k, v in reference.items() if k != "jobId"}
            statistics = {"totalBytesProcessed": str(size), "query": {"totalBytesProcessed": str(size)}}
            return {**job, "jobReference": reference, "status": {"state": "DONE"}, "statistics": statistics}
        if self.before_query is not None and kind != "months":
            act, self.before_query = self.before_query, None
            act()
            kind, shape, rows = self._run(query["query"], parameters)
        reason = self.fail_jobs.pop(0) if self.fail_jobs else ""
        if size > int(query["maximumBytesBilled"]):
            reason = "bytesBilledLimitExceeded"
        name = f"anon{len(self.jobs)}"
        job["configuration"]["query"]["destinationTable"] = {
            "projectId": project, "datasetId": "_anonymous", "tableId": name,
        }  # fmt: skip
        billed = str(max(size, 10 << 20))
        job |= {
            "kind": "bigquery#job", "id": f"{project}:EU.{reference['jobId']}", "status": {"state": "RUNNING"},
            "statistics": {"query": {"totalBytesProcessed": str(size), "totalBytesBilled": billed}},
        }  # fmt: skip
        self.jobs[reference["jobId"]] = job | {"reason": reason}
        if not reason:
            self.results[name] = (shape, rows)
            self.ran.append(kind)
        return job

    def _job(self, project: str, job_id: str, *, asked: dict[str, str], body: bytes) -> dict[str, Any]:
        if job_id not in self.jobs:
            raise Refusal(404, "notFound", f"Not found: Job {project}:EU.{job_id}")
        _must(asked.get("location") == "EU", "the job's location")
        job = dict(self.jobs[job_id])
        reason = job.pop("reason")
        error = {"reason": reason, "message": f"the job failed: {reason}"}
        job["status"] = {"state": "DONE"} | ({"errorResult": error, "errors": [error]} if reason else {})
        return job

    def _data(self, project: str, dataset: str, name: str, *, asked: dict[str, str], body: bytes) -> dict[str, Any]:
        _must(asked.get("formatOptions.useInt64Timestamp") == "True", "times as whole microseconds")
        if name not in self.results:
            raise Refusal(404, "notFound", f"Not found: Table {project}:{dataset}.{name}")
        shape, rows = self.results[name]
        start = int(asked.get("pageToken", "at0").removeprefix("at"))
        end = start + min(self.page_rows, int(asked["maxResults"]))
        page: dict[str, Any] = {"kind": "bigquery#tableDataList", "totalRows": str(len(rows))}
        page["rows"] = [_encoded(shape, row) for row in rows[start:end]]
        return page | ({"pageToken": f"at{end}"} if end < len(rows) else {})

    def _run(self, sql: str, parameters: dict[str, Any]) -> tuple[str, Shape, list[Row]]:
        """What a query answers: `months`, or the month whose rows it asks for."""
        if f"FROM `{PRICES_TABLE}`" in sql:
            column = None if self.partition is None else self.partition or "_PARTITIONTIME"
            try:
                return gcp_prices.answer(sql, parameters, self.prices, column)
            except ValueError as error:
                raise Refusal(400, "invalidQuery", f"the stub misses {error}") from error
        _must(f"FROM `{TABLE}`" in sql, "the table")
        is_focus = "BilledCost" in self.shape
        month = "FORMAT_TIMESTAMP('%Y%m', BillingPeriodStart)" if is_focus else "invoice.month"
        column = None if self.partition is None else self.partition or "_PARTITIONTIME"

        def month_of(row: Row) -> str:
            return f"{row['BillingPeriodStart']:%Y%m}" if is_focus else str(row["invoice"]["month"])

        def place(at: datetime, row: Row) -> datetime:
            return at if not self.partition else row[self.partition]

        if "GROUP BY month" in sql:
            _must(f"{month} >= @month" in sql, "a filter on the month")
            if column is not None:
                _must(f"WHERE {column} >= @first" in sql, "a filter on the partition")
            low = parameters.get("first", datetime.min.replace(tzinfo=UTC))
            rows = [
                (place(at, row), row)
                for at, row in self.rows
                if place(at, row) >= low and month_of(row) >= parameters["month"]
            ]
            answer = [
                _summary(name, [(at, row) for at, row in rows if month_of(row) == name], column is not None)
                for name in sorted({month_of(row) for _, row in rows})
            ]
            return "months", _SUMMARY, answer
        _must(f"{month} = @month" in sql, "the month")
        low, high = parameters.get("first"), parameters.get("last")
        if column is not None:
            _must(f"WHERE {column} BETWEEN @first AND @last" in sql, "a filter on the partition")
        columns = re.findall(r"`(\w+)`", sql.partition(" FROM ")[0])
        _must(bool(columns) and set(columns) <= set(self.shape), "columns of the table")
        found = [
            {name: row.get(name) for name in columns}
            for at, row in self.rows
            if month_of(row) == parameters["month"] and (column is None or low <= place(at, row) <= high)
        ]
        return parameters["month"], {name: self.shape[name] for name in columns}, found

    # ------------------------------------------------------------------------------------------- catalog and budgets
    def _services(self, *, asked: dict[str, str], body: bytes) -> dict[str, Any]:
        self._enabled("cloudbilling.googleapis.com")
        found = [
            {"name": f"services/{name}", "serviceId": name, "displayName": shown}
            for name, shown in (("0000-0000-0001", "Cloud Test"), ("6F81-5844-456A", "Compute Engine"))
        ]
        return self._paged("services", found, asked, 1)

    def _skus(self, service: str, *, asked: dict[str, str], body: bytes) -> dict[str, Any]:
        self._enabled("cloudbilling.googleapis.com")
        _must(asked.get("currencyCode") == "USD", "a currency")
        return self._paged("skus", self.catalog.get(service, []), asked, self.catalog_page)

    def _budgets(self, account: str, *, asked: dict[str, str], body: bytes) -> dict[str, Any]:
        self._enabled("billingbudgets.googleapis.com")
        self._allow("billing.budgets.list", account)
        if account != ACCOUNT:
            raise Refusal(404, "notFound", f"no account {account}")
        return self._paged("budgets", self.budgets, asked, 2)

    def _enabled(self, api: str) -> None:
        if api in self.denied:
            raise Refusal(
                403, "SERVICE_DISABLED", f"{api} has not been used in project {PROJECT} before or is disabled"
            )

    def _paged(self, name: str, found: Sequence[Any], asked: dict[str, str], most: int) -> dict[str, Any]:
        start = int(asked.get("pageToken", "0") or 0)
        end = start + min(most, int(asked.get("pageSize", most)) or most)
        return {name: found[start:end]} | ({"nextPageToken": str(end)} if end < len(found) else {})


_SUMMARY: Shape = {
    "month": "STRING", "row_count": "INTEGER", "first_sum": "NUMERIC", "second_sum": "NUMERIC", "exported": "STRING",
    "first_partition": "TIMESTAMP", "last_partition": "TIMESTAMP",
}  # fmt: skip


def _summary(month: str, rows: list[tuple[datetime, Row]], pruned: bool) -> Row:
    def numeric(value: Any) -> Decimal:
        return Decimal(value or 0).quantize(Decimal("1e-9"), rounding=ROUND_HALF_UP)

    if "BilledCost" in rows[0][1]:
        sums = [sum(numeric(row[name]) for _, row in rows) for name in ("BilledCost", "EffectiveCost")]
    else:
        credits = [numeric(credit["amount"]) for _, row in rows for credit in row.get("credits") or ()]
        sums = [sum(numeric(row["cost"]) for _, row in rows), sum(credits, Decimal(0))]
    exported = max(str(row.get("export_time", row.get("x_ExportTime"))) for _, row in rows)
    places = [at for at, _ in rows]
    return {
        "month": month, "row_count": len(rows), "first_sum": sums[0], "second_sum": sums[1], "exported": exported,
        "first_partition": min(places) if pruned else None, "last_partition": max(places) if pruned else None,
    }  # fmt: skip


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise Refusal(400, "invalidQuery", f"the stub misses {what}")


def _parameter(given: dict[str, Any]) -> Any:
    kind, value = given["parameterType"]["type"], given["parameterValue"]["value"]
    _must(kind in ("STRING", "TIMESTAMP", "DATE"), f"a type of {given['name']}")
    if kind == "STRING":
        return value
    return date.fromisoformat(value) if kind == "DATE" else datetime.fromisoformat(value).astimezone(UTC)


def _fields(shape: Shape) -> list[dict[str, Any]]:
    found = []
    for name, kind in shape.items():
        field: dict[str, Any] = {"name": name, "mode": "REPEATED" if isinstance(kind, list) else "NULLABLE"}
        inner = kind[0] if isinstance(kind, list) else kind
        field |= {"type": "RECORD", "fields": _fields(inner)} if isinstance(inner, dict) else {"type": inner}
        found.append(field)
    return found


def _encoded(shape: Shape, row: Mapping[str, Any] | None) -> dict[str, Any]:
    """A row or record as tabledata.list writes it."""
    return {"f": [{"v": _cell(kind, (row or {}).get(name))} for name, kind in shape.items()]}


def _cell(kind: Any, value: Any) -> Any:
    if isinstance(kind, list):
        return [{"v": _cell(kind[0], one)} for one in value or ()]
    if isinstance(kind, dict):
        return _encoded(kind, value)
    if value is None:
        return None
    if kind == "TIMESTAMP":
        return str(int(value.timestamp()) * 1_000_000 + value.microsecond)
    return f"{value:f}" if isinstance(value, Decimal) else repr(value) if isinstance(value, float) else str(value)


def _kind(path: str) -> str:
    """What kind of request a path is, for counting."""
    for pattern, name in ((r"/data$", "data"), (r"/tables/", "table"), (r"/jobs/", "job"), (r"/jobs$", "jobs")):
        if re.search(pattern, path):
            return name
    return path.rpartition("/")[2]


@cache
def _private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
