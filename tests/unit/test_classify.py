"""Rules, facts, measures and explanations of the classification."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops import schema as s
from finops.classify import SOURCE, classify, decide, explain, identify, suspected, unit_size
from finops.config import TagKeys
from finops.errors import ConfigError
from finops.rules import Rules, load_rules, machine

KINDS = {**s.FOCUS, **s.LINEAGE, **s.CLASSIFICATION}
NO_MAPPINGS = pl.DataFrame(schema=s.TABLES["mappings"].columns)
RULES = load_rules()
H100 = {s.SERVICE_PROVIDER_NAME: "AWS", s.SERVICE_NAME: "Amazon Elastic Compute Cloud", s.SERVICE_CATEGORY: "Compute",
        s.USAGE_TYPE: "BoxUsage:p5.48xlarge", s.CONSUMED_UNIT: "Hrs", s.CONSUMED_QUANTITY: Decimal(2)}  # fmt: skip
CLAUDE = {s.SERVICE_PROVIDER_NAME: "AWS", s.SERVICE_NAME: "Amazon Bedrock",
          s.SERVICE_CATEGORY: "AI and Machine Learning", s.USAGE_TYPE: "USE1-Claude4.6Sonnet-input-tokens",
          s.CONSUMED_UNIT: "1K tokens", s.CONSUMED_QUANTITY: Decimal("1.5")}  # fmt: skip
PLAIN = {s.SERVICE_NAME: "Amazon Simple Storage Service", s.SERVICE_CATEGORY: "Storage"}


def charges(*rows: dict[str, Any]) -> pl.LazyFrame:
    return pl.LazyFrame([{**dict.fromkeys(KINDS), s.CHARGE_CATEGORY: "Usage", **row} for row in rows], schema=KINDS)


def one(row: dict[str, Any], rules: Rules = RULES) -> dict[str, Any]:
    return classify(charges(row), rules, TagKeys(), NO_MAPPINGS).collect().row(0, named=True)


def rules_of(folder: Path, text: str) -> Rules:
    file = folder / "rules.toml"
    file.write_text(text, encoding="utf-8")
    return load_rules((file,))


# ------------------------------------------------------------------------------------------------------ the frame


def test_the_frame_stays_lazy_and_keeps_its_columns_and_the_order_of_its_rows() -> None:
    """classify gives back a lazy frame of the same columns, types and rows in order."""
    given_rows = charges(*({**H100, s.SOURCE_ROW: i, s.TAGS: f'{{"team":"t{i}"}}'} for i in range(500)))
    found = classify(given_rows, RULES, TagKeys(), NO_MAPPINGS)
    assert isinstance(found, pl.LazyFrame)
    assert found.collect_schema() == given_rows.collect_schema()
    assert found.collect()[s.SOURCE_ROW].to_list() == list(range(500))


def test_no_charges_classify_to_none() -> None:
    """An empty source stays empty."""
    assert classify(charges(), RULES, TagKeys(), NO_MAPPINGS).collect().is_empty()


def test_missing_values_do_not_lose_or_repeat_a_row() -> None:
    """Charges whose key columns are all null are decided and counted once each."""
    found = classify(charges({}, {}, PLAIN), RULES, TagKeys(), NO_MAPPINGS).collect()
    assert found[s.IS_AI].to_list() == [False, False, False]
    assert found[s.DRIVER].to_list() == ["other", "other", "storage"]
    assert found[s.PURPOSE].null_count() == 3


def test_rules_run_once_for_each_distinct_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand charges of two kinds are two decisions."""
    seen = []

    def counted(keys: pl.DataFrame, rules: Rules) -> pl.DataFrame:
        seen.append(keys.height)
        return decide(keys, rules)

    monkeypatch.setattr("finops.classify.decide", counted)
    kinds = (H100, PLAIN)
    rows = [{**kinds[i % 2], s.RESOURCE_ID: f"i-{i}", s.TAGS: f'{{"team":"{i}"}}'} for i in range(10_000)]
    classify(charges(*rows), RULES, TagKeys(), NO_MAPPINGS).collect()
    assert seen == [2]


# --------------------------------------------------------------------------------------------- what the source says


def test_what_the_source_says_is_kept() -> None:
    """Team, accelerator, hosting, driver and purpose of an on-prem ledger survive every rule."""
    own = {
        s.IS_AI: True, s.DRIVER: "energy", s.PURPOSE: "training", s.HOSTING: "colo", s.ACCELERATOR_MODEL: "H100-80GB",
        s.ACCELERATOR_COUNT: Decimal(8), s.ACCELERATOR_HOURS: Decimal(24), s.TEAM: "research", s.MODEL_ID: "ours",
    }  # fmt: skip
    found = one({**H100, **own, s.USAGE_TYPE: "BoxUsage:g5.xlarge", s.TAGS: '{"team":"other","purpose":"inference"}'})
    assert {column: found[column] for column in own} == own
    assert (found[s.CLASSIFIED_BY], found[s.OWNER_STATUS]) == (SOURCE, "known")


def test_what_the_source_says_of_its_tokens_is_kept() -> None:
    """Developer, direction, tier and tokens of a provider's own report survive what the usage type suggests."""
    own = {s.MODEL_DEVELOPER: "Reseller", s.TOKEN_DIRECTION: "Output", s.SERVICE_TIER: "gold", s.TOKENS: Decimal(7)}
    found = one({**CLAUDE, **own})
    assert {column: found[column] for column in own} == own


def test_an_accelerator_of_the_source_makes_the_charge_ai() -> None:
    """A ledger that names only the accelerator is an accelerator charge."""
    found = one({s.ACCELERATOR_MODEL: "H100-80GB", s.HOSTING: "on_prem", s.SERVICE_CATEGORY: "Compute"})
    assert (found[s.IS_AI], found[s.DRIVER], found[s.HOSTING]) == (True, "accelerator", "on_prem")


def test_the_ai_keys_of_focus_are_used() -> None:
    """Model and token keys of SkuPriceDetails come before what names suggest."""
    details = (
        '{"ModelDeveloper":"Solora AI","ModelFamily":"Solora Atlas","ModelId":"solora-atlas-5.5","ModelVersion":"5.5",'
        '"TokenCacheAction":"Read","TokenDirection":"Input"}'
    )
    found = one({s.SERVICE_NAME: "Solora Generative AI API", s.SERVICE_CATEGORY: "AI and Machine Learning",
                 s.SKU_METER: "Input Tokens", s.SKU_PRICE_DETAILS: details, s.CONSUMED_UNIT: "Tokens",
                 s.CONSUMED_QUANTITY: Decimal(10_000_000)})  # fmt: skip
    assert [found[c] for c in (s.MODEL_DEVELOPER, s.MODEL_FAMILY, s.MODEL_ID, s.MODEL_VERSION)] == [
        "Solora AI", "Solora Atlas", "solora-atlas-5.5", "5.5",
    ]  # fmt: skip
    assert (found[s.TOKEN_DIRECTION], found[s.TOKEN_CACHE_ACTION], found[s.TOKENS]) == ("Input", "Read", 10_000_000)


def test_instance_type_and_gpu_count_of_focus_are_used() -> None:
    """InstanceType and GpuCount of SkuPriceDetails tell the accelerator and how many there are."""
    found = one({s.SERVICE_CATEGORY: "Compute", s.SKU_PRICE_DETAILS: '{"InstanceType":"p4d.24xlarge","GpuCount":"4"}'})
    assert (found[s.ACCELERATOR_MODEL], found[s.ACCELERATOR_COUNT]) == ("A100-40GB", 4)


def test_details_that_are_not_json_are_no_error() -> None:
    """A broken SkuPriceDetails is read as one that says nothing."""
    assert one({**H100, s.SKU_PRICE_DETAILS: "{broken"})[s.ACCELERATOR_MODEL] == "H100-80GB"


# ------------------------------------------------------------------------------------------------ purpose, category


def test_the_purpose_tag_comes_before_the_rule() -> None:
    """A Bedrock call tagged fine-tuning is fine_tuning; one with a word that is no purpose is what the rule says."""
    assert one({**CLAUDE, s.TAGS: '{"Purpose":"Fine-Tuning"}'})[s.PURPOSE] == "fine_tuning"
    assert one({**CLAUDE, s.TAGS: '{"purpose":"chatbot"}'})[s.PURPOSE] == "inference"
    assert one({**H100, s.TAGS: '{"workload":"serving"}'})[s.PURPOSE] == "inference"
    assert one(H100)[s.PURPOSE] == "unknown"


@pytest.mark.parametrize(
    ("purpose", "ai"), [("training", True), ("inference", True), ("development", False), (None, False)]
)
def test_storage_tagged_with_training_or_inference_is_ai(purpose: str | None, ai: bool) -> None:
    """A bucket counts as AI exactly when its purpose tag says what it serves."""
    found = one({**PLAIN, s.TAGS: f'{{"purpose":"{purpose}"}}' if purpose else None})
    assert (found[s.IS_AI], found[s.DRIVER], found[s.PURPOSE]) == (ai, "storage", purpose if ai else None)


@pytest.mark.parametrize("category", ["Tax", "Credit", "Purchase", "Adjustment"])
def test_taxes_credits_and_purchases_follow_their_service(category: str) -> None:
    """They are AI when the service is, without hours or tokens of their own."""
    bedrock, machine, bucket = (one({**row, s.CHARGE_CATEGORY: category}) for row in (CLAUDE, H100, PLAIN))
    assert [row[s.IS_AI] for row in (bedrock, machine, bucket)] == [True, True, False]
    assert (bedrock[s.TOKENS], machine[s.ACCELERATOR_HOURS]) == (None, None)


# ------------------------------------------------------------------------------------------------------- measures


def test_accelerator_hours_are_exact() -> None:
    """Count x hours without a float: a third of an hour in seconds, and 18 decimals of a quantity."""
    assert one(H100)[s.ACCELERATOR_HOURS] == 16
    seconds = one({**H100, s.CONSUMED_UNIT: "seconds", s.CONSUMED_QUANTITY: Decimal(1800)})
    assert seconds[s.ACCELERATOR_HOURS] == 4
    tiny = one({**H100, s.CONSUMED_QUANTITY: Decimal("0.000000000000000001")})
    assert tiny[s.ACCELERATOR_HOURS] == Decimal("0.000000000000000008")


def test_tokens_come_from_the_priced_quantity_where_the_consumed_unit_says_nothing() -> None:
    """Units that name no tokens are left for the pricing unit, which does."""
    found = one({**CLAUDE, s.CONSUMED_UNIT: "Units", s.PRICING_UNIT: "1K", s.PRICING_QUANTITY: Decimal("2.5")})
    assert found[s.TOKENS] == 2500
    assert one({**CLAUDE, s.CONSUMED_UNIT: "Units"})[s.TOKENS] is None


@pytest.mark.parametrize(("block", "tokens"), [("1000.0", 2_500), ("1000000", 2_500_000), ("0", None)])
def test_azures_units_of_tokens_are_priced_in_blocks(block: str, tokens: int | None) -> None:
    """Where Azure says Units only, the priced quantity times the stated block is the tokens; no block, no tokens."""
    row = {
        s.SERVICE_PROVIDER_NAME: "Microsoft", s.SERVICE_NAME: "Azure OpenAI", s.SKU_METER: "gpt 4.1 Inp glbl Tokens",
        s.CHARGE_CATEGORY: "Usage", s.CONSUMED_UNIT: "Units", s.CONSUMED_QUANTITY: Decimal(7), s.PRICING_UNIT: "Units",
        s.PRICING_QUANTITY: Decimal("2.5"), s.SOURCE_COLUMNS: f'{{"x_PricingBlockSize": "{block}"}}',
    }  # fmt: skip
    assert one(row)[s.TOKENS] == tokens


def test_requests_are_counted_for_models_only() -> None:
    """Requests to a model service count, requests to storage do not."""
    asked = {s.CONSUMED_UNIT: "1K Requests", s.CONSUMED_QUANTITY: Decimal(3)}
    assert one({**CLAUDE, **asked})[s.REQUESTS] == 3000
    assert one({**PLAIN, **asked})[s.REQUESTS] is None


@pytest.mark.parametrize(
    ("unit", "kind", "size"),
    [
        ("Hrs", "seconds", 3600), ("GPU-Hours", "seconds", 3600), ("100 Hours", "seconds", 360_000),
        ("s", "seconds", 1), ("minute", "seconds", 60), ("Tokens", "tokens", 1), ("1K tokens", "tokens", 1000),
        ("1M Tokens", "tokens", 10**6),
        ("1000000 Tokens", "tokens", 10**6), ("1,000 tokens", "tokens", 1000), ("1000_tokens", "tokens", 1000),
        ("1K", "thousands", 1000), ("M", "thousands", 10**6), ("Requests", "requests", 1), ("Units", "other", 1),
        ("vCPU-Hours", "other", 1), ("OCPU Hours", "other", 1), ("GB-Hours", "other", 1), ("ms", "other", 1),
        ("byte-seconds", "other", 1), ("MB", "other", 1), ("", "other", 1),
    ],
)  # fmt: skip
def test_units(unit: str, kind: str, size: int) -> None:
    """Each unit counts what it says; hours of cores or gigabytes are no accelerator hours."""
    assert unit_size(unit) == (kind, size)


@given(st.lists(st.decimals(min_value=0, max_value=10**9, places=9), max_size=30))
@settings(deadline=None, max_examples=10)
def test_tokens_are_exact(quantities: list[Decimal]) -> None:
    """Tokens are quantity x size of the unit, to the last decimal."""
    found = classify(
        charges(*({**CLAUDE, s.CONSUMED_UNIT: "1M Tokens", s.CONSUMED_QUANTITY: q} for q in quantities)),
        RULES, TagKeys(), NO_MAPPINGS,
    ).collect()  # fmt: skip
    assert found[s.TOKENS].to_list() == [quantity * 1_000_000 for quantity in quantities]


# --------------------------------------------------------------------------------------------------------- models


@pytest.mark.parametrize(
    ("name", "model_id"),
    [
        ("gpt-5.1-codex-max", "gpt-5.1-codex-max"), ("gpt-4o-mini-2024-07-18", "gpt-4o-mini-2024-07-18"),
        ("gpt-3.5-turbo-1106", "gpt-3.5-turbo-1106"), ("gpt-5-search-api", "gpt-5-search-api"),
        ("gpt-6-luna", "gpt-6-luna"), ("o3-deep-research-2025-06-26", "o3-deep-research-2025-06-26"),
        ("claude-opus-4-7-20260416", "claude-opus-4-7-20260416"), ("claude-haiku-5-5", "claude-haiku-5-5"),
        ("anthropic.claude-3-5-sonnet-20240620-v1:0", "claude-3-5-sonnet-20240620"),
        ("Claude Sonnet 4.6", "claude-sonnet-4-6"), ("Claude3.5Sonnet", "claude-3-5-sonnet"),
        ("gemini-3.1-flash-lite", "gemini-3.1-flash-lite"), ("mistral-medium-2604", "mistral-medium-2604"),
        ("Llama4-Maverick-17B", "llama-4-maverick-17b"), ("Nova Premier", "nova-premier"), ("Acme Large", "acme-large"),
    ],
)  # fmt: skip
def test_the_name_of_a_model_becomes_the_id_of_its_price_list(name: str, model_id: str) -> None:
    """Ids that are already the developer's own stay as they are; names of bills become them."""
    assert identify(name, RULES.models)[2] == model_id


def test_a_model_that_nobody_knows_has_an_id_and_no_developer() -> None:
    """An unknown name is kept and nothing is made up about it."""
    assert identify("Acme Large 2", RULES.models) == (None, None, "acme-large-2", None)


# ---------------------------------------------------------------------------------------------------- user's rules


def test_a_rule_of_the_user_comes_first(tmp_path: Path) -> None:
    """The same charge is what the user's file says, and says who decided."""
    rules = rules_of(
        tmp_path,
        """
        [[rule]]
        id = "render-farm"
        why = "These machines render films"
        when.usage_type = 'p5\\.48xlarge'
        set = { is_ai = false, driver = "compute", hosting = "cloud" }
    """,
    )
    found = one(H100, rules)
    assert (found[s.IS_AI], found[s.DRIVER], found[s.CLASSIFIED_BY]) == (False, "compute", "render-farm")
    assert rules.digest != RULES.digest == load_rules().digest


def test_rules_can_read_a_tag_and_a_column_of_the_source(tmp_path: Path) -> None:
    """tag.KEY and column.NAME match what Tags and x_SourceColumns hold."""
    rules = rules_of(
        tmp_path,
        """
        [[rule]]
        id = "by-tag"
        why = "tag"
        when."tag.Project" = '^llm-'
        set = { driver = "storage", purpose = "training" }

        [[rule]]
        id = "by-column"
        why = "column"
        when."column.x_ServiceCode" = '^AmazonAI$'
        set = { driver = "ai_platform" }
    """,
    )
    assert one({**PLAIN, s.TAGS: '{"project":"llm-search"}'}, rules)[s.CLASSIFIED_BY] == "by-tag"
    assert one({**PLAIN, s.TAGS: '{"project":"web"}'}, rules)[s.CLASSIFIED_BY] == "general-storage"
    assert one({**PLAIN, s.SOURCE_COLUMNS: '{"x_ServiceCode":"AmazonAI"}'}, rules)[s.CLASSIFIED_BY] == "by-column"


def test_a_fact_of_the_user_comes_first(tmp_path: Path) -> None:
    """A private instance type can be given its accelerator."""
    rules = rules_of(
        tmp_path,
        """
        [[fact]]
        id = "private-cloud"
        why = "our own flavour"
        when.instance_type = '^ai\\.huge$'
        set = { accelerator = "H200-141GB", accelerator_count = 4 }
    """,
    )
    found = one({s.INSTANCE_TYPE: "ai.huge", s.CONSUMED_UNIT: "hours", s.CONSUMED_QUANTITY: Decimal(3)}, rules)
    assert (found[s.ACCELERATOR_MODEL], found[s.ACCELERATOR_HOURS], found[s.DRIVER]) == (
        "H200-141GB",
        12,
        "accelerator",
    )


RULE = "[[rule]]\nid = 'mine'\nwhy = 'w'\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (RULE + "set.driver = 'gpu'", ["rule mine", "set.driver", "accelerator"]),
        (RULE + "set.driver = 'compute'\nwhen.servise = 'x'", ["rule mine", "servise", "usage_type"]),
        (RULE + "set.driver = 'compute'\nwhen.service = '('", ["rule mine", "when.service", "regular expression"]),
        (RULE + "set.driver = 'compute'\ncolour = 1", ["rule mine", "colour", "not known"]),
        (RULE, ["rule mine", "set"]),
        ("[[fact]]\nid = 'f'\nwhy = 'w'\nset.token_direction = 'Sideways'", ["fact f", "set.token_direction"]),
        ("[purposes]\nx = 'fun'", ["purposes", "x"]),
        ("[[model]]\npattern = '('\ndeveloper = 'd'\nfamily = 'f'\nid = 'i'", ["model (", "regular expression"]),
        ("[[model]]\npattern = 'x'\ndeveloper = 'd'\nfamily = 'f'\nid = '{nope}'", ["model x", "nope"]),
        ("[[rule]]\nid = 'bedrock'\nwhy = 'w'\nset.driver = 'compute'", ["bedrock", "classification.toml"]),
        ("not toml", ["not valid TOML"]),
    ],
)
def test_a_wrong_rule_file_is_refused(tmp_path: Path, text: str, words: list[str]) -> None:
    """The error names file, rule and key."""
    with pytest.raises(ConfigError) as error:
        rules_of(tmp_path, text)
    assert all(word in str(error.value) for word in ["rules.toml", *words]), str(error.value)


def test_a_rule_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The error names the missing file."""
    with pytest.raises(ConfigError, match=r"none\.toml"):
        load_rules((tmp_path / "none.toml",))


# ----------------------------------------------------------------------------------------------- shipped tables


def test_the_accelerators_of_the_price_book_are_known() -> None:
    """Each instance type with a price has the same accelerator and count here."""
    offers = pl.read_csv(Path(__file__).parents[2] / "finops/data/gpu_offers.csv", infer_schema=False)
    sold = offers.filter(
        pl.col("provider").is_in(["aws", "azure", "gcp", "lambda"]) & ~pl.col("instance_type").str.contains(r"^n1|TPU")
    )
    for name, model, count in sold.select("instance_type", "accelerator", "accelerator_count").unique().rows():
        found = RULES.accelerators[machine(name)]
        assert (found.model, found.count) == (model, Decimal(count)), name


def test_each_instance_type_stands_once_with_source_and_date() -> None:
    """The accelerator table has no line twice and no line without a source and a date."""
    table = pl.read_csv(Path(__file__).parents[2] / "finops/data/accelerators.csv", infer_schema=False)
    assert table["instance_type"].str.to_lowercase().is_unique().all()
    assert table.filter(pl.any_horizontal(pl.all().is_null() | (pl.all() == ""))).is_empty()
    assert table["date"].str.contains(r"^\d{4}-\d\d-\d\d$").all()


# ------------------------------------------------------------------------------------------- explain, suspected


def test_each_decision_is_explained() -> None:
    """explain names the rule, the fact or the owner behind each column, in words."""
    found = {d.column: d for d in explain(one({**CLAUDE, s.TAGS: '{"team":"search"}'}), RULES)}
    assert (found[s.DRIVER].by, found[s.DRIVER].value) == ("bedrock", "model_api")
    assert found[s.MODEL_ID].by == "bedrock-usage-type-model"
    assert found[s.TOKENS].by == found[s.TOKEN_DIRECTION].by == "input-tokens"
    assert found[s.TEAM].by == "owner"
    assert all(d.why for d in found.values())
    machine = {d.column: d for d in explain(one(H100), RULES)}
    assert machine[s.ACCELERATOR_MODEL].by == machine[s.ACCELERATOR_HOURS].by == "instance-type"
    assert s.MODEL_ID not in machine


def test_explain_tells_what_the_source_said() -> None:
    """A stored value that no rule gives is the source's."""
    found = {d.column: d.by for d in explain(one({**H100, s.HOSTING: "colo", s.TEAM: "research"}), RULES)}
    assert (found[s.HOSTING], found[s.TEAM], found[s.DRIVER]) == (SOURCE, SOURCE, "accelerator")


def test_what_reads_like_ai_and_matched_nothing_is_suspected() -> None:
    """It is listed with its cost, the largest first; what a rule decided is not."""
    cost = {s.BILLING_CURRENCY: "USD", s.BILLED_COST: Decimal(1), s.EFFECTIVE_COST: Decimal(7)}
    rows = classify(
        charges(
            {**PLAIN, **cost},
            {s.SERVICE_NAME: "Acme Neural Rendering", **cost},
            {s.SERVICE_NAME: "Acme Neural Rendering", **cost},
            {s.SERVICE_NAME: "Email", s.CHARGE_DESCRIPTION: "AI add-on", **cost},
            {s.SERVICE_NAME: "Maintained mail", **cost},
            {s.SERVICE_NAME: "AWS Global Accelerator", **cost},
            {**CLAUDE, **cost},
        ),
        RULES, TagKeys(), NO_MAPPINGS,
    )  # fmt: skip
    found = suspected(rows)
    assert found[s.SERVICE_NAME].to_list() == ["Acme Neural Rendering", "Email"]
    assert found[s.EFFECTIVE_COST].to_list() == [14, 7]
    assert found.schema[s.EFFECTIVE_COST] == s.MONEY
