"""Every vendor × every fault: a typed error or success; nothing hangs, doubles, empties or leaks."""

import traceback
from datetime import datetime

import pytest

from runbook.errors import OutcomeUnknown, RunbookError, VendorError
from runbook.sandbox.world.faults import FAULTS
from runbook.values import Value
from tests.contract.conftest import make_step
from tests.contract.table import row_id, rows

OPTIONS = {"latency": {"seconds": 0.6}, "rate-limited": {"retry_after_s": 30}}
VARIANTS = [(name, OPTIONS.get(name, {})) for name in FAULTS] + [
    ("rate-limited", {}),
    ("status", {"status": 500}),
]


SAMPLED = 12  # one in so many is run by `make test`; all of them by `make exhaustive`


def trials(kind="cases", one_in=SAMPLED):
    """Return every vendor, case, fault and duration; each vendor meets each fault in the sample too."""
    found = []
    for place, (vendor, case) in enumerate(rows(kind)):
        for number, (fault, options) in enumerate(VARIANTS):
            for turn, times in enumerate((1, None)):
                sampled = (place + number + turn * one_in // 2) % one_in == 0
                marks = () if sampled else pytest.mark.exhaustive
                named = "-".join([fault, *map(str, options.values()), "once" if times else "for good"])
                name = f"{row_id(vendor)}-{row_id(case)}-{named}"
                found.append(pytest.param(vendor, case, fault, options, times, id=name, marks=marks))
    return found


@pytest.mark.parametrize(("vendor", "case", "fault", "options", "times"), trials())
def test_a_fault(vendor, case, fault, options, times, world):
    """On each call of the case in turn: success is true, and a resume after an error doubles nothing."""
    try_fault(vendor, case, fault, options, times, world)


def try_fault(vendor, case, fault, options, times, world):
    reference, calls, effects = without_fault(vendor, case, world)
    for call in calls:
        world.reset()
        step = make_step(world)
        case.arrange(world, step)
        before = case.effect(world)
        world.set_fault(fault, vendor=vendor.name, call=call, times=times, **options)
        error = None
        try:
            result = case.do(step)
        except (VendorError, OutcomeUnknown) as caught:
            error = caught
        world.lift_faults()
        told = told_by(step, error)
        assert [s for s in secrets_of(world) if s in told] == []
        if error is None:
            assert_true_success(case, world, fault, result, reference)
            done = case.effect(world) - before
            assert done == effects or (fault == "accepted" and case.unproven)
        else:
            assert str(error)
            assert_resumes(case, world, before, effects)


def without_fault(vendor, case, world):
    """Return the result, the calls it takes and the effects it has when nothing is wrong."""
    step = make_step(world)
    case.arrange(world, step)
    before, seen = case.effect(world), len(world.requests(vendor=vendor.name))
    result = case.do(step)
    calls = [request["call"] for request in world.requests(vendor=vendor.name)[seen:]]
    return result, list(dict.fromkeys(calls)), case.effect(world) - before


def assert_true_success(case, world, fault, result, reference):
    assert shape(result) == shape(reference)
    if fault != "accepted" or not case.unproven:
        case.see(result, world)


def assert_resumes(case, world, before, effects):
    """What a person does next: run it again. Nothing may be there twice."""
    result = case.do(make_step(world))
    case.see(result, world)
    done = case.effect(world) - before
    assert done == effects or (case.at_least_once and done == effects + 1)


def shape(value):
    """Return what a result is made of, times and ids left out: a list without its items is another shape."""
    if isinstance(value, Value):
        return {name: shape(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, tuple | list):
        return [shape(item) for item in value]
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, datetime | float) or value is None:
        return type(value).__name__
    return bool(value), type(value).__name__


def told_by(step, error):
    """Return all that a step and its error say anywhere."""
    chain = "".join(traceback.format_exception(error)) if error else ""
    notes = "".join(getattr(error, "__notes__", ()))
    return "\n".join([chain, notes, repr(error), *step.remarks, *step.evidence_sink.values()])


def secrets_of(world):
    """Return every credential of the world, and the last part of one that is a path."""
    values = [value for named in world.secrets().values() for value in named.values()]
    return values + [value.rpartition("/")[2] for value in values if "/" in value]


def test_the_errors_of_clients_are_ours():
    """What a notebook can catch is in the one tree."""
    assert issubclass(VendorError, RunbookError)
    assert issubclass(OutcomeUnknown, RunbookError)
