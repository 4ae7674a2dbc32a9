"""What an error of AWS's SDK means to a user, and the policy that an identity needs to read an export.

Codes: "Error responses" of the S3 API reference and "Common errors" of the STS API reference; read 2026-11-21.
"""

import json
from typing import Any, Final, Literal

import botocore.exceptions as raised
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from connectors.deliveries import BrokenBody, again
from finops.config import Aws, Source
from finops.errors import SourceUnreachable

Action = Literal["s3:ListBucket", "s3:GetObject", "sts:AssumeRole", "sts:GetCallerIdentity"]

_EXPIRED: Final = ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired")
_UNKNOWN_KEY: Final = (
    "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken", "SignatureDoesNotMatch",
    "UnrecognizedClientException",
)  # fmt: skip
_DENIED: Final = ("AccessDenied", "AccessDeniedException", "AllAccessDisabled", "Forbidden", "403")
_ELSEWHERE: Final = ("PermanentRedirect", "AuthorizationHeaderMalformed", "301")
_CHANGED: Final = ("NoSuchKey", "PreconditionFailed", "InvalidRange", "404", "412", "416")
_BUSY: Final = (
    "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded", "RequestTimeout",
    "BandwidthLimitExceeded",
)  # fmt: skip
_SIGNED_OUT: Final = (raised.UnauthorizedSSOTokenError, raised.SSOTokenLoadError, raised.TokenRetrievalError)
_NOBODY: Final = (
    raised.NoCredentialsError, raised.PartialCredentialsError, raised.CredentialRetrievalError, raised.ProfileNotFound,
    raised.ConfigParseError, raised.InvalidConfigError,
)  # fmt: skip
_SAID_LENGTH: Final = 400


_BROKEN: Final = (
    raised.HTTPClientError, raised.ConnectionError, raised.IncompleteReadError, raised.FlexibleChecksumError,
    ResponseParserError, HTTPError, BrokenBody,
)  # fmt: skip
RAISED: Final = (raised.BotoCoreError, raised.ClientError, ResponseParserError, HTTPError, BrokenBody)
"""All that a request can raise; urllib3's own errors where the body of an error answer breaks off."""


def can_be_tried_again(error: BaseException) -> bool:
    """Whether the server was busy or the connection broke, so that the same request may have its answer later."""
    if isinstance(error, raised.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return _code(error) in _BUSY or status == 429 or status >= 500
    return isinstance(error, _BROKEN)


def is_changed(error: BaseException) -> bool:
    """Whether an object is no longer the one that was listed: gone, or written anew."""
    return _code(error) in _CHANGED


def said(error: BaseException | None) -> str:
    """An error in AWS's words, on one line."""
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, raised.ClientError):
        text = f"{_code(error)}: {error.response.get('Error', {}).get('Message', '')}"
    text = " ".join(text.split())
    return text if len(text) <= _SAID_LENGTH else f"{text[:_SAID_LENGTH]}..."


def policy(aws: Aws) -> str:
    """The least-privilege policy that reads the export, as JSON to paste."""
    find = {
        "Sid": "FindTheExport",
        "Effect": "Allow",
        "Action": "s3:ListBucket",
        "Resource": _arn(aws, "s3:ListBucket"),
        "Condition": {"StringLike": {"s3:prefix": f"{aws.prefix}*"}},
    }
    read = {
        "Sid": "ReadTheExport",
        "Effect": "Allow",
        "Action": "s3:GetObject",
        "Resource": _arn(aws, "s3:GetObject"),
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [find, read]})


def unreachable(error: BaseException, source: Source, aws: Aws, action: Action) -> SourceUnreachable:
    """Found, expected and next step for an error that ended an action."""
    found, expected, next_step = _credentials(error, source, aws) or _bucket(error, source, aws, action)
    return SourceUnreachable(f"{source.id}: {found} ({said(error)})", expected=expected, next_step=next_step)


def _credentials(error: BaseException, source: Source, aws: Aws) -> tuple[str, str, str] | None:
    """What is wrong with the credentials, if it is they."""
    who = f"the profile {aws.profile}" if aws.profile else "the SDK's usual places (environment, ~/.aws, instance role)"
    profile = f" --profile {aws.profile}" if aws.profile else ""
    if isinstance(error, _NOBODY):
        return (
            f"there are no AWS credentials in {who}",
            "credentials that may read the export",
            f"set them there, or `aws.profile` of the source in finops.toml, then {again(source)}",
        )
    if _code(error) in _EXPIRED or isinstance(error, _SIGNED_OUT):
        return (
            f"the AWS credentials of {who} have expired",
            "credentials that are still valid",
            f"`aws sso login{profile}`, or renew them where they come from, then {again(source)}",
        )
    if _code(error) in _UNKNOWN_KEY:
        return (
            f"AWS does not know the credentials of {who}",
            "an access key that exists, with its secret and, where it is temporary, its token",
            f"correct them there, then {again(source)}",
        )
    if getattr(error, "operation_name", "") == "AssumeRole" and not can_be_tried_again(error):
        external = f"the external id {aws.external_id}" if aws.external_id else "no external id"
        return (
            f"the role {aws.role_arn} cannot be assumed",
            f"credentials that may sts:AssumeRole it, and a trust policy of the role that names them and {external}",
            f"correct the trust policy, or `aws.role_arn` and `aws.external_id` of the source, then {again(source)}",
        )
    return None


def _bucket(error: BaseException, source: Source, aws: Aws, action: Action) -> tuple[str, str, str]:
    code = _code(error)
    if code in _DENIED:
        key = ", and kms:Decrypt with the key of the files" if "kms" in said(error).lower() else ""
        return (
            f"AWS denies {action} on {_arn(aws, action)}",
            f"an identity that may {action} there{key}",
            f"attach this policy to it: {policy(aws)}",
        )
    if code == "NoSuchBucket":
        return (
            f"there is no bucket {aws.bucket}",
            "the bucket that the export is delivered to",
            "correct `aws.export` of the source in finops.toml",
        )
    if code in _ELSEWHERE:
        region = _region(error)
        return (
            f"the bucket {aws.bucket} lies in another region{f', {region}' if region else ''}",
            "the bucket's own region",
            f'set `aws.region = "{region or "..."}"` of the source in finops.toml',
        )
    if code == "InvalidObjectState":
        return (
            f"a file of {aws.export} is archived",
            "files in a storage class that can be read at once",
            f"restore it, or begin `aws.since` of the source after the archived months, then {again(source)}",
        )
    if code == "RequestTimeTooSkewed":
        return (
            "this machine's clock is wrong",
            "a clock that is right within 15 minutes",
            f"set it, then {again(source)}",
        )
    return f"{aws.export} cannot be read", f"an answer to {action}", again(source)


def _code(error: BaseException | None) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, raised.ClientError) else ""


def _arn(aws: Aws, action: Action) -> str:
    region = aws.region or ""
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    return f"arn:{partition}:s3:::{aws.bucket}" + (f"/{aws.prefix}*" if action == "s3:GetObject" else "")


def _region(error: BaseException) -> str | None:
    """The region that AWS names in place of the one that was asked."""
    response: dict[str, Any] = getattr(error, "response", {})
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = response.get("Error", {}).get("Region") or headers.get("x-amz-bucket-region")
    return str(region) if region else None
