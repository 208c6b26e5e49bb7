"""Registrars: who is told which nameservers a domain has. One interface, one file for each of them.

    interface.py   what a registrar can do, and the values it is spoken of in
    namecheap.py   godaddy.py   vercel.py (over Vercel's client)
    manual.py      no API: a person is told exactly what to do
    book.py        a yes is believed once the registrar shows it
    choosing.py    the one that environment.yaml names; the functions that runbooks hand to verbs

    before = read_nameservers(step, zone="omnihub.dev")
    handed = apply_nameservers(step, zone="omnihub.dev", nameservers=assigned)
    proof = read_published(step, zone="omnihub.dev", nameservers=assigned)

A registrar's yes is its own book's; only the parent zone tells what the world is sent to (`read_published`).
The way back is the same call with the old names, and the world's caches are as slow on it.
"""

from runbook.providers.registrars.choosing import (
    apply_nameservers,
    network_of,
    read_losses,
    read_nameservers,
    read_published,
)
from runbook.providers.registrars.interface import Handed, Loss, Nameservers, Published, Registrar

__all__ = [
    "Handed",
    "Loss",
    "Nameservers",
    "Published",
    "Registrar",
    "apply_nameservers",
    "network_of",
    "read_losses",
    "read_nameservers",
    "read_published",
]
