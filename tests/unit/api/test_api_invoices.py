"""Invoices on paper: the same document gives the same bytes, and no name breaks the page."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gondwana.api import invoice_text
from gondwana.api.invoice_html import to_html
from gondwana.api.invoice_pdf import printable, to_pdf
from gondwana.wire.ledger import (
    Buyer,
    InvoiceDocument,
    InvoiceJob,
    InvoiceLine,
    InvoiceTax,
    Seller,
)

SHA = "ab" * 32


def document(*, seller="Gondwana Ltd", buyer="ada", words="Compute, 1 lease", jobs=1, **changes):
    line = InvoiceLine(kind="compute", words=words, quantity=7_201, unit="s", price_micro_usd_per_hour=2_490_000,
                       amount_micro_usd=4_980_691)  # fmt: skip
    found = tuple(
        InvoiceJob(job=f"job_{n}", name=f"render-{n}", lines=(line,), net_micro_usd=4_980_691)
        for n in range(jobs)
    )
    given = {
        "version": 1, "kind": "invoice", "number": "2026-000001", "corrects": "", "month": "2026-11", "currency": "USD",
        "issued_at": "2026-12-01T01:00:00Z", "first_transfer": 3, "last_transfer": 39, "jobs": found,
        "seller": Seller(name=seller, address=("12 Kauri Street",), tax_id="NZ 1"),
        "buyer": Buyer(id="pri_1", name=buyer),
        "taxes": (InvoiceTax(jurisdiction="de", amount_micro_usd=946_331),), "net_micro_usd": 4_980_691 * jobs,
        "tax_micro_usd": 946_331, "total_micro_usd": 4_980_691 * jobs + 946_331,
    }  # fmt: skip
    return InvoiceDocument(**{**given, **changes})


def test_the_same_document_gives_the_same_bytes():
    assert to_pdf(document(), SHA) == to_pdf(document(), SHA)
    assert to_pdf(document(), SHA).startswith(b"%PDF-")
    assert b"D:20261201010000" in to_pdf(document(), SHA)  # its date is the document's
    assert to_html(document(), SHA) == to_html(document(), SHA)


def test_a_page_says_everything_that_the_document_does():
    page = to_html(document(), SHA)
    for words in ("2026-000001", "Gondwana Ltd", "12 Kauri Street", "NZ 1", "ada", "pri_1", "November 2026", "render-0",
                  "7,201 s", "$2.490000/h", "$4.980691", "Tax (de)", "$0.946331", "$5.927022", SHA):  # fmt: skip
        assert words in page, words


def test_a_credit_note_names_the_invoice_it_corrects():
    note = document(kind="credit_note", number="CN-2026-000001", corrects="2026-000001")
    assert "Credit note" in to_html(note, SHA)
    assert "Corrects invoice" in to_html(note, SHA)
    assert "on invoice 2026-000001" in invoice_text.sentence(note)
    assert to_pdf(note, SHA).startswith(b"%PDF-")


def test_names_are_text_on_the_page_and_never_markup():
    page = to_html(document(seller="<script>alert(1)</script>", buyer="{{ 7*7 }}&<b>"), SHA)
    assert "<script" not in page
    assert "{{ 7*7 }}&amp;&lt;b&gt;" in page


def test_a_long_invoice_has_as_many_pages_as_it_needs():
    files = [to_pdf(document(jobs=count), SHA) for count in (1, 60, 200)]
    pages = [len(re.findall(rb"/Type /Page\b", file)) for file in files]
    assert pages[0] == 1
    assert 3 <= pages[1] < pages[2]


@pytest.mark.parametrize(
    ("words", "shown"),
    [("Südpazifik", "Südpazifik"), ("Łódź", "?ódz"), ("光", "?"), ("a — “b”…", 'a - "b"...'),
     ("\u202e\x00\n", "???"), ("ﬁ", "fi")],
)  # fmt: skip
def test_letters_that_the_paper_lacks_show_as_their_nearest(words, shown):
    assert printable(words) == shown


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=150), st.text(max_size=150), st.text(max_size=200))
def test_no_name_breaks_the_paper(seller, buyer, words):
    odd = document(buyer=buyer, words=words)
    assert to_pdf(odd, SHA).startswith(b"%PDF-")
    assert SHA in to_html(odd, SHA)
    printable(seller).encode("latin-1")


def test_a_word_without_end_stays_on_the_paper():
    endless = "x" * 200
    assert to_pdf(document(seller=endless, buyer=endless, words=endless), SHA).startswith(b"%PDF-")
