"""Finance's tables are read as finance writes them, or refused whole with every wrong cell."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from connectors import tables
from finops import schema as s
from finops.config import Config, FinanceTables
from finops.errors import CallError, InputError
from finops.pipeline.tables import load
from finops.scope import parse_period, parse_scope
from finops.store import Lake


def written(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def budgets(folder: Path, text: str) -> list[tuple[str, str, str]]:
    frame = tables.read("budgets", written(folder, text), currency="EUR").frame
    assert dict(frame.schema) == s.TABLES["budgets"].columns
    return [
        (scope, period, str(amount.normalize()))
        for scope, period, amount in frame.select("scope", "period", "amount").rows()
    ]


def test_budget_file_with_a_scope_column(tmp_path: Path) -> None:
    """Scopes come out in one canonical form, and currency and cost have their defaults."""
    text = (
        "Scope,Month,Budget,CCY,Budget owner\n"
        "purpose=inference; team=Support,2026-10,1000.50,usd,Ana\n"
        "all,2026-Q4,9,,\n"
    )
    frame = tables.read("budgets", written(tmp_path, text), currency="EUR").frame
    assert frame.select("budget_id", "scope", "period", "amount", "currency", "cost", "owner").rows() == [
        (
            "purpose=inference;team=Support USD",
            "purpose=inference;team=Support",
            "2026-10",
            Decimal("1000.5"),
            "USD",
            "effective",
            "Ana",
        ),
        ("all", "all", "2026-Q4", Decimal(9), "EUR", "effective", None),
    ]  # fmt: skip


def test_budget_file_with_a_column_per_dimension_and_per_month(tmp_path: Path) -> None:
    """A column per dimension makes the scope, a column per month makes a budget each; an empty cell makes none."""
    text = "Team,Cost Centre,2026-01,2026-02\nSupport,CC1,10,20\nSearch,,30,\n"
    assert budgets(tmp_path, text) == [
        ("team=Support;cost_center=CC1", "2026-01", "1E+1"), ("team=Support;cost_center=CC1", "2026-02", "2E+1"),
        ("team=Search", "2026-01", "3E+1"),
    ]  # fmt: skip


def test_semicolons_and_result_columns_are_read(tmp_path: Path) -> None:
    """A semicolon-separated file is read, blank lines are passed over, and result columns are no scopes."""
    assert budgets(tmp_path, "team;period;amount;actual;variance\nA;2026-01-01;5;4;-1\n;;;;\n") == [
        ("team=A", "2026-01", "5")
    ]


def test_every_wrong_cell_is_listed(tmp_path: Path) -> None:
    """Formatted money, wrong periods and wrong scopes are refused together, each with row, column and cell."""
    text = (
        'scope,Month,Amount\nteam=A,2026-10,"$10,000.00"\nteam=A,2026-13,"1.234,56"\n'
        "colour=red,2026-10,\nteam=A,2026-11,1e30\n"
    )
    with pytest.raises(InputError) as refused:
        budgets(tmp_path, text)
    for wrong in (
        "6 wrong cell(s)", 'row 2, Amount: "$10,000.00"', 'row 3, Month: "2026-13"', 'row 3, Amount: "1.234,56"',
        'row 4, scope: "colour=red"', "row 4, Amount: empty", 'row 5, Amount: "1e30"',
    ):  # fmt: skip
        assert wrong in refused.value.found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("\ufeffteam,period\nA,2026-01\n", "no column amount"),
        ("Prupose,period,amount\ninference,2026-01,1\n", "the column Prupose"),
        ("team,scope,period,amount\nA,team=A,2026-01,1\n", "a column scope and also team"),
        ("team,amount,budget,period\nA,1,2,2026-01\n", 'two columns for amount: "amount" and "budget"'),
        ("team,period,amount\nA,2026-01,1\nA,2026-01,2\n", "two rows for team=A, 2026-01"),
        ("team,period,amount\n,,\n", "holds no row of budgets"),
    ],
)
def test_budget_file_that_would_be_misread_is_refused(tmp_path: Path, text: str, found: str) -> None:
    """A missing, unknown, doubled or contradicting column, and a file without rows, are refused."""
    with pytest.raises(InputError, match=found.replace("(", r"\(")):
        budgets(tmp_path, text)


def test_other_tables_are_read_with_common_words(tmp_path: Path) -> None:
    """Invoices, FX rates, business metrics and mappings take common headers; stray columns are reported."""
    invoice = tables.read(
        "invoices",
        written(tmp_path, "Invoice No,Source,Month,Vendor,Total,CCY,PO\nI1,aws,2026-10,AWS,12.5,USD,77\n"),
        currency="EUR",
    )
    assert invoice.ignored == ("PO",)
    assert invoice.frame.select("invoice_id", "source_id", "billing_period", "amount", "currency").rows() == [
        ("I1", "aws", "2026-10", Decimal("12.5"), "USD")
    ]
    rates = tables.read(
        "fx_rates", written(tmp_path, "Date,From,To,Rate,Source\n2026-10-01,eur,usd,1.1,ECB\n"), currency="EUR"
    )
    assert rates.frame.rows() == [(date(2026, 10, 1), "EUR", "USD", Decimal("1.1"), "ECB")]
    metric = tables.read(
        "business_metrics", written(tmp_path, "date,product,kpi,count\n2026-10-01,chat,orders,7\n"), currency="EUR"
    )
    assert metric.frame.rows() == [(date(2026, 10, 1), "chat", "orders", Decimal(7), None, "table.csv")]
    mapping = tables.read("mappings", written(tmp_path, "type,account,team\naccount,123,Search\n"), currency="EUR")
    assert mapping.frame.select("kind", "match", "team").rows() == [("account", "123", "Search")]
    with pytest.raises(InputError, match="a rate above 0"):
        tables.read("fx_rates", written(tmp_path, "day,base,quote,rate\n2026-10-01,EUR,USD,0\n"), currency="EUR")


def test_load_is_idempotent_and_all_or_nothing(tmp_path: Path) -> None:
    """Equal files make no snapshot, a changed one does, and one wrong file leaves every table as it was."""
    written(tmp_path, "scope,period,amount\nteam=A,2026-01,5\n", "budgets.csv")
    written(tmp_path, "day,base,quote,rate\n2026-10-01,EUR,USD,1.1\n", "fx.csv")
    config = Config(home=tmp_path, tables=FinanceTables(budgets=Path("budgets.csv"), fx_rates=Path("fx.csv")))
    lake, said = Lake.of(config), list[str]()
    assert load(config, lake, say=said.append).changed == ("budgets", "fx_rates")
    assert load(config, lake, say=said.append).changed == ()
    assert len(lake.snapshots()) == 1
    written(tmp_path, "scope,period,amount\nteam=A,2026-01,6\n", "budgets.csv")
    fx = written(tmp_path, "day,base,quote,rate\n2026-10-01,EUR,USD,many\n", "fx.csv")
    with pytest.raises(InputError, match="many"):
        load(config, lake, say=said.append)
    assert lake.scan("budgets").collect()["amount"].to_list() == [5]
    fx.unlink()
    with pytest.raises(InputError, match="there is no file"):
        load(config, lake, say=said.append)
    assert len(lake.snapshots()) == 1
    written(tmp_path, "day,base,quote,rate\n2026-10-01,EUR,USD,1.1\n", "fx.csv")
    assert load(config, lake, say=said.append).changed == ("budgets",)


def test_periods_and_scopes_say_what_they_cover() -> None:
    """A period has its first day and the first day after it; a scope refuses words that are no dimension."""
    assert (parse_period("2026-12").start, parse_period("2026-12").end) == (date(2026, 12, 1), date(2027, 1, 1))
    assert (parse_period("2026-q4").name, parse_period("2026-Q4").end) == ("2026-Q4", date(2027, 1, 1))
    assert (parse_period("2028").days, parse_period("2026-02-01").days) == (366, 28)
    assert str(parse_scope(" All ")) == str(parse_scope("")) == "all"
    for wrong in ("team", "team=", "owner=none", "team=A;team=B", "day=2026-01-01"):
        with pytest.raises(CallError):
            parse_scope(wrong)
    for wrong in ("2026-13", "Oct 2026", "2026-Q5"):
        with pytest.raises(CallError):
            parse_period(wrong)
