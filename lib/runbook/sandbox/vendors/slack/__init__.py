"""Slack: channels and what was posted to them by bot or webhook; failures come as HTTP 200."""

from runbook.sandbox.vendors.slack.emulator import Slack

PART = Slack
