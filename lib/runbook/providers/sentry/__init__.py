"""Sentry: releases and deploys told to it, errors counted by release, issues that a release has brought.

Source: Sentry's Web API. A release may be created twice (208), a deploy counts each time: it is looked for by
its name first. Errors are found about a minute after they happened, and only those that the SDK sent.
"""

from runbook.providers.sentry.api import API
from runbook.providers.sentry.errors import (
    SETTLED_S,
    Errors,
    Issue,
    Point,
    read_error_counts,
    read_error_series,
    read_new_issues,
)
from runbook.providers.sentry.releases import (
    Deploy,
    Release,
    apply_deploy,
    apply_release,
    read_deploys,
    read_release,
)

__all__ = [
    "API",
    "SETTLED_S",
    "Deploy",
    "Errors",
    "Issue",
    "Point",
    "Release",
    "apply_deploy",
    "apply_release",
    "read_deploys",
    "read_error_counts",
    "read_error_series",
    "read_new_issues",
    "read_release",
]
