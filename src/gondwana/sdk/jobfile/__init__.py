"""Job files: a SkyPilot task file, with our terms under `gondwana:`, as a checked draft of a job.

`read_job_file(path)` gives the `Draft`: the JobSpec without its files, and the local things that it names.
Every refusal names the key by its full path, the value, and what to write (docs/reference/job-file.md).
"""

from gondwana.sdk.jobfile.parse import Draft, TrainData, parse_job, read_job_file

__all__ = ["Draft", "TrainData", "parse_job", "read_job_file"]
