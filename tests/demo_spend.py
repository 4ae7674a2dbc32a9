"""The demo company's daily spend as the lake holds it, made without its exports: years of many companies in seconds."""

from datetime import date
from typing import Final

import polars as pl

from connectors.demo.activity import daily_usage
from connectors.demo.api_plan import KEYS, project
from connectors.demo.bill import bill
from connectors.demo.company import ACCOUNTS, Calendar
from connectors.demo.model_apis import apis
from connectors.demo.model_apis import with_owners as asked_with_owners
from connectors.demo.skus import skus
from connectors.demo.truth import with_owners
from finops import schema as s
from finops.pipeline.daily import spend_daily

MACHINES: Final = {
    "p5": "H100-80GB", "nd_h100": "H100-80GB", "p4d": "A100-40GB", "a2": "A100-40GB", "nc_a100": "A100-80GB",
    "a100": "A100-80GB", "g6e": "L40S-48GB", "g5": "A10G-24GB", "g2": "L4-24GB", "tpu": "TPU-v5e",
}  # fmt: skip
MODELS: Final = {
    "sonnet": "claude-sonnet-4-6", "haiku": "claude-haiku-4-5", "novapro": "nova-pro", "novalite": "nova-lite",
    "gpt41": "gpt-4.1", "gpt5codex": "gpt-5-codex", "embed3": "text-embedding-3-large", "flash": "gemini-2.5-flash",
    "pro": "gemini-2.5-pro",
}  # fmt: skip
KINDS: Final = {
    "in": ("Input", "Uncached"), "out": ("Output", None), "read": ("Input", "Read"), "write": ("Input", "Write"),
    "uncached_input_tokens": ("Input", "Uncached"), "cache_read_tokens": ("Input", "Read"),
    "cache_write_tokens": ("Input", "Write"), "cache_write_5m_tokens": ("Input", "Write"),
    "cache_write_1h_tokens": ("Input", "Write"), "output_tokens": ("Output", None),
}  # fmt: skip
PROVIDERS: Final = {
    "aws": "AWS",
    "azure": "Microsoft",
    "gcp": "Google Cloud",
    "openai": "OpenAI",
    "anthropic": "Anthropic",
}
TOKENS_IN: Final = {"1K tokens": 1_000.0, "Units": 1.0}


def daily_spend(*, months: int, seed: int, today: date) -> pl.DataFrame:
    """Rows of spend_daily of the clouds and model APIs; the dimensions that anomalies look at are filled."""
    calendar = Calendar.of(months=months, today=today)
    charges = pl.concat([_clouds(calendar, seed), _model_apis(calendar, seed)], how="diagonal")
    missing = {**s.DAILY_DIMENSIONS, **s.DAILY_MEASURES}
    filled = charges.with_columns(
        pl.lit(None, kind).alias(c) for c, kind in missing.items() if c not in charges.columns
    )
    return spend_daily(filled.lazy()).collect()


def _clouds(calendar: Calendar, seed: int) -> pl.DataFrame:
    rows = with_owners(bill(daily_usage(calendar, seed), calendar))
    parts = pl.col("sku").str.split(".")
    model = parts.list.get(1, null_on_oob=True).replace_strict(MODELS, default=None)
    kind = parts.list.last()
    accelerator = pl.coalesce(
        parts.list.get(i, null_on_oob=True).replace_strict(MACHINES, default=None) for i in (1, 2)
    )
    books = skus().select("sku", "service_name", "service_category", "consumed_unit", "gpus")
    accounts = {a.key: f"/subscriptions/{a.account_id}" if a.source == "azure" else a.account_id for a in ACCOUNTS}
    tokens = pl.when(model.is_not_null()).then(
        pl.col("quantity") * pl.when(parts.list.get(1, null_on_oob=True) == "haiku").then(1e6)
        .otherwise(pl.col("consumed_unit").replace_strict(TOKENS_IN, default=1.0))
    )  # fmt: skip
    return rows.join(books, on="sku", how="left", maintain_order="left").select(
        pl.col("first_day").cast(s.TIME).alias(s.CHARGE_PERIOD_START), pl.col("end_day").cast(s.TIME)
        .alias(s.CHARGE_PERIOD_END), pl.col("frequency").alias(s.CHARGE_FREQUENCY),
        pl.col("source").alias(s.SOURCE_ID), pl.col("month").dt.strftime("%Y-%m").alias(s.BILLING_PERIOD),
        pl.lit(s.BILLED).alias(s.LEDGER_ROLE), pl.col("source").replace_strict(PROVIDERS)
        .alias(s.SERVICE_PROVIDER_NAME), pl.col("account").replace_strict(accounts).alias(s.SUB_ACCOUNT_ID),
        pl.col("service_name").alias(s.SERVICE_NAME), pl.col("category").alias(s.CHARGE_CATEGORY),
        pl.col("commitment_status").alias(s.COMMITMENT_DISCOUNT_STATUS),
        (accelerator.is_not_null() | model.is_not_null()).alias(s.IS_AI),
        pl.when(accelerator.is_not_null()).then(pl.lit("accelerator")).when(model.is_not_null())
        .then(pl.lit("model_api")).otherwise(pl.col("service_category").str.to_lowercase()).alias(s.DRIVER),
        pl.col("purpose").alias(s.PURPOSE), accelerator.alias(s.ACCELERATOR_MODEL), model.alias(s.MODEL_ID),
        pl.when(model.is_not_null()).then(kind.replace_strict({k: v[0] for k, v in KINDS.items()}, default="Input"))
        .alias(s.TOKEN_DIRECTION),
        pl.when(model.is_not_null()).then(kind.replace_strict({k: v[1] for k, v in KINDS.items()}, default="Uncached"))
        .alias(s.TOKEN_CACHE_ACTION),
        pl.col("team").alias(s.TEAM), pl.col("use_case").alias(s.USE_CASE),
        pl.when(pl.col("team").is_null()).then(pl.lit("none")).otherwise(pl.lit("known")).alias(s.OWNER_STATUS),
        pl.lit("USD").alias(s.BILLING_CURRENCY), pl.col("effective_cost").cast(s.MONEY).alias(s.EFFECTIVE_COST),
        tokens.cast(s.MONEY).alias(s.TOKENS),
        pl.when(accelerator.is_not_null()).then(pl.col("quantity") * pl.col("gpus").fill_null(1)).cast(s.MONEY)
        .alias(s.ACCELERATOR_HOURS),
    )  # fmt: skip


def _model_apis(calendar: Calendar, seed: int) -> pl.DataFrame:
    rows = asked_with_owners(apis(calendar, seed).costs.filter(pl.col("quantity").is_not_null()))
    use_cases = {key.key: key.use_case for key in KEYS}
    accounts = {name: project(name).project_id for name in rows["project"].unique()}
    openai = pl.col("source") == "openai"
    return rows.select(
        pl.col("date").cast(s.TIME).alias(s.CHARGE_PERIOD_START), pl.col("date").dt.offset_by("1d").cast(s.TIME)
        .alias(s.CHARGE_PERIOD_END), pl.lit("Usage-Based").alias(s.CHARGE_FREQUENCY),
        pl.col("source").alias(s.SOURCE_ID), pl.col("month").dt.strftime("%Y-%m").alias(s.BILLING_PERIOD),
        pl.lit(s.BILLED).alias(s.LEDGER_ROLE),
        pl.col("source").replace_strict(PROVIDERS, return_dtype=pl.String).alias(s.SERVICE_PROVIDER_NAME),
        pl.col("project").replace_strict(accounts, return_dtype=pl.String).alias(s.SUB_ACCOUNT_ID),
        pl.when(openai).then(pl.lit("OpenAI API")).otherwise(pl.lit("Claude API")).alias(s.SERVICE_NAME),
        pl.lit("Usage").alias(s.CHARGE_CATEGORY), pl.lit(value=True).alias(s.IS_AI),
        pl.lit("model_api").alias(s.DRIVER), pl.col("purpose").alias(s.PURPOSE), pl.col("model").alias(s.MODEL_ID),
        pl.col("item").replace_strict({k: v[0] for k, v in KINDS.items()}, default=None).alias(s.TOKEN_DIRECTION),
        pl.col("item").replace_strict({k: v[1] for k, v in KINDS.items()}, default=None).alias(s.TOKEN_CACHE_ACTION),
        pl.col("service_tier").alias(s.SERVICE_TIER), pl.col("team").alias(s.TEAM),
        pl.when(openai).then(pl.col("key").replace_strict(use_cases, default=None)).alias(s.USE_CASE),
        pl.lit("known").alias(s.OWNER_STATUS), pl.lit("USD").alias(s.BILLING_CURRENCY),
        pl.col("cost").cast(s.MONEY).alias(s.EFFECTIVE_COST),
        pl.when(pl.col("item").str.ends_with("_tokens") & openai).then("quantity").cast(s.MONEY).alias(s.TOKENS),
    )  # fmt: skip
