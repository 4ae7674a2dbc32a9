"""Azure's management APIs as a source reads them: requests that are tried again, pages on disk, what refusals mean.

Cost Management throttles by query units, by entity, by tenant and by client, and says for each in a header of its own
how long to wait; the longest counts.

Source: Microsoft Cost Management, "Manage costs with automation" (rate limits, response headers), read 2026-11-21.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import tenacity
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.rest import HttpRequest
from azure.mgmt.costmanagement import CostManagementClient

from connectors import sync
from connectors.access import NoPage
from connectors.azure.refusals import can_be_tried_again, said
from connectors.azure.roles import Needs, grant
from connectors.http import Answer, Document, NoAnswer, Patience, asked_wait_s, trying
from finops.errors import ConfigError, SourceUnreachable

PATIENT: Final = Patience(total_s=1200)
PROBED: Final = Patience(attempts=2, total_s=20, answer_s=10)
_WAITS: Final = re.compile(r"x-ms-ratelimit-microsoft\.[a-z]+(-[a-z]+)?-retry-after", re.IGNORECASE)
_RETRIED: Final = (408, 409, 425, 429)
_PUBLIC: Final = "https://management.azure.com"
_LOCAL: Final = ("127.0.0.1", "::1", "localhost")
_SAID_LENGTH: Final = 300


class Api:
    """Cost Management and Billing at one address, as one identity; counts requests."""

    def __init__(
        self,
        url: str,
        credential: TokenCredential,
        *,
        who: str,
        say: Callable[[str], None],
        patience: Patience = PATIENT,
        caller: str | None = None,
    ) -> None:
        """caller: the client id of the app registration, for messages. Raises ConfigError for an address without TLS.

        The SDK itself tries nothing again: it knows none of Cost Management's headers.
        """
        address = urlsplit(url)
        self._local = address.scheme == "http" and address.hostname in _LOCAL
        if address.scheme != "https" and not self._local:
            raise ConfigError(
                f"{who} is asked at {url}",
                expected="an https address: a token is sent along",
                next_step="correct `azure.url` of the source in finops.toml",
            )
        self.who, self.caller = who, caller
        self._url = url.rstrip("/")
        self._say = say
        self._patience = patience
        self._client = CostManagementClient(
            credential, self._url, credential_scopes=[f"{self._url if not self._local else _PUBLIC}/.default"],
            retry_total=0, connection_timeout=10, read_timeout=patience.answer_s,
        )  # fmt: skip
        self.requests = 0

    def asked(self, method: str, link: str, body: Mapping[str, Any] | None = None) -> Answer:
        """The answer to a request; a busy, slow or broken one is tried again.

        link: a path, or an address that an answer named. Raises NoAnswer when there is none after all tries, or at once
        where none will come, and NoPage for a link to another server.
        """
        address = link if "://" in link else f"{self._url}/{link.lstrip('/')}"
        if urlsplit(address)[:2] != urlsplit(self._url)[:2]:
            raise NoPage(f"its next page lies on another server, {urlsplit(address).hostname}")
        expired: list[NoAnswer] = []

        def once() -> Answer:
            try:
                return self._once(HttpRequest(method, address, json=body))
            except NoAnswer as error:
                # the SDK asks for a new token after a 401; where the credential itself has none, it stays without
                if error.status == 401 and error.__cause__ is None and not expired:
                    expired.append(error)
                    raise NoAnswer(error.found, status=401, wait_s=0) from error
                raise

        retrying = trying(
            self._patience,
            again=lambda error: isinstance(error, NoAnswer) and error.again,
            asked_s=lambda error: error.wait_s if isinstance(error, NoAnswer) else None,
            tell=self._tell,
        )
        answer: Answer = retrying(once)
        return answer

    def _once(self, request: HttpRequest) -> Answer:
        self.requests += 1
        loopback = {"enforce_https": False} if self._local else {}
        try:
            # as a stream, the SDK leaves the body as it came: it would read amounts as floats
            response = self._client.send_request(request, stream=True, **loopback)
            body = response.read()
        except AzureError as error:
            status = 401 if isinstance(error, ClientAuthenticationError) else None
            raise NoAnswer(said(error), status=status, again=can_be_tried_again(error)) from error
        if response.status_code == 204:  # a scope without costs
            return Answer(b"{}", {})
        if response.status_code != 200:
            raise NoAnswer(
                f'{response.status_code} {response.reason}: "{_of_body(body)}"',
                status=response.status_code,
                again=response.status_code in _RETRIED or response.status_code >= 500,
                wait_s=asked_wait(response.headers),
            )
        try:
            document = json.loads(body, parse_float=Decimal)
        except (ValueError, RecursionError) as error:
            raise NoAnswer(f"the answer is cut off or no JSON: {_short(str(error))}") from error
        if not isinstance(document, dict):
            raise NoAnswer(f"the answer is a JSON {type(document).__name__}, no object", again=False)
        return Answer(body, document)

    def save(
        self, part: Path, name: str, method: str, link: str, body: Mapping[str, Any] | None,
        read: Callable[[Document], tuple[list[Any], str | None]],
    ) -> list[Document]:  # fmt: skip
        """All pages of an answer, saved byte for byte as `<name>-0001.json` ...; those that are there are not asked.

        read: a page's rows and the link to the next page, or NoPage. Raises as `asked`, and NoPage for pages in a loop.
        """
        pages: list[Document] = []
        links: set[str] = set()
        contents: set[str] = set()
        following: str | None = link
        while following:
            number = len(pages) + 1
            if following in links:
                raise NoPage(f"page {number} is one that was asked for before")
            links.add(following)
            file = part / f"{name}-{number:04}.json"
            if not file.exists():
                sync.write_bytes(file, self.asked(method, following, body).body)
            page: Document = json.loads(file.read_bytes(), parse_float=Decimal)
            rows, following = read(page)
            digest = hashlib.sha256(json.dumps(rows, default=str).encode()).hexdigest()
            if rows and digest in contents:
                raise NoPage(f"page {number} holds what an earlier page held")
            contents.add(digest)
            pages.append(page)
        return pages

    def probe(
        self, endpoint: str, method: str, link: str, body: Mapping[str, Any] | None, needs: Needs
    ) -> sync.Probe:  # fmt: skip
        """Whether a request is answered."""
        try:
            self.asked(method, link, body)
        except NoAnswer as problem:
            error = self.refused(problem, needs)
            status: sync.Status = "refused" if problem.status in (401, 403) else "unreachable"
            return sync.Probe(endpoint, status, error.found, error.next_step)
        return sync.Probe(endpoint, "ok", f"Azure answers {needs.action} on {needs.scope}")

    def refused(self, problem: NoAnswer, needs: Needs) -> SourceUnreachable:
        """Found, expected and next step for a request that got no answer."""
        again = "then run the command again; what was fetched before stays as it is"
        if problem.status == 401:
            return SourceUnreachable(
                f"{self.who}: Azure has no valid credentials to go by ({problem.found})",
                expected="an app registration whose secret has not expired, a managed identity, or `az login`",
                next_step=f"`az login`, or correct tenant_id, client_id and client_secret of the source, {again}",
            )
        if problem.status == 403:
            return SourceUnreachable(
                f"{self.who}: Azure denies {needs.action} ({problem.found})",
                expected=f"an identity with the role {needs.role} on {needs.scope}",
                next_step=grant(needs, self.caller),
            )
        if problem.status in (400, 404):
            return SourceUnreachable(
                f"{self.who}: Azure cannot answer {needs.action} on {needs.scope} ({problem.found})",
                expected="a scope that exists and that this account type offers",
                next_step=f"correct `azure.scope` or `azure.since` of the source, {again}",
            )
        if problem.status == 429:
            asked = "" if problem.wait_s is None else f" and asks to wait {problem.wait_s:.0f} s"
            return SourceUnreachable(
                f"{self.who}: Azure has too many requests from this tenant{asked} ({problem.found})",
                expected=f"an answer to {needs.action}",
                next_step=f"wait as long, {again}: pages that are there are not asked for an hour",
            )
        return SourceUnreachable(
            f"{self.who}: {problem.found}", expected=f"an answer to {needs.action}", next_step=f"wait a little, {again}"
        )

    def _tell(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self._say(f"{self.who}: {error}; tried again in {state.upcoming_sleep:.1f} s")


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """The longest wait that an answer asks for in seconds; None where it asks for none."""
    waits = [value.strip() for name, value in headers.items() if _WAITS.fullmatch(name)]
    seconds = [float(value) for value in waits if re.fullmatch(r"\d+(\.\d+)?", value)]
    usual = asked_wait_s(headers)
    return max(seconds if usual is None else [*seconds, usual], default=None)


def _of_body(body: bytes) -> str:
    """Code and message of an error's body, else its beginning."""
    try:
        error = json.loads(body)["error"]
        return _short(f"{error.get('code', '')}: {error.get('message', '')}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return _short(body.decode("utf-8", errors="replace"))


def _short(text: str) -> str:
    plain = re.sub(r"\s+", " ", text).strip()
    return plain if len(plain) <= _SAID_LENGTH else f"{plain[:_SAID_LENGTH]}..."
