"""Queries of BigQuery for one session: tried before they run, billed once, their results read whole.

A query with a key has a job that is named by it, so that a run which was cut off finds the job again and reads its
result, which BigQuery keeps for a day. Reading results costs nothing.

Source: BigQuery's REST reference for jobs.insert, jobs.get, tables.get and tabledata.list; read 2026-11-21.
"""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import count
from typing import Any, Final, TypeVar, cast

import requests.exceptions as http
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.cloud import bigquery
from google.cloud.bigquery import ScalarQueryParameter, SchemaField

from connectors.gcp.refusals import (
    AGAIN,
    CREATE_JOBS,
    GET_DATA,
    GET_TABLE,
    RAISED,
    TOO_MANY_BYTES,
    reason,
    said,
)
from connectors.gcp.session import Session
from finops.errors import SourceUnreachable

T = TypeVar("T")

GIB: Final = 1 << 30
INGESTED: Final = "_PARTITIONTIME"
_JOBS: Final = 3
"""So many jobs of one query are started in a run where BigQuery fails them."""
_READS: Final = 3
_PAGE_ROWS: Final = 10_000
_REFUSED: Final = (api.GoogleAPIError, auth.GoogleAuthError, http.RequestException, OSError)
_NO_PAGE: Final = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError)
"""What the SDK raises on an answer that is JSON, and no page."""


@dataclass(frozen=True)
class Query:
    """SQL and its parameters."""

    sql: str
    parameters: list[ScalarQueryParameter]


def text(name: str, value: str) -> ScalarQueryParameter:
    """A parameter that is text."""
    return ScalarQueryParameter(name, "STRING", value)


def moment(name: str, kind: str, value: date | datetime) -> ScalarQueryParameter:
    """A parameter that is a day or time; kind: in BigQuery's words."""
    if kind != "DATE" and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC if kind == "TIMESTAMP" else None)
    return ScalarQueryParameter(name, kind, value)


def partition(table: bigquery.Table, fields: Mapping[str, SchemaField]) -> tuple[str, str] | None:
    """The column that prunes a table, and its type; none of a view or a table without partitions."""
    if table.time_partitioning is None:
        return None
    column = table.time_partitioning.field
    return (column, fields[column].field_type) if column in fields else (INGESTED, "TIMESTAMP")


class Queries:
    """What one table is asked; all raise SourceUnreachable.

    max_gib_billed: of one query. billed_bytes: of those that were run.
    """

    def __init__(self, session: Session, max_gib_billed: int, say: Callable[[str], None]) -> None:
        self.session, self.say = session, say
        self.billed_bytes = 0
        self._max_gib_billed = max_gib_billed
        self._client = session.bigquery()
        self._location = ""

    def open(self, address: str) -> bigquery.Table:
        """The table `project.dataset.table`; its queries run where it is."""
        project, dataset, name = address.rsplit(".", 2)
        reference = bigquery.DatasetReference(project, dataset).table(name)
        table: bigquery.Table = self.session.called(GET_TABLE, self._client.get_table, reference)
        self._location = table.location
        return table

    def dry_run(self, query: Query) -> int:
        """How many bytes a query would read; raises SourceUnreachable when it may not run, or would read too much."""
        config = self._config(query)
        config.dry_run, config.maximum_bytes_billed = True, None
        job = self._inserted(query, config, f"finops-{uuid.uuid4().hex}")
        size = int(job.total_bytes_processed or 0)
        if size > self._max_gib_billed * GIB:
            limit = api.from_http_status(400, f"{size:,} bytes", errors=[{"reason": TOO_MANY_BYTES}])  # type: ignore[no-untyped-call]
            raise self.session.unreachable(limit, CREATE_JOBS)
        return size

    def result(self, query: Query, *, name: str = "", key: str = "") -> bigquery.Table:
        """The result of a finished job of that query: of an earlier run while BigQuery keeps it, or of a new one.

        name: in words, to tell what it reads. key: what an earlier run's job is found by; without one there is none.
        """
        started = 0
        stem = f"finops-{key or uuid.uuid4().hex}"
        for number in count():
            job_id = f"{stem}-{number}"
            job = self._known(job_id) if key else None
            is_new = job is None
            if job is None:
                size = self.dry_run(query)
                if name:
                    self.say(f"{self.session.asked.who}: {name}: a query that reads {size / GIB:,.3f} GiB")
                job = self._inserted(query, self._config(query), job_id)
            job = self._finished(job)
            if job.error_result is None:
                try:
                    result = self._client.get_table(
                        job.destination, retry=self.session.retry(), timeout=self.session.tries.answer_s
                    )
                except api.NotFound:
                    continue  # BigQuery kept the result for a day
                except RAISED as error:
                    raise self.session.unreachable(error, GET_DATA) from error
                self.billed_bytes += int(job.total_bytes_billed or 0) if is_new else 0
                return result
            failed: BaseException = job.exception()  # type: ignore[no-untyped-call]
            if is_new:
                started += 1
                if started == _JOBS or reason(failed) not in AGAIN:
                    raise self.session.unreachable(failed, CREATE_JOBS)
                self.say(f"{self.session.asked.who}: {said(failed)}; the query is started again")
        raise AssertionError("job names do not end")

    def _config(self, query: Query) -> bigquery.QueryJobConfig:
        return bigquery.QueryJobConfig(
            query_parameters=list(query.parameters),
            maximum_bytes_billed=self._max_gib_billed * GIB,
            labels={"application": "finops"},
            use_legacy_sql=False,
        )

    def _inserted(self, query: Query, config: bigquery.QueryJobConfig, job_id: str) -> bigquery.QueryJob:
        """The job, started; where an answer was lost the job is there already."""
        try:
            job: bigquery.QueryJob = self._client.query(
                query.sql,
                job_config=config,
                job_id=job_id,
                location=self._location,
                retry=self.session.retry(),
                timeout=self.session.tries.answer_s,
                job_retry=None,
            )
        except api.Conflict:
            known = self._known(job_id)
            if known is None:
                raise self.broken(f"the job {job_id}", "BigQuery has it, and does not show it") from None
            return known
        except RAISED as error:
            raise self.session.unreachable(error, CREATE_JOBS) from error
        return job

    def _known(self, job_id: str) -> bigquery.QueryJob | None:
        """A job of an earlier run, if there is one."""
        try:
            job: Any = self._client.get_job(
                job_id, location=self._location, retry=self.session.retry(), timeout=self.session.tries.answer_s
            )
        except api.NotFound:
            return None
        except RAISED as error:
            raise self.session.unreachable(error, CREATE_JOBS) from error
        return cast(bigquery.QueryJob, job)

    def _finished(self, job: bigquery.QueryJob) -> bigquery.QueryJob:
        until = time.monotonic() + self.session.tries.job_s
        while job.state != "DONE":
            if time.monotonic() > until:
                raise self.broken(
                    f"the query {job.job_id}", f"it has been running for {self.session.tries.job_s:,.0f} s"
                )
            time.sleep(self.session.tries.poll_s)
            known = self._known(job.job_id)
            job = job if known is None else known
        return job

    def broken(self, what: str, why: str) -> SourceUnreachable:
        """What cannot be read, and why."""
        return SourceUnreachable(
            f"{self.session.asked.who}: {what} cannot be read: {why}",
            expected="every row of the result of one query",
            next_step=self.session.asked.again,
        )

    def whole(self, what: str, result: bigquery.Table, read: Callable[[], tuple[int, T]]) -> T:
        """What a reading gives that had as many rows as the result; one with pages missing or broken is repeated."""
        why = ""
        for _ in range(_READS):
            try:
                rows, found = read()
            except _NO_PAGE as error:
                why = f"a page is none ({said(error)})"
            else:
                if rows == result.num_rows:
                    return found
                why = f"of {result.num_rows:,} rows {rows:,} came"
            self.say(f"{self.session.asked.who}: {what}: {why}; the result is read again")
        raise self.broken(what, why)

    def rows(self, what: str, query: Query, *, name: str = "") -> list[dict[str, Any]]:
        """All rows of a query's result."""
        result = self.result(query, name=name)

        def read() -> tuple[int, list[dict[str, Any]]]:
            found = list(self.listed(result))
            return len(found), found

        return self.whole(what, result, read)

    def listed(self, result: bigquery.Table) -> Iterator[dict[str, Any]]:
        """The rows of a result, page by page."""
        pages = self._client.list_rows(
            result, page_size=_PAGE_ROWS, retry=self.session.retry(), timeout=self.session.tries.answer_s
        )
        names = [field.name for field in result.schema]
        try:
            for number, row in enumerate(pages):
                if number == result.num_rows:
                    raise ValueError("its pages do not come to an end")
                yield {name: row[name] for name in names}  # row.items() copies every record
        except _REFUSED as error:
            raise self.session.unreachable(error, GET_DATA) from error
