"""Steps that read what anybody may read, though it looks like a secret."""

import pandas as pd

from runbook.step import Step
from runbook.summary import Conclusion, Number
from runbook.values import Check

DKIM = (
    "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwr1eUr1nZ0VqfzJ0m7S8hI0u5tqVYQ0"
    "F3xk2bR9yQ1c7m2T4oVhJk8dL6sWnXa5pEeGtUiBzCvHyNfOjDqPlMgKwSrTxYuIoZaQbVcXdWeRfTgYhUjIkOlPmNnBbVvCcXx"
    "ZzLlKkJjHhGgFfDdSsAaPpOoIiUuYyTtRrEeWwQqIDAQAB"
)
VERIFICATION = "google-site-verification=rXOxyZounnZasA8Z7oaD3c14JdjS9aKSWvsR1EbUSIQ"
RECORDS = {
    "google._domainkey": DKIM,
    "@": VERIFICATION,
    "_vercel": "vc-domain-verify=omnihub.dev,3f9c1a7b5e2d4c6f8a0b",
    "_dmarc": "v=DMARC1; p=reject; rua=mailto:dmarc@omnihub.dev",
}


def read_records(step: Step) -> dict[str, str]:
    step.evidence("zone.txt", "\n".join(RECORDS.values()))
    return RECORDS


def compare_records(step: Step, records: dict[str, str]) -> list[Check]:
    return [
        Check.of(name, holds=text == RECORDS[name], observed=text, expected=RECORDS[name])
        for name, text in records.items()
    ]


def read_table(step: Step) -> pd.DataFrame:
    return pd.DataFrame({"name": list(RECORDS), "value": list(RECORDS.values())})


def conclude(step: Step, records: dict[str, str]) -> Conclusion:
    count = Number(title="records", value=float(len(records)), unit="")
    return Conclusion(verdict=f"Published: {records['google._domainkey']}", numbers={"records": count})
