"""Budgets survive the way out and back to the last decimal, and a scope survives being written down."""

from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from finops import schema as s
from finops.config import Config
from finops.money import CONTEXT
from finops.pipeline.budgets import export_budgets, import_budgets
from finops.scope import DIMENSIONS, Scope, parse_scope
from finops.store import Lake

AMOUNTS = st.decimals(min_value=-(10**12), max_value=10**12, places=18, allow_nan=False) | st.sampled_from(
    [Decimal(0), Decimal("1e-18"), Decimal(100), Decimal("0.10")]
)
WORDS = st.text(st.characters(categories=("L", "N"), include_characters=" _-.,\"='"), min_size=1, max_size=12)
VALUES = WORDS.map(str.strip).filter(lambda v: v and v.lower() not in ("null", "none"))


def budget_rows(amounts: list[Decimal]) -> pl.DataFrame:
    rows = [
        {
            "budget_id": f"team=T{i % 3}/{'USD' if i % 2 else 'EUR'}", "scope": f"team=T{i % 3}",
            "period": f"{2000 + i}", "amount": amount, "currency": "USD" if i % 2 else "EUR", "cost": "effective",
            "source": "budgets.csv#0",
        }
        for i, amount in enumerate(amounts)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=s.TABLES["budgets"].columns)


@settings(max_examples=12, deadline=None)
@given(amounts=st.lists(AMOUNTS, min_size=1, max_size=12), edits=st.lists(AMOUNTS, min_size=1, max_size=12))
def test_totals_exported_are_totals_imported(amounts: list[Decimal], edits: list[Decimal]) -> None:
    """An unchanged file changes nothing; an edited one gives the lake exactly the edited total of each currency."""
    with TemporaryDirectory() as folder:
        config = Config(home=Path(folder))
        lake, file = Lake.of(config), Path(folder) / "out.csv"
        with lake.transaction("test") as tx:
            tx.replace("budgets", budget_rows(amounts))
        exported = export_budgets(config, lake, file)
        imported = import_budgets(config, lake, file, say=lambda _: None)
        assert (imported.totals, imported.changed) == (exported.totals, 0)
        assert len(lake.snapshots()) == 1
        text = pl.read_csv(file, infer_schema=False)
        cells = [format(edits[i % len(edits)], "f") for i in range(len(text))]
        text.with_columns(budget=pl.Series(cells, dtype=pl.String)).write_csv(file)
        totals = import_budgets(config, lake, file, say=lambda _: None).totals
        held = lake.scan("budgets").collect()
        for currency, total in totals.items():
            places = [i for i, c in enumerate(text["currency"]) if c == currency]
            wanted = Decimal(0)
            for i in places:
                wanted = CONTEXT.add(wanted, edits[i % len(edits)])
            assert wanted == total == held.filter(currency=currency)["amount"].sum()


@given(values=st.dictionaries(st.sampled_from(DIMENSIONS).filter(lambda d: d != "is_ai"), VALUES, max_size=4))
def test_scope_survives_being_written_down(values: dict[str, str]) -> None:
    """Reading the text of a scope gives the scope, in whatever order its terms were."""
    scope = Scope.of(values)
    assert parse_scope(str(scope)) == scope
    assert parse_scope(";".join(f"{k}={v}" for k, v in reversed(list(values.items())))) == scope
