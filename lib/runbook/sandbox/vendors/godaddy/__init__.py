"""GoDaddy: domains by JSON; accounts without API access, protected domains, waits told in the body."""

from runbook.sandbox.vendors.godaddy.emulator import GoDaddy

PART = GoDaddy
