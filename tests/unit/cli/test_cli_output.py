import sys

import pytest

from gondwana.cli.output import columns, table

HEADS = columns("ID", ">AMOUNT", "WHY")
ROWS = [["pay_1m8a6r2e4119f3qf1mnd", "$20.000000", "account closed"], ["pay_2", "$1.000000", ""]]


@pytest.fixture
def terminal(monkeypatch):
    """`terminal(columns)`: standard output is a terminal of that width."""

    def terminal(width):
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        monkeypatch.setenv("COLUMNS", str(width))

    return terminal


def test_a_wide_terminal_shows_a_line_for_each_row(terminal):
    terminal(80)
    head, *rows = table(HEADS, ROWS, empty="").splitlines()
    assert "ID" in head
    assert [row.split()[0] for row in rows] == ["pay_1m8a6r2e4119f3qf1mnd", "pay_2"]


def test_on_a_terminal_too_narrow_a_row_goes_on_where_a_column_does_not_fit(terminal):
    terminal(40)
    assert table(HEADS, ROWS, empty="") == (
        "ID                            AMOUNT\n    WHY\n"
        "pay_1m8a6r2e4119f3qf1mnd  $20.000000\n    account closed\n"
        "pay_2                      $1.000000"
    )
    terminal(30)
    assert table(HEADS, ROWS, empty="").splitlines()[:3] == [
        "ID", "        AMOUNT  WHY", "pay_1m8a6r2e4119f3qf1mnd",
    ]  # fmt: skip


def test_what_no_terminal_reads_is_a_line_for_each_row_however_long(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert len(table(HEADS, ROWS, empty="").splitlines()) == 3
