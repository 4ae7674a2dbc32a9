"""The rules that classify charges, as records: what a rule may say, and how rule files are read and checked."""

import csv
import hashlib
import re
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Final, Literal

import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from finops import schema as s
from finops.errors import ConfigError

FIELDS: Final = {
    "provider": s.SERVICE_PROVIDER_NAME,
    "host": s.HOST_PROVIDER_NAME,
    "issuer": s.INVOICE_ISSUER_NAME,
    "service": s.SERVICE_NAME,
    "service_category": s.SERVICE_CATEGORY,
    "service_subcategory": s.SERVICE_SUBCATEGORY,
    "sku": s.SKU_ID,
    "meter": s.SKU_METER,
    "usage_type": s.USAGE_TYPE,
    "instance_type": s.INSTANCE_TYPE,
    "description": s.CHARGE_DESCRIPTION,
    "resource_type": s.RESOURCE_TYPE,
    "category": s.CHARGE_CATEGORY,
    "pricing_category": s.PRICING_CATEGORY,
    "consumed_unit": s.CONSUMED_UNIT,
    "pricing_unit": s.PRICING_UNIT,
    "accelerator": s.ACCELERATOR_MODEL,
    "model": s.MODEL_ID,
    "hosting": s.HOSTING,
    "driver": s.DRIVER,
}
"""What a rule may match on, and the column that it reads; `text`, `purpose`, `tag.<key>` and `column.<name>` too."""
TEXT: Final = "text"
"""Meter, usage type, description and SKU in one text, for words that providers write in any of them."""
PURPOSE: Final = "purpose"
"""Training, inference, ... as the purpose tag or the mapping file says."""

_CAPTURES: Final = frozenset({"instance_type", "accelerator_count", "model", "service_tier", "tokens_per_block"})
"""Named groups of a fact's patterns that are read from the charge."""


def _pattern(value: str) -> str:
    try:
        pl.Series([""]).str.contains(f"(?i){value}")
    except pl.exceptions.ComputeError as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from error
    return value


def _field(value: str) -> str:
    if value in FIELDS or value in (TEXT, PURPOSE) or re.fullmatch(r"(tag|column)\..+", value):
        return value
    raise ValueError(f"{value!r} is no field; fields are {', '.join((*FIELDS, TEXT, PURPOSE))}, tag.KEY, column.NAME")


Pattern = Annotated[str, AfterValidator(_pattern)]
Patterns = dict[Annotated[str, AfterValidator(_field)], Pattern]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FactValues(_Record):
    """What a fact says about a charge."""

    instance_type: str | None = None
    accelerator: str | None = None
    accelerator_count: Decimal | None = None
    counts_time: bool | None = None
    """False where the quantity is hours of something else than the accelerators: cores, memory, a licence."""
    model: str | None = None
    token_direction: Literal["Input", "Output"] | None = None
    token_cache_action: Literal["Uncached", "Read", "Write", "Other"] | None = None
    tokens_per_unit: Decimal | None = None
    """Tokens in one consumed unit, for meters whose unit does not say so."""
    tokens_per_block: Decimal | None = None
    """Tokens in one pricing unit, where the source states its block size and its units say nothing."""
    service_tier: str | None = None


class RuleValues(_Record):
    """What a rule decides."""

    is_ai: bool = True
    driver: s.Driver
    hosting: s.Hosting | None = None
    purpose: s.Purpose | None = None


class _Match(_Record):
    id: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9._-]*$")]
    why: str
    when: Patterns = {}
    """Field -> regular expression (Rust syntax, any case, found anywhere); every one must be found."""
    unless: Patterns = {}
    """Field -> regular expression; none may be found."""


class Fact(_Match):
    """Something read off a charge before rules decide; per value, the first fact that knows it wins."""

    set: FactValues = FactValues()

    def captures(self) -> dict[str, tuple[str, str]]:
        """Value -> (field, pattern) of the named groups that are read."""
        return {
            group: (name, pattern)
            for name, pattern in self.when.items()
            for group in re.findall(r"\(\?P?<(\w+)>", pattern)
            if group in _CAPTURES
        }


class Rule(_Match):
    """A decision: the first rule that matches a charge wins."""

    set: RuleValues


class ModelName(_Record):
    """How bills write a family of models: named groups of the pattern fill the templates."""

    pattern: str
    developer: str
    family: str
    id: str
    version: str = ""

    @model_validator(mode="after")
    def _groups_are_there(self) -> "ModelName":
        try:
            groups = re.compile(self.pattern).groupindex
        except re.error as error:
            raise ValueError(f"{self.pattern!r} is not a regular expression: {error}") from error
        for template in (self.family, self.id, self.version):
            for _, name, _, _ in Formatter().parse(template):
                if name is not None and name not in spellings(dict.fromkeys(groups, "")):
                    raise ValueError(f"{template!r} uses {name!r}, which is no named group of the pattern")
        return self


def spellings(groups: dict[str, str]) -> dict[str, str]:
    """Each group of a model's pattern as it is, with hyphens, with dots, and as a title."""
    dashed = {f"{name}_dashed": text.replace(".", "-") for name, text in groups.items()}
    dotted = {f"{name}_dotted": text.replace("-", ".") for name, text in groups.items()}
    return groups | dashed | dotted | {f"{name}_title": text.replace("-", " ").title() for name, text in groups.items()}


class AccountName(_Record):
    """A naming habit of sub-accounts that tells the team (named group `team`) and the environment."""

    pattern: Pattern


@dataclass(frozen=True)
class Accelerator:
    """What a machine of one instance type holds."""

    model: str
    count: Decimal


@dataclass(frozen=True)
class Rules:
    """Everything that classification needs to know, and the digest of all of it."""

    facts: tuple[Fact, ...]
    rules: tuple[Rule, ...]
    models: tuple[ModelName, ...]
    account_names: tuple[AccountName, ...]
    purposes: dict[str, str]
    suspect_words: str
    accelerators: dict[str, Accelerator]
    digest: str

    def extra_fields(self) -> tuple[str, ...]:
        """The tags and source columns (`tag.KEY`, `column.NAME`) that some rule names."""
        named = {name for match in (*self.facts, *self.rules) for name in (*match.when, *match.unless)}
        return tuple(sorted(name for name in named if name.startswith(("tag.", "column."))))


class _File(_Record):
    fact: tuple[Fact, ...] = ()
    rule: tuple[Rule, ...] = ()
    model: tuple[ModelName, ...] = ()
    account_name: tuple[AccountName, ...] = ()
    purposes: dict[str, Literal["training", "fine_tuning", "inference", "development", "shared"]] = {}
    suspect_words: Pattern | None = None


def load_rules(extra: tuple[Path, ...] = ()) -> Rules:
    """The user's rule files, in their order, before the shipped ones.

    Raises ConfigError that names file, rule and key for anything that a rule file cannot say, for a rule id that is
    used twice, and for a file that cannot be read.
    """
    data = files("finops") / "data"
    texts = [(path, _read(path)) for path in extra]
    texts += [
        (Path(name), (data / name).read_text(encoding="utf-8")) for name in ("classification.toml", "models.toml")
    ]
    table = (data / "accelerators.csv").read_text(encoding="utf-8")
    parsed = [_parsed(path, text) for path, text in texts]
    _refuse_repeated_ids([(path, m.id) for (path, _), f in zip(texts, parsed, strict=True) for m in (*f.fact, *f.rule)])
    purposes: dict[str, str] = {}
    for file in parsed:
        purposes = {**{word.lower(): purpose for word, purpose in file.purposes.items()}, **purposes}
    return Rules(
        facts=tuple(fact for file in parsed for fact in file.fact),
        rules=tuple(rule for file in parsed for rule in file.rule),
        models=tuple(model for file in parsed for model in file.model),
        account_names=tuple(name for file in parsed for name in file.account_name),
        purposes=purposes,
        suspect_words=next(file.suspect_words for file in parsed if file.suspect_words),
        accelerators=_accelerators(table),
        digest=hashlib.sha256("\0".join([*(text for _, text in texts), table]).encode()).hexdigest(),
    )


def machine(instance_type: str) -> str:
    """An instance type in the one spelling that the accelerator table is looked up by.

    `Standard_ND96isr_H100_v5`, `ND96isr H100 v5 Spot` and `nd96isr_h100_v5` are one machine, and so are `ml.g5.xlarge`
    and `g5.xlarge`.
    """
    name = re.sub(r"[\s_]+", "_", instance_type.strip().lower())
    return re.sub(r"^(standard_|ml\.)|_(spot|low_priority)$", "", name)


def _accelerators(table: str) -> dict[str, Accelerator]:
    return {
        machine(row["instance_type"]): Accelerator(row["accelerator"], Decimal(row["accelerator_count"]))
        for row in csv.DictReader(table.splitlines())
    }


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the rule file {path} cannot be read: {error}",
            expected="a TOML file in UTF-8",
            next_step="correct `rules` under [classification] in finops.toml",
        ) from error


def _parsed(path: Path, text: str) -> _File:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{path} is not valid TOML: {error}",
            expected="TOML 1.0: [[fact]] and [[rule]] tables",
            next_step="correct that line",
        ) from error
    try:
        return _File.model_validate(content)
    except ValidationError as error:
        raise ConfigError(
            f"{path}: " + "; ".join(_problem(content, dict(e)) for e in error.errors()),
            expected="rules as docs/classification.md describes them",
            next_step="correct or remove these keys",
        ) from error


def _problem(content: dict[str, Any], error: dict[str, Any]) -> str:
    """One wrong key as 'rule my-rule, set.driver: ...'."""
    table, *rest = error["loc"]
    where = str(table)
    if rest and isinstance(rest[0], int):
        entry = content[table][rest[0]]
        name = entry.get("pattern", entry.get("id")) if isinstance(entry, dict) else None
        where, rest = f"{table} {name or rest[0] + 1}", rest[1:]
    key = ".".join(str(part) for part in rest if part != "[key]")
    what = "this key is not known" if error["type"] == "extra_forbidden" else error["msg"].removeprefix("Value error, ")
    return f"{where}, {key}: {what}" if key else f"{where}: {what}"


def _refuse_repeated_ids(ids: list[tuple[Path, str]]) -> None:
    seen: dict[str, Path] = {}
    for path, rule_id in ids:
        if rule_id in seen:
            raise ConfigError(
                f"{path} has the rule id {rule_id!r}, which {seen[rule_id]} has too",
                expected="ids that are used once: they say who decided",
                next_step="rename the rule; to overrule a shipped rule give yours an id of its own",
            )
        seen[rule_id] = path
