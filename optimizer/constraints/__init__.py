"""The constraints, one function each; its name is the same here, in docs/model.md, in the LP and in what a user reads.

Each docstring states the inequality. words.WORDS says what one row means.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from optimizer.constraints.capacity import (
    api_rate_limit,
    block_capacity,
    commitment_cover,
    commitment_use,
    on_prem_power,
    quota,
    spare,
)
from optimizer.constraints.money import budget, capex_budget, cvar, provider_share
from optimizer.constraints.places import carbon, move, presence
from optimizer.constraints.work import deliver, serve, spot_share

if TYPE_CHECKING:
    from optimizer.program import Program

CONSTRAINTS: tuple[Callable[[Program], None], ...] = (
    serve, deliver, block_capacity, spare, on_prem_power, commitment_use, commitment_cover, quota, spot_share,
    provider_share, api_rate_limit, budget, capex_budget, carbon, presence, move, cvar,
)  # fmt: skip
"""Every constraint, in the order of docs/model.md."""
