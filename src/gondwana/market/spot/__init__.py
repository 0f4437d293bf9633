"""The spot market: once a minute a call auction per bucket (device model × region), at one price for all who trade.

Invariants: nobody pays more than his cap and no owner gets less than the floor he had when the lease began; what
tenants pay is what owners get, less the network's published parts; a published price moves by at most a tenth in ten
minutes; a gang is served, and evicted, whole; a bucket with few accounts on a side has no call. `model.py`: values ·
`clear.py`: all buckets at once, in numpy · `rules.py`: who is served and who is evicted · `store.py`: the calls'
history.
"""
