"""The demo company's finops.toml."""

from pathlib import Path
from typing import Final

from connectors.demo import anthropic, aws, azure, finance, gateways, gcp, gpu_usage, ledger, openai
from connectors.demo.api_plan import ANTHROPIC, OPENAI, ORGANIZATIONS
from connectors.demo.company import NAME, Calendar, month_before
from connectors.demo.incidents import price_change_day
from finops.config import FILE_NAME
from finops.errors import CallError

MARK: Final = f"# finops.toml of the demo company {NAME}"
SCENARIO: Final = Path("scenarios/hosting.toml")
"""The placement scenario that a run solves; it is made from the lake after the first ingest."""

_TEMPLATE: Final = """\
{mark}. Written by `finops demo`, which replaces it; copy it to start your own.

[company]
name = "{name}"
currency = "USD"
countries = ["DE", "US"]        # whose public holidays forecasts know

# ---------------------------------------------------------------- bills and ledgers, each read whole month by month
[[sources]]
id = "aws"                      # Data Exports, FOCUS 1.2 with AWS columns, Parquet
connector = "focus"
path = "{aws}"

[[sources]]
id = "azure"                    # Cost Management, FocusCost 1.2, gzipped CSV, the newest run of each month
connector = "azure"
path = "{azure}"

[[sources]]
id = "gcp"                      # Cloud Billing, detailed usage cost, lines of JSON
connector = "gcp"
path = "{gcp}"

[[sources]]
id = "openai"                   # what OpenAI bills, and the tokens behind it
connector = "openai"
path = "{openai}"
options = {{ organization = "{openai_org}" }}

[[sources]]
id = "anthropic"                # what Anthropic bills, and the tokens behind it
connector = "anthropic"
path = "{anthropic}"
options = {{ organization = "{anthropic_org}" }}

[[sources]]
id = "litellm"                  # who asks OpenAI with the gateway's one key: divides that key's bill, adds nothing
connector = "litellm"
path = "{litellm}"
splits = {{ source = "openai", key = "{gateway_key}" }}

[[sources]]
id = "gateway"                  # own models and others behind the company's own gateway: tokens without a bill
connector = "usage_csv"
path = "{gateway}"

[[sources]]
id = "on_prem"                  # servers in Frankfurt, Ashburn and Venlo
connector = "on_prem"
path = "{on_prem}"

[[sources]]
id = "gpus"                     # how busy the accelerators were: costs nothing, and right-sizing rests on it
connector = "gpu_usage"
path = "{gpus}"

# ---------------------------------------------------------------- what finance keeps
[tables]
{tables}

[prices]
tokens = ["{prices}"]   # what the platform team charges for its own model

# ---------------------------------------------------------------- who owns a charge: AWS and Azure grew their own keys,
# and labels of Google Cloud name no team: the mappings do
[tags]
team = ["team"]
use_case = ["use_case", "application"]
cost_center = ["cost_center", "costcenter"]
environment = ["environment", "env"]
purpose = ["purpose"]

[alerts]
warn_ratio = 0.05               # 5 % over budget warns
breach_ratio = 0.10             # 10 % over budget is a breach

[forecast]
horizon_days = 90
groupings = [["purpose"], ["driver"], ["provider"], ["team"]]
cost = "effective"

# ---------------------------------------------------------------- what is known to move cost, and when
[[events]]
date = {answers}
kind = "launch"
name = "Search answers go live"
where = {{ use_case = "search-answers" }}

[[events]]
date = {savings_plan}
kind = "commitment"
name = "Compute Savings Plan renewed, larger"
where = {{ provider = "AWS" }}

[[events]]
date = {price}
kind = "price_change"
name = "Azure OpenAI raises one input price by a quarter"
where = {{ use_case = "contract-review" }}

[[events]]
date = {burst_first}
end = {burst_last}
kind = "other"
name = "Pre-training run of the ranking model"
where = {{ use_case = "ranking-model" }}

# ---------------------------------------------------------------- placement, solved in every run
[optimize]
scenarios = [{scenarios}]
"""


def refuse_other_homes(home: Path) -> None:
    """Raises CallError when the home is configured and not by a demo."""
    file = home / FILE_NAME
    if file.exists() and not file.read_text(encoding="utf-8").startswith(MARK):
        raise CallError(
            f"{file} is not of a demo company",
            expected="an empty home, or one that `finops demo` wrote",
            next_step="choose another folder with --home",
        )


def write(home: Path, calendar: Calendar, scenarios: tuple[Path, ...]) -> Path:
    """Write finops.toml; returns its path."""
    ago = calendar.days_before_end
    text = _TEMPLATE.format(
        mark=MARK, name=NAME, aws=aws.FOLDER.as_posix(), azure=azure.FOLDER.as_posix(),
        gcp=gcp.FOLDER.as_posix(), on_prem=ledger.FILE.as_posix(),
        gpus=gpu_usage.FOLDER.as_posix(),
        openai=openai.FOLDER.as_posix(), openai_org=ORGANIZATIONS[OPENAI], anthropic=anthropic.FOLDER.as_posix(),
        anthropic_org=ORGANIZATIONS[ANTHROPIC], litellm=gateways.LITELLM.as_posix(), gateway=gateways.LOG.as_posix(),
        gateway_key=gateways.SPLIT_KEY, prices=gateways.PRICES.as_posix(),
        tables="\n".join(f'{t} = "{(finance.FOLDER / t).as_posix()}.csv"' for t in finance.TABLES),
        answers=ago(210), savings_plan=month_before(calendar.open_month, 2), price=price_change_day(calendar),
        burst_first=ago(118), burst_last=ago(98), scenarios=", ".join(f'"{s.as_posix()}"' for s in scenarios),
    )  # fmt: skip
    path = home / FILE_NAME
    path.write_text(text, encoding="utf-8")
    return path
