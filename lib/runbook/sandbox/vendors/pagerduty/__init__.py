"""PagerDuty: schedules that rotate on the world's clock, events that become incidents."""

from runbook.sandbox.vendors.pagerduty.emulator import PagerDuty

PART = PagerDuty
