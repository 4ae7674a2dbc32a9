"""Any gateway's table is read by columns that are known by name, and no token is left out or counted twice."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors import files, usage_csv
from connectors.registry import RAW, REJECT, RawPart, connector
from connectors.usage_csv import WORDS
from finops import schema as s
from finops.errors import ConfigError, InputError
from tests.conftest import TODAY

HEADER = "day,provider,model"
WHO = "2026-10-01,openai,gpt-5"


def save(path: Path, *lines: str) -> Path:
    path.write_text("".join(line + "\n" for line in lines))
    return path


def parts(path: Path, options: dict[str, str] | None = None) -> list[RawPart]:
    return files.source_parts(connector("usage_csv"), path, until=TODAY, options=options, say=lambda _: None)


def metered(path: Path, options: dict[str, str] | None = None) -> pl.DataFrame:
    return pl.concat([usage_csv.parse_usage(part).collect() for part in parts(path, options)])


def row(folder: Path, header: str, line: str, options: dict[str, str] | None = None) -> dict[str, Any]:
    return metered(save(folder / "usage.csv", header, line), options).row(0, named=True)


def counts(row: dict[str, Any]) -> dict[str, Decimal]:
    """What is counted above zero."""
    return {name: row[name] for name in s.METER_COLUMNS if row[name]}


def test_input_tokens_include_their_parts(tmp_path: Path) -> None:
    """Of 1,000 input tokens, cached, written, audio and image tokens are taken out and counted as themselves."""
    header = (
        f"{HEADER},input_tokens,cached_tokens,cache_write_1h_tokens,input_audio_tokens,output_tokens,reasoning_tokens"
    )
    assert counts(row(tmp_path, header, f"{WHO},1000,300,200,50,100,40")) == {
        "uncached_input_tokens": 450, "cache_read_tokens": 300, "cache_write_1h_tokens": 200, "input_audio_tokens": 50,
        "output_tokens": 60, "reasoning_tokens": 40,
    }  # fmt: skip


def test_uncached_and_visible_tokens_are_taken_as_they_are(tmp_path: Path) -> None:
    """`uncached_input_tokens` and `visible_output_tokens` have no parts inside."""
    header = f"{HEADER},uncached_input_tokens,cache_read_tokens,visible_output_tokens,reasoning_tokens"
    assert counts(row(tmp_path, header, f"{WHO},1000,300,100,40")) == {
        "uncached_input_tokens": 1000, "cache_read_tokens": 300, "output_tokens": 100, "reasoning_tokens": 40,
    }  # fmt: skip


def test_headers_go_by_their_words(tmp_path: Path) -> None:
    """Case, blanks and the words of other gateways make no difference; what is not known is left alone."""
    tokens = "Prompt Tokens;Cached-Input-Tokens;completionTokens;Total Tokens"
    header = f"Timestamp;Model ID;{tokens};latency_ms;API Key;Cost Centre"
    read = row(tmp_path, header, "2026-10-01T23:30:00-02:00;openai/gpt-5;10;4;3;13;812;k-1;CC-7")
    assert counts(read) == {"uncached_input_tokens": 6, "cache_read_tokens": 4, "output_tokens": 3}
    assert (read["day"], read["provider"], read["model"]) == (date(2026, 10, 2), "openai", "gpt-5")
    assert (read["consumer_id"], read["cost_center"], read["requests"]) == ("k-1", "CC-7", None)


def test_the_first_word_for_who_or_when_is_read(tmp_path: Path) -> None:
    """Two columns that name the day or the project are no fault: the one that comes first in the words is read."""
    header = "created_at,date,project_id,project,provider,model,requests"
    read = row(tmp_path, header, "2026-10-02,2026-10-01,p-1,Rag,openai,gpt-5,1")
    assert (read["day"], read["account_id"]) == (date(2026, 10, 1), "p-1")


def test_every_count_has_a_column(tmp_path: Path) -> None:
    """Each column of METER_COLUMNS can be given by its own name and arrives in it."""
    names = [name for name in s.METER_COLUMNS if name != "output_tokens"]
    header = f"{HEADER},visible_output_tokens,{','.join(names)}"
    read = row(tmp_path, header, f"{WHO},{','.join(str(n) for n in range(1, len(names) + 2))}")
    assert counts(read) == {name: n for n, name in enumerate(["output_tokens", *names], start=1)}


def test_who_is_read(tmp_path: Path) -> None:
    """Owners, account, tags, tier, context and other units come from their columns; the key goes before the user."""
    owners = "key,user,project,account_name,team,use_case,env,tags"
    header = f"{HEADER},requests,{owners},tier,context,endpoint,other_quantity,other_unit"
    read = row(tmp_path, header, f"{WHO},3,,ann,p-1,Rag,Search,rag,prod,team=a;x=b,batch,200000,chat,2.5,images")
    told = (
        "requests", "consumer_id", "account_id", "account_name", "team", "use_case", "environment", "service_tier",
        s.CONTEXT, "operation", "other_quantity", "other_unit",
    )  # fmt: skip
    assert [read[name] for name in told] == [
        3, "ann", "p-1", "Rag", "Search", "rag", "prod", "batch", 200000, "chat", Decimal("2.5"), "images",
    ]  # fmt: skip
    assert json.loads(read["tags"]) == {"team": "a", "x": "b"}
    assert row(tmp_path, f"{HEADER},requests,user,key", f"{WHO},3,ann,k-1")["consumer_id"] == "k-1"


@pytest.mark.parametrize(
    ("header", "cells", "options", "currency"),
    [
        ("cost_usd", "1.5e-07", {}, "USD"),
        ("spend,currency", "1.5e-07,eur", {}, "EUR"),
        ("Amount", "0.00000015", {"currency": "GBP"}, "GBP"),
    ],
)
def test_a_cost_has_its_currency(
    header: str, cells: str, options: dict[str, str], currency: str, tmp_path: Path
) -> None:
    """The cost is read digit by digit, in the currency of the header, the column or the option."""
    read = row(tmp_path, f"{HEADER},requests,{header}", f"{WHO},1,{cells}", options)
    assert (read["stated_cost"], read["currency"]) == (Decimal("0.00000015"), currency)


def test_a_row_without_a_cost_has_no_currency(tmp_path: Path) -> None:
    """An empty cost states nothing."""
    read = row(tmp_path, f"{HEADER},requests,cost_usd", f"{WHO},1,")
    assert (read["stated_cost"], read["currency"], read[REJECT]) == (None, None, None)


def test_a_company_maps_its_own_headers(tmp_path: Path) -> None:
    """Options name headers, leave columns out, and say what no column says."""
    options = {
        "columns.model": "engine", "columns.input_tokens": "tok_in", "columns.ignore": "tokens_saved, model",
        "provider": "Azure OpenAI", "rows": "calls",
    }  # fmt: skip
    read = row(tmp_path, "date,model,engine,tok_in,tokens_saved", "2026-10-01,smart,gpt-5,10,99", options)
    assert (read["provider"], read["model"], read["requests"]) == ("azure", "gpt-5", 1)
    assert counts(read) == {"uncached_input_tokens": 10, "requests": 1}


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (f"{HEADER},input_tokens,embed_tokens", 'column "embed_tokens", which may count tokens'),
        (f"{HEADER},calls,Requests", "several columns for requests"),
        (f"{HEADER},input_tokens,tok_out", 'column "tok_out", which may count tokens'),
        (f"{HEADER},input_tokens,Output", 'column "Output", which may count tokens'),
        (f"{HEADER},input_tokens,output_format", None),
        (f"{HEADER},input_tokens,prompt_tokens", "several columns for input_tokens: input_tokens, prompt_tokens"),
        (f"{HEADER},input_tokens,uncached_input_tokens", "both input_tokens and uncached_input_tokens"),
        (f"{HEADER},output_tokens,visible_output_tokens", "both output_tokens and visible_output_tokens"),
        (f"{HEADER},requests,cost", "a cost and no currency"),
        (f"{HEADER},cost_usd", "no column of tokens, requests or other counts"),
        ("provider,model,input_tokens", "no column day"),
        ("day,provider,input_tokens", "no column model"),
    ],
)
def test_a_header_that_could_mislead_is_refused(header: str, found: str | None, tmp_path: Path) -> None:
    """A column that may count tokens, two for one count, a cost in no currency, or no day or model stop the load."""
    (part,) = parts(save(tmp_path / "usage.csv", header, ",".join("1" for _ in header.split(","))))
    if found is None:
        usage_csv.parse_usage(part)
        return
    with pytest.raises(InputError, match=found) as error:
        usage_csv.parse_usage(part)
    assert "finops.toml" in error.value.next_step


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"columns.modell": "x"}, ConfigError),
        ({"colour": "x"}, ConfigError),
        ({"rows": "days"}, ConfigError),
        ({"columns.team": "absent"}, InputError),
    ],
)
def test_options_are_checked(options: dict[str, str], error: type[Exception], tmp_path: Path) -> None:
    """An option that is not known, or names a column that is not there, stops the load."""
    with pytest.raises(error):
        row(tmp_path, f"{HEADER},requests", f"{WHO},1", options)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",openai,gpt-5,1,1,1,USD", "day is empty"),
        ("soon,openai,gpt-5,1,1,1,USD", 'day is "soon", which is no date'),
        ("2026-10-01,openai,,1,1,1,USD", "model is empty"),
        ("2026-10-01,,gpt-5,1,1,1,USD", "provider is empty, and the model names none"),
        (f"{WHO},many,1,1,USD", 'input_tokens is "many", which is no number'),
        (f"{WHO},-1,0,1,USD", 'input_tokens is "-1", which is below zero'),
        (f"{WHO},1.5,1,1,USD", 'input_tokens is "1.5", which is no whole number'),
        (f"{WHO},1,2,1,USD", "input_tokens is less than its parts"),
        (f"{WHO},2,1,free,USD", 'cost is "free", which is no number'),
        (f"{WHO},2,1,1,$", "currency is no ISO 4217 code"),
        (f"{WHO},2,1,1,", "currency is no ISO 4217 code"),
    ],
)
def test_a_row_that_cannot_be_used_is_rejected(line: str, reason: str, tmp_path: Path) -> None:
    """The row says why and is kept cell by cell; the next one is read."""
    header = f"{HEADER},input_tokens,cached_tokens,cost,currency"
    rows = metered(save(tmp_path / "usage.csv", header, line, f"{WHO},2,1,1,USD"))
    assert rows[REJECT].to_list() == [reason, None]
    assert list(json.loads(rows[RAW][0]).values()) == [cell or None for cell in line.split(",")]
    assert rows[RAW][1] is None


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    """Typed columns need no text: times, integers, floats and decimals."""
    frame = pl.DataFrame(
        {
            "time": ["2026-10-01T10:00:00"], "provider": ["anthropic"], "model": ["claude-sonnet-4-5"],
            "input_tokens": [10], "cost_usd": [0.1], "tags": [{"team": "a"}],
        }
    ).with_columns(pl.col("time").str.to_datetime())  # fmt: skip
    frame.write_parquet(tmp_path / "usage.parquet")
    read = metered(tmp_path / "usage.parquet").row(0, named=True)
    assert (read["day"], read["uncached_input_tokens"]) == (date(2026, 10, 1), 10)
    assert (read["stated_cost"], json.loads(read["tags"])) == (Decimal("0.1"), {"team": "a"})


def test_every_part_holds_usage(tmp_path: Path) -> None:
    """No part is charged, and asking for charges says where they are."""
    (part,) = parts(save(tmp_path / "usage.csv", f"{HEADER},requests", f"{WHO},1"))
    assert part.holds == "usage"
    assert usage_csv.LEDGER_ROLE == s.DERIVED
    with pytest.raises(InputError, match="no charges"):
        usage_csv.parse(part)


def test_no_word_means_two_columns() -> None:
    """Each word names one column, and every count of the table has one."""
    words = [word for ours, more in WORDS.items() for word in (ours.replace("_", ""), *more.split())]
    assert len(words) == len(set(words))
    assert set(s.METER_COLUMNS) <= set(WORDS)
