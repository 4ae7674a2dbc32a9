"""`finops rightsize`: what running accelerators could be cut to, from how busy they were."""

from dataclasses import asdict
from decimal import Decimal
from typing import Annotated, Any

import polars as pl
import typer

from finops import schema as s
from finops.cli.session import Format, session
from finops.errors import CallError
from finops.pipeline.rightsizing import BY, DAYS, RightSizing, rightsizing
from optimizer.rightsize import Advice, Finding
from optimizer.running import Settings

_DEFAULTS = Settings()
_SHOWN = ("group", "action", "from", "to", "cost_before", "saving", "currency")
_DIGITS = 4


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(rightsize)


def rightsize(
    context: typer.Context,
    by: Annotated[str, typer.Option(help=f"What is sized together: {', '.join(BY)}.")] = "group_name",
    days: Annotated[int, typer.Option(help="Newest days to look at; whole weeks are best.", min=1)] = DAYS,
    headroom: Annotated[float, typer.Option(help="Kept above the 95th percentile of use.", min=0)] = (
        _DEFAULTS.headroom_ratio
    ),
    idle: Annotated[float, typer.Option(help="Use below which an hour is idle.", min=0, max=1)] = _DEFAULTS.idle_ratio,
    least_days: Annotated[int, typer.Option(help="Measured days from which a group is sized.", min=1)] = (
        _DEFAULTS.least_days
    ),
    least_replicas: Annotated[int, typer.Option(help="Machines that a group keeps whatever it uses.", min=1)] = (
        _DEFAULTS.least_replicas
    ),
    throughput: Annotated[
        list[str] | None,
        typer.Option(help="Measured, as FROM:TO=RATIO, like H100-80GB:A100-80GB=0.45; repeatable. Else from peaks."),
    ] = None,
) -> None:
    """What accelerators could be cut to and still do what they did, a month; savings in order, none counted twice."""
    current = session(context)
    if by not in BY:
        raise CallError(f"--by {by}", expected=f"one of {', '.join(BY)}", next_step="correct --by")
    settings = Settings(
        headroom_ratio=headroom, idle_ratio=idle, least_days=least_days, least_replicas=least_replicas
    )  # fmt: skip
    measured = dict(_ratio(text) for text in throughput or [])
    sizing = rightsizing(current.config, current.lake, settings, days=days, by=by, throughput=measured)
    if not sizing.findings:
        current.say('no accelerator was watched; next: a source with connector = "gpu_usage" in finops.toml')
    rows = advice_rows(sizing)
    shown = rows.select(_SHOWN) if current.format is Format.table else rows
    current.show(shown, key="recommendations", title="Right-sizing, per month", document=_document(sizing))
    if current.format is Format.table:
        _tell(sizing, current.say)


def advice_rows(sizing: RightSizing) -> pl.DataFrame:
    """One row for each change, the largest saving first; changes of one group in order."""
    rows = [_row(finding, advice) for finding in sizing.findings for advice in finding.advice]
    money = dict.fromkeys(("cost_before", "cost_after", "saving", "idle_cost"), s.MONEY)
    texts = ("group", "action", "from", "to", "currency", "confidence", "effort", "risk", "reason", "region")
    return pl.DataFrame(
        rows,
        schema_overrides={**money, **(dict.fromkeys(texts, pl.String()) if not rows else {})},
        schema=None if rows else [*texts, *money],
        infer_schema_length=None,
    )


def _row(finding: Finding, advice: Advice) -> dict[str, Any]:
    group = finding.group
    return {
        "group": advice.group,
        "action": advice.action,
        "from": advice.before,
        "to": advice.after,
        "provider": group.provider,
        "region": group.region,
        "accelerator": group.accelerator,
        "team": group.team,
        "purpose": group.purpose,
        "days_measured": group.days,
        "coverage_ratio": round(group.coverage_ratio, _DIGITS),
        "p95_accelerators": round(finding.need.p95, _DIGITS),
        "highest_accelerators": round(group.highest, _DIGITS),
        "needed_accelerators": round(advice.needed, _DIGITS),
        "kept_accelerators": round(advice.kept, _DIGITS),
        "memory_needed_gib": _rounded(advice.memory_needed_gib),
        "memory_kept_gib": _rounded(advice.memory_kept_gib),
        "hours_off_per_week": len(advice.hours_off),
        "cost_before": advice.cost_before,
        "cost_after": advice.cost_after,
        "saving": advice.saving,
        "currency": advice.currency,
        "committed_ratio": round(group.committed_ratio, _DIGITS),
        "idle_since": group.idle_since,
        "idle_cost": group.idle_cost,
        "confidence": advice.confidence,
        "effort": advice.effort,
        "risk": advice.risk,
        "reason": advice.reason,
        "limits": "; ".join(advice.limits),
    }


def _document(sizing: RightSizing) -> dict[str, Any]:
    window = sizing.window
    return {
        "groups": [
            {
                "group": f.group.name,
                "status": f.status,
                "why": f.words,
                "instance_type": f.group.instance_type,
                "accelerator": f.group.accelerator,
                "machines": f.group.machines,
                "days_measured": f.group.days,
                "coverage_ratio": round(f.group.coverage_ratio, _DIGITS),
                "p95_accelerators": round(f.need.p95, _DIGITS),
                "needed_accelerators": round(f.need.accelerators, _DIGITS),
                "cost": f.group.cost,
                "currency": f.group.currency,
                "limits": list(f.limits),
            }
            for f in sizing.findings
        ],
        "totals": totals(sizing),
        "unwatched": sizing.unwatched.to_dicts(),
        "days": None if window is None else {"from": window.start, "to_excluded": window.end},
        "settings": asdict(sizing.settings),
    }


def totals(sizing: RightSizing) -> list[dict[str, Any]]:
    """By currency: what the groups cost a month, what they would, and the difference."""
    found: dict[str, list[Decimal]] = {}
    for finding in sizing.findings:
        if finding.group.cost is not None and finding.group.currency is not None:
            sums = found.setdefault(finding.group.currency, [Decimal(0), Decimal(0)])
            sums[0] += finding.group.cost
            sums[1] += sum((a.saving for a in finding.advice), Decimal(0))
    return [
        {"currency": currency, "cost_before": cost, "cost_after": cost - saving, "saving": saving}
        for currency, (cost, saving) in sorted(found.items())
    ]


def _tell(sizing: RightSizing, say: Any) -> None:
    for finding in sizing.findings:
        for advice in finding.advice:
            say(f"{finding.group.name}: {advice.reason}")
        if not finding.advice:
            say(f"{finding.group.name}: {finding.status.replace('_', ' ')}: {finding.words}")
    for use, accelerator, currency, cost in sizing.unwatched.iter_rows():
        say(f"{use}: nobody watches its {accelerator}, {cost:,.2f} {currency} a month")
    for total in totals(sizing):
        say(
            f"in all {total['cost_before']:,.2f} {total['currency']} a month, {total['saving']:,.2f} of it not needed; "
            "--format json says what is kept and why no more is cut"
        )


def _ratio(text: str) -> tuple[tuple[str, str], float]:
    names, _, number = text.partition("=")
    current, _, other = names.partition(":")
    try:
        ratio = float(number)
    except ValueError:
        ratio = 0.0
    if not current or not other or ratio <= 0:
        raise CallError(f"--throughput {text}", expected="FROM:TO=RATIO, above 0", next_step="correct it")
    return (current, other), ratio


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
