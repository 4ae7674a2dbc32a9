"""Every page in every state, driven without a browser."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from finops import schema as s
from finops.config import load_config
from finops.pipeline.daily import spend_daily
from finops.pipeline.placement import store_plans
from finops.store import Lake
from optimizer.document import parse_scenario
from optimizer.placement import place
from optimizer.solve import Settings
from reports.screens import explore, filters
from reports.screens import tokens as tokens_page
from reports.screens.frame import SCREENS
from reports.views.charges import PAGE_ROWS, all_charges, charges
from reports.views.scope import Scope
from reports.views.spend import spend, spend_in, summed
from tests.app.conftest import SCENARIO, fill
from tests.app.conftest import charges as bills

ROOT = Path(__file__).parents[2]
QUESTIONS = {
    "overview": "What are we spending on AI?",
    "explore": "Where does the money go?",
    "variance": "Why did the cost change?",
    "anomalies": "What was unusual?",
    "tokens": "What do our tokens cost, and why did it change?",
    "forecast": "Where will the month land?",
    "what-ifs": "What if it went otherwise?",
    "scenarios": "Where should it run?",
    "data": "Can I trust these figures?",
}
Open = Callable[..., AppTest]


def _page(home: str, screen: str) -> None:
    from pathlib import Path

    from reports.screens.frame import screens

    screens(Path(home))[screen]()


def opened(home: Path, screen: str, **state: object) -> AppTest:
    """One page of a home after its first run, with session state set before it."""
    app = AppTest.from_function(_page, args=(str(home), screen), default_timeout=30)
    for key, value in state.items():
        app.session_state[key] = value
    return app.run()


def words(app: AppTest) -> str:
    """All text of a page."""
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.info, app.code)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def table(app: AppTest, *columns: str) -> Any:
    """The rows of the first table that has these columns, as a browser gets them."""
    return next(frame.value for frame in app.dataframe if {*columns} <= {*frame.value.columns})


# --- every page
@pytest.mark.parametrize("screen", SCREENS)
def test_a_page_opens_with_its_question(company: Path, screen: str) -> None:
    """Each page states its one question and draws without an error."""
    app = opened(company, screen)
    assert not app.exception
    assert app.title[0].value == QUESTIONS[screen]


@pytest.mark.parametrize("screen", SCREENS)
def test_an_empty_home_names_the_command(tmp_path: Path, screen: str) -> None:
    """Without a bill each page says what would be here and the one command that brings it."""
    app = opened(tmp_path, screen)
    assert not app.exception
    assert app.title[0].value == "No bills yet"
    assert [c.value for c in app.code] == ["finops demo"]


@pytest.mark.parametrize("screen", SCREENS)
def test_a_wrong_config_says_what_it_means(tmp_path: Path, screen: str) -> None:
    """A page that cannot be drawn says what happened, what it means, and what to do."""
    (tmp_path / "finops.toml").write_text("[company]\ncolour = 1\n")
    app = opened(tmp_path, screen)
    assert not app.exception
    text = words(app)
    assert "company.colour: this key is not known" in text
    assert "**What it means:**" in text
    assert "**What to do:** correct or remove them" in text


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_bytes(b"torn")], ids=["gone", "torn"])
def test_a_damaged_lake_is_said_in_words(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    """A lake whose files are gone or torn gives an error that says so, not a page of wrong figures."""
    home = fill(tmp_path / "home")
    for file in (home / "lake" / "spend_daily").rglob("*.parquet"):
        damage(file)
    app = opened(home, "overview")
    assert not app.exception
    assert "the lake of" in words(app)
    assert "could not be read" in words(app)


@pytest.mark.parametrize("screen", SCREENS)
def test_the_manual_names_each_page(screen: str) -> None:
    """docs/app.md lists every page by its name and its question."""
    assert f"| {SCREENS[screen][0]} | {QUESTIONS[screen]} |" in (ROOT / "docs" / "app.md").read_text()


def test_the_app_serves_the_home_of_the_environment(at_home: Path) -> None:
    """app.py opens the overview of the home that FINOPS_HOME names."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30).run()
    assert not app.exception
    assert app.title[0].value == QUESTIONS["overview"]


@pytest.mark.parametrize("screen", ["anomalies", "forecast", "what-ifs", "scenarios"])
def test_a_part_without_data_names_its_command(bills_only: Path, screen: str) -> None:
    """With bills but no anomalies, forecasts and plans, their pages say which command makes them."""
    app = opened(bills_only, screen)
    assert not app.exception
    command = {
        "anomalies": "finops anomalies", "forecast": "finops forecast", "what-ifs": "finops run",
        "scenarios": "finops scenario new",
    }[screen]  # fmt: skip
    assert [c.value for c in app.code] == [command]


# --- overview
def test_the_overview_shows_what_the_command_says(company: Path) -> None:
    """The page's total is that of `finops spend` for the same period and filters, to the cent."""
    lake = Lake.of(load_config(company))
    app = opened(company, "overview")
    total = summed(spend(lake, where={"is_ai": True, "period": "2026-10"}).totals)
    assert f"**Total: {total:,.2f} USD**" in words(app)
    assert round(Decimal(str(table(app, "value", "prior")["cost"].sum())), 2) == round(total, 2)
    assert app.subheader[0].value.startswith("October 2026: 1.16 M USD, 48 % over budget, up 10 % on September 2026")


def test_filters_and_chips_say_the_same(company: Path) -> None:
    """A filter narrows the figures and shows as a chip, and the chip takes it off again."""
    app = opened(company, "overview")
    before = app.metric[0].value
    app.multiselect(key="f_team").select("Search").run()
    assert app.metric[0].value == "279 k" != before
    chip = next(b for b in app.button if b.label == "team: Search")
    chip.click().run()
    assert app.metric[0].value == before
    assert app.multiselect(key="f_team").value == []


def test_the_period_decides_what_is_compared(company: Path) -> None:
    """Another period changes the sentence and what it is compared with."""
    app = opened(company, "overview")
    app.selectbox(key="f_period").select("quarter").run()
    assert app.subheader[0].value.startswith("August to October 2026")
    assert "on May to July 2026" in app.subheader[0].value


def test_any_days_can_be_chosen(company: Path) -> None:
    """Days of one's own choosing are summed with both ends inside, and a first click alone means one day."""
    lake = Lake.of(load_config(company))
    app = opened(company, "overview", f_period="days")
    app.date_input(key="f_days").set_value((date(2026, 9, 28), date(2026, 10, 3))).run()
    number = summed(spend(lake, where={"is_ai": True}, start=date(2026, 9, 28), end=date(2026, 10, 3)).rows)
    assert f"**Total: {number:,.2f} USD**" in words(app)
    app.date_input(key="f_days").set_value((date(2026, 9, 28),)).run()
    assert not app.exception
    assert app.subheader[0].value.startswith("28 September 2026")


def test_days_outside_every_bill_are_an_answer(company: Path) -> None:
    """A period and filters that match no charge draw, and say so, on both pages of spend."""
    state = {"f_provider": ["Own"], "f_team": ["Support"]}
    assert "0.00 USD" in opened(company, "overview", **state).subheader[0].value
    assert "No charges match these filters" in words(opened(company, "explore", **state))


def test_alerts_and_budgets_stand_on_the_overview(company: Path) -> None:
    """Open alerts and how each budget fares are on the first page."""
    app = opened(company, "overview")
    assert table(app, "message")["message"].to_list() == ["Support is over its budget"]
    assert table(app, "standing")["standing"].to_list() == ["61 % over", "48 % over", "7 % under"]


@pytest.mark.parametrize("screen", ["overview", "explore"])
def test_a_page_shows_one_currency_at_a_time(two_currencies: Path, screen: str) -> None:
    """Bills in two currencies are never added: the page shows one, and the other when it is chosen."""
    lake = Lake.of(load_config(two_currencies))
    totals = dict(spend(lake, where={"is_ai": True, "period": "2026-10"}).totals.iter_rows())
    app = opened(two_currencies, screen)
    assert f"**Total: {totals['USD']:,.2f} USD**" in words(app)
    app.selectbox(key=filters.CURRENCY).select("EUR").run()
    assert not app.exception
    assert f"**Total: {totals['EUR']:,.2f} EUR**" in words(app)


# --- explore
def test_a_number_leads_to_its_charges(company: Path) -> None:
    """From the split, through one row, to the charges: their sum is the number, and each names its file and row."""
    lake = Lake.of(load_config(company))
    app = opened(company, "explore")
    app.selectbox(key=explore.SECOND).select(s.DRIVER).run()
    row = table(app, "share").iloc[0]
    assert (row[s.TEAM], row[s.DRIVER]) == ("Support", "accelerator")
    app.selectbox(key=explore.OPEN).select_index(0).run()
    assert not app.exception
    number = summed(spend(lake, where={"team": "Support", "driver": "accelerator", "period": "2026-10"}).rows)
    assert f"The charges behind {number:,.2f} USD: team Support, driver accelerator" in words(app)
    assert f"**31 charges: {number:,.2f} USD**" in words(app)
    shown = table(app, "source_file")
    assert round(Decimal(str(shown["cost"].sum())), 2) == round(number, 2)
    assert set(shown["source_file"]) == {"aws-2026-10.csv"}
    assert set(shown["classified_by"]) == {"rule-accelerator"}


def test_a_cell_becomes_a_filter_of_every_page(company: Path) -> None:
    """Keeping a cell narrows the sidebar's filters, and the chips show it."""
    app = opened(company, "explore")
    app.selectbox(key=explore.FIRST).select(s.ACCELERATOR_MODEL).run()
    app.selectbox(key=explore.OPEN).select_index(1).run()
    app.button(key="explore_keep").click().run()
    assert "accelerator: H100-80GB" in [b.label for b in app.button]
    assert app.session_state[filters.MORE] == {s.ACCELERATOR_MODEL: ("H100-80GB",)}


def test_a_chosen_row_of_the_table_opens_its_charges(company: Path) -> None:
    """What a click on a row stores opens the same charges as naming the row."""
    app = opened(company, "explore", **{explore.CELL: ((s.TEAM, None),)})
    assert "team (none)" in words(app)
    assert "**31 charges:" in words(app)


def test_charges_come_a_page_at_a_time_and_sum_to_the_number(company: Path) -> None:
    """Pages hold every charge once; their file sums to the number, whatever share of a month's fee is inside."""
    lake = Lake.of(load_config(company))
    whole = Scope.of({"team": "Platform"})
    pages = [charges(lake, whole, page=n) for n in range(charges(lake, whole).pages)]
    ids = pl.concat([p.rows for p in pages])["charge_id"]
    assert ids.n_unique() == len(ids) == pages[0].count > PAGE_ROWS
    for scope in (whole, *(whole.between(*days) for days in _spans())):
        number, file = summed(spend_in(lake, scope).rows), all_charges(lake, scope)
        assert abs(summed(file) - number) < Decimal("1e-12")
        assert summed(file) == summed(charges(lake, scope).totals)


def _spans() -> list[tuple[Any, Any]]:
    return [(date(2026, 8, 5), date(2026, 9, 11)), (date(2026, 6, 30), date(2026, 6, 30))]


# --- tokens
MODEL_APIS = {"driver": "model_api", "is_ai": True, "period": "2026-10"}


def test_tokens_cost_what_the_command_says(company: Path) -> None:
    """The page's total and its table are what `finops spend` says for model APIs, to the cent."""
    number = summed(spend(Lake.of(load_config(company)), where=MODEL_APIS).rows)
    app = opened(company, "tokens")
    assert f"**Total: {number:,.2f} USD**" in words(app)
    assert round(Decimal(str(table(app, "top_model")["cost"].sum())), 2) == round(number, 2)
    assert app.subheader[0].value.startswith("October 2026: 402 k USD (101 bn tokens), up 14 % on September 2026")
    assert [m.value for m in app.metric] == ["402 k", "101 bn", "4.00", "54 %", "5.00 M"]


@pytest.mark.parametrize("by", tokens_page.tokens.GROUPS)
def test_what_changed_the_cost_sums_to_the_change(company: Path, by: str) -> None:
    """Whatever the table is grouped by, each row's cost before and its causes sum to its cost now."""
    app = opened(company, "tokens", **{tokens_page.BY: by, tokens_page.SHOWN: tokens_page.WHY})
    rows = table(app, "volume", "mix", "cache", "price")
    causes = rows[["prior", "volume", "mix", "cache", "price"]].sum(axis=1)
    assert not app.exception
    assert ((causes - rows["cost"]).abs() < 0.01).all()


def test_a_row_of_tokens_leads_to_its_days_and_keys(company: Path) -> None:
    """A use case opens its days and its keys, which both sum to its cost, and becomes a filter of every page."""
    where = {**MODEL_APIS, "use_case": "assistant"}
    number = summed(spend(Lake.of(load_config(company)), where=where).rows)
    app = opened(company, "tokens")
    app.selectbox(key=tokens_page.OPEN).select_index(0).run()
    assert f"The days and keys behind {number:,.2f} USD: use case assistant" in words(app)
    days, keys = table(app, "day", "price_per_million"), table(app, "key", "account_name")
    assert len(days) == 31
    assert set(keys["key"]) == {f"key-assistant-{n}" for n in range(3)}
    for rows in (days, keys):
        assert round(Decimal(str(rows["cost"].sum())), 2) == round(number, 2)
    app.button(key="tokens_keep").click().run()
    assert app.session_state[filters.MORE] == {s.USE_CASE: ("assistant",)}
    assert app.metric[0].value == "286 k"


def test_a_row_that_filters_take_away_is_an_answer(company: Path) -> None:
    """Days and keys stay open when a filter leaves nothing of them, and say so with zero."""
    app = opened(company, "tokens", f_team=["Sales"], **{tokens_page.GROUP: ("use_case", "assistant")})
    assert not app.exception
    assert "The days and keys behind 0.00 USD: use case assistant" in words(app)
    assert len(app.get("vega_lite_chart")) == 5  # none of days


def test_without_a_period_before_there_is_no_change(company: Path) -> None:
    """Where the data starts with the period, the page says that nothing came before it."""
    app = opened(company, "tokens", f_period="all")
    assert not app.exception
    assert "there is nothing before it to compare with." in app.subheader[0].value
    assert "There is no token cost in" in words(app)
    assert "change" not in table(app, "top_model").columns


def test_filters_narrow_tokens_or_are_named(company: Path) -> None:
    """Filters that token facts know narrow the page; one that they cannot follow is named, not passed over."""
    app = opened(company, "tokens", f_team=["Sales"])
    assert app.metric[0].value == "88.5 k"
    assert "Tokens know nothing of" not in words(app)
    assert "No spend on model APIs matches" in words(opened(company, "tokens", f_driver=["storage"]))
    told = opened(company, "tokens", f_cost="list", **{filters.MORE: {s.REGION_ID: ("eu-central-1",)}})
    assert "Tokens know nothing of: region, list cost." in words(told)
    assert told.metric[0].value == "402 k"


def test_usage_without_a_price_is_listed_with_what_to_do(company: Path) -> None:
    """Usage that the book does not price is counted and listed, with its reason and the next step."""
    app = opened(company, "tokens")
    assert table(app, "reason", "operation")["model"].to_list() == ["house-model-1"]
    assert "*unknown model*: Add the model's prices" in words(app)


def test_without_model_apis_the_page_says_what_brings_them(tmp_path: Path) -> None:
    """Bills that hold no model API leave the page with what would be there and the command that brings it."""
    rows = bills().filter(pl.col(s.DRIVER) != "model_api")
    with Lake.of(load_config(tmp_path)).transaction("bills") as tx:
        tx.replace("charges", rows)
        tx.replace("spend_daily", spend_daily(rows.lazy()))
    app = opened(tmp_path, "tokens")
    assert not app.exception
    assert [c.value for c in app.code] == ["finops ingest"]


# --- forecast, scenarios, data
def test_the_forecast_says_its_track_record(company: Path) -> None:
    """The chart's caption says how forecasts of this kind have done, and a series without a backtest says that."""
    app = opened(company, "forecast")
    assert "it missed by 7.1 % of cost a day; the 80 % band held 82 % of days" in words(app)
    app.selectbox(key="outlook_series").select("purpose=inference").run()
    assert "Too short a history to be judged" in words(app)


def test_scenarios_stand_side_by_side(company: Path) -> None:
    """Each hosting choice is a column; what cannot be followed says why; the schedule sums to the plan's cash."""
    app = opened(company, "scenarios")
    assert app.subheader[0].value.startswith("growth: 990 k USD over 24 months, 225 k less than all on own servers")
    columns = list(table(app, "What decides").columns)
    assert columns[:2] == ["What decides", "Hybrid"]
    assert len(columns) == 7
    assert "Model APIs only: cannot be followed within the rules" in words(app)
    schedule = table(app, "month", "cash")
    assert f"**Cash of the plan: {schedule['cash'].sum():,.2f} USD**" in words(app)
    assert "data must stay in EU" in " ".join(table(app, "reason")["reason"])


def test_a_scenario_without_a_plan_names_the_conflict(tmp_path: Path) -> None:
    """Rules that cannot hold together are named, with what lifting one of them would cost."""
    home = fill(tmp_path / "home")
    strict = SCENARIO.replace("[[workloads]]", "[rules]\nbudget_per_year = [1000]\n\n[[workloads]]", 1)
    placed = place(parse_scenario(strict.replace('"growth"', '"strict"', 1), name="strict.toml"), settings=Settings())
    store_plans(Lake.of(load_config(home)), [placed])
    app = opened(home, "scenarios", scenarios=["strict"])
    assert not app.exception
    assert app.subheader[0].value.startswith("strict: no plan keeps every rule. ")
    assert "**What to do:** relax one rule. without budget" in words(app)
