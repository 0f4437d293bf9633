"""A job file says what its machine must be: real processes, over the command line."""

from datetime import date, timedelta

import pytest
from network import job_file

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def network(sandboxed, make_network):
    network = make_network()
    network.person("ada", "tenant", usd=50)
    network.person("anna", "auditor")
    network.join("atlas", "--region", "eu-1", price="0.10")
    network.join("birch", "--region", "us-1", owner="bert", price="0.50")
    return network


@pytest.fixture
def ada(network):
    return network.people["ada"]


def where(network, name, text):
    return job_file(network.folder, name, f"run: echo done\ngondwana:\n  where: {text}\n")


def test_a_job_runs_on_the_machine_that_its_filter_names_though_another_is_cheaper(ada, network):
    job = where(network, "far", "region=us-* and cpus>0 and isolation=sandbox")
    assert ada.json("plan", job)["default"]["machines"] == ["birch"]
    done = ada.cli("launch", "--yes", job)
    assert done.returncode == 0, done.stderr + network.logs()
    assert "birch" in ada.cli("jobs", "show", "far").stdout


def test_a_filter_that_nothing_fits_is_refused_with_its_term_and_what_would_do(ada, network):
    job = where(network, "cheap", "region=us-* and price<=0.05")
    refused = ada.cli("launch", "--yes", job)
    assert refused.returncode == 6, refused.stdout + refused.stderr
    assert "where: price<=0.05: none of 1 machines" in refused.stderr
    assert "the nearest has 0.5" in refused.stderr
    planned = ada.cli("plan", job)
    assert planned.returncode == 6
    assert "ask for price<=0.5 instead of price<=0.05" in planned.stdout


@pytest.mark.parametrize(
    "text, told",
    [("prize<=1", "did you mean price"), ("price<=1;DROP", "At character"), ("free>=1", "free")],
)
def test_a_filter_that_cannot_be_read_is_refused_with_its_place(ada, network, text, told):
    refused = ada.cli("launch", "--yes", where(network, "wrong", f'"{text}"'))
    assert refused.returncode == 2
    assert "gondwana.where" in refused.stderr
    assert told in refused.stderr


def test_a_job_runs_where_an_auditor_signed_what_it_asks_for(ada, network):
    job = where(network, "private", "tags has gdpr")
    refused = ada.cli("launch", "--yes", job)
    assert refused.returncode == 6
    assert "where: tags=gdpr: none of 2 machines" in refused.stderr
    anna, bert = network.people["anna"], network.people["bert"]
    day = (date.today() + timedelta(days=90)).isoformat()
    assert bert.cli("tag", "sign", "atlas", "gdpr", "--expires", day).returncode == 3
    assert anna.cli("tag", "sign", "atlas", "gdpr", "--expires", "2001-01-01").returncode == 2
    assert anna.cli("tag", "sign", "nobody", "gdpr", "--expires", day).returncode == 4
    signed = anna.json("tag", "sign", "birch", "gdpr", "--expires", day, "--evidence", "b3:00")
    assert signed["stands"]
    assert "gdpr" in ada.cli("tag", "list", "--machine", "birch").stdout
    (offer,) = ada.json("offers", "tag:gdpr@anna")
    assert offer["machine"] == "birch"
    done = ada.cli("launch", "--yes", job)
    assert done.returncode == 0, done.stderr + network.logs()
    assert "birch" in ada.cli("jobs", "show", "private").stdout
    assert not anna.json("tag", "revoke", signed["id"])["stands"]
    assert ada.cli("launch", "--yes", where(network, "again", "tags has gdpr")).returncode == 6
