"""The agent: on the owner's machine, dials out, runs what it is told in a sandbox, proves that it does.

core       what to start and stop, what to report: no I/O, so the simulator runs the same code
link       the outbound WebSocket: handshake, heartbeats, reports until acknowledged
runner     one lease's work: fetch, sandbox, harvest, deliver
cache      blobs on this machine, verified, bounded
identity   the machine's key and folder; one agent per folder
inventory  what the machine has;  probe  how fast it is, measured
"""
