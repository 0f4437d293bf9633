"""The market: offers in a book, orders, the three ways to buy (posted prices, `auction`, `spot`), leases, plans.

Invariants: a device is leased once; a lease is reserved before it is active and lapses if nobody confirms it; a gang
is leased whole or not at all; nobody pays more than the order's cap.
"""
