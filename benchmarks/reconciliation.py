"""Forecasts of a generated company by total, purpose, provider, team and team with purpose, made to sum by each rule.

Every rule moves the same fits; what it says of the last 90 days, which no fit saw, is held against them. `chosen` is
what a run would have used: the rule that did best on the company's own past forecasts.
"""

from dataclasses import replace
from datetime import date, timedelta
from itertools import product
from typing import Final

import numpy as np
import polars as pl

from forecasting.backtest import backtest_task
from forecasting.coherence import Keys, grouping_of
from forecasting.fits import Fitted, fit_all
from forecasting.forecast import forecast_task
from forecasting.method import DEFAULT
from forecasting.reconciliation import BASE, KEPT, LEAN, MINT, WLS, reconcile
from forecasting.series import DailySeries, Floats

COMPANIES: Final = 4
TEAMS, PURPOSES, PROVIDERS = ("ads", "app", "lab", "ops", "web"), ("inference", "training"), ("aws", "azure", "openai")
GROUPINGS: Final = ((), ("purpose",), ("provider",), ("team",), ("team", "purpose"))
DAYS, HORIZON, ORIGINS = 640, 90, 4
FIRST: Final = date(2025, 1, 1)
RULES: Final = (LEAN + "team,purpose", WLS, MINT, *(KEPT + grouping_of(grouping) for grouping in GROUPINGS))


def cells(seed: int) -> dict[tuple[str, str, str], Floats]:
    """Daily cost by team, purpose and provider; about one in four does not exist.

    A cell has a size, a trend, steps, a week, noise, spikes; training runs in campaigns; a provider's prices and a
    team's size wander for all their cells alike; one provider charges a fee on the first of the month.
    """
    random = np.random.default_rng(seed)
    days = [FIRST + timedelta(days=k) for k in range(DAYS)]
    weekend = np.array([day.weekday() > 4 for day in days])
    first = np.array([day.day == 1 for day in days])
    shared = {name: random.normal(0, 0.008, DAYS).cumsum() + _steps(random, 1.0, 0.25) for name in (*TEAMS, *PROVIDERS)}
    made = {}
    for team, purpose, provider in product(TEAMS, PURPOSES, PROVIDERS):
        if random.random() < 0.25:
            continue
        training = purpose == "training"
        level = random.normal(5, 1) + shared[team] + shared[provider] + _steps(random, 2.0, 0.35)
        level += random.choice([0, 0.0008, 0.002, -0.0008]) * np.arange(DAYS) + random.normal(0, 0.006, DAYS).cumsum()
        level -= weekend * (0.1 if training else 0.4) * random.uniform(0.5, 1.5)
        cost = np.exp(level + random.normal(0, 0.2 if training else 0.06, DAYS))
        if training:
            cost *= 1 + _campaigns(random) * random.uniform(0.5, 2)
        cost *= np.where(random.random(DAYS) < 0.006, random.uniform(2, 4, DAYS), 1)
        made[team, purpose, provider] = cost + first * (provider == "azure") * 3 * cost.mean()
    return made


def _steps(random: np.random.Generator, count: float, size: float) -> Floats:
    steps = np.zeros(DAYS)
    for at in random.integers(30, DAYS, random.poisson(count)):
        steps[at:] += random.normal(0, size)
    return steps


def _campaigns(random: np.random.Generator) -> Floats:
    running, at = np.zeros(DAYS), 0
    while at < DAYS:
        at += int(random.exponential(40))
        length = int(random.uniform(4, 20))
        running[at : at + length] = 1
        at += length
    return running


def company(seed: int) -> tuple[dict[str, Floats], Keys]:
    """The series of every grouping, and their keys."""
    values: dict[str, Floats] = {}
    keys: dict[str, dict[str, str]] = {}
    for (team, purpose, provider), cost in cells(seed).items():
        of = {"team": team, "purpose": purpose, "provider": provider}
        for grouping in GROUPINGS:
            key = {word: of[word] for word in grouping}
            name = ",".join(f"{word}={value}" for word, value in key.items()) or "total"
            values[name] = values.get(name, np.zeros(DAYS)) + cost
            keys[name] = key
    return values, keys


def fits(values: dict[str, Floats]) -> list[Fitted]:
    """What a run fits, without the last HORIZON days."""
    tasks = []
    for name, cost in values.items():
        series = DailySeries(name, FIRST, cost[:-HORIZON])
        past = backtest_task(series, horizon=HORIZON, origins=ORIGINS)
        assert past is not None
        ahead = forecast_task(series, horizon=HORIZON)
        tasks.append(replace(ahead, cutoffs=(*ahead.cutoffs, *past.cutoffs)))
    return fit_all(tasks)[0]


def errors(seed: int, portfolio: list[Fitted], values: dict[str, Floats], keys: Keys) -> pl.DataFrame:
    """Absolute errors and sizes by rule, grouping and days ahead."""
    rules = {rule: reconcile(portfolio, keys, rule=rule) for rule in RULES}
    chosen = reconcile(portfolio, keys)
    made = {BASE: portfolio, **{rule: done.portfolio for rule, done in rules.items()}, "chosen": chosen.portfolio}
    print(f"company {seed}: {len(values)} series; chosen {chosen.rule}; past WAPE", end=" ")
    print(", ".join(f"{rule} {missed:.2%}" for rule, missed in chosen.missed.items()), flush=True)
    return pl.DataFrame(
        [
            (rule, grouping_of(keys[one.series.name]), days, float(np.abs(miss).sum()), float(np.abs(came).sum()))
            for rule, fitted in made.items()
            for one in fitted
            for days in (30, 90)
            for came in [values[one.series.name][-HORIZON:][:days]]
            for miss in [one.paths[len(one.series.values)][DEFAULT].mean[:days] - came]
        ],
        schema=["rule", "grouping", "days", "miss", "size"],
        orient="row",
    )


def run() -> None:
    """Print WAPE by rule, of the total and of the parts of each grouping, at 30 and 90 days."""
    parts = []
    for seed in range(1, COMPANIES + 1):
        values, keys = company(seed)
        parts.append(errors(seed, fits(values), values, keys))
    every = pl.concat(parts)
    every = pl.concat([every, every.with_columns(grouping=pl.lit("(all)"))])
    wape = every.group_by("rule", "grouping", "days", maintain_order=True).agg(
        (pl.col("miss").sum() / pl.col("size").sum() * 100).round(2)
    )
    for days in (30, 90):
        table = wape.filter(pl.col("days") == days).pivot("grouping", index="rule", values="miss")
        print(f"WAPE in percent, {days} days ahead, {COMPANIES} companies\n{table}")
