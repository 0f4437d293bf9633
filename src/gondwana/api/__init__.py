"""The HTTP API and the agents' link: decode, call, encode. What is decided is decided below."""
