"""Sources that are fetched from Azure: an export, Cost Management's query, the invoices."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

from connectors.access import Window
from connectors.azure import cost_query, exports, invoices
from connectors.azure.api import PATIENT, PROBED, Api
from connectors.azure.session import credential
from connectors.http import Patience
from connectors.sync import Probe
from finops.config import Azure, Config, Source
from finops.pipeline.pulling import alone


def pull(
    config: Config, source: Source, azure: Azure, folder: Path, *, today: date, say: Callable[[str], None]
) -> None:
    """Bring the source's folder up to today; raises as `deliveries.pull`, `cost_query.pull`, `invoices.pull` do."""
    if azure.export:
        exports.pull(source, folder, home=config.home, today=today, say=say)
    if not (azure.cost_management or azure.invoices):
        return
    api = _api(config, source, azure, say=say)
    with alone(source, folder, "Azure"):
        if azure.cost_management:
            cost_query.pull(api, folder, _asked(azure), source_id=source.id, today=today, say=say)
        if azure.invoices:
            count = invoices.pull(api, folder, scope=str(azure.scope), since=azure.since, today=today)
            say(f"{source.id}: {count} invoice(s) of Azure")


def probe(config: Config, source: Source, azure: Azure, *, today: date) -> list[Probe]:
    """Whether the export, yesterday's total and this month's invoices can be read, where the source names them."""
    found = exports.probe(source, home=config.home) if azure.export else []
    if not (azure.cost_management or azure.invoices):
        return found
    api = _api(config, source, azure, say=lambda _: None, patience=PROBED)
    if azure.cost_management:
        asked = _asked(azure)
        body = cost_query.Question("actual").body(Window(today - timedelta(days=1), today))
        found.append(api.probe("Cost Management", "POST", asked.link, body, asked.needs))
    if azure.invoices:
        link = invoices.link(str(azure.scope), today.replace(day=1), today)
        found.append(api.probe("invoices", "GET", link, None, invoices.needs(str(azure.scope))))
    return found


def _asked(azure: Azure) -> cost_query.Asked:
    assert azure.cost_management is not None, "the caller asked"
    return cost_query.Asked(str(azure.scope), azure.since, azure.cost_management)


def _api(
    config: Config, source: Source, azure: Azure, *, say: Callable[[str], None], patience: Patience = PATIENT
) -> Api:
    identity = credential(azure, config.home)
    return Api(azure.url, identity, who=source.id, say=say, patience=patience, caller=azure.client_id)
