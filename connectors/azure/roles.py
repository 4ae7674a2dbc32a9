"""What an identity must be allowed to ask Azure's APIs, and how the role is given to it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Needs:
    """What an identity must be allowed: the action in words, a role that allows it, and on which scope."""

    action: str
    role: str
    scope: str


def grant(needs: Needs, caller: str | None) -> str:
    """How to give the role: by az where the scope takes role assignments, in the portal where it is a billing scope."""
    if needs.scope.lower().startswith("/providers/microsoft.billing/"):
        return (
            f"Azure portal, Cost Management + Billing, Access control (IAM) of {needs.scope}: add the identity "
            f"{caller or ''} as {needs.role}".replace("  ", " ")
        )
    role = needs.role.split(" or ")[0]
    return f'az role assignment create --assignee {caller or "<client id>"} --role "{role}" --scope {needs.scope}'
