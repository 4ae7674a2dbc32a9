"""Bill and metered usage joined: who a billed cell belongs to, what is unpriced, and what nobody metered."""

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from finops import schema as s
from finops import token_ledger as ledger
from finops.token_prices import load_book

DAY = date(2026, 10, 5)
OPUS = "claude-opus-5-5"


def charges(*rows: dict[str, Any]) -> pl.DataFrame:
    """The bill: uncached input of one model for 8 USD, with what each row changes."""
    usual = {
        s.CHARGE_DATE: DAY, s.SOURCE_ID: "anthropic", s.BILLING_PERIOD: "2026-10", s.LEDGER_ROLE: s.BILLED,
        s.SERVICE_PROVIDER_NAME: "Anthropic", s.CHARGE_CATEGORY: "Usage", s.IS_AI: True, s.DRIVER: "model_api",
        s.MODEL_ID: OPUS, s.TOKEN_DIRECTION: "Input", s.TOKEN_CACHE_ACTION: "Uncached", s.OWNER_STATUS: "none",
        s.BILLING_CURRENCY: "USD", s.CHARGE_COUNT: 1, s.EFFECTIVE_COST: Decimal(8),
    }  # fmt: skip
    schema = {**s.DAILY_DIMENSIONS, **s.DAILY_MEASURES}
    daily = pl.DataFrame([usual | row for row in rows], schema=schema)
    return ledger.bill(daily.with_columns(pl.col(s.BILLED_COST).fill_null(pl.col(s.EFFECTIVE_COST))).lazy())


def usage(*rows: dict[str, Any]) -> pl.DataFrame:
    """Priced usage: one million tokens of uncached input in ten requests, with what each row changes."""
    usual = {
        "source_id": "anthropic", "billing_period": "2026-10", "ledger_role": s.BILLED, "day": DAY,
        "provider": "anthropic", "operation": "messages", "model": OPUS, "service_tier": "standard",
        "owner_status": "none", "requests": Decimal(10), "usage_rows": 1,
        "uncached_input_tokens": Decimal(1_000_000),
    }  # fmt: skip
    table = pl.DataFrame([usual | row for row in rows], schema=s.TABLES["token_usage"].columns)
    return ledger.priced(table.lazy(), load_book()).collect()


def facts(
    bill: pl.DataFrame, used: pl.DataFrame, splits: dict[str, tuple[str, str | None]] | None = None
) -> pl.DataFrame:
    """The facts of a bill and its usage."""
    return ledger.facts(bill, ledger.metered(used), splits or {})


def costs(rows: pl.DataFrame, *by: str) -> dict[Any, str]:
    """Cost by one or several columns."""
    sums = rows.group_by(by).agg(pl.col("cost").sum()).rows()
    return {key[0] if len(key) == 1 else tuple(key): f"{cost.normalize():f}" for *key, cost in sums}


# ------------------------------------------------------------------------------------------------------------ pricing
def test_images_are_unpriced_and_never_free() -> None:
    """What the book does not sell has no cost and says what it is counted in."""
    rows = usage(
        {"uncached_input_tokens": None, "other_quantity": Decimal(4), "other_unit": "Images"},
        {"uncached_input_tokens": None},
        {},
    )
    assert rows["price_status"].to_list() == ["unpriced", "unpriced", "priced"]
    assert rows["cost"].to_list()[:2] == [None, None]
    assert rows["price_reason"].to_list() == [
        "counted in Images; its cost stands on the bill", "counted in requests; its cost stands on the bill", None,
    ]  # fmt: skip


def test_unpriced_lists_reasons_with_their_tokens() -> None:
    """Rows of one model and reason are one line with its first and last day."""
    unknown = {"model": "claude-nonexistent-9", "output_tokens": Decimal(5)}
    listed = ledger.unpriced(usage(unknown, unknown | {"day": date(2026, 10, 7)}, {}))
    assert listed.rows(named=True) == [
        {
            "source_id": "anthropic", "provider": "anthropic", "operation": "messages",
            "model": "claude-nonexistent-9", "service_tier": "standard", "reason": "unknown model",
            "tokens": Decimal(2_000_010), "requests": Decimal(20), "other_quantity": Decimal(0), "other_unit": None,
            "first_day": DAY, "last_day": date(2026, 10, 7),
        }
    ]  # fmt: skip


def test_every_meter_counts_towards_one_kind() -> None:
    """Audio, image and reasoning tokens are input, cache or output; what is no token is other."""
    columns = [name for name in s.METER_COLUMNS if name != "requests"]
    rows = ledger.metered(usage({name: Decimal(1) for name in columns} | {"model": "unknown"}))
    counted = dict(rows.select("kind", "volume").iter_rows())
    others = [name for name in columns if not name.endswith("_tokens")]
    assert counted == {
        "uncached_input": 4, "cache_read": 3, "cache_write": 3, "output": 5, "other": len(others),
    }  # fmt: skip
    assert rows["requests"].to_list() == [Decimal(10), None, None, None, None]


# -------------------------------------------------------------------------------------------------------------- facts
def test_a_cell_is_split_by_book_cost() -> None:
    """The two keys that used a billed cell share its cost as the book prices them; tokens come from usage."""
    found = facts(
        charges({}),
        usage(
            {"consumer_id": "a", "team": "Search"}, {"consumer_id": "b", "uncached_input_tokens": Decimal(3_000_000)}
        ),
    )
    assert costs(found, "key") == {"a": "2", "b": "6"}
    assert found.sort("key").select("team", "tokens", "requests", "list_cost", "basis").rows() == [
        ("Search", 1_000_000, 10, 4, "attributed"), (None, 3_000_000, 10, 12, "attributed"),
    ]  # fmt: skip


def test_a_cell_with_an_unpriced_part_is_split_by_tokens() -> None:
    """An unpriced row takes its share of tokens instead of none of the money."""
    found = facts(
        charges({}),
        usage({"consumer_id": "a"}, {"consumer_id": "b", "other_quantity": Decimal(1), "other_unit": "Sessions"}),
    )
    assert costs(found, "key", "kind") == {("a", "uncached_input"): "4", ("b", "uncached_input"): "4"}


def test_usage_of_another_account_day_kind_or_source_takes_nothing() -> None:
    """A cell without its own usage stays whole and says that nothing explains it."""
    bill = charges({s.SUB_ACCOUNT_ID: "w1"}, {s.SUB_ACCOUNT_ID: "w2", s.CHARGE_DATE: date(2026, 10, 6)})
    others = usage(
        {"account_id": "w2"}, {"account_id": "w1", "day": date(2026, 10, 6)}, {"source_id": "openai"},
        {"account_id": "w1", "uncached_input_tokens": None, "output_tokens": Decimal(7)},
    )  # fmt: skip
    found = facts(bill, others)
    assert costs(found, "account_id", "basis") == {("w1", "unmetered"): "8", ("w2", "unmetered"): "8"}


def test_a_bill_without_accounts_meets_the_usage_of_all() -> None:
    """Where the bill names no account, key or tier, the usage says them."""
    found = facts(charges({}), usage({"account_id": "w1"}, {"account_id": "w2", "service_tier": "batch"}))
    assert found.sort("account_id").select("account_id", "service_tier").rows() == [("w1", "standard"), ("w2", "batch")]
    assert costs(found, "account_id") == {"w1": "5.333333333333333333", "w2": "2.666666666666666667"}


def test_batch_money_goes_to_batch_usage() -> None:
    """Where the bill parts the tiers, each tier's money stays with it."""
    found = facts(
        charges({s.SERVICE_TIER: "standard"}, {s.SERVICE_TIER: "batch", s.EFFECTIVE_COST: Decimal(1)}),
        usage({"consumer_id": "a"}, {"consumer_id": "b", "service_tier": "batch"}),
    )
    assert costs(found, "key") == {"a": "8", "b": "1"}


def test_a_line_without_a_tier_is_standard_beside_one_that_says_so() -> None:
    """Of a bill that names the standard tier on some lines, the others do not meet the usage of other tiers."""
    bill = charges({s.SERVICE_TIER: "standard"}, {s.TOKEN_DIRECTION: "Output", s.TOKEN_CACHE_ACTION: None})
    used = usage({"output_tokens": Decimal(10)}, {"output_tokens": Decimal(90), "service_tier": "flex"})
    assert facts(bill, used).filter(kind="output").select("tokens", "cost").rows() == [(10, 8)]


def test_searches_without_a_model_on_the_bill_go_to_those_who_searched() -> None:
    """A line without a model is shared by the book cost of the searches, whatever model they were asked of."""
    bill = charges({}, {s.MODEL_ID: None, s.TOKEN_DIRECTION: None, s.TOKEN_CACHE_ACTION: None})
    searched = [{"consumer_id": key, "web_searches": Decimal(n)} for key, n in (("a", 100), ("b", 300))]
    stored = {"uncached_input_tokens": None, "other_quantity": Decimal(10**9), "other_unit": "Bytes", "model": None}
    found = facts(bill, usage(*searched, stored)).filter(kind="other")
    assert costs(found, "key", "model") == {
        ("a", OPUS): "2", ("b", OPUS): "6", (None, None): "0",
    }  # fmt: skip


def test_cache_tokens_that_the_bill_does_not_part_share_its_input() -> None:
    """A bill of input and output only is split over uncached, read and written tokens too."""
    found = facts(charges({}), usage({"cache_read_tokens": Decimal(1_000_000), "cache_write_5m_tokens": Decimal(1)}))
    assert set(found["kind"]) == {"uncached_input", "cache_read", "cache_write"}
    assert found["cost"].sum() == 8


def test_tokens_are_not_counted_on_the_bill_and_in_usage() -> None:
    """A charge that counts its own tokens keeps them only where nobody metered it."""
    bill = charges({s.TOKENS: Decimal(999_000)}, {s.CHARGE_DATE: date(2026, 10, 6), s.TOKENS: Decimal(500)})
    found = facts(bill, usage({}))
    assert found.select("day", "tokens", "basis").rows() == [
        (DAY, 1_000_000, "attributed"), (date(2026, 10, 6), 500, "billed"),
    ]  # fmt: skip


def test_a_credit_beside_the_charge_counts_the_tokens_once() -> None:
    """Two rows of the bill that meet the same usage share its owners, not its tokens."""
    bill = charges({}, {s.CHARGE_CATEGORY: "Credit", s.EFFECTIVE_COST: Decimal(-3)})
    found = facts(bill, usage({"team": "Search"}))
    assert found.select("team", "tokens", "cost").rows() == [("Search", 1_000_000, 5)]


def test_list_cost_is_dollars_only() -> None:
    """The book's price is not put beside a bill in another currency."""
    assert facts(charges({s.BILLING_CURRENCY: "EUR"}), usage({}))["list_cost"].to_list() == [None]


# ------------------------------------------------------------------------------------------------------------- splits
GATEWAY = {"source_id": "litellm", "ledger_role": s.DERIVED}


@pytest.fixture
def keyed() -> tuple[pl.DataFrame, pl.DataFrame]:
    """A bill of one cell that two keys used, six and two dollars."""
    rows = usage(
        {"consumer_id": "gateway", "team": "Platform", "uncached_input_tokens": Decimal(3_000_000)},
        {"consumer_id": "other", "team": "Search"},
    )
    return charges({}), rows


def test_a_gateway_divides_its_keys_money_among_teams(keyed: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    """Its teams take their share of the key's tokens; what it did not meter stays with the key's owner."""
    bill, rows = keyed
    logged = usage(
        GATEWAY
        | {"consumer_id": "v1", "team": "Support", "use_case": "chat", "uncached_input_tokens": Decimal(500_000)},
        GATEWAY | {"consumer_id": "v2", "team": "Legal", "uncached_input_tokens": Decimal(1_000_000)},
    )
    found = facts(bill, pl.concat([rows, logged]), {"litellm": ("anthropic", "gateway")})
    assert costs(found, "team", "key") == {
        ("Support", "v1"): "1", ("Legal", "v2"): "2", ("Platform", "gateway"): "3", ("Search", "other"): "2",
    }  # fmt: skip
    assert found["tokens"].sum() == 4_000_000
    assert found["requests"].sum() == 20


def test_a_gateway_that_counts_more_than_the_bill_takes_all_and_no_more(
    keyed: tuple[pl.DataFrame, pl.DataFrame],
) -> None:
    """Its teams share the key's money by their tokens."""
    bill, rows = keyed
    logged = usage(
        GATEWAY | {"team": "Support"}, GATEWAY | {"team": "Legal", "uncached_input_tokens": Decimal(9_000_000)}
    )
    found = facts(bill, pl.concat([rows, logged]), {"litellm": ("anthropic", "gateway")})
    assert costs(found, "team") == {"Support": "0.6", "Legal": "5.4", "Search": "2"}


def test_derived_usage_without_a_split_takes_nothing(keyed: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    """A gateway that no split names explains no money, and its tokens are not added."""
    bill, rows = keyed
    found = facts(bill, pl.concat([rows, usage(GATEWAY | {"team": "Support"})]))
    assert costs(found, "team") == {"Platform": "6", "Search": "2"}
    assert found["tokens"].sum() == 4_000_000


def test_a_second_gateway_divides_what_the_first_left(keyed: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    """Two gateways in front of one source each take their own share."""
    bill, rows = keyed
    logged = usage(GATEWAY | {"team": "Support"}, GATEWAY | {"source_id": "portkey", "team": "Legal"})
    splits = {"litellm": ("anthropic", None), "portkey": ("anthropic", None)}
    found = facts(bill, pl.concat([rows, logged]), splits)
    assert costs(found, "team") == {"Support": "2", "Legal": "2", "Platform": "3", "Search": "1"}
    assert found["tokens"].sum() == 4_000_000
