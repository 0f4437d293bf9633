"""The market, first form: orders, posted prices, leases, plans.

Invariants: a device is leased once; a lease is reserved before it is active and lapses if nobody confirms it; a gang
is leased whole or not at all; nobody pays more than the order's cap. The mechanisms of architecture section 9
(auctions, spot, bids) come as further functions beside `rules.match`.
"""
