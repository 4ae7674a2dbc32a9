"""AWS's SDK for one source: its credentials, its bucket's objects, and how long a request is tried."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any, Final

import boto3
import botocore.exceptions as raised
import tenacity
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.loaders import Loader
from botocore.session import Session as CoreSession

from connectors.aws.refusals import RAISED, Action, can_be_tried_again, is_changed, said, unreachable
from connectors.deliveries import FILES_AT_A_TIME, BrokenBody, Changed, Stored, again
from finops.config import Aws, AwsIdentity, Source
from finops.errors import SourceUnreachable

_USUAL_REGION: Final = "us-east-1"
_CHUNK_BYTES: Final = 1 << 20
_MODELS: Final = Loader()
"""What the SDK knows of AWS's services: read once a process, not once a session."""


@dataclass(frozen=True)
class Tries:
    """How long a request is tried: so often by the SDK in its standard mode, and all of that so often again.

    The SDK tries answers again; a body that breaks off while it is read is tried again here, from where it broke off.
    Waits grow from first_wait_s to longest_wait_s, with jitter. answer_s: how long one answer is awaited.
    """

    sdk: int = 3
    attempts: int = 5
    first_wait_s: float = 1
    longest_wait_s: float = 30
    answer_s: float = 60


class Session:
    """AWS as a source sees it.

    All raise SourceUnreachable that says what is missing; what reads an object raises Changed.
    """

    def __init__(self, source: Source, aws: Aws, *, tries: Tries, say: Callable[[str], None]) -> None:
        self._source = source
        self._aws = aws
        self._tries = tries
        self._say = say
        try:
            self._sdk, self._options = signed_in(aws, tries)
        except RAISED as error:
            raise unreachable(error, source, aws, "sts:AssumeRole") from error
        self.called("sts:AssumeRole", self._sdk.get_credentials().get_frozen_credentials)
        self._s3 = self.client("s3")

    def client(self, service: str) -> Any:
        """The SDK's client of a service, with the source's credentials and region."""
        return self._sdk.client(service, **self._options)

    def called(self, action: Action, request: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """What the request answers; one that is broken, slow or busy is tried again."""
        tries = self._tries
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(can_be_tried_again),
            wait=tenacity.wait_exponential_jitter(
                multiplier=tries.first_wait_s, max=tries.longest_wait_s, jitter=tries.first_wait_s
            ),
            stop=tenacity.stop_after_attempt(tries.attempts),
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            return retrying(request, *arguments, **named)
        except RAISED as error:
            if action == "s3:GetObject" and is_changed(error):
                raise Changed(said(error)) from error
            raise unreachable(error, self._source, self._aws, action) from error

    def identity(self) -> str:
        """Who asks, as a sentence."""
        return f"AWS knows {self.called('sts:GetCallerIdentity', self.client('sts').get_caller_identity)['Arn']}"

    def listed(self, prefix: str) -> dict[str, Stored]:
        """The objects whose keys begin with the prefix, by key."""
        found: dict[str, Stored] = {}
        tokens: set[str] = set()
        more: dict[str, str] = {}
        while True:
            page = self.called("s3:ListBucket", self._page, prefix, more)
            for entry in page.get("Contents", ()):
                modified = entry["LastModified"].astimezone(UTC)
                found[entry["Key"]] = Stored(entry["Key"], entry["Size"], entry["ETag"], modified)
            if not page["IsTruncated"]:
                return found
            token = page.get("NextContinuationToken", "")
            if not token or token in tokens:
                raise SourceUnreachable(
                    f"{self._source.id}: the listing of s3://{self._aws.bucket}/{prefix} does not come to its end",
                    expected="pages that follow each other to the last one, each once",
                    next_step=again(self._source),
                )
            tokens.add(token)
            more = {"ContinuationToken": token}

    def _page(self, prefix: str, more: dict[str, str]) -> dict[str, Any]:
        page: dict[str, Any] = self._s3.list_objects_v2(Bucket=self._aws.bucket, Prefix=prefix, **more)
        if "IsTruncated" not in page:  # the SDK takes any XML, and so many a page of a gateway, for an empty listing
            raise BrokenBody("the answer is no listing of a bucket")
        return page

    def read(self, stored: Stored) -> bytes:
        """The content of a small object."""

        def once() -> bytes:
            with closing(self._opened(stored, {})) as body:
                content: bytes = body.read()
            if len(content) != stored.size:
                raise BrokenBody(f"{stored.key} ended after {len(content):,} of {stored.size:,} bytes")
            return content

        found: bytes = self.called("s3:GetObject", once)
        return found

    def save(self, stored: Stored, path: Path) -> None:
        """Write an object to a file, in pieces; the file is there whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.new")
        new.unlink(missing_ok=True)
        self.called("s3:GetObject", self._append, stored, new)
        new.replace(path)

    def _append(self, stored: Stored, new: Path) -> None:
        start = new.stat().st_size if new.exists() else 0
        try:
            part = {"Range": f"bytes={start}-"} if start else {}
            with closing(self._opened(stored, part)) as body, new.open("ab") as file:
                for chunk in body.iter_chunks(_CHUNK_BYTES):
                    file.write(chunk)
            size = new.stat().st_size
        except raised.FlexibleChecksumError:
            new.unlink(missing_ok=True)
            raise
        if size != stored.size:
            raise BrokenBody(f"{stored.key} ended after {size:,} of {stored.size:,} bytes")

    def _opened(self, stored: Stored, part: dict[str, str]) -> Any:
        """The body of an object, if it is still the one that was listed."""
        answer = self._s3.get_object(Bucket=self._aws.bucket, Key=stored.key, IfMatch=stored.etag, **part)
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        if answer.get("ETag") != stored.etag or status != (206 if part else 200):
            answer["Body"].close()
            raise BrokenBody(f"the answer to {stored.key} is not that object")
        return answer["Body"]

    def _tell(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self._say(
            f"{self._source.id}: {said(error)}; tried again in {state.upcoming_sleep:.1f} s "
            f"(try {state.attempt_number + 1} of {self._tries.attempts})"
        )


@dataclass(frozen=True)
class _Role:
    """Provides a session with the credentials of a role, which renew themselves while a long pull runs."""

    fetcher: AssumeRoleCredentialFetcher

    def load_credentials(self) -> DeferredRefreshableCredentials:
        return DeferredRefreshableCredentials(self.fetcher.fetch_credentials, "assume-role")


def signed_in(aws: AwsIdentity, tries: Tries) -> tuple[boto3.Session, dict[str, Any]]:
    """A session of the SDK and what its clients are made with; raises what the SDK says of profile or credentials."""
    core = _core(aws)
    options: dict[str, Any] = {
        "region_name": aws.region or core.get_config_variable("region") or _USUAL_REGION,
        "endpoint_url": aws.endpoint_url,
        "config": Config(
            retries={"mode": "standard", "total_max_attempts": tries.sdk},
            connect_timeout=min(10.0, tries.answer_s),
            read_timeout=tries.answer_s,
            max_pool_connections=2 * FILES_AT_A_TIME,
        ),
    }
    if core.get_credentials() is None:
        raise raised.NoCredentialsError
    if aws.role_arn is not None:
        core = _assumed(core, aws, options)
    return boto3.Session(botocore_session=core), options


def _core(aws: AwsIdentity) -> CoreSession:
    core = CoreSession(profile=aws.profile)
    core.register_component("data_loader", _MODELS)
    return core


def _assumed(core: CoreSession, aws: AwsIdentity, options: dict[str, Any]) -> CoreSession:
    """A session whose credentials are those of the role, got with the credentials of the other session."""

    def client(service: str, **keys: Any) -> Any:
        return core.create_client(service, **{**keys, **options})

    extra = {"RoleSessionName": "finops"} | ({"ExternalId": aws.external_id} if aws.external_id else {})
    fetcher = AssumeRoleCredentialFetcher(client, core.get_credentials(), aws.role_arn, extra_args=extra)
    assumed = _core(aws)
    assumed.register_component("credential_provider", _Role(fetcher))
    return assumed
