"""Who owns a charge: tags, mappings, accounts."""

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops import schema as s
from finops.config import TagKeys
from finops.errors import ConfigError
from finops.ownership import PURPOSE_WORD, tag_value, with_owners
from finops.rules import load_rules

KINDS = {**s.FOCUS, **s.LINEAGE, **s.CLASSIFICATION}
RULES = load_rules()


def mapping(kind: str, match: str, **values: str) -> dict[str, Any]:
    return {
        **dict.fromkeys(s.TABLES["mappings"].columns),
        "kind": kind,
        "match": match,
        "source": "mappings.csv",
        **values,
    }


def owners(
    *rows: dict[str, Any], mappings: tuple[dict[str, Any], ...] = (), tags: TagKeys | None = None
) -> pl.DataFrame:
    table = pl.DataFrame(list(mappings), schema=s.TABLES["mappings"].columns)
    charges = pl.LazyFrame([{**dict.fromkeys(KINDS), **row} for row in rows], schema=KINDS)
    return with_owners(charges, tags or TagKeys(), table, RULES).collect()


def owner(row: dict[str, Any], *mappings: dict[str, Any]) -> tuple[Any, Any]:
    return owners(row, mappings=mappings).select(s.TEAM, s.OWNER_STATUS).row(0)


def read(text: str | None, *keys: str) -> str | None:
    value: str | None = pl.select(pl.lit(text, dtype=pl.String).alias(s.TAGS)).select(tag_value(*keys)).item()
    return value


@pytest.mark.parametrize(
    ("tags", "value"),
    [
        ('{"team":"search"}', "search"), ('{"TEAM": "search"}', "search"), ('{" team":"search"}', "search"),
        ('{"team ":" search "}', "search"), ('{"user:Team":"search"}', "search"), ('{"user_team":"search"}', "search"),
        ('{"resource_tags/user_team":"search"}', "search"), ('{"team":12}', "12"), ('{"team":true}', "true"),
        ('{"team":"R\\u00e9seau \\"A\\""}', 'Réseau "A"'), ('{"team":"a\\\\b"}', "a\\b"), ('{"team":""}', None),
        ('{"team":"  "}', None), ('{"team":null}', None), ('{"myteam":"x","team-b":"y"}', None), ('{"x":"team"}', None),
        ('{"note":"\\"team\\": \\"x\\""}', None), ("{}", None), ("", None), (None, None), ("no json", None),
    ],
)  # fmt: skip
def test_a_tag_is_read_from_json_text(tags: str | None, value: str | None) -> None:
    """Case, spaces and AWS prefixes of the key do not matter; blanks are no value, and values are no keys."""
    assert read(tags, "team") == value


def test_the_first_configured_key_with_a_value_wins() -> None:
    """The order is the config's, not the bill's."""
    assert read('{"squad":"b","team":"a"}', "team", "squad") == "a"
    assert read('{"squad":"b","team":""}', "team", "squad") == "b"


WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")) | st.just(" "), max_size=20)


@given(st.dictionaries(st.sampled_from(["team", "a", "b c", 'x"y']), WORDS, max_size=4), st.booleans())
@settings(deadline=None, max_examples=100)
def test_reading_a_tag_is_reading_the_json(tags: dict[str, str], ascii_only: bool) -> None:
    """Whatever stands in the tags, the value is the one that a JSON reader finds."""
    assert read(json.dumps(tags, ensure_ascii=ascii_only), "team") == (tags.get("team", "").strip(" ") or None)


def test_tags_name_every_dimension() -> None:
    """Team, use case, cost center and environment come from their own keys."""
    tags = '{"Team":"search","application":"chatbot","CostCenter":"4711","env":"prod","purpose":"Serving"}'
    found = owners({s.TAGS: tags}).row(0, named=True)
    assert [found[c] for c in (s.TEAM, s.USE_CASE, s.COST_CENTER, s.ENVIRONMENT)] == [
        "search",
        "chatbot",
        "4711",
        "prod",
    ]
    assert (found[PURPOSE_WORD], found[s.OWNER_STATUS]) == ("inference", "known")


def test_keys_can_be_configured_away() -> None:
    """A dimension without tag keys is left to mappings."""
    found = owners({s.TAGS: '{"team":"search"}'}, tags=TagKeys(team=(), purpose=())).row(0, named=True)
    assert (found[s.TEAM], found[s.OWNER_STATUS]) == (None, "none")


def test_mappings_are_asked_from_the_nearest_to_the_farthest() -> None:
    """Source, tag, key, tag mapping, service, account: the first that names the team wins."""
    row: dict[str, Any] = {
        s.TEAM: "source", s.TAGS: '{"team":"tag","project":"P1"}', s.CONSUMER_ID: "key-1",
        s.SERVICE_NAME: "OpenAI API", s.SUB_ACCOUNT_ID: "0012",
    }  # fmt: skip
    table = (
        mapping("account", "0012", team="account"), mapping("service", "openai api", team="service"),
        mapping("tag", "Project=p1", team="tag-mapping"), mapping("key", "key-1", team="key"),
    )  # fmt: skip
    answers = []
    for gone in (None, s.TEAM, "team", s.CONSUMER_ID, "project", s.SERVICE_NAME, s.SUB_ACCOUNT_ID):
        if gone and gone in row:
            row[gone] = None
        elif gone:
            row[s.TAGS] = row[s.TAGS].replace(f'"{gone}"', '"gone"')
        answers.append(owner(row, *table))
    assert answers == [
        ("source", "known"), ("tag", "known"), ("key", "known"), ("tag-mapping", "known"), ("service", "known"),
        ("account", "inferred"), (None, "none"),
    ]  # fmt: skip


def test_each_column_is_answered_by_the_first_that_knows_it() -> None:
    """A mapping fills what the tags leave open and overrules nothing."""
    found = owners(
        {s.TAGS: '{"team":"search"}', s.SUB_ACCOUNT_ID: "1"},
        mappings=(mapping("account", "1", team="other", cost_center="CC1", purpose="training"),),
    ).row(0, named=True)
    assert (found[s.TEAM], found[s.COST_CENTER], found[PURPOSE_WORD]) == ("search", "CC1", "training")
    assert found[s.OWNER_STATUS] == "known"


def test_an_account_is_known_by_its_ids_and_its_name() -> None:
    """Sub-account id, sub-account name and billing account id are all looked up; leading zeros count."""
    table = mapping("account", "Alpha", team="a"), mapping("account", "0042", team="b")
    assert owner({s.SUB_ACCOUNT_NAME: "ALPHA "}, *table) == ("a", "inferred")
    assert owner({s.BILLING_ACCOUNT_ID: "0042"}, *table) == ("b", "inferred")
    assert owner({s.BILLING_ACCOUNT_ID: "42"}, *table) == (None, "none")


def test_a_payers_mapping_leaves_sub_accounts_alone() -> None:
    """The mapping of a billing account is not inherited by the sub accounts that it pays for."""
    table = (mapping("account", "0042", team="b"),)
    assert owner({s.BILLING_ACCOUNT_ID: "0042", s.SUB_ACCOUNT_ID: "7"}, *table) == (None, "none")


@pytest.mark.parametrize(
    ("name", "team", "environment"),
    [
        ("payments-prod", "payments", "prod"), ("ML Platform staging", "ml platform", "staging"),
        ("labs-sandbox", None, None), ("Atlas Nimbus", None, None), ("prod", None, None), (None, None, None),
    ],
)  # fmt: skip
def test_the_name_of_an_account_tells_its_team(name: str | None, team: str | None, environment: str | None) -> None:
    """<team>-<environment> is inferred; a sandbox or another name says nothing."""
    found = owners({s.SUB_ACCOUNT_NAME: name}).row(0, named=True)
    assert (found[s.TEAM], found[s.ENVIRONMENT]) == (team, environment)
    assert found[s.OWNER_STATUS] == ("inferred" if team else "none")


def test_a_repeated_mapping_does_not_repeat_a_charge() -> None:
    """Two mappings that differ in case alone are one, and rows stay in order."""
    table = mapping("account", "A", team="first"), mapping("account", "a ", team="second")
    found = owners(*({s.SUB_ACCOUNT_ID: "a", s.SOURCE_ROW: i} for i in range(100)), mappings=table)
    assert found[s.SOURCE_ROW].to_list() == list(range(100))
    assert found[s.TEAM].unique().to_list() == ["first"]


@pytest.mark.parametrize(("kind", "match"), [("project", "x"), ("tag", "novalue"), ("tag", "key=")])
def test_a_mapping_that_cannot_be_looked_up_is_refused(kind: str, match: str) -> None:
    """The error names the mapping and its file."""
    with pytest.raises(ConfigError, match=r"mappings\.csv"):
        owners({}, mappings=(mapping(kind, match, team="x"),))


def test_a_source_that_says_it_is_nobodys_is_believed() -> None:
    """An owner status of the source is kept."""
    assert owner({s.OWNER_STATUS: "none", s.TEAM: "x"}) == ("x", "none")


def test_distinct_and_repeated_tags_are_read_alike() -> None:
    """Rows with their own tags each, and rows that share them, get the same answers."""
    tags = [f'{{"team":"t{i}"}}' for i in range(3_000)]
    distinct = owners(*({s.TAGS: tag} for tag in tags))[s.TEAM].to_list()
    repeated = owners(*({s.TAGS: tag} for tag in [tags[0]] * 2_000 + tags))[s.TEAM].to_list()
    assert distinct == [f"t{i}" for i in range(3_000)]
    assert repeated == ["t0"] * 2_000 + distinct


def test_the_credential_of_the_focus_draft_is_the_consumer() -> None:
    """CredentialId, else PrincipalId, names the consumer, and the mapping of a key finds it."""
    row = {s.SOURCE_COLUMNS: '{"PrincipalId":"user-7","CredentialId":"key_02"}'}
    found = owners(
        row, {s.SOURCE_COLUMNS: '{"PrincipalId":"user-7"}'}, mappings=(mapping("key", "KEY_02", team="atlas"),)
    )
    assert found[s.CONSUMER_ID].to_list() == ["key_02", "user-7"]
    assert found[s.TEAM].to_list() == ["atlas", None]
