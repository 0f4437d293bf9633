"""Compliance tags: signed by who was appointed, asked for by jobs, until they expire or are revoked."""

import pytest

from gondwana.core.clock import Instant
from gondwana.core.errors import Exhausted, InvalidValue, NoSuchThing, NothingFits
from gondwana.jobs import place
from gondwana.jobs.listings import listings, listings_of
from gondwana.loops.match_orders import match_orders
from gondwana.market import store as market
from gondwana.market.model import LeaseState
from gondwana.policy.model import Scope
from gondwana.supply import tags
from gondwana.wire.jobs import MarketTerms

DAY = 86_400


@pytest.fixture
def world(make_database, make_world):
    return make_world(make_database())


@pytest.fixture
def sign(world):
    """Sign a tag of a machine, by an auditor of this name."""

    def sign(name="gdpr", *, machine="kauri", by="anna", seconds=30 * DAY):
        auditor = world.principal(by, Scope.AUDITOR)
        return world.write(
            tags.sign, world.random, world.now, world.machine(machine), auditor, name=name,
            expires_at=world.now + seconds, evidence="b3:00ff",
        )  # fmt: skip

    return sign


def asks(make, where, name="job", **market):
    return make.spec(name=name, market=MarketTerms(where=where, **market), budget_micro_usd=9_000_000)  # fmt: skip


def served(world, submitted):
    match_orders(world.context, world.now)
    leases = market.leases_of_job(world.reader, submitted.id)
    return [each.machine_id for each in leases if each.state is not LeaseState.CLOSED]


def test_a_tag_stands_in_the_listing_with_its_signer_and_expiry(world, sign):
    world.join()
    world.join("rimu")
    signed = sign()
    assert (signed.signer, signed.evidence, signed.revoked_at) == ("anna", "b3:00ff", None)
    found = {each.name: each.tags for each in listings(world.reader)}
    assert [(each.name, each.signer) for each in found["kauri"]] == [("gdpr", "anna")]
    assert found["rimu"] == ()
    assert listings_of(world.reader, ["mac_kauri"])[0].tags == found["kauri"]


@pytest.mark.parametrize("where", ["tags has gdpr", "tag:gdpr@anna", "tags has soc2|gdpr"])
def test_a_job_that_asks_for_a_tag_waits_until_it_is_signed_and_gets_the_machine(
    world, make, sign, where
):
    world.join()
    with pytest.raises(NothingFits, match="where: tags=gdpr"):
        world.submit(asks(make, "tags has gdpr"))
    waits = world.submit(asks(make, where, is_standing=True))
    assert served(world, waits) == []
    assert served(world, waits) == []
    sign()
    assert served(world, waits) == ["mac_kauri"]


def test_another_signers_tag_is_not_the_one_that_is_asked_for(world, make, sign):
    world.join()
    sign(by="berta")
    with pytest.raises(NothingFits):
        world.submit(asks(make, "tag:gdpr@anna"))


def test_a_tag_counts_until_the_instant_at_which_it_expires(world, make, sign):
    world.join(devices=2)
    sign(seconds=100)
    last = world.submit(asks(make, "tags has gdpr", "last"))
    late = world.submit(asks(make, "tags has gdpr", "late"))
    world.clock.advance(99.999)
    proposed = served(world, last)
    assert proposed == ["mac_kauri"]
    world.clock.advance(0.001)
    with pytest.raises(NothingFits):
        world.submit(asks(make, "tags has gdpr", "later"))
    assert served(world, late) == [
        "mac_kauri"
    ]  # it was served before, in the same pass as the last


def test_what_was_proposed_before_a_tag_expired_is_not_written_after(world, make, sign):
    world.join()
    sign(seconds=100)
    waits = world.submit(asks(make, "tags has gdpr"))
    order = market.order(world.reader, waits.order_id)
    stale = [place.Proposal(order=order, machine_ids=["mac_kauri"])]
    world.clock.advance(100)
    assert world.write(place.place, world.random, world.now, stale) == 0
    assert served(world, waits) == []


def test_a_machine_whose_tag_is_revoked_keeps_what_it_runs_and_gets_nothing_new_that_asks_for_it(
    world, make, sign
):
    world.join(devices=2)
    signed = sign()
    runs = world.submit(asks(make, "tags has gdpr", "runs"))
    assert served(world, runs) == ["mac_kauri"]
    world.write(tags.revoke, world.now, signed, world.machine())
    assert served(world, runs) == ["mac_kauri"]
    waits = world.submit(asks(make, "tags has gdpr", "waits", is_standing=True))
    assert served(world, waits) == []
    assert world.kinds(signed.id) == ["tag.signed", "tag.revoked"]
    again = world.write(tags.revoke, world.now, tags.tag(world.reader, signed.id), world.machine())
    assert again.revoked_at == world.now
    assert len(world.kinds(signed.id)) == 2


def test_signing_again_renews_the_same_signers_tag_and_leaves_others(world, sign):
    world.join()
    first, other = sign(seconds=DAY), sign(by="berta")
    renewed = sign(seconds=9 * DAY)
    standing = {each.id for each in tags.standing_of(world.reader, ["mac_kauri"])["mac_kauri"]}
    assert standing == {renewed.id, other.id}
    assert tags.tag(world.reader, first.id).revoked_at is not None
    assert len(tags.tags(world.reader, "mac_kauri", limit=10)) == 3


def test_nobody_signs_for_his_own_machine_nor_for_a_time_that_is_past_or_too_far(world, sign):
    kauri = world.join()
    for seconds in (0, -1, tags.SECONDS_MAX + 1):
        with pytest.raises(InvalidValue):
            sign(seconds=seconds)
    with pytest.raises(InvalidValue, match="his own machine"):
        world.write(tags.sign, world.random, world.now, kauri, world.owner, name="gdpr",
                    expires_at=Instant(world.now + DAY))  # fmt: skip


def test_a_machine_has_a_bounded_number_of_tags(world, sign, monkeypatch):
    monkeypatch.setattr(tags, "TAGS_OF_MACHINE_MAX", 2)
    world.join()
    sign("one")
    sign("two")
    with pytest.raises(Exhausted):
        sign("three")
    assert sign("two").name == "two"


def test_a_machine_is_named_by_its_id_or_by_a_name_that_only_one_has(world):
    world.join()
    assert tags.machine_called(world.reader, "kauri").id == "mac_kauri"
    assert tags.machine_called(world.reader, "mac_kauri").id == "mac_kauri"
    with pytest.raises(NoSuchThing):
        tags.machine_called(world.reader, "rimu")
