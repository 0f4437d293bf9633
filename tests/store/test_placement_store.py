"""Where machines are, kept and followed: links bounded and aged, sites settled, gangs placed, failures remembered."""

import pytest

from gondwana.core.clock import Instant
from gondwana.core.values import replace
from gondwana.jobs import admit, end
from gondwana.jobs import network as measured
from gondwana.jobs.probes import Probe, Probes
from gondwana.jobs.rules import memory
from gondwana.jobs.rules.reach import Reached, address_for
from gondwana.ledger.chain import seal
from gondwana.loops.match_orders import match_orders
from gondwana.loops.survey_network import forget_links, survey_network
from gondwana.market import store as market
from gondwana.market.model import CloseReason, LeaseState
from gondwana.supply import network, store
from gondwana.supply.model import MachineState, Pair
from gondwana.wire import agent as wire


@pytest.fixture
def world(make_database, make_world):
    return make_world(make_database(before_commit=seal))


def pair(world, one, other, trip=0.0003, bits=10**9, at=None):
    """Two machines measured each other."""
    probe = Probe(
        id="p", asker=f"mac_{one}", answerer=f"mac_{other}", address="", token=b"", begun_at=world.now
    )  # fmt: skip
    told = wire.Measured(
        probe_id="p", round_trip_seconds=trip, up_bits_per_second=bits, down_bits_per_second=bits
    )
    return world.write(measured.pair_measured, at or world.now, probe, told)


def leased(world, job):
    """The machines that serve a job, by rank."""
    found = market.leases_of_job(world.reader, job.id, live=True)
    return [str(each.machine_id) for each in sorted(found, key=lambda each: each.rank)]


def lose(world, job, rank=0):
    live = market.leases_of_job(world.reader, job.id, live=True)
    (lease,) = (each for each in live if each.rank == rank)
    machine = store.machine(world.reader, lease.machine_id)
    world.write(end.lose_machine, world.now, machine, MachineState.DOWN, CloseReason.MACHINE_LOST)
    world.write(store.save, replace(store.machine(world.reader, machine.id), proven_at=world.now))
    back = store.machine(world.reader, machine.id)
    world.write(store.move, world.now, back, MachineState.UP)


def follow(world, seconds=0.0):
    world.clock.advance(seconds)
    return match_orders(world.context, world.now)


def test_a_link_is_stored_once_whoever_asked_with_its_directions_told_apart(world):
    for name in "ab":
        world.join(name)
    probe = Probe(
        id="p", asker="mac_b", answerer="mac_a", address="", token=b"", begun_at=world.now
    )
    told = wire.Measured(
        probe_id="p", round_trip_seconds=0.01, up_bits_per_second=5e6, down_bits_per_second=7e6
    )
    world.write(measured.pair_measured, world.now, probe, told)
    pair(world, "a", "b", trip=0.02)
    (kept,) = network.pairs_among(world.reader, ["mac_a", "mac_b"])
    assert (kept.low_id, kept.round_trip_seconds, kept.up_bits_per_second) == ("mac_a", 0.02, 10**9)
    back = world.write(measured.pair_measured, world.now, probe, told)
    assert (back.up_bits_per_second, back.down_bits_per_second) == (7_000_000, 5_000_000)
    assert world.kinds("mac_a").count("machine.measured") == 3
    assert world.machine("a").network.samples == 3


def test_of_a_machine_only_its_newest_links_stay(world):
    world.join("hub")
    for number in range(network.PAIRS_OF_MACHINE_MAX + 3):
        world.join(f"n{number:03}")
        pair(world, "hub", f"n{number:03}", at=Instant(world.now + number))
    kept = network.pairs_of_machine(world.reader, "mac_hub")
    assert len(kept) == network.PAIRS_OF_MACHINE_MAX
    assert min(each.measured_at for each in kept) == world.now + 3


def test_old_links_are_forgotten_and_their_site_with_them(world):
    for name in "ab":
        world.join(name)
    pair(world, "a", "b")
    assert survey_network(world.context, world.now) == 2
    assert world.machine("b").site == "mac_a"
    world.clock.advance(network.PAIR_SECONDS_MAX + 1)
    assert forget_links(world.context, world.now) == 1
    assert world.write(measured.settle_sites, world.now) == 2
    assert world.machine("b").site == ""


def test_two_owners_are_never_one_site_however_near(world):
    world.join("a")
    world.join("b", owner_id=world.principal("other"))
    pair(world, "a", "b")
    assert survey_network(world.context, world.now) == 0
    assert world.machine("a").site == ""


def test_what_is_no_news_is_not_written_again(world):
    world.join("a")
    for trip in (0.020, 0.021, 0.019, -1.0, float("nan"), 99.0):
        world.write(measured.link_measured, world.now, "mac_a", trip)
    assert world.kinds("mac_a").count("machine.measured") == 1
    world.write(measured.link_measured, world.now, "mac_a", 0.03)
    found = world.machine("a").network
    assert found.round_trip_seconds == 0.03
    assert found.samples == 0, "one landmark tells no direction"


def test_a_gang_gets_the_site_and_one_machine_gets_the_cheapest(world, make):
    for name in ("cheap-a", "cheap-b"):
        world.join(name, price=1_000_000)
    for name in ("site-a", "site-b"):
        world.join(name, price=1_100_000)
    pair(world, "site-a", "site-b")
    survey_network(world.context, world.now)
    gang, single = world.submit(make.spec(num_nodes=2)), world.submit(make.spec(name="one"))
    planned = admit.plan(
        world.reader, world.context.shelf, world.tenant, make.spec(num_nodes=2), world.now
    )
    assert {each.name for each in planned.machines} == {"site-a", "site-b"}, (
        "it pays what it is told"
    )
    (note,) = planned.notes
    assert note.startswith("at one site: ")
    assert follow(world) == 3
    assert set(leased(world, gang)) == {"mac_site-a", "mac_site-b"}
    assert leased(world, single) == ["mac_cheap-a"]


def test_a_gang_that_no_site_can_serve_whole_still_gets_its_machines_or_none(world, make):
    for name in "abc":
        world.join(name)
    pair(world, "a", "b")
    survey_network(world.context, world.now)
    three = world.submit(make.spec(num_nodes=3))
    world.join("d")
    four = world.submit(make.spec(name="four", num_nodes=4))
    assert follow(world) == 3
    assert len(leased(world, three)) == 3
    assert leased(world, four) == []


def test_a_lost_member_of_a_gang_is_replaced_at_its_site(world, make):
    world.join("cheap", price=500_000)
    for name in ("s1", "s2", "s3"):
        world.join(name, price=1_000_000)
    pair(world, "s1", "s2")
    pair(world, "s2", "s3")
    survey_network(world.context, world.now)
    gang = world.submit(make.spec(num_nodes=2))
    follow(world)
    before = set(leased(world, gang))
    assert before < {"mac_s1", "mac_s2", "mac_s3"}
    lose(world, gang)
    follow(world, memory.WAIT_SECONDS_MAX)
    after = set(leased(world, gang))
    assert after < {"mac_s1", "mac_s2", "mac_s3"}
    assert after != before


def test_a_lost_machine_gets_its_job_back_only_when_nobody_else_could_serve(world, make):
    world.join("only")
    job = world.submit(make.spec())
    follow(world)
    lose(world, job)
    assert follow(world) == 0, "not straight back"
    assert follow(world, memory.REST_SECONDS - 1) == 0
    assert follow(world, 2) == 1
    assert leased(world, job) == ["mac_only"]


def test_another_machine_comes_before_the_one_that_was_lost_though_dearer(world, make):
    world.join("cheap", price=1_000)
    world.join("dear", price=9_000_000)
    job = world.submit(make.spec())
    follow(world)
    assert leased(world, job) == ["mac_cheap"]
    lose(world, job)
    follow(world, memory.REST_SECONDS + 1)
    assert leased(world, job) == ["mac_dear"]


def test_what_falls_with_a_lost_machine_comes_after_all_others(world, make):
    world.join("lost", price=1_000, address="203.0.113.7")
    world.join("beside", price=2_000, address="203.0.113.7")
    world.join("apart", price=3_000, address="198.51.100.9")
    job = world.submit(make.spec())
    follow(world)
    lose(world, job)
    follow(world)
    assert leased(world, job) == ["mac_apart"]
    lose(world, job)
    follow(world)
    assert leased(world, job) == ["mac_beside"], "those that failed come last"


def test_a_job_waits_a_bounded_time_for_others_that_are_taken(world, make):
    world.join("lost", price=1_000)
    other = world.submit(make.spec(name="other", seconds_max=9e4))
    world.join("taken", price=9_000)
    follow(world)
    holder = world.submit(make.spec(name="holder"))
    follow(world)
    assert leased(world, other) == ["mac_lost"]
    assert leased(world, holder) == ["mac_taken"]
    lose(world, other)
    assert follow(world, memory.WAIT_SECONDS_MAX - 1) == 0
    assert follow(world, 2) == 1
    assert leased(world, other) == ["mac_lost"]


def test_a_failure_is_forgotten_after_an_hour(world, make):
    lease = make.lease(state=LeaseState.CLOSED, reason=CloseReason.MACHINE_LOST, closed_at=make.NOW)
    assert memory.failures([lease], make.NOW) == {"mac_kauri": make.NOW}
    assert memory.failures([lease], Instant(make.NOW + memory.MEMORY_SECONDS)) == {}
    left = replace(lease, reason=CloseReason.OWNER_LEFT)
    assert memory.failures([left], make.NOW) == {}
    never = replace(lease, reason=CloseReason.RUN_FAILED)
    assert memory.barred([never], Instant(make.NOW + 10**9)) == ["mac_kauri"]


def reached(owner="o", peers="own", own="192.168.1.5", seen="203.0.113.7"):
    return Reached(owner_id=owner, peers=peers, own_address=own, seen_address=seen)


def test_addresses_are_told_inside_one_owners_network_only():
    here = reached()
    assert address_for(here, reached(own="192.168.1.6")) == "192.168.1.6"
    assert address_for(here, reached(owner="p", own="192.168.1.6")) is None
    assert address_for(reached(peers="all"), reached(owner="p", own="192.168.1.6")) is None
    assert address_for(here, reached(peers="off")) is None
    assert address_for(here, reached(seen="198.51.100.9")) is None, "another network"


def test_between_owners_only_what_the_control_plane_saw_and_only_if_both_allow_it():
    one = reached(peers="all")
    seen = "8.8.4.4"
    open_one = reached(owner="p", peers="all", own=seen, seen=seen)
    assert address_for(one, open_one) == seen
    assert address_for(reached(peers="own"), open_one) is None
    assert address_for(one, replace(open_one, peers="own")) is None
    for inside in ("127.0.0.1", "169.254.169.254", "10.0.0.1", "nonsense", ""):
        assert address_for(one, replace(open_one, own_address=inside, seen_address=seen)) is None


def test_nobody_is_sent_to_knock_at_its_own_door():
    for inside in ("127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "x"):
        assert address_for(reached(), reached(own=inside)) is None
    home = reached(own="127.0.0.1", seen="127.0.0.1")
    assert address_for(home, home) == "127.0.0.1", "one host, where the control plane is too"


def test_a_probe_is_two_messages_and_counts_for_the_one_that_asked(world):
    probes = world.context.probes
    for name in "ab":
        probes.linked(f"mac_{name}", reached(own=f"192.168.1.{ord(name)}"))
    woken = []
    probes.wake = woken.append
    assert probes.ask([("mac_a", "mac_b")], world.now) == 1
    assert probes.ask([("mac_b", "mac_a")], world.now) == 1, "it is under way"
    (listen,) = probes.take("mac_b")
    assert probes.take("mac_b") == []
    probes.listening("mac_a", wire.Listening(probe_id=listen.probe_id, port=5))
    assert probes.take("mac_a") == [], "only the one that listens says where"
    probes.listening("mac_b", wire.Listening(probe_id=listen.probe_id, port=5))
    (ask,) = probes.take("mac_a")
    assert (ask.address, ask.port, ask.token) == ("192.168.1.98", 5, listen.token)
    assert woken == ["mac_b", "mac_a"]
    told = wire.Measured(probe_id=ask.probe_id, round_trip_seconds=0.001)
    assert probes.measured("mac_b", told) is None
    assert probes.measured("mac_a", told).answerer == "mac_b"
    assert probes.measured("mac_a", told) is None, "once"
    assert probes.ask([("mac_a", "mac_b")], world.now) == 0, "not again at once"


def test_probes_are_bounded_per_machine_and_a_lost_one_is_given_up(world):
    probes = Probes(world.random)
    names = [f"mac_{n}" for n in range(9)]
    for name in names:
        probes.linked(name, reached())
    every = [(names[0], other) for other in names[1:]]
    assert probes.ask(every, world.now) == 4
    later = Instant(world.now + 11)
    assert probes.ask(every, later) == 4, "the first four are lost, the others come"
    probes.unlinked(names[0])
    assert probes.take(names[0]) == []
    assert probes.ask([(names[0], names[8])], Instant(later + 100)) == 0


def test_a_gang_waits_for_its_links_to_be_measured_but_not_for_long(world, make):
    for name in ("a", "b", "c"):
        world.join(name)
        world.context.probes.linked(f"mac_{name}", reached())
        world.write(measured.link_measured, world.now, f"mac_{name}", 0.01)
    job = world.submit(make.spec(num_nodes=2))
    assert follow(world) == 0
    asked = [told for name in "abc" for told in world.context.probes.take(f"mac_{name}")]
    assert len(asked) == 1, "the two that would serve are asked to measure"
    assert follow(world, 5.1) == 2
    assert len(leased(world, job)) == 2


def test_a_stored_link_survives_as_it_is(world):
    for name in "ab":
        world.join(name)
    kept = Pair(
        low_id="mac_a", high_id="mac_b", round_trip_seconds=None, up_bits_per_second=0,
        down_bits_per_second=0, measured_at=world.now,
    )  # fmt: skip
    world.write(network.save_pair, kept)
    assert network.pairs_among(world.reader, ["mac_b", "mac_a"]) == [kept]
    assert network.newest_pair_at(world.reader) == world.now
