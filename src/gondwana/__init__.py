"""Gondwana turns GPUs that many people own into one cloud. Start reading at ARCHITECTURE.md."""

__version__ = "0.1.0"
