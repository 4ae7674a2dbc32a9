"""`finops optimize`, `compare`, `scenario`, `fleet`: where workloads should run, bought how, what each rule costs."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from finops.cli import approvals
from finops.cli.session import Format, Session, print_table, session
from finops.errors import CallError
from finops.pipeline import placement
from finops.pipeline import scenarios as scenario_files
from finops.prices import OwnPrices
from optimizer.document import load_scenario
from optimizer.draft import sunk
from optimizer.fleet import cheapest_fleet, load_case

Files = Annotated[list[Path], typer.Argument(help="Scenario files, or names of saved scenarios.", metavar="SCENARIO…")]
TimeLimit = Annotated[float | None, typer.Option("--time-limit", help="Seconds for each plan.", min=1)]
Gap = Annotated[float | None, typer.Option("--gap", help="How far from the best plan may be: 0.005 is 0.5 %.", min=0)]
Again = Annotated[bool, typer.Option("--again", help="Solve although nothing has changed since the last plan.")]
EXCLUSIONS_SHOWN = 12

scenarios = typer.Typer(help="Scenarios: written from the lake, listed, shown.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("optimize")(optimize)
    app.command("compare")(compare)
    app.command("fleet")(fleet)
    scenarios.command("new")(new)
    scenarios.command("list")(list_scenarios)
    scenarios.command("show")(show)
    approvals.register(scenarios)
    app.add_typer(scenarios, name="scenario")


def optimize(
    context: typer.Context, files: Files, time_limit: TimeLimit = None, gap: Gap = None, again: Again = False
) -> None:
    """A plan for each scenario, beside the forced policies, with the reasons and the price of each rule."""
    current = session(context)
    plans = _planned(current, files, time_limit, gap, again=again)
    if current.format is Format.json:
        current.show_document({"plans": plans})
    elif current.format is Format.csv:
        current.show(pl.concat([_schedule(plan) for plan in plans]))
    else:
        for plan in plans:
            _print_plan(plan)


def compare(
    context: typer.Context, files: Files, time_limit: TimeLimit = None, gap: Gap = None, again: Again = False
) -> None:
    """Scenarios side by side: every policy of each, with cost, cash and when the plan becomes the cheaper one."""
    current = session(context)
    plans = _planned(current, files, time_limit, gap, again=again)
    rows = [
        {
            "scenario": plan["scenario"],
            "policy": policy["policy"],
            "status": policy["status"],
            "currency": plan["currency"],
            "cost": _amount(policy["cost"]),
            "cash": _amount(policy["cash"]),
            "purchases": _amount(policy["capex"]),
            "plan_cheaper_from": _crossing(plan, policy["policy"]),
            "reason": policy["reason"],
        }
        for plan in plans
        for policy in plan["policies"]
    ]
    columns: dict[str, pl.DataType] = {
        "cost": _MONEY,
        "cash": _MONEY,
        "purchases": _MONEY,
        "plan_cheaper_from": pl.String(),
        "reason": pl.String(),
    }
    frame = pl.DataFrame(rows, schema_overrides=columns)
    current.show(frame, title="Scenarios side by side; cost is present value", document={"plans": plans})


def fleet(
    context: typer.Context,
    case: Annotated[Path, typer.Argument(help="JSON: gpu_info, workload_distribution, total_request_rate.")],
    time_limit: TimeLimit = None,
) -> None:
    """The cheapest mix of accelerators for a mix of request sizes, in whole accelerators and whole slices."""
    current = session(context)
    found = cheapest_fleet(load_case(case), time_limit_s=time_limit or current.config.optimize.time_limit_s)
    if current.format is Format.json:
        current.show_document(
            {
                "status": found.status,
                "cost_usd_per_hour": found.cost_usd_per_hour,
                "fleet": found.fleet,
                "gap": found.gap_ratio,
            }
        )
        return
    rows = [{"accelerator": name, "count": count} for name, count in found.fleet.items()]
    frame = pl.DataFrame(rows, schema={"accelerator": pl.String(), "count": pl.Int64()})
    current.show(frame, title=f"{found.cost_usd_per_hour:,} USD per hour ({found.status})")


def new(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help="A name; bank, edge, growth, hybrid and llm-bill copy shipped examples.")
    ] = "hosting",
    overwrite: Annotated[bool, typer.Option("--replace", help="Write over a scenario of that name.")] = False,
    as_billed: Annotated[
        bool, typer.Option("--as-billed", help="Today's base, without right-sizing it first.")
    ] = False,
    profile: Annotated[
        Path | None, typer.Option(help="CSV with timestamp, workload, load: your own load by the hour.")
    ] = None,
) -> None:
    """Write a commented scenario from the newest whole months of the lake; it solves as it is written."""
    current = session(context)
    base = scenario_files.Base(as_billed=as_billed, profile=profile)
    made = scenario_files.new_scenario(current.config, current.lake, name, overwrite=overwrite, base=base)
    document: dict[str, Any] = {"scenario": made.name, "path": made.path}
    if made.spend is not None:
        for note in made.spend.notes:
            current.say(note)
        document |= {
            "months": list(made.spend.months),
            "currency": made.spend.currency,
            "cost_measure": made.spend.cost,
            "spend_total": made.spend.total,
            "placed": sum((w.cost for w in made.workloads), Decimal(0)),
            "sunk": sunk(made.workloads),
            "not_demand": made.spend.unplaced,
            "right_sizing_saving": made.spend.saving,
            "notes": list(made.spend.notes),
        }
    rows = [
        {"workload": w.name, "kind": w.kind, "unit": w.unit, "units": w.units, "cost": w.cost, "provider": w.provider}
        for w in made.workloads
    ]
    schema: dict[str, pl.DataType] = {
        "workload": pl.String(), "kind": pl.String(), "unit": pl.String(), "units": pl.Decimal(38, 18),
        "cost": pl.Decimal(38, 18), "provider": pl.String(),
    }  # fmt: skip
    title = f"Written to {made.path}"
    if made.spend is not None:
        title += f": {made.spend.total:,.2f} {made.spend.currency} of {', '.join(made.spend.months)}"
    if current.format is Format.table and not rows:
        typer.echo(title)
        return
    current.show(pl.DataFrame(rows, schema=schema), key="workloads", title=title, document=document)


def list_scenarios(context: typer.Context) -> None:
    """The scenarios of this home, and the newest plan of each."""
    current = session(context)
    plans = {row["scenario"]: row for row in placement.stored_plans(current.lake)}
    rows = []
    for name, path in scenario_files.scenario_files(current.config).items():
        plan = plans.get(name)
        rows.append(
            {
                "scenario": name,
                "path": str(path),
                "status": plan["status"] if plan else None,
                "cost": plan["cost"] if plan else None,
                "currency": plan["currency"] if plan else None,
                "planned_at": plan["made_at"] if plan else None,
            }
        )
    schema: dict[str, pl.DataType] = {
        "scenario": pl.String(), "path": pl.String(), "status": pl.String(), "cost": pl.Decimal(38, 18),
        "currency": pl.String(), "planned_at": pl.Datetime("us", "UTC"),
    }  # fmt: skip
    current.show(pl.DataFrame(rows, schema=schema), key="scenarios", title="Scenarios")


def show(context: typer.Context, name: Annotated[str, typer.Argument(help="A saved scenario.")]) -> None:
    """One scenario: its file as it is written, or with --format json as it is understood, offers filled in."""
    current = session(context)
    path = _path(current, Path(name))
    if current.format is Format.table:
        typer.echo(path.read_text(encoding="utf-8"))
        return
    scenario = load_scenario(path, OwnPrices.of(current.config))
    if current.format is Format.json:
        current.show_document({"path": path, "scenario": scenario.model_dump(mode="json")})
        return
    rows = [
        {"option": o.name, "kind": o.kind, "provider": o.provider, "price": o.price.amount, "source": o.price.source}
        for o in scenario.options
    ]
    current.show(pl.DataFrame(rows, schema_overrides={"price": pl.Decimal(38, 18)}))


# ------------------------------------------------------------------------------------------------------------- inside
_MONEY = pl.Decimal(38, 2)


def _planned(
    current: Session, files: list[Path], time_limit: float | None, gap: float | None, *, again: bool
) -> list[dict[str, Any]]:
    config = current.config
    settings = placement.settings_of(config, time_limit_s=time_limit, gap_ratio=gap)
    paths = [_path(current, file) for file in files]
    return placement.optimize(config, current.lake, paths, settings=settings, say=current.say, again=again)


def _path(current: Session, file: Path) -> Path:
    """A scenario file by its path, or by the name it has in the home."""
    if file.exists():
        return file
    saved = scenario_files.scenario_files(current.config)
    if str(file) in saved:
        return saved[str(file)]
    raise CallError(
        f"no scenario {file}",
        expected=f"a scenario file, or one of: {', '.join(saved) or '(none saved)'}",
        next_step="correct the path, or write one with `finops scenario new`",
    )


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _crossing(plan: dict[str, Any], policy: str) -> str | None:
    """The month from which the hybrid plan has cost less in all than a policy that was cheaper at first."""
    months = [c["month"] for c in plan["crossings"] if (c["cheaper"], c["dearer"]) == ("hybrid", policy)]
    return months[0] if months else None


def _schedule(plan: dict[str, Any]) -> pl.DataFrame:
    schema: dict[str, pl.DataType] = {
        "month": pl.String(), "workload": pl.String(), "option": pl.String(), "hosting": pl.String(),
        "provider": pl.String(), "units": pl.String(), "work_ratio": pl.Float64(), "cash": pl.String(),
    }  # fmt: skip
    return pl.DataFrame(plan["schedule"], schema=schema).select(
        pl.lit(plan["scenario"]).alias("scenario"), *schema, pl.lit(plan["currency"]).alias("currency")
    )


def _print_plan(plan: dict[str, Any]) -> None:
    gap = f"within {plan['gap_ratio'] * 100:.2f} % of the best there can be"
    state = f"optimal, {gap}" if plan["status"] == "optimal" else f"NOT proven optimal, {gap}"
    cost, months = f"{_amount(plan['cost']):,} {plan['currency']}", len(plan["months"])
    typer.echo(f"\n{plan['scenario']}: {cost} at present value over {months} months ({state})")
    policies = [
        {
            "policy": p["title"],
            "cost": _amount(p["cost"]),
            "cash": _amount(p["cash"]),
            "purchases": _amount(p["capex"]),
            "plan ahead from": _crossing(plan, p["policy"]),
        }
        for p in plan["policies"]
    ]
    amounts: dict[str, pl.DataType] = dict.fromkeys(("cost", "cash", "purchases"), _MONEY)
    print_table(
        pl.DataFrame(policies, schema_overrides={**amounts, "plan ahead from": pl.String()}),
        title=f"The same demand under each policy ({plan['currency']}, cost at present value)",
    )
    for p in plan["policies"]:
        if p["reason"]:
            typer.echo(f"- {p['title']}: {p['reason']}")
    chosen = [
        {
            "workload": w["workload"],
            "runs on": c["option"],
            "share": f"{Decimal(c['work_ratio']) * 100:.0f} %",
            "from": c["first_month"],
            "to": c["last_month"],
            "cash": _amount(c["cash"]),
        }
        for w in plan["workloads"]
        for c in w["chosen"]
    ]
    print_table(pl.DataFrame(chosen, schema_overrides={"cash": _MONEY}), title="What runs where")
    for w in plan["workloads"]:
        if text := _runner_up(plan, w):
            typer.echo(f"- {w['workload']}: {text}")
    if bought := _bought(plan):
        print_table(pl.DataFrame(bought), title="What is bought when")
    for p in plan["promises"]:
        promised = f"{Decimal(p['money_per_hour']):,.2f} {plan['currency']} an hour for {p['term_months']} months"
        typer.echo(f"- from {p['month']} promise {p['commitment']}: {promised}")
    for m in plan["moves"]:
        cost = f"{Decimal(m['cost']):,.0f} {plan['currency']}"
        typer.echo(f"- in {m['month']} {m['workload']} moves from {m['origin']} to {m['location']}, for {cost}")
    for line in [*(w["text"] for w in plan["warnings"]), *(r["text"] for r in plan["rule_prices"])]:
        typer.echo(f"- {line}")
    _print_sensitivity(plan)
    excluded = [e for e in plan["exclusions"] if e["rule"] != "use"]
    for e in excluded[:EXCLUSIONS_SHOWN]:
        typer.echo(f"  {e['workload']} not on {e['option']}: {e['reason']}")
    if (left := len(excluded) - EXCLUSIONS_SHOWN) > 0:
        typer.echo(f"  and {left} more pairs; all of them with --format json")


def _print_sensitivity(plan: dict[str, Any]) -> None:
    """What the plan hangs on: the tornado, what would turn it, and how it fares on random paths of demand."""
    cost = Decimal(plan["cost"])

    def change(amount: str | None) -> str:
        return "no plan" if amount is None else f"{Decimal(amount) - cost:+,.0f}"

    rows = [
        {"assumption": s["factor"], "lower": s["low"], "cost then": change(s["low_cost"]), "higher": s["high"],
         "cost then ": change(s["high_cost"])}
        for s in plan["swings"]
        if {s["low_cost"], s["high_cost"]} != {plan["cost"]}
    ]  # fmt: skip
    if rows:
        print_table(pl.DataFrame(rows), title=f"What the cost hangs on ({plan['currency']} more or less than the plan)")
    for f in plan["flips"]:
        typer.echo(
            f"- with {f['factor']} between {f['below']} and {f['above']} times what is stated, most money goes to "
            f"{f['other']} instead of {f['hosting']}"
        )
    if risk := plan["risk"]:
        typer.echo(
            f"- on {risk['paths']} paths of demand: half cost up to {risk['p50']:,.0f}, one in ten over "
            f"{risk['p90']:,.0f}, the costliest {risk['tail_mean']:,.0f} on average ({plan['currency']})"
        )
        for year, ratio in enumerate(risk["over_budget"], 1):
            typer.echo(f"- the budget of year {year} is passed on {ratio:.0%} of the paths")


def _runner_up(plan: dict[str, Any], workload: dict[str, Any]) -> str | None:
    if workload["runner_up"] is None:
        return str(workload["note"]) if workload["note"] else None
    extra = Decimal(workload["runner_up_extra"])
    more = f"for {extra:,.0f} {plan['currency']} more" if extra > 0 else "for no more within the gap"
    return f"without its main option, next best is {workload['runner_up']}, {more}"


def _bought(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Purchases by month; instances that are kept by the month as one row for as long as their number stays."""
    by_month = {o["option"] for o in plan["options"] if o["kind"] == "monthly"}
    months = {name: number for number, name in enumerate(plan["months"])}
    rows: list[dict[str, Any]] = []
    for p in sorted(plan["purchases"], key=lambda p: (p["option"], p["month"])):
        last = rows[-1] if rows else None
        same = last is not None and (last["option"], last["count"]) == (p["option"], p["count"])
        if same and last and p["option"] in by_month and months[p["month"]] == months[last["to"]] + 1:
            last["to"] = p["month"]
        else:
            rows.append({"option": p["option"], "from": p["month"], "to": p["month"], "count": p["count"]})
    return sorted(rows, key=lambda r: (r["from"], r["option"]))
