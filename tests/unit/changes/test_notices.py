"""Messages are sent once, name their run, and never stop the work."""

import pytest

from runbook.changes.notices import Tell, tell
from runbook.changes.traffic.telling import say, say_status
from runbook.errors import InputError
from runbook.sandbox.world.faults import Fault
from tests.memory_worlds import ENVIRONMENT, memory_world

TEXT = "the nameservers are switched"


@pytest.fixture
def world():
    with memory_world() as made:
        yield made


def test_a_message_names_its_run_and_is_proven_by_a_link(world):
    """The run's name is what it is found by."""
    change = tell(world.step(), TEXT)
    notice = change.apply(world.step())
    assert world.messages() == [f"{TEXT} (run r1)"]
    assert notice.link.startswith("https://")
    assert notice.trouble == ""
    assert change.resource() == "Slack messages of r1"


def test_sent_again_after_a_kill_it_is_not_said_twice(world):
    """The channel is read for it first."""
    change = tell(world.step(), TEXT)
    change.apply(world.step())
    world.pass_s(3600)
    change.apply(world.step(repeated=True))
    assert len(world.messages()) == 1


@pytest.mark.parametrize("fault", ["status", "cut", "malformed"])
def test_an_outage_of_slack_is_written_down_and_stops_nothing(world, fault):
    """Nobody can be cut off by a message that was not sent; the record says that nobody was told."""
    world.world.set_fault(Fault(name=fault, vendor="slack", times=None))
    step = world.step()
    notice = tell(step, TEXT).apply(step)
    assert notice.trouble
    assert dict(notice.rows())["nobody was told"] == notice.trouble
    assert any("the work goes on" in remark for remark in step.remarks)


def test_its_state_is_not_asked_for_and_it_stays_after_a_rollback(world):
    """A person who reads of an undone message would look for it in vain."""
    change = tell(world.step(), TEXT)
    assert change.observe(world.step()) is None
    assert not change.has_undo
    assert change.effect == "at least once"


def test_by_webhook_it_says_that_it_was_sent_again(world):
    """Nobody can look into the channel then, so its text tells."""
    since = world.now()
    change = Tell(run="r1", text=TEXT, since=since, by_webhook=True)
    change.apply(world.step())
    change.apply(world.step(repeated=True))
    assert world.messages() == [TEXT, f"{TEXT} (sent again after an interruption)"]


@pytest.mark.parametrize(
    ("secrets", "channel", "by_webhook"),
    [
        ({"token": "TOKEN", "webhook_url": "HOOK"}, "C1", False),
        ({"token": "TOKEN"}, "C1", False),
        ({"token": "TOKEN", "webhook_url": "HOOK"}, None, True),
        ({"webhook_url": "HOOK"}, "C1", True),
    ],
)
def test_a_bots_token_is_preferred_where_the_environment_has_one(world, secrets, channel, by_webhook):
    """Only with it, and with the channel's id, can a message be found again."""
    assert tell(environed(world, secrets, channel), TEXT).by_webhook is by_webhook


def environed(world, secrets, channel):
    """Return a step in an environment whose Slack is the real one."""
    step = world.step()
    given = {"base_url": "https://slack.com/api", "secret_variables": secrets, "ids": {"channel": channel}}
    vendors = {**ENVIRONMENT.vendors, "slack": ENVIRONMENT.vendors["slack"].model_copy(update=given)}
    step.environment = lambda: ENVIRONMENT.model_copy(update={"vendors": vendors})
    return step


def test_an_environment_that_cannot_tell_anybody_says_so_in_the_plan(world):
    """Not at 02:00, after the signatures."""
    with pytest.raises(InputError, match="our channel is not filled in"):
        tell(environed(world, {"token": "TOKEN"}, None), TEXT)


def test_a_missing_secret_stops_nothing_either(world):
    """The work goes on, and the record says why nobody was told."""
    step = environed(world, {"token": "TOKEN"}, "C1")

    def no_secret(name):
        raise InputError(f"{name} is not set")

    step.secret = no_secret
    assert tell(step, TEXT).apply(step).trouble == "TOKEN is not set"


@pytest.mark.parametrize("secrets", [{"token": "TOKEN"}, {}])
def test_a_canary_without_a_channel_goes_on_untold(world, secrets):
    """A rollback tells on its way; an id that nobody filled in must not stop it there."""
    step = environed(world, secrets, None)
    assert say(step, TEXT, since=step.clock.now()).trouble
    assert say_status(step, "4 h", TEXT, since=step.clock.now()).trouble
