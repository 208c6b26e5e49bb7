"""Namecheap: one path for every command, replies in XML, refusals inside HTTP 200, HTTP 405 for too many."""

from runbook.sandbox.vendors.namecheap.emulator import Namecheap

PART = Namecheap
