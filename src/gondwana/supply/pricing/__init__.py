"""Owners' pricing policies: what moves a price, within what the owner allows.

`rules` decides, `(policy, facts, now) -> price and reason`, pure; `store` keeps what owners state. A price that a
policy moved counts for leases made from then on, like one that was typed; running leases keep theirs.
"""
