"""The token price book and the pricing of usage; the mistakes that public tools make, pinned one by one."""

from datetime import date, timedelta
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finops import schema as s
from finops import token_costs, token_prices
from finops.errors import InputError
from finops.schema import MONEY

MILLION = 1_000_000
OPUS = {"provider": "anthropic", "model": "claude-opus-5-5"}  # 4 in, 0.2 cached, 5 and 8 written, 20 out per million
HAIKU = {"provider": "anthropic", "model": "claude-haiku-5-5"}  # 0.1 in, 0.5 in above 100,000 tokens a request
GPT = {"provider": "openai", "model": "gpt-5.5"}  # 5 in, 30 out up to 272,000 tokens a request


def priced(*, book: pl.DataFrame | None = None, parts: bool = False, **row: Any) -> dict[str, Any]:
    """One row of usage of one request, priced."""
    names = dict.fromkeys(("provider", "model", "service_tier"), pl.String)
    filled = {"date": date(2026, 11, 15), "requests": 1, "service_tier": None, **row}
    usage = pl.LazyFrame([filled], schema_overrides=names)
    found = token_costs.price(usage, token_prices.load_book() if book is None else book, parts=parts)
    return found.collect().row(0, named=True)


def cost(**row: Any) -> Any:
    """The cost of one row of one request; None where it is unpriced."""
    return priced(**row)["cost_usd"]


def test_cached_input_pays_the_cached_price() -> None:
    """Cached input is not billed as new input."""
    assert cost(**OPUS, cache_read_tokens=MILLION) == Decimal("0.2")


@pytest.mark.parametrize(
    ("column", "expected"),
    [("cache_write_tokens", "5"), ("cache_write_5m_tokens", "5"), ("cache_write_1h_tokens", "8")],
)
def test_cache_writes_are_not_free(column: str, expected: str) -> None:
    """A written token pays the write price of its lifetime."""
    assert cost(**OPUS, **{column: MILLION}) == Decimal(expected)


def test_reasoning_tokens_are_output() -> None:
    """Reasoning tokens that are counted apart cost what output costs, on top of it."""
    assert cost(**OPUS, output_tokens=MILLION, reasoning_tokens=MILLION) == Decimal(40)


def test_batch_is_not_priced_as_standard() -> None:
    """A batch row pays the stated batch price, cache included."""
    row = {**OPUS, "uncached_input_tokens": MILLION, "cache_read_tokens": MILLION, "output_tokens": MILLION}
    assert cost(**row, service_tier="batch") == Decimal("12.1")
    assert cost(**row, service_tier="standard") == Decimal("24.2")


def test_batch_before_its_first_stated_price_follows_the_published_rule() -> None:
    """Before the list states a batch price, the provider's published ratio prices it, and says so."""
    row = priced(**OPUS, date=date(2026, 10, 13), service_tier="batch", output_tokens=MILLION)
    assert row["cost_usd"] == Decimal(10)
    assert "50 % of standard" in row["price_source"]
    assert priced(**OPUS, date=date(2026, 10, 14), service_tier="batch")["price_source"].startswith("genai-prices")
    assert cost(**OPUS, date=date(2024, 10, 7), service_tier="batch", output_tokens=MILLION) is None


def test_a_batch_price_that_nobody_states_is_unpriced() -> None:
    """Standard prices never stand in for a tier without a price, neither for all of it nor for one meter."""
    row = priced(provider="azure", model="gpt-5.5", service_tier="batch", output_tokens=5)
    assert (row["price_status"], row["cost_usd"], row["price_reason"]) == ("unpriced", None, "no batch price")
    row = priced(provider="google", model="gemini-3.1-pro-preview", service_tier="batch", cache_read_tokens=5)
    assert (row["cost_usd"], row["price_reason"]) == (None, "no price for cache_read")


@pytest.mark.parametrize(("tier", "expected"), [("flex", "15"), ("priority", "75"), ("fast", "75")])
def test_service_tiers_have_their_own_price(tier: str, expected: str) -> None:
    """Flex, priority and fast usage pays the price of its tier."""
    assert cost(**GPT, service_tier=tier, output_tokens=MILLION) == Decimal(expected)


@pytest.mark.parametrize("tier", [None, "", "default", "Standard"])
def test_the_default_tier_has_many_names(tier: str | None) -> None:
    """An empty tier and the providers' words for their default are standard."""
    assert cost(**GPT, service_tier=tier, output_tokens=MILLION) == Decimal(30)


def test_a_long_request_pays_the_long_context_price_for_all_its_tokens() -> None:
    """The tier is exceeded by one token more than it says, cached tokens count, and output is dearer too."""
    assert cost(**HAIKU, uncached_input_tokens=100_000) == Decimal("0.01")
    assert cost(**HAIKU, uncached_input_tokens=100_001) == Decimal("0.0500005")
    assert cost(**HAIKU, uncached_input_tokens=1, cache_read_tokens=100_000, output_tokens=MILLION) == Decimal(
        "2.5050005"
    )


def test_a_meter_without_a_long_context_price_keeps_its_price() -> None:
    """A search costs the same in a long request."""
    assert cost(**HAIKU, uncached_input_tokens=100_001, web_searches=1) == Decimal("0.0600005")


def test_a_row_of_many_requests_is_tiered_by_tokens_per_request() -> None:
    """Ten requests of 50,000 tokens are ten short ones."""
    assert cost(**HAIKU, uncached_input_tokens=500_000, requests=10) == Decimal("0.05")
    assert cost(**HAIKU, uncached_input_tokens=500_000, requests=2) == Decimal("0.25")


@pytest.mark.parametrize("requests", [None, 0])
def test_a_tier_that_cannot_be_told_is_unpriced(requests: int | None) -> None:
    """A long sum without a number of requests has no price; a short one has, and so has a window that is told."""
    row = {**HAIKU, "uncached_input_tokens": 500_000, "requests": requests}
    assert "number of requests" in priced(**row)["price_reason"]
    assert cost(**{**row, "uncached_input_tokens": 100_000}) == Decimal("0.01")
    assert cost(**row, context_from_tokens=0) == Decimal("0.05")
    assert cost(**row, context_from_tokens=100_000) == Decimal("0.25")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"provider": "openai", "model": "gpt-nonexistent-9", "output_tokens": 1}, "unknown model"),
        ({"provider": "acme", "model": "acme-large-1", "output_tokens": 1}, "unknown model"),
        ({"provider": "acme", "model": "acme-large-1", "output_tokens": 0}, "unknown model"),
        ({"provider": None, "model": None, "output_tokens": 1}, "unknown model"),
        ({**OPUS, "service_tier": "hyper", "output_tokens": 1}, "unknown service tier hyper"),
        ({**OPUS, "service_tier": "priority", "output_tokens": 1}, "no priority price"),
        ({**OPUS, "input_audio_tokens": 1}, "no price for input_audio"),
        ({"provider": "deepseek", "model": "deepseek-chat", "output_tokens": 1}, "the price depends on the hour"),
    ],
)
def test_what_has_no_price_is_unpriced_and_never_zero(row: dict[str, Any], reason: str) -> None:
    """Unknown models, tiers and meters have no cost, and the reason is given."""
    found = priced(**row)
    assert [found[name] for name in token_costs.PRICED] == ["unpriced", None, None, None, reason]


def test_a_row_without_tokens_of_a_known_model_costs_zero() -> None:
    """No tokens of a known model are priced, at zero, whichever meters it has no price for."""
    assert cost(**OPUS, uncached_input_tokens=0, input_audio_tokens=None, output_tokens=0) == 0


def test_money_is_exact() -> None:
    """Costs are decimals: one cheap token and ten million million of them are both exact."""
    usage = pl.LazyFrame({**OPUS, "date": [date(2026, 11, 15)], "cache_read_tokens": [1]})
    assert token_costs.price(usage, token_prices.load_book()).collect_schema()["cost_usd"] == MONEY
    assert cost(**OPUS, cache_read_tokens=1) == Decimal("0.0000002")
    assert cost(**OPUS, cache_read_tokens=10**13 + 1) == Decimal("2000000.0000002")
    counted = pl.LazyFrame({**OPUS, "date": [date(2026, 11, 15)], "output_tokens": [Decimal("0.5")]})
    assert token_costs.price(counted, token_prices.load_book()).collect()["cost_usd"][0] == Decimal("0.00001")


def test_counts_may_be_decimals() -> None:
    """Counts as the lake keeps them are priced and tiered like whole numbers."""
    row = {"uncached_input_tokens": Decimal(500_000), "output_tokens": Decimal(1_000)}
    assert cost(**HAIKU, **row, requests=Decimal(10)) == Decimal("0.0505")
    assert cost(**HAIKU, **row, requests=Decimal(2)) == Decimal("0.2525")


def test_no_usage_has_no_prices() -> None:
    """An empty frame comes back empty, with the columns of a price."""
    kinds = {"date": pl.Date, "provider": pl.String, "model": pl.String, "output_tokens": pl.Int64}
    found = token_costs.price(pl.LazyFrame(schema=kinds), token_prices.load_book()).collect()
    assert found.is_empty()
    assert found.columns == [*kinds, *token_costs.PRICED]


def test_parts_sum_to_the_cost() -> None:
    """Each token is in one part, and the parts sum to the cost to the last decimal."""
    row = priced(
        **OPUS, parts=True, uncached_input_tokens=7, cache_read_tokens=11, cache_write_1h_tokens=13, output_tokens=17
    )
    parts = {name: value for name, value in row.items() if name.endswith("_cost_usd")}
    assert parts == {
        "uncached_input_cost_usd": Decimal("0.000028"),
        "cache_read_cost_usd": Decimal("0.0000022"),
        "cache_write_1h_cost_usd": Decimal("0.000104"),
        "output_cost_usd": Decimal("0.00034"),
        "requests_cost_usd": Decimal(0),
    }
    assert sum(parts.values()) == row["cost_usd"]


def test_a_price_holds_on_its_days() -> None:
    """Usage before a price change pays the old price, usage on the day of the change the new one."""
    row = {"provider": "openai", "model": "gpt-5.6", "output_tokens": 1_000}
    assert cost(**row, date=date(2026, 8, 20)) == Decimal("0.03")
    assert cost(**row, date=date(2026, 8, 21)) == Decimal("0.02")


def test_images_are_tokens_where_the_model_says_nothing_else() -> None:
    """An image token pays the image price where there is one, and the input price where there is none."""
    assert cost(**OPUS, input_image_tokens=MILLION) == Decimal(4)
    assert cost(provider="openai", model="gpt-image-1", input_image_tokens=MILLION) == Decimal(10)
    assert cost(provider="openai", model="gpt-image-1", cache_read_image_tokens=MILLION) == Decimal("2.5")


def test_fees_of_searches_and_requests_are_charged() -> None:
    """A search is charged beside the tokens; a fee a request needs the number of requests."""
    assert cost(**OPUS, web_searches=3, service_tier="batch") == Decimal("0.03")
    book = token_prices.load_book()
    fees = book.filter(pl.col("meter") == "requests", pl.col("amount") > 0, pl.col("valid_to").is_null())
    provider, model, amount = fees.select("provider", "model", "amount").row(0)
    assert priced(provider=provider, model=model, requests=2_000, parts=True)["requests_cost_usd"] == 2 * amount
    assert "number of requests" in priced(provider=provider, model=model, requests=None)["price_reason"]


def test_a_reseller_without_its_own_price_has_the_developers() -> None:
    """Azure sells models of OpenAI at OpenAI's standard price where it states none."""
    assert cost(provider="azure", model="gpt-5.5", output_tokens=MILLION) == Decimal(30)


def test_periods_of_one_price_do_not_overlap() -> None:
    """On any day a model has at most one list price for a meter, service tier and context tier."""
    key = ["provider", "model", "meter", "service_tier", token_prices.CONTEXT]
    book = token_prices.load_book()
    after = pl.col("valid_from").shift(-1).over(key)
    ordered = book.sort([*key, "valid_from"], nulls_last=False).with_columns(after.alias("after"))
    assert ordered.filter(pl.col("after") <= pl.col("valid_to").fill_null(date.max)).is_empty()
    assert book.filter(pl.col("amount") < 0).is_empty()
    assert book.null_count().select(pl.sum_horizontal(pl.exclude("valid_from", "valid_to"))).item() == 0


def test_the_list_is_the_one_that_was_checked() -> None:
    """The date on which list prices were checked belongs to the installed version of the list."""
    assert version("genai-prices") == token_prices.LIST_VERSION


OWN = "provider,model,meter,service_tier,context_from_tokens,valid_from,valid_to,amount,unit,currency,source,checked\n"


def own_book(folder: Path, *rows: str) -> pl.DataFrame:
    """The book with rows of a company's own file."""
    path = folder / "contract.csv"
    path.write_text(OWN + "\n".join(rows) + "\n")
    return token_prices.load_book([path])


def test_a_contracted_price_wins_on_its_days(tmp_path: Path) -> None:
    """A contracted price replaces list for its meter and days, under any name of the model, and nothing else."""
    contract = "anthropic,claude-opus-5-5,output,,,2026-11-01,2026-11-30,15.5,1M tokens,USD,Contract 7,2026-10-30"
    book = own_book(tmp_path, contract)
    row = {**OPUS, "model": "claude-opus-5-5-20261001", "book": book}
    found = priced(**row, output_tokens=MILLION)
    assert found["cost_usd"] == Decimal("15.5")
    assert "Contract 7" in found["price_source"]
    assert found["price_date"] == date(2026, 10, 30)
    for outside in (date(2026, 11, 1) - timedelta(days=1), date(2026, 12, 1)):
        assert cost(**row, output_tokens=MILLION, date=outside) == Decimal(20)
    assert cost(**row, uncached_input_tokens=MILLION) == Decimal(4)


def test_a_companys_own_model_has_no_price_before_its_first_day(tmp_path: Path) -> None:
    """A model that only the company prices is not unknown before its price begins: it has no price on that day."""
    book = own_book(tmp_path, "internal,support-7b,output,,,2026-11-10,,2,1M tokens,USD,Rate card,2026-10-30")
    row = {"provider": "internal", "model": "support-7b", "output_tokens": 1}
    assert priced(book=book, date=date(2026, 11, 9), **row)["price_reason"] == "no price on this day"
    assert priced(book=book, date=date(2026, 11, 10), **row)["price_status"] == "priced"


def test_the_later_of_two_contracted_prices_wins(tmp_path: Path) -> None:
    """A later row replaces an earlier one where both hold."""
    rows = [f"anthropic,claude-opus-5-5,output,,,,,{n},1M tokens,USD,Contract,2026-10-30" for n in (3, 2)]
    assert cost(**OPUS, book=own_book(tmp_path, *rows), output_tokens=MILLION) == Decimal(2)


def test_a_company_prices_its_own_model(tmp_path: Path) -> None:
    """An unlisted model is priced by the company's file; a long-context price alone prices no short request."""
    book = own_book(
        tmp_path,
        "acme,acme-large-1,output,,,,,7,1M tokens,USD,Price sheet,2026-10-30",
        "acme,acme-long,output,,50000,,,9,1M tokens,USD,Price sheet,2026-10-30",
    )
    assert cost(provider="Acme", model="ACME-large-1", book=book, output_tokens=MILLION) == Decimal(7)
    long = {"provider": "acme", "model": "acme-long", "book": book, "output_tokens": MILLION}
    assert cost(**long, uncached_input_tokens=0) is None
    assert cost(**long, context_from_tokens=50_000) == Decimal(9)


@pytest.mark.parametrize(("tier", "ratio"), [("us", "1.1"), ("batch us", "0.55")])
def test_inference_in_one_region_has_its_ratio(tier: str, ratio: str) -> None:
    """Claude that runs in the US only costs 1.1 x of the global price, and half of that in a batch."""
    row = {
        "provider": "anthropic",
        "model": "claude-opus-4-6",
        "uncached_input_tokens": MILLION,
        "output_tokens": MILLION,
    }
    assert priced(**row, service_tier=tier)["cost_usd"] == priced(**row)["cost_usd"] * Decimal(ratio)


PTU = "azure,gpt-5,provisioned_units,ptu,,2026-11-01,,1.5,1 unit-hour,USD,Contract 8,2026-10-30"


def test_provisioned_throughput_pays_its_hours_and_not_its_tokens(tmp_path: Path) -> None:
    """The unit-hours are priced and cover the row's tokens, whatever a token costs by the call."""
    book = own_book(tmp_path, PTU)
    row = {"provider": "azure", "model": "gpt-5", "service_tier": "provisioned", "uncached_input_tokens": MILLION}
    assert priced(book=book, provisioned_unit_hours=2400, **row)["cost_usd"] == 3600


def test_provisioned_tokens_without_their_hours_are_unpriced(tmp_path: Path) -> None:
    """Tokens of provisioned throughput are not free where the hours that pay for them are not counted or not priced."""
    row = {"provider": "azure", "model": "gpt-5", "service_tier": "PTU", "uncached_input_tokens": MILLION}
    unpaid = priced(book=own_book(tmp_path, PTU), **row)
    assert (unpaid["cost_usd"], unpaid["price_status"]) == (None, "unpriced")
    assert unpaid["price_reason"].startswith("provisioned throughput is paid by the hour")
    assert priced(provisioned_unit_hours=2400, **row)["price_reason"] == "no provisioned price"


@pytest.mark.parametrize(
    ("row", "found", "expected"),
    [
        ("a,b,outputs,,,,,7,1M tokens,USD,s,2026-10-30", "meter: outputs", "uncached_input"),
        ("a,b,output,,,,,7,1K tokens,USD,s,2026-10-30", "unit: 1K tokens", "unit of the meter"),
        ("a,b,output,,,,,7,1M tokens,EUR,s,2026-10-30", "currency: EUR", "USD"),
        ("a,b,output,,,2026-02-01,2026-01-01,7,1M tokens,USD,s,2026-10-30", "valid_to: 2026-01-01", "not before"),
        ("a,b,output,,,,,$7,1M tokens,USD,s,2026-10-30", "amount: '$7'", "plain number"),
        ("a,b,output,,,,,-7,1M tokens,USD,s,2026-10-30", "amount: '-7'", "not below zero"),
        ("a,b,output,,,,,7,1M tokens,USD,,2026-10-30", "source: None", "a value"),
        ("a,b,output,,,,,7,1M tokens,USD,s,30.10.2026", "checked: '30.10.2026'", "YYYY-MM-DD"),
        ("a,b,output,,x,,,7,1M tokens,USD,s,2026-10-30", "context_from_tokens: 'x'", "whole number"),
    ],
)
def test_a_wrong_cell_of_a_price_file_is_refused(row: str, found: str, expected: str, tmp_path: Path) -> None:
    """A cell that cannot be a price names its row, what was expected and the next step."""
    with pytest.raises(InputError) as refused:
        own_book(tmp_path, row)
    assert f"row 2, {found}" in refused.value.found
    assert expected in refused.value.expected


@pytest.mark.parametrize("content", [b"", b"provider,model\na,b\n", b"\xff\xfe"])
def test_a_file_that_holds_no_prices_is_refused(content: bytes, tmp_path: Path) -> None:
    """An empty file, one with other columns and one that is no text are refused, and so is a missing one."""
    path = tmp_path / "contract.csv"
    path.write_bytes(content)
    with pytest.raises(InputError):
        token_prices.load_book([path])
    with pytest.raises(InputError):
        token_prices.load_book([tmp_path / "absent.csv"])


def test_usage_in_the_lake_has_a_column_for_each_meter() -> None:
    """The lake keeps exactly the counts that have prices, in their order."""
    assert tuple(meter.column for meter in token_prices.METERS) == s.METER_COLUMNS
