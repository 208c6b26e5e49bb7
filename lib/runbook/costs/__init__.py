"""What the rollout costs: charges as vendors and we ourselves tell them, and their month against the plan.

charges.py    one charge, and the bounds of a month
declared.py   what no vendor tells: our own constants, from environment.yaml
month.py      a month's arithmetic: per service, total, alerts, forecast; pure
"""

from runbook.costs.charges import Charge, Source, month_bounds
from runbook.costs.declared import read_declared
from runbook.costs.month import MonthCosts, ServiceCost, month_costs

__all__ = [
    "Charge",
    "MonthCosts",
    "ServiceCost",
    "Source",
    "month_bounds",
    "month_costs",
    "read_declared",
]
