"""Which FOCUS service category an AWS product code belongs to.

Source: product codes of AWS bills and price lists; categories of FOCUS 1.4; put together 2026-11-21.
"""

import csv
import re
from functools import cache
from importlib.resources import files
from typing import Final

import polars as pl

_OTHER: Final = "Other/Other (Other)"
_STORAGE: Final = {"AmazonEC2": r"EBS:|VolumeUsage|SnapshotUsage"}
"""Product codes that sell another kind of service under these usage types."""

_CODES: Final = {
    "Amazon Elastic Compute Cloud - Compute": "AmazonEC2", "EC2 - Other": "AmazonEC2",
    "Amazon Elastic Compute Cloud": "AmazonEC2", "Amazon Simple Storage Service": "AmazonS3",
    "Amazon Relational Database Service": "AmazonRDS", "Amazon Elastic Container Service": "AmazonECS",
    "Amazon Elastic Container Service for Kubernetes": "AmazonEKS", "Amazon Elastic Kubernetes Service": "AmazonEKS",
    "Amazon Elastic Container Registry (ECR)": "AmazonECR", "Amazon Elastic File System": "AmazonEFS",
    "Amazon Virtual Private Cloud": "AmazonVPC", "Amazon EC2 Container Registry (ECR)": "AmazonECR",
    "Amazon Simple Queue Service": "AWSQueueService", "Amazon Simple Notification Service": "AmazonSNS",
    "Amazon OpenSearch Service": "AmazonES", "Savings Plans for AWS Compute usage": "ComputeSavingsPlans",
    "Savings Plans for AWS Machine Learning": "MachineLearningSavingsPlans",
}  # fmt: skip
"""Product codes of services that are not called as their code is, by the names of Cost Explorer."""


@cache
def subcategories() -> dict[str, str]:
    """FOCUS service subcategory of each product code."""
    text = (files("connectors.aws") / "services.csv").read_text(encoding="utf-8")
    return {row["product_code"]: row["service_subcategory"] for row in csv.DictReader(text.splitlines())}


def subcategory(product_code: pl.Expr, usage_type: pl.Expr) -> pl.Expr:
    """The FOCUS service subcategory; "Other" for a product that the table does not know."""
    known = product_code.map_batches(
        lambda codes: codes.replace_strict(subcategories(), default=_OTHER, return_dtype=pl.String),
        return_dtype=pl.String,
        is_elementwise=True,
    )
    storage = pl.any_horizontal(
        (product_code == code) & usage_type.str.contains(pattern) for code, pattern in _STORAGE.items()
    )
    transfer = usage_type.str.contains(r"(?:In|Out|Regional|Xfer-\w+)-Bytes$")
    return (
        pl.when(storage)
        .then(pl.lit("Storage/Block Storage"))
        .when((product_code == "AmazonEC2") & transfer)
        .then(pl.lit("Networking/Network Infrastructure"))
        .otherwise(known.fill_null(_OTHER))
    )


@cache
def named_subcategory(service: str) -> str:
    """The FOCUS service subcategory of a service by its name; "Other" for one that the table does not know."""
    if "bedrock edition" in service.lower():
        return "AI and Machine Learning/Generative AI"
    spelled = {_plain(code): known for code, known in subcategories().items()}
    return spelled.get(_plain(_CODES.get(service, service)), _OTHER)


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def category(subcategory: pl.Expr) -> pl.Expr:
    """The FOCUS service category that a subcategory lies in."""
    return subcategory.str.extract(r"^([^/]+)/", 1)
