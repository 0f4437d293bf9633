"""Names made safe for a file system."""

import re
from typing import Final

FILE_NAME_CHARS_MAX: Final = 120


def safe_file_name(name: str) -> str:
    """A name from somewhere else as one plain file name: no folders, no leading dot, nothing odd."""
    plain = re.sub(r"[^A-Za-z0-9._+-]+", "_", name).lstrip(".")
    return plain[:FILE_NAME_CHARS_MAX] or "unnamed"
