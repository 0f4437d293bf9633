"""Files of banks: what is written is read again, and whatever is wrong is told with its line and column."""

import csv
import io
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.errors import InvalidValue, NoSuchThing
from gondwana.core.money import MICRO_USD_MAX
from gondwana.ledger.rail_files import FILE_CHARS_MAX, FILE_LINES_MAX, dollars
from gondwana.ledger.rails import PayoutOrder, PayoutResult, ResultStatus, rail_named

CSV = rail_named("csv")
HEAD = "id,reference,amount,date,sender\n"
words = st.text(st.characters(codec="utf-8"), max_size=30).map(str.strip).filter(str.isprintable)
amounts = st.integers(1, 10**12 * 1_000_000 - 1)


def refused(read, text):
    with pytest.raises(InvalidValue) as caught:
        read(text)
    return caught.value


@given(st.integers(1, MICRO_USD_MAX))
def test_an_amount_is_written_exactly_in_decimal_dollars(micro_usd):
    assert Decimal(dollars(micro_usd)) * 1_000_000 == micro_usd
    assert re.fullmatch(r"\d+\.\d{2,6}", dollars(micro_usd))


rows_of_banks = st.tuples(st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True), words, amounts, words)


@given(st.lists(rows_of_banks, max_size=20))
def test_a_statement_says_again_what_was_written_into_it(rows):
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(["SENDER", "date", "balance", "amount", "id", "reference"])
    for number, reference, amount, sender in rows:
        writer.writerow([sender, "2026-11-23", "-1", dollars(amount), number, reference])
    found = CSV.read_payments("\ufeff" + written.getvalue())
    assert [(p.id, p.reference, p.amount_micro_usd, p.sender) for p in found] == rows
    assert {p.paid_on for p in found} <= {"2026-11-23"}


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader(text):
    complaints = []
    for read in (CSV.read_payments, CSV.read_results):
        for content in (text, HEAD + text, "id,status\n" + text):
            try:
                read(content)
            except InvalidValue as error:
                complaints.append((error.fields["field"], error.message, error.hint))
    assert all(place.startswith("line ") and why and hint for place, why, hint in complaints)


def test_a_batch_names_each_payout_by_its_id_and_is_the_same_each_time():
    orders = [
        PayoutOrder(id="pay_1", holder='Ann "A", Inc', destination="DE89 3704", amount_micro_usd=1),
        PayoutOrder(id="pay_2", holder="Bob", destination="x@y.example", amount_micro_usd=25_500_000),
    ]  # fmt: skip
    text = CSV.submit(orders)
    assert text == CSV.submit(orders)
    assert text == (
        "id,name,destination,amount,reference\n"
        'pay_1,"Ann ""A"", Inc",DE89 3704,0.000001,pay_1\n'
        "pay_2,Bob,x@y.example,25.50,pay_2\n"
    )


def test_results_are_read_with_their_lines():
    text = "id,status,reference,reason\n\npay_1,Confirmed,R1,\npay_2,failed,,account closed\n"
    assert CSV.read_results(text) == [
        PayoutResult(line=3, payout_id="pay_1", status=ResultStatus.CONFIRMED, reference="R1"),
        PayoutResult(line=4, payout_id="pay_2", status=ResultStatus.FAILED, reason="account closed"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "place"),
    [
        (",ref,1,2026-11-23,x", "line 2, column id"),
        ("1,ref,-5,2026-11-23,x", "line 2, column amount"),
        ("1,ref,0,2026-11-23,x", "line 2, column amount"),
        ("1,ref,0.0000001,2026-11-23,x", "line 2, column amount"),
        ("1,ref,1e3,2026-11-23,x", "line 2, column amount"),
        ("1,ref,1_000,2026-11-23,x", "line 2, column amount"),
        ("1,ref,٣,2026-11-23,x", "line 2, column amount"),
        ('1,ref,"1,000.00",2026-11-23,x', "line 2, column amount"),
        ("1,ref,9999999999999,2026-11-23,x", "line 2, column amount"),
        ("1,ref,nan,2026-11-23,x", "line 2, column amount"),
        ("1,ref,1,23.11.2026,x", "line 2, column date"),
        ("1,ref,1,20261123,x", "line 2, column date"),
        ("1,ref,1,2026-02-30,x", "line 2, column date"),
        ("1,ref,1,2026-11-23", "line 2, column 5"),
        ("1,ref,1,2026-11-23,x,y", "line 2, column 6"),
        ('1,"two\nlines",1,2026-11-23,x', "line 3, column reference"),
        (f"1,{'r' * 141},1,2026-11-23,x", "line 2, column reference"),
        ('1,"open,1,2026-11-23,x', "line 2"),
    ],
)
def test_a_wrong_cell_is_told_by_line_and_column(line, place):
    error = refused(CSV.read_payments, HEAD + line + "\n")
    assert error.fields["field"] == place
    assert error.message.startswith(place)
    assert error.hint


@pytest.mark.parametrize("text", ["", "\n", "id,amount,date\n", "id,id,reference,amount,date\n"])
def test_a_file_without_its_columns_is_told_how_to_begin(text):
    assert "id,reference,amount,date,sender" in refused(CSV.read_payments, text).hint


def test_a_failed_payout_needs_a_reason_and_an_unknown_status_is_refused():
    silent = refused(CSV.read_results, "id,status\npay_1,failed\n")
    assert silent.fields["field"] == "line 2, column reason"
    assert "confirmed, failed" in refused(CSV.read_results, "id,status\npay_1,done\n").hint


def test_a_file_is_bounded_in_lines_and_size():
    line = "1,ref,1,2026-11-23,x\n"
    assert len(CSV.read_payments(HEAD + line * FILE_LINES_MAX)) == FILE_LINES_MAX
    long = refused(CSV.read_payments, HEAD + line * (FILE_LINES_MAX + 1))
    assert long.fields["field"] == f"line {FILE_LINES_MAX + 2}"
    assert "characters" in refused(CSV.read_payments, "x" * (FILE_CHARS_MAX + 1)).message


def test_the_manual_rail_reads_no_files_and_an_unknown_rail_is_refused():
    for read in (rail_named("manual").read_results, rail_named("manual").read_payments):
        refused(read, HEAD)
    with pytest.raises(NoSuchThing):
        rail_named("pigeon")
