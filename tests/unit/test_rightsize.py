"""Right-sizing says what it knows: what is cut, what is kept and why, and what it will not guess."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from finops.cli.main import run
from finops.pipeline.rightsizing import offered_machines
from finops.pipeline.totals import Batch
from finops.prices import load_offers
from optimizer.accelerators import accelerators, relative_throughput, slices
from optimizer.draft import Measured
from optimizer.resized import apply
from optimizer.rightsize import Finding, rightsize
from optimizer.running import Group, Hour, Settings, off_hours, quantile
from tests.conftest import focus_rows

AWS = offered_machines(load_offers(), {("aws", "us-east-1")})


def group(used: float | list[float] = 0.3, *, machines: int = 4, days: int = 28, **changes: object) -> Group:
    """Four machines with an A10G each, which serve requests; used: of each, at all hours or hour by hour of a week."""
    ratios = [used] * 168 if isinstance(used, float) else used
    hours = [Hour(h % 168, ratios[h % 168] * machines, ratios[h % 168], machines) for h in range(24 * days)]
    usual = Group(
        name="ranking", provider="aws", region="us-east-1", instance_type="g5.2xlarge", accelerator="A10G-24GB",
        accelerators=1.0, accelerator_memory_gib=24.0, purpose="inference", use="search", team="Search",
        hosting="cloud", hours=tuple(hours), days=days, coverage_ratio=1.0, used_accelerators=None,
        machine_peak=max(ratios), memory_gib=20.0, machine_hours=machines * 730.0, hours_per_month=730.0,
        cost=Decimal("3540.00"), currency="USD",
    )  # fmt: skip
    return replace(usual, **changes)  # type: ignore[arg-type]


def found(one: Group, settings: Settings | None = None, **throughput: float) -> Finding:
    """The finding of one group on the price book's machines of AWS in Virginia."""
    ratios = {(one.accelerator or "", other.replace("_", "-")): ratio for other, ratio in throughput.items()}
    return rightsize([one], AWS, settings or Settings(), ratios)[0]


def only(finding: Finding) -> str:
    """The one action of a finding."""
    assert len(finding.advice) == 1, finding
    return finding.advice[0].action


# -------------------------------------------------------------------------------------------------------------- options
def test_fewer_machines_keep_the_use_and_its_headroom() -> None:
    """Four machines at 30 % become two: 1.2 x 1.2 = 1.44; one would not keep it, and the saving is half the bill."""
    finding = found(group())
    advice = finding.advice[0]
    assert (only(finding), advice.before, advice.after) == ("fewer", "4 x g5.2xlarge", "2 x g5.2xlarge")
    assert (advice.needed, advice.kept) == (pytest.approx(1.44), 2.0)
    assert (advice.cost_before, advice.cost_after, advice.saving) == tuple(map(Decimal, ("3540", "1770", "1770")))
    assert advice.limits[0] == "at least 2 stay, whatever the use"
    assert "1 would keep 1.00" in found(group(0.4), Settings(least_replicas=1)).advice[0].limits[0]


def test_more_headroom_keeps_more() -> None:
    """With as much again as headroom, three of the four machines stay."""
    assert found(group(), Settings(headroom_ratio=1.0)).advice[0].after == "3 x g5.2xlarge"


def test_a_group_of_the_right_size_is_left_alone() -> None:
    """At 80 % nothing is proposed, and the words say what is needed of what there is."""
    finding = found(group(0.8))
    assert (finding.status, finding.advice) == ("right", ())
    assert finding.words == "needs 3.8 of its 4 accelerators, and nothing cheaper keeps that"
    assert found(group(0.9)).words == "with headroom it needs 4.3 accelerators and has 4"


def test_the_highest_hour_above_what_is_kept_is_a_risk() -> None:
    """One hour in a hundred at full load does not size the group, but is told, and the risk is high."""
    spikes = [1.0 if h % 100 == 0 else 0.3 for h in range(168)]
    advice = found(group(spikes)).advice[0]
    assert advice.risk == "high"
    assert "the highest hour used 4.00, more than is kept" in advice.reason


def test_a_smaller_accelerator_needs_its_memory() -> None:
    """Little use on an L40S fits an L4, unless more memory is in use than an L4 has."""
    little = group(0.05, instance_type="g6e.2xlarge", accelerator="L40S-48GB", accelerator_memory_gib=48.0,
                   cost=Decimal("6500.00"))  # fmt: skip
    small = found(replace(little, memory_gib=14.9))
    assert (only(small), small.advice[0].after) == ("other_accelerator", "2 x g6.2xlarge")
    assert small.advice[0].kept == pytest.approx(2 * 242 / 733)
    large = found(replace(little, memory_gib=30.0))
    assert (only(large), large.advice[0].after) == ("fewer", "2 x g6e.2xlarge")
    assert any("24 GiB an accelerator; 33.0 are needed" in limit for limit in large.advice[0].limits)


def test_idle_devices_of_a_machine_make_it_smaller() -> None:
    """Where one of four accelerators was ever busy, machines with one do; where all were, they stay together."""
    one = group(0.2, purpose="development", instance_type="g5.12xlarge", accelerators=4.0, machine_peak=0.8,
                used_accelerators=1.0, cost=Decimal("16500.00"), memory_gib=22.0)  # fmt: skip
    one = replace(one, hours=tuple(h._replace(used=h.used, running=16.0) for h in one.hours))
    small = found(one)
    assert only(small) == "smaller"
    assert small.advice[0].fit is not None
    assert (small.advice[0].fit.accelerator, small.advice[0].fit.accelerators) == ("A10G-24GB", 1.0)
    assert found(replace(one, used_accelerators=4.0, machine_peak=3.2)).status == "right"


def test_a_part_of_an_accelerator_is_a_device_too() -> None:
    """Machines with a third of an A10 each, watched as one device each, are counted by what they have."""
    third = group(0.2, instance_type="Standard_NV12ads_A10_v5", accelerator="A10-24GB", accelerators=1 / 3,
                  used_accelerators=1.0, provider="azure", region="eastus")  # fmt: skip
    hours = tuple(h._replace(used=0.2 * 4 / 3, running=4 / 3) for h in third.hours)
    advice = found(replace(third, hours=hours)).advice[0]
    assert (advice.before, advice.action) == ("4 x Standard_NV12ads_A10_v5", "fewer")
    assert advice.kept == pytest.approx(2 / 3)


def test_linked_accelerators_stay_together() -> None:
    """Eight H100 with NVLink at 5 % are not taken apart: fewer machines, or nothing, never single H100."""
    linked = group(0.05, purpose="training", machines=1, instance_type="p5.48xlarge", accelerator="H100-80GB",
                   accelerators=8.0, accelerator_memory_gib=80.0, memory_gib=10.0, cost=Decimal("40000"))  # fmt: skip
    linked = replace(linked, hours=tuple(h._replace(used=0.4, running=8.0) for h in linked.hours))
    finding = found(linked)
    assert finding.status == "right"
    assert finding.limits[0] == "its accelerators are linked (900 GB/s): 8 stay together"
    assert any("no link of 900 GB/s" in limit for limit in finding.limits)


def test_slices_for_machines_that_stand_for_themselves() -> None:
    """Fourteen notebooks on an A100 each, none above a tenth, fit slices of eight; on an A10G there are none."""
    notebooks = group(0.08, machines=14, purpose="development", instance_type="p4d.like", accelerator="A100-40GB",
                      accelerator_memory_gib=40.0, memory_gib=4.0, cost=Decimal("40000"))  # fmt: skip
    offers = [m for m in AWS if m.instance_type == "p4d.24xlarge"]
    one = replace(offers[0], instance_type="p4d.like", accelerators=1.0, on_demand_per_hour=4.0)
    finding = rightsize([notebooks], [one], Settings())[0]
    assert (only(finding), finding.advice[0].after) == ("slices", "2 x p4d.like in slices 1g.5gb")
    assert finding.advice[0].kept == pytest.approx(14 / 7)
    on_a10g = found(group(0.5, purpose="development"))
    assert "A10G-24GB cannot be divided: no slices (MIG profiles) of it are known" in on_a10g.limits


# ------------------------------------------------------------------------------------------------------ idle, off hours
def test_idle_is_stopped_unless_it_serves() -> None:
    """Below 5 % at every hour is idle, but a few requests are use; held memory is a reason to ask."""
    idle = found(group(0.02, purpose="development", memory_gib=1.0))
    assert (only(idle), idle.advice[0].saving, idle.advice[0].risk) == ("stop", Decimal("3540.00"), "low")
    held = found(group(0.02, purpose="development"))
    assert "83% of its memory is held" in held.advice[0].reason
    assert held.advice[0].risk == "medium"
    assert only(found(group(0.02))) != "stop"
    assert only(found(group(0.0))) == "stop"


def test_off_hours_are_idle_in_every_week() -> None:
    """Nights and weekends without use are switched off, in runs; one busy night keeps that hour of the week on."""
    office = [0.75 if h % 24 in range(8, 19) and h // 24 < 5 else 0.0 for h in range(168)]
    finding = found(group(office, purpose="development"))
    advice = finding.advice[-1]
    assert (only(finding), len(advice.hours_off)) == ("schedule", 113)
    assert advice.cost_after == (Decimal(3540) * 55 / 168).quantize(Decimal("0.01"))
    busy = group(office, purpose="development")
    hours = tuple(h._replace(highest=0.9) if n == 2 else h for n, h in enumerate(busy.hours))
    assert 2 not in off_hours(replace(busy, hours=hours), Settings())
    assert off_hours(group(office, days=7, purpose="development"), Settings()) == frozenset()


def test_savings_are_counted_once_and_in_order() -> None:
    """Fewer machines and then off at night: the second saves of what the first left, and all adds up."""
    office = [0.3 if h % 24 in range(8, 19) else 0.0 for h in range(168)]
    one = group(office)
    finding = found(one)
    assert [a.action for a in finding.advice] == ["fewer", "schedule"]
    first, second = finding.advice
    assert second.cost_before == first.cost_after == Decimal("1770.00")
    assert second.cost_after == (Decimal(1770) * 11 / 24).quantize(Decimal("0.01"))
    assert one.cost is not None
    assert one.cost - first.saving - second.saving == second.cost_after
    assert first.needed == pytest.approx(1.44), "hours that are off do not lower the need"


# ------------------------------------------------------------------------------------------------------- not guessed
def test_too_little_measured_is_named() -> None:
    """Ten days, or half of the billed hours, are not enough to size by."""
    short = found(group(days=10, coverage_ratio=0.5))
    assert (short.status, short.advice) == ("not_enough_measured", ())
    assert short.words == "measured on 10 days; 14 are needed; 50% of its billed hours are measured; 80% are needed"


def test_memory_that_is_not_measured_is_not_cut() -> None:
    """Without it the accelerator keeps all the memory it has, and the finding says so."""
    blind = group(0.05, instance_type="g6e.2xlarge", accelerator="L40S-48GB", accelerator_memory_gib=48.0,
                  memory_gib=None, cost=Decimal("6500.00"))  # fmt: skip
    finding = found(blind)
    assert only(finding) == "fewer"
    assert "memory in use is not measured" in finding.limits[0]
    assert finding.advice[0].confidence == "medium"


def test_an_unknown_accelerator_is_cut_in_number_only() -> None:
    """Nobody knows what another one does beside it; a measured throughput changes that."""
    unknown = group(accelerator="Bespoke-24GB", instance_type="bespoke.gpu")
    finding = found(unknown)
    assert only(finding) == "fewer"
    assert finding.limits[0] == "what Bespoke-24GB can do is not known: no other one is proposed"
    assert any("how much" in limit and "is not known" in limit for limit in finding.limits[1:])
    assert found(unknown, L4_24GB=2.0).advice[0].action == "other_accelerator"


def test_a_group_without_a_bill_or_on_own_servers_is_named() -> None:
    """What costs nothing known, or what is owned, is not sized."""
    assert found(group(cost=None)).status == "not_billed"
    assert found(group(hosting="on_prem")).words == "runs on on-prem servers, whose cost does not fall with use"


def test_other_currencies_and_managed_machines_have_no_offers() -> None:
    """Offers in USD are not compared with a bill in EUR, nor plain machines with managed ones."""
    euro = found(group(0.05, currency="EUR"))
    assert euro.advice[0].action == "fewer"
    managed = found(group(instance_type="ml.g5.2xlarge"))
    assert "the price book has no managed machines of aws in us-east-1" in managed.limits


def test_spot_is_compared_with_spot() -> None:
    """A group on spot pays another machine's spot price, and takes none that has none."""
    spot = group(0.05, instance_type="g6e.2xlarge", accelerator="L40S-48GB", accelerator_memory_gib=48.0,
                 memory_gib=10.0, cost=Decimal("6500"), spot=True)  # fmt: skip
    listed = [replace(m, spot_per_hour=None) for m in AWS]
    assert rightsize([spot], listed, Settings())[0].advice[0].action == "fewer"
    with_spot = [replace(m, spot_per_hour=0.1) if m.instance_type == "g6.2xlarge" else m for m in listed]
    assert rightsize([spot], with_spot, Settings())[0].advice[0].cost_after == Decimal("146.00")


def test_commitments_are_told() -> None:
    """A saving on committed machines says when the money is freed; an unused commitment since when and how much."""
    assert "40% of its cost is under commitment" in found(group(committed_ratio=0.4)).advice[0].reason
    unused = group(0.0, commitment="ri-1", idle_since=date(2026, 9, 6), idle_cost=Decimal("226529.28"))
    finding = found(unused)
    assert only(finding) == "release"
    assert "since 2026-09-06 nothing uses the commitment ri-1, 226,529.28 USD so far" in finding.advice[0].reason


# ---------------------------------------------------------------------------------------------------------------- data
def test_throughput_is_the_worst_of_the_peaks() -> None:
    """An H100 computes in 8 bits, an A100 does not; a TPU and a GPU are not compared; what is measured wins."""
    assert relative_throughput("H100-80GB", "A100-80GB", {}) == pytest.approx(312 / 1979)
    assert relative_throughput("A10G-24GB", "L4-24GB", {}) == pytest.approx(0.5)
    assert relative_throughput("A100-40GB", "TPU-v5e-16GB", {}) is None
    assert relative_throughput("H100-80GB", "A100-80GB", {("H100-80GB", "A100-80GB"): 0.45}) == 0.45


def test_every_accelerator_of_the_price_book_has_its_peaks() -> None:
    """Each offer can be compared, and each that can be divided fits its slices."""
    named = set(load_offers()["accelerator"].drop_nulls())
    assert named - set(accelerators()) == set()
    assert set(slices()) <= set(accelerators())
    for name, parts in slices().items():
        memory = float(name.rsplit("-", 1)[1].removesuffix("GB"))
        assert all(p.most * p.sevenths <= 7 and p.most * p.memory_gb <= memory * 1.05 for p in parts), name


def test_the_quantile_is_the_higher_neighbour() -> None:
    """Of 1 to 100 the 95th percentile is 96, as `finops utilisation` has it; of nothing it is 0."""
    assert quantile([float(n) for n in range(1, 101)]) == 96
    assert quantile([]) == 0


# ----------------------------------------------------------------------------------------------------- placement's base
def workload(cost: str, accelerator: str = "A10G-24GB") -> Measured:
    """Two months of a use case's accelerator-hours."""
    return Measured(
        name=f"search-{accelerator}", about="search", kind="inference", unit="accelerator_hours", units=Decimal(5840),
        cost=Decimal(cost), provider="AWS", region="us-east-1", country="US", hosting="cloud", accelerator=accelerator,
        use="search",
    )  # fmt: skip


@pytest.mark.parametrize("cost", ["7080", "10000.123456789012345678", "3000"])
def test_the_right_sized_base_costs_less_by_the_saving(cost: str) -> None:
    """Before less after is the saving to the last digit, also where the workload cost more or less than its groups."""
    base = [workload(cost), workload("50", "T4-16GB")]
    after = apply(base, [found(group())], months=2)
    before, left = (sum((w.cost for w in part), Decimal(0)) for part in (base, after.workloads))
    assert before - left == after.saving
    share = min(Decimal(1), Decimal(7080) / Decimal(cost))
    assert after.saving == pytest.approx(Decimal(cost) * share / 2)
    assert after.workloads[1] == base[1]
    assert after.workloads[0].cost / after.workloads[0].units == pytest.approx(Decimal(cost) / 5840)


def test_work_that_moves_becomes_a_workload_of_its_accelerator() -> None:
    """What runs on L4 after right-sizing is demand for L4; what is stopped is gone."""
    little = group(0.05, instance_type="g6e.2xlarge", accelerator="L40S-48GB", accelerator_memory_gib=48.0,
                   memory_gib=14.9, cost=Decimal("6500.00"))  # fmt: skip
    finding = found(little)
    after = apply([workload("13000", "L40S-48GB")], [finding], months=2)
    assert [w.accelerator for w in after.workloads] == ["L4-24GB"]
    assert after.workloads[0].cost == finding.advice[0].cost_after * 2
    stopped = found(group(0.0))
    assert apply([workload("7080")], [stopped], months=2).workloads == ()
    rest = replace(workload("50", "T4-16GB"), name="rest", unit="money", units=Decimal(7130), cost=Decimal(7130),
                   accelerator=None, use=None, parts=(workload("50", "T4-16GB"), workload("7080")))  # fmt: skip
    small = apply([rest], [stopped], months=2)
    assert [(w.name, w.units, w.cost) for w in small.workloads] == [("rest", Decimal(50), Decimal(50))]
    assert (small.saving, small.left_out) == (Decimal(7080), ())
    twice = apply([workload("7080"), replace(workload("9000"), name="other driver")], [stopped], months=2)
    assert twice.saving == Decimal(7080), "a finding is taken by one workload"
    elsewhere = apply([workload("50", "T4-16GB")], [stopped], months=2)
    assert (elsewhere.saving, elsewhere.left_out) == (0, (stopped,))


# ------------------------------------------------------------------------------------------------------------- command
@pytest.fixture
def watched(home: Path, tmp_path: Path, load: Callable[..., list[Batch]]) -> Path:
    """Three g5.2xlarge for twenty days with what they cost: one busy, one idle, and one that nobody watches."""
    days = [date(2026, 9, d) for d in range(1, 21)]
    machine = {"SkuPriceDetails": '{"InstanceType": "g5.2xlarge"}', "RegionId": "us-east-1", "ConsumedUnit": "Hours",
               "ConsumedQuantity": "24", "PricingCategory": "Standard", "ServiceSubcategory": "Virtual Machines",
               "EffectiveCost": "24", "BilledCost": "24", "ContractedCost": "24", "ListCost": "30"}  # fmt: skip
    rows = [
        {**machine, "ResourceId": r, "Tags": '{"purpose": "inference"}', "ChargePeriodStart": f"{d}T00:00:00Z",
         "ChargePeriodEnd": f"{d.replace(day=d.day + 1)}T00:00:00Z"}
        for d in days for r in ("i-1", "i-2", "i-3")
    ]  # fmt: skip
    bill = tmp_path / "bill.csv"
    focus_rows(*rows).write_csv(bill)
    load(bill)
    hours = [
        f"{d}T{h:02d}:00:00Z,i-{n},ranking-{n},g5.2xlarge,{use},{use},90\n"
        for d in days for h in range(24) for n, use in ((1, 80), (2, 0))
    ]  # fmt: skip
    usage = tmp_path / "usage" / "gpus.csv"
    usage.parent.mkdir()
    usage.write_text(
        "hour,resource_id,group,instance_type,utilisation_mean_percent,utilisation_max_percent,memory_max_percent\n"
        + "".join(hours)
    )
    assert run(["--home", str(home), "--quiet", "ingest", "--connector", "gpu_usage", "--file", str(usage.parent)]) == 0
    return home


def test_the_command_joins_use_and_bill(watched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The idle machine costs what it is billed, 24 USD a day x 365/12; the other is of the right size; sums add up."""
    capsys.readouterr()
    assert run(["--home", str(watched), "--format", "json", "rightsize"]) == 0
    document = json.loads(capsys.readouterr().out)
    rows = document["recommendations"]
    assert [(r["group"], r["action"], r["saving"]) for r in rows] == [("ranking-2", "stop", "730")]
    assert {g["group"]: g["status"] for g in document["groups"]} == {"ranking-1": "right", "ranking-2": "change"}
    assert document["totals"] == [{"currency": "USD", "cost_before": "1460", "cost_after": "730", "saving": "730"}]
    assert document["unwatched"] == [
        {"use": "unassigned", "accelerator": "A10G-24GB", "currency": "USD", "cost": "521.43"}
    ]
    assert document["days"] == {"from": "2026-08-24", "to_excluded": "2026-09-21"}


def test_the_command_names_what_is_wrong(watched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A grouping or a throughput that cannot be is refused; too few days leave every group unsized."""
    for wrong in (["--by", "colour"], ["--throughput", "H100-80GB=0.5"], ["--throughput", "a:b=-1"]):
        assert run(["--home", str(watched), "rightsize", *wrong]) == 2
    capsys.readouterr()
    assert run(["--home", str(watched), "--format", "json", "rightsize", "--least-days", "21"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {g["status"] for g in document["groups"]} == {"not_enough_measured"}


def test_ours_are_recommendations_too(watched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`recommendations --from finops` shows them in the columns of a cloud's."""
    capsys.readouterr()
    assert run(["--home", str(watched), "--format", "json", "recommendations", "--from", "finops"]) == 0
    rows = json.loads(capsys.readouterr().out)["recommendations"]
    assert [(r["kind"], r["resource"], r["monthly_savings"]) for r in rows] == [("stop", "ranking-2", "730")]


def test_nothing_watched_is_no_error(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty home has nothing to size, and the next step is told."""
    assert run(["--home", str(home), "--format", "json", "rightsize"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["recommendations"] == []
    assert 'connector = "gpu_usage"' in printed.err
