"""Azure's SDK for one source: as whom it is asked, and the blobs of its container."""

import base64
import binascii
import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import tenacity
from azure.core import MatchConditions
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential, TokenCredential
from azure.identity import ClientSecretCredential, DefaultAzureCredential
from azure.storage.blob import BlobProperties, ContainerClient

from connectors.azure.refusals import RAISED, asked_wait, can_be_tried_again, is_changed, said, unreachable
from connectors.deliveries import BrokenBody, Changed, Incomplete, Stored, again
from connectors.http import Patience, trying
from connectors.keys import read_key
from finops.config import Azure, Source
from finops.errors import ConfigError, SourceUnreachable

T = TypeVar("T")

_PUBLIC_LOGIN: Final = Azure.model_fields["login_url"].default
_SIGN_IN: Final = {"connection_timeout": 10, "read_timeout": 30, "retry_total": 3, "retry_backoff_factor": 0.2}
_SCOPE: Final = "https://storage.azure.com/.default"
_CHUNK_BYTES: Final = 4 << 20
"""What is asked for at once: the most that Blob storage tells the MD5 of."""
_KEY_BYTES: Final = 64

logging.getLogger("azure").addHandler(logging.NullHandler())  # what the SDK would log is told by the errors


def credential(azure: Azure, home: Path) -> TokenCredential:
    """The credential of a source: its app registration where it names a secret, else the SDK's usual places.

    A token is asked for by the first request only. Raises ConfigError where the app registration is half named, and as
    `read_key` does.
    """
    if azure.client_secret is None:
        identity = {"managed_identity_client_id": azure.client_id} if azure.client_id else {}
        tenant = {"workload_identity_tenant_id": azure.tenant_id} if azure.tenant_id else {}
        return DefaultAzureCredential(authority=azure.login_url, **identity, **tenant)
    if not (azure.tenant_id and azure.client_id):
        missing = " and ".join(name for name in ("tenant_id", "client_id") if not getattr(azure, name))
        raise ConfigError(
            f"the source has `azure.client_secret`, but no `azure.{missing}`",
            expected="tenant, client and secret of one app registration",
            next_step=f"add {missing} to `azure` of the source in finops.toml, or leave the secret out",
        )
    return ClientSecretCredential(
        azure.tenant_id,
        azure.client_id,
        read_key(azure.client_secret, home),
        authority=azure.login_url,
        disable_instance_discovery=azure.login_url != _PUBLIC_LOGIN,
        **_SIGN_IN,
    )


@dataclass(frozen=True)
class Place:
    """Where an export lies: its storage account, container, and what the names of all its blobs begin with."""

    account_url: str
    account: str
    container: str
    prefix: str


def place(source: Source, export: str) -> Place:
    """The parts of an export's address; on this machine the account is the first part of the path, as in Azurite.

    Raises ConfigError for an address that names no container and export, or holds a token.
    """
    url = urlsplit(export)
    parts = url.path.strip("/").split("/")
    account = (url.hostname or "").partition(".")[0]
    root = f"{url.scheme}://{url.netloc}"
    if _is_local(url.hostname or ""):
        account = parts.pop(0)
        root = f"{root}/{account}"
    if len(parts) < 2 or url.query:
        raise ConfigError(
            f"{source.id} has the export {root}/{'/'.join(parts)}" + (" and more behind a `?`" if url.query else ""),
            expected="https://account.blob.core.windows.net/container/directory/export-name",
            next_step="correct `azure.export` of the source; a SAS token belongs where `azure.export_key` says",
        )
    return Place(root, account, parts[0], "/".join(parts[1:]) + "/")


class Session:
    """A container as a source sees it; see connectors.deliveries.Store."""

    def __init__(
        self, source: Source, azure: Azure, where: Place, home: Path, *, patience: Patience, say: Callable[[str], None]
    ) -> None:
        """Raises ConfigError as `credential` and `read_key` do, and for a key that is none or goes unencrypted."""
        self._source = source
        self._azure = azure
        self._where = where
        self._patience = patience
        self._say = say
        _checked(source, where)
        self._asking: TokenCredential | None = None
        sent: AzureNamedKeyCredential | AzureSasCredential | TokenCredential
        if azure.export_key is None:
            sent = self._asking = credential(azure, home)
            whom = f"app {azure.client_id} of tenant {azure.tenant_id}" if azure.client_secret else "whom the SDK found"
            self._identity = f"Microsoft Entra gives {whom} a token"
        else:
            sent, self._identity = _key(source, read_key(azure.export_key, home), where)
        self._container = ContainerClient(
            where.account_url,
            where.container,
            credential=sent,
            retry_total=0,
            connection_timeout=min(10.0, patience.answer_s),
            read_timeout=patience.answer_s,
            max_single_get_size=_CHUNK_BYTES,
            max_chunk_get_size=_CHUNK_BYTES,
        )

    def _called(self, request: Callable[..., T], *arguments: Any) -> T:
        """What the request answers; one that is broken, slow or busy is tried again."""
        retrying = trying(self._patience, again=can_be_tried_again, asked_s=asked_wait, tell=self._tell)
        try:
            return retrying(request, *arguments)
        except RAISED as error:
            if is_changed(error):
                raise Changed(said(error)) from error
            raise unreachable(
                error,
                self._source,
                self._azure,
                account=self._where.account,
                container=self._where.container,
                caller=self._caller,
            ) from error

    def identity(self) -> str:
        """Who asks, as a sentence; of an identity, that it gets a token."""
        if self._asking is not None:
            self._called(self._asking.get_token, _SCOPE)
        return self._identity

    def _caller(self) -> str:
        """The identity, as az names it."""
        claims = _claims(self._asking.get_token(_SCOPE).token) if self._asking is not None else {}
        return claims.get("oid") or self._azure.client_id or "<object id of the identity>"

    def listed(self, prefix: str) -> dict[str, Stored]:
        """The blobs whose names begin with the prefix, by name."""
        found: dict[str, Stored] = {}
        tokens: set[str] = set()
        pages: Any = self._container.list_blobs(name_starts_with=prefix).by_page()
        while True:
            page = self._called(_page, pages)
            if page is None:
                return found
            found |= {blob.name: _stored(blob) for blob in page}
            token = pages.continuation_token
            if token and token in tokens:
                raise SourceUnreachable(
                    f"{self._source.id}: the listing of {self._azure.export} does not come to its end",
                    expected="pages that follow each other to the last one, each once",
                    next_step=again(self._source),
                )
            tokens.add(token)

    def read(self, stored: Stored) -> bytes:
        """The content of a small blob."""
        return b"".join(self._chunks(stored))

    def save(self, stored: Stored, path: Path) -> None:
        """Write a blob to a file, in pieces; the file is there whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.new")
        with new.open("wb") as file:
            for chunk in self._chunks(stored):
                file.write(chunk)
        new.replace(path)

    def _chunks(self, stored: Stored) -> Iterator[bytes]:
        """The blob in pieces, each tried until it is whole; of a blob whose MD5 is known, all of them are checked."""
        digest = hashlib.md5(usedforsecurity=False)
        for start in range(0, stored.size, _CHUNK_BYTES):
            chunk = self._called(self._chunk, stored, start)
            digest.update(chunk)
            yield chunk
        if stored.md5 not in ("", digest.hexdigest()):
            raise Incomplete(f"{stored.key} is damaged: its MD5 is {digest.hexdigest()} and not {stored.md5}")

    def _chunk(self, stored: Stored, start: int) -> bytes:
        length = min(_CHUNK_BYTES, stored.size - start)
        answers: list[Any] = []
        try:
            chunk = self._container.download_blob(
                stored.key,
                offset=start,
                length=length,
                etag=stored.etag,
                match_condition=MatchConditions.IfNotModified,
                headers={"x-ms-range-get-content-md5": "true"},  # the SDK's own check decompresses before it compares
                raw_response_hook=answers.append,
                decompress=False,
                max_concurrency=1,
            ).readall()
        except ValueError as error:  # the SDK's own words for an answer without the headers of Blob storage
            raise BrokenBody(f"the answer to {stored.key} is not that blob: {error}") from error
        if len(chunk) != length:
            raise BrokenBody(f"{stored.key} ended after {start + len(chunk):,} of {stored.size:,} bytes")
        md5 = _md5(chunk)
        if answers[-1].http_response.headers.get("content-md5", md5) != md5:
            raise BrokenBody(f"{stored.key} was damaged on its way")
        return chunk

    def _tell(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self._say(
            f"{self._source.id}: {said(error)}; tried again in {state.upcoming_sleep:.1f} s "
            f"(try {state.attempt_number + 1} of {self._patience.attempts})"
        )


def _md5(chunk: bytes) -> str:
    return base64.b64encode(hashlib.md5(chunk, usedforsecurity=False).digest()).decode()


def _page(pages: Any) -> list[BlobProperties] | None:
    """The next page of a listing; None after the last one."""
    try:
        page = next(pages, None)
    except ValueError as error:  # many a page of a gateway
        raise BrokenBody(f"the answer is no listing of a container: {error}") from error
    return None if page is None else list(page)


def _stored(blob: BlobProperties) -> Stored:
    etag = blob.etag if blob.etag.startswith('"') else f'"{blob.etag}"'
    md5 = blob.content_settings.content_md5
    return Stored(blob.name, blob.size, etag, blob.last_modified, bytes(md5).hex() if md5 else "")


def _checked(source: Source, where: Place) -> None:
    """Raises ConfigError for an address that a key or token would go to unencrypted."""
    local = _is_local(urlsplit(where.account_url).hostname or "")
    if not local and not where.account_url.startswith("https:"):
        raise ConfigError(
            f"{source.id} is fetched from {where.account_url}",
            expected="an https address: a key or token is sent along",
            next_step="correct `azure.export` of the source in finops.toml",
        )


def _key(source: Source, key: str, where: Place) -> tuple[AzureNamedKeyCredential | AzureSasCredential, str]:
    """What is sent with every request that is signed with a key, and what it is, as a sentence."""
    if "sig=" in key:
        return AzureSasCredential(key.removeprefix("?")), "a SAS token is used"
    if _is_account_key(key):
        return AzureNamedKeyCredential(where.account, key), f"the key of storage account {where.account} is used"
    raise ConfigError(
        f"what `azure.export_key` of {source.id} names is neither a SAS token nor an account key",
        expected="a SAS token, which holds `sig=`, or a key of the storage account, which is 64 bytes in base64",
        next_step="correct what stands there, or leave `azure.export_key` out to read as an identity",
    )


def _is_account_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == _KEY_BYTES
    except binascii.Error:
        return False


def _is_local(host: str) -> bool:
    """Whether a host is this machine: where Azurite runs, whose addresses name the account in their path."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _claims(token: str) -> dict[str, str]:
    """What a token says of whom it is; nothing where it is none that can be read."""
    try:
        body = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
