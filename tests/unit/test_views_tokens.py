"""Views of token facts: figures, causes, groups and words that tie to the facts, and charts that draw them."""

from datetime import date
from decimal import Decimal

import polars as pl
import pytest

from finops import schema as s
from finops.token_ledger import CACHE_READ, FACTS, OTHER, OUTPUT, UNCACHED
from reports import charts
from reports.theme import LIGHT
from reports.views import tokens
from reports.views.movement import START, VALUE
from reports.views.scope import Scope
from reports.views.spend import COST, summed
from reports.views.tokens import CACHED, PARTS, PER_MILLION, TOKENS

D = Decimal
SEP, OCT = date(2026, 9, 10), date(2026, 10, 10)
OCTOBER = Scope({s.BILLING_CURRENCY: ("USD",)}, date(2026, 10, 1), date(2026, 10, 31))
DEFAULTS = {
    "source_id": "anthropic", "provider": "Anthropic", "service_tier": "standard", "team": "Support",
    "use_case": "chat", "currency": "USD", "basis": "attributed",
}  # fmt: skip


def fact(day: date, model: str | None, kind: str, tokens_: int | None, cost: object, **more: object) -> dict:
    """One fact; team Support's chat unless it says otherwise."""
    row = {**DEFAULTS, "day": day, "model": model, "kind": kind, "key": "key-1", **more}
    return {**row, "tokens": None if tokens_ is None else D(tokens_), "cost": D(str(cost))}


ROWS = (
    fact(SEP, "claude-opus", UNCACHED, 4_000_000, 20), fact(SEP, "claude-opus", CACHE_READ, 4_000_000, 2),
    fact(SEP, "claude-opus", OUTPUT, 1_000_000, 25), fact(SEP, "gpt-mini", OUTPUT, 2_000_000, 4, use_case="mail"),
    fact(OCT, "claude-opus", UNCACHED, 2_000_000, 10), fact(OCT, "claude-opus", CACHE_READ, 6_000_000, 3),
    fact(OCT, "claude-opus", OUTPUT, 1_000_000, 30), fact(OCT, "gpt-mini", OUTPUT, 3_000_000, 6, use_case="mail"),
    fact(OCT, None, OTHER, None, "7.5", team=None, use_case=None, key=None),
    fact(OCT, "gpt-4.1", OUTPUT, 0, "2.5", provider="Microsoft", use_case=None),
)  # fmt: skip


@pytest.fixture
def facts() -> pl.DataFrame:
    """Two months: opus reads more from the cache and its output got dearer, mail grows, some is not metered."""
    return pl.DataFrame(ROWS, schema=FACTS)


@pytest.fixture
def sides(facts: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The facts of October and of September."""
    return tokens.narrowed(facts, OCTOBER), tokens.narrowed(facts, OCTOBER.prior())


def test_figures_are_of_what_is_metered(sides: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    """Cost holds all of it; the price per million leaves out cost without tokens, and zero tokens are none."""
    cost, volume, per_million, cached = tokens.figures(*sides, "USD")
    assert (cost.value, cost.prior) == (D(59), D(51))
    assert (volume.value, volume.prior) == (D(12_000_000), D(11_000_000))
    assert round(per_million.value, 6) == round(D(49) / 12, 6)
    assert (cached.value, cached.prior) == (D("0.75"), D("0.5"))


def test_figures_of_nothing_are_none(facts: pl.DataFrame) -> None:
    """Where nothing is metered there is no price and no share, and not zero."""
    now = facts.filter(pl.col("kind") == OTHER)
    cost, volume, per_million, cached = tokens.figures(now, facts.clear(), "USD")
    assert (cost.value, cost.prior) == (D("7.5"), D(0))
    assert [f.value for f in (volume, per_million, cached)] == [None] * 3


@pytest.mark.parametrize("by", tokens.GROUPS)
def test_each_table_sums_to_the_whole(sides: tuple[pl.DataFrame, pl.DataFrame], by: str) -> None:
    """The rows of any grouping sum to the cost, and all but keys to the same causes as the whole."""
    rows, whole = tokens.table(*sides, by), tokens.changed(*sides)
    for name in (COST, "prior", "change", *(() if by == "key" else PARTS)):
        assert summed(rows, name) == summed(whole, name), name
    for row in rows.iter_rows(named=True):
        assert row["change"] == sum(row[part] for part in PARTS)


def test_the_causes_are_those_that_happened(sides: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    """Chat has no volume and no mix: cheaper by the cache, dearer by the price; mail is volume alone."""
    rows = {row[VALUE]: row for row in tokens.table(*sides, "use_case").iter_rows(named=True)}
    chat, mail, rest = rows["chat"], rows["mail"], rows[None]
    assert [chat[p] for p in ("volume", "mix", "cache", "price")] == [0, 0, -9, 5]
    assert (mail["volume"], mail["change"], mail[PER_MILLION]) == (2, 2, 2)
    assert (rest["not_metered"], rest[TOKENS], rest[CACHED]) == (10, None, None)
    assert (chat["top_model"], rest["top_model"]) == ("claude-opus", None)


def test_days_and_keys_sum_to_their_row(sides: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    """The days and the keys behind a row sum to its cost; a key that ended stands there with what it was."""
    now, prior = (tokens.only(side, "team", "Support") for side in sides)
    days, keys = tokens.days(now), tokens.keys(now, prior)
    assert summed(days) == summed(keys) == summed(now) == D("51.5")
    assert summed(keys, "change") == D("0.5")
    ended = tokens.keys(now.clear(), prior)
    assert summed(ended) == 0
    assert summed(ended, "change") == -51


def test_a_period_without_facts_is_an_answer(sides: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    """Where all use has ended, each view still draws: the change is what there was, and nothing is counted."""
    now, prior = sides[0].clear(), sides[1]
    rows = tokens.table(now, prior, "use_case")
    assert summed(rows, "change") == summed(rows, "volume") == -51
    assert rows[TOKENS].is_null().all()
    cost, volume, *_ = tokens.figures(now, prior, "USD")
    said = tokens.sentence(OCTOBER, cost, volume, tokens.changed(now, prior, "use_case"), tokens.changed(now, prior))
    assert said.startswith("October 2026: 0.00 USD (– tokens), down 100 % on September 2026")


def test_filters_follow_the_columns_of_facts(facts: pl.DataFrame) -> None:
    """Dimensions of the ledger narrow facts by their own columns; None means charges without a value."""
    assert len(tokens.narrowed(facts, OCTOBER.only(s.TEAM, None))) == 1
    assert len(tokens.narrowed(facts, OCTOBER.only(s.TEAM, None, "Support"))) == 6
    assert tokens.narrowed(facts, OCTOBER.only(s.SERVICE_PROVIDER_NAME, "Microsoft"))[COST].to_list() == [D("2.5")]
    assert tokens.narrowed(facts, OCTOBER.only(s.BILLING_CURRENCY, "EUR")).is_empty()
    assert tokens.narrowed(facts, OCTOBER.only(s.DRIVER, "storage")).is_empty()
    assert len(tokens.narrowed(facts, OCTOBER.only(s.DRIVER, "model_api").only(s.IS_AI, True))) == 6
    assert tokens.unfollowed(OCTOBER.only(s.REGION_ID, "eu").only(s.DRIVER, "model_api")) == ["region"]


def test_a_model_is_found_by_the_name_of_its_bill(facts: pl.DataFrame) -> None:
    """A filter by the bill's name of a model finds facts under the price book's name."""
    known = facts.head(1).with_columns(model=pl.lit("claude-opus-4-5"))
    for name in ("claude-opus-4-5-20251101", "claude-opus-4-5"):
        assert len(tokens.narrowed(known, Scope({s.MODEL_ID: (name,)}))) == 1
    assert tokens.narrowed(known, Scope({s.MODEL_ID: ("gpt-4.1",)})).is_empty()


def test_months_hold_what_the_days_hold(facts: pl.DataFrame) -> None:
    """Summed to months, facts give the same history, figures and mix as day by day."""
    months = tokens.monthly(facts)
    history = tokens.history(months)
    assert history[COST].to_list() == [D(51), D(59)]
    assert [round(v, 6) for v in history[PER_MILLION]] == [round(D(51) / 11, 6), round(D(49) / 12, 6)]
    assert history[CACHED].to_list() == [D("0.5"), D("0.75")]
    assert tokens.models(months)[:2] == ["claude-opus", "gpt-mini"]
    assert tokens.mix(months)[COST].sum() == D(110)


def test_the_sentence_says_who_and_why(sides: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    """The headline names the amount, the tokens, the change, who made it, and the causes, the largest first."""
    cost, volume, *_ = tokens.figures(*sides, "USD")
    said = tokens.sentence(OCTOBER, cost, volume, tokens.changed(*sides, "use_case"), tokens.changed(*sides))
    assert said == (
        "October 2026: 59.00 USD (12.0 M tokens), up 16 % on September 2026; spend without a use case alone moved "
        "+10.00. By cause: not metered +10.00, cache and output −9.00, price +5.00, volume +2.00 USD."
    )
    nothing = tokens.changed(sides[0], sides[1].clear())
    new = tokens.figures(sides[0], sides[1].clear(), "USD")
    assert tokens.sentence(OCTOBER, new[0], new[1], nothing, nothing).endswith("nothing before it to compare with.")


@pytest.mark.parametrize(
    ("reason", "step"),
    [("unknown model", "correct its name"), ("no priority price", "Add the price"), ("no price for input_audio", "Add"),
     ("counted in Images; its cost stands on the bill", "Nothing"), ("unknown service tier gold", "Correct the tier"),
     ("the price depends on the number of requests, which is missing", "Let the source record")],
)  # fmt: skip
def test_every_reason_has_a_next_step(reason: str, step: str) -> None:
    """Whatever reason pricing gives, the list says what to do about it."""
    assert step in tokens.next_step(reason)


# --- charts
def test_a_bridge_stands_on_what_came_before() -> None:
    """Each step starts where the one before it ended, falls and rises are told apart, the last is the amount now."""
    steps = [("before", D(100)), ("volume", D(30)), ("price", D(-10)), ("now", D(120))]
    drawn = charts.bridge(steps, LIGHT, currency="USD").to_dict()
    rows = next(iter(drawn["datasets"].values()))
    assert [(r["low"], r["high"], r["way"]) for r in rows] == [
        (0, 100, "before"), (100, 130, "rose"), (130, 120, "fell"), (0, 120, "now"),
    ]  # fmt: skip
    assert [r["shown"] for r in rows] == ["100", "+30.00", "−10.00", "120"]


def test_shares_of_a_month_make_one(facts: pl.DataFrame) -> None:
    """The shares of each month's bar sum to one."""
    drawn = charts.mix_over_time(tokens.mix(tokens.monthly(facts)), {}, LIGHT, what="cost").to_dict()
    rows = pl.DataFrame(next(iter(drawn["datasets"].values())))
    assert rows.group_by(START).agg(pl.col("ratio").sum().round(9))["ratio"].to_list() == [1, 1]


@pytest.mark.parametrize(("field", "unit", "said"), [(COST, "amount", "59.00"), (CACHED, "ratio", "75 %")])
def test_a_panel_writes_its_newest_value(facts: pl.DataFrame, field: str, unit: charts.Unit, said: str) -> None:
    """The newest month's value stands in words, and a month that is not over is paler."""
    history = tokens.history(tokens.monthly(facts))
    drawn = charts.panel(history, field, LIGHT, unit=unit, last_day=date(2026, 10, 20)).to_dict()
    rows = max(drawn["datasets"].values(), key=len)
    assert rows[-1]["shown"] == said
    assert [r["opacity"] for r in rows] == [1.0, 0.4]
