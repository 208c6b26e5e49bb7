"""What checking a sealed run came to, in values and in a sentence."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from runbook.values import Value, shown

SealState = Literal["signed", "rehearsed", "unsigned", "not checked"]


class Verification(Value):
    """`wrong` has a line for each thing that is not as it was sealed; `remarks` are worth knowing too.

    `seal` says what the signature proves: *signed* by a listed key; *rehearsed*: by a throw-away key of the
    sandbox; *unsigned*; *not checked*: there is one, and it does not count. `signed_by` is a principal of the
    list of signers; `sealed_at` is the time of the journal's last line.
    """

    run_id: str
    environment: str
    verdict: str
    seal: SealState
    signed_by: str = ""
    fingerprint: str = ""
    sealed_at: datetime | None = None
    files: int
    wrong: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Return whether nothing is wrong; what that is worth is in `sentence`: a run may be unsigned."""
        return not self.wrong

    def sentence(self) -> str:
        """Return what the seal proves."""
        since = f"nothing changed since {shown(self.sealed_at)}"
        if self.seal == "signed":
            return f"signed by {self.signed_by} ({self.fingerprint}); {since}"
        if self.seal == "rehearsed":
            by = f"the sandbox's throw-away key ({self.fingerprint})"
            return f"signed by {by}: {since}, who is not proven"
        if self.seal == "unsigned":
            return (
                "unsigned: its files agree with each other, and whoever can write this folder could have "
                "written all of them anew"
            )
        return "its signature proves nothing; see what is wrong"
