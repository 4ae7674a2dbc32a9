"""The page on AWS's exports shows a session that runs as shown, the policy, and the patience of the code."""

import json
import re
from datetime import date, timedelta
from pathlib import Path

from connectors.aws import exports
from connectors.aws.refusals import policy
from connectors.aws.session import Tries
from connectors.deliveries import FILES_AT_A_TIME, RESTARTS
from finops.config import Aws
from tests.docs.test_pages import DOCS, run_page

PAGE = (DOCS / "aws-exports.md").read_text()


def test_page_prints_what_it_shows(tmp_path: Path) -> None:
    """Every command of the page runs and prints what stands below it."""
    run_page("aws-exports.md", tmp_path)


def test_page_shows_the_policy() -> None:
    """The policy to paste is the one that the code builds."""
    (shown,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    aws = Aws(export="s3://acme-billing/exports/acme", since=date(2026, 1, 1))
    assert json.loads(shown) == json.loads(policy(aws))


def test_page_names_settings_and_limits() -> None:
    """The settings that say as whom and what to fetch, the tries and the limits are those of the code."""
    for setting in ("export", "since", "profile", "role_arn", "external_id", "region", "endpoint_url"):
        assert re.search(rf"\b{setting}\b", PAGE)
        assert setting in Aws.model_fields
    assert (Tries().sdk, Tries().attempts, Tries().first_wait_s, Tries().longest_wait_s) == (3, 5, 1, 30)
    limits = (FILES_AT_A_TIME, RESTARTS, exports._DELIVERY)
    assert limits == (4, 3, timedelta(hours=6))
