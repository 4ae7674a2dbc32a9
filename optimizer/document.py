"""Scenario files: TOML in, a resolved scenario out, with every mistake named where it stands."""

import re
import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from finops.errors import ConfigError
from finops.prices import OwnPrices
from optimizer.demand import with_demand_scenarios
from optimizer.findings import refuse_unaccepted
from optimizer.offers import SHIPPED, Selection, selected_options
from optimizer.options import Option, Price, Record
from optimizer.scenario import Scenario
from optimizer.throughput import load_throughputs, with_throughputs

LISTS = ("workloads", "options", "sites", "load_blocks", "demand_scenarios", "price_book", "fx_rates")


class WrongSettings(ConfigError):
    """Settings of a scenario that are wrong; problems: each by itself, where it is and then what is wrong with it."""

    problems: tuple[str, ...] = ()


class ScenarioRate(Record):
    """One unit of base costs `rate` units of quote."""

    base: str
    quote: str
    rate: Annotated[Decimal, Field(gt=0)]
    source: Annotated[str, Field(min_length=1)]
    date: date


class _Offered(Record):
    """The parts of a file that become the scenario's options."""

    options: tuple[Option, ...] = ()
    price_book: tuple[Selection, ...] = ()
    fx_rates: tuple[ScenarioRate, ...] = ()
    throughputs: tuple[Path, ...] = ()
    """CSV files with one's own throughputs, beside the scenario."""


def load_scenario(file: Path, own: OwnPrices = SHIPPED) -> Scenario:
    """The scenario of a TOML file: its own options, then those it selects from the price book, in its currency.

    Raises ConfigError for a file that is missing or no TOML, a key that is not known, a value out of range, parts
    that do not fit together, or a price in a currency that no fx_rates row converts.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read ({error.strerror})",
            expected="a scenario file",
            next_step="correct the path, or write one with `finops scenario new`",
        ) from error
    return parse_scenario(text, name=str(file), own=own)


def parse_scenario(text: str, *, name: str, own: OwnPrices = SHIPPED) -> Scenario:
    """The scenario of a TOML text; see `load_scenario`. name: what errors call it. own: prices beside the shipped."""
    try:
        document = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{name} is not valid TOML: {error}",
            expected="TOML 1.0 in UTF-8",
            next_step="correct that line; `finops scenario new` writes a commented example",
        ) from error
    content = dict(document)
    try:
        offered = _Offered.model_validate({key: content.pop(key) for key in _Offered.model_fields if key in content})
        picked = {
            o.name: o
            for selection in offered.price_book
            for o in selected_options(selection, own, start=_month(content.get("start")))
        }
        currency = str(content.get("currency", "USD"))
        options = [_in_currency(o, currency, offered.fx_rates) for o in (*offered.options, *picked.values())]
        scenario = Scenario.model_validate({**content, "options": options})
    except ValidationError as error:
        problems = [_problem(document, e) for e in error.errors()]
        wrong = WrongSettings(
            f"{name} has {len(problems)} wrong setting(s): " + "; ".join(problems),
            expected="the settings of a scenario: " + ", ".join({**Scenario.model_fields, **_Offered.model_fields}),
            next_step="correct or remove them; `finops scenario new` writes a commented example",
        )
        wrong.problems = tuple(problems)
        raise wrong from error
    tables = load_throughputs(Path(name).parent / path for path in offered.throughputs)
    complete = with_demand_scenarios(with_throughputs(scenario, tables))
    refuse_unaccepted(complete, name, own)
    return complete


def _month(start: object) -> str | None:
    """The start where it is a month; where it is not, the scenario itself says so."""
    return start if isinstance(start, str) and re.fullmatch(r"\d{4}-\d{2}", start) else None


def _in_currency(option: Any, currency: str, rates: tuple[ScenarioRate, ...]) -> Any:
    """The option with its price in the scenario's currency where a rate converts it.

    Only the price is in the price's currency; the other amounts of an option are stated in the scenario's.
    """
    base = option.price.currency
    rate = next((r for r in rates if (r.base, r.quote) == (base, currency)), None)
    if rate is None:
        return option
    price: Price = option.price
    source = f"{price.source}; {rate.base} at {rate.rate} {rate.quote} ({rate.source}, {rate.date})"
    converted = price.model_copy(update={"amount": price.amount * rate.rate, "currency": currency, "source": source})
    return option.model_copy(update={"price": converted})


def _problem(content: dict[str, Any], error: Any) -> str:
    """One validation error with the name of the workload or option it is in, not its number."""
    path = [str(part) for part in error["loc"]]
    if len(error["loc"]) > 1 and error["loc"][0] in LISTS and isinstance(error["loc"][1], int):
        entry = content[path[0]][error["loc"][1]]
        path[1] = str(entry.get("name", path[1])) if isinstance(entry, dict) else path[1]
        if error["loc"][0] == "options":
            path = [*path[:2], *path[3:]]  # pydantic puts the kind of the option third
    where = ".".join(path)
    if error["type"] == "extra_forbidden":
        return f"{where}: this key is not known"
    if error["type"] == "missing":
        return f"{where}: this key is missing"
    message = error["msg"].removeprefix("Value error, ")
    found = error["input"]
    plain = "" if isinstance(found, dict | list) or error["type"] == "value_error" else f" (found {found!r})"
    return f"{where}: {message}{plain}" if where else f"{message}{plain}"
