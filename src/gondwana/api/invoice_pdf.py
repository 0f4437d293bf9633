"""An invoice as a PDF: the same document gives the same bytes.

Drawn in PDF's own fonts, which know Western European letters; another letter of a name shows as its nearest, or `?`.
The JSON document and the page keep every name as it is.
"""

import unicodedata
from datetime import datetime
from typing import Final, Literal

from fpdf import FPDF
from fpdf.enums import XPos, YPos

from gondwana.api import invoice_text as text
from gondwana.wire.ledger import InvoiceDocument, InvoiceJob, InvoiceLine

MARGIN_MM: Final = 20.0
WIDTH_MM: Final = 170.0  # of A4, between the margins
COLUMNS_MM: Final = (84.0, 26.0, 28.0, 32.0)  # description, quantity, price, amount
LINE_MM: Final = 5.2
INK: Final = (27, 31, 36)
GREY: Final = (87, 96, 106)
RULE: Final = (214, 219, 225)
PLAIN: Final = str.maketrans({"–": "-", "—": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "…": "...", "→": "->",
                              "≤": "<=", "\u202f": " ", "\u00a0": " "})  # fmt: skip
Align = Literal["L", "R"]


def to_pdf(document: InvoiceDocument, sha256: str) -> bytes:
    """The bytes of the file."""
    paper = _Paper(document)
    paper.head(document)
    paper.lines(document)
    paper.sums(document)
    paper.foot(document, sha256)
    return bytes(paper.output())


def printable(words: str) -> str:
    """Text that PDF's own fonts can show: Latin-1, other letters as their nearest or `?`."""
    found: list[str] = []
    for letter in words.translate(PLAIN):
        plain = letter if _fits(letter) else unicodedata.normalize("NFKD", letter)
        found += [part if _fits(part) else "?" for part in plain if not unicodedata.combining(part)]
    return "".join(found)


def _fits(letter: str) -> bool:
    return letter.isprintable() and ord(letter) < 256


class _Paper(FPDF):
    """A4, with a page number at the foot of each page."""

    def __init__(self, document: InvoiceDocument) -> None:
        super().__init__(format="A4")
        self._name = f"{text.title(document)} {document.number}"
        self.set_creation_date(datetime.fromisoformat(document.issued_at))
        self.set_title(self._name)
        self.set_author(printable(document.seller.name))
        self.set_lang("en")
        self.set_margins(MARGIN_MM, MARGIN_MM)
        self.set_auto_page_break(auto=True, margin=MARGIN_MM + 4)
        self.c_margin = 0  # words begin where the rules do
        self.alias_nb_pages()
        self.add_page()

    def footer(self) -> None:
        """The name of the document and the number of the page, on every page."""
        self.set_y(-15)
        self.write_in(8, GREY)
        self.cell(WIDTH_MM, 4, f"{self._name}, page {self.page_no()} of {{nb}}")

    def write_in(
        self, size: float, colour: tuple[int, int, int] = INK, *, bold: bool = False
    ) -> None:
        """Choose how the next words look."""
        self.set_font("Helvetica", "B" if bold else "", size)
        self.set_text_color(*colour)

    def words(self, width: float, words: str, align: Align = "L") -> None:
        """Words in a column at the present place, over as many lines as they need; the next go below."""
        self.multi_cell(
            width, LINE_MM, printable(words), align=align, new_x=XPos.LEFT, new_y=YPos.NEXT
        )

    def head(self, document: InvoiceDocument) -> None:
        """Title and seller, buyer and dates."""
        top = self.get_y()
        self.write_in(22, bold=True)
        self.cell(WIDTH_MM / 2, 10, text.title(document))
        self.set_xy(MARGIN_MM, top + 10)
        self.write_in(12, GREY)
        self.cell(WIDTH_MM / 2, 6, document.number)
        self.set_xy(MARGIN_MM + WIDTH_MM / 2, top)
        self.write_in(11, bold=True)
        self.words(WIDTH_MM / 2, document.seller.name, "R")
        self.write_in(9.5)
        for line in document.seller.address:
            self.words(WIDTH_MM / 2, line, "R")
        if document.seller.tax_id:
            self.write_in(9.5, GREY)
            self.words(WIDTH_MM / 2, f"Tax ID {document.seller.tax_id}", "R")
        self.parties(document, max(self.get_y(), top + 16) + 12)

    def parties(self, document: InvoiceDocument, top: float) -> None:
        """Who is billed, when, for what month."""
        self.set_xy(MARGIN_MM, top)
        self.write_in(7.5, GREY, bold=True)
        self.words(WIDTH_MM / 2, "BILLED TO")
        self.write_in(11, bold=True)
        self.words(WIDTH_MM / 2, document.buyer.name)
        self.write_in(9, GREY)
        self.words(WIDTH_MM / 2, document.buyer.id)
        bottom = self.get_y()
        dates = [("Issued", text.issued(document)), ("Period", text.month(document))]
        if document.corrects:
            dates.append(("Corrects invoice", document.corrects))
        for row, (name, value) in enumerate(dates):
            self.set_xy(MARGIN_MM + WIDTH_MM - 80, top + LINE_MM * (row + 1))
            self.write_in(9.5, GREY)
            self.cell(40, LINE_MM, name)
            self.write_in(9.5)
            self.cell(40, LINE_MM, value, align="R")
        self.set_xy(MARGIN_MM, max(bottom, self.get_y() + LINE_MM) + 10)

    def lines(self, document: InvoiceDocument) -> None:
        """What was charged, job by job."""
        self.columns()
        for job in document.jobs:
            if (
                self.get_y() > self.h - self.b_margin - 4 * LINE_MM
            ):  # a job's name stays with its first line
                self.add_page()
                self.columns()
            self.job(job)
            for line in job.lines:
                if self.get_y() > self.h - self.b_margin - 2 * LINE_MM:
                    self.add_page()
                    self.columns()
                self.line_of(line)

    def columns(self) -> None:
        """The titles of the columns."""
        self.write_in(7.5, GREY, bold=True)
        for width, title in zip(
            COLUMNS_MM, ("DESCRIPTION", "QUANTITY", "PRICE", "AMOUNT"), strict=True
        ):
            self.cell(width, LINE_MM, title, align="L" if title == "DESCRIPTION" else "R")
        self.ln(LINE_MM + 1)
        self.rule(INK)

    def rule(self, colour: tuple[int, int, int]) -> None:
        """A thin line across the page."""
        self.set_draw_color(*colour)
        self.set_line_width(0.2)
        self.line(MARGIN_MM, self.get_y(), MARGIN_MM + WIDTH_MM, self.get_y())

    def job(self, job: InvoiceJob) -> None:
        """A job's name, and its sum where it has several lines."""
        if not text.job(job):
            return
        self.ln(3)
        top = self.get_y()
        self.write_in(9.5, bold=True)
        self.words(sum(COLUMNS_MM[:3]), f"Job {text.job(job)}")
        bottom = self.get_y()
        if len(job.lines) > 1:
            self.set_xy(MARGIN_MM + sum(COLUMNS_MM[:3]), top)
            self.cell(COLUMNS_MM[3], LINE_MM, text.usd(job.net_micro_usd), align="R")
        self.set_xy(MARGIN_MM, bottom)

    def line_of(self, line: InvoiceLine) -> None:
        """One charge."""
        self.ln(0.8)
        top = self.get_y()
        self.write_in(9.5)
        self.set_x(MARGIN_MM + 3)
        self.words(COLUMNS_MM[0] - 3, line.words)
        bottom, page = self.get_y(), self.page
        self.set_xy(MARGIN_MM + COLUMNS_MM[0], top if page == self.page else MARGIN_MM)
        cells = (text.quantity(line), text.rate(line), text.usd(line.amount_micro_usd))
        for width, words in zip(COLUMNS_MM[1:], cells, strict=True):
            self.cell(width, LINE_MM, printable(words), align="R")
        self.set_xy(MARGIN_MM, bottom + 0.8)
        self.rule(RULE)

    def sums(self, document: InvoiceDocument) -> None:
        """Net, taxes, total; together on one page."""
        rows = [("Net", document.net_micro_usd)]
        rows += [(f"Tax ({tax.jurisdiction})", tax.amount_micro_usd) for tax in document.taxes]
        if not document.taxes:
            rows.append(("Tax", 0))
        if self.get_y() > self.h - self.b_margin - (len(rows) + 3) * LINE_MM:
            self.add_page()
        self.ln(6)
        left = MARGIN_MM + COLUMNS_MM[0]
        for name, amount in rows:
            self.set_x(left)
            self.write_in(9.5)
            self.cell(WIDTH_MM - COLUMNS_MM[0] - 40, LINE_MM, printable(name))
            self.cell(40, LINE_MM, text.usd(amount), align="R")
            self.ln(LINE_MM)
        self.ln(1.5)
        self.set_draw_color(*INK)
        self.line(left, self.get_y(), MARGIN_MM + WIDTH_MM, self.get_y())
        self.ln(1.5)
        self.set_x(left)
        self.write_in(12, bold=True)
        self.cell(WIDTH_MM - COLUMNS_MM[0] - 50, 7, f"Total {document.currency}")
        self.cell(50, 7, text.usd(document.total_micro_usd), align="R")
        self.ln(16)

    def foot(self, document: InvoiceDocument, sha256: str) -> None:
        """How it was paid, where it comes from, and what to check it by."""
        self.write_in(8.5, GREY)
        for words in (
            text.sentence(document),
            text.source(document),
            f"SHA-256 of the document: {sha256}",
        ):
            self.set_x(MARGIN_MM)
            self.multi_cell(
                WIDTH_MM, 4.4, printable(words), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT
            )
