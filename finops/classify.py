"""Which charge is AI spend, what it pays for, what it serves, on which accelerator or model, and who owns it.

The rules (finops/rules.py) run once for each distinct combination of the columns that they read and are joined back
lazily, so their cost does not grow with the rows. What a source itself says about a charge is kept.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import polars as pl
import polars.selectors as cs

from finops import schema as s
from finops.config import TagKeys
from finops.ownership import OWNERS, PURPOSE_WORD, source_value, with_owners
from finops.rules import (
    FIELDS,
    PURPOSE,
    TEXT,
    Fact,
    FactValues,
    ModelName,
    Rule,
    Rules,
    RuleValues,
    load_rules,
    machine,
    spellings,
)

SOURCE: Final = "source"
"""x_ClassifiedBy of a charge whose source itself says whether it is AI and what it pays for."""
GENERAL: Final = "general-"
"""Prefix of the rules that know nothing but the kind of service: AI may hide in what they decided."""

_DETAILS: Final = {
    s.MODEL_DEVELOPER: "ModelDeveloper", s.MODEL_FAMILY: "ModelFamily", s.MODEL_ID: "ModelId",
    s.MODEL_VERSION: "ModelVersion", s.TOKEN_DIRECTION: "TokenDirection", s.TOKEN_CACHE_ACTION: "TokenCacheAction",
    s.INSTANCE_TYPE: "InstanceType", s.ACCELERATOR_COUNT: "GpuCount",
}  # fmt: skip
"""Ours <- key of SkuPriceDetails (FOCUS 1.4 and the 1.5 draft)."""
_KEY: Final = (*dict.fromkeys(FIELDS.values()), s.SKU_PRICE_DETAILS, s.IS_AI, PURPOSE_WORD)
_DECIDED: Final = (
    s.IS_AI, s.DRIVER, s.PURPOSE, s.CLASSIFIED_BY, s.HOSTING, s.ACCELERATOR_MODEL, s.ACCELERATOR_COUNT,
    s.MODEL_DEVELOPER, s.MODEL_FAMILY, s.MODEL_ID, s.MODEL_VERSION, s.TOKEN_DIRECTION, s.TOKEN_CACHE_ACTION,
    s.SERVICE_TIER,
)  # fmt: skip
"""Columns that are the same for all charges of one key; the source's own value comes before them."""
_TEXT: Final = (s.SKU_METER, s.USAGE_TYPE, s.CHARGE_DESCRIPTION, s.SKU_ID)
_MEASURES: Final = {s.ACCELERATOR_HOURS: "seconds", s.TOKENS: "tokens", s.REQUESTS: "requests"}
"""Column <- what the consumed (else the pricing) quantity must be a number of."""
_QUANTITIES: Final = {"consumed": s.CONSUMED_QUANTITY, "pricing": s.PRICING_QUANTITY}
_UNIT: Final = re.compile(
    r"(?:(?P<size>[\d,]+)\s*)?(?:(?P<prefix>[KMB])?[\s_-]*(?:(?P<tokens>tokens?)|(?P<requests>requests?))?"
    r"|(?:(?:gpu|instance|accelerator|node|vm|tpu|chip|machine|server)[\s_-]*)?"
    r"(?:(?P<hours>hours?|hrs?|h)|(?P<minutes>minutes?|mins?)|(?P<seconds>seconds?|secs?|s)))",
    re.IGNORECASE,
)
_PREFIXES: Final = {"K": 1_000, "M": 1_000_000, "B": 1_000_000_000}
_SECONDS: Final = {"hours": 3600, "minutes": 60, "seconds": 1}
_ROW: Final = {
    **s.FOCUS,
    s.INSTANCE_TYPE: pl.String(),
    s.USAGE_TYPE: pl.String(),
    s.SOURCE_COLUMNS: pl.String(),
    **s.CLASSIFICATION,
}
_NO_MAPPINGS: Final = pl.DataFrame(schema=s.TABLES["mappings"].columns)
_FACT_OF: Final = {
    s.MODEL_ID: "model", s.MODEL_DEVELOPER: "model", s.MODEL_FAMILY: "model", s.MODEL_VERSION: "model",
    s.TOKEN_DIRECTION: "token_direction", s.TOKEN_CACHE_ACTION: "token_cache_action", s.SERVICE_TIER: "service_tier",
    s.TOKENS: "token_direction",
}  # fmt: skip
OWNER: Final = "owner"
_REASONS: Final = {
    SOURCE: "the source or the mapping file says so",
    OWNER: "a tag, the mapping file or the name of the account says so",
    "instance-type": "machines of this instance type hold these accelerators",
}


@dataclass(frozen=True)
class Decision:
    """One column of one charge: its value, who decided it (the id of a rule or fact, `source`, `owner`), and why."""

    column: str
    value: object
    by: str
    why: str


def classify(charges: pl.LazyFrame, rules: Rules, tags: TagKeys, mappings: pl.DataFrame) -> pl.LazyFrame:
    """The charges with their classification columns filled; what the source says itself is kept.

    charges: the FOCUS columns, x_InstanceType, x_UsageType, x_SourceColumns and the classification columns; others
    pass through. mappings: the lake's table of that name. One pass over the charges collects the distinct keys here;
    the rest stays lazy and keeps the order of the rows.
    """
    columns = charges.collect_schema().names()
    keyed = with_owners(charges, tags, mappings, rules).with_columns(_source_fields(rules))
    key = [*_KEY, *rules.extra_fields()]
    decided = decide(keyed.select(key).unique().collect(engine="streaming"), rules)
    return (
        keyed.join(
            decided.select(*key, cs.starts_with("decided ")).lazy(),
            on=key,
            how="left",
            nulls_equal=True,
            maintain_order="left",
        )
        .with_columns(pl.coalesce(name, f"decided {name}").alias(name) for name in _DECIDED)
        .with_columns(_measure(name).alias(name) for name in _MEASURES)
        .select(columns)
    )


def explain(charge: Mapping[str, Any], rules: Rules, tags: TagKeys | None = None) -> tuple[Decision, ...]:
    """Who decided each classification column of one charge, and why; columns without a value are left out.

    charge: a row of the lake's `charges`, or of a connector. A value that the rules would not give came from the
    source, or from the mapping file.
    """
    row = pl.DataFrame([{name: charge.get(name) for name in _ROW}], schema=_ROW)
    if charge.get(s.CLASSIFIED_BY) not in (None, SOURCE):
        row = row.with_columns(pl.lit(None, dtype=kind).alias(name) for name, kind in s.CLASSIFICATION.items())
    keyed = (
        with_owners(row.lazy(), tags or TagKeys(), _NO_MAPPINGS, rules).with_columns(_source_fields(rules)).collect()
    )
    again = {**keyed.row(0, named=True), **decide(keyed, rules).row(0, named=True)}
    ours = {column: again.get(f"decided {column}", again[column]) for column in (*_DECIDED, *OWNERS)}
    reasons = {match.id: match.why for match in (*rules.facts, *rules.rules)} | _REASONS
    decisions = []
    for column in s.CLASSIFICATION:
        value = ours.get(column) if charge.get(column) is None else charge[column]
        if value is not None:
            by = _decider(column, again) if column in _MEASURES or value == ours.get(column) else SOURCE
            decisions.append(Decision(column, value, by, reasons[by]))
    return tuple(decisions)


def suspected(charges: pl.LazyFrame, rules: Rules | None = None) -> pl.DataFrame:
    """Spend that reads like AI although only its kind of service was known, with its cost, the largest first.

    charges: classified charges. Columns: source, billing period, provider, service, meter, usage type, description,
    currency, effective and billed cost, number of charges. A rule of your own, for or against, settles a line.
    """
    words = f"(?i){(rules or load_rules()).suspect_words}"
    told = [s.SERVICE_NAME, s.SKU_METER, s.USAGE_TYPE, s.CHARGE_DESCRIPTION]
    by = [s.SOURCE_ID, s.BILLING_PERIOD, s.SERVICE_PROVIDER_NAME, *told, s.BILLING_CURRENCY]
    return (
        charges.filter(~pl.col(s.IS_AI) & pl.col(s.CLASSIFIED_BY).str.starts_with(GENERAL))
        .group_by(by)
        .agg(pl.col(s.EFFECTIVE_COST, s.BILLED_COST).sum(), pl.len().cast(pl.Int64).alias(s.CHARGE_COUNT))
        .filter(pl.concat_str(told, separator=" | ", ignore_nulls=True).str.contains(words))
        .sort(s.EFFECTIVE_COST, *by, descending=[True] + [False] * len(by))
        .collect(engine="streaming")
    )


def decide(keys: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """The keys with what facts and rules say: the decided columns, factors of the measures, and `by ...` traces."""
    frame = keys.with_columns(
        *(pl.col(column).alias(name) for name, column in FIELDS.items()),
        *(
            pl.col(s.SKU_PRICE_DETAILS).str.json_path_match(f"$.{key}").alias(f"said {c}")
            for c, key in _DETAILS.items()
        ),
        pl.col(PURPOSE_WORD).alias(PURPOSE),
        pl.concat_str(_TEXT, separator=" | ", ignore_nulls=True).alias(TEXT),
    )
    frame = _with_facts(frame, rules.facts)
    frame = _with_accelerators(frame, rules)
    frame = _with_models(frame, rules.models)
    frame = _with_rules(frame, rules.rules)
    return _with_factors(_with_decisions(frame))


def _condition(match: Fact | Rule) -> pl.Expr:
    tests = [pl.col(field).str.contains(f"(?i){pattern}").fill_null(False) for field, pattern in match.when.items()]
    tests += [~pl.col(field).str.contains(f"(?i){pattern}").fill_null(False) for field, pattern in match.unless.items()]
    return pl.all_horizontal(tests) if tests else pl.lit(True)


def _with_facts(frame: pl.DataFrame, facts: tuple[Fact, ...]) -> pl.DataFrame:
    """Adds `fact VALUE` and `by VALUE` for each value of a fact; per value the first fact that has one wins."""
    hits = frame.select(_condition(fact).alias(fact.id) for fact in facts)
    said: dict[str, list[pl.Expr]] = {name: [] for name in FactValues.model_fields}
    names: dict[str, list[pl.Expr]] = {name: [] for name in FactValues.model_fields}
    for fact in facts:
        values = {name: pl.lit(value, dtype=_kind(value)) for name, value in fact.set if value is not None}
        for name, (field, pattern) in fact.captures().items():
            group = pl.col(field).str.extract_groups(f"(?i){pattern}").struct.field(name)
            values[name] = group.cast(s.MONEY) if name in ("accelerator_count", "tokens_per_block") else group
        for name, value in values.items():
            said[name].append(pl.when(fact.id).then(value))
            names[name].append(pl.when(pl.col(fact.id) & value.is_not_null()).then(pl.lit(fact.id)))
    return (
        pl.concat([frame, hits], how="horizontal")
        .with_columns(
            *(_first(values).alias(f"fact {name}") for name, values in said.items()),
            *(_first(values).alias(f"by {name}") for name, values in names.items()),
        )
        .drop(hits.columns)
    )


def _with_accelerators(frame: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Adds the canonical accelerator: the source's, the one that the meter is named after, the instance type's."""
    frame = frame.with_columns(
        pl.coalesce("instance_type", f"said {s.INSTANCE_TYPE}", "fact instance_type").alias("instance_type")
    )
    known = {
        name: rules.accelerators[machine(name)]
        for name in frame["instance_type"].drop_nulls().unique()
        if machine(name) in rules.accelerators
    }
    model = pl.col("instance_type").replace_strict(
        {name: found.model for name, found in known.items()}, default=None, return_dtype=pl.String
    )
    count = pl.col("instance_type").replace_strict(
        {name: found.count for name, found in known.items()}, default=None, return_dtype=s.MONEY
    )
    # a meter may name a machine by its accelerator (BM.GPU.H100.8): its hours count all of them, GPU hours single ones
    single = pl.any_horizontal(pl.col(f"{q}_unit").str.contains("(?i)gpu") for q in _QUANTITIES).fill_null(value=False)
    machine_named = pl.col("fact instance_type").is_not_null() & count.is_not_null() & ~single
    named = pl.col("fact accelerator").is_not_null() & ~machine_named
    return frame.with_columns(
        pl.coalesce("accelerator", "fact accelerator", model).alias("accelerator"),
        pl.coalesce(
            pl.col(f"said {s.ACCELERATOR_COUNT}").cast(s.MONEY, strict=False),
            pl.when(named).then("fact accelerator_count").otherwise(count),
        ).alias("accelerator_count"),
    )


def _with_models(frame: pl.DataFrame, models: tuple[ModelName, ...]) -> pl.DataFrame:
    """Adds developer, family, id and version of the model; an id that the source gives is kept."""
    frame = frame.with_columns(pl.coalesce("model", f"said {s.MODEL_ID}").alias("own model"))
    frame = frame.with_columns(pl.coalesce("own model", "fact model").alias("model"))
    names = frame["model"].drop_nulls().unique().to_list()
    table = pl.DataFrame(
        [(name, *identify(name, models)) for name in names],
        schema=dict.fromkeys(("model", "model developer", "model family", "model id", "model version"), pl.String),
        orient="row",
    )
    return frame.join(table, on="model", how="left", maintain_order="left").with_columns(
        pl.coalesce("own model", "model id").alias("model id")
    )


def identify(name: str, models: tuple[ModelName, ...]) -> tuple[str | None, str | None, str, str | None]:
    """Developer, family, id and version of a model by its name on a bill; only an id where nothing knows the name."""
    plain = re.sub(r"[\s_]+", "-", name.strip().lower())
    for model in models:
        if found := re.search(model.pattern, plain):
            parts = spellings(found.groupdict(default=""))
            family, model_id, version = (
                re.sub(r"[-. ]+$|(?<=-)-+", "", template.format(**parts))
                for template in (model.family, model.id, model.version)
            )
            return model.developer, family, model_id, version or None
    return None, None, plain, None


def _with_rules(frame: pl.DataFrame, rules: tuple[Rule, ...]) -> pl.DataFrame:
    """Adds what the first rule that matches decides, as `rule VALUE`, and its id."""
    number = frame.select(
        pl.coalesce(pl.when(_condition(rule)).then(pl.lit(i, dtype=pl.Int32)) for i, rule in enumerate(rules)).alias(
            "i"
        )
    )["i"]
    table = pl.DataFrame(
        [{"rule id": rule.id, **{f"rule {name}": value for name, value in rule.set}} for rule in rules],
        schema={
            "rule id": pl.String,
            **{f"rule {n}": pl.Boolean if n == "is_ai" else pl.String for n in RuleValues.model_fields},
        },
    )
    return pl.concat([frame, table[number]], how="horizontal")


def _with_decisions(frame: pl.DataFrame) -> pl.DataFrame:
    """Adds the decided columns; model and tokens belong to model APIs only, accelerators to accelerators."""
    own = pl.col(s.IS_AI).is_not_null() & pl.col(s.DRIVER).is_not_null()
    ai, driver = pl.coalesce(s.IS_AI, "rule is_ai"), pl.coalesce(s.DRIVER, "rule driver")
    api, accelerated = driver == "model_api", driver == "accelerator"
    decided = {
        s.IS_AI: ai,
        s.DRIVER: driver,
        s.PURPOSE: pl.when(ai).then(pl.coalesce(PURPOSE_WORD, "rule purpose", pl.lit("unknown"))),
        s.CLASSIFIED_BY: pl.when(own).then(pl.lit(SOURCE)).otherwise("rule id"),
        s.HOSTING: pl.coalesce(s.HOSTING, "rule hosting"),
        s.ACCELERATOR_MODEL: pl.when(accelerated).then("accelerator"),
        s.ACCELERATOR_COUNT: pl.when(accelerated).then("accelerator_count"),
        s.MODEL_DEVELOPER: pl.when(api).then(pl.coalesce(f"said {s.MODEL_DEVELOPER}", "model developer")),
        s.MODEL_FAMILY: pl.when(api).then(pl.coalesce(f"said {s.MODEL_FAMILY}", "model family")),
        s.MODEL_ID: pl.when(api).then("model id"),
        s.MODEL_VERSION: pl.when(api).then(pl.coalesce(f"said {s.MODEL_VERSION}", "model version")),
        s.TOKEN_DIRECTION: pl.when(api).then(pl.coalesce(f"said {s.TOKEN_DIRECTION}", "fact token_direction")),
        s.TOKEN_CACHE_ACTION: pl.when(api).then(pl.coalesce(f"said {s.TOKEN_CACHE_ACTION}", "fact token_cache_action")),
        s.SERVICE_TIER: pl.when(api).then(pl.col("fact service_tier").str.to_lowercase()),
    }
    return frame.with_columns(value.alias(f"decided {name}") for name, value in decided.items())


def _with_factors(frame: pl.DataFrame) -> pl.DataFrame:
    """Adds `consumed X` and `pricing X`: how many X one unit of that quantity is; null where it counts none."""
    usage = pl.col("category") == "Usage"
    timed = usage & (pl.col(f"decided {s.DRIVER}") == "accelerator") & pl.col("fact counts_time").fill_null(True)
    token = usage & pl.col(f"decided {s.TOKEN_DIRECTION}").is_not_null()
    asked = usage & pl.col(f"decided {s.DRIVER}").is_in(["model_api", "ai_platform"])
    columns = []
    for quantity in _QUANTITIES:
        unit = pl.col(f"{quantity}_unit")
        sizes = {text: unit_size(text) for text in frame[f"{quantity}_unit"].drop_nulls().unique()}
        per = {
            kind: unit.replace_strict(
                {text: size for text, (of, size) in sizes.items() if of == kind}, default=None, return_dtype=s.MONEY
            )
            for kind in ("seconds", "tokens", "requests", "thousands")
        }
        blocks = ["fact tokens_per_block"] if quantity == "pricing" else []
        columns += [
            pl.when(timed).then(per["seconds"]).alias(f"decided {quantity} seconds"),
            pl.when(token)
            .then(pl.coalesce(per["tokens"], per["thousands"], *blocks, "fact tokens_per_unit"))
            .alias(f"decided {quantity} tokens"),
            pl.when(asked).then(per["requests"]).alias(f"decided {quantity} requests"),
        ]
    return frame.with_columns(columns)


def unit_size(unit: str) -> tuple[str, Decimal]:
    """What a unit counts and how many of it: `1K tokens` is 1000 tokens, `GPU-Hours` 3600 seconds, `1M` a million.

    Bare thousands and millions come back as `thousands`, anything else as `other`.
    """
    found = _UNIT.fullmatch(unit.strip())
    if not found:
        return "other", Decimal(1)
    size = Decimal((found["size"] or "1").replace(",", "")) * _PREFIXES.get((found["prefix"] or "").upper(), 1)
    for name, seconds in _SECONDS.items():
        if found[name]:
            return "seconds", size * seconds
    if found["tokens"] or found["requests"]:
        return ("tokens" if found["tokens"] else "requests"), size
    return ("thousands" if found["prefix"] else "other"), size


def _measure(name: str) -> pl.Expr:
    """The source's own figure, else the quantity in that measure: consumed, or where that is not one, priced."""
    amounts = [pl.col(column) * pl.col(f"decided {q} {_MEASURES[name]}") for q, column in _QUANTITIES.items()]
    if name == s.ACCELERATOR_HOURS:
        amounts = [amount * pl.col(s.ACCELERATOR_COUNT) / pl.lit(3600, dtype=s.MONEY) for amount in amounts]
    return pl.coalesce(name, *amounts)


def _source_fields(rules: Rules) -> list[pl.Expr]:
    """The source's own columns that rules name, as columns `column.NAME`."""
    names = [field for field in rules.extra_fields() if field.startswith("column.")]
    return [source_value(name.removeprefix("column.")).alias(name) for name in names]


def _decider(column: str, again: Mapping[str, Any]) -> str:
    if column in OWNERS or (column == s.PURPOSE and again[PURPOSE_WORD]):
        return OWNER
    if column in (s.ACCELERATOR_MODEL, s.ACCELERATOR_COUNT, s.ACCELERATOR_HOURS):
        return str(again["by accelerator"] or "instance-type")
    return str(again.get(f"by {_FACT_OF.get(column)}") or again[f"decided {s.CLASSIFIED_BY}"])


def _first(values: list[pl.Expr]) -> pl.Expr:
    return pl.coalesce(values) if values else pl.lit(None, dtype=pl.String)


def _kind(value: object) -> pl.DataType:
    if isinstance(value, bool):
        return pl.Boolean()
    return s.MONEY if isinstance(value, Decimal) else pl.String()
