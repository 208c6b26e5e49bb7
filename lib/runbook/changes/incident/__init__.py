"""The steps of the incident `high_error_rate` as its notebook calls them, in their order.

picture.py     what is seen
finding.py     what it points to
going_back.py  the way back, whether it helped, and the end
"""

from runbook.changes.incident.finding import Finding, diagnose, way_would_help
from runbook.changes.incident.going_back import conclude, errors_are_down, plan_way
from runbook.changes.incident.picture import Order, Picture, look_around

__all__ = [
    "Finding",
    "Order",
    "Picture",
    "conclude",
    "diagnose",
    "errors_are_down",
    "look_around",
    "plan_way",
    "way_would_help",
]
