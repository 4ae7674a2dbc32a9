"""Plans for scenarios, and the plans kept in the lake."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

import finops
from finops import schema as s
from finops.config import Config
from finops.errors import ConfigError
from finops.execution import executor
from finops.prices import OwnPrices
from finops.store import Lake, again_on_conflict
from optimizer.document import load_scenario
from optimizer.findings import accepted_findings
from optimizer.placement import Placement, place
from optimizer.record import record_of
from optimizer.scenario import Scenario
from optimizer.solve import Settings
from reports.views.words import compact, percent

Say = Callable[[str], None]


# ------------------------------------------------------------------------------------------------------------- solving
@dataclass(frozen=True)
class PlacementRun:
    """What a run planned: records of every configured scenario, and which of them had to be solved."""

    records: tuple[dict[str, Any], ...]
    solved: tuple[str, ...]
    unchanged: tuple[str, ...]


def refresh(config: Config, lake: Lake, *, say: Say) -> PlacementRun:
    """Plan the configured scenarios and keep the plans in the lake; what has not changed is not solved again.

    Raises ConfigError for a scenario file that is wrong or has a workload that no option fits.
    """
    scenarios = [load_scenario(config.path(path), OwnPrices.of(config)) for path in config.optimize.scenarios]
    records, new = _plans(config, lake, scenarios, settings_of(config), say)
    if new:
        store_plans(lake, new)
    solved = tuple(p.scenario.name for p in new)
    return PlacementRun(tuple(records), solved, tuple(n.name for n in scenarios if n.name not in solved))


def _plans(
    config: Config, lake: Lake, scenarios: Sequence[Scenario], settings: Settings, say: Say, *, again: bool = False
) -> tuple[list[dict[str, Any]], list[Placement]]:
    """Records of the plans for scenarios, and those that the lake had no plan of from the same inputs."""
    kept = {row["scenario"]: row for row in stored_plans(lake)}
    records, new = [], []
    for scenario in scenarios:
        old = kept.get(scenario.name)
        if not again and old is not None and old["scenario_digest"] == _digest(scenario, settings):
            say(f"{scenario.name}: nothing has changed since its plan of {old['made_at']:%Y-%m-%d %H:%M} UTC")
            records.append(json.loads(old["body"]))
        else:
            placement = _placed(config, scenario, settings, say)
            new.append(placement)
            records.append(record_of(placement))
    return records, new


def summary(run: PlacementRun) -> list[str]:
    """What the plans say, a line or two each, for people who decide."""
    lines = []
    for plan in run.records:
        name, currency = plan["scenario"], plan["currency"]
        if plan["cost"] is None:
            lines.append(f"{name}: no plan keeps every rule: {'; '.join(plan['conflict'])}")
            continue
        cost = Decimal(plan["cost"])
        text = (
            f"{name}: the best plan costs {compact(cost)} {currency} over {len(plan['months'])} months, present value"
        )
        today = next(p for p in plan["policies"] if p["policy"] == "as_is")
        if today["cost"] is not None and Decimal(today["cost"]) > 0:
            saved = Decimal(today["cost"]) - cost
            text += f", {compact(saved)} ({percent(saved / Decimal(today['cost']))}) less than going on as today"
        if plan["status"] == "feasible":
            text += f"; up to {plan['gap_ratio'] * 100:.1f} % from the best plan there may be"
        lines += [f"{text}.", *(f"{name}: {w['text']}." for w in plan["warnings"] if w["policy"] != "as_is")]
    return lines


def optimize(
    config: Config, lake: Lake, paths: Sequence[Path], *, settings: Settings, say: Say, again: bool = False
) -> list[dict[str, Any]]:
    """Records of the plans for scenario files, in their order; kept in the lake, and solved only where it has none.

    again: solve them all the same. Raises ConfigError for a scenario whose rules cannot be kept together: what
    conflicts, and what helps.
    """
    scenarios = [load_scenario(path, OwnPrices.of(config)) for path in paths]
    records: list[dict[str, Any]] = []
    for scenario in scenarios:  # each plan is kept before the next is sought, which may not be found
        found, new = _plans(config, lake, [scenario], settings, say, again=again)
        for placement in new:
            if placement.status in ("infeasible", "unsolved"):
                raise _no_plan(placement)
        if new:
            store_plans(lake, new)
        records += found
    return records


def settings_of(config: Config, *, time_limit_s: float | None = None, gap_ratio: float | None = None) -> Settings:
    """The solver's settings of the config, or those that a command states."""
    return Settings(
        time_limit_s=config.optimize.time_limit_s if time_limit_s is None else time_limit_s,
        gap_ratio=config.optimize.gap_ratio if gap_ratio is None else gap_ratio,
    )


def _placed(config: Config, scenario: Scenario, settings: Settings, say: Say) -> Placement:
    for finding in accepted_findings(scenario):
        say(f"{scenario.name}: accepted although {finding.message}")
    with executor(workers=config.execution.workers, scheduler=config.execution.scheduler) as pool:
        return place(scenario, settings=settings, pool=pool, say=say)


def _no_plan(placement: Placement) -> ConfigError:
    name, currency = placement.scenario.name, placement.scenario.currency
    if placement.status == "unsolved":
        return ConfigError(
            f"{name}: {'; '.join(placement.conflict)}",
            expected="a plan within the time limit",
            next_step="give it longer with --time-limit, or a shorter horizon",
        )
    helps = ", ".join(f"without {r.rule} the plan costs {r.cost:,.0f} {currency}" for r in placement.relaxations)
    return ConfigError(
        f"{name}: these cannot all hold: {'; '.join(placement.conflict)}",
        expected="rules that can be kept together",
        next_step=f"relax one of them: {helps}" if helps else "relax more than one of them, or add options",
    )


# --------------------------------------------------------------------------------------------------- plans in the lake
def stored_plans(lake: Lake) -> list[dict[str, Any]]:
    """The newest plan of each scenario, as rows of the table plans."""
    newest = lake.scan("plans").sort("made_at").group_by("scenario", maintain_order=True).last().collect()
    return newest.sort("scenario").to_dicts()


@again_on_conflict
def store_plans(lake: Lake, placements: Sequence[Placement]) -> None:
    """Keep plans in the lake, all of them in one transaction."""
    made_at = datetime.now(UTC)
    rows = [
        {
            "plan_id": f"{p.scenario.name}-{made_at:%Y%m%dT%H%M%S%f}",
            "scenario": p.scenario.name,
            "scenario_digest": _digest(p.scenario, p.settings),
            "made_at": made_at,
            "status": p.status,
            "currency": p.scenario.currency,
            "cost": None if p.plan is None else p.plan.cost,
            "body": json.dumps(record_of(p), ensure_ascii=False),
        }
        for p in placements
    ]
    with lake.transaction("optimize") as transaction:
        transaction.append("plans", pl.DataFrame(rows, schema=s.TABLES["plans"].columns))


def _digest(scenario: Scenario, settings: Settings) -> str:
    return hashlib.sha256(f"{finops.__version__} {scenario.digest} {settings}".encode()).hexdigest()
