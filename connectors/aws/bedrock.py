"""Bedrock's token meters in both ways that AWS bills them.

| | Amazon Bedrock's own usage types | third-party models through AWS Marketplace |
|---|---|---|
| product code | AmazonBedrock | AmazonBedrockFoundationModels |
| usage type | `USE1-NovaPro-cache-read-input-token-count` | `USE1-MP:USE1_CacheReadInputTokenCount_Global-Units` |
| model | in the usage type | in the service name alone: `Claude Sonnet 4.6 (Amazon Bedrock Edition)` |
| unit | `1K tokens` | `Units`, each a million tokens: its price is the price per million |

| SkuPriceDetails | from the usage type |
|---|---|
| TokenDirection | input, output |
| TokenCacheAction | cache read: Read; cache write: Write; other input: Uncached |
| x_CacheTtl | the lifetime of a cache write, `1h`, where it is not the ordinary one |
| x_ServiceTier | batch, flex, priority, provisioned, else standard |
| x_CrossRegion | global, or geo for an inference profile of a continent |

The model itself is left to the classification rules, which know billing names (finops/data/models.toml).

Source: Amazon Bedrock user guide, "Understanding your cost and usage data"; usage types of the AWS Price List; read
2026-11-21.
"""

from typing import Final

import polars as pl

from connectors.cells import json_of
from finops import schema as s

TOKENS: Final = "Tokens"
"""ConsumedUnit of every token meter."""
MARKETPLACE_UNIT: Final = 1_000_000
_METER: Final = r"(?i)(?:input|output)[-_]?tokens?(?:[-_]?count)?"
_SIZES: Final = {"": 1, "K": 1_000, "M": 1_000_000, "B": 1_000_000_000}


def is_token_meter(service: pl.Expr, usage_type: pl.Expr) -> pl.Expr:
    """Whether a charge is for tokens of a Bedrock model; service: name and product code in one text."""
    return (service.str.contains("(?i)bedrock") & usage_type.str.contains(_METER)).fill_null(value=False)


def tokens_per_unit(unit: pl.Expr, usage_type: pl.Expr) -> pl.Expr:
    """Tokens in one unit of the bill; null for a unit that does not say."""
    size = unit.str.extract(r"(?i)^\s*([\d,]*)\s*[KMB]?\s*tokens?\s*$", 1)
    count = pl.when(size == "").then(pl.lit("1")).otherwise(size.str.replace_all(",", "")).cast(s.MONEY, strict=False)
    prefix = unit.str.extract(r"(?i)^\s*[\d,]*\s*([KMB]?)\s*tokens?\s*$", 1).str.to_uppercase()
    times = pl.coalesce(pl.when(prefix == letter).then(pl.lit(size, dtype=s.MONEY)) for letter, size in _SIZES.items())
    marketplace = usage_type.str.contains(r"(?i)MP:") & unit.str.contains("(?i)^units?$")
    return pl.coalesce(count * times, pl.when(marketplace).then(pl.lit(MARKETPLACE_UNIT, dtype=s.MONEY)))


def tier(usage_type: pl.Expr) -> pl.Expr:
    """The service tier that a meter's usage type names."""
    said = usage_type.str.extract(r"(?i)[-_](?:batch|flex|priority)(?:[-_]|\b)|provisioned", 0).str.to_lowercase()
    return said.str.strip_chars("-_").fill_null("standard")


def price_details(usage_type: pl.Expr) -> pl.Expr:
    """SkuPriceDetails of a token meter as JSON text."""
    output = usage_type.str.contains(r"(?i)output[-_]?token")
    action = (
        pl.when(output).then(None)
        .when(usage_type.str.contains(r"(?i)cache[-_]?write")).then(pl.lit("Write"))
        .when(usage_type.str.contains(r"(?i)cache[-_]?read")).then(pl.lit("Read"))
        .otherwise(pl.lit("Uncached"))
    )  # fmt: skip
    across = (
        pl.when(usage_type.str.contains(r"(?i)[-_]global\b|[-_]global[-_]")).then(pl.lit("global"))
        .when(usage_type.str.contains(r"(?i)cross-region|[-_]geo\b")).then(pl.lit("geo"))
    )  # fmt: skip
    return json_of({
        "TokenDirection": pl.when(output).then(pl.lit("Output")).otherwise(pl.lit("Input")),
        "TokenCacheAction": action,
        "x_CacheTtl": usage_type.str.extract(r"(?i)cache[-_]?write[-_]?(\d+[hm])", 1).str.to_lowercase(),
        "x_ServiceTier": tier(usage_type),
        "x_CrossRegion": across,
    })  # fmt: skip
