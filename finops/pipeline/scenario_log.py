"""Saved scenarios: changed, duplicated and approved, with who did it and when kept in the lake."""

import json
import re
import secrets
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import polars as pl

from finops import schema as s
from finops.config import Config
from finops.errors import CallError
from finops.pipeline.scenario_text import edited
from finops.pipeline.scenarios import scenario_files
from finops.prices import OwnPrices
from finops.store import Lake, again_on_conflict
from optimizer.document import parse_scenario
from reports.views.scenario_changes import WORDS, differences

SAVED, DUPLICATED, APPROVED, PLANNED = "saved", "duplicated", "approved", "planned"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class SavedScenario:
    """A scenario file of the home; name is the scenario's own, which its plans carry."""

    name: str
    path: Path
    text: str


@dataclass(frozen=True)
class Approval:
    """The newest approval of a scenario's plan. void: why it holds no longer, None while it does."""

    by: str
    at: datetime
    comment: str
    digest: str
    plan_id: str
    void: str | None


# --------------------------------------------------------------------------------------------------------------- files
def saved_scenarios(config: Config) -> dict[str, SavedScenario]:
    """The scenario files of a home by the scenario's own name, which is the file's where the file cannot be read."""
    found = {}
    for stem, path in scenario_files(config).items():
        if path.exists():
            text = path.read_text(encoding="utf-8")
            name = _name_in(text) or stem
            found[name] = SavedScenario(name, path, text)
    return dict(sorted(found.items()))


def saved_scenario(config: Config, name: str) -> SavedScenario:
    """The scenario file of that name, which is the scenario's or the file's; raises CallError where there is none."""
    known = saved_scenarios(config)
    found = known.get(name) or next((k for k in known.values() if k.path.stem == name), None)
    if found is None:
        raise CallError(
            f"no scenario {name}",
            expected=f"one of: {', '.join(known) or '(none saved)'}",
            next_step="correct the name, or write one with `finops scenario new`",
        )
    return found


def save(
    config: Config, lake: Lake, opened: SavedScenario, text: str, *, by: str, comment: str = ""
) -> SavedScenario:  # fmt: skip
    """Write a scenario's changed text to its file, and who did it to the lake.

    Raises ConfigError for a text that is no scenario, CallError where the file is no longer as it was opened.
    """
    _named("saves a scenario", by)
    name = parse_scenario(text, name=str(opened.path), own=OwnPrices.of(config)).name
    if name != opened.name:
        raise CallError(
            f"the name {name}", expected=f"{opened.name}, as it was opened", next_step="duplicate it under the new name"
        )
    if opened.path.read_text(encoding="utf-8") != opened.text:
        raise CallError(
            f"{opened.path} has been changed by somebody else since it was opened",
            expected="the file as the form shows it",
            next_step="open the scenario again and repeat the change",
        )
    changes = differences(tomllib.loads(opened.text, parse_float=Decimal), tomllib.loads(text, parse_float=Decimal))
    _write(opened.path, text)
    saved = SavedScenario(name, opened.path, text)
    _record(lake, saved, SAVED, by, comment, detail="; ".join(changes[WORDS]) or "nothing differs", before=opened.text)
    return saved


def duplicate(config: Config, lake: Lake, source: SavedScenario, name: str, *, by: str) -> SavedScenario:
    """Write a copy of a scenario under another name; raises CallError for a name that is taken or no name."""
    _named("duplicates a scenario", by)
    path = config.scenarios / f"{name}.toml"
    if _NAME.fullmatch(name) is None:
        raise CallError(
            f"the name {name!r}", expected="letters, digits, '.', '_' and '-'", next_step="choose another name"
        )
    if path.exists() or name in saved_scenarios(config):
        raise CallError(f"{name} exists", expected="a name that is not taken", next_step="choose another name")
    copied = SavedScenario(name, path, edited(source.text, {("name",): name}))
    parse_scenario(copied.text, name=str(path), own=OwnPrices.of(config))
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, copied.text)
    _record(lake, copied, DUPLICATED, by, "", detail=f"from {source.name}")
    return copied


def _name_in(text: str) -> str | None:
    try:
        name = tomllib.loads(text).get("name")
    except tomllib.TOMLDecodeError:
        return None
    return name if isinstance(name, str) else None


def _write(path: Path, text: str) -> None:
    """All of the text or none of it, whatever happens meanwhile."""
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


# ------------------------------------------------------------------------------------------------------------ approval
def digest_of(config: Config, scenario: SavedScenario) -> str:
    """The fingerprint of everything a plan is made from: the file with the prices that it selects today."""
    return parse_scenario(scenario.text, name=str(scenario.path), own=OwnPrices.of(config)).digest


def approve(
    config: Config, lake: Lake, scenario: SavedScenario, *, by: str, comment: str = ""
) -> Approval:  # fmt: skip
    """Approve the newest plan of a scenario, and keep who, when, why and the fingerprint of what was approved.

    Raises CallError where there is no plan, or the plan is not that of the scenario and prices as they are now.
    """
    _named("approves a plan", by)
    plan, digest = _newest_plan(lake, scenario.name), digest_of(config, scenario)
    solve = f"solve it: `finops optimize {scenario.name}`"
    if plan is None or plan["cost"] is None:
        raise CallError(f"{scenario.name} has no plan", expected="a plan to approve", next_step=solve)
    if plan["digest"] != digest:
        raise CallError(
            f"the plan of {scenario.name} was made before its inputs or prices changed",
            expected="a plan of the scenario as it is now",
            next_step=solve,
        )
    detail = f"{plan['cost']:,.2f} {plan['currency']}"
    at = _record(lake, scenario, APPROVED, by, comment, detail=detail, digest=digest, plan_id=plan["plan_id"])
    return Approval(by, at, comment, digest, plan["plan_id"], None)


def approval(config: Config, lake: Lake, name: str, *, digest: str | None = None) -> Approval | None:
    """The newest approval of a scenario and whether it still holds; None where nobody has approved any plan.

    It is void once the inputs, the prices that they select or the plan have become others. digest: that of the
    scenario as it is now, where it is known already.
    """
    events = lake.scan("scenario_audit").filter(scenario=name, action=APPROVED).sort("at").tail(1).collect()
    if events.is_empty():
        return None
    found = events.row(0, named=True)
    return Approval(
        found["actor"], found["at"], found["comment"], found["digest"], found["plan_id"],
        _void(config, lake, name, found, digest),
    )  # fmt: skip


def standing_words(found: Approval) -> str:
    """Who approved and when, and whether that holds."""
    text = f"approved by {found.by} on {found.at:%-d %B %Y, %H:%M} UTC"
    return text if found.void is None else f"{text}; void: {found.void}"


def _void(config: Config, lake: Lake, name: str, event: dict[str, Any], digest: str | None) -> str | None:
    scenario = saved_scenarios(config).get(name)
    if scenario is None:
        return "the scenario's file is gone"
    if (digest or digest_of(config, scenario)) != event["digest"]:
        return "the scenario or a price that it uses has changed since"
    plan = _newest_plan(lake, name)
    if plan is not None and plan["plan_id"] != event["plan_id"]:
        same = plan["decided"] == _decided(_plan_row(lake, event["plan_id"]))
        return None if same else "another plan has been made since"
    return None


def _newest_plan(lake: Lake, name: str) -> dict[str, Any] | None:
    rows = lake.scan("plans").filter(scenario=name).sort("made_at").tail(1).collect().to_dicts()
    if not rows:
        return None
    body = _body(rows[0])
    return {**rows[0], "digest": body["digest"], "decided": _decided(rows[0])}


def _plan_row(lake: Lake, plan_id: str) -> dict[str, Any]:
    return lake.scan("plans").filter(plan_id=plan_id).collect().row(0, named=True)


def _decided(row: dict[str, Any]) -> tuple[Any, ...]:
    """What a plan decides: what is bought and promised when, what moves, and what it costs."""
    body = _body(row)
    return (row["cost"], *(body.get(part) for part in ("purchases", "promises", "moves")))


def _body(row: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(row["body"])
    return body


# --------------------------------------------------------------------------------------------------------- audit trail
def history(lake: Lake, name: str) -> pl.DataFrame:
    """What happened to a scenario, the newest first: at, action, actor, version, comment, detail, digest, plan_id."""
    columns = ("at", "action", "actor", "version", "comment", "detail", "digest", "plan_id")
    events = lake.scan("scenario_audit").filter(scenario=name).select(columns).collect()
    planned = lake.scan("plans").filter(scenario=name).collect()
    plans = [
        {
            "at": row["made_at"],
            "action": PLANNED,
            "detail": row["status"]
            if row["cost"] is None
            else f"{row['cost']:,.2f} {row['currency']}, {row['status']}",
            "digest": _body(row)["digest"],
            "plan_id": row["plan_id"],
        }
        for row in planned.to_dicts()
    ]
    made = pl.DataFrame([{c: p.get(c) for c in columns} for p in plans], schema=events.schema)
    return pl.concat([events, made]).sort("at", descending=True)


@again_on_conflict
def _record(
    lake: Lake, scenario: SavedScenario, action: str, by: str, comment: str, *, detail: str,
    digest: str | None = None, plan_id: str | None = None, before: str | None = None,
) -> datetime:  # fmt: skip
    """Keep an event, and the scenario's text where it is not the newest version already.

    before: the text that was there, kept as a version of its own where nobody has kept it yet.
    """
    at = datetime.now(UTC)
    with lake.transaction(f"scenario {action}") as transaction:
        kept = transaction.scan("scenarios").filter(name=scenario.name).sort("version").collect()
        version, newest = (kept["version"][-1], kept["body"][-1]) if len(kept) else (0, None)
        new: list[dict[str, Any]] = []
        for author, text in ((None, before), (by, scenario.text)):
            if text is not None and text != newest:
                version, newest = version + 1, text
                new.append({"name": scenario.name, "version": version, "author": author, "saved_at": at, "body": text})
        if new:
            transaction.append("scenarios", pl.DataFrame(new, schema=s.TABLES["scenarios"].columns))
        event = {
            "event_id": f"{at:%Y%m%dT%H%M%S%f}-{secrets.token_hex(3)}", "scenario": scenario.name, "action": action,
            "actor": by.strip(), "at": at, "version": version, "digest": digest, "plan_id": plan_id,
            "comment": comment.strip(), "detail": detail,
        }  # fmt: skip
        transaction.append("scenario_audit", pl.DataFrame([event], schema=s.TABLES["scenario_audit"].columns))
    return at


def _named(what: str, by: str) -> None:
    if not by.strip():
        raise CallError(f"nobody who {what}", expected="a name", next_step="say who you are")
