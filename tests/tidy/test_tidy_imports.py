"""What a command loads, seen in a fresh interpreter."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "torch",
    "fastapi",
    "pydantic",
    "rich",
    "numpy",
    "uvicorn",
    "starlette",
    "urllib3",
    "msgspec",
    "yaml",
    "sqlite3",
    "jinja2",
    "fpdf",
}
SERVER_ONLY = {
    "torch",
    "fastapi",
    "pydantic",
    "numpy",
    "uvicorn",
    "starlette",
    "sqlite3",
    "jinja2",
    "fpdf",
}
LOADED = "import json, sys; {}; json.dump(sorted(sys.modules), sys.stderr)"


def loaded_by(statement: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(statement)], capture_output=True, text=True, check=True
    )
    return {module.split(".")[0] for module in json.loads(done.stderr)}


def test_help_loads_nothing_heavy():
    statement = "from gondwana.cli.main import run; assert run(['--help']) == 0"
    assert loaded_by(statement) & HEAVY == set()


@pytest.mark.parametrize("module", ["gondwana.sdk", "gondwana.sdk.jobfile", "gondwana.cli.commands.launch",
                                    "gondwana.cli.commands.offers", "gondwana.cli.commands.provider",
                                    "gondwana.cli.commands.account", "gondwana.cli.commands.ledger"])  # fmt: skip
def test_the_client_side_never_loads_what_only_a_server_needs(module):
    assert loaded_by(f"import {module}") & SERVER_ONLY == set()


def test_the_control_plane_does_not_load_torch():
    assert "torch" not in loaded_by("import gondwana.server.serve")


def test_the_control_plane_draws_invoices_with_what_it_loads_for_the_first_one():
    assert (
        loaded_by("import gondwana.server.serve") & {"jinja2", "fpdf", "PIL", "fontTools"} == set()
    )


def test_the_agent_does_not_load_torch_or_the_server():
    assert loaded_by("import gondwana.agent.main") & SERVER_ONLY == set()
