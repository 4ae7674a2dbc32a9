"""Daily series: read from a frame `series,date,value`, gaps kept as gaps, unusable series refused."""

import hashlib
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    from forecasting.events import Event

Floats = NDArray[np.float64]

SERIES, DATE, VALUE, MODEL = "series", "date", "value", "model"
LEVELS: Final = {"p025": 0.025, "p05": 0.05, "p10": 0.1, "p50": 0.5, "p90": 0.9, "p95": 0.95, "p975": 0.975}
"""The quantiles that a forecast says of each day, by column."""
INPUT: Final = {SERIES: pl.String(), DATE: pl.Date(), VALUE: pl.Float64()}
"""What a caller hands in; a null value is a missing day, not a zero."""

LONGEST_DAYS: Final = 20_000
"""A span beyond this (55 years) is a mistyped date, not a history."""
UNCHANGED_RATIO: Final = 0.01
"""A value that differs by less from what it was is not restated."""


def seeded(text: str) -> np.random.Generator:
    """A generator of random numbers that are the same for the same text, in any process."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))


@dataclass(frozen=True, eq=False)
class DailySeries:
    """One value a day from `start`, without holes in the index; a missing day is NaN.

    vintages: the series as it stood earlier, oldest first, where its past was restated since or came late; of them only
    start and values count. estimated: so many of the last values are not billed in full and stand for what they are
    expected to become: fits see them, nothing is judged by them. events: what
    is known to move its cost. countries: whose public holidays it may follow. volume: what was used on each day, in one
    unit (tokens, accelerator-hours), where the cost is for that.
    """

    name: str
    start: date
    values: Floats
    vintages: tuple["DailySeries", ...] = ()
    events: tuple["Event", ...] = ()
    countries: tuple[str, ...] = ()
    volume: Floats | None = None
    estimated: int = 0

    @property
    def end(self) -> date:
        """The day of the last row, whether it holds a value or not."""
        return self.start + timedelta(days=len(self.values) - 1)

    @property
    def observed(self) -> Floats:
        """The values that are there, oldest first."""
        return self.values[~np.isnan(self.values)]

    @property
    def billed(self) -> Floats:
        """The values that are billed: as `values`, but missing where they are estimated."""
        billed = self.values.copy()
        billed[len(billed) - self.estimated :] = np.nan
        return billed

    def days(self, ahead: int = 0) -> NDArray[np.datetime64]:
        """The dates of the values and of `ahead` days after them."""
        first = np.datetime64(self.start, "D")
        return np.arange(first, first + np.timedelta64(len(self.values) + ahead, "D"))

    def known_at(self, length: int) -> "DailySeries":
        """The first `length` days as they stood then: in the first vintage that reaches so far and knows a value.

        Of today's days all is known today; a series that no vintage knows yet at that day is taken as it is today.
        """
        last = self.start + timedelta(days=length - 1)
        vintages = self.vintages if length < len(self.values) - self.estimated else ()
        for then in vintages:
            values = then.values[: max(0, (last - then.start).days + 1)]
            if then.end >= last and not np.isnan(values).all():
                volume = self._volume_of(values, (then.start - self.start).days)
                return replace(self, start=then.start, values=values, vintages=(), estimated=0, volume=volume)
        volume = None if self.volume is None else self.volume[:length]
        estimated = max(0, self.estimated - (len(self.values) - length))
        return replace(self, values=self.values[:length], vintages=(), estimated=estimated, volume=volume)

    def _volume_of(self, values: Floats, days: int) -> Floats | None:
        """The volume of values that stood so many days after the series' start; missing on restated days.

        What was restated was restated with its volume, which nobody knew then.
        """
        if self.volume is None:
            return None
        now, volume = (_moved(of, days, len(values)) for of in (self.values, self.volume))
        return np.where(np.isclose(values, now, rtol=UNCHANGED_RATIO), volume, np.nan)

    def came(self, cutoff: int, days: int, *, known: int) -> Floats:
        """What was billed on `days` days from `cutoff` on, as it stood when `known` days were; the rest is missing."""
        then = self.known_at(known)
        at = cutoff - (then.start - self.start).days
        billed = then.billed[max(0, at) : max(0, at + days)]
        return np.concatenate([np.full(min(days, max(0, -at)), np.nan), billed])

    def last(self, days: int) -> "DailySeries":
        """The newest `days` days, or all of a shorter series."""
        dropped = max(0, len(self.values) - days)
        volume = None if self.volume is None else self.volume[dropped:]
        return replace(self, start=self.start + timedelta(days=dropped), values=self.values[dropped:], volume=volume)


def _moved(values: Floats, days: int, length: int) -> Floats:
    """`length` days of values, so many days after their first; missing before them."""
    before = np.full(max(0, -days), np.nan)
    return np.concatenate([before, values[max(0, days) :]])[:length]


@dataclass(frozen=True)
class Refusal:
    """A series that was not forecast, and why; the others go on."""

    series: str
    reason: str


def read_series(frame: pl.DataFrame) -> tuple[list[DailySeries], list[Refusal]]:
    """The series of a frame `series,date,value` in the order of their names, and those that are refused.

    Rows may come in any order. Days without a row are missing days. Refused: a date that occurs twice (adding the two
    up or taking one of them would be a guess), a row without a date, an infinite value, no value at all.
    """
    kept: list[DailySeries] = []
    refused: list[Refusal] = []
    rows = frame.select(pl.col(name).cast(kind) for name, kind in INPUT.items()).sort(SERIES, DATE)
    for (name,), part in rows.group_by([SERIES], maintain_order=True):
        reason = _unusable(part)
        if reason is not None:
            refused.append(Refusal(str(name), reason))
            continue
        days = part[DATE].to_numpy().astype("datetime64[D]").astype(np.int64)
        values = np.full(days[-1] - days[0] + 1, np.nan)
        values[days - days[0]] = part[VALUE].to_numpy()
        kept.append(DailySeries(str(name), part[DATE][0], values))
    return kept, refused


def _unusable(part: pl.DataFrame) -> str | None:
    if part[DATE].null_count():
        return "a row has no date"
    repeated = part.filter(pl.col(DATE).is_duplicated())
    if repeated.height:
        return f"{repeated[DATE].n_unique()} date(s) occur more than once, first {repeated[DATE][0]}"
    if (part[DATE][-1] - part[DATE][0]).days >= LONGEST_DAYS:
        return f"it spans {part[DATE][0]} to {part[DATE][-1]}, more than {LONGEST_DAYS:,} days"
    if part[VALUE].is_infinite().any():
        return "a value is infinite"
    if part[VALUE].fill_nan(None).null_count() == part.height:
        return "it has no value"
    return None
