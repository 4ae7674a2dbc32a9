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
OWNERS: Final = (s.TEAM, s.USE_CASE, s.COST_CENTER, s.ENVIRONMENT, s.CONSUMER_ID, s.OWNER_STATUS)
"""The columns that this module fills."""
_CONSUMERS: Final = ("CredentialId", "PrincipalId")
"""Columns of the FOCUS 1.5 draft that say who called: API key, then person or service account."""
_KINDS: Final = ("key", "tag", "service", "account")
"""Kinds of mapping, the nearest to the user first."""
_ACCOUNTS: Final = (s.SUB_ACCOUNT_ID, s.SUB_ACCOUNT_NAME, s.BILLING_ACCOUNT_ID)


def tag_value(*keys: str) -> pl.Expr:
    """The value of the first of these tags that is there and not blank, read from the JSON text of Tags.

    A key's case does not matter, nor do spaces around it, nor the `user:` or `user_` that AWS puts before it.
    """
    return _json_value(pl.col(s.TAGS), [rf"(?:(?:resource_?tags/)?user[:_])?{re.escape(key)}" for key in keys])


def source_value(name: str) -> pl.Expr:
    """The value of a column that only the source knows."""
    return _json_value(pl.col(s.SOURCE_COLUMNS), [re.escape(name)])


def _json_value(text: pl.Expr, keys: list[str]) -> pl.Expr:
    # quotes inside a value are escaped, so a quoted key before a colon is always a key
    value = r'("\s*(?:[^"\\\s]|\\.)(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false)'
    literal = pl.coalesce(text.str.extract(rf'(?i)"\s*{key}\s*"\s*:\s*{value}', 1) for key in keys)
    escaped = pl.when(literal.str.contains("\\", literal=True)).then(pl.format('{{"v":{}}}', literal))
    return pl.coalesce(escaped.str.json_path_match("$.v"), literal.str.strip_chars('"')).str.strip_chars()


def with_owners(charges: pl.LazyFrame, tags: TagKeys, mappings: pl.DataFrame, rules: Rules) -> pl.LazyFrame:
    """The charges with team, use case, cost center, environment, consumer and owner status; and the columns
    PURPOSE_WORD and `tag.KEY` that rules read.

    Per column the first that knows it: the source, the tags in the configured order, the mapping of the consumer or
    API key, of a tag, of the service, of the account, and the naming habit of the account. Status: known when
    something but the account names the team, inferred when the account does, none when nobody does.
    Raises ConfigError for a mapping whose kind or match cannot be looked up.
    """
    columns = charges.collect_schema().names()
    charges = charges.with_columns(pl.coalesce(s.CONSUMER_ID, *map(source_value, _CONSUMERS)).alias(s.CONSUMER_ID))
    named = [field for field in rules.extra_fields() if field.startswith("tag.")]
    mapped_tags = _by_tag(_of_kind(mappings, "tag"))
    tagged = {f"tagged {name}": tag_value(*getattr(tags, name)) for name in _DIMENSIONS if getattr(tags, name)}
    # apart, so that the pass that collects the keys of the rules does not read the owners' tags
    for wanted in (
        {name: value for name, value in tagged.items() if name != f"tagged {PURPOSE}"},
        {
            **{name: value for name, value in tagged.items() if name == f"tagged {PURPOSE}"},
            **{f"tag {key} match": tag_value(key) for key in mapped_tags},
            **{field: tag_value(field.removeprefix("tag.")) for field in named},
        },
    ):
        charges = _with_tags(charges, wanted)
    charges, direct, by_account = _with_mappings(charges, mappings, mapped_tags)
    known, inferred = {}, {}
    for name, column in _DIMENSIONS.items():
        known[name] = [pl.col(column), *([pl.col(f"tagged {name}")] if f"tagged {name}" in tagged else [])]
        known[name] += [pl.col(f"{by} {name}") for by in direct]
        inferred[name] = [*(pl.col(f"{by} {name}") for by in by_account), *_habits(rules.account_names, name)]
    nobody = pl.lit(None, dtype=pl.String)
    status = (
        pl.when(pl.coalesce(known["team"]).is_not_null()).then(pl.lit("known"))
        .when(pl.coalesce(*inferred["team"], nobody).is_not_null()).then(pl.lit("inferred"))
        .otherwise(pl.lit("none"))
    )  # fmt: skip
    purposes = {**{purpose: purpose for purpose in s.PURPOSES if purpose != "unknown"}, **rules.purposes}
    words = [_purpose(word.str.to_lowercase(), purposes) for word in (*known[PURPOSE], *inferred[PURPOSE])]
    owners = {column: pl.coalesce(*known[name], *inferred[name]) for name, column in _DIMENSIONS.items()}
    del owners[s.PURPOSE]
    return charges.with_columns(
        *(value.alias(column) for column, value in owners.items()),
        pl.coalesce(s.OWNER_STATUS, status).alias(s.OWNER_STATUS),
        pl.coalesce(words).alias(PURPOSE_WORD),
    ).select(*columns, PURPOSE_WORD, *named)


def _with_tags(charges: pl.LazyFrame, wanted: dict[str, pl.Expr]) -> pl.LazyFrame:
    """The charges with columns that are read from Tags alone.

    Bills repeat the same tags row after row: a batch of rows that does so reads its distinct ones once.
    """
    if not wanted:
        return charges
    kind = pl.Struct(dict.fromkeys(wanted, pl.String()))
    answer = pl.struct(value.alias(name) for name, value in wanted.items()).alias("read")

    def read(tags: pl.Series) -> pl.Series:
        rows = tags.alias(s.TAGS).to_frame()
        sample = tags.head(1_000)
        if sample.n_unique() > len(sample) // 2:
            return rows.select(answer)["read"]
        once = rows.unique().with_columns(answer)
        return rows.join(once, on=s.TAGS, how="left", nulls_equal=True, maintain_order="left")["read"]

    return charges.with_columns(
        pl.col(s.TAGS).map_batches(read, return_dtype=kind, is_elementwise=True).alias("read")
    ).unnest("read")


def _purpose(word: pl.Expr, purposes: dict[str, str]) -> pl.Expr:
    # by batch, because replace_strict over a stream takes hold of the whole of it
    return word.map_batches(
        lambda words: words.replace_strict(purposes, default=None, return_dtype=pl.String),
        return_dtype=pl.String,
        is_elementwise=True,
    )


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


def _with_mappings(
    charges: pl.LazyFrame, mappings: pl.DataFrame, tags: dict[str, pl.DataFrame]
) -> tuple[pl.LazyFrame, list[str], list[str]]:
    """The charges joined to the mappings, and the prefixes of the joined columns: of the direct ones, of accounts."""
    unknown = mappings.filter(~pl.col("kind").is_in(_KINDS))
    if unknown.height:
        row = unknown.row(0, named=True)
        raise ConfigError(
            f"the mapping of {row['match']!r} has the kind {row['kind']!r}",
            expected=" or ".join(_KINDS),
            next_step=f"correct it in {row['source'] or 'the mapping file'}",
        )
    direct = {
        "key": (pl.col(s.CONSUMER_ID), _of_kind(mappings, "key")),
        **{f"tag {key}": (pl.col(f"tag {key} match"), rows) for key, rows in tags.items()},
        "service": (pl.col(s.SERVICE_NAME), _of_kind(mappings, "service")),
    }
    # the payer's mapping is for its own charges, not for those of every sub account without one
    payer = pl.when(pl.col(s.SUB_ACCOUNT_ID).is_null()).then(pl.col(s.BILLING_ACCOUNT_ID))
    accounts = {column: pl.col(column) for column in _ACCOUNTS} | {s.BILLING_ACCOUNT_ID: payer}
    by_account = {column: (value, _of_kind(mappings, "account")) for column, value in accounts.items()}
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


def _of_kind(mappings: pl.DataFrame, kind: str) -> pl.DataFrame:
    return mappings.filter(pl.col("kind") == kind)


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
