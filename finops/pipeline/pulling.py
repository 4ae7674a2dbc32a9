"""Sources that are pulled from their provider's API: what the config says of them, and the pull itself."""

from collections.abc import Callable
from datetime import date

from connectors import sync
from connectors.access import Access
from connectors.keys import read_key
from connectors.registry import connector
from finops.config import Config, Source
from finops.errors import ConfigError


def pull(config: Config, source: Source, *, today: date, say: Callable[[str], None]) -> sync.Pulled:
    """Bring the source's folder up to today; raises as connectors.sync.pull and connectors.keys.read_key do."""
    return sync.pull(source, _access(source), config.files_of(source), key=_key(config, source), today=today, say=say)


def probe(config: Config, source: Source, *, today: date) -> list[sync.Probe]:
    """Whether each endpoint of the source can be read; raises as connectors.sync.probe and read_key do."""
    return sync.probe(source, _access(source), key=_key(config, source), today=today)


def _key(config: Config, source: Source) -> str:
    assert source.pull is not None, "the caller asked"
    return read_key(source.pull.key, config.home)


def _access(source: Source) -> Access:
    access: Access | None = getattr(connector(source.connector), "ACCESS", None)
    if access is None:
        raise ConfigError(
            f"{source.id} is to be pulled, but {source.connector} has no API that is known here",
            expected="a `path` to its files",
            next_step="replace `pull` of the source by `path` in finops.toml",
        )
    return access
