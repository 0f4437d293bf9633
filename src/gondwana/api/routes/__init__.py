"""One file per domain; each offers a `router`."""
