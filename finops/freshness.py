"""How far each source has billed: the last day that its charges reach, and the day up to which all of them do."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

import polars as pl

from finops import schema as s

ACTIVE_DAYS: Final = 35
"""A source that ends this long before the newest one has ended; it does not hold the others back."""

_STEADY_DAYS: Final = 7


def billed_to(daily: pl.LazyFrame) -> dict[str, date]:
    """The last day that each billed source has charges of its own for.

    A fee for the whole month reaches into days that nobody has billed yet, so what counts is the newest day on which a
    charge starts (x_ChargeCount > 0); a source whose charges start on fewer than 7 of its last 35 days bills by the
    month, and reaches as far as its charges do.
    """
    starts = pl.col(s.CHARGE_DATE).filter(pl.col(s.CHARGE_COUNT) > 0)
    recent = starts.filter(
        pl.col(s.CHARGE_DATE).filter(pl.col(s.CHARGE_COUNT) > 0) > starts.max() - timedelta(days=ACTIVE_DAYS)
    )
    found = (
        daily.filter(pl.col(s.LEDGER_ROLE) == s.BILLED)
        .group_by(s.SOURCE_ID)
        .agg(
            pl.when(recent.n_unique() < _STEADY_DAYS)
            .then(pl.col(s.CHARGE_DATE).max())
            .otherwise(starts.max())
            .alias(s.CHARGE_DATE)
        )
        .sort(s.SOURCE_ID)
        .collect(engine="streaming")
    )
    return dict(found.iter_rows())


def running(ends: Mapping[str, date]) -> dict[str, date]:
    """Those sources that have not ended: the newest day of each, where it is near the newest of all."""
    newest = max(ends.values(), default=date.min)
    return {source: end for source, end in ends.items() if newest - end < timedelta(days=ACTIVE_DAYS)}


def settled_until(daily: pl.LazyFrame, today: date) -> date:
    """The first day that a running source has no charges for yet; today where there is no spend at all."""
    ends = running(billed_to(daily))
    return min(*ends.values(), today - timedelta(days=1)) + timedelta(days=1) if ends else today
