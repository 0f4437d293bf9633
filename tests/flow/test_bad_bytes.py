"""Machines that deliver broken, foreign, late and repeated bytes: refused with a reason, and nothing changes."""

import json
import math
from contextlib import suppress
from itertools import count

import numpy as np
import pytest
import urllib3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from handmade import Handmade, checkpoint, name_of, upload
from network import reachable, training_job, until
from test_faults import check_payments
from websockets.exceptions import ConnectionClosed

from gondwana.cli.prepare import prepare
from gondwana.core.values import replace
from gondwana.sdk.jobfile import read_job_file
from gondwana.wire import agent as wire
from gondwana.wire.units import UnitKind, UnitResult

NUMBERS = count(1)


@pytest.fixture(scope="module")
def network(make_network):
    network = make_network(down_after_seconds=3.0)
    network.person("ada", "tenant", usd=500)
    return network


@pytest.fixture
def ada(network):
    return network.people["ada"]


@pytest.fixture
def machine(ada, network):
    """A machine of its own for each test."""
    machine = Handmade(network, f"hand-{next(NUMBERS)}").connect()
    yield machine
    for job in ada.client.jobs.list():
        ada.client.jobs.cancel(job.id)
    machine.disconnect()
    machine.owner.client.machines.leave(machine.name)
    network.audit()
    assert reachable(ada.client)


@pytest.fixture(scope="module")
def prepared(network):
    """A training job whose recipe nobody will ever run."""
    path = training_job(network.folder, "broken", codec="fp32", rounds=8, warm_rounds=0)
    prepared = prepare(read_job_file(path))
    for data in prepared.blobs.values():
        network.people["ada"].client.blobs.put(data)
    return prepared


@pytest.fixture
def training(ada, prepared, machine):
    """A training that waits for the machine's first parameters; its id."""
    return ada.client.jobs.submit(replace(prepared.spec, name=f"train-{machine.name}")).id


@pytest.fixture
def unit(machine, training):
    """A TRAIN unit in the machine's hands."""
    machine.report(machine.unit(UnitKind.INIT), checkpoint())
    return machine.unit(UnitKind.TRAIN)


def stored(network, unit):
    (row,) = network.rows("SELECT * FROM unit WHERE id = ?", unit.id)
    return row


def published(network, job_id):
    (row,) = network.rows("SELECT params, outer, tokens FROM training WHERE job_id = ?", job_id)
    return row


def broken(kind, codec="fp32"):
    good = upload(0.001, codec)
    return {
        "truncated": good[:-1],
        "empty": b"",
        "oversized": good + b"\0",
        "not a number": upload(math.nan, codec),
        "infinite": upload(math.inf, codec),
        "noise": np.random.default_rng(3).bytes(len(good)),
        "nothing learnt": upload(0.0, codec),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["truncated", "empty", "oversized", "not a number", "infinite", "noise", "nothing learnt"],
)
def test_a_broken_delta_is_rejected_unpaid_and_leaves_the_model_as_it_was(
    kind, network, machine, training, unit
):
    before = published(network, training)
    machine.report(unit, broken(kind))
    until(lambda: stored(network, unit)["state"] == "rejected", 20, note=network.logs)
    verdict = stored(network, unit)["verdict"]
    assert verdict.startswith("no_work" if kind == "nothing learnt" else "malformed"), verdict
    assert published(network, training) == before
    assert network.machine(machine.name).units_rejected == 1
    check_payments(network, training)


@pytest.mark.parametrize(
    "data", [b"", b"not a model", checkpoint()[:-3]], ids=["empty", "noise", "truncated"]
)
def test_broken_first_parameters_are_rejected_and_made_again(data, network, machine, training):
    first = machine.unit(UnitKind.INIT)
    machine.report(first, data)
    until(lambda: stored(network, first)["state"] == "rejected", 20, note=network.logs)
    again = machine.unit(UnitKind.INIT, other_than=first.id)
    machine.report(again, checkpoint())
    machine.unit(UnitKind.TRAIN)
    check_payments(network, training)


def test_a_machine_that_delivers_rubbish_three_times_is_suspended(network, machine, training, unit):
    for _ in range(3):
        machine.report(unit, b"rubbish")
        until(lambda unit=unit: stored(network, unit)["state"] == "rejected", 20, note=network.logs)
        if network.machine(machine.name).state == "suspended":
            break
        machine.report(machine.unit(UnitKind.EVALUATE), result=UnitResult(heldout_loss=2.0))
        unit = machine.unit(UnitKind.TRAIN, other_than=unit.id)
    network.await_machine(machine.name, "suspended")
    until(lambda: machine.leases == (), 20, what="its lease to end")
    check_payments(network, training)


def test_a_blob_that_was_never_uploaded_cannot_be_delivered(network, machine, training, unit):
    machine.report(unit, output=name_of(b"never seen"))
    assert stored(network, unit)["state"] == "assigned"


def test_a_report_sent_again_counts_once(network, machine, training, unit):
    init = next(row for row in network.units(training) if row["kind"] == "init")
    assert init["state"] == "accepted"
    told = machine.report(unit, upload(0.001, "fp32"))
    first = stored(network, unit)
    for _ in range(3):
        machine.repeat(told)
    again = stored(network, unit)
    assert (again["delivered_at"], again["output"]) == (first["delivered_at"], first["output"])
    duty = machine.lease_of(machine.unit(UnitKind.EVALUATE))
    machine.report(unit, b"another output for it", duty=duty)  # … and the first word stands
    assert stored(network, unit)["output"] == first["output"]
    check_payments(network, training)


@pytest.mark.parametrize("changes", [{"epoch": 99}, {"lease_id": "lea_0"}, {"unit_id": "unit_0"}], ids=str)  # fmt: skip
def test_a_report_under_another_epoch_lease_or_unit_changes_nothing(
    changes, network, machine, training, unit
):
    before = stored(network, unit)
    machine.report(unit, upload(0.001, "fp32"), **changes)
    assert stored(network, unit) == before


def test_a_delivery_after_the_lease_has_ended_changes_nothing(
    ada, network, machine, training, unit
):
    duty = machine.lease_of(unit)
    ada.client.jobs.cancel(training)
    until(lambda: machine.leases == (), 20, what="the lease's end")
    before, paid = stored(network, unit), ada.client.account.balance()
    assert before["state"] == "expired"
    machine.report(unit, upload(0.001, "fp32"), duty=duty)
    assert stored(network, unit) == before
    assert ada.client.account.balance() == paid
    check_payments(network, training)


def test_nobody_can_deliver_another_machines_unit(network, machine, training, unit):
    thief = Handmade(network, f"thief-{machine.name}", owner="thea").connect()
    thief.report(unit, upload(0.5, "fp32"), duty=machine.lease_of(unit))
    assert stored(network, unit)["state"] == "assigned"
    thief.disconnect()


def test_a_report_with_a_forged_signature_ends_the_link(network, machine, training, unit):
    forged = Ed25519PrivateKey.generate().sign(b"anything")
    machine.report(unit, upload(0.001, "fp32"), signature=forged, acknowledged=False)
    assert machine.closed.wait(20)
    assert machine.refused.code == "bad_signature"
    assert stored(network, unit)["state"] == "assigned"


def test_a_heartbeat_heard_twice_proves_nothing_and_ends_the_link(network, machine):
    until(lambda: machine.nonce is not None, 20, what="a nonce")
    beat = machine.signed_heartbeat()
    machine.say(beat)
    machine.say(beat)
    assert machine.closed.wait(20)
    assert machine.refused.code == "bad_signature"


def test_what_a_machine_says_of_its_work_cannot_raise_its_price(network, machine, training, unit):
    promised = stored(network, unit)["price_micro_usd"]
    lies = UnitResult(
        tokens=10**15, steps=10**12, seconds=math.nan, loss_first=math.inf, loss_last=-1.0
    )
    machine.report(unit, upload(0.001, "fp32"), result=lies)
    until(lambda: stored(network, unit)["state"] != "assigned", 20, note=network.logs)
    assert stored(network, unit)["price_micro_usd"] == promised
    view = network.people["ada"].json("jobs", "show", training)  # still to be told as JSON
    assert view["training"]["tokens"] < 10**9
    check_payments(network, training)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"key": Ed25519PrivateKey.generate()}, "bad_signature"),
        ({"machine_id": "mac_nobody"}, "no_such_thing"),
        ({"protocol": 999}, "invalid"),
    ],
    ids=["another key", "an unknown machine", "another protocol"],
)
def test_a_link_that_does_not_begin_right_is_refused_with_a_reason(wrong, code, network, machine):
    other = Handmade(network, f"other-{code.replace('_', '-')}", owner="otto")
    answer = other.handshake(**wrong)
    assert isinstance(answer, wire.Refused)
    assert answer.code == code
    other.disconnect()


@pytest.mark.parametrize(
    "message",
    [b"", b"\xff" * 100, "text", b"\x81" * 20_000, b"x" * (wire.MESSAGE_BYTES_MAX + 1),
     wire.encode(wire.Hello(protocol=1, machine_id="mac_1", agent_version="0"))],
    ids=["empty", "noise", "text", "deep", "too large", "hello again"],
)  # fmt: skip
def test_words_that_are_none_end_the_link_and_nothing_else(message, network, machine):
    with suppress(ConnectionClosed):
        machine.socket.send(message)
    assert machine.closed.wait(20)
    machine.connect()  # it may try again


class Raw:
    """Plain HTTP requests under a token."""

    def __init__(self, network, token):
        self._pool, self._url, self._token = urllib3.PoolManager(), network.url, token

    def __call__(self, method, path, body=None, **headers):
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        named["Authorization"] = f"Bearer {self._token}"
        answer = self._pool.request(method, f"{self._url}{path}", body=body, headers=named)
        problem = json.loads(answer.data) if answer.status >= 400 and answer.data else {}
        return answer.status, problem.get("code"), answer.headers


@pytest.fixture
def http(network, machine):
    return Raw(network, machine.blob_token)


def test_bytes_under_another_name_are_refused_and_not_kept(machine, http):
    name = name_of(b"right")
    assert http("PUT", f"/v1/blobs/{name}", b"wrong")[:2] == (422, "invalid_bytes")
    assert not machine.blobs.exists(name)
    assert http("PUT", f"/v1/blobs/{name}", b"right")[0] == 201
    assert machine.blobs.get(name) == b"right"


def test_a_resumed_upload_that_ends_up_as_something_else_is_refused(machine, http):
    name = name_of(b"0123456789")
    path = f"/v1/blobs/{name}?total=10"
    assert http("PATCH", path, b"01234", upload_offset="0")[0] == 204
    status, _, headers = http("PATCH", path, b"5", upload_offset="9")
    assert (status, headers["upload-offset"]) == (409, "5")
    assert http("PATCH", path, b"56789abc", upload_offset="5")[:2] == (422, "invalid_value")
    shorter = f"/v1/blobs/{name}?total=3"  # another length: another upload, from its start
    status, _, headers = http("PATCH", shorter, b"", upload_offset="3")
    assert (status, headers["upload-offset"]) == (409, "0")
    assert http("PATCH", path, b"01234", upload_offset="0")[0] == 204
    assert http("PATCH", path, b"5678X", upload_offset="5")[:2] == (422, "invalid_bytes")
    assert not machine.blobs.exists(name)


def test_what_is_too_large_or_badly_named_is_refused(http):
    name = name_of(b"large")
    assert http("PUT", f"/v1/blobs/{name}", bytes(9 * 2**20))[:2] == (413, "too_large")
    assert http("PATCH", f"/v1/blobs/{name}?total={2**60}", b"x", upload_offset="0")[0] in (413, 507)  # fmt: skip
    for bad in ("short", "..%2f..%2fetc", "G" * 64, name.upper()):
        assert http("PUT", f"/v1/blobs/{bad}", b"x")[0] in (404, 422), bad
    assert http("PATCH", f"/v1/blobs/{name}?total=-1", b"x", upload_offset="0")[0] == 422
    assert http("PATCH", f"/v1/blobs/{name}?total=5", b"x", upload_offset="-1")[0] == 422


def test_a_machines_blob_token_opens_nothing_else_and_ends_with_its_link(network, machine, http):
    for path in ("/v1/me", "/v1/jobs", "/v1/ledger/audit", "/v1/machines"):
        assert http("GET", path)[:2] == (401, "invalid_token"), path
    machine.disconnect()
    assert machine.closed.wait(20)
    machine.connect()
    assert http("HEAD", f"/v1/blobs/{name_of(b'x')}")[0] == 401


def test_an_upload_that_the_server_died_on_at_its_last_byte_is_finished_by_the_next_try(
    network, machine
):
    data = bytes(range(256)) * 40_000  # larger than one PUT: it goes in pieces
    name = name_of(data)
    network.plane.kill()  # between keeping the last byte and checking the whole
    part = network.data / "blobs" / "partial" / name
    part.write_bytes(data)
    network.start()
    assert network.people["ada"].client.blobs.put(data) == name
    assert network.people["ada"].client.blobs.get(name) == data
