"""Plans: what a job would take and cost on the machines that fit, several at once, the best of them told.

`cost` is the model (compute, link, codec, inner steps), `risk` what interruptions add, `front` the plans that nothing
beats in both time and cost, `relax` the cheapest way out where nothing fits, `list_prices` what others ask for the
same, `accuracy` how far the model was off. All pure: machines, prices and history come in, plans come out.
"""
