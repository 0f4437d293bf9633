"""What goes wrong with the control plane itself."""

from typing import TYPE_CHECKING, Any, Final

from gondwana.core.errors import GondwanaError
from gondwana.jobs import place
from gondwana.jobs.place import Proposal
from gondwana.jobs.rules import memory
from gondwana.jobs.shelf import Shelf
from gondwana.market import store as market
from gondwana.market.model import Mechanism
from gondwana.sim.market import tenants
from gondwana.sim.market.plane import Crash

if TYPE_CHECKING:
    from gondwana.sim.market.world import World


SKEW_SECONDS_MAX: Final = 300.0  # of the clock of whoever leads next
AWAY: Final = {1.0: 3.0, 30.0: 2.0, 400.0: 1.0, 2_000.0: 0.5}  # seconds, and how often


def kill(world: "World", away: dict[float, float] = AWAY) -> None:
    """The process dies between two transactions, for seconds or for many minutes."""
    world.seen["killed"] += 1
    world.say("the control plane is killed")
    world.plane.kill()
    world.restart_in(world.dice.among(away))


def doom(world: "World") -> None:
    """The process dies at one of its next transactions: before it, or just after its commit."""
    calls, after_commit = 1 + world.dice.upto(9), world.dice.chance(0.5)
    world.say(f"it will die {'after' if after_commit else 'before'} commit {calls} from now")
    if world.plane.life is not None:
        world.plane.die_in(calls, after_commit=after_commit)


def fail_commits(world: "World") -> None:
    """Some of the next transactions are undone at their commit."""
    count = 1 + world.dice.upto(3)
    world.say(f"{count} commits will fail")
    world.plane.failures += count


def fail_over(world: "World") -> None:
    """Another process leads, by another clock; the one before still lives and tries to write."""
    if world.plane.life is None:
        return
    world.seen["failed over"] += 1
    skew = world.dice.pick((0.0, 1.0)) * world.dice.between(-SKEW_SECONDS_MAX, SKEW_SECONDS_MAX)
    world.say(f"another process leads, its clock {skew:.1f} s ahead")
    world.seen["its clock was ahead"] += skew > 0
    world.seen["its clock was behind"] += skew < 0
    world.watch.led_since.append(world.timeline.elapsed_seconds)
    world.plane.fail_over(skew)


def correct_clock(world: "World") -> None:
    """Somebody sets the leader's clock right: one that was ahead stands until it is, none ever goes back."""
    clock = world.plane.machine_clock
    if clock.skew:
        world.seen["a clock was set right"] += 1
        world.say("its clock is set right")
        clock.skew = 0.0


def write_as_former(world: "World") -> None:
    """A process that led before matches and clears; nothing of it may be written."""
    former = world.plane.former
    if former is None:
        return
    world.seen["a former leader wrote"] += 1
    if not world.plane.is_fenced(former, world.now):
        world.broke("a process that leads no more wrote, or may")


def forget(world: "World") -> None:
    """A matcher remembers the book as it is now, and proposes by it only later."""
    if world.plane.life is not None:
        shelf = Shelf()
        shelf.refresh(world.plane.reader)
        world.old_shelves.append(shelf)
        del world.old_shelves[:-3]


def place_by_old_book(world: "World") -> None:
    """Proposals made by an old book, by nobody's turn and past every quota; the writer has to look again."""
    now, random = world.now, world.plane.random
    _launch(world)
    _propose(world, lambda life, proposals: life.call(place.place, random, now, proposals))


def _launch(world: "World") -> None:
    for _ in range(1 + world.dice.upto(2)):
        tenants.launch(world, "posted", nodes=world.dice.pick((1, 2)))


def reserve_and_die(world: "World") -> None:
    """A matcher reserves and dies before it confirms."""

    def reserve(life: Any, proposals: list[Proposal]) -> None:
        life.call(place.reserve, world.plane.random, world.now, proposals)
        world.seen["died between reserve and lease"] += 1
        kill(world, {20.0: 1, 400.0: 2})

    _launch(world)
    if world.dice.chance(0.7):
        forget(world)
    _propose(world, reserve)


def _propose(world: "World", use: Any) -> None:
    life, reader, now = world.plane.life, world.plane.reader, world.now
    if life is None or not world.old_shelves:
        return
    shelf, proposals = world.dice.pick(world.old_shelves), list[Proposal]()
    for order in market.orders(reader, market.open_orders(reader, now)).values():
        if order.mechanism is not Mechanism.POSTED:
            continue
        leases = market.leases_of_job(reader, order.job_id)
        held = market.held_by(leases, order.id)
        found = shelf.propose(reader, order, held, memory.barred(leases, now), now)
        if found:
            proposals.append(Proposal(order=order, machine_ids=found))
            proposals += [proposals[-1]] * world.dice.chance(0.2)  # said twice
    if not proposals:
        return
    world.seen["placed by an old book"] += 1
    world.say(f"an old book proposes {[(each.order.id, *each.machine_ids) for each in proposals]}")
    try:
        use(life, proposals)
    except Crash:
        world.crashed()
    except GondwanaError as error:
        world.seen[f"undone: {error.code}"] += 1
