"""Which FOCUS service category an Azure meter belongs to, and which region a place is.

Source: meter categories of Azure bills and of the Azure Retail Prices API, meter regions of Azure bills; service
categories of the FinOps toolkit's data (MIT, commit 04d370f of 2026-05-20) and FOCUS 1.4; put together 2026-11-21.
"""

import csv
from functools import cache
from importlib.resources import files
from typing import Final

import polars as pl

_OTHER: Final = "Other/Other (Other)"
COMPUTE: Final = "Compute/Virtual Machines"
_MODELS: Final = "AI and Machine Learning/Generative AI"
_PART_OF: Final = {
    ("storage", r"(?i)disk|page blob"): "Storage/Block Storage",
    ("storage", r"(?i)^files|azure files"): "Storage/File Storage",
    ("cognitive services", r"(?i)^(?:azure )?openai"): _MODELS,
}  # fmt: skip
"""Meter categories that sell several kinds of service, by meter category and pattern of the subcategory."""
AZURE_OPENAI: Final = "Azure OpenAI"


@cache
def _table(file: str) -> dict[str, str]:
    text = (files("connectors.azure") / file).read_text(encoding="utf-8")
    return {key.lower(): value for key, value in list(csv.reader(text.splitlines()))[1:]}


def name(category: pl.Expr, subcategory: pl.Expr, *others: pl.Expr) -> pl.Expr:
    """ServiceName: Azure OpenAI of Cognitive Services, else the meter category, else the first of others."""
    known = pl.when(~category.str.to_lowercase().is_in(["unassigned", "saas"])).then(category)
    openai = (category.str.to_lowercase() == "cognitive services") & subcategory.str.contains("(?i)^(?:azure )?openai")
    return pl.when(openai).then(pl.lit(AZURE_OPENAI)).otherwise(pl.coalesce(known, *others, pl.lit("Azure")))


def subcategory(category: pl.Expr, meter_subcategory: pl.Expr) -> pl.Expr:
    """ServiceSubcategory as `Category/Subcategory`; "Other" for a meter category that the table does not know."""
    key = category.str.to_lowercase()
    parts = [
        pl.when((key == service) & meter_subcategory.str.contains(pattern)).then(pl.lit(found))
        for (service, pattern), found in _PART_OF.items()
    ]
    return pl.coalesce(*parts, _looked_up(key, "services.csv"), pl.lit(_OTHER))


def category(subcategory: pl.Expr) -> pl.Expr:
    """The FOCUS service category that a subcategory lies in."""
    return subcategory.str.extract(r"^([^/]+)/", 1)


def region(place: pl.Expr) -> pl.Expr:
    """The region id of a place: `EastUS2`, `East US 2` and, as meters have it, `US East 2` are `eastus2`."""
    said = place.str.to_lowercase().str.replace_all(r"[\s-]", "")
    known = _looked_up(said, "regions.csv")
    nowhere = ["unassigned", "unknown", "notapplicable", "n/a", "allregions", "intercontinental"]
    return pl.coalesce(known, pl.when(~said.is_in(nowhere)).then(said))


def _looked_up(key: pl.Expr, file: str) -> pl.Expr:
    return key.map_batches(
        lambda keys: keys.replace_strict(_table(file), default=None, return_dtype=pl.String),
        return_dtype=pl.String,
        is_elementwise=True,
    )
