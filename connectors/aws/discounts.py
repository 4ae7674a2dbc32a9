"""Where a bill keeps its discounts: in rows of their own, in net columns, or in a map. One of them counts, never two.

AWS writes one discount (bundled, EDP, private rate, SPP, RI volume) in up to three ways at once:

| basis | where | what is billed | of a discount row |
|---|---|---|---|
| net | net columns are filled | net unblended cost | its net cost, 0: it is in the rows that it discounts |
| rows | rows of a type ...Discount, or no discount at all | unblended cost | unblended cost, negative |
| map | the `discount` map is filled, and neither of the above | unblended cost less total discount | there is none |

The invoice is the net; AWS fills net columns only while an account has a discount. A map is kept beside the charge in
x_SourceColumns, whatever counts.

Source: AWS Data Exports user guide, CUR 2.0 discount and line item columns ("net: the actual after-discount cost";
the map "is not available when manual discount compatibility is enabled; discounts are populated as separate line
items"); AWS blog on bundled discounts ("columns and line item represent the same information"), read 2026-11-21.
"""

from collections.abc import Mapping
from typing import Final, Literal, get_args

import polars as pl

from connectors import cells
from connectors.aws.columns import Layout
from finops import schema as s

Basis = Literal["net", "rows", "map"]
BASES: Final[tuple[Basis, ...]] = get_args(Basis)
WORDS: Final[dict[Basis, str]] = {
    "net": "net columns: discounts are in the cost of the rows they discount, discount rows count nothing",
    "rows": "unblended cost: discounts are rows of their own, or there are none",
    "map": "unblended cost less the discount map: there are no discount rows",
}
DISCOUNT_ROW: Final = "Discount$"
"""Line item types of discounts: EdpDiscount, PrivateRateDiscount, BundledDiscount, SppDiscount, RiVolumeDiscount."""
OPTION: Final = "discounts"
"""Option of a part that says the basis of its bill."""
_NET: Final = "line_item_net_unblended_cost"


def is_discount(line_item_type: pl.Expr) -> pl.Expr:
    """Whether a line item is a discount on other line items."""
    return line_item_type.str.contains(DISCOUNT_ROW).fill_null(value=False)


def basis(files: list[tuple[pl.LazyFrame, Layout]]) -> Basis:
    """Where the discounts of one bill stand, looked up in all its files; only the columns in question are read."""
    if not any(_NET in layout.cells or layout.total_discount is not None for _, layout in files):
        return "rows"
    net, rows, total = False, False, False
    for frame, layout in files:
        row, nothing = is_discount(layout.cells["line_item_line_item_type"][0]), pl.lit(value=False)
        filled = _net_cost(layout) & ~row if _NET in layout.cells else nothing
        noted = nothing if layout.total_discount is None else (layout.total_discount != 0).fill_null(value=False)
        asked = frame.select(net=filled.any(), rows=row.any(), total=noted.any()).collect(engine="streaming")
        found = asked.row(0, named=True)
        net, rows, total = net or found["net"], rows or found["rows"], total or found["total"]
    if net:
        return "net"
    return "map" if total and not rows else "rows"


def _net_cost(layout: Layout) -> pl.Expr:
    """Whether a row has a net cost; a column of zeros is not filled."""
    cell, kind = layout.cells[_NET]
    return (cells.decimal(cell, kind) != 0).fill_null(value=False)


def chosen(options: Mapping[str, str], files: list[tuple[pl.LazyFrame, Layout]]) -> Basis:
    """The basis that was found in all files of the bill, else the one of these files."""
    known = next((b for b in BASES if b == options.get(OPTION)), None)
    return known or basis(files)


def paid(how: Basis, *, gross: str, net: str, total: str, line_item_type: str) -> pl.Expr:
    """What the invoice says of a row: columns of its unblended cost, net cost, total discount and type.

    The map's discount is taken off in the direction of the cost: a refund of discounted usage gives less back.
    """
    zero = pl.lit(0, dtype=s.MONEY)
    if how == "net":
        return pl.coalesce(net, pl.when(is_discount(pl.col(line_item_type))).then(zero), gross)
    if how == "map":
        off = pl.col(total).abs().fill_null(zero)
        return pl.when(pl.col(gross) < 0).then(pl.col(gross) + off).otherwise(pl.col(gross) - off)
    return pl.col(gross)
