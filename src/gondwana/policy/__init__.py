"""Who may do what: principals, tokens, scopes, and whether a job may enter.

Invariants: a token is stored as its hash alone; a revoked token never works again; every call names a principal.
"""
