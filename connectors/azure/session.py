"""As whom Azure is asked: an app registration, or whom the SDK finds by itself."""

from pathlib import Path
from typing import Final

from azure.core.credentials import TokenCredential
from azure.identity import ClientSecretCredential, DefaultAzureCredential

from connectors.keys import read_key
from finops.config import Azure
from finops.errors import ConfigError

_PUBLIC_LOGIN: Final = Azure.model_fields["login_url"].default
_SIGN_IN: Final = {"connection_timeout": 10, "read_timeout": 30, "retry_total": 3, "retry_backoff_factor": 0.2}


def credential(azure: Azure, home: Path) -> TokenCredential:
    """The credential of a source: its app registration where it names a secret, else the SDK's usual places.

    A token is asked for by the first request only. Raises ConfigError where the app registration is half named, and as
    `read_key` does.
    """
    if azure.client_secret is None:
        identity = {"managed_identity_client_id": azure.client_id} if azure.client_id else {}
        tenant = {"workload_identity_tenant_id": azure.tenant_id} if azure.tenant_id else {}
        return DefaultAzureCredential(authority=azure.login_url, **identity, **tenant)
    if not (azure.tenant_id and azure.client_id):
        missing = " and ".join(name for name in ("tenant_id", "client_id") if not getattr(azure, name))
        raise ConfigError(
            f"the source has `azure.client_secret`, but no `azure.{missing}`",
            expected="tenant, client and secret of one app registration",
            next_step=f"add {missing} to `azure` of the source in finops.toml, or leave the secret out",
        )
    return ClientSecretCredential(
        azure.tenant_id,
        azure.client_id,
        read_key(azure.client_secret, home),
        authority=azure.login_url,
        disable_instance_discovery=azure.login_url != _PUBLIC_LOGIN,
        **_SIGN_IN,
    )
