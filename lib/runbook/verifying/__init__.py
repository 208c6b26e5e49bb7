"""Checking a sealed run: files, sums, signature, journal, summary, report, seals before, approvals.

Each room looks at one of them and returns a line for each thing that is wrong: what, and where. Nothing in
the run's folder is trusted for keys.
"""

from runbook.verifying.verdict import Verification
from runbook.verifying.whole import verify

__all__ = ["Verification", "verify"]
