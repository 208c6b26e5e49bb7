"""The journal: the append-only, hash-chained, fsynced record of one run.

`record` says what a line is and how lines are chained, `codec` turns step results into JSON and back,
`file` keeps the lines in a file, `lock` sees to it that one process at a time writes them.
"""

from runbook.journal.codec import decode, digest, encode
from runbook.journal.file import FileJournal, read_journal
from runbook.journal.lock import driving, is_held
from runbook.journal.record import GENESIS, Kind, Record, verify_chain

__all__ = [
    "GENESIS",
    "FileJournal",
    "Kind",
    "Record",
    "decode",
    "digest",
    "driving",
    "encode",
    "is_held",
    "read_journal",
    "verify_chain",
]
