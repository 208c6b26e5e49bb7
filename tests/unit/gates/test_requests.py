"""What is signed: the same bytes for the same content, all of it shown, all of it bound."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from runbook.gates.requests import Approval, Request, Signature, Statement
from runbook.journal import decode, encode
from tests.unit.gates.test_approvals import LATER, NOW, REQUEST


def test_the_same_content_has_the_same_bytes():
    """Key order and time zone do not matter; the journal gives back what digests alike."""
    elsewhere = REQUEST.model_copy(update={"params": dict(reversed(REQUEST.params.items()))})
    assert elsewhere.content() == REQUEST.content()
    there = REQUEST.requested_at.astimezone(timezone(timedelta(hours=5)))
    assert Request(**{**dict(REQUEST), "requested_at": there}).digest == REQUEST.digest
    assert decode(encode(REQUEST)).digest == REQUEST.digest
    assert Request.model_validate_json(REQUEST.content()) == REQUEST


def test_any_field_changes_the_digest():
    """Nothing of a request is left out of what is signed."""
    for name in Request.model_fields:
        changed = REQUEST.model_copy(update={name: ()} if name == "changes" else {name: _other(name)})
        assert changed.digest != REQUEST.digest


def _other(name):
    value = getattr(REQUEST, name)
    if isinstance(value, datetime):
        return value + timedelta(microseconds=1)
    return {"x": 1} if isinstance(value, dict) else value * 2


def test_a_signer_is_shown_all_of_it():
    """Every text and number of a request stands in what `runbook approve` shows, each change in full."""
    shown = repr(REQUEST)
    line = REQUEST.changes[0]
    for text in (*dict(line).values(), REQUEST.run_id, REQUEST.requester, REQUEST.environment, "x.dev"):
        assert text in shown
    assert "2026-03-02 12:00:00" in shown
    assert "1 of tech_lead, cto" in shown


def test_markup_in_a_request_stays_text():
    """A sentence that comes from a vendor's record is escaped in a notebook."""
    hostile = REQUEST.model_copy(update={"title": "<script>"})
    assert "<script>" not in hostile._repr_html_()


def test_text_of_others_cannot_steer_the_signers_terminal():
    """A record that moves the cursor, turns text around or breaks a line is shown by its numbers."""
    line = REQUEST.changes[0].model_copy(update={"after": "ttl 300 s\x1b[8m\nchange 2  harmless\u202e"})
    shown = repr(REQUEST.model_copy(update={"changes": (line,)}))
    assert "ttl 300 s⟨U+001B⟩[8m⟨U+000A⟩change 2  harmless⟨U+202E⟩" in shown
    assert "\x1b" not in shown


def test_a_time_without_a_zone_is_refused():
    """Times on record are UTC."""
    with pytest.raises(ValidationError):
        Request(**{**dict(REQUEST), "requested_at": datetime(2026, 1, 1)})  # noqa: DTZ001


def test_a_statement_reads_back_as_it_was_signed():
    """`as` in the file, `role` in code; unknown fields are refused."""
    said = Statement(
        request_sha256="f" * 64,
        run_id="r1",
        plan_digest="d" * 64,
        role="cto",
        principal="bob@x",
        says="approve",
        signed_at=NOW,
    )
    assert json.loads(said.content())["as"] == "cto"
    assert Statement.model_validate_json(said.content()) == said
    with pytest.raises(ValidationError):
        Statement.model_validate(json.loads(said.content()) | {"more": 1})


def test_an_approval_is_recorded_and_told():
    """It survives the journal, and says who signed when with which key."""
    signature = Signature(role="tech_lead", principal="ada@x", fingerprint="SHA256:k", signed_at=LATER)
    approval = Approval(request=REQUEST, signatures=(signature,))
    assert decode(encode(approval)) == approval
    assert approval.break_glass == ""
    assert "ada@x at 2026-03-01 13:00:00 UTC with SHA256:k" in repr(approval)
    assert signature.signed_at.tzinfo == UTC
