"""Which FOCUS service category a service of Google Cloud belongs to.

Our own table of 2026-11-21: names of services as bills have them, as far as known; categories of FOCUS 1.4.
"""

from typing import Final

import polars as pl

_OTHER: Final = "Other/Other (Other)"
_SUBCATEGORIES: Final = {
    "AI and Machine Learning/AI Platforms": ("Vertex AI", "Cloud Machine Learning Engine", "Agent Builder"),
    "AI and Machine Learning/Generative AI": (
        "Gemini API", "Generative Language API", "Gemini for Google Cloud", "Cloud AI Companion API",
    ),
    "AI and Machine Learning/Machine Learning": (
        "Cloud Vision API", "Cloud AutoML", "Cloud Video Intelligence API", "Recommendations AI", "Vertex AI Vision",
    ),
    "AI and Machine Learning/Natural Language Processing": (
        "Cloud Natural Language", "Cloud Natural Language API", "Cloud Speech API", "Cloud Text-to-Speech API",
        "Cloud Translation API", "Translate", "Cloud Document AI API", "Vertex AI Search",
    ),
    "AI and Machine Learning/Bots": ("Dialogflow", "Dialogflow API"),
    "Analytics/Data Processing": ("Cloud Dataflow", "Cloud Dataproc", "Cloud Data Fusion", "Cloud Dataprep"),
    "Analytics/Business Intelligence": ("Looker", "Looker Studio"),
    "Compute/Virtual Machines": ("Compute Engine", "Bare Metal Solution", "VMware Engine", "Cloud TPU"),
    "Compute/Containers": ("Kubernetes Engine", "Cloud Run", "Artifact Registry", "Container Registry", "Anthos"),
    "Compute/Serverless Compute": ("Cloud Functions", "Cloud Run Functions", "App Engine"),
    "Databases/Data Warehouses": ("BigQuery", "BigQuery Reservation API", "BigQuery Storage API", "BigQuery BI Engine"),
    "Databases/Relational Databases": ("Cloud SQL", "Cloud Spanner", "AlloyDB"),
    "Databases/NoSQL Databases": ("Cloud Bigtable", "Cloud Firestore", "Cloud Datastore", "Firebase Realtime Database"),
    "Databases/Caching": ("Cloud Memorystore for Redis", "Cloud Memorystore for Memcached"),
    "Developer Tools/Continuous Integration and Deployment": ("Cloud Build", "Cloud Deploy"),
    "Developer Tools/Source Code Management": ("Source Repository", "Cloud Source Repositories"),
    "Developer Tools/Development Environments": ("Notebooks", "Cloud Workstations"),
    "Integration/Messaging": ("Cloud Pub/Sub", "Cloud Tasks"),
    "Integration/Workflow Orchestration": ("Cloud Composer", "Workflows", "Cloud Scheduler"),
    "Integration/API Management": ("Apigee", "API Gateway", "Cloud Endpoints"),
    "Management and Governance/Observability": (
        "Cloud Logging", "Cloud Monitoring", "Stackdriver Logging", "Stackdriver Monitoring", "Cloud Trace",
    ),
    "Management and Governance/Support": ("Support", "Customer Care"),
    "Networking/Network Infrastructure": ("Networking", "Cloud NAT"),
    "Networking/Network Connectivity": ("Cloud Interconnect", "Cloud VPN", "Network Connectivity Center"),
    "Networking/Network Routing": ("Cloud DNS",),
    "Networking/Content Delivery": ("Cloud CDN", "Media CDN"),
    "Networking/Network Security": ("Cloud Armor", "Cloud IDS"),
    "Security/Security Posture Management": ("Security Command Center",),
    "Security/Secret Management": ("Secret Manager", "Cloud Key Management Service (KMS)"),
    "Identity/Identity and Access Management": ("Identity Platform", "Cloud Identity"),
    "Storage/Object Storage": ("Cloud Storage",),
    "Storage/File Storage": ("Cloud Filestore", "Filestore", "Managed Lustre"),
    "Storage/Backup Storage": ("Backup and DR Service", "Backup for GKE"),
}  # fmt: skip
_BY_NAME: Final = {name: sub for sub, names in _SUBCATEGORIES.items() for name in names}
_STORAGE: Final = r"(?i)\b(?:PD Capacity|Storage (?:PD|Image)|Hyperdisk|Snapshot|Local SSD)"
_NETWORK: Final = r"(?i)\bnetwork\b.*\b(?:egress|ingress|transfer)|\bdata transfer\b"


def subcategory(service: pl.Expr, sku: pl.Expr) -> pl.Expr:
    """The FOCUS service subcategory; "Other" for a service that the table does not know.

    Compute Engine also sells disks and traffic: its SKUs tell.
    """
    known = service.map_batches(
        lambda names: names.replace_strict(_BY_NAME, default=_OTHER, return_dtype=pl.String),
        return_dtype=pl.String,
        is_elementwise=True,
    )
    machines = service == "Compute Engine"
    return (
        pl.when(machines & sku.str.contains(_STORAGE)).then(pl.lit("Storage/Block Storage"))
        .when(machines & sku.str.contains(_NETWORK)).then(pl.lit("Networking/Network Infrastructure"))
        .otherwise(known.fill_null(_OTHER))
    )  # fmt: skip
