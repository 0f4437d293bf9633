"""The API as any client meets it: tokens, scopes, typed refusals, request ids, OpenAPI."""

import json

import pytest
import urllib3

from gondwana.core.errors import all_errors

PROBLEM_MEMBERS = {"code", "status", "title", "detail", "hint", "fields", "request_id"}
CODES = {error.code: error.status for error in all_errors()}


@pytest.fixture(scope="module")
def network(make_network):
    network = make_network()
    network.person("ada", "tenant", usd=5)
    network.person("olga", "provider")
    return network


@pytest.fixture(scope="module")
def call(network):
    pool = urllib3.PoolManager()

    def call(method, path, token=None, body=None, **headers):
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        if token is not None:
            named["Authorization"] = f"Bearer {token}"
        if body is not None and not isinstance(body, bytes):
            body, named["Content-Type"] = json.dumps(body).encode(), "application/json"
        answer = pool.request(method, f"{network.url}{path}", body=body, headers=named, retries=False)  # fmt: skip
        assert answer.headers["x-request-id"], path
        return answer

    yield call
    pool.clear()


def refused(answer):
    """The code of a refusal, once its shape is checked."""
    assert answer.headers["content-type"] == "application/problem+json", answer.data
    problem = json.loads(answer.data)
    assert set(problem) == PROBLEM_MEMBERS, problem
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["status"] == answer.status == CODES[problem["code"]]
    assert problem["title"]
    assert problem["detail"]
    return problem["code"]


def routes(call):
    told = json.loads(call("GET", "/openapi.json").data)
    return [(method.upper(), path) for path, verbs in told["paths"].items() for method in verbs]


def test_openapi_describes_every_route_and_is_served(call):
    told = json.loads(call("GET", "/openapi.json").data)
    assert told["openapi"].startswith("3.")
    for path in ("jobs", "plans", "machines", "offers", "ledger/audit", "blobs/{name}"):
        assert f"/v1/{path}" in told["paths"], path
    for path, verbs in told["paths"].items():
        for method, described in verbs.items():
            assert described.get("summary") or described.get("description"), (method, path)
    assert call("GET", "/docs").status == 200


PUBLIC = (
    "/v1/ledger/roots",
    "/v1/ledger/chain",
    "/v1/ledger/batches",
    "/v1/ledger/solvency",
)  # hashes and totals only


def test_every_route_but_health_and_published_hashes_wants_a_token_that_is_known(call):
    checked = 0
    for method, path in routes(call):
        if not path.startswith("/v1/") or path in PUBLIC:
            continue
        path = path.replace("{name}", "ab" * 32)
        if method != "HEAD":
            assert refused(call(method, path, body={})) == "missing_token", (method, path)
            assert refused(call(method, path, "gwt_unknown", body={})) == "invalid_token", path
        assert call(method, path, "gwb_unknown", body={}).status == 401, (method, path)
        checked += 1
    assert checked > 20
    for header in ("Basic abc", "Bearer", "bearer  ", "gwt_x"):
        assert refused(call("GET", "/v1/me", Authorization=header)) in ("missing_token", "invalid_token")  # fmt: skip
    assert call("GET", "/healthz").status == 200
    assert call("GET", "/readyz").status == 200
    assert [call("GET", path).status for path in PUBLIC] == [200] * len(PUBLIC)


def test_a_token_of_another_scope_is_refused_and_told_which_it_needs(network, call):
    ada, olga = network.people["ada"].token, network.people["olga"].token
    spec = {"name": "x", "run": "echo"}
    wrong = [
        ("POST", "/v1/jobs", olga, spec), ("POST", "/v1/plans", olga, spec), ("GET", "/v1/jobs", olga, None),
        ("GET", "/v1/machines", ada, None), ("GET", "/v1/account/earnings", ada, None),
        ("GET", "/v1/tokens", ada, None), ("POST", "/v1/tokens", olga, {"name": "me", "scopes": ["operator"]}),
        ("POST", "/v1/account/deposit", ada, {"principal": "ada", "amount_micro_usd": 10**9}),
        ("GET", "/v1/events", ada, None),
    ]  # fmt: skip
    for method, path, token, body in wrong:
        assert refused(call(method, path, token, body)) == "scope_missing", (method, path)
    told = json.loads(call("GET", "/v1/tokens", ada).data)
    assert "operator" in told["detail"]
    assert "gondwana token create" in told["hint"]
    before = network.people["ada"].client.account.balance()
    assert before.available_micro_usd == 5_000_000


def test_a_revoked_token_opens_nothing_from_its_next_request_on(network, call):
    client = network.operator.client
    made = client.tokens.create("eve", ("tenant",))
    assert call("GET", "/v1/me", made.token).status == 200
    client.tokens.revoke(made.id)
    assert refused(call("GET", "/v1/me", made.token)) == "invalid_token"
    assert refused(call("POST", "/v1/jobs", made.token, {"name": "x", "run": "x"})) == "invalid_token"  # fmt: skip
    shown = {token.id: token for token in client.tokens.list()}
    assert shown[made.id].revoked_at is not None
    assert all(token.token is None for token in shown.values())  # never shown twice


def test_what_does_not_exist_is_a_404_with_a_hint_and_no_other_persons_job_is_seen(network, call):
    ada = network.people["ada"].token
    other = network.person("bob", "tenant", usd=5)
    for path in ("/v1/nowhere", "/nowhere", "/v1/jobs/none", "/v1/jobs/job_none", "/v1/jobs/none/logs",
                 "/v1/jobs/none/events", "/v1/blobs/" + "0" * 64):  # fmt: skip
        assert refused(call("GET", path, ada)) in ("no_such_thing", "not_found"), path
    assert refused(call("POST", "/v1/jobs/none/cancel", ada)) == "no_such_thing"
    assert refused(call("PUT", "/v1/jobs", ada, {})) == "no_such_thing"  # a method that is none
    assert other.client.me().name == "bob"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"{" * 10_000, {"name": "x"}, {"name": "X Y", "run": "echo"},
     {"name": "../x", "run": "echo"}, {"name": "x", "run": "  "}, {"name": "x", "run": "echo", "num_nodes": 0},
     {"name": "x", "run": "echo", "num_nodes": 10**9}, {"name": "x", "run": 5}, {"name": "x", "run": "e" * 300_000},
     {"name": "x", "run": "echo", "seconds_max": -1}, {"name": "x", "run": "echo", "budget_micro_usd": -5},
     {"name": "x", "run": "echo", "budget_micro_usd": 2**70},
     {"name": "x", "run": "echo", "price_cap_micro_usd_per_device_hour": -1},
     {"name": "x", "run": "echo", "market": {"notice_seconds_min": 1}},
     {"name": "x", "run": "echo", "resources": {"cpus_min": -3}},
     {"name": "x", "run": "echo", "resources": {"cpus_min": 1e400}},
     {"name": "x", "run": "echo", "workdir": "0" * 64}, {"name": "x", "run": "echo", "workdir": "../../etc"},
     {"name": "x", "run": "echo", "envs": {"A=B": "c"}}, {"name": "x", "run": "echo", "envs": {"A": "\0"}},
     {"name": "x", "run": "echo", "file_mounts": {"../../etc": "0" * 64}},
     {"name": "x", "train": {"recipe": "x.py"}}],
    ids=lambda body: (json.dumps(body) if isinstance(body, dict) else repr(body))[:70],
)  # fmt: skip
def test_a_job_that_is_none_is_refused_and_nothing_is_stored(body, network, call):
    ada = network.people["ada"]
    answer = call("POST", "/v1/jobs", ada.token, body, Content_Type="application/json")
    assert 400 <= answer.status < 500, answer.data
    assert refused(answer) in CODES
    assert list(ada.client.jobs.list()) == []


@pytest.mark.parametrize("amount", [0, -1, 2**70, 1.5, "much", None])
def test_an_amount_that_is_none_is_not_deposited(amount, network, call):
    answer = call("POST", "/v1/account/deposit", network.operator.token,
                  {"principal": "ada", "amount_micro_usd": amount})  # fmt: skip
    assert answer.status == 422
    assert refused(answer) == "invalid_value"
    assert network.people["ada"].client.account.balance().available_micro_usd == 5_000_000


def test_a_body_without_end_is_refused_in_the_usual_form(network, call):
    ada = network.people["ada"].token
    for method, path in (("POST", "/v1/jobs"), ("PUT", "/v1/blobs/" + "0" * 64)):
        answer = call(method, path, ada, bytes(9 * 2**20), Content_Type="application/json")
        assert refused(answer) == "too_large", path


def test_queries_out_of_bounds_are_refused(network, call):
    ada = network.people["ada"].token
    for path in ("/v1/jobs?limit=0", "/v1/jobs?limit=1000000", "/v1/jobs?limit=x", "/v1/account/statement?limit=-1",
                 "/v1/account/statement?account=others", "/v1/account/statement?month=11",
                 "/v1/account/statement?cursor=x",
                 "/v1/account/statement?month=2026-11&since=2026-11-01", "/v1/account/statement?since=2026-11-32",
                 "/v1/account/statement?cursor=99999999999999999999.available", "/v1/invoices?cursor=-1",
                 "/v1/ledger/roots?cursor=x", "/v1/ledger/chain?since=x", "/v1/ledger/batches?after=-1",
                 "/v1/ledger/entries?after=x", "/v1/ledger/entries?cursor=x"):  # fmt: skip
        assert refused(call("GET", path, ada)) == "invalid_value", path
    operator = network.operator.token
    for path in ("/v1/events?after=x", "/v1/events?wait=100000", "/v1/events?limit=0"):
        assert refused(call("GET", path, operator)) == "invalid_value", path


def test_lists_go_on_where_they_stopped(network):
    client = network.operator.client
    for number in range(5):
        client.account.deposit(100 + number, principal="ada")
    everything = list(network.people["ada"].client.account.statement())
    assert [line.amount_micro_usd for line in everything[:5]] == [104, 103, 102, 101, 100]
    network.audit()


def test_an_idempotency_key_that_is_none_is_refused(network, call):
    operator = network.operator.token
    body = {"principal": "ada", "amount_micro_usd": 1}
    answer = call("POST", "/v1/account/deposit", operator, body, Idempotency_Key="k" * 201)
    assert refused(answer) == "invalid_value"
    once = {"Idempotency_Key": "paid-once"}
    answers = [call("POST", "/v1/account/deposit", operator, body, **once) for _ in range(3)]
    assert len({answer.data for answer in answers}) == 1
    body["amount_micro_usd"] = 2
    other = call("POST", "/v1/account/deposit", operator, body, **once)
    assert refused(other) == "idempotency_conflict"
