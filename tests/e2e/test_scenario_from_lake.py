"""Scenarios from the lake: right-sized first, with what stands, grows and is busy when, and nothing counted twice."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from connectors.demo import write
from finops import schema as s
from finops.config import Config, load_config
from finops.errors import CallError, InputError
from finops.pipeline.ingest import ingest
from finops.pipeline.scenarios import Base, NewScenario, measure, new_scenario
from finops.pipeline.tables import load as load_tables
from finops.prices import COMMITMENTS, OwnPrices
from finops.store import Lake
from optimizer.case import Case, solve_case
from optimizer.costing import cost_lines
from optimizer.document import load_scenario
from optimizer.draft import sunk
from optimizer.options import Rented, Reservation, Server
from optimizer.resized import apply
from optimizer.rightsize import rightsize
from optimizer.running import Group, Hour
from optimizer.running import Settings as Sizing
from optimizer.scenario import Scenario
from optimizer.solve import Settings
from tests.e2e.test_placement_cli import ASSISTANT, CREDIT, TRAINING, spend_rows

TODAY = date(2026, 11, 21)
CENT = Decimal("0.01")
OFFERED = ((1, "3.0", "2024-01-01"), (3, "2.0", "2026-10-01"))
"""Years, price per hour and day of two rates."""
SOURCES = ("aws", "azure", "gcp", "gpus", "on_prem")


@dataclass(frozen=True)
class Drafted:
    """A scenario that was written, as it is read back, and what going on as today costs in its first month."""

    made: NewScenario
    scenario: Scenario
    as_is: Decimal

    @property
    def placed(self) -> Decimal:
        """What the workloads cost over the months."""
        return sum((w.cost for w in self.made.workloads), Decimal(0))

    @property
    def text(self) -> str:
        """The file."""
        return self.made.path.read_text(encoding="utf-8")


def drafted(config: Config, lake: Lake, name: str, base: Base) -> Drafted:
    """The scenario of a lake, solved as it is today."""
    made = new_scenario(config, lake, name, base=base)
    scenario = load_scenario(made.path)
    return Drafted(made, scenario, first_month(scenario, "as_is"))


def first_month(scenario: Scenario, policy: str) -> Decimal:
    """What a policy costs in the first month."""
    return cost_of(scenario, policy, months=1)


def cost_of(scenario: Scenario, policy: str, *, months: int) -> Decimal:
    """Cash of a policy in its first months, as recomputed from its schedule."""
    outcome = solve_case(Case(scenario, policy, settings=Settings(gap_ratio=0.005)))
    plan = outcome.plan
    assert plan is not None, outcome.reason
    lines = cost_lines(scenario, plan.uses, plan.purchases, plan.promises, plan.covers)
    return sum((line.cash for line in lines if line.month < months), Decimal(0))


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Drafted]:
    """Three months of the demo company, drafted as it is billed and right-sized."""
    home = write(tmp_path_factory.mktemp("demo"), months=3, today=TODAY).home
    config = load_config(home)
    lake = Lake.of(config)
    load_tables(config, lake, say=lambda _: None)
    for source in config.sources:
        if source.id in SOURCES:
            ingest(config, lake, source, say=lambda _: None, until=TODAY)
    return {name: drafted(config, lake, name, Base(as_billed=name == "billed")) for name in ("billed", "sized")}


@pytest.mark.parametrize("base", ["billed", "sized"])
def test_as_it_is_today_costs_what_is_paid_without_what_is_sunk(company: dict[str, Drafted], base: str) -> None:
    """The first month of going on as today is the mean month of the placed spend less what is sunk, to the cent."""
    one = company[base]
    spend = one.made.spend
    assert spend is not None
    assert one.as_is == pytest.approx((one.placed - sunk(one.made.workloads)) / len(spend.months), abs=CENT)


@pytest.mark.parametrize("base", ["billed", "sized"])
def test_the_head_of_the_file_adds_up(company: dict[str, Drafted], base: str) -> None:
    """Spend = placed + not demand + saved by right-sizing, to the last digit, as the file says it."""
    one = company[base]
    spend = one.made.spend
    assert spend is not None
    assert one.placed + spend.unplaced + spend.saving == spend.total
    head = [line.rsplit(": ", 1)[1].split(" ")[0] for line in one.text.splitlines()[1:8] if " USD" in line]
    stated = [Decimal(figure) for figure in head]
    assert stated[0] == spend.total
    assert stated[1] == one.placed
    assert (spend.saving > 0) is (base == "sized")
    assert ("saved by right-sizing first" in one.text) is (base == "sized")
    assert spend.saving in (Decimal(0), *stated)
    assert sunk(one.made.workloads) in stated


def test_right_sizing_and_placement_save_once(company: dict[str, Drafted]) -> None:
    """What right-sizing saves and what placement saves of the rest is cost before less cost after."""
    billed, sized = company["billed"], company["sized"]
    spend = sized.made.spend
    assert spend is not None
    assert billed.as_is - sized.as_is == pytest.approx(spend.saving / len(spend.months), abs=CENT)
    before = cost_of(billed.scenario, "as_is", months=36)
    after = cost_of(sized.scenario, "hybrid", months=36)
    by_placement = cost_of(sized.scenario, "as_is", months=36) - after
    by_right_sizing = before - cost_of(sized.scenario, "as_is", months=36)
    assert by_placement > 0
    assert by_right_sizing == pytest.approx(36 * spend.saving / len(spend.months), abs=1)
    assert by_right_sizing + by_placement == before - after


def test_servers_of_the_ledger_stand(company: dict[str, Drafted]) -> None:
    """Each accelerator server in service is an owned block with its life left; what it was bought for is sunk."""
    servers = {o.name: o for o in company["sized"].scenario.options if isinstance(o, Server) and o.standing}
    assert len(servers) == 6, "the one that is retired does not stand"
    fraud = servers["today-fraud-model-H100-80GB-own"]
    assert (fraud.kind, fraud.standing, fraud.country) == ("on_prem", 1, "DE")
    assert fraud.standing_months_left == 57, "bought in September 2026 for five years; the horizon starts in December"
    colo = servers["today-ranking-model-H100-80GB-own"]
    billed_ratio = colo.staff_cost_per_month / 2600
    assert 0 < billed_ratio <= 1, "it came within the months"
    assert colo.colo_price_per_kw_month == pytest.approx(200 * billed_ratio, abs=Decimal("1e-6"))


def test_commitments_that_run_stand(company: dict[str, Drafted]) -> None:
    """A reservation that work uses whole is a standing block until the end that the bill tells."""
    name = "today-multilingual-model-A100-40GB-committed"
    block = company["sized"].scenario.option(name)
    assert isinstance(block, Reservation)
    assert (block.standing, block.accelerator_count, block.term_months) == (2, Decimal(8), 12)
    assert "12 months as the bill says" in company["sized"].text


def test_what_nobody_knows_stays_a_comment(company: dict[str, Drafted]) -> None:
    """Without a forecast growth is nothing and uncertainty is a comment."""
    one = company["sized"]
    assert {w.growth_ratio_per_year for w in one.scenario.workloads} == {Decimal(0)}
    assert one.scenario.uncertainty is None
    assert "# [uncertainty]" in one.text


# ---------------------------------------------------------------------------------------- commitments of a small lake
def charges(rows: pl.DataFrame, **facts: object) -> pl.DataFrame:
    """The charges behind rows of spend_daily, one each, with facts of their own."""
    day = pl.col(s.CHARGE_DATE).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    known = rows.with_columns(
        pl.format("c{}", pl.int_range(pl.len())).alias(s.CHARGE_ID),
        day.alias(s.CHARGE_PERIOD_START),
        day.dt.offset_by("1d").alias(s.CHARGE_PERIOD_END),
        *(pl.lit(value).alias(name) for name, value in facts.items()),
    )
    columns = s.TABLES["charges"].columns
    return known.select(
        (pl.col(c) if c in known.columns else pl.lit(None)).cast(kind).alias(c) for c, kind in columns.items()
    )


def fill(lake: Lake, **tables: pl.DataFrame) -> None:
    """Put rows into tables of the lake."""
    with lake.transaction("test") as transaction:
        for name, rows in tables.items():
            transaction.replace(name, rows)


COMMITTED = TRAINING | {
    s.ACCELERATOR_HOURS: 192, s.EFFECTIVE_COST: "700.5", s.CONTRACTED_COST: 1000, s.LIST_COST: 1000,
    s.COMMITMENT_DISCOUNT_STATUS: "Used",
}  # fmt: skip


@pytest.mark.parametrize("category", ["Spend", "Usage"])
def test_a_small_bill_with_a_commitment_costs_as_today_what_was_paid(config: Config, lake: Lake, category: str) -> None:
    """Reserved machines and promised money stand beside what is paid by use, and all cost what the bill says."""
    promised = spend_rows(COMMITTED)
    text = {s.CHARGE_DESCRIPTION: "plan"} if category == "Usage" else {s.CHARGE_DESCRIPTION: "3 year plan"}
    facts = {
        s.COMMITMENT_DISCOUNT_ID: "sp-1", s.COMMITMENT_DISCOUNT_CATEGORY: category, s.ACCELERATOR_COUNT: Decimal(8),
    }  # fmt: skip
    fill(
        lake,
        charges=charges(promised, **facts, **text),
        spend_daily=pl.concat([promised, spend_rows(TRAINING, CREDIT)]),
    )
    one = drafted(config, lake, "small", Base())
    assert one.made.spend is not None
    assert one.placed == (Decimal("700.5") + Decimal("480.1")) * 92
    assert one.as_is == pytest.approx(one.placed / 3, abs=CENT)
    today = one.scenario.option("today-ranking-H100-80GB-committed")
    if category == "Spend":
        assert isinstance(today, Rented)
        commitment = one.scenario.spend_commitment("promised-ranking-H100-80GB-committed")
        assert float(commitment.discount_ratio[today.name]) == pytest.approx(1 - 0.7005)
        assert (commitment.term_months, commitment.standing_months_left) == (36, 33)
    else:
        assert isinstance(today, Reservation)
        assert (today.standing, today.standing_months_left) == (1, 9)
        assert "its end is not in the bill; assumed 12 months" in one.text


def test_a_bill_of_one_month_solves_as_it_is_drafted(config: Config, lake: Lake) -> None:
    """One whole month of spend is the month of going on as today, and the plan costs no more."""
    fill(lake, spend_daily=spend_rows(TRAINING, ASSISTANT, CREDIT, first=date(2026, 10, 1), days=31))
    one = drafted(config, lake, "small", Base())
    assert one.made.spend is not None
    assert one.made.spend.months == ("2026-10",)
    assert one.as_is == pytest.approx(one.placed, abs=CENT)
    assert cost_of(one.scenario, "hybrid", months=36) < 36 * one.placed


def test_a_commitment_that_is_used_in_part_goes_on_as_billed(config: Config, lake: Lake) -> None:
    """Hours that no whole machines stand for are no block, and join what runs beside them."""
    part = spend_rows(COMMITTED | {s.ACCELERATOR_HOURS: 60})
    facts = {s.COMMITMENT_DISCOUNT_ID: "r", s.COMMITMENT_DISCOUNT_CATEGORY: "Usage", s.ACCELERATOR_COUNT: Decimal(8)}
    fill(lake, charges=charges(part, **facts), spend_daily=pl.concat([part, spend_rows(TRAINING)]))
    one = drafted(config, lake, "small", Base())
    assert [w.name for w in one.made.workloads] == ["ranking-H100-80GB"]
    assert one.as_is == pytest.approx(one.placed / 3, abs=CENT)


def test_promises_of_money_are_drafted_from_ones_own_rates(config: Config, lake: Lake, home: Path) -> None:
    """Where the price book has a rate per promised hour for an offer, a new promise of the kind is an option."""
    own = home / "rates.csv"
    home.mkdir()
    place = "azure,eastus,Standard_NC24ads_A100_v4,A100-80GB,1,savings_plan"
    rates = [f"{place},{years},none,USD,3.673,{price},an offer,{day}" for years, price, day in OFFERED]
    own.write_text("\n".join([",".join(COMMITMENTS), *rates]), encoding="utf-8")
    priced = config.model_copy(update={"prices": config.prices.model_copy(update={"commitments": (own,)})})
    fill(lake, spend_daily=spend_rows(TRAINING | {s.ACCELERATOR_MODEL: "A100-80GB", s.REGION_ID: "us-east-1"}))
    made = new_scenario(priced, lake, "small")
    found = load_scenario(made.path, OwnPrices.of(priced)).spend_commitments
    assert [j.term_months for j in found] == [36], "the other rate is too old"
    (ratio,) = found[0].discount_ratio.values()
    assert float(ratio) == pytest.approx(1 - 2.0 / 3.673)


# ------------------------------------------------------------------------------------------------- the months to come
def forecast(series: str, mean: float) -> list[dict[str, object]]:
    """Frozen rows of one series for 90 days after October."""
    made = datetime(2026, 11, 1, tzinfo=UTC)
    return [
        {
            "forecast_id": "f", "made_at": made, "cutoff": date(2026, 10, 31), "grouping": series.split("=")[0],
            "series": series, "measure": "effective", "currency": "USD", "date": date(2026, 11, 1) + timedelta(days=k),
            "model": "m", "mean": mean, "cutoff_month": "2026-10",
        }
        for k in range(90)
    ]  # fmt: skip


def paths(mean: float, *, width: float) -> pl.DataFrame:
    """Eleven sample paths of the total over the same days, from mean x (1 - width) to mean x (1 + width)."""
    levels = [mean * (1 + width * (k - 5) / 5) for k in range(11)]
    rows = [
        {"forecast_id": "f", "cutoff": date(2026, 10, 31), "series": "total", "measure": "effective",
         "currency": "USD", "date": date(2026, 11, 1) + timedelta(days=k), "paths": levels}
        for k in range(90)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=s.TABLES["forecast_paths"].columns)


def test_growth_and_uncertainty_are_those_of_the_forecast(config: Config, lake: Lake) -> None:
    """The nearest forecast's growth, bounded, and the band of the total's paths become the scenario's, with sources."""
    rows = [
        *forecast("driver=model_api", 333.33 * 1.1),
        *forecast("driver=accelerator", 480.1 * 3),
        *forecast("purpose=inference", 1.0),
        *forecast("total", 813.43),
    ]
    frame = pl.DataFrame(rows, schema=s.TABLES["forecasts"].columns)
    drawn = paths(813.43, width=0.25)
    fill(lake, spend_daily=spend_rows(TRAINING, ASSISTANT), forecasts=frame, forecast_paths=drawn)
    one = drafted(config, lake, "small", Base())
    growth = {w.name: w.growth_ratio_per_year for w in one.scenario.workloads}
    # from the middle of August to October to the middle of the horizon's last 30 days are 121 days
    assert float(growth["assistant-model_api"]) == pytest.approx(1.1 ** (365 / 121) - 1, abs=0.001)
    assert growth["ranking-H100-80GB"] == Decimal("0.5")
    assert "forecast of 2026-10-31 for driver=accelerator, to 2027-01-29, which says" in one.text
    assert one.scenario.uncertainty is not None
    expected = 0.4054651 / 2.5631031 * (365 / 76) ** 0.5
    assert float(one.scenario.uncertainty.sd_ratio_per_year) == pytest.approx(expected, abs=0.002)
    assert one.as_is == pytest.approx(one.placed / 3, rel=Decimal("1e-4")), "the mean of the demand scenarios is one"


def test_an_old_forecast_says_nothing(config: Config, lake: Lake) -> None:
    """A forecast that was made long before the spend is not used, nor one without sample paths for uncertainty."""
    frame = pl.DataFrame(forecast("total", 800), schema=s.TABLES["forecasts"].columns)
    later = spend_rows(TRAINING, days=92, first=date(2027, 2, 1))
    fill(lake, spend_daily=later, forecasts=frame, forecast_paths=paths(800, width=0.2))
    assert drafted(config, lake, "small", Base()).scenario.uncertainty is None
    fill(lake, spend_daily=spend_rows(TRAINING), forecast_paths=paths(800, width=0.2).clear())
    assert drafted(config, lake, "bare", Base()).scenario.uncertainty is None


# ----------------------------------------------------------------------------------------------------- load by the hour
def profile(path: Path, workload: str, load: Callable[[int], float]) -> Path:
    """Two days of load in a file."""
    start = datetime(2026, 10, 5, tzinfo=UTC)
    lines = [f"{start + timedelta(hours=h):%Y-%m-%dT%H:%M},{workload},{load(h % 24)}" for h in range(48)]
    path.write_text("timestamp,workload,load\n" + "\n".join(lines), encoding="utf-8")
    return path


def test_load_by_the_hour_becomes_blocks_with_the_peak_apart(config: Config, lake: Lake, tmp_path: Path) -> None:
    """A file's load makes three blocks that keep each workload's mean; who has none runs at its mean."""
    fill(lake, spend_daily=spend_rows(TRAINING, ASSISTANT))
    file = profile(
        tmp_path / "load.csv", "assistant-model_api", lambda h: 30.0 if h == 12 else 3.0 if 8 < h < 18 else 1.0
    )
    one = drafted(config, lake, "small", Base(profile=file))
    blocks = one.scenario.load_blocks
    assert [b.name for b in blocks] == ["peak", "high", "middle"]
    assert blocks[0].workloads["assistant-model_api"] > 5 * blocks[1].workloads["assistant-model_api"]
    assert {b.workloads["ranking-H100-80GB"] for b in blocks} == {Decimal(1)}
    assert "load.csv" in one.text
    assert one.as_is == pytest.approx(one.placed / 3, abs=CENT)


def test_a_flat_load_makes_no_blocks(config: Config, lake: Lake, tmp_path: Path) -> None:
    """Where no hour is much above the mean there is one block."""
    fill(lake, spend_daily=spend_rows(ASSISTANT))
    file = profile(tmp_path / "load.csv", "assistant-model_api", lambda h: 1.0 + h / 100)
    assert len(drafted(config, lake, "small", Base(profile=file)).scenario.load_blocks) == 1


def test_a_wrong_profile_is_refused(config: Config, lake: Lake, tmp_path: Path) -> None:
    """A workload that is not there, an empty cell, another table: each is named."""
    fill(lake, spend_daily=spend_rows(ASSISTANT))
    other = profile(tmp_path / "load.csv", "assistant", lambda h: 1.0)
    with pytest.raises(CallError, match="names the workload assistant"):
        new_scenario(config, lake, "one", base=Base(profile=other))
    empty = tmp_path / "empty.csv"
    empty.write_text("timestamp,workload,load\n2026-10-01T00:00,assistant-model_api,\n", encoding="utf-8")
    with pytest.raises(CallError, match="empty cells"):
        new_scenario(config, lake, "one", base=Base(profile=empty))
    table = tmp_path / "table.csv"
    table.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(InputError, match="load by the hour"):
        new_scenario(config, lake, "one", base=Base(profile=table))


def test_what_stands_is_not_right_sized(config: Config, lake: Lake) -> None:
    """A finding on machines under a commitment takes nothing off what is paid whatever runs, and is named."""
    promised = spend_rows(COMMITTED)
    facts = {s.COMMITMENT_DISCOUNT_ID: "r", s.COMMITMENT_DISCOUNT_CATEGORY: "Usage", s.ACCELERATOR_COUNT: Decimal(8)}
    fill(lake, charges=charges(promised, **facts), spend_daily=promised)
    _, (workload,) = measure(config, lake)
    group = Group(
        name="trainers", provider="aws", region="eu-central-1", instance_type="p5.48xlarge", accelerator="H100-80GB",
        accelerators=8.0, accelerator_memory_gib=80.0, purpose="training", use="ranking", team=None, hosting="cloud",
        hours=tuple(Hour(h % 168, 0.0, 0.0, 8.0) for h in range(28 * 24)), days=28, coverage_ratio=1.0,
        used_accelerators=None, machine_peak=0.0, memory_gib=None, machine_hours=730.0, hours_per_month=730.0,
        cost=Decimal(21000), currency="USD",
    )  # fmt: skip
    findings = rightsize([group], [], Sizing(), None)
    assert [a.action for f in findings for a in f.advice] == ["stop"]
    after = apply([workload], findings, months=3)
    assert (after.workloads, after.saving, after.left_out) == ((workload,), Decimal(0), tuple(findings))
