"""Placement: whole gangs, near each other, whatever order the machines come in."""

from itertools import combinations
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gondwana.market.placement import choose, coordinates, levels, looks, rules, sites
from gondwana.market.placement.coordinates import HERE, Coordinate
from gondwana.market.placement.model import Gang, How, IslandWork, Link, Nodes, Work
from gondwana.market.placement.sites import Measured

WORK = Work(compute_seconds=1.0, volume_bytes=1e9)
EXACT = settings(max_examples=150, deadline=None)


def network(machines, cities=1):
    """Nodes of (site, city, price, compute seconds, link bits/s, delay) each; cities stand 20 ms apart on a line."""
    columns = list(zip(*machines, strict=True)) if machines else [()] * 6
    whole = [np.array(column, np.int64) for column in columns[:3]]
    compute, link, delay = (np.array(column, np.float64) for column in columns[3:])
    return Nodes(
        site_N=whole[0], city_N=whole[1], price_N=whole[2], compute_N=compute, link_N=link,
        lan_N=np.full(len(machines), 1e10), delay_N=delay, serial_N=np.arange(len(machines)),
        point_C3=np.array([[0.02 * city, 0, 0] for city in range(cities)]).reshape(-1, 3),
    )  # fmt: skip


# on the levels' own grid, and links by site, so that what is searched is what is reckoned
def machines(sites_max=4, cities=2, sizes=(2, 10)):
    def made(links):
        one = st.tuples(
            st.integers(0, sites_max - 1), st.integers(100, 900), st.sampled_from([0.5, 1.0, 2.0, 4.0])
        )  # fmt: skip
        return st.lists(one, min_size=sizes[0], max_size=sizes[1]).map(
            lambda rows: [
                (site, site % cities, price, compute, links[site], 0.001) for site, price, compute in rows
            ]
        )  # fmt: skip

    links = st.lists(st.sampled_from([2.0**24, 2.0**27, 2.0**30]), min_size=sites_max, max_size=sites_max)  # fmt: skip
    return links.flatmap(made)


def test_a_gang_goes_to_one_site_rather_than_to_the_cheapest_machines():
    near = [(0, 0, 300, 1.0, 1e8, 0.002)] * 4
    cheap = [(1 + n, n % 2, 100, 1.0, 1e7, 0.02) for n in range(4)]
    placed = choose.place(network([*cheap, *near], cities=2), Gang(count=4), WORK)
    assert placed.how is How.SITE
    assert set(placed.rows) == {4, 5, 6, 7}
    assert placed.price_micro_usd_per_hour == 1200


def test_where_no_site_has_room_one_city_serves_by_its_widest_links():
    narrow = [(n, 0, 100, 1.0, 1e7, 0.002) for n in range(4)]
    wide = [(4 + n, 0, 120, 1.0, 1e9, 0.002) for n in range(3)]
    elsewhere = [(8, 1, 120, 1.0, 1e9, 0.002)]
    placed = choose.place(network([*narrow, *elsewhere, *wide], cities=2), Gang(count=3), WORK)
    assert placed.how is How.CITY
    assert set(placed.rows) == {5, 6, 7}


def test_where_no_city_has_room_cities_near_each_other_serve():
    found = [(n, n % 3, 100, 1.0, 1e8, 0.002) for n in range(6)]
    apart = network([*found, *((9 + n, 3, 90, 0.9, 1e6, 0.02) for n in range(4))], cities=4)
    placed = choose.place(apart, Gang(count=5), WORK)
    assert placed.how is How.NEAR
    cities = [int(apart.city_N[row]) for row in placed.rows]
    assert 3 not in cities
    assert cities == sorted(cities) or cities == sorted(cities, reverse=True), (
        "the ring goes round once"
    )


def test_a_gang_that_cannot_be_whole_is_not_placed():
    nodes = network([(0, 0, 100, 1.0, 1e9, 0.001)] * 3)
    assert choose.place(nodes, Gang(count=4), WORK) is None
    assert choose.place(network([]), Gang(count=1), WORK) is None
    assert choose.place(nodes, Gang(count=0), WORK) is None


def test_caps_are_kept_even_where_dearer_or_slower_would_be_better():
    dear = [(0, 0, 1_000, 1.0, 1e9, 0.001)] * 3
    cheap = [(1, 0, 100, 4.0, 1e9, 0.001)] * 3
    nodes = network([*dear, *cheap])
    assert set(choose.place(nodes, Gang(count=3), WORK).rows) == {3, 4, 5}
    quick = choose.place(nodes, Gang(count=3, step_seconds_max=3.0), WORK)
    assert set(quick.rows) == {0, 1, 2}
    both = Gang(count=3, step_seconds_max=3.0, price_micro_usd_per_hour_max=2_999)
    assert choose.place(nodes, both, WORK) is None


def test_measured_pairs_have_the_last_word():
    nodes = network([(0, 0, 100, 1.0, 1e9, 0.001)] * 2 + [(1, 0, 101, 1.0, 1e9, 0.001)] * 2)
    assert set(choose.place(nodes, Gang(count=2), WORK).rows) == {0, 1}
    slow = {(0, 1): Link(hop_seconds=0.5, bits_per_second=1e6)}
    assert set(choose.place(nodes, Gang(count=2), WORK, pairs=slow).rows) == {2, 3}
    dead = {(a, b): Link(0.5, 1e6) for a, b in combinations(range(4), 2)}
    assert len(choose.place(nodes, Gang(count=2), WORK, pairs=dead).rows) == 2, (
        "something is better than nothing"
    )


def test_a_lost_machine_is_replaced_near_those_that_stay():
    nodes = network([(0, 0, 100, 1.0, 1e9, 0.001)] * 3 + [(1, 1, 10, 1.0, 1e7, 0.03)] * 3, cities=2)
    placed = choose.replace(nodes, [0, 2], Gang(count=3), WORK)
    assert set(placed.rows) == {0, 1, 2}
    assert choose.replace(nodes, [0, 2], Gang(count=9), WORK) is None


@EXACT
@given(machines(), st.integers(1, 4), st.randoms())
def test_the_order_in_which_machines_come_changes_nothing(found, count, random):
    nodes = network(found, cities=2)
    order = np.array(random.sample(range(len(found)), len(found)))
    shuffled = Nodes(*(column[order] for column in nodes[:-1]), nodes.point_C3)
    one, other = (choose.place(each, Gang(count=count), WORK) for each in (nodes, shuffled))
    if one is None or other is None:
        assert one is other
        return
    assert nodes.serial_N[[*one.rows]].tolist() == shuffled.serial_N[[*other.rows]].tolist()


@EXACT
@given(machines(), st.integers(1, 4))
def test_it_is_all_of_the_gang_and_never_worse_than_the_cheapest_or_the_fastest(found, count):
    nodes = network(found, cities=2)
    placed = choose.place(nodes, Gang(count=count), WORK)
    if len(found) < count:
        assert placed is None
        return
    assert len(set(placed.rows)) == count
    for order in (
        np.argsort(nodes.price_N, kind="stable"),
        np.argsort(nodes.compute_N, kind="stable"),
    ):
        other = choose.ring(nodes, order[:count], How.CHEAPEST, WORK)
        assert placed.cost <= other.cost * (1 + 1e-9)


@EXACT
@given(machines(sizes=(2, 8)), st.integers(2, 3))
def test_no_set_of_machines_whatever_is_better_than_the_one_found(found, count):
    nodes = network(found, cities=2)
    if len(found) < count:
        return
    placed = choose.place(nodes, Gang(count=count), WORK)
    every = (
        choose.ring(nodes, np.array(rows), How.CHEAPEST, WORK).cost
        for rows in combinations(range(len(found)), count)
    )
    # hops: the bound takes the widest way of a set, the ring the widest that it goes
    assert placed.cost <= min(every) * 1.05


@EXACT
@given(machines(), machines(sizes=(1, 1)), st.integers(1, 4))
def test_one_more_machine_never_makes_a_step_dearer(found, more, count):
    (extra,) = more
    site = {each[0]: each[4] for each in found}
    extra = (*extra[:4], site.get(extra[0], extra[4]), extra[5])
    before = choose.place(network(found, cities=2), Gang(count=count), WORK)
    after = choose.place(network([*found, extra], cities=2), Gang(count=count), WORK)
    if before is not None:
        assert after.cost <= before.cost * 1.05


@EXACT
@given(machines(), st.integers(1, 4), st.data())
def test_a_machine_that_becomes_better_never_makes_a_step_dearer(found, count, data):
    row = data.draw(st.integers(0, len(found) - 1))
    site, city, price, compute, link, delay = found[row]
    cheaper, faster = data.draw(st.integers(0, 99)), data.draw(st.sampled_from([1, 2, 4]))
    better = [*found]
    better[row] = (site, city, price - cheaper, compute / faster, link, delay)
    gang = Gang(count=count)
    before = choose.place(network(found, cities=2), gang, WORK)
    after = choose.place(network(better, cities=2), gang, WORK)
    if before is not None:
        assert after.cost <= before.cost * 1.05


def test_a_step_is_its_slowest_machine_and_the_ring():
    def step(count, link, hop):
        return rules.step_seconds(
            count, compute_seconds=2.0, volume_bytes=1e9, link_bits_per_second=link, hop_seconds=hop
        )

    assert step(4, 8e9, 0.01) == pytest.approx(2.0 + 1.5 * 1.0 + 6 * 0.01)
    assert step(1, 1.0, 9.0) == 2.0


def test_a_slow_link_costs_islands_the_less_the_longer_they_work_alone():
    def lost(inner_steps):
        work = IslandWork(parameters=1e9, inner_steps=inner_steps)
        step = rules.island_step_seconds(
            work, compute_seconds=1.0, up_bits_per_second=1e8, down_bits_per_second=3e8, round_trip_seconds=0.0
        )  # fmt: skip
        return step - 1.0

    assert lost(1) == pytest.approx(68.0)  # the field notes' table: 69 s per 1e9 parameters
    assert lost(50) == pytest.approx(lost(1) / 50)


@EXACT
@given(machines(sizes=(2, 8)), st.integers(1, 4))
def test_islands_are_the_least_price_of_work_over_all_sets(found, count):
    nodes, work = network(found, cities=2), IslandWork()
    down, trip = nodes.link_N * 3, np.full(len(found), 0.02)
    placed = choose.islands(nodes, Gang(count=count), work, down_N=down, round_trip_N=trip)
    if len(found) < count:
        assert placed is None
        return
    step = rules.island_step_seconds(
        work, compute_seconds=nodes.compute_N, up_bits_per_second=nodes.link_N, down_bits_per_second=down,
        round_trip_seconds=trip,
    )  # fmt: skip

    def ratio(rows):
        return nodes.price_N[list(rows)].sum() / (1 / step[list(rows)]).sum()

    assert ratio(placed.rows) <= min(map(ratio, combinations(range(len(found)), count))) * (1 + 1e-6)  # fmt: skip


def test_coordinates_learn_who_is_near():
    random = np.random.default_rng(4)
    true = random.uniform(0, 0.1, (40, 3))
    access = random.uniform(0.001, 0.01, 40)
    found = [Coordinate() for _ in true]

    def trip(one, other):
        return float(np.linalg.norm(true[one] - true[other]) + access[one] + access[other])

    for _ in range(64):
        for one in range(40):
            other = int(random.integers(40))
            if other != one:
                way = int(random.integers(1 << 30))
                found[one] = coordinates.moved(
                    found[one], found[other], trip(one, other), direction=way
                )
    missed = [
        abs(coordinates.round_trip_seconds(found[one], found[other]) / trip(one, other) - 1)
        for one, other in combinations(range(40), 2)
    ]
    assert np.median(missed) < 0.15
    assert all(each.is_located for each in found)


@EXACT
@given(
    st.floats(allow_nan=True, allow_infinity=True), st.integers(0, 1 << 30),
    st.builds(Coordinate, x=st.floats(-1, 1), height=st.floats(5e-5, 1), error=st.floats(0, 2)),
)  # fmt: skip
def test_no_sample_however_wrong_throws_a_machine_off_the_map(trip, direction, one):
    after = coordinates.moved(one, HERE, trip, direction=direction)
    assert all(
        -inf < value < inf for value in (after.x, after.y, after.z, after.height, after.error)
    )
    assert abs(after.x) <= abs(one.x) + 2 * coordinates.ROUND_TRIP_SECONDS_MAX
    assert 0 <= after.error <= coordinates.ERROR_MAX


def test_one_sample_tells_no_direction():
    once = coordinates.moved(Coordinate(), HERE, 0.02, direction=1)
    assert not once.is_located


def test_machines_that_reach_each_other_at_the_speed_of_a_switch_are_one_site():
    def link(one, other, trip=0.0004, bits=9e8):
        return Measured(one, other, trip, bits)

    far, narrow = link("x", "y", trip=0.02), link("p", "q", bits=5e7)
    found = sites.sites([link("b", "c"), link("c", "a"), link("d", "e"), far, narrow])
    assert found == {"a": "a", "b": "a", "c": "a", "d": "d", "e": "d"}


@EXACT
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef")), max_size=8), st.randoms())  # fmt: skip
def test_sites_do_not_depend_on_the_order_of_measuring(named, random):
    links = [Measured(one, other, 0.0005, 1e9) for one, other in named]
    assert sites.sites(links) == sites.sites(random.sample(links, len(links)))


def test_a_city_is_what_is_within_a_few_milliseconds_in_one_region():
    points = np.array([[0, 0, 0], [0.001, 0, 0], [0.03, 0, 0], [0, 0, 0.002], [0.001, 0, 0]])
    city, where = sites.cities(points, ["eu", "eu", "eu", "us", "eu"])
    assert city.tolist() == [0, 0, 1, 2, 0]
    assert where.tolist() == points[[0, 2, 3]].tolist()
    assert sites.cities(np.zeros((0, 3)), [])[0].tolist() == []


def test_there_are_never_more_cities_than_can_be_searched():
    points = np.array([[0.1 * n, 0, 0] for n in range(100)])
    city, where = sites.cities(points, ["eu"] * 100)
    assert len(where) == sites.CITIES_MAX
    assert city.max() == sites.CITIES_MAX - 1


@given(
    st.integers(0, 2**32 - 1), st.sampled_from([1, 5, 900, 5_000]), st.sampled_from([1, 2, 7, 200]), st.booleans(),
    st.booleans(), st.tuples(st.integers(-1, 6), st.integers(-1, 6), st.integers(-1, 6)),
)  # fmt: skip
@EXACT
def test_a_compiled_look_finds_the_machines_that_a_plain_one_does(
    seed, machines, wanted, is_part, is_grouped, corner
):
    pytest.importorskip("numba", reason="numba is not installed: nothing to compare with")
    random = np.random.default_rng(seed)
    speed, link, delay = random.integers(0, 7, (3, machines)).astype(np.int16)
    group = np.sort(random.integers(0, 9, machines)) if is_grouped else None
    inside = random.random(machines) < 0.7 if is_part else None
    columns = levels.Levels(
        np.arange(machines), random.integers(1, 5, machines).astype(np.float64), speed, link, delay
    )
    asked = (columns, inside, group, corner, wanted)
    assert looks.LOOK is not looks.plain_look
    assert looks.LOOK(*asked).tolist() == looks.plain_look(*asked).tolist()
