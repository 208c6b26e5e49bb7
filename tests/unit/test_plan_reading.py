"""Reading YAML strictly: what would be read otherwise than it looks is refused, with the line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.plan import RolloutPlan
from runbook.plan.judging import judge
from runbook.plan.reading import MAX_BYTES, key_text, parse_document, read_document


def only_problem(text):
    document = parse_document(text, file="f.yaml")
    assert len(document.problems) == 1, document.problems
    return document.problems[0]


@pytest.mark.parametrize(
    ("text", "file", "key", "found"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3", "a", "the key again on line 3, first on line 1"),
        ("a:\n  b: 1\n  b: 1\n", "f.yaml:3", "a.b", "the key again on line 3, first on line 2"),
        ("", "f.yaml", "(the whole file)", "an empty file"),
        ("# only a comment\n", "f.yaml", "(the whole file)", "an empty file"),
        ("- 1\n- 2\n", "f.yaml:1", "(the whole file)", "no keys, only a list of 2"),
        ("just words\n", "f.yaml:1", "(the whole file)", 'no keys, only "just words"'),
        ("a: b: c\n", "f.yaml:1", "(the whole file)", "text that is not YAML"),
        ("a: 1\nb: [1, 2\nc: 3\n", "f.yaml:3", "(the whole file)", "text that is not YAML"),
        ("a: 1\n\tb: 2\n", "f.yaml:2", "(the whole file)", "text that is not YAML"),
        ("a: '\x01'\n", "f.yaml:1", "(the whole file)", "text that is not YAML"),
        ("a: &x 1\nb: 2\n", "f.yaml:1", "a", "the anchor &x"),
        ("a: *x\n", "f.yaml:1", "a", "the alias *x"),
        ("b: {<<: {c: 1}}\n", "f.yaml:1", "b", "the merge key <<"),
        ("a: !!python/object:os.system ls\n", "f.yaml:1", "a", "the tag"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2", "(the whole file)", "a second document"),
        ("? [1, 2]\n: 3\n", "f.yaml:1", "(the whole file)", "a list or mapping as a key"),
        ("5: x\n", "f.yaml:1", "5", "the key 5, which YAML reads as 5"),
        ("on: x\n", "f.yaml:1", "on", "the key on, which YAML reads as true"),
        ("a: 010\n", "f.yaml:1", "a", "010"),
        ("a: 1:30\n", "f.yaml:1", "a", "1:30"),
        ("a: 0x1f\n", "f.yaml:1", "a", "0x1f"),
        ("a: .inf\n", "f.yaml:1", "a", ".inf"),
        ("a: .nan\n", "f.yaml:1", "a", ".nan"),
        (f"a: {'9' * 5000}\n", "f.yaml:1", "a", "999"),
        ("a: " + "[" * 30 + "]" * 30, "f.yaml:1", "a" + "[0]" * 19, "more than 20 levels"),
    ],
)
def test_what_is_ambiguous_or_broken_is_refused(text, file, key, found):
    """Each trap of YAML is one problem with its line, its key and what was found."""
    problem = only_problem(text)
    assert (problem.file, problem.key) == (file, key)
    assert found in problem.found
    assert problem.expected


def test_a_bomb_of_aliases_is_refused_at_its_first_anchor():
    """No alias is ever expanded, so that ten lines cannot become gigabytes."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert "the anchor &a0" in only_problem("\n".join(lines)).found


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "a: " + "{" * 100_000])
def test_depth_exhausts_nothing(text):
    """A hundred thousand brackets are a problem to report, not a crash of the interpreter."""
    assert only_problem(text).found


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path):
    """A missing file, a folder, one too large and one in another encoding are reported, with any line."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "large").write_bytes(b"#" * (MAX_BYTES + 1))
    (tmp_path / "latin").write_bytes(b"a: 1\nb: caf\xe9\n")
    (tmp_path / "utf16").write_bytes("a: 1".encode("utf-16"))
    found = {
        name: str(read_document(tmp_path / name, file=name).problems[0])
        for name in ("none", "folder", "large", "latin", "utf16")
    }
    assert "no such file" in found["none"]
    assert "no such file" in found["folder"]
    assert "more than 262,144 bytes" in found["large"]
    assert found["latin"].startswith("latin:2: ")
    assert "0xe9, which is not UTF-8" in found["latin"]
    assert "not UTF-8" in found["utf16"]


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    """A file saved by an editor that writes a mark reads as any other."""
    (tmp_path / "f").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_document(tmp_path / "f", file="f").data == {"a": 1}


def test_dates_stay_text_as_in_papermill():
    """A date is read as text, and plain values as what they look like."""
    text = "a: 2026-01-31\nb: 1.5\nc: yes\nd: ~\ne: 'no'\nf: 1_000\ng: 12:00:00x\nh: -3\n"
    expected = {
        "a": "2026-01-31",
        "b": 1.5,
        "c": True,
        "d": None,
        "e": "no",
        "f": 1000,
        "g": "12:00:00x",
        "h": -3,
    }
    assert parse_document(text, file="f").data == expected


def test_a_key_is_shown_as_people_write_it():
    """`phases[2].percent` is a key's text."""
    assert key_text(("phases", 2, "percent")) == "phases[2].percent"
    assert key_text(()) == "(the whole file)"


yaml_like = st.text(alphabet=st.sampled_from("ab1:-?[]{},&*!|>'\"#%@`\n \t~0.\ud800é\x00"), max_size=60)


@given(st.one_of(yaml_like, st.text(max_size=60)))
def test_no_text_makes_the_reader_fail(text):
    """Any text at all gives a document or problems, never another exception."""
    document = parse_document(text, file="f.yaml")
    assert document.problems or document.data is not None
    plan, problems = judge(RolloutPlan, document)
    assert plan is None
    assert problems


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(RolloutPlan.model_fields)), plain)
def test_no_value_makes_the_judge_fail(name, value):
    """Any plain value under any key gives problems in words, never another exception."""
    document = parse_document("source: 1\n", file="f.yaml")
    document.data = {name: value}
    _, problems = judge(RolloutPlan, document)
    assert all(problem.found and problem.expected for problem in problems)
    assert len(problems) >= len(RolloutPlan.model_fields) - 1
