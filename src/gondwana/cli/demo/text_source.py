"""What the demo's model learns from."""

from pathlib import Path

from gondwana.core.dataset import read_dataset


def read(path: Path | None) -> tuple[str, bytes]:
    """(its name, the text): a file, a folder, or the language reference that every Python brings along."""
    if path is not None:
        return path.name, read_dataset(path)
    from pydoc_data import topics

    pages: dict[str, str] = topics.topics
    return "the Python language reference", "\n\n".join(
        pages[name] for name in sorted(pages)
    ).encode()
