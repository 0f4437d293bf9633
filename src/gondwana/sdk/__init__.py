"""The Python client: `Client()` with no arguments works from the saved login.

Synchronous (docs/adr/0002), light to import: urllib3 and msgspec, nothing of the server. Returns the wire
dataclasses; raises the classes of `gondwana.core.errors` that the server raised.
"""

from gondwana.sdk.client import Client
from gondwana.sdk.config import Settings, load_settings, save_settings

__all__ = ["Client", "Settings", "load_settings", "save_settings"]
