"""Upstash: a database over REST, backed by a real Valkey where the world has one, and its bill."""

from runbook.sandbox.vendors.upstash.emulator import Upstash

PART = Upstash
