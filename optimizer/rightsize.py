"""Right-sizing: what running groups could be cut to without giving up what they were measured to need.

A group's demand is what it used: the 95th percentile of its hours x (1 + headroom), its memory and its link, never what
it was allocated. Options are stopping it, fewer machines, a smaller machine, another accelerator, slices, and switching
it off in hours of the week in which it was idle in every measured week. Of those that keep the need the cheapest is
proposed, or one that is less work and costs hardly more.
Savings are counted in order, each on what the one before left: cost before = cost after + sum of savings, to the cent.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, Literal

from optimizer.accelerators import Throughput, accelerators, slices
from optimizer.fits import CENT, Fit, Miss, best, fewer, others
from optimizer.running import HOURS_OF_WEEK, Group, Machine, Need, Settings, idle_below, is_idle, needs, off_hours

Action = Literal["stop", "release", "fewer", "smaller", "other_accelerator", "slices", "schedule"]
Status = Literal["change", "right", "not_enough_measured", "not_billed", "owned"]
Level = Literal["low", "medium", "high"]
NOTHING: Final = "nothing"
LIMITS_SHOWN: Final = 5
SURE_DAYS: Final = 28
SURE_COVERAGE_RATIO: Final = 0.95
HELD_MEMORY_RATIO: Final = 0.2
"""Memory in use on an idle accelerator from which somebody may still count on what is loaded there."""
_EFFORT: Final[Mapping[Action, Level]] = {
    "stop": "low", "release": "low", "fewer": "low", "smaller": "medium", "other_accelerator": "high",
    "slices": "high", "schedule": "medium",
}  # fmt: skip
_RISK: Final[Mapping[Action, Level]] = {
    "stop": "low", "release": "low", "fewer": "low", "smaller": "low", "other_accelerator": "medium",
    "slices": "medium", "schedule": "low",
}  # fmt: skip


@dataclass(frozen=True)
class Advice:
    """One change of a group: from what, to what, what it needs, what is kept, and what it saves a month.

    needed, kept: accelerators' worth of today's accelerator, the need with its headroom. hours_off: of the week.
    hours_before, hours_after: accelerator-hours a month, the latter of `accelerator`. limits: why no bigger cut.
    """

    group: str
    action: Action
    before: str
    after: str
    needed: float
    kept: float
    memory_needed_gib: float | None
    memory_kept_gib: float | None
    hours_off: frozenset[int]
    cost_before: Decimal
    cost_after: Decimal
    currency: str
    hours_before: float
    hours_after: float
    accelerator: str | None
    confidence: Level
    effort: Level
    risk: Level
    reason: str
    limits: tuple[str, ...]
    fit: Fit | None = None

    @property
    def saving(self) -> Decimal:
        """A month, at what the group is billed."""
        return self.cost_before - self.cost_after


@dataclass(frozen=True)
class Finding:
    """What was found of a group: changes in order, or in words why there is none."""

    group: Group
    need: Need
    status: Status
    words: str
    advice: tuple[Advice, ...] = ()
    limits: tuple[str, ...] = ()


def rightsize(
    groups: Iterable[Group],
    machines: Sequence[Machine],
    settings: Settings,
    throughput: Throughput | None = None,
) -> list[Finding]:
    """A finding for each group, the largest saving first."""
    found = [advise(group, machines, settings, throughput or {}) for group in groups]
    return sorted(found, key=lambda f: (-sum((a.saving for a in f.advice), Decimal(0)), f.group.name))


def advise(group: Group, machines: Sequence[Machine], settings: Settings, throughput: Throughput) -> Finding:
    """What one group can be cut to."""
    need = needs(group, settings)
    if (stopped := _unsized(group, need, settings)) is not None:
        return stopped
    if is_idle(group, settings):
        return Finding(group, need, "change", "idle", (_stop(group, need, settings),))
    options = list(others(group, need, machines, settings, throughput))
    fits = [f for f in [fewer(group, need), *options] if isinstance(f, Fit)]
    limits = _limits(group, need, options, machines)
    advice: list[Advice] = []
    assert group.cost is not None
    chosen = best(fits, group.cost * Decimal(repr(settings.least_saving_ratio)))
    if chosen is not None and _is_worth(group.cost, chosen.cost, group.cost, settings):
        advice.append(_resize(group, need, chosen, settings, _chosen_words(group, need, chosen, fits) + limits))
    if (scheduled := _schedule(group, need, advice[-1] if advice else None, settings, limits)) is not None:
        advice.append(scheduled)
    if advice:
        return Finding(group, need, "change", "needs less than it has", tuple(advice), limits)
    return Finding(group, need, "right", _right(group, need, chosen), limits=limits)


# ----------------------------------------------------------------------------------------------------- what is left out
def _unsized(group: Group, need: Need, settings: Settings) -> Finding | None:
    """The finding of a group that is not sized, or whose commitment is unused."""
    if group.cost is None or group.currency is None or group.cost <= 0 or group.machine_hours <= 0:
        return Finding(group, need, "not_billed", "no charge of its resources is in the lake in the measured days")
    if group.commitment is not None:
        return Finding(group, need, "change", "nothing uses its commitment", (_release(group, need),))
    if group.hosting != "cloud":
        return Finding(
            group,
            need,
            "owned",
            f"runs on {group.hosting.replace('_', '-')} servers, whose cost does not fall with use",
        )
    words = []
    if group.days < settings.least_days:
        words.append(f"measured on {group.days} days; {settings.least_days} are needed")
    if group.coverage_ratio < settings.least_coverage_ratio:
        words.append(
            f"{group.coverage_ratio:.0%} of its billed hours are measured; "
            f"{settings.least_coverage_ratio:.0%} are needed"
        )
    return Finding(group, need, "not_enough_measured", "; ".join(words)) if words else None


def _right(group: Group, need: Need, chosen: Fit | None) -> str:
    have = group.machines * group.accelerators
    if need.accelerators > have:
        return f"with headroom it needs {need.accelerators:.1f} accelerators and has {have:g}"
    if chosen is not None and group.cost is not None and chosen.cost < group.cost:
        return f"the cheapest option that fits saves {(1 - chosen.cost / group.cost) * 100:.1f} %: too little"
    return f"needs {need.accelerators:.1f} of its {have:g} accelerators, and nothing cheaper keeps that"


# ------------------------------------------------------------------------------------------------------------- changes
def _stop(group: Group, need: Need, settings: Settings) -> Advice:
    held = 0.0
    if group.memory_gib is not None and group.accelerator_memory_gib:
        held = group.memory_gib / group.accelerator_memory_gib
    reason = (
        f"in none of {group.days} measured days did an accelerator reach {idle_below(group, settings):.1%}"
        + (f"; {held:.0%} of its memory is held, so ask who counts on what is loaded" if _holds(held) else "")
        + _committed(group)
    )
    return replace(
        _advice(group, need, "stop", after=NOTHING, cost_after=Decimal("0.00"), hours_after=0.0, reason=reason),
        needed=0.0,
        risk="medium" if _holds(held) else "low",
    )


def _holds(ratio: float) -> bool:
    return ratio >= HELD_MEMORY_RATIO


def _release(group: Group, need: Need) -> Advice:
    since = f"since {group.idle_since} " if group.idle_since else ""
    spent = f", {group.idle_cost:,.2f} {group.currency} so far" if group.idle_cost is not None else ""
    reason = (
        f"{since}nothing uses the commitment {group.commitment}{spent}; it is paid until its term ends whatever runs: "
        "give it to other work, exchange or return it where the provider allows, and do not renew it"
    )
    return _advice(group, need, "release", after=NOTHING, cost_after=Decimal("0.00"), hours_after=0.0, reason=reason)


def _resize(group: Group, need: Need, fit: Fit, settings: Settings, limits: tuple[str, ...]) -> Advice:
    words = [
        f"95 of 100 hours used at most {need.p95:.2f} of {group.machines * group.accelerators:g} accelerators, "
        f"{need.accelerators:.2f} with {settings.headroom_ratio:.0%} headroom"
    ]
    if fit.machine is not None and fit.accelerator != group.accelerator:
        words.append(f"{fit.count} {fit.instance_type} keep {fit.kept:.2f} of today's accelerators' worth")
        spec, other = accelerators().get(group.accelerator or ""), accelerators().get(fit.accelerator)
        if spec and other and spec.fp8_tflops and not other.fp8_tflops:
            words.append(f"{fit.accelerator} does not compute in 8 bits")
        words.append("test it before")
    if group.highest > fit.kept:
        words.append(f"the highest hour used {group.highest:.2f}, more than is kept")
    part = f" in slices {fit.profile}" if fit.profile else ""
    advice = _advice(
        group,
        need,
        fit.kind,
        after=f"{fit.count} x {fit.instance_type}{part}",
        cost_after=fit.cost,
        hours_after=fit.machine_hours * fit.accelerators,
        reason="; ".join(words) + _committed(group),
    )
    risk: Level = "high" if group.highest > fit.kept else advice.risk
    return replace(
        advice, kept=fit.kept, memory_kept_gib=fit.memory_gib, accelerator=fit.accelerator, risk=risk, limits=limits,
        fit=fit,
    )  # fmt: skip


def _schedule(
    group: Group, need: Need, before: Advice | None, settings: Settings, limits: tuple[str, ...]
) -> Advice | None:
    """Switching off in the idle hours of the week, on what the change before it leaves."""
    off = off_hours(group, settings)
    fixed = before is not None and (group.is_pooled or before.action == "slices")
    weights = [(h.of_week in off, 1.0 if fixed else h.running) for h in group.hours]
    share = sum(w for is_off, w in weights if is_off) / sum(w for _, w in weights)
    assert group.cost is not None
    cost = group.cost if before is None else before.cost_after
    left = (cost * (1 - Decimal(repr(share)))).quantize(CENT)
    if not off or not _is_worth(cost, left, group.cost, settings):
        return None
    seen = {h.of_week for h in group.hours}
    reason = (
        f"in {len(off)} of {HOURS_OF_WEEK} hours of the week no accelerator reached {idle_below(group, settings):.1%} "
        f"in any of {group.days} measured days" + _committed(group)
    )
    kept_on = (
        f"{len(seen - off)} hours of the week were used in at least one week, or lie in pauses of fewer than "
        f"{settings.least_off_hours} hours, and stay on"
    )
    on = f"on in {HOURS_OF_WEEK - len(off)} of {HOURS_OF_WEEK} hours of the week"
    hours = group.machine_hours * group.accelerators if before is None else before.hours_after
    advice = _advice(group, need, "schedule", after=on, cost_after=left, hours_after=hours * (1 - share), reason=reason)
    advice = replace(
        advice, hours_off=off, risk="medium" if group.purpose == "inference" else "low", limits=(kept_on, *limits)
    )
    if before is None:
        return advice
    return replace(
        advice,
        before=before.after,
        cost_before=cost,
        hours_before=hours,
        kept=before.kept,
        memory_kept_gib=before.memory_kept_gib,
        accelerator=before.accelerator,
        limits=(kept_on,),
    )


def _advice(
    group: Group, need: Need, action: Action, *, after: str, cost_after: Decimal, hours_after: float, reason: str
) -> Advice:
    assert group.cost is not None
    assert group.currency is not None
    sure = group.commitment is not None or (
        group.days >= SURE_DAYS and group.coverage_ratio >= SURE_COVERAGE_RATIO and group.memory_gib is not None
    )
    return Advice(
        group=group.name,
        action=action,
        before=_today(group),
        after=after,
        needed=need.accelerators,
        kept=0.0 if after == NOTHING else group.machines * group.accelerators,
        memory_needed_gib=need.memory_gib,
        memory_kept_gib=None if after == NOTHING else group.accelerator_memory_gib,
        hours_off=frozenset(),
        cost_before=group.cost,
        cost_after=cost_after,
        currency=group.currency,
        hours_before=group.machine_hours * group.accelerators,
        hours_after=hours_after,
        accelerator=group.accelerator,
        confidence="high" if sure else "medium",
        effort=_EFFORT[action],
        risk=_RISK[action],
        reason=reason,
        limits=("nothing is left to cut",) if after == NOTHING else (),
    )


def _today(group: Group) -> str:
    return f"{group.machines} x {group.instance_type or group.accelerator or 'machine'}"


def _committed(group: Group) -> str:
    if group.committed_ratio < CENT:
        return ""
    return (
        f"; {group.committed_ratio:.0%} of its cost is under commitment, and that part is freed only when other work "
        "takes the commitment or its term ends"
    )


def _is_worth(before: Decimal, after: Decimal, cost: Decimal, settings: Settings) -> bool:
    return float(before - after) >= settings.least_saving_ratio * float(cost) and before > after


# ------------------------------------------------------------------------------------------------- why no bigger cut
def _chosen_words(group: Group, need: Need, fit: Fit, fits: Sequence[Fit]) -> tuple[str, ...]:
    """Why not one machine less, and why not the option that is cheaper still."""
    words = []
    if group.is_pooled and fit.count <= need.least:
        words.append(f"at least {need.least} stay, whatever the use")
    elif group.is_pooled:
        less = fit.kept * (fit.count - 1) / fit.count
        words.append(f"{fit.count - 1} would keep {less:.2f} accelerators' worth; {need.accelerators:.2f} are needed")
    cheaper = min(fits, key=lambda f: f.cost)
    if cheaper.cost < fit.cost:
        words.append(
            f"{cheaper.count} x {cheaper.instance_type} would save {fit.cost - cheaper.cost:,.2f} {group.currency} "
            "more, too little for the work"
        )
    return tuple(words)


def _limits(group: Group, need: Need, options: Sequence[Fit | Miss], machines: Sequence[Machine]) -> tuple[str, ...]:
    """What nobody knows and so was not proposed; of each accelerator the nearest cheaper machine and what it lacks."""
    words = []
    if group.accelerator is None or group.accelerator not in accelerators():
        words.append(f"what {group.accelerator or 'its accelerator'} can do is not known: no other one is proposed")
    if group.memory_gib is None:
        words.append("memory in use is not measured: no accelerator with less than today's is proposed")
    if not group.is_pooled:
        words.append(f"its purpose is {group.purpose or 'unknown'}, so each machine is taken to stand for itself")
    if not group.is_pooled and need.shape <= 1 and group.accelerator not in slices():
        words.append(f"{group.accelerator} cannot be divided: no slices (MIG profiles) of it are known")
    if need.link_gb_per_s:
        words.append(f"its accelerators are linked ({need.link_gb_per_s:g} GB/s): {need.shape:g} stay together")
    here = [m for m in machines if (m.provider, m.region) == (group.provider, group.region)]
    managed = (group.instance_type or "").startswith("ml.")
    if not any(m.instance_type.startswith("ml.") == managed for m in here):
        service = "managed machines" if managed else "machines"
        words.append(f"the price book has no {service} of {group.provider or 'its provider'} in {group.region or '?'}")
    assert group.cost is not None
    today = float(group.cost) / group.machine_hours
    cheaper = [m for m in options if isinstance(m, Miss) and m.price_per_hour < today]
    nearest = {m.accelerator: m for m in sorted(cheaper, key=lambda m: m.price_per_hour)}
    ranked = sorted(nearest.values(), key=lambda m: -m.price_per_hour)
    words += [f"{miss.instance_type}: {miss.reason}" for miss in ranked]
    return tuple(words[:LIMITS_SHOWN])
