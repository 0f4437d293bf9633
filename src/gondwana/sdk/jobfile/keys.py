"""The keys of a job file: ours, with a line of what each means, and SkyPilot's that we refuse for now.

docs/reference/job-file.md is made from these tables, and the parser refuses by them: they cannot drift apart.
"""

from typing import Final

TOP: Final = {
    "name": "The job's name; the file's own name when it is missing.",
    "workdir": "The folder that the job sees as its own; relative to the job file.",
    "num_nodes": "How many machines run `run`, all at once (1 to 64).",
    "resources": "What each machine must have.",
    "envs": "Environment variables of `setup` and `run`.",
    "setup": "Shell commands before `run`, on each machine.",
    "run": "Shell commands of the job; its exit code is the job's.",
    "file_mounts": "More files: path on the machine: local file or folder, relative to the job file.",
    "gondwana": "What SkyPilot has no word for: money, time, island training.",
}
RESOURCES: Final = {
    "accelerators": "`H100`, `H100:8`, a map, or a list of alternatives; without it a machine without any will do.",
    "cpus": "Processors: `4` or `4+` (both mean at least).",
    "memory": "Gigabytes: `16` or `16+` (both mean at least), or with a unit: `512MB`.",
    "use_spot": "`true`: buy on spot, as `gondwana.mechanism: spot`; it needs a price cap.",
    "any_of": "Alternatives: the cheapest whole that can be had is taken. What one leaves out stands above them.",
    "ordered": "The same, but the first that can be had now is taken, even if a later one is cheaper.",
}
ALTERNATIVE: Final = {
    "accelerators": "As above.",
    "cpus": "As above.",
    "memory": "As above.",
    "region": "Where the machine is: `eu-1`, or `eu-*`.",
    "where": "A filter, beside `gondwana.where`.",
}
GONDWANA: Final = {
    "budget_usd": "The most that the job may cost in all; it stops before it costs more.",
    "project": "The project whose budgets it counts against: `gondwana budget set 500 --project NAME`.",
    "price_cap_usd_per_gpu_hour": "The most to pay for one accelerator (or one machine without any) per hour.",
    "mechanism": "How the price is made: `posted` (at once, what the owner asks), `auction` or `spot`.",
    "where": "What each machine must be, as `gondwana offers` takes it: `region = eu and price < 0.50`.",
    "notice_hours_min": "How many hours before it takes its machine back an owner must say so: 1 to 720. Default none.",
    "priority": "Among the jobs of the same project, 0 to 100: the greater first. Default 0.",
    "lease_hours": "How long the job wants its machines; without it until it ends.",
    "starts_at": "When it wants them: `2026-12-01T08:00Z`, reserved for `lease_hours`; without it now.",
    "standing": "`true`: wait for machines until cancelled. Default `false`.",
    "max_duration": "How long one attempt may run: `90s`, `15m`, `2h`, `1d`. Default `1d`.",
    "elastic": "`true`: nodes may be added and taken away while `run` runs (`gondwana jobs resize`). Default `false`.",
    "train": "Train one model over many machines instead of `run`.",
}
TRAIN: Final = {
    "recipe": "The recipe's file, below `workdir`.",
    "data": "A file or a folder of text to train on, relative to the job file.",
    "config": "What the recipe is given: any numbers, words, lists, maps.",
    "rounds": "How many rounds, the warm ones included. Default 10.",
    "warm_rounds": "Of these, how many the strongest machine does alone at first. Default 1.",
    "inner_steps": "The most steps on one machine between two merges. Default 50.",
    "window_seconds": "How long the machines train in each round. Default 60.",
    "islands": "How many machines.",
    "codec": "How changes travel: `int4`, `int8` or `fp32`. Default `int4`.",
    "gates": "How suspicious to be of what machines deliver.",
    "seed": "Where all the randomness of the run starts. Default 0.",
    "sample_chars": "How much text the model writes after each round. Default 400.",
    "parameters": "How many parameters the model has: lets `gondwana plan` reckon before the job ever ran.",
    "tokens_per_step": "How many tokens one inner step takes on one machine: the same.",
}
ISLANDS: Final = {
    "min": "Start with at least so many. Default 1.",
    "max": "Use at most so many (up to 256). Default 8.",
}
GATES: Final = {
    "norm_min": "The smallest change taken, relative to the usual one. Default 0.2.",
    "norm_max": "The largest. Default 3.",
    "cosine_min": "How far it must point the common way, -1 to 1. Default 0.",
    "evaluate_per_round": "How many deltas per round are checked on held-out data. Default 1.",
}

TABLES: Final = {
    "": TOP,
    "resources": RESOURCES,
    "resources.any_of": ALTERNATIVE,
    "gondwana": GONDWANA,
    "gondwana.train": TRAIN,
    "gondwana.train.islands": ISLANDS,
    "gondwana.train.gates": GATES,
}
"""Path of a mapping in the file -> its keys."""

SKYPILOT: Final = {
    "": frozenset({
        "secrets", "managed_secrets", "volumes", "service", "pool", "config", "event_callback", "inputs", "outputs",
        "api_server_access", "file_mounts_mapping", "volume_mounts", "_metadata",
    }),
    "resources": frozenset({
        "infra", "cloud", "region", "zone", "accelerator_args", "instance_type", "max_hourly_cost",
        "job_recovery", "spot_recovery", "disk_size", "disk_tier", "local_disk", "network_tier", "ports", "image_id",
        "labels", "autostop", "priority", "priority_class", "volumes",
    }),
}  # fmt: skip
"""Keys that SkyPilot 0.14 knows at the same place, and that mean nothing here yet."""

INSTEAD: Final = {
    "resources.max_hourly_cost": "write gondwana.price_cap_usd_per_gpu_hour",
    "resources.disk_size": "leave it out: a job is given what its machine's owner allows",
    "secrets": "pass them under envs for now; they are stored with the job",
}
"""What to write in place of a SkyPilot key, where there is something."""
