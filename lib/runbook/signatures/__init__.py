"""OpenSSH signatures (`ssh-keygen -Y`), made and checked: who said yes to a plan, who sealed a run.

`armor` reads a signature's text, `openssh` runs the program, `keys` signs, `signers` says whether one counts.
"""

from runbook.signatures.armor import fingerprint
from runbook.signatures.keys import Key, KeyFile, KeyText, OpenKey, ThrowAwayKey
from runbook.signatures.signers import SignedBy, Signers, sandbox_listing, signers_of, with_revoked

APPROVAL = "runbook-approval"
SEAL = "runbook-seal"

__all__ = [
    "APPROVAL",
    "SEAL",
    "Key",
    "KeyFile",
    "KeyText",
    "OpenKey",
    "SignedBy",
    "Signers",
    "ThrowAwayKey",
    "fingerprint",
    "sandbox_listing",
    "signers_of",
    "with_revoked",
]
