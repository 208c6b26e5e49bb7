"""Datadog: metrics of the visitors by its query language, objectives, monitors, events."""

from runbook.sandbox.vendors.datadog.emulator import Datadog

PART = Datadog
