"""Who owns a charge: tags, then the mapping file, then the account; all as expressions over columns.

Tags are read from the JSON text in place, so a million different tag strings cost a million reads and no memory.
"""

import re
from typing import Final

import polars as pl

from finops import schema as s
from finops.config import TagKeys
from finops.errors import ConfigError
from finops.rules import PURPOSE, AccountName, Rules

PURPOSE_WORD: Final = "x_PurposeWord"
"""What source, tag or mapping say that the charge serves, as one of the purposes; before any rule decides."""

_DIMENSIONS: Final = {
    "team": s.TEAM, "use_case": s.USE_CASE, "cost_center": s.COST_CENTER, "environment": s.ENVIRONMENT,
    PURPOSE: s.PURPOSE,
}  # fmt: skip
OWNERS: Final = (s.TEAM, s.USE_CASE, s.COST_CENTER, s.ENVIRONMENT, s.OWNER_STATUS)
"""The columns that this module fills."""
_KINDS: Final = ("key", "tag", "service", "account")
"""Kinds of mapping, the nearest to the user first."""
_ACCOUNTS: Final = (s.SUB_ACCOUNT_ID, s.SUB_ACCOUNT_NAME, s.BILLING_ACCOUNT_ID)


def tag_value(key: str, column: str = s.TAGS) -> pl.Expr:
    """The value of a tag in JSON text; null where it is missing or blank.

    The key's case does not matter, nor do spaces around it, nor the `user:` or `user_` that AWS puts before it.
    """
    return _json_value(pl.col(column), rf"(?:(?:resource_?tags/)?user[:_])?{re.escape(key)}")


def source_value(name: str) -> pl.Expr:
    """The value of a column that only the source knows."""
    return _json_value(pl.col(s.SOURCE_COLUMNS), re.escape(name))


def _json_value(text: pl.Expr, key: str) -> pl.Expr:
    # a quoted key inside a value has its quotes escaped, so `"key"` followed by a colon is always a key
    literal = text.str.extract(rf'(?i)"\s*{key}\s*"\s*:\s*("(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false)', 1)
    escaped = pl.when(literal.str.contains("\\", literal=True)).then(literal)
    value = pl.coalesce(escaped.str.json_decode(pl.String), literal.str.strip_chars('"')).str.strip_chars()
    return pl.when(value != "").then(value)


def with_owners(charges: pl.LazyFrame, tags: TagKeys, mappings: pl.DataFrame, rules: Rules) -> pl.LazyFrame:
    """The charges with team, use case, cost center, environment and owner status, and the column PURPOSE_WORD.

    Per column the first that knows it: the source, the tags in the configured order, the mapping of the consumer or
    API key, of a tag, of the service, of the account, and the naming habit of the account. Status: known when
    something but the account names the team, inferred when the account does, none when nobody does.
    Raises ConfigError for a mapping whose kind or match cannot be looked up.
    """
    columns = charges.collect_schema().names()
    charges, direct, by_account = _mapped(charges, mappings)
    answers = {
        name: [
            pl.col(column),
            *(tag_value(key) for key in getattr(tags, name)),
            *(pl.col(f"{mapped} {name}") for mapped in direct),
        ]
        for name, column in _DIMENSIONS.items()
    }
    inferred = {
        name: [*(pl.col(f"{mapped} {name}") for mapped in by_account), *_habits(rules.account_names, name)]
        for name in _DIMENSIONS
    }
    known = pl.coalesce(answers["team"]).is_not_null()
    likely = pl.coalesce(*inferred["team"], pl.lit(None)).is_not_null()
    status = pl.when(known).then(pl.lit("known")).when(likely).then(pl.lit("inferred")).otherwise(pl.lit("none"))
    purposes = {**rules.purposes, **{purpose: purpose for purpose in s.PURPOSES if purpose != "unknown"}}
    words = [
        word.str.to_lowercase().replace_strict(purposes, default=None, return_dtype=pl.String)
        for word in (*answers[PURPOSE], *inferred[PURPOSE])
    ]
    return charges.with_columns(
        *(
            pl.coalesce(*answers[name], *inferred[name]).alias(column)
            for name, column in _DIMENSIONS.items()
            if name != PURPOSE
        ),
        pl.coalesce(s.OWNER_STATUS, status).alias(s.OWNER_STATUS),
        pl.coalesce(words).alias(PURPOSE_WORD),
    ).select(*columns, PURPOSE_WORD)


def _habits(names: tuple[AccountName, ...], group: str) -> list[pl.Expr]:
    """What the naming habits of sub-accounts say."""
    said = []
    for habit in names:
        pattern = f"(?i){habit.pattern}"
        groups = pl.Series([""]).str.extract_groups(pattern).struct.fields
        if group in groups:
            found = pl.col(s.SUB_ACCOUNT_NAME).str.extract_groups(pattern).struct.field(group)
            said.append(found.str.to_lowercase())
    return said


def _mapped(charges: pl.LazyFrame, mappings: pl.DataFrame) -> tuple[pl.LazyFrame, list[str], list[str]]:
    """The charges joined to the mappings, and the prefixes of the joined columns: of the direct ones, of accounts."""
    unknown = mappings.filter(~pl.col("kind").is_in(_KINDS))
    if unknown.height:
        row = unknown.row(0, named=True)
        raise ConfigError(
            f"the mapping of {row['match']!r} has the kind {row['kind']!r}",
            expected=" or ".join(_KINDS),
            next_step=f"correct it in {row['source'] or 'the mapping file'}",
        )
    of = {kind: mappings.filter(pl.col("kind") == kind) for kind in _KINDS}
    direct = {
        "key": (pl.col(s.CONSUMER_ID), of["key"]),
        **{f"tag {key}": (tag_value(key), rows) for key, rows in _by_tag(of["tag"]).items()},
        "service": (pl.col(s.SERVICE_NAME), of["service"]),
    }
    by_account = {column: (pl.col(column), of["account"]) for column in _ACCOUNTS}
    used = {name: (value, rows) for name, (value, rows) in {**direct, **by_account}.items() if rows.height}
    for name, (value, rows) in used.items():
        table = rows.select(
            pl.col("match").str.strip_chars().str.to_lowercase().alias(f"{name} match"),
            *(pl.col(dimension).alias(f"{name} {dimension}") for dimension in _DIMENSIONS),
        ).unique(f"{name} match", keep="first", maintain_order=True)
        charges = charges.with_columns(value.str.strip_chars().str.to_lowercase().alias(f"{name} match")).join(
            table.lazy(), on=f"{name} match", how="left", maintain_order="left"
        )
    return charges, [name for name in used if name in direct], [name for name in used if name in by_account]


def _by_tag(rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The mappings of tags by tag key; their matches are KEY=VALUE."""
    wrong = rows.filter(~pl.col("match").str.contains(r"^[^=]+=."))
    if wrong.height:
        raise ConfigError(
            f"the tag mapping {wrong['match'][0]!r} names no value",
            expected="KEY=VALUE, like project=chatbot",
            next_step=f"correct it in {wrong['source'][0] or 'the mapping file'}",
        )
    pair = pl.col("match").str.splitn("=", 2).struct
    split = rows.with_columns(
        pair.field("field_0").str.strip_chars().str.to_lowercase().alias("key"), pair.field("field_1").alias("match")
    )
    return {str(key): part for (key,), part in split.partition_by("key", as_dict=True, maintain_order=True).items()}
