"""Sentry: releases and deploys that are told to it, errors as the visitors meet them."""

from runbook.sandbox.vendors.sentry.emulator import Sentry

PART = Sentry
