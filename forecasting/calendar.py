"""Calendar effects that money follows beside the week: first and last days of the month, public holidays."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forecasting.series import Floats

Days = NDArray[np.datetime64]

MONTH_END_DAYS: Final = 3
LEAST_DAYS: Final = 60
"""A month effect is fitted only where this many days are known ..."""
LEAST_OCCURRENCES: Final = 2
"""... and the effect's day has been seen this often."""
LEAST_HOLIDAYS: Final = 3
"""A holiday effect is fitted where so many of them fell on working days that are known."""
FRIDAY: Final = 4


def month_start(days: Days) -> Floats:
    """1.0 on the first day of a month (fees, licences, reservations), else 0.0."""
    first: Floats = (days == days.astype("datetime64[M]").astype("datetime64[D]")).astype(np.float64)
    return first


def month_end(days: Days) -> Floats:
    """1.0 on the last three days of a month (closing batches), else 0.0."""
    following = (days.astype("datetime64[M]") + np.timedelta64(1, "M")).astype("datetime64[D]")
    last: Floats = ((following - days).astype(np.int64) <= MONTH_END_DAYS).astype(np.float64)
    return last


EFFECTS: Final[dict[str, Callable[[Days], Floats]]] = {"month_start": month_start, "month_end": month_end}


def month_effects(days: Days, observed: NDArray[np.bool_]) -> dict[str, Floats]:
    """The effects that the observed days can tell, each over all `days` (history first, then the horizon)."""
    past = days[: len(observed)][observed]
    if len(past) < LEAST_DAYS:
        return {}
    return {
        name: effect(days) for name, effect in EFFECTS.items() if _occurrences(effect(past), past) >= LEAST_OCCURRENCES
    }


def _occurrences(effect: Floats, past: Days) -> int:
    return len(np.unique(past[effect > 0].astype("datetime64[M]")))


def holiday_effect(days: Days, observed: NDArray[np.bool_], countries: tuple[str, ...]) -> dict[str, Floats]:
    """The effect `holiday` over all `days` where the observed ones can tell it, else nothing.

    It is the share of the countries that have a public holiday, on Monday to Friday: weekends rest anyway.
    """
    if not countries:
        return {}
    years = days.astype("datetime64[Y]").astype(int) + 1970
    holidays = [_public_holidays(country, int(years[0]), int(years[-1])) for country in countries]
    working = (days.astype(np.int64) + 3) % 7 <= FRIDAY  # 1 January 1970 was a Thursday
    effect: Floats = np.mean([np.isin(days, found) for found in holidays], axis=0) * working
    seen = np.count_nonzero(effect[: len(observed)][observed])
    return {"holiday": effect} if seen >= LEAST_HOLIDAYS else {}


@lru_cache(maxsize=256)
def _public_holidays(country: str, first_year: int, last_year: int) -> Days:
    """The public holidays of a country (DE) or a part of one (DE-BY)."""
    from holidays import country_holidays  # only series that name a country need it

    name, _, part = country.partition("-")
    found = country_holidays(name, subdiv=part or None, years=range(first_year, last_year + 1))
    return np.array(sorted(found), dtype="datetime64[D]")
