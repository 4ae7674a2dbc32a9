"""The page on the lake states the limits, errors and settings of the code."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from finops import lake_access, lease, snapshot_log, store
from finops.config import load_config
from tests.docs.test_pages import DOCS

PAGE = (DOCS / "lake.md").read_text()


def test_page_states_the_limits() -> None:
    """The waits, tries and intervals are those of the code."""
    assert (lease.LEASE_SECONDS, lease.WAIT_SECONDS, store.ATTEMPTS, store.STRAY_HOURS) == (30, 300, 5, 24)
    assert snapshot_log.CHECKPOINT_VERSIONS == "10"


@pytest.mark.parametrize("found", [told[1] for told in lake_access._TELL if "address of a store" not in told[1]])
def test_page_lists_every_refusal(found: str) -> None:
    """What a store can refuse stands in the table, word for word."""
    assert found.replace("{uri}", "s3://…") in PAGE


def test_page_shows_a_config_that_loads(tmp_path: Path) -> None:
    """The settings to copy are accepted, and the policy names the actions that a denial asks for."""
    (shown,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "finops.toml").write_text(shown)
    assert load_config(tmp_path).lake.uri == tomllib.loads(shown)["lake"]["uri"]
    (policy,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    actions = {statement["Action"] if isinstance(statement["Action"], str) else tuple(statement["Action"])
               for statement in json.loads(policy)["Statement"]}  # fmt: skip
    assert actions == {"s3:ListBucket", ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")}
