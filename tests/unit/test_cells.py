"""Cells of real exports, and what each must be read as."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest

from connectors import cells
from finops.schema import MONEY, TIME

TEXT = pl.String()
CELL = cells.cleaned("c", TEXT)


def read(expression: pl.Expr, value: object) -> object:
    """One cell through an expression."""
    return pl.DataFrame({"c": [value]}, schema={"c": pl.String}).select(expression).item()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1.5", "1.5"),
        (" 3 ", "3"),
        ("1e-5", "0.00001"),
        ("6.266090E-12", "0.00000000000626609"),
        ("-0", "0"),
        ("0.493152627485419123456789", "0.493152627485419123"),
        ("99999999999999999999.5", "99999999999999999999.5"),
    ],
)
def test_a_number_is_exact(written: str, expected: str) -> None:
    """Plain and scientific notation are read exactly, to 18 places."""
    assert read(cells.decimal(CELL, TEXT), written) == Decimal(expected)


@pytest.mark.parametrize(
    "written", ["$10,000.00", "1,5", "1.234,56", "1_000", "NaN", "inf", "abc", "999999999999999999999"]
)
def test_what_is_no_number_is_unreadable_not_zero(written: str) -> None:
    """Money with symbols or separators, NaN and overflow are told apart from an empty cell."""
    assert read(cells.decimal(CELL, TEXT), written) is None
    assert read(CELL, written) == written


@pytest.mark.parametrize("written", [None, "", "  ", "NULL", "null"])
def test_words_for_no_value_are_null(written: str | None) -> None:
    """Empty cells and the word NULL are no value, and not unreadable."""
    assert read(cells.decimal(CELL, TEXT), written) is None
    assert read(CELL, written) is None


@pytest.mark.parametrize("number", [0.1, 17.7537212569, 1e-12, 123456789.12])
def test_a_float_goes_by_its_shortest_text(number: float) -> None:
    """A float of a Parquet file is the decimal that it prints as, not its binary expansion."""
    frame = pl.DataFrame({"c": [number]})
    assert frame.select(cells.decimal(pl.col("c"), pl.Float64())).item() == Decimal(str(number))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2024-09-18T22:00:00Z", datetime(2024, 9, 18, 22, tzinfo=UTC)),
        ("2024-09-18T22:00:00.000Z", datetime(2024, 9, 18, 22, tzinfo=UTC)),
        ("2024-09-18T22:00:00+02:00", datetime(2024, 9, 18, 20, tzinfo=UTC)),
        ("2024-09-18T22:00Z", datetime(2024, 9, 18, 22, tzinfo=UTC)),
        ("2024-09-18 22:00:00", datetime(2024, 9, 18, 22, tzinfo=UTC)),
        ("2024-09-18 22:00:00 UTC", datetime(2024, 9, 18, 22, tzinfo=UTC)),
        ("2024-09-18", datetime(2024, 9, 18, tzinfo=UTC)),
        ("4/1/25", datetime(2025, 4, 1, tzinfo=UTC)),
        ("04/01/2025", datetime(2025, 4, 1, tzinfo=UTC)),
        ("13/13/2025", None),
        ("soon", None),
    ],
)
def test_a_date_is_a_utc_instant(written: str, expected: datetime | None) -> None:
    """ISO forms with and without zone and US days are read; anything else is unreadable."""
    assert read(cells.timestamp(CELL, TEXT), written) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('{"a": "b"}', {"a": "b"}),
        ('[{"key":"a","value":"b"},{"key":"c","value":"d\\"e"}]', {"a": "b", "c": 'd"e'}),
        ('[{"Key": "a", "Value": "b"}]', {"a": "b"}),
        ('"a": "b","c": "d"', {"a": "b", "c": "d"}),
        ("a=b;c=d e", {"a": "b", "c": "d e"}),
        ("a:b, c:d", {"a": "b", "c": "d"}),
        ("{broken", {"unparsed": "{broken"}),
        ("just words", {"unparsed": "just words"}),
        ("[]", {}),
    ],
)
def test_tags_become_one_json_object(written: str, expected: dict[str, str]) -> None:
    """Each way to write tags becomes a JSON object; what cannot be read is kept, not lost."""
    text = read(cells.json_object(CELL, TEXT), written)
    assert json.loads(str(text)) == expected


def test_a_map_column_becomes_json() -> None:
    """Parquet maps, as AWS writes them, become JSON objects with quotes escaped; null stays null."""
    pairs = [[{"key": "a", "value": 'x"y'}, {"key": "b", "value": None}], [], None]
    frame = pl.DataFrame({"c": pairs}).with_columns(pl.col("c").list.to_map())
    texts = (
        frame.select(cells.json_object(cells.cleaned("c", frame.schema["c"]), frame.schema["c"])).to_series().to_list()
    )
    assert [None if t is None else json.loads(t) for t in texts] == [{"a": 'x"y', "b": None}, {}, None]


def test_a_column_in_which_every_cell_is_empty_is_read() -> None:
    """Parquet files type such a column as null: its cells are empty numbers, times and objects."""
    frame, kind = pl.DataFrame({"a": [None, None]}, schema={"a": pl.Null}), pl.Null()
    cell = cells.cleaned("a", kind)
    found = frame.select(
        number=cells.decimal(cell, kind), time=cells.timestamp(cell, kind), tags=cells.json_object(cell, kind)
    )
    assert found.null_count().row(0) == (2, 2, 2)
    assert found.schema == {"number": MONEY, "time": TIME, "tags": pl.String}
