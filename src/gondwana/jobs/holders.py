"""In whose name a job's blobs are kept (db.blob_references); its outputs are kept in its own, for good."""


def of_job(job_id: str) -> str:
    """Of what a job was launched with: until it ends."""
    return f"{job_id}/work"


def of_checkpoints(job_id: str) -> str:
    """Of what its runs saved to go on from: until it ends."""
    return f"{job_id}/checkpoints"


def of_round(job_id: str) -> str:
    """Of what a training round starts from and what its islands deliver: until the next round is published."""
    return f"{job_id}/round"
