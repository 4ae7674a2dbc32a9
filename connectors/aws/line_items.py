"""Line items of a Cost and Usage Report as charges, whatever the file's layout (cur2.py, legacy.py).

What a line item costs is said in costs.py, what it is called in dimensions.py, where discounts stand in discounts.py.
"""

from collections.abc import Callable
from typing import Final

import polars as pl

from connectors import cells
from connectors.aws import bedrock, costs, dimensions, discounts
from connectors.aws.columns import NEEDED, NUMBERS, TEXTS, TIMES, Kinds, Layout
from connectors.aws.discounts import Basis
from connectors.files import ROW_INDEX
from connectors.registry import PARSED, RAW, REJECT, SOURCE_ROWS, RawPart
from finops import schema as s

_RAW: Final = "raw "
_CELL: Final = "cell "
_BAD: Final = "is bad"
_TOKENS: Final = "is token meter"
_CHARGE: Final = "charge"


def charges(raw: pl.LazyFrame, kinds: Kinds, layout: Layout, part: RawPart, how: Basis) -> pl.LazyFrame:
    """The rows of a report as charges with the columns PARSED; kinds: the file's columns and their types."""
    verbatim = {column: _RAW + column for column in kinds if column != ROW_INDEX}
    # each stage is computed once and read by the next: cells, values, what is wrong with a row, charges
    values = _values(raw, layout, how, list(verbatim))
    judged = (
        values.with_columns(_named(dimensions.periods()))
        .with_columns(
            discounts.paid(
                how,
                gross="line_item_unblended_cost",
                net="line_item_net_unblended_cost",
                total=costs.TOTAL,
                line_item_type=costs.TYPE,
            ).alias(costs.PAID)
        )
        .with_columns(costs.effective(how).alias(s.EFFECTIVE_COST), *costs.unused(how))
        .with_columns(pl.any_horizontal(c.fill_null(value=False) for c in _conditions(layout)).alias(_BAD))
    )
    return (
        _rejected(judged, kinds, layout, verbatim)
        .with_columns(pl.when((pl.col(costs.UNUSED) != 0) & ~pl.col(_BAD)).then([0, 1]).otherwise([0]).alias(_CHARGE))
        .explode(_CHARGE)
        .with_columns((pl.col(_CHARGE) == 1).alias(costs.SECOND), *_named(dimensions.service()))
        .with_columns(costs.token_meter().alias(_TOKENS))
        .with_columns(_named({**costs.four_costs(), **costs.categories(), **costs.commitments()}))
        .with_columns(_named({**dimensions.names(), **costs.quantities(how, _TOKENS)}))
        .with_columns(
            cells.where(_TOKENS, bedrock.price_details(pl.col(costs.USAGE)), [costs.USAGE]).alias(s.SKU_PRICE_DETAILS),
            cells.where(_TOKENS, bedrock.tier(pl.col(costs.USAGE)), [costs.USAGE]).alias(s.SERVICE_TIER),
            pl.lit(part.name).alias(s.SOURCE_FILE),
            pl.col(ROW_INDEX).cast(pl.Int64).alias(s.SOURCE_ROW),
            (1 - pl.col(_CHARGE)).cast(pl.Int64).alias(SOURCE_ROWS),
        )
        .select(pl.col(name) if name in _FILLED else pl.lit(None, dtype=k).alias(name) for name, k in PARSED.items())
    )


def _values(raw: pl.LazyFrame, layout: Layout, how: Basis, columns: list[str]) -> pl.LazyFrame:
    """The file's columns as written, their cells, and AWS's columns as typed values; those it lacks are null."""
    read = raw.with_columns(layout.opened).select(
        ROW_INDEX,
        pl.col(columns).name.prefix(_RAW),
        *(cell.alias(_CELL + name) for name, (cell, _) in layout.cells.items()),
        layout.tags.alias(s.TAGS),
        dimensions.source_columns(layout, how).alias(s.SOURCE_COLUMNS),
        (pl.lit(None, dtype=s.MONEY) if layout.total_discount is None else layout.total_discount).alias(costs.TOTAL),
    )

    def typed(name: str, convert: Callable[[pl.Expr, pl.DataType], pl.Expr], kind: pl.DataType) -> pl.Expr:
        if name not in layout.cells:
            return pl.lit(None, dtype=kind).alias(name)
        return convert(pl.col(_CELL + name), layout.cells[name][1]).alias(name)

    return read.with_columns(
        *(typed(name, lambda cell, _: cell.cast(pl.String), pl.String()) for name in TEXTS),
        *(typed(name, cells.decimal, s.MONEY) for name in NUMBERS),
        *(typed(name, cells.timestamp, s.TIME) for name in TIMES),
    )


def _unreadable(layout: Layout) -> dict[str, pl.Expr]:
    return {
        name: pl.col(_CELL + name).is_not_null() & pl.col(name).is_null()
        for name in (*NUMBERS, *TIMES)
        if name in layout.cells
    }


def _conditions(layout: Layout) -> list[pl.Expr]:
    """Everything that keeps a row from being a charge."""
    empty = [pl.col(name).is_null() for name in NEEDED]
    return [*_unreadable(layout).values(), *empty, *costs.wrong().values()]


def _rejected(judged: pl.LazyFrame, kinds: Kinds, layout: Layout, verbatim: dict[str, str]) -> pl.LazyFrame:
    """Adds why a row is no charge and the row verbatim; drops the file's own columns."""
    unreadable = _unreadable(layout)
    reason = cells.first_reason([
        *((bad, cells.unreadable(name, _CELL + name, is_time=name in TIMES)) for name, bad in unreadable.items()),
        *((pl.col(name).is_null(), f"{name} is empty") for name in NEEDED),
        *((bad, text) for text, bad in costs.wrong().items()),
    ])  # fmt: skip
    read = {
        *NEEDED, *unreadable, *(_CELL + name for name in unreadable), s.EFFECTIVE_COST, costs.PAID, s.BILLING_CURRENCY,
    }  # fmt: skip
    as_text = pl.struct(
        (pl.col(name) if kinds[file_column] == pl.String else cells.cleaned(name, kinds[file_column]).cast(pl.String))
        .alias(file_column)
        for file_column, name in verbatim.items()
    )  # fmt: skip
    return judged.with_columns(
        cells.where(_BAD, reason, read).alias(REJECT),
        cells.where(_BAD, as_text.struct.json_encode(), verbatim.values()).alias(RAW),
    ).drop(*verbatim.values(), *(_CELL + name for name in layout.cells))


def _named(columns: dict[str, pl.Expr]) -> list[pl.Expr]:
    return [value.alias(name) for name, value in columns.items()]


_FILLED: Final = frozenset({
    *dimensions.periods(), *dimensions.service(), *dimensions.names(), *costs.four_costs(), *costs.categories(),
    *costs.commitments(), *costs.quantities("rows", _TOKENS), s.TAGS, s.SOURCE_COLUMNS, s.SKU_PRICE_DETAILS,
    s.SERVICE_TIER, s.SOURCE_FILE, s.SOURCE_ROW, REJECT, RAW, SOURCE_ROWS,
})  # fmt: skip
