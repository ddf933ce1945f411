"""The default of every policy rule, under the names that Cinder gave them."""

from oslo_policy.policy import RuleDefault

ADMIN = "rule:admin_api"
MEMBER = "rule:admin_or_project_member"
READER = "rule:admin_or_project_reader"

BASE = {
    "admin_api": "is_admin:True or (role:admin and is_admin_project:True)",
    "admin_or_project_member": ("rule:admin_api or (role:member and project_id:%(project_id)s)"),
    "admin_or_project_reader": (
        "rule:admin_api or ((role:reader or role:member) and project_id:%(project_id)s)"
    ),
}
"""What the others refer to."""

RULES: dict[str, str] = {}
"""By name; what it guards is said where a view asks for it."""


def rules() -> list[RuleDefault]:
    """The defaults, as oslo.policy takes them."""
    return [RuleDefault(name, check) for name, check in (BASE | RULES).items()]
