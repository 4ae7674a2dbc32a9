"""What an error of Azure's SDK means to a user who reads a container, and the role that is missing.

Codes: "Blob service error codes" and "Common REST API error codes" of Azure Storage; "Microsoft Entra authentication
and authorization error codes"; read 2026-11-21.
"""

import re
from collections.abc import Callable
from typing import Final

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.identity import CredentialUnavailableError

from connectors.deliveries import BrokenBody, again
from connectors.http import asked_wait_s
from finops.config import Azure, Source
from finops.errors import SourceUnreachable

ROLE: Final = "Storage Blob Data Reader"
"""The least role that lists a container and reads its blobs."""
RAISED: Final = (AzureError, BrokenBody)
_DENIED: Final = (
    "AuthorizationPermissionMismatch", "InsufficientAccountPermissions", "AuthorizationServiceMismatch",
    "AuthorizationResourceTypeMismatch", "NoAuthenticationInformation", "PublicAccessNotPermitted",
)  # fmt: skip
_NETWORK: Final = ("AuthorizationFailure", "AuthorizationSourceIPMismatch", "AuthorizationProtocolMismatch")
_ARCHIVED: Final = ("BlobArchived", "BlobBeingRehydrated")
_NO_CONTAINER: Final = ("ContainerNotFound", "ContainerBeingDeleted", "ResourceNotFound", "InvalidResourceName")
_CHANGED: Final = ("BlobNotFound", "ConditionNotMet", "InvalidRange")
_ENTRA: Final = {
    "AADSTS7000222": "its client secret has expired",
    "AADSTS7000215": "its client secret is not the right one",
    "AADSTS700016": "no app registration of that client id is in that tenant",
    "AADSTS90002": "there is no such tenant",
    "AADSTS900023": "there is no such tenant",
    "authority configuration": "there is no such tenant",
    "AADSTS53003": "conditional access blocks it",
    "AADSTS7000112": "its app registration is disabled",
    "AADSTS700082": "the sign-in has expired",
    "AADSTS70043": "the sign-in has expired",
    "AADSTS50078": "the sign-in has expired",
}
"""What codes of Microsoft Entra mean, and the SDK's words where it knows no tenant; others are told as they are."""
_SAID_LENGTH: Final = 400


def can_be_tried_again(error: BaseException) -> bool:
    """Whether the server was busy or the connection broke, so that the same request may have its answer later."""
    if isinstance(error, CredentialUnavailableError):
        return False
    if isinstance(error, ClientAuthenticationError) and isinstance(error.__cause__, AzureError):
        return can_be_tried_again(error.__cause__)  # the credential could not ask, and says so as a refusal
    if isinstance(error, HttpResponseError):
        status = error.status_code
        if status is None:
            return not isinstance(error, ClientAuthenticationError)
        return status < 400 or status in (408, 429) or status >= 500
    return isinstance(error, RAISED)


def asked_wait(error: BaseException | None) -> float | None:
    """How many seconds the server asks to be waited, if it does."""
    response = getattr(error, "response", None)
    return None if response is None else asked_wait_s(response.headers)


def is_changed(error: BaseException) -> bool:
    """Whether a blob is no longer the one that was listed: gone, or written anew."""
    return _code(error) in _CHANGED


def said(error: BaseException | None) -> str:
    """An error in Azure's words, on one line; no signature of a SAS token stays in it."""
    code = _code(error)
    text = str(getattr(error, "message", "") or error).partition("\nErrorCode:")[0]
    detail = (getattr(error, "additional_info", None) or {}).get("authenticationerrordetail", "")
    if re.search("time frame|expired|Issuer|Lifetime", detail):  # others quote what was signed
        text = f"{detail} {text}"
    text = re.sub(r"\bsig=[^&\s'\"]+", "sig=...", " ".join(f"{code or type(error).__name__}: {text}".split()))
    return text if len(text) <= _SAID_LENGTH else f"{text[:_SAID_LENGTH]}..."


def grant(account: str, container: str, caller: str) -> str:
    """The command that gives an identity the right to read a container."""
    scope = f"$(az storage account list --query \"[?name=='{account}'].id\" --output tsv)"
    return (
        f'az role assignment create --role "{ROLE}" --assignee {caller} '
        f'--scope "{scope}/blobServices/default/containers/{container}"'
    )


def unreachable(
    error: BaseException, source: Source, azure: Azure, *, account: str, container: str, caller: Callable[[], str]
) -> SourceUnreachable:
    """Found, expected and next step for an error that ended a request to a container.

    caller: tells the identity, as az names it.
    """
    found, expected, next_step = _signed_out(error, source, azure) or (
        _refused(error, source, azure, account, container, caller)
    )
    return SourceUnreachable(f"{source.id}: {found} ({said(error)})", expected=expected, next_step=next_step)


def _signed_out(error: BaseException, source: Source, azure: Azure) -> tuple[str, str, str] | None:
    """What is wrong with the identity, where Microsoft Entra gave it no token."""
    if not isinstance(error, ClientAuthenticationError) or _code(error) or can_be_tried_again(error):
        return None
    if azure.client_secret is None:
        return (
            "nobody is signed in to Azure in the SDK's usual places (environment, managed identity, az login)",
            "an identity that may read the container",
            f"`az login`, or set tenant_id, client_id and client_secret of `azure` of the source, then {again(source)}",
        )
    told = re.findall(r"AADSTS\d+|authority configuration", str(error))
    why = next((_ENTRA[one] for one in told if one in _ENTRA), "Microsoft Entra refuses it")
    secret = f"`az ad app credential reset --id {azure.client_id} --append` makes a new secret; "
    return (
        f"app {azure.client_id} of tenant {azure.tenant_id} gets no token: {why}",
        "tenant, client id and a valid secret of one app registration",
        f"{secret if 'secret' in why else ''}correct `azure` of the source in finops.toml, then {again(source)}",
    )


def _refused(
    error: BaseException, source: Source, azure: Azure, account: str, container: str, caller: Callable[[], str]
) -> tuple[str, str, str]:
    code = _code(error)
    place = f"container {container} of storage account {account}"
    if code == "KeyBasedAuthenticationNotPermitted":
        return (
            f"storage account {account} takes no account key and no SAS token signed with one",
            f"an identity with the role {ROLE}",
            f"leave out `azure.export_key` of the source; {grant(account, container, '<object id of the identity>')}",
        )
    if azure.export_key is not None and (
        code in _DENIED or code in ("AuthenticationFailed", "InvalidAuthenticationInfo")
    ):
        return (
            f"{place} does not take the key of `azure.export_key`",
            "a SAS token that is still valid and has read and list (sp=rl), or a key of the account",
            f"`az storage container generate-sas --account-name {account} --name {container} --permissions rl --expiry "
            f"<date> --auth-mode key` makes a token; put it where `azure.export_key` says, then {again(source)}",
        )
    if code in _DENIED:
        return (
            f"{caller()} may not list and read {place}",
            f"an identity with the role {ROLE} on the container",
            f"{grant(account, container, caller())}; it takes up to ten minutes to count, then {again(source)}",
        )
    if code in ("AuthenticationFailed", "InvalidAuthenticationInfo"):
        return (
            f"{place} does not take the token of {caller()}",
            "an identity of the tenant that the storage account belongs to, and a clock that is right",
            f"correct `azure.tenant_id` of the source, or `az login --tenant <its tenant>`, then {again(source)}",
        )
    if code in _NETWORK:
        return (
            f"the firewall of storage account {account} lets nobody in from here, or {place} is denied",
            "a network that the storage account allows",
            f"`az storage account network-rule add --account-name {account} --ip-address <address of this machine>`, "
            f"or run finops in a network that it allows, then {again(source)}",
        )
    if code in _NO_CONTAINER:
        return (
            f"there is no container {container} in storage account {account}",
            "the container that the export is delivered to",
            "correct `azure.export` of the source in finops.toml",
        )
    if code in _ARCHIVED:
        return (
            f"a blob of {azure.export} is archived",
            "blobs in a tier that can be read at once: hot, cool or cold",
            f"`az storage blob set-tier --tier Cool` on it, or begin `azure.since` of the source after it, "
            f"then {again(source)}",
        )
    if code == "AccountIsDisabled":
        return (
            f"storage account {account} is disabled",
            "an account whose subscription is active",
            f"activate the subscription again, then {again(source)}",
        )
    wait_s = asked_wait(error)
    later = "" if wait_s is None else f"in {wait_s:.0f} s or later, "
    return f"{azure.export} cannot be read", f"an answer of storage account {account}", f"{later}{again(source)}"


def _code(error: BaseException | None) -> str:
    """The error code of Blob storage; nothing where the error is none of it."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")
