"""What an error of Google's SDKs means to a user: which permission is missing, and the command that grants it.

Codes and reasons: "Error messages" of BigQuery and AIP-193 of Google's APIs; permissions and roles: "Access control" of
BigQuery and of the Cloud Billing APIs; read 2026-11-21.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

import requests.exceptions as http
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.protobuf.json_format import ParseError

from finops.errors import SourceUnreachable

CREATE_JOBS: Final = "bigquery.jobs.create"
GET_TABLE: Final = "bigquery.tables.get"
GET_DATA: Final = "bigquery.tables.getData"
LIST_SKUS: Final = "cloudbilling.googleapis.com"
"""The catalog is public: the API only has to be enabled."""
LIST_BUDGETS: Final = "billing.budgets.list"

TOO_MANY_BYTES: Final = "bytesBilledLimitExceeded"
AGAIN: Final = (
    "rateLimitExceeded", "backendError", "internalError", "badGateway", "jobBackendError", "jobInternalError",
    "jobRateLimitExceeded", "tableUnavailable",
)  # fmt: skip
"""Reasons that pass."""
_BROKEN: Final = (
    http.ConnectionError, http.Timeout, http.ChunkedEncodingError, http.ContentDecodingError, ConnectionError,
    ValueError, TypeError, KeyError, AttributeError, ParseError,
)  # fmt: skip
RAISED: Final = (api.GoogleAPIError, auth.GoogleAuthError, http.RequestException, OSError, *_BROKEN)
"""All that a request can raise; Python's own where an answer of status 200 is no JSON, or not what the SDK expects."""
_APIS: Final = {
    CREATE_JOBS: "bigquery.googleapis.com", GET_TABLE: "bigquery.googleapis.com", GET_DATA: "bigquery.googleapis.com",
    LIST_SKUS: "cloudbilling.googleapis.com", LIST_BUDGETS: "billingbudgets.googleapis.com",
}  # fmt: skip
_SAID_LENGTH: Final = 400


@dataclass(frozen=True)
class Asked:
    """Who asked for what: the words of an error are made of it.

    who: the source's id, or the provider. member: as IAM writes it. project: which pays. table, account: what is read.
    again: the command that repeats it.
    """

    who: str
    member: str
    project: str
    again: str
    table: str = ""
    account: str = ""


def reason(error: BaseException | None) -> str:
    """Google's reason of an error, such as rateLimitExceeded; nothing where it gives none."""
    errors: Any = getattr(error, "errors", None)
    first = errors[0] if isinstance(errors, list | tuple) and errors else None
    named = first.get("reason") if isinstance(first, dict) else getattr(error, "reason", None)
    return str(named or "")


def cause(error: BaseException) -> BaseException:
    """The error that ended the tries."""
    return error.cause or error if isinstance(error, api.RetryError) else error


def can_be_tried_again(error: BaseException) -> bool:
    """Whether the server was busy or the connection broke, so that the same request may have its answer later."""
    if isinstance(error, http.SSLError):
        return False
    if isinstance(error, auth.RefreshError):
        answer = error.args[1] if len(error.args) > 1 else None
        # the token endpoint refuses in OAuth's own words; what else comes is not its answer
        return error.retryable or not (isinstance(answer, dict) and isinstance(answer.get("error"), str))
    if isinstance(error, auth.GoogleAuthError):
        return isinstance(error, auth.TransportError)
    if isinstance(error, api.GoogleAPICallError):
        return reason(error) in AGAIN or error.code == 429 or (error.code or 0) >= 500
    return isinstance(error, _BROKEN)


def said(error: BaseException) -> str:
    """An error in Google's words, on one line."""
    message = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
    text = " ".join(f"{reason(error)} {message}".split())
    return text if len(text) <= _SAID_LENGTH else f"{text[:_SAID_LENGTH]}..."


def grant(permission: str, asked: Asked) -> str:
    """The command that grants a permission, with the least role that has it."""
    member = f"--member={asked.member}"
    if permission == CREATE_JOBS:
        return f"gcloud projects add-iam-policy-binding {asked.project} {member} --role=roles/bigquery.jobUser"
    if permission == LIST_BUDGETS:
        return f"gcloud billing accounts add-iam-policy-binding {asked.account} {member} --role=roles/billing.viewer"
    project, dataset, table = asked.table.rsplit(".", 2)
    resource = f"{project}:{dataset}.{table}"
    return f"bq add-iam-policy-binding {member} --role=roles/bigquery.dataViewer --table=true {resource}"


def unreachable(error: BaseException, asked: Asked, permission: str) -> SourceUnreachable:
    """Found, expected and next step for an error that ended a request.

    permission: what the request needs; none while credentials are looked for.
    """
    error = cause(error)
    words = (
        _credentials(error, asked, permission) or _denied(error, asked, permission) or _other(error, asked, permission)
    )
    return SourceUnreachable(f"{asked.who}: {words[0]} ({said(error)})", expected=words[1], next_step=words[2])


def _credentials(error: BaseException, asked: Asked, permission: str) -> tuple[str, str, str] | None:
    """What is wrong with the credentials, if it is they."""
    setting = "`gcp.credentials` of the source in finops.toml"
    if isinstance(error, auth.DefaultCredentialsError):
        return (
            "there are no Google credentials in the SDK's usual places (environment, gcloud, metadata server)",
            "credentials that may read the export",
            f"`gcloud auth application-default login`, or name a key file as {setting}, then {asked.again}",
        )
    if isinstance(error, OSError | ValueError) and not isinstance(error, auth.GoogleAuthError | http.RequestException):
        if permission:
            return None
        return (
            "the key file of Google's credentials cannot be read",
            "a service account's key file (JSON)",
            f"correct {setting}, then {asked.again}",
        )
    if isinstance(error, auth.GoogleAuthError | api.Unauthorized) and not can_be_tried_again(error):
        return (
            f"Google does not accept the credentials of {asked.member}",
            "a key or login that exists and has not expired",
            f"`gcloud auth application-default login`, or make a new key and name it as {setting}, then {asked.again}",
        )
    return None


def _denied(error: BaseException, asked: Asked, permission: str) -> tuple[str, str, str] | None:
    """Which permission is missing, or which API is not enabled, if that is it."""
    text = said(error)
    if not isinstance(error, api.Forbidden) or can_be_tried_again(error):
        return None
    if re.search(r"accessNotConfigured|SERVICE_DISABLED|has not been used|is disabled", text):
        return (
            f"{_APIS[permission]} is not enabled in {asked.project}",
            "a project where it is enabled",
            f"gcloud services enable {_APIS[permission]} --project={asked.project}",
        )
    if re.search(r"quotaExceeded|billingNotEnabled|billing account", text, re.I):
        return (f"{asked.project} may not run it", "a project with billing and quota left", asked.again)
    if permission == LIST_SKUS:
        return (f"Google refuses the catalog to {asked.member}", "credentials that may call it", asked.again)
    named = re.search(r"bigquery\.\w+\.\w+|billing\.\w+\.\w+", text)
    if named and named[0] in _APIS:
        permission = named[0]
    elif permission == CREATE_JOBS and re.search(r"\btable\b", text, re.I):
        permission = GET_DATA
    place = {CREATE_JOBS: asked.project, LIST_BUDGETS: asked.account}.get(permission, asked.table)
    return (
        f"Google denies {permission} on {place}",
        f"that {asked.member} may {permission} there",
        f"{grant(permission, asked)}; then {asked.again}",
    )


def _other(error: BaseException, asked: Asked, permission: str) -> tuple[str, str, str]:
    if isinstance(error, api.NotFound):
        place = asked.table or asked.account or "the catalog"
        return (
            f"there is no {place}, or it may not be seen",
            "the address of what Google made, as the console shows it",
            f"correct the source in finops.toml, or {grant(permission, asked)}"
            if permission != LIST_SKUS
            else "correct `gcp.url` of the source in finops.toml",
        )
    if reason(error) == TOO_MANY_BYTES:
        return (
            "a query would read more than `gcp.max_gib_billed`, so BigQuery refused it, and it costs nothing",
            "a query within the limit",
            f"raise `gcp.max_gib_billed` or `gcp.since` of the source in finops.toml, then {asked.again}",
        )
    return f"Google does not answer a request that needs {permission}", "an answer", asked.again
