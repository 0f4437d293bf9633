"""The documentation says what the code does, its links lead somewhere, and decisions are written down whole."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
ADRS = sorted((DOCS / "adr").glob("*.md"))
ADR_HEADINGS = ["Context", "Decision", "Consequences", "What would change our mind"]


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location(
        "make_reference", ROOT / "tools" / "make_reference.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_reference"] = module
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_what_the_code_says(reference):
    stale = [str(path.relative_to(ROOT)) for path in reference.out_of_date()]
    assert stale == [], "run: python tools/make_reference.py"


def test_every_error_has_a_line_in_the_reference():
    from gondwana.core.errors import all_errors

    page = (DOCS / "reference" / "errors.md").read_text()
    assert [error.code for error in all_errors() if f"| `{error.code}` |" not in page] == []


def test_every_error_is_in_the_drawing_of_the_tree():
    from gondwana.core import errors

    drawn = set(re.findall(r"\w+", errors.__doc__))
    assert [error.__name__ for error in errors.all_errors() if error.__name__ not in drawn] == []


def test_every_command_has_a_part_in_the_reference(reference):
    from gondwana.cli.main import cli

    page = (DOCS / "reference" / "cli.md").read_text()
    paths = [" ".join(path) for path, _ in reference.commands(cli, ("gondwana",))]
    assert len(paths) > 25
    assert [path for path in paths if f"\n## {path}\n" not in page] == []


def test_every_key_of_a_job_file_has_a_line_in_the_reference():
    from gondwana.sdk.jobfile.keys import SKYPILOT, TABLES

    page = (DOCS / "reference" / "job-file.md").read_text()
    keys = [
        (place, key)
        for table in (TABLES, SKYPILOT)
        for place, names in table.items()
        for key in names
    ]
    assert [
        key for place, key in keys if f"| `{f'{place}.{key}' if place else key}` |" not in page
    ] == []


def test_every_state_has_a_line_in_the_reference(reference):
    page = (DOCS / "reference" / "states.md").read_text()
    machines = reference.state_machines()
    assert {"JobState", "LeaseState", "MachineState"} <= {machine.enum for machine in machines}
    for machine in machines:
        part = page.split(f"## {machine.enum}\n", 1)[1].split("\n## ", 1)[0]
        assert [
            value for value, _ in machine.members.values() if f"| `{value}` |" not in part
        ] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        place = (page.parent / path).resolve() if path else page
        if not place.exists() or (anchor and anchor not in _anchors(place)):
            broken.append(target)
    assert broken == []


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", ADRS, ids=lambda page: page.stem)
def test_a_decision_has_its_four_headings_in_order(page):
    heads = re.findall(
        r"^(?:## (.+)|\*\*(.+?)\.\*\*)", page.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    found = [heading or bold for heading, bold in heads]
    assert [heading for heading in found if heading in ADR_HEADINGS] == ADR_HEADINGS


def test_decisions_are_numbered_without_a_double():
    numbers = [page.name[:4] for page in ADRS]
    assert len(ADRS) >= 2
    assert all(number.isdecimal() for number in numbers)
    assert len(set(numbers)) == len(numbers)


def test_files_named_in_the_pages_exist():
    """A page that sends a reader to a file of ours sends them to one that is there."""
    missing = []
    for page in PAGES:
        for path in re.findall(
            r"`((?:src|docs|tests|tools|examples|benchmarks)/[\w./-]+\.\w+)`", page.read_text()
        ):
            if not (ROOT / path).exists():
                missing.append(f"{page.relative_to(ROOT)}: {path}")
    assert missing == []


def test_python_examples_in_the_pages_are_python():
    broken = []
    for page in PAGES:
        for example in re.findall(
            r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL
        ):
            try:
                compile(example, str(page), "exec")
            except SyntaxError as error:
                broken.append(f"{page.relative_to(ROOT)}: {error}")
    assert broken == []


def test_job_file_examples_in_the_pages_are_read(tmp_path):
    from gondwana.sdk.jobfile import parse_job
    from gondwana.sdk.jobfile.reader import read_yaml

    (tmp_path / "recipe.py").write_text("")
    (tmp_path / "tinyshakespeare.txt").write_text("")
    count = 0
    for page in PAGES:
        for example in re.findall(
            r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL
        ):
            parse_job(
                read_yaml(example.encode(), source=str(page)),
                folder=tmp_path,
                default_name="example",
            )
            count += 1
    assert count >= 2
