"""Google's SDKs for one identity: its credentials, its clients, and how long a request is tried."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import google.auth
from google.api_core.client_options import ClientOptions
from google.api_core.retry import Retry
from google.cloud import bigquery
from google.cloud.billing.budgets_v1 import BudgetServiceClient
from google.cloud.billing_v1 import CloudCatalogClient
from google.oauth2 import service_account

from connectors import sync
from connectors.gcp.refusals import RAISED, Asked, can_be_tried_again, cause, said, unreachable
from finops.config import Gcp

T = TypeVar("T")

_SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)


@dataclass(frozen=True)
class Tries:
    """How long a request is tried: waits double from first_wait_s to longest_wait_s, all tries together take total_s.

    answer_s: how long one answer is awaited. job_s: how long a query may run. poll_s: between two looks at it.
    """

    first_wait_s: float = 1
    longest_wait_s: float = 30
    total_s: float = 300
    answer_s: float = 60
    job_s: float = 3600
    poll_s: float = 1


USUAL: Final = Tries()


class Session:
    """Google as one identity sees it; all raise SourceUnreachable that says what is missing."""

    def __init__(
        self, gcp: Gcp | None, home: Path, asked: Asked, *, say: Callable[[str], None], tries: Tries = USUAL
    ) -> None:
        self.asked = asked
        self.tries = tries
        self._url = gcp.url if gcp else None
        self._say = say
        if self._url and (host := sync.unencrypted(self._url)):
            say(f"{asked.who}: the token goes to {host} unencrypted; next: an https address as `gcp.url`")
        try:
            self._credentials, project = _signed_in(home / gcp.credentials if gcp and gcp.credentials else None)
        except RAISED as error:
            raise unreachable(error, asked, "") from error
        email = getattr(self._credentials, "service_account_email", "")
        member = f"serviceAccount:{email}" if email and email != "default" else asked.member
        self.asked = Asked(
            asked.who, member, asked.project or project or "PROJECT", asked.again, asked.table, asked.account
        )

    def about(self, table: str) -> "Session":
        """The same identity, asking for another table."""
        other = copy(self)
        other.asked = replace(self.asked, table=table)
        return other

    def retry(self, tries: Tries | None = None) -> Retry:
        """What the SDKs try again, and how long; each new try is told."""
        tries = tries or self.tries
        return Retry(
            predicate=can_be_tried_again,
            initial=tries.first_wait_s,
            maximum=tries.longest_wait_s,
            multiplier=2,
            timeout=tries.total_s,
            on_error=lambda error: self._say(f"{self.asked.who}: {said(error)}; tried again"),
        )

    def called(self, permission: str, request: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """What the request answers; it gets `retry` and `timeout` of the session."""
        try:
            return request(*arguments, retry=self.retry(), timeout=self.tries.answer_s, **named)
        except RAISED as error:
            raise self.unreachable(error, permission) from error

    def unreachable(self, error: BaseException, permission: str) -> Exception:
        """The error in words."""
        return unreachable(cause(error), self.asked, permission)

    def bigquery(self) -> bigquery.Client:
        """BigQuery over REST."""
        return bigquery.Client(
            project=self.asked.project, credentials=self._credentials, client_options=self._options()
        )

    def catalog(self) -> CloudCatalogClient:
        """The Cloud Catalog over REST."""
        return CloudCatalogClient(credentials=self._credentials, transport="rest", client_options=self._options())

    def budgets(self) -> BudgetServiceClient:
        """The Budgets API over REST."""
        return BudgetServiceClient(credentials=self._credentials, transport="rest", client_options=self._options())

    def _options(self) -> ClientOptions | None:
        return ClientOptions(api_endpoint=self._url) if self._url else None


def _signed_in(key: Path | None) -> tuple[Any, str | None]:
    """Credentials and the project they belong to: those of a key file, or those that the SDK finds by itself."""
    if key is None:
        credentials, project = google.auth.default(scopes=_SCOPES)
        return credentials, project
    credentials = service_account.Credentials.from_service_account_file(str(key), scopes=_SCOPES)  # type: ignore[no-untyped-call]
    return credentials, credentials.project_id
