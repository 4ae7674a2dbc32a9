"""Which FOCUS service category a service of Oracle Cloud belongs to.

Our own table of 2026-11-21: values of product/service, as far as known; categories of FOCUS 1.4.
"""

from typing import Final

import polars as pl

_OTHER: Final = "Other/Other (Other)"
_SUBCATEGORIES: Final = {
    "AI and Machine Learning/Generative AI": ("GENERATIVE_AI", "GENERATIVE_AI_AGENT"),
    "AI and Machine Learning/Machine Learning": ("DATA_SCIENCE", "ANOMALY_DETECTION", "AI_VISION", "AI_DOCUMENT"),
    "AI and Machine Learning/Natural Language Processing": ("AI_LANGUAGE", "AI_SPEECH"),
    "AI and Machine Learning/Bots": ("DIGITAL_ASSISTANT",),
    "Analytics/Data Processing": ("DATA_FLOW", "BIG_DATA", "DATA_INTEGRATION"),
    "Analytics/Business Intelligence": ("ANALYTICS",),
    "Analytics/Streaming Analytics": ("STREAMING", "STREAMING_SERVICE"),
    "Analytics/Search": ("OPENSEARCH",),
    "Compute/Virtual Machines": ("COMPUTE",),
    "Compute/Containers": ("CONTAINER_ENGINE", "KUBERNETES", "OCIR", "CONTAINER_REGISTRY", "CONTAINER_INSTANCES"),
    "Compute/Serverless Compute": ("FUNCTIONS",),
    "Databases/Relational Databases": ("DATABASE", "MYSQL", "POSTGRESQL", "AUTONOMOUS_DATABASE", "EXADATA"),
    "Databases/NoSQL Databases": ("NOSQL", "NOSQL_DATABASE"),
    "Databases/Caching": ("REDIS", "CACHE"),
    "Integration/API Management": ("API_GATEWAY",),
    "Integration/Messaging": ("QUEUE", "NOTIFICATIONS", "ONS"),
    "Integration/Other (Integration)": ("INTEGRATION", "INTEGRATION_CLOUD"),
    "Management and Governance/Observability": ("TELEMETRY", "LOGGING", "MONITORING", "APM", "LOGGING_ANALYTICS"),
    "Networking/Network Infrastructure": ("NETWORK", "VIRTUAL_CLOUD_NETWORK"),
    "Networking/Application Networking": ("LOAD_BALANCER", "LBAAS"),
    "Networking/Network Connectivity": ("FAST_CONNECT", "FASTCONNECT"),
    "Networking/Network Routing": ("DNS",),
    "Networking/Network Security": ("WAF", "NETWORK_FIREWALL"),
    "Security/Secret Management": ("KMS", "VAULT", "KEY_MANAGEMENT"),
    "Storage/Block Storage": ("BLOCK_STORAGE",),
    "Storage/Object Storage": ("OBJECT_STORAGE", "OBJECTSTORE"),
    "Storage/File Storage": ("FILE_STORAGE",),
}  # fmt: skip
_BY_NAME: Final = {name.replace("_", ""): sub for sub, names in _SUBCATEGORIES.items() for name in names}


def subcategory(service: pl.Expr) -> pl.Expr:
    """The FOCUS service subcategory; "Other" for a service that the table does not know."""
    return (
        service.str.to_uppercase()
        .str.replace_all(r"[\s_]", "")
        .str.strip_prefix("ORACLE")
        .map_batches(
            lambda names: names.replace_strict(_BY_NAME, default=_OTHER, return_dtype=pl.String),
            return_dtype=pl.String,
            is_elementwise=True,
        )
        .fill_null(_OTHER)
    )
