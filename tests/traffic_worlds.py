"""Worlds in which a release goes on, for the tests of visitors and of those who tell of them."""

from datetime import timedelta

from runbook.sandbox.traffic.split import minute_of
from runbook.sandbox.vendors.vercel.deployments import STAGED

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def release(world, *, percent=5):
    """Begin to release the build that is staged: to some, to half, to all."""
    vercel = world.part("vercel")
    stages = [{"targetPercentage": share, "requireApproval": True} for share in (percent, 50)]
    last = {"targetPercentage": 100, "requireApproval": False}
    vercel.projects.change(config={"advancement": "manual-approval", "stages": [*stages, last]})
    vercel.releases.begin(STAGED, "the test's")


def stage(world):
    """Go one stage up."""
    releases = world.part("vercel").releases
    releases._advance(releases.active)


def streams(world, minutes, names=("requests", "errors", "slow_500")):
    """Return what the last minutes were like, by deployment."""
    now = minute_of(world.clock.now())
    return world.part("traffic").streams(now - minutes, now, names)
