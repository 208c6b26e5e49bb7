"""Slack: messages with proof, messages by webhook, reading a channel."""

from datetime import timedelta

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook import WebhookClient

from runbook.providers import slack
from runbook.sandbox.vendors.slack.emulator import CHANNELS
from tests.contract.table import Case, Foreign, Vendor

TEXT = "Rollout of OmniHub begins (run rehearsal-1)"
CHANNEL = "C0DEPLOYS0"
HOUR = timedelta(hours=1)


def messages(world):
    return [doc["text"] for doc in world.dump()["slack"]["messages"].values()]


def sent(world):
    return messages(world).count(TEXT)


def post(step):
    return slack.apply_message(step, text=TEXT, since=step.clock.now() - HOUR)


def expect_posted(posted, world):
    assert sent(world) == 1
    assert posted.permalink.endswith(posted.ts.replace(".", ""))


def hook(step):
    return slack.apply_webhook(step, text=TEXT)


def expect_told(told, world):
    assert told.text == TEXT
    assert TEXT in messages(world)


def arrange_many(world, step):
    client = their_client(world)
    for number in range(250):
        client.chat_postMessage(channel=CHANNEL, text=f"message {number}")


def read(step):
    return slack.read_history(step, since=step.clock.now() - HOUR)


def expect_all(found, world):
    assert [m.text for m in found][:3] == ["message 249", "message 248", "message 247"]
    assert len({m.ts for m in found}) == len(found) >= 250


def their_client(world):
    return WebClient(world.secrets()["slack"]["token"], base_url=f"{world.url}/slack/api/")


def sdk_posts_and_reads(world):
    client = their_client(world)
    assert client.auth_test()["bot_id"]
    posted = client.chat_postMessage(channel=CHANNEL, text="from their SDK")
    assert client.chat_getPermalink(channel=CHANNEL, message_ts=posted["ts"])["permalink"]
    assert client.conversations_history(channel=CHANNEL)["messages"][0]["text"] == "from their SDK"


def sdk_is_refused(world):
    client = their_client(world)
    for channel, error in (("C0NOWHERE0", "channel_not_found"), ("C0GENERAL0", "not_in_channel")):
        with pytest.raises(SlackApiError) as refused:
            client.chat_postMessage(channel=channel, text="x")
        assert refused.value.response["error"] == error
    assert CHANNEL in CHANNELS


def sdk_uses_the_webhook(world):
    reply = WebhookClient(world.url + world.secrets()["slack"]["webhook_url"]).send(text="by hook")
    assert (reply.status_code, reply.body) == (200, "ok")
    assert messages(world)[-1] == "by hook"


VENDOR = Vendor(
    name="slack",
    specs={"/slack/api": "slack", "/slack-hooks": "slack-webhook"},
    cases=[
        Case("a message is posted once", do=post, expect=expect_posted, effect=sent),
        Case(
            "a webhook is told",
            do=hook,
            expect=expect_told,
            effect=sent,
            at_least_once="a webhook has no key and tells no ts",
            unproven="a webhook's ok cannot be proven without a token",
        ),
        Case("a long channel is read whole", arrange=arrange_many, do=read, expect=expect_all),
    ],
    foreign=[
        Foreign("slack_sdk posts and reads", sdk_posts_and_reads),
        Foreign("slack_sdk is refused", sdk_is_refused),
        Foreign("slack_sdk uses the webhook", sdk_uses_the_webhook),
    ],
    let_be={
        "POST /slack/api/chat.getPermalink": "every method takes GET and POST; slack_sdk posts",
        "POST /slack/api/conversations.history": "the same",
        "response_metadata": "conversations.history gives next_cursor there, as its own example shows",
        "[] has less than 1 item": "a channel without messages in the window answers an empty list",
        '"messages":[],"ok":true': "the same",
        "Unevaluated properties are not allowed ('ok', 'messages'": "the same",
    },
)
