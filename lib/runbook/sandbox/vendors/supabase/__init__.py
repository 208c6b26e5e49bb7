"""Supabase: a project whose database is the world's real PostgreSQL, where that runs."""

from runbook.sandbox.vendors.supabase.emulator import Supabase

PART = Supabase
