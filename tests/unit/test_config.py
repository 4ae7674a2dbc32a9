"""finops.toml: strict, frozen, and documented by the file that `finops init` writes."""

import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from pydantic import ValidationError

from finops.config import Config, load_config
from finops.errors import ConfigError
from finops.pipeline.setup import init

EVENT = "[[events]]\ndate = 2026-10-01\nname = 'e'\n"


def test_without_a_file_the_defaults_apply(home: Path) -> None:
    """A home without finops.toml needs no init."""
    assert load_config(home) == Config(home=home)


def test_the_template_is_valid_and_changes_nothing(home: Path) -> None:
    """The commented template loads, and with its comments as they are it is the default config."""
    init(home)
    assert load_config(home) == Config(home=home)
    with pytest.raises(ConfigError, match="exists already"):
        init(home)


def test_every_setting_of_the_template_is_real(home: Path) -> None:
    """With every comment sign of a setting removed, the template still loads: no setting in it is made up."""
    template = (files("finops") / "data" / "finops.toml").read_text()
    setting = re.compile(r"^# (?=\[|[a-z_]+ = )", re.MULTILINE)
    home.mkdir()
    (home / "finops.toml").write_text(setting.sub("", template))
    loaded = load_config(home)
    assert {s.id for s in loaded.sources} == {"aws", "aws-bill", "azure-bill", "gcp-bill", "gpus", "openai", "litellm"}
    assert loaded.events[0].where == {"provider": "AWS"}
    stated = tomllib.loads(setting.sub("", template))
    assert set(stated) == set(Config.model_fields) - {"home"}
    for section in ("alerts", "tags"):
        assert loaded.model_dump()[section] == Config(home=home).model_dump()[section], "the template states defaults"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[company]\ncurency = 'USD'", "company.curency: this key is not known"),
        ("[company]\ncurrency = 'dollars'", "company.currency"),
        (
            "[[sources]]\nid = 'a'\nconnector = 'focus'",
            "sources.0: Value error, needs a path, pull or one of aws, azure, gcp",
        ),
        (
            "[[sources]]\nid = 'a'\nconnector = 'openai'\npull = {since = 2026-01-01, key = {}}",
            "name one of env, file and",
        ),
        ("[alerts]\nwarn_ratio = -1", r"alerts.warn_ratio.*found -1"),
        ("[forecast]\ncost = 'gross'", "forecast.cost"),
        ("[company]\ncountries = ['Germany']", "the public holidays of Germany are not known"),
        (EVENT + "kind = 'launch'\nend = 2026-09-01", "it ends on 2026-09-01, before it begins"),
        (EVENT + "kind = 'launch'\nratio = 0", "events.0.ratio.*found 0"),
        (EVENT + "kind = 'launch'\nratio = 2\namount = 5", "give one of them"),
        (EVENT + "kind = 'planned_run'\nratio = 2", "a ratio says nothing of the kind planned_run"),
        (EVENT + "kind = 'price_change'\namount = 5", "an amount says nothing of the kind price_change"),
        (EVENT + "kind = 'launch'\nwhere = { squad = 'a' }", "no dimension squad"),
        ("[x", "is not valid TOML"),
    ],
)
def test_a_wrong_setting_is_named(home: Path, text: str, message: str) -> None:
    """The message names the key, and what is wrong with it."""
    home.mkdir()
    (home / "finops.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(home)


def test_a_config_cannot_be_changed(config: Config) -> None:
    """Config records are frozen."""
    with pytest.raises(ValidationError):
        config.company = config.company  # type: ignore[misc]
