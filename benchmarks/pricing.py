"""Token usage priced from the book, beside genai-prices asked row by row, in one run on one core.

Both price the same random usage of models and tiers that both know; the book is loaded before the clock starts, and the
costs of the rows that both priced must agree. Then fifty million rows are priced and summed to days in one stream.
"""

import os
import tempfile
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
from genai_prices import Usage, calc_price

from benchmarks.measure import measure
from finops import token_costs, token_prices

ROWS = 2_000_000
PEER_ROWS = 20_000
STREAMED = 25
FIRST = date(2026, 8, 15)
MODELS = (
    ("openai", "gpt-5.5"), ("openai", "gpt-5.6"), ("openai", "gpt-6-sol"), ("anthropic", "claude-opus-5-5"),
    ("anthropic", "claude-haiku-5-5"), ("anthropic", "claude-sonnet-4-5"), ("google", "gemini-3.7-flash"),
    ("mistral", "mistral-medium-latest"),
)  # fmt: skip


def usage(rows: int, seed: int = 1) -> pl.DataFrame:
    """A quarter of requests and daily sums of eight models, one in five in batch."""
    random = np.random.default_rng(seed)
    names = pl.DataFrame(MODELS, schema=["provider", "model"], orient="row")
    requests = random.integers(1, 50, rows)
    return pl.DataFrame(
        {
            "date": np.datetime64(FIRST, "D") + random.integers(0, 90, rows),
            "service_tier": np.where(random.random(rows) < 0.2, "batch", "standard"),
            "uncached_input_tokens": random.integers(0, 60_000, rows) * requests,
            "cache_read_tokens": random.integers(0, 300_000, rows) * requests,
            "cache_write_tokens": np.zeros(rows, dtype=np.int64),
            "output_tokens": random.integers(0, 5_000, rows) * requests,
            "requests": requests,
        }
    ).with_columns(pl.col("date").cast(pl.Date), *names[random.integers(0, len(MODELS), rows)])


def price_all(rows: int) -> None:
    """Price `rows` rows and print the speed, without the time to load the book and to make the rows up."""
    book, frame = token_prices.load_book(), usage(rows)
    start = time.perf_counter()
    priced = token_costs.price(frame.lazy(), book).collect()
    wall_s = time.perf_counter() - start
    share = priced.filter(pl.col("price_status") == "priced").height / rows
    speed = f"{rows / wall_s:,.0f} rows/s on {pl.thread_pool_size()} core(s)"
    print(f"finops: {rows:,} rows in {wall_s:.2f} s, {speed}, {share:.0%} priced", flush=True)


def sum_to_days(path: Path) -> None:
    """Price a file as often as STREAMED says, as one stream, and sum it to days."""
    frame = pl.scan_parquet([path] * STREAMED)
    priced = token_costs.price(frame, token_prices.load_book())
    days = priced.group_by("date", "provider", "model", "price_status").agg(pl.len(), pl.col("cost_usd").sum())
    print(f"{days.collect(engine='streaming')['len'].sum():,} rows summed to days", flush=True)


def peer_cost(row: dict[str, object]) -> Decimal:
    """What genai-prices says of one row of one request."""
    counts = {key: int(str(row[f"{key}_tokens"])) for key in ("uncached_input", "cache_read", "output")}
    asked = Usage(
        input_tokens=counts["uncached_input"] + counts["cache_read"],
        cache_read_tokens=counts["cache_read"],
        output_tokens=counts["output"],
    )
    day = row["date"]
    assert isinstance(day, date)
    context = {"processing": "batch"} if row["service_tier"] == "batch" else None
    return calc_price(
        asked,
        str(row["model"]),
        provider_id=str(row["provider"]),
        genai_request_timestamp=datetime(day.year, day.month, day.day, tzinfo=UTC),
        price_context=context,
    ).total_price


def run() -> None:
    """Print both speeds and their ratio."""
    os.environ["POLARS_MAX_THREADS"] = "1"  # for the process that is measured: one core
    print(f"with the book and the made-up rows {measure(price_all, ROWS)}", flush=True)
    frame = usage(PEER_ROWS).with_columns(requests=pl.lit(1))
    book = token_prices.load_book()
    start = time.perf_counter()
    ours = token_costs.price(frame.lazy(), book).collect()
    ours_s = time.perf_counter() - start
    peer_cost(frame.row(0, named=True))
    start = time.perf_counter()
    theirs = [peer_cost(row) for row in frame.iter_rows(named=True)]
    peer_s = time.perf_counter() - start
    # the list has batch prices from 2026-10-14 on; before, the peer prices batch as standard and the book by the rule
    stated = (pl.col("service_tier") == "standard") | (pl.col("date") >= date(2026, 10, 14))
    compared = ours.with_columns(peer=pl.Series(theirs, dtype=pl.Decimal(38, 18)))
    both = compared.filter(stated, pl.col("cost_usd").is_not_null())
    wrong = both.filter(pl.col("cost_usd") != pl.col("peer")).height
    print(
        f"genai-prices row by row {PEER_ROWS / peer_s:,.0f} rows/s; the same rows here {PEER_ROWS / ours_s:,.0f} rows/s"
    )
    print(f"ratio {peer_s / ours_s:.0f} x; {both.height:,} rows priced by both, {wrong} differ")
    with tempfile.TemporaryDirectory(prefix="finops-bench-") as folder:
        usage(ROWS).write_parquet(Path(folder) / "usage.parquet")
        print(f"one stream, one core {measure(sum_to_days, Path(folder) / 'usage.parquet')}")
