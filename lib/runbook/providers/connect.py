"""From a step and environment.yaml to a session with a vendor: addresses, secrets, clock, record."""

from __future__ import annotations

from runbook.errors import InputError
from runbook.plan.environment import Vendor
from runbook.providers.dialect import Dialect
from runbook.providers.http import Http
from runbook.providers.lines import Line
from runbook.providers.request import CallEvent
from runbook.step import Step


def connect(step: Step, dialect: Dialect) -> Http:
    """Return a session on the step's clock and record; where the vendor has no address, the sandbox answers.

    Raises InputError when environment.yaml does not name an address or a secret that the client needs.
    """
    vendor = step.environment().vendor(dialect.vendor)
    secrets = _secrets(step, dialect, vendor)

    def hear(event: CallEvent) -> None:
        step.remark(event.sentence())

    return Http(
        dialect=dialect,
        base_url=_address(step, dialect, vendor, secrets),
        clock=step.clock,
        secrets=secrets,
        timeout_s=vendor.timeout_s,
        hear=hear,
        keep=step.evidence if step.keeps_evidence else None,
        line=_line(step),
    )


def _line(step: Step) -> Line | None:
    """Return the connections that all sessions of a step share, where it keeps any."""
    if step.held is None:
        return None
    if not isinstance(line := step.held.get(Line), Line):
        line = step.held[Line] = Line()
    return line


def vendor_id(step: Step, vendor: str, name: str) -> str:
    """Return a vendor's own id of one of our things, from environment.yaml."""
    return step.environment().vendor(vendor).id(name)


def _secrets(step: Step, dialect: Dialect, vendor: Vendor) -> dict[str, str]:
    wanted = dict.fromkeys([*dialect.secrets, *([dialect.secret_url] if dialect.secret_url else [])])
    if vendor.base_url is None:
        given = step.rehearsal().secrets.get(dialect.vendor, {})
        return {name: given[name] for name in wanted}
    missing = [name for name in wanted if name not in vendor.secret_variables]
    if missing:
        raise InputError(
            f"{dialect.vendor} needs the secret {missing[0]}: name its environment variable in "
            f"params/{step.environment().name}/environment.yaml under "
            f"`vendors: {dialect.vendor}: secret_variables: {missing[0]}`"
        )
    return {name: step.secret(vendor.secret_variables[name]) for name in wanted}


def _address(step: Step, dialect: Dialect, vendor: Vendor, secrets: dict[str, str]) -> str:
    if vendor.base_url is None:
        return f"{step.rehearsal().url}{secrets[dialect.secret_url] if dialect.secret_url else dialect.mount}"
    if dialect.secret_url:
        return secrets[dialect.secret_url]
    if not dialect.url:
        return vendor.base_url
    if dialect.url not in vendor.urls:
        raise InputError(
            f"{dialect.vendor} has another address for {dialect.url}: write it into "
            f"params/{step.environment().name}/environment.yaml under "
            f"`vendors: {dialect.vendor}: urls: {dialect.url}`"
        )
    return vendor.urls[dialect.url]
