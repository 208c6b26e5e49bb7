"""Vercel: a zone and its records, a project and its deployments, rolling releases, rollback."""

from runbook.sandbox.vendors.vercel.emulator import Vercel

PART = Vercel
