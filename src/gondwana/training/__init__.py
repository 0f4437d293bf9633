"""Training over islands (the DiLoCo family): what an island computes and how the coordinator merges it.

Two sides. The island side may use torch: `recipe` (the user's contract), `optim`, `inner` (the inner loop), `unit`
(the warm worker: `python -m gondwana.training.unit`). The coordinator side needs numpy only and is pure:

    manifest   Layout, Tensor, Group
               params_hash(params) -> str
               encode_checkpoint(params, layout) -> bytes
               decode_checkpoint(data, layout=None) -> (params, layout)        what an INIT unit delivers
               draw_shards(names, *, seed, round_number, slot, count) -> tuple[str, ...]
               draw_unassigned(names, assigned, *, seed, round_number, count) -> tuple[str, ...]
    schedule   lr_fraction(step, *, step_first, steps_total, has_state) -> float
               lr_sum(*, step_first, inner_steps, steps_total, has_state) -> float
    codecs     Codec fp32|int8|int4;  upload_bytes(layout, codec) -> int
               encode_upload(upload, layout, codec) -> bytes
               decode_upload(data, layout, codec) -> Upload(delta, momentum, second)
               encode_change(change, layout) -> (bytes, decoded);  decode_change(data, layout) -> change
               encode_state(State, layout) -> bytes;  decode_state(data, layout) -> State(momentum, second)
    gates      judge(candidates, history, settings=None, *, seed=0) -> list[Verdict]
               judge_evidence(losses, heldout_before, settings=None) -> Reason
    outer      OuterSettings(cold_rounds=0);  start(params) -> OuterState
               merge([Delta(unit_id=…, upload=…, tokens=…, lr_sum=…)]) -> Merged
               step(state, merged, layout, settings) -> Stepped(state, change, published)
               encode_outer_state(state) -> bytes;  decode_outer_state(data) -> OuterState

One round of the coordinator:

    verdicts = judge([Candidate(unit_id=id, delta=upload.delta, lr_sum=…) for …], state.history)
    merged   = merge([Delta(…) for accepted uploads])
    stepped  = step(state, merged, layout, settings)      # store stepped.change, stepped.published as blobs
    units of the next round name ParamsRef(hash=stepped.state.hash, checkpoint, changes + (change,)) and that state

Invariants: θ is what the published bytes decode to; nothing private stays on an island; a rejected island's
statistics are dropped with its delta; equal inputs give equal bytes.
"""
