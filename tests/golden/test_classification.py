"""Real usage types, meters, SKU names, service names and instance types, and what each must become."""

import csv
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from finops import schema as s
from finops.classify import classify
from finops.config import TagKeys
from finops.rules import load_rules

TABLE = Path(__file__).with_name("classification.csv")
INPUTS = {
    s.SERVICE_PROVIDER_NAME: "provider", s.SERVICE_NAME: "service", s.SERVICE_CATEGORY: "category",
    s.USAGE_TYPE: "usage_type", s.SKU_METER: "meter", s.CHARGE_DESCRIPTION: "description",
    s.INSTANCE_TYPE: "instance_type", s.CONSUMED_UNIT: "unit",
}  # fmt: skip
EXPECTED = {
    "driver": s.DRIVER, "purpose": s.PURPOSE, "hosting": s.HOSTING, "accelerator": s.ACCELERATOR_MODEL,
    "count": s.ACCELERATOR_COUNT, "hours": s.ACCELERATOR_HOURS, "developer": s.MODEL_DEVELOPER, "model": s.MODEL_ID,
    "direction": s.TOKEN_DIRECTION, "cache": s.TOKEN_CACHE_ACTION, "tokens": s.TOKENS, "tier": s.SERVICE_TIER,
}  # fmt: skip
ROWS = list(csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines()))


@pytest.fixture(scope="module")
def classified() -> list[dict[str, object]]:
    schema = {
        **s.FOCUS,
        s.INSTANCE_TYPE: pl.String,
        s.USAGE_TYPE: pl.String,
        s.SOURCE_COLUMNS: pl.String,
        **s.CLASSIFICATION,
    }
    charges = pl.DataFrame(
        [
            {
                **dict.fromkeys(schema),
                **{column: row[name] or None for column, name in INPUTS.items()},
                s.CONSUMED_QUANTITY: Decimal(row["quantity"]),
                s.CHARGE_CATEGORY: "Usage",
            }
            for row in ROWS
        ],
        schema=schema,
    )
    mappings = pl.DataFrame(schema=s.TABLES["mappings"].columns)
    return classify(charges.lazy(), load_rules(), TagKeys(), mappings).collect().to_dicts()


def test_the_table_is_long_enough_and_every_provider_is_in_it() -> None:
    """The table has at least 120 different names of charges."""
    assert len({tuple(row.values())[:7] for row in ROWS}) >= 120
    assert {"AWS", "Microsoft", "Google Cloud", "Oracle", "OpenAI", "Anthropic"} < {row["provider"] for row in ROWS}


@pytest.mark.parametrize(
    "number",
    range(len(ROWS)),
    ids=[
        f"{row['provider']}-{row['usage_type'] or row['meter'] or row['description'] or row['instance_type']}"
        for row in ROWS
    ],
)
def test_each_name_becomes_what_the_table_says(number: int, classified: list[dict[str, object]]) -> None:
    """A charge of this name gets exactly the values of its line."""
    row, found = ROWS[number], classified[number]
    said = {name: "" if found[column] is None else _plain(found[column]) for name, column in EXPECTED.items()}
    assert {"is_ai": str(found[s.IS_AI]).lower(), **said} == {name: row[name] for name in ("is_ai", *EXPECTED)}


def _plain(value: object) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)
