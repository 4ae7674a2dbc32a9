"""The demo company's model APIs: pages as the providers answer them, priced from the book; what is planted is there."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors import registry
from connectors.demo import DemoCompany, anthropic, gateways, openai, write
from connectors.demo.anthropic import display_name
from connectors.demo.company import days_of_month
from connectors.demo.openai import short_name
from connectors.registry import REJECT
from finops import schema as s
from finops.config import load_config
from finops.token_costs import price
from finops.token_prices import load_book

TODAY = date(2026, 11, 21)
Row = dict[str, Any]


@dataclass(frozen=True)
class Written:
    """A demo home, its truth, and what the connectors read of its model APIs."""

    company: DemoCompany
    truth: Row
    charges: dict[str, pl.DataFrame]
    usage: dict[str, pl.DataFrame]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Eight months, so that a model's change and a folder of two pages are in it."""
    company = write(tmp_path_factory.mktemp("demo"), months=8, seed=7, today=TODAY)
    config = load_config(company.home)
    read: dict[str, dict[str, list[pl.DataFrame]]] = {"charges": {}, "usage": {}}
    for source in config.sources:
        if source.id not in ("openai", "anthropic", "litellm", "gateway"):
            continue
        reader: Any = registry.connector(source.connector)
        for part in reader.find_parts(config.files_of(source), until=TODAY, options=source.options, say=print):
            parse = reader.parse if part.holds == "charges" else reader.parse_usage
            read[part.holds].setdefault(source.id, []).append(parse(part).collect())
    frames = {kind: {name: pl.concat(found) for name, found in of.items()} for kind, of in read.items()}
    return Written(company, json.loads(company.truth.read_text()), frames["charges"], frames["usage"])


def _pages(home: Path) -> Iterator[tuple[Path, Row]]:
    for path in sorted(home.rglob("*.json")):
        yield path, json.loads(path.read_text())


# ------------------------------------------------------------------------------------------------------------- formats
def test_connectors_read_every_row(demo: Written) -> None:
    """No page, line or result is rejected, by any of the four sources."""
    assert demo.charges.keys() == {"openai", "anthropic"}
    assert demo.usage.keys() == {"openai", "anthropic", "litellm", "gateway"}
    for frame in (*demo.charges.values(), *demo.usage.values()):
        assert frame[REJECT].drop_nulls().to_list() == []


def test_pages_are_whole_answers(demo: Written) -> None:
    """A folder is a month's answer: every day once in its order, has_more on all pages but the last."""
    several = 0
    for home in (openai.FOLDER, anthropic.FOLDER):
        folders: dict[Path, list[Row]] = {}
        for path, page in _pages(demo.company.home / home):
            folders.setdefault(path.parent, []).append(page)
        for folder, pages in folders.items():
            days = [b.get("start_time", b.get("starting_at")) for page in pages for b in page["data"]]
            assert days == sorted(set(days))
            month = date.fromisoformat(f"{folder.name}-01")
            assert len(days) == (demo.company.last_day.day if folder.name == "2026-11" else days_of_month(month))
            assert max(len(page["data"]) for page in pages) <= 31
            assert [page["has_more"] for page in pages] == [True] * (len(pages) - 1) + [False]
            assert [bool(page["next_page"]) for page in pages] == [page["has_more"] for page in pages]
            several += len(pages) > 1
    assert several > 20


def test_anthropic_counts_cents_and_leaves_out_priority(demo: Written) -> None:
    """Amounts are texts of cents whose sum is a hundred times the dollars; no cost is of the priority tier."""
    results = [
        r for _, page in _pages(demo.company.home / anthropic.FOLDER / "cost_report")
        for b in page["data"] for r in b["results"]
    ]  # fmt: skip
    cents = sum(Decimal(r["amount"]) for r in results)
    dollars = sum(Decimal(t["billed"]) for t in demo.truth["totals"] if t["source"] == "anthropic")
    assert cents == 100 * dollars
    assert {r["service_tier"] for r in results} == {"standard", "batch", None}
    assert "priority" in set(demo.usage["anthropic"]["service_tier"])


@pytest.mark.parametrize(
    ("model", "short", "shown"),
    [("claude-sonnet-4-5-20250929", None, "Claude Sonnet 4.5"), ("claude-sonnet-4-20250514", None, "Claude Sonnet 4"),
     ("claude-3-5-haiku-20241022", None, "Claude Haiku 3.5"), ("gpt-5.4-mini-2026-03-17", "gpt-5.4-mini", None),
     ("gpt-5.6-sol", "gpt-5.6-sol", None), ("text-embedding-3-large", "text-embedding-3-large", None)],
)  # fmt: skip
def test_models_are_called_as_the_bills_call_them(model: str, short: str | None, shown: str | None) -> None:
    """A version's date is not in a line item, and Anthropic writes names as people say them."""
    assert (short_name(model) if short else display_name(model)) == (short or shown)


# --------------------------------------------------------------------------------------------------------------- truth
def test_totals_are_those_of_the_pages(demo: Written) -> None:
    """Rows and costs of each month are what the connectors read, exactly."""
    for source, charges in demo.charges.items():
        months = charges.group_by(pl.col(s.BILLING_PERIOD_START).dt.strftime("%Y-%m").alias("period")).agg(
            pl.len(), pl.col(s.BILLED_COST, s.EFFECTIVE_COST, s.CONTRACTED_COST, s.LIST_COST).sum()
        )
        read = {period: (rows, *costs) for period, rows, *costs in months.iter_rows()}
        stated = {
            t["period"]: (t["rows"], *(Decimal(t[c]) for c in ("billed", "effective", "contracted", "list")))
            for t in demo.truth["totals"] if t["source"] == source
        }  # fmt: skip
        assert read == stated


def test_usage_at_book_prices_is_the_bill_but_for_the_stated_causes(demo: Written) -> None:
    """Per source and closed month the two are within 0.5 %, and the truth's causes sum to the difference exactly."""
    causes = demo.truth["model_apis"]["residuals"]
    for source in ("openai", "anthropic"):
        usage = demo.usage[source].rename({"day": "date"}).with_columns(period=pl.col("date").dt.strftime("%Y-%m"))
        priced = price(usage.lazy(), load_book()).collect()
        book = dict(priced.group_by("period").agg(pl.col("cost_usd").sum()).iter_rows())
        for total in (t for t in demo.truth["totals"] if t["source"] == source):
            residual = Decimal(total["billed"]) - book[total["period"]]
            mine = {c["cause"]: Decimal(c["amount"]) for c in causes
                    if (c["source"], c["period"]) == (source, total["period"])}  # fmt: skip
            assert sum(mine.values()) == residual
            assert abs(mine["rounding"]) < Decimal("0.001"), "no cause but rounding is what is left over"
            if total["period"] != demo.truth["open_period"]:
                assert abs(residual) <= Decimal("0.005") * Decimal(total["billed"])
    every = {c["cause"] for c in causes}
    assert every == {
        "images have no token price", "storage has no token price", "code execution has no token price", "a credit",
        "the costs of the last day have not come yet", "rounding",
    }  # fmt: skip
    late = [c for c in causes if c["cause"].startswith("the costs of the last day")]
    assert [(c["source"], c["period"]) for c in late] == [("openai", "2026-11")]


def test_tokens_are_those_of_the_pages(demo: Written) -> None:
    """Each kind of token of each source and month is what its usage pages count, LiteLLM's within OpenAI's."""
    kinds = ("uncached_input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_5m_tokens",
             "cache_write_1h_tokens", "output_tokens")  # fmt: skip
    stated: dict[tuple[str, str, str], int] = {}
    for row in demo.truth["model_apis"]["tokens"]:
        key = (row["source"], row["period"], row["kind"])
        stated[key] = stated.get(key, 0) + row["tokens"]
    read = {}
    for source in ("openai", "anthropic", "gateway"):
        long = demo.usage[source].unpivot(kinds, index="day").filter(pl.col("value") > 0)
        sums = long.group_by(pl.col("day").dt.strftime("%Y-%m"), "variable").agg(pl.col("value").sum())
        read |= {(source, period, kind): int(tokens) for period, kind, tokens in sums.iter_rows()}
    assert read == stated


def test_owners_and_keys_are_mapped(demo: Written) -> None:
    """Every project, workspace, key and virtual key that a page names is in the mappings, and a team answers for it."""
    mappings = pl.read_csv(demo.company.home / "raw/finance/mappings.csv", infer_schema=False)
    known = set(mappings.filter(pl.col("team").is_not_null())["match"])
    named = {
        value for frame in (*demo.charges.values(), *demo.usage.values())
        for column in ({"account_id", "consumer_id", s.SUB_ACCOUNT_ID, s.CONSUMER_ID} & set(frame.columns))
        for value in frame[column].drop_nulls().unique()
    }  # fmt: skip
    teams = set(demo.usage["litellm"]["account_id"])
    assert len(named) > 20
    assert named - teams <= known


# --------------------------------------------------------------------------------------------------- what is planted
def test_the_chat_s_cached_input_falls_on_one_day(demo: Written) -> None:
    """Cached input is 72 % of the chat's until the stated day and 31 % from it, its price per token up by the fall."""
    incident = next(i for i in demo.truth["incidents"] if i["kind"] == "cache_hits_fell")
    first = date.fromisoformat(incident["first_day"])
    chat = demo.usage["openai"].filter(pl.col("consumer_id") == "key_Sup01ChatAssistant").with_columns(
        ratio=pl.col("cache_read_tokens") / (pl.col("cache_read_tokens") + pl.col("uncached_input_tokens"))
    )  # fmt: skip
    before, after = chat.filter(pl.col("day") < first)["ratio"], chat.filter(pl.col("day") >= first)["ratio"]
    assert (first, before.len(), after.len()) == (demo.company.last_day - timedelta(days=40), chat.height - 41, 41)
    assert before.cast(pl.Float64).is_between(0.7, 0.74).all()
    assert after.cast(pl.Float64).is_between(0.29, 0.33).all()
    extra = sum(map(Decimal, incident["extra_cost_by_period"].values()))
    assert extra == Decimal(incident["extra_cost"]) > 5_000


def test_litellm_divides_the_bill_of_its_one_key(demo: Written) -> None:
    """Its tokens are those of that key day by day, its spend about the bill's and never the same; teams are named."""
    columns = ("uncached_input_tokens", "cache_read_tokens", "output_tokens", "requests")
    key = demo.usage["openai"].filter(pl.col("consumer_id") == gateways.SPLIT_KEY)
    asked = demo.usage["litellm"]
    by_day = [f.group_by("day").agg(pl.col(*columns).sum()).sort("day") for f in (key, asked)]
    assert by_day[0].equals(by_day[1])
    assert set(asked["team"]) == {"Support", "Platform", "Search", "Risk"}
    stated = demo.truth["model_apis"]["gateway_key"]
    billed = demo.charges["openai"].filter(pl.col(s.CONSUMER_ID) == gateways.SPLIT_KEY)[s.BILLED_COST].sum()
    assert abs(sum(Decimal(row["cost"]) for row in stated) - billed) < Decimal("0.01")
    days = asked.filter(pl.col("day") < demo.company.last_day)["stated_cost"].sum()
    assert Decimal("1.001") < days / billed < Decimal("1.007")


def test_some_usage_has_no_price(demo: Written) -> None:
    """A tuned model never has one, the company's own one not before its day, the priority tier not in the report."""
    own = load_book((demo.company.home / gateways.PRICES,))
    usage = pl.concat(demo.usage.values()).rename({"day": "date"}).filter(pl.col("other_unit").is_null())
    found = price(usage.lazy(), own).collect().filter(pl.col("price_status") == "unpriced")
    counted = {
        (model, tier or "standard"): (first, int(tokens))
        for model, tier, first, tokens in found.group_by("model", "service_tier").agg(
            pl.col("date").max(), pl.sum_horizontal(pl.col("^.*_tokens$").fill_null(0)).sum().cast(pl.Int64)
        ).iter_rows()
    }  # fmt: skip
    stated = {
        (row["model"], row["service_tier"]): (date.fromisoformat(row["last_day"]), row["tokens"])
        for row in demo.truth["model_apis"]["unpriced"]
    }
    assert counted == stated
    assert set(stated) == {
        ("aldermoor-rank-8b", "standard"), ("aldermoor-support-ft-2", "standard"),
        ("claude-sonnet-4-5-20250929", "priority"),
    }  # fmt: skip
    assert stated["aldermoor-rank-8b", "standard"][0] == demo.company.last_day - timedelta(days=121)


def test_direct_use_is_a_tenth_of_the_ai_bill(demo: Written) -> None:
    """OpenAI and Anthropic are 8 to 12 % of what AI costs in the last closed month."""
    october = [o for o in demo.truth["owners"] if o["period"] == "2026-10" and o["currency"] == "USD"]
    ai = sum(Decimal(o["effective"]) for o in october if o["purpose"] != "unknown")
    asked = sum(Decimal(o["effective"]) for o in october if o["source"] in ("openai", "anthropic"))
    assert Decimal("0.08") < asked / ai < Decimal("0.12")


def test_the_page_tells_of_what_is_planted(demo: Written) -> None:
    """docs/demo-company.md names each model without a price, the credit, each cause and each source of model APIs."""
    page = (Path(__file__).parents[2] / "docs/demo-company.md").read_text()
    truth = demo.truth["model_apis"]
    assert all(row["model"] in page for row in truth["unpriced"] if row["source"] == "gateway")
    credit = next(c for c in truth["residuals"] if c["cause"] == "a credit")
    assert f"{-Decimal(credit['amount']):.2f} USD" in page
    words = {c["cause"].split()[0] for c in truth["residuals"] if c["cause"] != "a credit"} - {"the"}
    told = page[page.index("## Usage against the bill") : page.index("## The truth")]
    assert {word for word in words if word not in told} == {"rounding"}, "the page says: rounded"
    assert all(f"`{demo.truth['files'][source]}" in page for source in ("openai", "anthropic", "litellm", "gateway"))
