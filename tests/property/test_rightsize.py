"""Whatever the fleet: right-sizing never proposes less than what was measured, its headroom, memory and links."""

import csv
import random
import re
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from importlib.resources import files

import pytest

from finops.pipeline.rightsizing import offered_machines
from finops.prices import load_offers
from optimizer.rightsize import Advice, Finding, rightsize
from optimizer.running import Group, Hour, Machine, Settings

FLEETS = 1000
PLACES = {("aws", "us-east-1"), ("azure", "eastus"), ("gcp", "us-central1")}
BOOK = offered_machines(load_offers(), PLACES)
SPECS = {
    row["accelerator"]: row
    for row in csv.DictReader((files("finops") / "data/accelerator_specs.csv").read_text().splitlines())
}
SLICES = {
    (row["accelerator"], row["profile"]): row
    for row in csv.DictReader((files("finops") / "data/mig_profiles.csv").read_text().splitlines())
}


def _group(dice: random.Random, number: int) -> Group:
    """A fleet of one to nine machines of the book, or of a type that nobody knows, with any pattern of use."""
    machine = dice.choice(BOOK)
    unknown = dice.random() < 0.08
    purpose = dice.choice(["inference", "training", "fine_tuning", "development", "unknown", None])
    count, days = dice.randint(1, 9), dice.choice([5, 20, 28, 28, 28])
    peak = dice.choice([0.0, 0.003, 0.02, 0.1, 0.3, 0.6, 0.9])
    office, per_device = dice.random() < 0.4, machine.accelerators > 1 and dice.random() < 0.7
    busy_devices = dice.randint(1, int(machine.accelerators)) if per_device else machine.accelerators
    hours = []
    for hour in range(24 * days):
        on = not office or (hour % 24 in range(8, 19) and hour // 24 % 7 < 5)
        ratio = min(1.0, peak * dice.uniform(0.7, 1.1)) if on else 0.0
        if dice.random() < 0.01:
            ratio = min(1.0, ratio * 3)
        running = (count if dice.random() < 0.9 else dice.randint(1, count)) * machine.accelerators
        used = ratio * running * busy_devices / machine.accelerators
        hours.append(Hour(hour % 168, used, ratio, running))
    running_hours = sum(h.running for h in hours) / machine.accelerators
    price = (machine.on_demand_per_hour or 3.0) * dice.uniform(0.5, 1.0)
    memory = float(re.search(r"(\d+)GB", machine.accelerator)[1])  # type: ignore[index]
    return Group(
        name=f"g{number}",
        provider=machine.provider,
        region=machine.region,
        instance_type="bespoke.gpu" if unknown else machine.instance_type,
        accelerator="Bespoke-48GB" if unknown else machine.accelerator,
        accelerators=machine.accelerators,
        accelerator_memory_gib=48.0 if unknown else memory,
        purpose=purpose,
        use="u",
        team=None,
        hosting="cloud" if dice.random() < 0.95 else "colo",
        hours=tuple(hours),
        days=days,
        coverage_ratio=dice.choice([1.0, 1.0, 0.97, 0.5]),
        used_accelerators=float(busy_devices) if per_device else None,
        machine_peak=min(1.0, peak * dice.choice([1.0, 1.0, 2.5])) * busy_devices,
        memory_gib=None if dice.random() < 0.2 else memory * dice.uniform(0.05, 1.0),
        machine_hours=running_hours * 30.4 / days,
        hours_per_month=24 * 30.4,
        cost=None
        if dice.random() < 0.03
        else Decimal(repr(running_hours * price * 30.4 / days)).quantize(Decimal("0.01")),
        currency="USD" if dice.random() < 0.95 else "EUR",
        discount_ratio=dice.uniform(0.8, 1.0),
        spot=dice.random() < 0.1,
    )


def _p95(values: list[float]) -> float:
    """The smallest value that at least 95 of 100 are at or below."""
    ordered = sorted(values)
    return next(v for i, v in enumerate(ordered, 1) if i >= 0.95 * len(ordered))


def _worth(current: str, other: str) -> float:
    """How much of the current one's work the other does, from the datasheets' peaks, the worst of them."""
    if current == other:
        return 1.0
    a, b = SPECS[current], SPECS[other]
    peaks = [(b[c], a[c]) for c in ("half_tflops", "memory_gb_per_s")]
    if a["fp8_tflops"]:
        peaks.append((b["fp8_tflops"] or b["half_tflops"], a["fp8_tflops"]))
    assert a["software"] == b["software"]
    return min(float(x) / float(y) for x, y in peaks)


def _link(accelerator: str, instance_type: str) -> float:
    row = SPECS.get(accelerator)
    if row is None or any(re.fullmatch(p, instance_type) for p in row["unlinked"].split(";") if p):
        return 0.0
    return float(row["link_gb_per_s"] or 0)


def _check_resize(group: Group, advice: Advice, machines: dict[str, Machine]) -> None:
    """What is proposed keeps the use, the memory and the link."""
    fit, settings = advice.fit, Settings()
    assert fit is not None
    need = _p95([h.used for h in group.hours]) * (1 + settings.headroom_ratio)
    worth = _worth(group.accelerator or "", fit.accelerator)
    memory = group.accelerator_memory_gib if group.memory_gib is None else group.memory_gib
    assert memory is not None
    if fit.profile is not None:
        part = SLICES[fit.accelerator, fit.profile]
        replicas = group.machines
        assert fit.count * int(fit.accelerators) * int(part["most_per_accelerator"]) >= replicas
        one = int(part["sevenths"]) / 7 * worth
        assert replicas * one >= need - 1e-9
        assert one >= group.machine_peak * (1 + settings.headroom_ratio) - 1e-9
        assert float(part["memory_gb"]) >= memory
        assert (group.used_accelerators or group.accelerators) <= 1
        return
    target = machines.get(fit.instance_type)
    held = group.accelerators if target is None else target.accelerators
    shape = group.used_accelerators or group.accelerators
    if _link(group.accelerator or "", group.instance_type or "") and shape > 1:
        assert held >= group.accelerators
        assert _link(fit.accelerator, fit.instance_type) >= _link(group.accelerator or "", group.instance_type or "")
    assert held >= shape
    assert fit.count * held * worth >= need - 1e-9
    if target is not None and fit.accelerator != group.accelerator:
        assert target.memory_gib >= memory
        if SPECS[group.accelerator or ""]["has_bf16"] == "true":
            assert SPECS[fit.accelerator]["has_bf16"] == "true"
    if group.purpose in ("inference", "training", "fine_tuning"):
        assert fit.count >= min(settings.least_replicas, group.machines)
    else:
        assert fit.count >= group.machines
        assert shape * worth >= group.machine_peak * (1 + settings.headroom_ratio) - 1e-9


def _check(finding: Finding, machines: dict[str, Machine]) -> None:
    group, settings = finding.group, Settings()
    if not finding.advice:
        assert finding.status != "change"
        assert finding.words
        return
    assert group.cost is not None
    assert group.hosting == "cloud"
    assert group.days >= settings.least_days
    assert group.coverage_ratio >= settings.least_coverage_ratio
    limit = 0.005 if group.purpose == "inference" else 0.05
    cost = group.cost
    for advice in finding.advice:
        assert advice.cost_before == cost
        assert 0 <= advice.cost_after < advice.cost_before
        assert advice.reason
        cost = advice.cost_after
        if advice.action == "stop":
            assert all(h.highest < limit for h in group.hours)
        elif advice.action == "schedule":
            assert advice.hours_off
            assert all(h.highest < limit for h in group.hours if h.of_week in advice.hours_off)
        else:
            assert advice.limits or group.purpose not in ("inference", "training", "fine_tuning")
            _check_resize(group, advice, machines)
    assert group.cost - sum((a.saving for a in finding.advice), Decimal(0)) == cost


def test_never_less_than_was_measured() -> None:
    """On 1,000 random fleets every proposal keeps p95 x 1.2, memory, links and replicas, and savings chain exactly."""
    by_place = {
        place: {m.instance_type: m for m in BOOK if (m.provider, m.region) == place} for place in PLACES
    }  # fmt: skip
    actions: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    dice = random.Random(20261121)
    groups = [_group(dice, number) for number in range(FLEETS)]
    findings = rightsize(groups, BOOK, Settings())
    assert len(findings) == FLEETS
    for finding in findings:
        _check(finding, by_place[finding.group.provider, finding.group.region])  # type: ignore[index]
        actions.update(a.action for a in finding.advice)
        statuses[finding.status] += 1
    assert all(actions[a] >= 10 for a in ("stop", "fewer", "smaller", "other_accelerator", "slices", "schedule")), (
        actions
    )
    assert all(statuses[s] >= 10 for s in ("change", "right", "not_enough_measured", "not_billed", "owned")), statuses


@pytest.mark.parametrize("broken", ["headroom", "memory", "link"])
def test_the_check_can_fail(broken: str) -> None:
    """With a need that is understated, the independent check finds a proposal that keeps too little."""
    dice = random.Random(7)
    groups = [_group(dice, number) for number in range(150)]
    understated = {
        "headroom": lambda g: replace(g, hours=tuple(h._replace(used=h.used * 0.4) for h in g.hours)),
        "memory": lambda g: replace(g, memory_gib=1.0, accelerator_memory_gib=2.0),
        "link": lambda g: replace(g, used_accelerators=1.0),
    }[broken]
    by_place = {place: {m.instance_type: m for m in BOOK if (m.provider, m.region) == place} for place in PLACES}
    wrong = 0
    for group in groups:
        found = rightsize([understated(group)], BOOK, Settings())[0]
        try:
            _check(replace(found, group=group), by_place[group.provider, group.region])  # type: ignore[index]
        except AssertionError:
            wrong += 1
    assert wrong > 0
