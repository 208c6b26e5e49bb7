"""Users ask where an answer can change, and that is as good as asking in every second."""

from dataclasses import replace
from datetime import timedelta

from runbook.sandbox.dns.zone import RecordSet
from runbook.sandbox.users import _key, _questions, _said
from runbook.sandbox.world.world import World

ZONE = "omnihub.dev."
WWW = f"www.{ZONE}"


def moved(world, *, wrong=""):
    """Host the zone at Cloudflare too, and delegate it there; `wrong` is what www leads to there."""
    internet = world.part("dns").internet
    old = internet.hosted("vercel", ZONE).zone
    new = internet.host("cloudflare", ZONE)
    for one in old.record_sets():
        if (one.name, one.type) != (ZONE, "NS"):
            new.put(one)
    if wrong:
        new.put(RecordSet(WWW, "CNAME", 60, (wrong,)))
    found = internet.delegation(ZONE)
    internet.delegate(replace(found, nameservers=internet.assigned("cloudflare", ZONE)))
    return new


def asked_in_every_second(world, *, seconds, event):
    """Return what every resolver said of www in each second, with `event` in the midst of them."""
    internet, found = world.part("dns").internet, []
    questions = [one for one in _questions(internet.hosted("vercel", ZONE).zone) if one.name.to_text() == WWW]
    for second in range(seconds):
        if second == seconds // 2:
            event(world)
        found.append(
            {
                (name, _key(q)): _said(one.reply(q))
                for name, one in internet.resolvers.items()
                for q in questions
            }
        )
        world.advance(timedelta(seconds=1))
    return found


def answers_by_event(world, *, seconds, event, monkeypatch):
    """Return the same, heard only where the users ask, each answer standing until the next."""
    users, stops = world.part("users"), []
    internet = world.part("dns").internet
    began = world.clock.now()
    heard = type(users)._trouble

    def hear(self, question, said, right, *more):
        if question.name.to_text() == WWW:
            stops.append((int((world.clock.now() - began).total_seconds()), current[0], _key(question), said))
        return heard(self, question, said, right, *more)

    current = [""]
    for name, resolver in internet.resolvers.items():
        monkeypatch.setattr(resolver, "reply", _named(resolver, name, current))
    monkeypatch.setattr(type(users), "_trouble", hear)
    users.play("users-ask")
    world.advance(timedelta(seconds=seconds // 2))
    event(world)
    world.advance(timedelta(seconds=seconds - seconds // 2))
    found, standing = [], {}
    for second in range(seconds):
        standing |= {(name, key): said for at, name, key, said in stops if at == second}
        found.append(dict(standing))
    return found, len(stops)


def _named(resolver, name, current):
    reply = resolver.reply

    def named(question):
        current[0] = name
        return reply(question)

    return named


def test_asking_where_an_answer_can_change_is_asking_in_every_second(monkeypatch):
    """The same answers at every resolver in every second of some minutes with a switch in their midst."""
    brute, sparse, seconds = World(None), World(None), 400

    def event(world):
        moved(world, wrong="astray.example.")
        for resolver in world.part("dns").internet.resolvers.values():
            held = resolver.cache.delegations  # let many let go within the minutes that are looked at
            for zone, one in list(held.items()):
                if zone.to_text() == ZONE:
                    offset = 30 + 7 * int(resolver.name[-2:])
                    resolver.cache.hold(zone, replace(one, until_s=resolver._around.now_s() + offset))

    every = asked_in_every_second(brute, seconds=seconds, event=event)
    seen, asked = answers_by_event(sparse, seconds=seconds, event=event, monkeypatch=monkeypatch)
    assert len({str(one) for one in every}) > 3  # something did change on the way
    differing = [second for second in range(seconds) if every[second] != seen[second]]
    assert not differing
    assert asked < seconds * 24 / 4


def test_a_world_that_moves_well_shows_nobody_a_wrong_answer():
    """With both sides alike nobody is shown anything else: every user, every name, every second."""
    world = World(None)
    world.play("users-ask")
    world.advance(timedelta(hours=1))
    moved(world)
    world.advance(timedelta(hours=7))
    told = world.part("users").status()
    assert told["wrong"] == 0
    assert told["answers"] > 1_000


def test_a_wrong_record_is_seen_by_users_in_the_second_they_come_to_it():
    """The prober can fail: a record that leads astray is seen, with who saw it and when."""
    world = World(None)
    world.play("users-ask")
    moved(world, wrong="astray.example.")
    world.advance(timedelta(hours=7))
    told = world.part("users").status()
    assert told["wrong"] > 0
    assert "astray.example." in told["first"][0]
