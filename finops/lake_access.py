"""What an object store answers when it cannot be used, in words that say what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from deltalake.exceptions import CommitFailedError, DeltaError

from finops.errors import LakeError

_TELL: Final[tuple[tuple[str, str, str, str], ...]] = (
    (
        r"NoSuchBucket|ContainerNotFound|bucket does not exist",
        "there is no bucket or container for {uri}",
        "a bucket that exists; the lake makes only what is inside",
        "create it, or correct lake.uri in finops.toml",
    ),
    (
        r"LOCATION|PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint",
        "the bucket of {uri} is in another region than the one that was asked",
        "aws_region of lake.storage_options to be the bucket's own",
        "set it; `aws s3api get-bucket-location` tells the region",
    ),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|AuthenticationFailed|InvalidAuthentication",
        "the store does not accept the credentials for {uri}",
        "a key or role that is valid now",
        "renew the credentials in the environment or in lake.storage_options",
    ),
    (
        r"no credentials|CredentialsNotLoaded|token request|169\.254\.169\.254",
        "there are no credentials for {uri}",
        "keys in the environment or in lake.storage_options, or a role of the machine",
        "set them as docs/lake.md shows for this store",
    ),
    (
        r"AccessDenied|AuthorizationPermissionMismatch|lacked the necessary privileges|403 Forbidden|AllAccessDisabled",
        "access to {uri} was denied",
        "permission to list the bucket and to read, write and delete below the lake's prefix: on S3 s3:ListBucket, "
        "s3:GetObject, s3:PutObject and s3:DeleteObject (docs/lake.md has the policy)",
        "give these to the key or role that runs finops; a missing s3:ListBucket also shows as denied reading",
    ),
    (
        r"Unknown scheme|unsupported scheme|not find store",
        "{uri} is no address of a store that is known",
        "a folder, or s3://, az://, abfss:// or gs:// and a bucket",
        "correct lake.uri in finops.toml",
    ),
    (
        r"error sending request|HTTP error|dns error|Connection refused|timed out|Connect",
        "the object store of {uri} did not answer",
        "a store that can be reached from here",
        "check the network and aws_endpoint_url of lake.storage_options, then repeat the command",
    ),
)


@contextmanager
def reaching(uri: str) -> Iterator[None]:
    """Turn what an object store refuses into a LakeError; errors of a local folder and lost races stay as they are."""
    try:
        yield
    except CommitFailedError:
        raise
    except (OSError, DeltaError) as error:
        told = _told(uri, str(error)) if is_remote(uri) else None
        if told is None:
            raise
        raise told from error


def is_remote(uri: str) -> bool:
    """Whether a lake is on an object store, where the lock of one machine tells the others nothing."""
    return "://" in uri and not uri.startswith("file://")


def _told(uri: str, text: str) -> LakeError | None:
    for pattern, found, expected, next_step in _TELL:
        if re.search(pattern, text):
            return LakeError(found.format(uri=uri), expected=expected, next_step=next_step)
    return None
