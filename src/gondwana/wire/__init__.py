"""What crosses the network: frozen, versioned values, checked when they are decoded.

`jobs` and `units` are what a tenant asks for, `agent` is what an agent and the control plane say to each other,
`views` is what the API answers with. Encoded by msgspec; an unknown or ill-typed field is an error that names it.
"""
