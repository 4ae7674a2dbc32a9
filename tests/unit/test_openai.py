"""OpenAI's cost pages become charges to the last decimal, and a pull that is not whole is refused."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors import files, openai
from connectors.registry import RAW, REJECT, RawPart, connector
from finops import schema as s
from finops.errors import InputError
from finops.pipeline.totals import Batch
from finops.store import Lake
from tests.conftest import TODAY

DAY = 86_400
SEPTEMBER = 1_788_220_800  # 2026-09-01
USAGE = '{"object": "organization.usage.completions.result", "input_tokens": 5, "output_tokens": 1, "model": null}'


def cost(value: str = "1.5", currency: str = "usd", quantity: str = "30000.0", **fields: object) -> str:
    """A result as JSON text; value and quantity as they are written, because a float would change them."""
    usual = {
        "line_item": "gpt-5, input_tokens", "project_id": "proj_a", "quantity_unit": "tokens", "api_key_id": None,
        "user_id": None, "api_source": None,
    }  # fmt: skip
    rest = json.dumps({**usual, **fields})[1:]
    amount = f'{{"value": {value}, "currency": "{currency}"}}'
    return f'{{"object": "organization.costs.result", "amount": {amount}, "quantity": {quantity}, {rest}'


def bucket(day: int, *results: str) -> str:
    """The bucket of the day of that number, counted from 1 September 2026 = 1."""
    start = SEPTEMBER + (day - 1) * DAY
    return (
        f'{{"object": "bucket", "start_time": {start}, "end_time": {start + DAY}, "results": [{", ".join(results)}]}}'
    )


def save(path: Path, *buckets: str, has_more: bool = False) -> Path:
    """A page, saved."""
    path.parent.mkdir(parents=True, exist_ok=True)
    more = '"has_more": true, "next_page": "page_AAA"' if has_more else '"has_more": false, "next_page": null'
    path.write_text(f'{{"object": "page", "data": [{", ".join(buckets)}], {more}}}')
    return path


def parts(path: Path) -> list[RawPart]:
    return files.source_parts(connector("openai"), path, until=TODAY, say=lambda _: None)


def parsed(path: Path) -> pl.DataFrame:
    return pl.concat([openai.parse(part).collect() for part in parts(path) if part.holds == "charges"])


def charge(folder: Path, **fields: Any) -> dict[str, Any]:
    return parsed(save(folder / "page.json", bucket(5, cost(**fields)))).row(0, named=True)


@pytest.fixture
def pages(tmp_path: Path, shared: Path) -> Path:
    """The cost and usage pages of the sample data, without its answers of an error."""
    folder = tmp_path / "pages"
    folder.mkdir()
    for page in (shared / "api/openai").glob("*_page*.json"):
        (folder / page.name).write_bytes(page.read_bytes())
    return folder


@pytest.mark.shared
def test_the_sample_sums_to_its_control_total(pages: Path, load: Callable[..., list[Batch]], lake: Lake) -> None:
    """1207.9973456789 USD are read, stored and classified as model calls, credit included; usage adds no money."""
    (batch,) = load(pages, "openai")
    (total,) = batch.billed_cost
    assert (total.currency, total.read, total.stored) == ("USD", *[Decimal("1207.9973456789")] * 2)
    assert (batch.rows_read, batch.rows_quarantined, batch.billing_period) == (10 + 6, 0, "2026-10")
    charges = lake.scan("charges").collect()
    assert charges[s.IS_AI].all()
    assert set(charges[s.DRIVER]) == {"model_api"}
    assert set(charges[s.HOSTING]) == {"api"}
    assert charges.filter(pl.col(s.BILLED_COST) < 0)[s.CHARGE_CATEGORY].to_list() == ["Credit"]
    assert charges[s.TOKENS].sum() == 73695000 + 88425000 + 27512000 + 76400500 + 26540000 + 23171889 + 24000
    assert set(charges.filter(pl.col(s.TOKENS) > 0)[s.SERVICE_TIER]) == {"standard"}


@pytest.mark.shared
def test_each_page_says_what_it_holds(pages: Path) -> None:
    """Costs and usage in one folder are told apart by their results, whatever the files are called."""
    assert {part.name: part.holds for part in parts(pages)} == {
        "costs_page1.json": "charges", "costs_page2.json": "charges",
        "usage_completions_page1.json": "usage", "usage_completions_page2.json": "usage",
    }  # fmt: skip


@pytest.mark.shared
@pytest.mark.parametrize("name", ["error_401.json", "error_429.json"])
def test_a_saved_error_is_refused(name: str, pages: Path, shared: Path) -> None:
    """An error answer among the pages stops the load and is named with what it says."""
    answer = (shared / "api/openai" / name).read_text()
    (pages / name).write_text(answer)
    with pytest.raises(InputError, match=name) as error:
        parts(pages)
    assert json.loads(answer)["error"]["message"] in error.value.found


def test_all_costs_are_the_amount(tmp_path: Path) -> None:
    """The four costs are amount.value digit for digit, in the currency in capitals, on the bucket's day and month."""
    row = charge(tmp_path, value="0.1234567890123456789012", currency="usd")
    assert {row[c] for c in s.COSTS.values()} == {Decimal("0.123456789012345679")}
    assert row[s.BILLING_CURRENCY] == "USD"
    assert row[s.CHARGE_PERIOD_START] == datetime(2026, 9, 5, tzinfo=UTC)
    assert row[s.CHARGE_PERIOD_END] == datetime(2026, 9, 6, tzinfo=UTC)
    assert row[s.BILLING_PERIOD_START] == datetime(2026, 9, 1, tzinfo=UTC)
    assert row[s.BILLING_PERIOD_END] == datetime(2026, 10, 1, tzinfo=UTC)
    assert row[s.SUB_ACCOUNT_ID] == "proj_a"
    assert (row[s.IS_AI], row[s.HOSTING]) == (True, "api")


def test_the_year_ends_in_january(tmp_path: Path) -> None:
    """December's billing period ends with the next year's January."""
    row = parsed(save(tmp_path / "page.json", bucket(30 + 31 + 30 + 31, cost()))).row(0, named=True)
    assert row[s.BILLING_PERIOD_START] == datetime(2026, 12, 1, tzinfo=UTC)
    assert row[s.BILLING_PERIOD_END] == datetime(2027, 1, 1, tzinfo=UTC)


def test_an_amount_as_text_is_read(tmp_path: Path) -> None:
    """amount.value written as a text of a number is that number."""
    assert charge(tmp_path, value='"3.25"')[s.BILLED_COST] == Decimal("3.25")


@pytest.mark.parametrize(
    ("line_item", "details"),
    [
        ("gpt-5, input_tokens", {"ModelId": "gpt-5", "TokenDirection": "Input", "TokenCacheAction": "Uncached"}),
        ("gpt-5, cached_input_tokens", {"ModelId": "gpt-5", "TokenDirection": "Input", "TokenCacheAction": "Read"}),
        ("o9, input_cache_write_tokens", {"ModelId": "o9", "TokenDirection": "Input", "TokenCacheAction": "Write"}),
        ("gpt-5, output_tokens", {"ModelId": "gpt-5", "TokenDirection": "Output"}),
        ("gpt-5, batch output", {"ModelId": "gpt-5", "TokenDirection": "Output", "x_ServiceTier": "batch"}),
        ("ft:gpt-5:acme, v2, output", {"ModelId": "ft:gpt-5:acme, v2", "TokenDirection": "Output"}),
        ("web_search_calls", None),
        (None, None),
    ],
)  # fmt: skip
def test_line_items_say_what_is_priced(line_item: str | None, details: dict[str, str] | None, tmp_path: Path) -> None:
    """Model, direction, cache action and tier of a token line go to SkuPriceDetails; other lines claim none."""
    row = charge(tmp_path, line_item=line_item)
    assert (json.loads(row[s.SKU_PRICE_DETAILS]) if row[s.SKU_PRICE_DETAILS] else None) == details
    assert row[s.SKU_METER] == line_item
    assert row[s.CHARGE_DESCRIPTION] == (line_item or "OpenAI API")
    assert row[s.SERVICE_TIER] == (details or {}).get("x_ServiceTier")


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("tokens", "Tokens"), ("1000_tokens", "1000 Tokens"), ("duration_hours", "Hours"), (None, "Units"), ("mb", "mb")],
)
def test_quantities_keep_their_unit(unit: str | None, expected: str, tmp_path: Path) -> None:
    """A quantity comes with its unit; one that is not known stays as it is written."""
    row = charge(tmp_path, quantity="12.5", quantity_unit=unit)
    assert (row[s.CONSUMED_QUANTITY], row[s.CONSUMED_UNIT]) == (Decimal("12.5"), expected)
    assert (row[s.PRICING_QUANTITY], row[s.PRICING_UNIT]) == (Decimal("12.5"), expected)


def test_a_negative_cost_is_a_credit(tmp_path: Path) -> None:
    """Money given back keeps its sign and consumes nothing."""
    row = charge(tmp_path, value="-12.5")
    assert (row[s.BILLED_COST], row[s.CHARGE_CATEGORY]) == (Decimal("-12.5"), "Credit")
    assert (row[s.CONSUMED_QUANTITY], row[s.CONSUMED_UNIT]) == (None, None)


def test_the_key_is_the_consumer(tmp_path: Path) -> None:
    """x_ConsumerId is the API key, or the user where the key is not given; a null project stays null."""
    assert charge(tmp_path, api_key_id="key_1", user_id="user_1")[s.CONSUMER_ID] == "key_1"
    assert charge(tmp_path, user_id="user_1")[s.CONSUMER_ID] == "user_1"
    row = charge(tmp_path, project_id=None)
    assert (row[s.CONSUMER_ID], row[s.SUB_ACCOUNT_ID], row[s.SUB_ACCOUNT_TYPE]) == (None, None, None)


def test_the_organization_is_the_billing_account(tmp_path: Path) -> None:
    """The source's option names the billing account, because pages don't; else it is the provider's name."""
    page = save(tmp_path / "page.json", bucket(1, cost()))
    for options, expected in (({"organization": "org-acme"}, "org-acme"), ({}, "OpenAI")):
        (part,) = files.source_parts(connector("openai"), page, until=TODAY, options=options, say=lambda _: None)
        assert openai.parse(part).collect()[s.BILLING_ACCOUNT_ID].to_list() == [expected]


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (cost(value='"$4.00"'), 'amount.value is "$4.00", which is no number'),
        (cost(value="null"), "amount.value is missing"),
        (cost(value="NaN"), 'amount.value is "NaN", which is no number'),
        (cost(value="true"), 'amount.value is "True", which is no number'),
        (cost(value="1e20"), 'amount.value is "1E+20", which is too large'),
        ('{"object": "organization.costs.result"}', "amount.value is missing; currency is missing"),
        (cost(currency=""), "currency is missing"),
        (cost(currency="dollars"), 'currency is "dollars", which is no ISO 4217 code'),
        (cost(quantity='"many"'), 'quantity is "many", which is no number'),
        (USAGE, "the result is no cost"),
        ("7", "the result is no cost"),
    ],
)
def test_a_wrong_result_is_rejected(result: str, reason: str, tmp_path: Path) -> None:
    """What cannot be a charge is kept with its reason, its bucket and itself; the others are charges."""
    rows = parsed(save(tmp_path / "page.json", bucket(5, result, cost())))
    assert rows[s.SOURCE_ROW].to_list() == [1, 2]
    assert rows[REJECT].to_list() == [reason, None]
    raw = json.loads(rows[RAW][0])
    assert raw["start_time"] == SEPTEMBER + 4 * DAY
    assert len(raw["results"]) == 1
    assert rows[s.BILLING_PERIOD_START][0] == datetime(2026, 9, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ('"end_time": 1788307200', "start_time is missing"),
        ('"start_time": "soon", "end_time": 1788307200', 'start_time is "soon", which is no time in seconds'),
        ('"start_time": 1788220800000, "end_time": 1', 'start_time is "1788220800000", which is no time in seconds'),
        ('"start_time": 1788220800', "end_time is missing"),
        ('"start_time": 1788220800, "end_time": 1788220800', "end_time does not lie after start_time"),
    ],
)
def test_a_bucket_without_its_times_is_rejected(times: str, reason: str, tmp_path: Path) -> None:
    """The results of a bucket that cannot be dated are rejected with their money."""
    rows = parsed(save(tmp_path / "page.json", f'{{{times}, "results": [{cost(value="4")}]}}', bucket(9, cost())))
    assert rows[REJECT].to_list() == [reason, None]
    assert rows[s.BILLED_COST].to_list() == [Decimal(4), Decimal("1.5")]


def test_an_empty_page_is_no_row(tmp_path: Path) -> None:
    """Buckets without results are no rows, and a page of them only continues the page before it."""
    save(tmp_path / "1.json", bucket(1, cost()), bucket(2), has_more=True)
    save(tmp_path / "2.json", bucket(3))
    assert [part.name for part in parts(tmp_path)] == ["1.json", "2.json"]
    assert len(parsed(tmp_path)) == 1


def test_an_empty_page_holds_what_its_folder_holds(tmp_path: Path) -> None:
    """A page without a result is usage in a folder of usage only, else charges; it may be there any number of times."""
    save(tmp_path / "costs/1.json", bucket(1, cost()), has_more=True)
    for folder in ("costs", "usage/completions", "usage/images"):
        save(tmp_path / folder / "2.json", bucket(2))
    save(tmp_path / "usage/completions/1.json", bucket(1, USAGE), has_more=True)
    assert {part.name: part.holds for part in parts(tmp_path)} == {
        "costs/1.json": "charges", "costs/2.json": "charges", "usage/completions/1.json": "usage",
        "usage/completions/2.json": "usage", "usage/images/2.json": "charges",
    }  # fmt: skip


def test_a_pull_of_nothing_is_refused(tmp_path: Path, load: Callable[..., list[Batch]]) -> None:
    """A folder whose pages hold no result at all loads nothing and says so."""
    save(tmp_path / "1.json", bucket(1))
    with pytest.raises(InputError, match="hold no row"):
        load(tmp_path, "openai")


def test_a_page_is_parsed_as_what_it_holds(tmp_path: Path) -> None:
    """A usage page is no page of charges, and a cost page none of usage; both are refused by name."""
    page = save(tmp_path / "usage.json", bucket(1, USAGE))
    with pytest.raises(InputError, match="usage.json is a usage page"):
        openai.parse(RawPart(page, "usage.json", TODAY))
    page = save(tmp_path / "costs.json", bucket(1, cost()))
    with pytest.raises(InputError, match="costs.json is a cost page"):
        openai.parse_usage(RawPart(page, "costs.json", TODAY))


def test_a_missing_page_is_named(tmp_path: Path) -> None:
    """A page that says that more follow is refused with the day that the missing page starts on."""
    first = save(tmp_path / "costs_1.json", bucket(1, cost()), bucket(2, cost()), has_more=True)
    save(tmp_path / "usage_2.json", bucket(3, USAGE))
    save(tmp_path / "elsewhere/costs_2.json", bucket(3, cost()))
    for path in (tmp_path, first):
        with pytest.raises(InputError, match=r"costs_1.json says .* starts at 2026-09-03T00:00:00Z is missing"):
            parts(path)
    save(tmp_path / "costs_3.json", bucket(4, cost()))
    with pytest.raises(InputError, match=r"costs_1.json says .* starts at 2026-09-03T00:00:00Z is missing"):
        parts(tmp_path)
    save(tmp_path / "costs_2.json", bucket(3, cost(value="2")), has_more=True)
    assert len(parts(tmp_path)) == 5


def test_pages_of_other_usage_continue_nothing(tmp_path: Path) -> None:
    """What follows a page of usage is a page of the same operation; those of others in the folder are no substitute."""
    save(tmp_path / "1.json", bucket(1, USAGE), has_more=True)
    save(tmp_path / "costs.json", bucket(2, cost()))
    save(tmp_path / "images.json", bucket(2, USAGE.replace("completions", "images")))
    with pytest.raises(InputError, match=r"1.json says .* starts at 2026-09-02T00:00:00Z is missing"):
        parts(tmp_path)
    save(tmp_path / "2.json", bucket(2, USAGE))
    assert len(parts(tmp_path)) == 4


@pytest.mark.parametrize("result", [cost(), USAGE])
def test_a_page_that_comes_twice_is_refused(result: str, tmp_path: Path) -> None:
    """The same content under two names is a page loop; counting it twice is refused, both files named."""
    save(tmp_path / "1.json", bucket(1, result))
    save(tmp_path / "2.json", bucket(1, result), has_more=True)
    with pytest.raises(InputError, match=r"2.json is the same page as .*1.json"):
        parts(tmp_path)


def test_pulls_that_overlap_are_refused(tmp_path: Path) -> None:
    """A day that two pages of a folder hold is refused; pulls of two organizations lie in two folders."""
    save(tmp_path / "a/1.json", bucket(1, cost()), bucket(2, cost()))
    save(tmp_path / "b/1.json", bucket(2, cost(value="7")), bucket(3, cost()))
    assert len(parsed(tmp_path)) == 4
    save(tmp_path / "a/2.json", bucket(2, cost(value="7")), bucket(3, cost()))
    with pytest.raises(InputError, match=r"bucket of 2026-09-02.* is in .*2.json and in .*1.json"):
        parts(tmp_path)


def test_usage_of_two_endpoints_shares_its_days(tmp_path: Path) -> None:
    """One day is on a page of each operation, in one folder; on two pages of one operation it is refused."""
    save(tmp_path / "completions.json", bucket(1, USAGE))
    save(tmp_path / "embeddings.json", bucket(1, USAGE.replace("completions", "embeddings")))
    assert len(parts(tmp_path)) == 2
    save(tmp_path / "more.json", bucket(1, USAGE, USAGE))
    with pytest.raises(InputError, match=r"bucket of 2026-09-01.* is in .*more.json and in .*completions.json"):
        parts(tmp_path)


def test_every_cut_of_a_page_is_refused(tmp_path: Path) -> None:
    """A page that ends anywhere before its end is refused by name."""
    page = save(tmp_path / "page.json", bucket(1, cost()))
    whole = page.read_text()
    for end in range(0, len(whole), 7):
        page.write_text(whole[:end])
        with pytest.raises(InputError, match=r"page.json is cut off or no JSON"):
            parts(page)


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ("[]", "a JSON list, no page"),
        ("{}", "it holds nothing"),
        ('{"data": [], "has_more": false}', "is no page of OpenAI; it holds data, has_more"),
        ('{"object": "page", "data": [{"start_time": 1}]}', "is no page of OpenAI"),
        ('{"object": "page", "data": [{"results": [{"object": "model"}]}]}', "neither costs nor usage"),
    ],
)
def test_other_json_is_refused(document: str, found: str, tmp_path: Path) -> None:
    """JSON that is no page of costs is refused by name with what it holds."""
    page = tmp_path / "page.json"
    page.write_text(document)
    with pytest.raises(InputError, match="page.json") as error:
        parts(page)
    assert found in error.value.found
