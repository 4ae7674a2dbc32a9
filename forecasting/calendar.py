"""Calendar effects that money follows beside the week: the first day and the last days of the month."""

from collections.abc import Callable
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
