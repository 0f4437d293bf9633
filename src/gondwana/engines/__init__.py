"""Start, watch and stop a run: one file per engine, the same verbs for all.

    from gondwana.engines.base import Bind, End, EndKind, Engine, INPUTS, Limits, Process, Task, Usage, WORK
    from gondwana.engines.detect import detect, install_command

    report = detect(owner="machine_1", hidden=(state_folder,))   # tries a sandbox; blocks for about 50 ms
    report.available, report.isolation, report.limits, report.missing, report.hint
    engine = report.sandbox()                       # Sandbox, or raises SandboxUnavailable with a hint
    engine = Plain(trusted=True)                    # plain.py: the owner's own jobs only
    engine.sweep()                                  # ends what an agent of this owner left when it died

    process = await engine.start(Task(name=…, command=(…), work=Path, read_only=(Bind(outside=…, inside=…),),
                                      devices=(), environment={}, limits=Limits(…)))
    await process.wait() -> End(kind, exit_code, detail, usage)      await process.kill() -> End
    await run_task(engine, task, stdin=b"", bytes_max=…) -> Finished(end, stdout, stderr)          # collect.py

    worker = Worker(engine, task, on_log=print)     # worker.py: one per lease, warm
    await worker.run(WorkerRequest, seconds_max=…) -> UnitResult | UnitFailure(reason: FailureReason, detail)
    await worker.warm(); await worker.close(); worker.usage() -> Usage; worker.pid

    read_output(folder, "out/delta", bytes_max=…) -> bytes           # harvest.py; InvalidBytes, TooLarge, NoSuchThing
    pack_outputs(folder, archive_path, TreeLimits(…)) -> Harvest(files, bytes, left_out, left_out_count)
    pack_folder(folder, excludes=EXCLUDED) -> bytes                  # archive.py; deterministic
    unpack(tar_path, new_folder, TreeLimits(…)) -> int               # all or nothing
    remove_tree(folder)                                              # trees.py; hostile trees too

Inside a sandbox the work folder is `WORK` ("/job", writable) and what is bound by convention is `INPUTS` ("/inputs",
read-only): the agent writes blobs into a folder of its own that it binds there, never into the work folder, where a
hostile job could have laid a link. `start` must be called on a thread that outlives the task.

Invariants: strangers' code runs in the sandbox or not at all; what a task started ends with it, and with the agent;
nothing that a task leaves behind is trusted.
"""
