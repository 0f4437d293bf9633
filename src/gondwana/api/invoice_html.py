"""An invoice as a page that prints on one sheet; `api/templates/invoice.html` is its shape."""

from functools import cache
from importlib import resources

from jinja2 import BaseLoader, Environment, StrictUndefined, Template

from gondwana.api import invoice_text as text
from gondwana.wire.ledger import InvoiceDocument


def to_html(document: InvoiceDocument, sha256: str) -> str:
    """The page; whatever names hold is shown as text."""
    return _template().render(invoice=document, sha256=sha256, text=text)


@cache
def _template() -> Template:
    source = (
        resources.files("gondwana.api").joinpath("templates", "invoice.html").read_text("utf-8")
    )
    rules = Environment(
        loader=BaseLoader(), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return rules.from_string(source)
