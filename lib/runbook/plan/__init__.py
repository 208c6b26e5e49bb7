"""params/*.yaml as frozen, validated values: the rollout plan, environments, drills, and secrets by name."""

from runbook.plan.environment import Database, Environment, Postgres
from runbook.plan.gates import BreakGlass, Freeze, Gates, Person
from runbook.plan.invariants import Freshness, Invariant
from runbook.plan.loading import (
    environments,
    known_secrets,
    load_environment,
    load_plan,
    load_scenarios,
    project_root,
)
from runbook.plan.organisation import SignatureRule
from runbook.plan.rollout import RolloutPlan
from runbook.plan.scenarios import Expected, First, Played, Scenario, Scenarios
from runbook.plan.secrets import Secrets

__all__ = [
    "BreakGlass",
    "Database",
    "Environment",
    "Expected",
    "First",
    "Freeze",
    "Freshness",
    "Gates",
    "Invariant",
    "Person",
    "Played",
    "Postgres",
    "RolloutPlan",
    "Scenario",
    "Scenarios",
    "Secrets",
    "SignatureRule",
    "environments",
    "known_secrets",
    "load_environment",
    "load_plan",
    "load_scenarios",
    "project_root",
]
