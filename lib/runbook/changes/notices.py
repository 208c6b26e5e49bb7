"""Messages to people during a rollout: sent to the channel once, and never a reason to stop.

A message names its run, and by its text it is found again in the channel: a run that was killed between
sending and writing it down does not say it twice. By webhook nobody can look: at least once, and said so.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from runbook.changes.interface import Change, EffectClass
from runbook.errors import InputError, LeftInBetween, VendorError
from runbook.providers import slack
from runbook.step import Step
from runbook.values import Value


class Notice(Value):
    """A message as it went out: where it can be read, or why nobody was told."""

    text: str
    at: datetime
    link: str = ""
    trouble: str = ""

    def rows(self) -> list[tuple[str, str]]:
        if self.trouble:
            return [("nobody was told", self.trouble), ("what would have been said", self.text)]
        return [("told", self.text), ("see", self.link or "the channel (a webhook gives no link)")]


class Tell(Change):
    """Say something in the rollout's Slack channel.

    Nobody can be cut off by a message and nothing depends on it: where Slack does not take it the record says
    so, and the work goes on. Its state is therefore not asked for; `apply` looks into the channel itself.
    """

    effect: ClassVar[EffectClass] = "at least once"
    has_undo: ClassVar[bool] = False
    run: str
    text: str
    since: datetime
    by_webhook: bool = False

    def sentence(self) -> str:
        return f"tell Slack: {self.text}"

    def resource(self) -> str:
        return f"Slack messages of {self.run}"

    def touches(self) -> str:
        return "people's attention; nothing else"

    def way_back(self) -> str:
        return "none: what was said stays"

    def apply(self, step: Step) -> Notice:
        again = " (sent again after an interruption)" if step.repeated and self.by_webhook else ""
        try:
            if self.by_webhook:
                slack.apply_webhook(step, text=f"{self.text}{again}")
                return Notice(text=self.text, at=step.clock.now())
            posted = slack.apply_message(step, text=self.text, since=self.since)
        except (VendorError, LeftInBetween, InputError) as error:
            step.remark(f"Slack did not take the message, and the work goes on: {error}")
            return Notice(text=self.text, at=step.clock.now(), trouble=str(error))
        return Notice(text=self.text, at=step.clock.now(), link=posted.permalink)


def only_by_webhook(step: Step) -> bool:
    """Whether a message cannot be found again here: without a bot's token, or without the channel's id."""
    vendor = step.environment().vendor("slack")
    has_token = vendor.base_url is None or "token" in vendor.secret_variables
    return not (has_token and vendor.ids.get("channel"))


def tell(step: Step, text: str) -> Tell:
    """Return the change that says `text`, with the run's name, in the channel of this environment.

    With a bot's token and the channel's id its delivery is proven by a link; with a webhook alone it is not.
    Raises InputError where environment.yaml has neither.
    """
    vendor, by_webhook = step.environment().vendor("slack"), only_by_webhook(step)
    if by_webhook and "webhook_url" not in vendor.secret_variables:
        vendor.id("channel")  # says what is missing
    return Tell(
        run=step.run_id, text=f"{text} (run {step.run_id})", since=step.clock.now(), by_webhook=by_webhook
    )
