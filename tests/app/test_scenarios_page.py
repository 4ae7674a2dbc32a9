"""The Scenarios page: side by side, the form and its mistakes, solving, copies, approval, and what its address says."""

import hashlib
import shutil
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from finops.config import load_config
from finops.pipeline import scenario_log
from finops.pipeline.placement import store_plans
from finops.pipeline.scenario_text import edited
from finops.store import Lake
from optimizer.document import parse_scenario
from optimizer.placement import place
from optimizer.solve import Settings
from reports.screens import scenario_solve
from reports.views.plans import plan
from tests.app.conftest import SCENARIO
from tests.app.test_pages import opened, table, words

DEARER = edited(SCENARIO, {("name",): "dearer", ("options", 1, "price", "amount"): 40})


@pytest.fixture(scope="module")
def planned(company: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small company with a second scenario, the files of both, and a plan of each."""
    home = tmp_path_factory.mktemp("scenarios") / "home"
    shutil.copytree(company, home)
    (home / "scenarios").mkdir()
    (home / "scenarios" / "growth.toml").write_text(SCENARIO)
    (home / "scenarios" / "dearer.toml").write_text(DEARER)
    store_plans(Lake.of(load_config(home)), [place(parse_scenario(DEARER, name="dearer"), settings=Settings())])
    return home


@pytest.fixture
def home(planned: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy that a test may change."""
    shutil.copytree(planned, tmp_path / "own")
    return tmp_path / "own"


def field(app: AppTest, name: str) -> Any:
    """A number or text field by its label or key."""
    return next(w for w in (*app.number_input, *app.text_input, *app.text_area) if name in (w.label, w.key))


def press(app: AppTest, label: str) -> AppTest:
    """Press a button, and give the page time to solve."""
    return next(b for b in app.button if b.label == label).click().run(timeout=60)


def inputs(home: Path, name: str = "growth") -> AppTest:
    return opened(home, "scenarios", scenarios=[name], view="Inputs")


def test_two_scenarios_stand_side_by_side(planned: Path) -> None:
    """Columns are scenarios, amounts are the plans', and what differs is judged against the base."""
    app = opened(planned, "scenarios", scenarios=["growth", "dearer"], base="growth")
    assert not app.exception
    lake = Lake.of(load_config(planned))
    costs = [plan(lake, name).cost for name in ("growth", "dearer")]
    shown = table(app, "what_decides", "growth")
    cost = shown[shown["what_decides"] == "Cost (present value), USD"].iloc[0]
    assert cost["growth"] == "990 k"
    assert cost["dearer"].startswith("▲ ")
    assert costs[1] > costs[0]
    assert app.subheader[0].value.startswith("growth: 990 k USD over 24 months; dearer ")
    assert "If demand falls to between" in words(app)


def test_the_address_says_what_is_compared(planned: Path) -> None:
    """Opening the shared address shows the same scenarios against the same base, in the same view."""
    app = opened(planned, "scenarios", scenarios=["growth", "dearer"], base="dearer", views="Inputs")
    address = next(c.value for c in app.code if "scenarios=" in c.value)
    assert address.endswith("scenarios=growth&scenarios=dearer&base=dearer&views=Inputs")
    again = AppTest.from_function(_page, args=(str(planned),), default_timeout=30)
    again.query_params["scenarios"] = ["growth", "dearer"]
    again.query_params["base"] = "dearer"
    again.query_params["views"] = "Inputs"
    again.run()
    assert again.subheader[0].value == "dearer: what the plan is made from"


def _page(home: str) -> None:
    from pathlib import Path

    from reports.screens.frame import screens

    screens(Path(home))["scenarios"]()


def test_a_mistake_is_shown_where_it_is(home: Path) -> None:
    """A value out of range is said in the words of the scenario's own check, and the file stays as it was."""
    app = inputs(home)
    field(app, "Discount rate, % a year").set_value(-200.0)
    field(app, "save_by").set_value("Grace")
    press(app, "Save")
    assert [e.value for e in app.error] == [
        "discount_ratio_per_year: Input should be greater than -1 (found -2). Nothing was saved."
    ]
    assert (home / "scenarios" / "growth.toml").read_text() == SCENARIO


def test_the_form_saves_and_says_who(home: Path) -> None:
    """A saved change is the only one in the file; the plan is then said to be out of date, and who saved is kept."""
    app = inputs(home)
    field(app, "Discount rate, % a year").set_value(9.0)
    field(app, "Carbon cap, kg a month").set_value("")
    press(app, "Save")
    assert "nobody who saves a scenario" in app.error[0].value
    field(app, "save_by").set_value("Grace")
    field(app, "Why").set_value("dearer money")
    press(app, "Save")
    assert not app.error
    text = (home / "scenarios" / "growth.toml").read_text()
    assert text == SCENARIO.replace("horizon_months = 24\n", "horizon_months = 24\ndiscount_ratio_per_year = 0.09\n")
    assert "have changed since the plan shown here was made" in app.warning[0].value
    event = scenario_log.history(Lake.of(load_config(home)), "growth").row(0, named=True)
    assert (event["actor"], event["comment"]) == ("Grace", "dearer money")


def test_uncertainty_comes_and_goes(home: Path) -> None:
    """A spread of demand is saved with whose estimate it is; an emptied field makes demand certain again."""
    app = inputs(home)
    field(app, "save_by").set_value("Grace")
    field(app, "Spread of demand after a year, %").set_value(30.0)
    press(app, "Save")
    file = home / "scenarios" / "growth.toml"
    assert tomllib.loads(file.read_text())["uncertainty"] == {"sd_ratio_per_year": 0.3, "source": "estimate of Grace"}
    key = f"uncertainty.sd_ratio_per_year_growth_{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}"
    app.session_state[key] = None
    press(app.run(), "Save")
    assert not app.error
    assert tomllib.loads(file.read_text()) == tomllib.loads(SCENARIO)


def test_solving_shows_its_stages_and_what_is_kept(home: Path) -> None:
    """A solve plans what changed; another one takes the kept plan and says so."""
    (home / "scenarios" / "growth.toml").write_text(SCENARIO.replace("horizon_months = 24", "horizon_months = 6"))
    app = opened(home, "scenarios", scenarios=["growth"])
    assert app.warning
    press(app, "Solve")
    assert not app.exception
    assert [s.value for s in app.success] == ["Solved: growth."]
    assert not app.warning
    assert app.subheader[0].value.startswith("growth: ")
    assert "over 6 months" in app.subheader[0].value
    press(app, "Solve")
    assert "growth: nothing has changed since its plan of" in app.info[0].value


def test_a_solve_that_is_left_ends_with_its_workers() -> None:
    """Whoever goes elsewhere while it solves leaves no process behind, nor one that it has started."""
    worker = "import subprocess, sys; c = subprocess.Popen(['sleep', '60']); print(c.pid, file=sys.stderr, flush=True)"
    with scenario_solve._running([sys.executable, "-c", f"{worker}; c.wait()"]) as process:
        assert process.stderr is not None
        child = int(process.stderr.readline())
    assert process.returncode != 0
    deadline = time.monotonic() + 5
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(child)


def _alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_rules_that_contradict_each_other_are_said_on_the_page(home: Path) -> None:
    """A scenario that has no plan says which rules cannot hold together and what helps, and keeps the old plan."""
    strict = SCENARIO.replace("[[workloads]]", "[rules]\nbudget_per_year = [1000]\n\n[[workloads]]", 1)
    (home / "scenarios" / "growth.toml").write_text(strict.replace("horizon_months = 24", "horizon_months = 6"))
    app = press(opened(home, "scenarios", scenarios=["growth"]), "Solve")
    assert "**What happened:** growth: these cannot all hold:" in words(app)
    assert "without budget" in words(app)


def test_a_copy_is_made_on_the_page(home: Path) -> None:
    """Duplicate writes a scenario of another name, which can then be chosen; a name that is taken is refused."""
    app = opened(home, "scenarios", scenarios=["growth"])
    field(app, "Name of the copy").set_value("dearer")
    field(app, "copy_by").set_value("Ada")
    press(app, "Duplicate")
    assert "dearer exists" in app.error[0].value
    field(app, "Name of the copy").set_value("half")
    press(app, "Duplicate")
    assert not app.error
    assert tomllib.loads((home / "scenarios" / "half.toml").read_text())["name"] == "half"
    assert app.success[0].value.startswith("half is there")
    assert "half" in app.multiselect(key="scenarios").options


def test_an_approval_is_void_once_an_input_changes(home: Path) -> None:
    """A plan is approved with name and comment; the page says that it holds, and no longer once an input changed."""
    app = opened(home, "scenarios", scenarios=["growth"], view="Approval and history")
    assert "Nobody has approved" in words(app)
    field(app, "approve_by").set_value("Ada")
    field(app, "Comment").set_value("for the board")
    press(app, "Approve")
    assert not app.error
    assert "**Approved by Ada**" in app.success[0].value
    assert "for the board" in app.success[0].value
    (home / "scenarios" / "growth.toml").write_text(SCENARIO.replace("amount = 60", "amount = 61"))
    app.run()
    assert "**This approval is void:** the scenario or a price that it uses has changed since" in app.warning[1].value
    assert next(b for b in app.button if b.label == "Approve").disabled
    assert table(app, "action", "actor")["action"].to_list() == ["approved", "planned"]


def test_a_wrong_file_is_said_and_its_plan_stays(home: Path) -> None:
    """A file that is no scenario is named with its mistake; the last plan of it can still be read."""
    (home / "scenarios" / "growth.toml").write_text(SCENARIO.replace("horizon_months = 24", "horizon_months = 99"))
    app = opened(home, "scenarios", scenarios=["growth"])
    assert not app.exception
    assert "horizon_months: Input should be less than or equal to 60" in words(app)
    assert app.subheader[0].value.startswith("growth: 990 k USD")
