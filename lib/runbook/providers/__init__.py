"""The vendors' clients: http.py holds the one session, and there is one file per vendor.

    dialect.py   how a vendor says yes, no and later: its headers, envelopes and limits
    http.py      the one session: timeouts, retries, limits, redaction, evidence
    lines.py     its connections, or those that the sessions of a step share
    paging.py    lists that come in pages
    shape.py     replies parsed strictly
    connect.py   from a step and environment.yaml to a session

`read_*` has no effect, `apply_*` changes. Each takes the step first, so a notebook hands it to a verb.
"""
