"""What is read becomes what is answered (wire/views.py)."""

from collections import defaultdict
from collections.abc import Sequence

from gondwana.api.plan_views import prediction_view
from gondwana.core.clock import Instant
from gondwana.db.events import StoredEvent
from gondwana.db.transaction import Reader, Row
from gondwana.jobs import money, service_credits, store, waits
from gondwana.jobs.earnings import accrued_micro_usd
from gondwana.jobs.model import Job, Training, UnitState
from gondwana.jobs.rules import batch
from gondwana.ledger.accounts import (
    BUDGET,
    USD,
    AccountName,
    lease_escrow,
    provider_holdback,
    provider_payable,
    tenant_available,
    tenant_promo,
    verifier_payable,
)
from gondwana.ledger.audit import AuditReport
from gondwana.ledger.earnings import maturing, paid_out_micro_usd
from gondwana.ledger.export import PostedEntry
from gondwana.ledger.invoices import Invoice
from gondwana.ledger.model import StatementLine
from gondwana.ledger.periods import Period, Span, available_before, personal
from gondwana.ledger.store import balance, balances
from gondwana.market import store as market
from gondwana.market.calendar import rules as calendar_rules
from gondwana.market.calendar import store as calendar
from gondwana.market.calendar.model import Booking
from gondwana.market.measures import (
    bandwidth_class,
    price_micro_usd_per_million_steps,
    price_micro_usd_per_tflop_hour,
)
from gondwana.market.model import Charge, LeaseState, Listing
from gondwana.policy import store as policy
from gondwana.policy.model import Principal, Token
from gondwana.supply import store as supply
from gondwana.supply.model import Machine
from gondwana.wire import ledger as books
from gondwana.wire import views
from gondwana.wire.calendar import BookedView, BookingView
from gondwana.wire.proofs import BUDGET_CODES, RootRecord
from gondwana.wire.units import UnitKind


def machine_view(reader: Reader, machine: Machine) -> views.MachineView:
    """One machine as its owner sees it, with what it has earned."""
    _, held = supply.held(reader, [machine.id])[machine.id]
    offer = supply.offer_of(reader, machine.id)
    counts = {row["state"]: row for row in store.unit_counts(reader, machine_id=machine.id)}
    return views.MachineView(
        id=machine.id,
        name=machine.name,
        owner=policy.principal(reader, machine.owner_id).name,
        region=machine.region,
        country=machine.country,
        reliability=machine.reliability,
        trust=machine.trust,
        state=machine.state,
        reason=machine.reason,
        devices=machine.devices,
        devices_free=machine.devices - held,
        price_micro_usd_per_device_hour=offer.price_micro_usd_per_device_hour,
        inventory=machine.inventory,
        speed=machine.speed,
        proven_at=machine.proven_at,
        seconds_proven=market.seconds_proven(reader, machine.id),
        units_accepted=_count(counts, UnitState.ACCEPTED),
        units_rejected=_count(counts, UnitState.REJECTED),
        earned_micro_usd=money.earned_micro_usd(reader, machine.id),
        sla=machine.sla,
        notice_seconds=offer.notice_seconds,
        spot_floor_micro_usd_per_device_hour=offer.spot_floor_micro_usd_per_device_hour,
        reserve_seconds_max=offer.reserve_seconds_max,
        discounts=offer.discounts,
    )


def offer_view(each: Listing, now: Instant, bookings: Sequence[Booking] = ()) -> views.OfferView:
    """One offer as the market sees it, with what of it is booked ahead, but not by whom."""
    return views.OfferView(
        id=each.offer_id,
        machine=each.name,
        region=each.region,
        accelerator=each.accelerator,
        devices=each.devices,
        devices_free=each.devices_free,
        cpus=each.cpus,
        memory_bytes=each.memory_bytes,
        steps_per_second=round(each.steps_per_second, 3),
        price_micro_usd_per_device_hour=each.price_micro_usd_per_device_hour,
        price_micro_usd_per_million_steps=price_micro_usd_per_million_steps(each),
        isolation=each.isolation,
        sla=each.sla,
        device_memory_bytes=each.device_memory_bytes,
        vendor=each.vendor,
        tflops=round(each.tflops, 3),
        price_micro_usd_per_tflop_hour=price_micro_usd_per_tflop_hour(each),
        compute_capability=each.compute_capability,
        driver=each.driver,
        country=each.country,
        interconnect=each.interconnect,
        bandwidth=bandwidth_class(each.up_bits_per_second, each.down_bits_per_second) or "",
        reliability=each.reliability,
        trust=each.trust,
        tags=tuple(
            views.TagView(name=tag.name, signer=tag.signer, expires_at=tag.expires_at)
            for tag in each.tags
            if tag.expires_at > now
        ),
        notice_seconds=each.notice_seconds,
        spot_floor_micro_usd_per_device_hour=each.spot_floor_micro_usd_per_device_hour,
        reserve_seconds_max=each.reserve_seconds_max,
        discounts=each.discounts,
        booked=tuple(
            BookedView(starts_at=span.starts_at, ends_at=span.ends_at, devices=span.devices)
            for span in calendar_rules.taken(each.devices, calendar_rules.booked(bookings), now)
        ),
    )


def job_view(reader: Reader, job: Job, *, whole: bool = True) -> views.JobView:
    """One job as its tenant sees it; a list shows less than the whole."""
    training = store.training(reader, job.id) if job.spec.train else None
    return views.JobView(
        id=job.id,
        name=job.name,
        kind="train" if job.spec.train else "batch",
        state=job.state,
        reason=job.reason or "",
        detail=job.detail,
        created_at=job.created_at,
        ended_at=job.ended_at,
        exit_code=job.exit_code,
        waits_for=waits.waits_for(reader, job.order_id) if whole and not job.ended else "",
        held_micro_usd=_held(reader, job),
        paid_micro_usd=money.paid_micro_usd(reader, job),
        credited_micro_usd=service_credits.credited_of_job(reader, job.id),
        leases=_lease_views(reader, job) if whole else (),
        training=_training_view(reader, job, training) if training and whole else None,
        outputs=_outputs(reader, job, training),
        predicted=prediction_view(reader, job) if whole else None,
        reserved=_reserved(reader, job),
    )


def booking_view(each: Booking, machine: str) -> BookingView:
    """Some time of a machine that is promised, or was."""
    return BookingView(
        id=each.id,
        kind=each.kind,
        state=each.state,
        machine=machine,
        devices=each.devices,
        starts_at=each.starts_at,
        ends_at=each.ends_at,
        price_micro_usd_per_device_hour=each.price_micro_usd_per_device_hour,
        deposit_micro_usd=each.deposit_micro_usd,
        kept_micro_usd=each.kept_micro_usd,
    )


def event_view(stored: StoredEvent) -> views.EventView:
    """One thing that happened."""
    event = stored.event
    return views.EventView(
        seq=stored.seq,
        at=event.at,
        kind=event.kind,
        subject=event.subject,
        job_id=event.job_id,
        data=event.data,
    )


def token_view(reader: Reader, token: Token, secret: str | None = None) -> views.TokenView:
    """One token; its secret only when it has just been made."""
    owner = policy.principal(reader, token.principal_id)
    return views.TokenView(
        id=token.id,
        name=owner.name,
        principal=owner.id,
        scopes=tuple(token.scopes),
        created_at=token.created_at,
        revoked_at=token.revoked_at,
        token=secret,
    )


def account_view(reader: Reader, principal: Principal) -> views.AccountView:
    """A principal's money, as buyer and as seller."""
    escrow = sum(
        _held(reader, job)
        for job in store.jobs(reader, principal.id, limit=store.JOBS_MAX)
        if not job.ended
    )
    verifier = balance(reader, verifier_payable(principal.id)).available_micro_usd
    return views.AccountView(
        principal=principal.name,
        available_micro_usd=balance(reader, tenant_available(principal.id)).available_micro_usd,
        promo_micro_usd=balance(reader, tenant_promo(principal.id)).available_micro_usd,
        escrow_micro_usd=escrow,
        holdback_micro_usd=balance(reader, provider_holdback(principal.id)).available_micro_usd,
        payable_micro_usd=balance(reader, provider_payable(principal.id)).available_micro_usd
        + verifier,
    )


def statement_line(account: str, line: StatementLine) -> books.StatementLine:
    """One transfer on one of the caller's accounts."""
    return books.StatementLine(
        at=line.at,
        account=account,
        event=line.entry_kind,
        words=line.text,
        amount_micro_usd=line.change_micro_usd,
        balance_micro_usd=line.available_micro_usd,
        transfer=line.seq,
    )


def period_view(
    reader: Reader, accounts: dict[str, AccountName], period: Period, span: Span
) -> books.PeriodView:
    """What some accounts held at both ends of a period."""
    found: list[books.AccountPeriod] = []
    for name, account in accounts.items():
        opening = available_before(reader, account, span.first)
        closing = available_before(reader, account, span.end)
        if opening is not None and closing is not None:
            found.append(
                books.AccountPeriod(
                    account=name, opening_micro_usd=opening, closing_micro_usd=closing
                )
            )
    return books.PeriodView(
        since=period.since,
        until=period.until,
        opening_micro_usd=sum(each.opening_micro_usd for each in found),
        closing_micro_usd=sum(each.closing_micro_usd for each in found),
        accounts=tuple(found),
    )


def earnings_view(reader: Reader, owner: Principal, now: Instant) -> books.EarningsView:
    """What an owner earned, and where that money is."""
    own = personal(owner.id)
    held = balances(reader, list(own.values()))
    has = {name: held[account].available_micro_usd for name, account in own.items()}
    machines = [machine_view(reader, machine) for machine in supply.machines(reader, owner.id)]
    return books.EarningsView(
        accrued_micro_usd=accrued_micro_usd(reader, owner.id),
        in_work_micro_usd=held[own["holdback"]].credits_pending,
        holdback_micro_usd=has["holdback"],
        maturing=tuple(
            books.Maturing(day=each.day, at=each.at, amount_micro_usd=each.amount_micro_usd)
            for each in maturing(reader, owner.id, now)
        ),
        payable_micro_usd=has["payable"],
        evaluations_micro_usd=has["verifier"],
        reports_micro_usd=has["reporter"],
        paying_out_micro_usd=sum(
            held[own[name]].held_micro_usd for name in ("payable", "verifier", "reporter")
        ),
        paid_out_micro_usd=paid_out_micro_usd(reader, owner.id),
        staked_micro_usd=has["stake"],
        unbonding_micro_usd=has["unbonding"],
        vesting_micro_usd=has["subsidy"],
        machines=tuple(
            books.MachineEarnings(
                machine=each.name,
                state=each.state,
                seconds_proven=each.seconds_proven,
                units_accepted=each.units_accepted,
                units_rejected=each.units_rejected,
                earned_micro_usd=each.earned_micro_usd,
            )
            for each in machines
        ),
    )


def invoice_view(each: Invoice) -> books.InvoiceView:
    """One invoice or credit note in a list."""
    return books.InvoiceView(
        number=each.number,
        kind=each.kind,
        buyer=each.buyer,
        month=each.month,
        issued_at=each.at_ms / 1000,
        total_micro_usd=each.total_micro_usd,
        corrects=each.corrects,
        sha256=each.sha256,
    )


def entry_view(entry: PostedEntry) -> books.EntryView:
    """What one event posted."""
    return books.EntryView(
        number=entry.seq,
        at=entry.at,
        event=entry.kind,
        event_key=entry.event,
        subject=entry.subject,
        job=entry.job_id,
        words=entry.text,
        facts=entry.facts,
        legs=tuple(
            books.LegView(
                transfer=leg.seq,
                debit=leg.debit,
                credit=leg.credit,
                amount_micro_usd=leg.amount_micro,
                kind=leg.kind,
                pending=leg.pending,
            )
            for leg in entry.legs
        ),
    )


def audit_view(report: AuditReport, root: RootRecord | None) -> books.AuditView:
    """The books, recomputed; by asset, what all accounts come to."""
    sums = {USD: 0, BUDGET: 0}
    for code, amount in report.posted_micro_usd.items():
        sums[USD if code < BUDGET_CODES else BUDGET] += amount
    inside = [amount for code, amount in report.posted_micro_usd.items() if 2000 <= code < BUDGET_CODES]  # fmt: skip
    return books.AuditView(
        ok=report.ok,
        accounts=report.accounts,
        entries=report.entries,
        transfers=report.transfers,
        batches=report.batches,
        roots=report.roots,
        head=report.head,
        root=root.hash if root else "",
        root_day=root.day if root else "",
        held_micro_usd=sum(inside),
        unclear_micro_usd=report.unclear_micro_usd,
        sums_micro=sums,
        posted_micro_usd_by_code={
            str(code): amount for code, amount in report.posted_micro_usd.items()
        },
        differences=tuple(f"{each.subject}: {each.wrong}" for each in report.differences),
    )


def _lease_views(reader: Reader, job: Job) -> tuple[views.LeaseView, ...]:
    runs = {run.lease_id: run for run in store.runs_of_job(reader, job.id)}
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    earned: dict[str, int] = defaultdict(int)
    for row in store.unit_counts(reader, job_id=job.id):
        if row["kind"] == UnitKind.TRAIN:
            counts[row["lease_id"]][row["state"]] += row["units"]
        if row["state"] == UnitState.ACCEPTED:
            earned[row["lease_id"]] += row["price_micro_usd"]
    found: list[views.LeaseView] = []
    for lease in market.leases_of_job(reader, job.id):
        run, units = runs.get(lease.id), counts[lease.id]
        found.append(
            views.LeaseView(
                id=lease.id,
                machine=supply.machine(reader, lease.machine_id).name,
                rank=lease.rank,
                state=lease.state,
                reason=lease.reason or "",
                price_micro_usd_per_device_hour=lease.price_micro_usd_per_device_hour,
                seconds_proven=lease.seconds_proven,
                run_state=run.state if run else "",
                exit_code=run.exit_code if run else None,
                units_accepted=units[UnitState.ACCEPTED],
                units_rejected=units[UnitState.REJECTED],
                units_expired=units[UnitState.EXPIRED],
                earned_micro_usd=lease.due_micro_usd
                if lease.charge is Charge.SECOND
                else earned[lease.id],
                notice_seconds=lease.notice_seconds,
                reclaim_at=lease.reclaim_at,
                ends_at=lease.ends_at,
            )
        )
    return tuple(found)


def _training_view(reader: Reader, job: Job, training: Training) -> views.TrainingView:
    history = tuple(
        views.RoundView(
            round=done.round,
            heldout_loss=done.heldout_loss,
            islands=done.islands,
            accepted=done.accepted,
            rejected=done.rejected,
            expired=done.expired,
            tokens=done.tokens,
            seconds=done.seconds,
            bytes_up=done.bytes_up,
            bytes_down=done.bytes_down,
            bytes_data_parallel=done.bytes_data_parallel,
        )
        for done in store.rounds(reader, job.id)
    )
    assert job.spec.train is not None
    return views.TrainingView(
        phase=training.phase,
        round=training.round,
        rounds=job.spec.train.rounds,
        parameters=training.parameters,
        heldout_loss=training.heldout_loss,
        tokens=training.tokens,
        bytes_up=training.bytes_up,
        bytes_down=training.bytes_down,
        bytes_data_parallel=training.bytes_data_parallel,
        history=history,
        sample=training.sample,
    )


def _held(reader: Reader, job: Job) -> int:
    if job.spec.train:
        held = money.task_balance(reader, job)
        return held.credits_posted - held.debits_posted
    live = [
        lease
        for lease in market.leases_of_job(reader, job.id)
        if lease.state is not LeaseState.CLOSED
    ]
    booked = [] if job.spec.market.starts_at is None else calendar.of_job(reader, job.id)
    ids = [*(lease.id for lease in live), *(each.id for each in booked)]
    return sum(balance(reader, lease_escrow(each)).available_micro_usd for each in ids)


def _reserved(reader: Reader, job: Job) -> tuple[BookingView, ...]:
    if job.spec.market.starts_at is None:
        return ()
    found = calendar.of_job(reader, job.id)
    return tuple(booking_view(each, supply.machine(reader, each.machine_id).name) for each in found)


def _outputs(reader: Reader, job: Job, training: Training | None) -> dict[str, str]:
    if training is not None:
        return {"model.safetensors": training.artifact} if training.artifact else {}
    latest = batch.latest_runs(store.runs_of_job(reader, job.id))
    return {f"node-{rank}.tar": run.output for rank, run in latest.items() if run.output}


def _count(counts: dict[str, Row], state: UnitState) -> int:
    return int(counts[state]["units"]) if state in counts else 0
