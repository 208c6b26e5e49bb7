"""Vercel: domains and their records, a project and its deployments, rolling releases, rollback.

api.py          the team in every call, pages by time, effects that are looked for
records.py      DNS records, and what the nameservers are to answer
domains.py      domains, how names lead to Vercel, nameservers of those bought there
projects.py     what serves production, whether builds go live by themselves
deployments.py  builds
releases.py     rolling releases: stages to come, the release under way
moving.py       rollback and promote
charges.py      the bill
"""

from runbook.providers.vercel.charges import read_charges
from runbook.providers.vercel.deployments import (
    Deployment,
    apply_cancel,
    apply_deployment,
    apply_rebuild,
    read_build,
    read_deployment,
    read_deployments,
    read_rollback_candidates,
)
from runbook.providers.vercel.domains import (
    Domain,
    Leading,
    ProjectDomain,
    apply_nameservers,
    read_domain,
    read_domains,
    read_leading,
    read_project_domain,
    read_project_domains,
)
from runbook.providers.vercel.moving import Moved, apply_promotion, apply_rollback
from runbook.providers.vercel.projects import Move, Project, apply_auto_assign, read_project
from runbook.providers.vercel.records import (
    Record,
    Retimed,
    above,
    apply_record,
    apply_removal,
    apply_ttls,
    read_records,
    served,
)
from runbook.providers.vercel.releases import (
    Release,
    Slots,
    Stages,
    apply_release_complete,
    apply_release_start,
    apply_stage,
    apply_stages,
    apply_stages_off,
    read_release,
    read_release_slots,
    read_stages,
)

__all__ = [
    "Deployment",
    "Domain",
    "Leading",
    "Move",
    "Moved",
    "Project",
    "ProjectDomain",
    "Record",
    "Release",
    "Retimed",
    "Slots",
    "Stages",
    "above",
    "apply_auto_assign",
    "apply_cancel",
    "apply_deployment",
    "apply_nameservers",
    "apply_promotion",
    "apply_rebuild",
    "apply_record",
    "apply_release_complete",
    "apply_release_start",
    "apply_removal",
    "apply_rollback",
    "apply_stage",
    "apply_stages",
    "apply_stages_off",
    "apply_ttls",
    "read_build",
    "read_charges",
    "read_deployment",
    "read_deployments",
    "read_domain",
    "read_domains",
    "read_leading",
    "read_project",
    "read_project_domain",
    "read_project_domains",
    "read_records",
    "read_release",
    "read_release_slots",
    "read_rollback_candidates",
    "read_stages",
    "served",
]
