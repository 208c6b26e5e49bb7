"""Secrets are told from plain values, handed out by name only, and masked in every form they may take."""

import base64
import copy
import html
import json
import pickle
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.errors import InputError
from runbook.plan import Environment, Secrets
from runbook.plan.secrecy import secret_shape, shown_safely, smells_secret

HEX = "0123456789abcdef" * 4


def environment(*names, dsn=None):
    databases = {"omnihub": {"dsn_variable": dsn}} if dsn else {}
    return Environment.model_validate(
        {
            "name": "sandbox",
            "says": "x",
            "default_mode": "apply",
            "secret_variables": names,
            "databases": databases,
        }
    )


def secrets(**values):
    return Secrets(environment(*values), environ=values)


def test_a_secret_is_handed_out_by_its_name():
    """`value` gives a named variable's value, and `in` says whether it is set."""
    held = secrets(API="correct horse")
    assert held.value("API") == "correct horse"
    assert "API" in held
    assert "OTHER" not in held


@pytest.mark.parametrize("environ", [{}, {"API": ""}])
def test_a_secret_that_is_not_set_is_an_input_error_that_names_it(environ):
    """A missing or empty variable stops the run before anything happens, with the variable's name."""
    with pytest.raises(InputError, match="the environment variable API is not set"):
        Secrets(environment("API"), environ=environ).value("API")


def test_only_named_variables_are_read():
    """A variable that the environment does not name is not handed out, though it is set."""
    with pytest.raises(
        InputError, match=r"OTHER is not among the secret variables of this environment \(API\)"
    ):
        Secrets(environment("API"), environ={"API": "x" * 9, "OTHER": "y" * 9}).value("OTHER")


def test_the_process_environment_is_the_default(monkeypatch):
    """Without `environ` the values come from the process, and those read once stay."""
    monkeypatch.setenv("RUNBOOK_TEST_API", "correct horse")
    held = Secrets(environment("RUNBOOK_TEST_API"))
    monkeypatch.delenv("RUNBOOK_TEST_API")
    assert held.value("RUNBOOK_TEST_API") == "correct horse"


def test_a_dsn_is_a_secret_of_its_own_accord():
    """A database's variable need not be listed again, and the password inside a DSN is masked too."""
    dsn = "postgresql://runner:p%40ss-phrase@db.example/omnihub"
    held = Secrets(environment(dsn="OMNIHUB_DSN"), environ={"OMNIHUB_DSN": dsn})
    assert held.value("OMNIHUB_DSN") == dsn
    assert held.mask(f"cannot reach {dsn}") == "cannot reach [OMNIHUB_DSN]"
    assert held.mask("password p@ss-phrase was refused") == "password [OMNIHUB_DSN] was refused"
    assert held.mask("?password=p%40ss-phrase&x") == "?password=[OMNIHUB_DSN]&x"


def test_the_password_of_a_keyword_dsn_is_masked_by_itself():
    """libpq's `key=value` form, quoted or not, hides its password too."""
    quoted = Secrets(environment("D"), environ={"D": r"host=x password='two words\'s' user=y"})
    assert quoted.mask("two words's is wrong") == "[D] is wrong"
    plain = Secrets(environment("D"), environ={"D": "host=x password=longenough user=y"})
    assert plain.mask("longenough is wrong") == "[D] is wrong"


SHAPES = ["correct horse", 'qu"ote\\back<&>', "a+b/c=d?e&f g", "pässwörd-ünïcode", "trailing newline\n"]


@pytest.mark.parametrize("value", SHAPES)
@pytest.mark.parametrize(
    "encode",
    [
        str,
        lambda value: base64.b64encode(value.encode()).decode(),
        lambda value: base64.urlsafe_b64encode(value.encode()).decode().rstrip("="),
        lambda value: quote(value, safe=""),
        lambda value: quote(value, safe="").lower() if "%" in quote(value, safe="") else value,
        quote,
        quote_plus,
        json.dumps,
        lambda value: json.dumps(value, ensure_ascii=False),
        html.escape,
    ],
    ids=[
        "plain",
        "base64",
        "base64url",
        "url",
        "url lower",
        "url path",
        "url plus",
        "json",
        "json utf-8",
        "html",
    ],
)
def test_every_form_of_a_secret_is_masked(value, encode):
    """Plain, base64, URL, JSON and HTML forms are replaced by the variable's name, and are found."""
    held = secrets(API=value)
    text = f"before {encode(value)} after"
    masked = held.mask(text)
    assert "[API]" in masked
    assert value.strip() not in masked
    assert encode(value).strip('"=') not in masked
    assert held.found_in(text) == ["API"]
    assert held.found_in(masked) == []


@pytest.mark.parametrize("before", ["", "u", "us", "user"])
def test_a_secret_inside_a_basic_header_is_masked(before):
    """base64 of `user:secret` holds no base64 of the secret alone; it is masked at any offset."""
    header = base64.b64encode(f"{before}:correct-horse-battery:x".encode()).decode()
    masked = secrets(API="correct-horse-battery").mask(f"Basic {header}")
    assert "[API]" in masked
    rest = masked.removeprefix("Basic ").partition("[API]")
    assert len(rest[0]) + len(rest[2]) <= len(header) - 24


def test_a_key_of_many_lines_is_masked_line_by_line():
    """A notebook splits a private key over lines; each is masked, and its head and foot may stay."""
    lines = [
        "-----BEGIN PRIVATE KEY-----",
        "MIIEvQIBADANBgkqhkiG9w0",
        "BAQEFAASCBKcwggSjAgEAAo",
        "-----END PRIVATE KEY-----",
    ]
    masked = secrets(KEY="\n".join(lines) + "\n").mask("  ".join(lines))
    assert masked == f"{lines[0]}  [KEY]  [KEY]  {lines[3]}"


def test_short_values_are_left_and_told():
    """Seven characters would harm ordinary text if they were masked; `unmasked` names the variable."""
    held = secrets(SHORT="postgre", LONG="postgres")
    assert held.mask("a postgre or a postgres") == "a postgre or a [LONG]"
    assert held.unmasked == ("SHORT",)


def test_the_longer_secret_goes_first():
    """A secret that holds another is masked whole."""
    held = secrets(INNER="correct horse", OUTER="correct horse battery")
    assert held.mask("correct horse battery, correct horse") == "[OUTER], [INNER]"
    assert held.found_in("correct horse battery") == ["INNER", "OUTER"]


def test_text_without_secrets_stays_as_it_is():
    """Nothing else is touched, and without secrets nothing at all."""
    assert secrets(API="correct horse").mask("ordinary text") == "ordinary text"
    assert secrets().mask("ordinary text") == "ordinary text"


def test_secrets_show_and_give_away_nothing():
    """Neither repr nor a copy nor a pickle holds a value."""
    held = Secrets(environment("API", "OTHER"), environ={"API": "correct horse"})
    assert repr(held) == str(held) == "Secrets: API (set), OTHER (not set)"
    for write in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            write(held)


@given(st.text(min_size=8, max_size=30), st.text(max_size=20), st.text(max_size=20))
def test_no_secret_survives_masking(value, before, after):
    """Whatever the secret and the text around it, the value is gone from the masked text."""
    held = secrets(API=value)
    masked = held.mask(before + value + after)
    assert value not in masked.replace("[API]", "\0")


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://runner:hunter2@db.example/omnihub",
        "redis://:hunter2@cache:6379",
        "host=db password=hunter2 user=x",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "https://hooks.slack.com/services/T000/B000/xyz",
        "ghp_" + "a1B2" * 9,
        "github_pat_" + "a1B2" * 9,
        "xoxb-123456789012-abcdef",
        "sbp_" + "0123456789abcdef" * 2,
        "sk_live_0123456789abcdef",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
        "Authorization: Bearer abcdef1234567890",
        "q8Zf3Kx0Lr7Vb2Nn5Tt1Yy6Uu4Pp9Aa3Ss",
        base64.b64encode(bytes(range(7, 250, 5))).decode(),
    ],
)
def test_what_looks_like_a_secret_is_recognised(text):
    """Credentials of the usual kinds, and random keys, are known by their shape."""
    assert secret_shape(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "omnihub",
        "postgresql://db.example/omnihub",
        "OMNIHUB_PRODUCTION_DSN",
        "00000000-0000-0000-0000-000000000001",
        HEX,
        HEX.upper(),
        "0000000A000000FF00000003",
        "db_restore_drill-sandbox-20260103T020000Z-a1b2c3",
        "/srv/Backups/2026-01-03/OmniHub/base-backup_of_cluster-16/pg_wal",
        "basic infrastructure-monitoring of the whole service",
        "SELECT count(*) FROM public.users WHERE password_hash IS NULL",
        "docs/dashboards/infrastructure-dashboard.json",
        "Enable the emergency controls' kill switch",
        "prj_Q4hYhDeTtWm2VbXc5RzJ8LpN7f3K",
        "release dpl_7f3Kq9TtWm2VbXc5RzJ8LpN4YhDe now",
    ],
)
def test_plain_values_are_no_secrets(text):
    """Paths, ids, digests, queries, names of variables and prose are left alone."""
    assert secret_shape(text) is None


def test_names_that_promise_a_secret_are_recognised():
    """A key smells of a secret by its words; the name of a variable that holds one does not."""
    smelly = (
        "password",
        "db_password",
        "apiKey",
        "api_key",
        "slack_token",
        "client_secret",
        "dsn",
        "omnihub_dsn",
    )
    plain = (
        "dsn_variable",
        "secret_variables",
        "keyboard",
        "sort_key",
        "unit_pass_percent",
        "tokens_per_s",
        "author",
    )
    assert [name for name in smelly if not smells_secret(name)] == []
    assert [name for name in plain if smells_secret(name)] == []


def test_a_found_value_is_shown_without_secrets():
    """Messages show what was found, shortened, and never a value that is or may be a secret."""
    assert shown_safely("x" * 100) == '"' + "x" * 58 + "…"
    assert shown_safely({"a": 1, "b": 2}) == "a mapping with the keys a, b"
    assert shown_safely([1, 2]) == "a list of 2"
    assert shown_safely("hunter2", name="db_password") == "a value that is not shown here"
    assert "hunter2" not in shown_safely({"url": "postgres://a:hunter2@b"})
    assert shown_safely(90, written="1:30") == "1:30, which YAML reads as 90"
