"""Cloudflare: zones, DNS records that its nameservers in the sandbox answer with, certificates, rulesets."""

from runbook.sandbox.vendors.cloudflare.emulator import Cloudflare

PART = Cloudflare
