"""AWS's management APIs as read by a source or a command: requests that are tried again, and what refusals mean."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import botocore.exceptions as raised
import tenacity
from botocore.config import Config

from connectors.aws.refusals import RAISED, can_be_tried_again, said
from connectors.aws.session import Tries, signed_in
from finops.config import AwsIdentity
from finops.errors import SourceUnreachable

HOME_REGION: Final = "us-east-1"
"""Where Cost Explorer, the Price List and the Cost Optimization Hub answer."""
_BUSY: Final = ("LimitExceededException", "ThrottledException", "TooManyRequestsException", "InternalFailure")
"""Beside S3's and STS's codes; the first is how Cost Explorer says that calls came too fast."""
_DENIED: Final = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized")
_CREDENTIALS: Final = (
    "ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidAccessKeyId", "InvalidClientTokenId",
    "SignatureDoesNotMatch", "UnrecognizedClientException", "InvalidSignatureException",
)  # fmt: skip
_NOBODY: Final = (
    raised.NoCredentialsError, raised.PartialCredentialsError, raised.CredentialRetrievalError, raised.ProfileNotFound,
    raised.ConfigParseError, raised.UnauthorizedSSOTokenError, raised.SSOTokenLoadError, raised.TokenRetrievalError,
)  # fmt: skip
PATIENT: Final = Tries(attempts=8)


class Api:
    """One service of AWS in one region."""

    def __init__(self, client: Any, *, who: str, tries: Tries, say: Callable[[str], None]) -> None:
        self._client = client
        self._who = who
        self._tries = tries
        self._say = say

    def called(self, action: str, operation: str, *, before: Callable[[], None] = lambda: None, **asked: Any) -> Any:
        """The answer to an operation such as `get_cost_and_usage`; a busy, slow or broken one is tried again.

        action: the permission, such as `ce:GetCostAndUsage`. before: runs before every try, and may raise to stop them.
        Raises SourceUnreachable.
        """

        def once() -> Any:
            before()
            return getattr(self._client, operation)(**asked)

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_again),
            wait=tenacity.wait_exponential_jitter(
                multiplier=self._tries.first_wait_s, max=self._tries.longest_wait_s, jitter=self._tries.first_wait_s
            ),
            stop=tenacity.stop_after_attempt(self._tries.attempts),
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            return retrying(once)
        except RAISED as error:
            raise refused(error, action, self._who) from error

    def pages(
        self, action: str, operation: str, *, token: str = "NextToken", before: Callable[[], None] = lambda: None,
        **asked: Any,
    ) -> Iterator[Any]:  # fmt: skip
        """All answers of an operation whose answers name the next one by a token; raises as `called`."""
        seen: set[str] = set()
        while True:
            page = self.called(action, operation, before=before, **asked)
            yield page
            following = page.get(token)
            if not following:
                return
            if following in seen:
                raise SourceUnreachable(
                    f"{self._who}: {operation} does not come to its end: a page token came twice",
                    expected="pages that follow each other to the last one, each once",
                    next_step="run the command again; what was fetched before stays as it is",
                )
            seen.add(following)
            asked = {**asked, token: following}

    def _tell(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self._say(f"{self._who}: {said(error)}; tried again in {state.upcoming_sleep:.1f} s")


def connect(
    identity: AwsIdentity, *, who: str, say: Callable[[str], None], tries: Tries = PATIENT
) -> Callable[[str, str], Api]:
    """Makes the Api of a service in a region; raises SourceUnreachable where there are no credentials.

    The SDK itself tries nothing again, so that every request is seen, and counted, here.
    """
    try:
        sdk, options = signed_in(identity, tries)
    except RAISED as error:
        raise refused(error, "sts:AssumeRole", who) from error
    once = options["config"].merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))

    def api(service: str, region: str) -> Api:
        client = sdk.client(service, **{**options, "region_name": region, "config": once})
        return Api(client, who=who, tries=tries, say=say)

    return api


def refused(error: BaseException, action: str, who: str) -> SourceUnreachable:
    """Found, expected and next step for an error of the SDK that ended an action."""
    code, words = _code(error), said(error)
    if getattr(error, "operation_name", "") == "AssumeRole":
        action = "sts:AssumeRole"
    again = "then run the command again; what was fetched before stays as it is"
    if isinstance(error, _NOBODY) or code in _CREDENTIALS:
        return SourceUnreachable(
            f"{who}: AWS has no valid credentials to go by ({words})",
            expected="credentials that exist and have not expired, in the profile or role of the source, or the "
            "environment",
            next_step=f"`aws sso login`, or set them there, {again}",
        )
    if code in _DENIED:
        return SourceUnreachable(
            f"{who}: AWS denies {action} ({words})",
            expected=f"an identity that may {action}",
            next_step=f"attach this policy to it: {policy(action)}",
        )
    if code == "DataUnavailableException":
        return SourceUnreachable(
            f"{who}: Cost Explorer has no data yet ({words})",
            expected="Cost Explorer, enabled in the management account a day ago or longer",
            next_step=f"enable it under Billing and Cost Management, {again}",
        )
    return SourceUnreachable(f"{who}: {words}", expected=f"an answer to {action}", next_step=f"wait a little, {again}")


def policy(*actions: str) -> str:
    """The least-privilege policy for these actions, as JSON to paste; none of them can be narrowed to a resource."""
    statement = {"Effect": "Allow", "Action": sorted(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _again(error: BaseException) -> bool:
    return _code(error) in _BUSY or can_be_tried_again(error)


def _code(error: BaseException | None) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, raised.ClientError) else ""
