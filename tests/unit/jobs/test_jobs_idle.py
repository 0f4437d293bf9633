"""Orders rest until an offer becomes better that they could use: held against a log of all that became better."""

from hypothesis import given
from hypothesis import strategies as st

from gondwana.jobs import idle
from gondwana.jobs.idle import ANYTHING, Idle, Wish

MODELS = ("A", "B", "C")
prices = st.integers(1, 9)
wishes = st.builds(
    Wish, models=st.lists(st.sampled_from(MODELS), unique=True).map(tuple), price_max=prices
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("better"), st.sampled_from(MODELS), prices),
        st.tuples(st.just("all")),
        st.tuples(st.just("rests"), st.integers(0, 3), wishes, st.integers(1, 4)),
    ),
    max_size=40,
)


def could(wish, lacking, since):
    """Whether what became better since may serve a wish that lacked so many machines."""
    if "all" in since:
        return True
    fits = any(
        (not wish.models or model in wish.models) and price <= wish.price_max
        for model, price in since
    )
    return fits and len(since) >= lacking


@given(steps=steps)
def test_an_order_is_awake_when_something_it_could_use_became_better(steps):
    resting, since = Idle(), {}
    for step in steps:
        if step[0] == "rests":
            _, number, wish, lacking = step
            resting.remember(f"{number}", wish, lacking=lacking)
            since[f"{number}"] = (wish, lacking, [])
        else:
            for *_, seen in since.values():
                seen.append("all" if step[0] == "all" else step[1:])
            if step[0] == "all":
                resting.better_for_all()
            else:
                resting.better(*step[1:])
        awake = [
            name for name, (wish, lacking, seen) in since.items() if could(wish, lacking, seen)
        ]
        assert resting.awake(list(since)) == awake
        assert [name for name in since if name not in resting] == awake


def test_an_order_that_nobody_looked_at_is_awake():
    assert Idle().awake(["new"]) == ["new"]


def test_so_many_prices_that_some_are_forgotten_wake_too_many_and_never_too_few(monkeypatch):
    monkeypatch.setattr(idle, "STEPS_MAX", 4)
    resting = Idle()
    for number in range(20):
        resting.remember(f"{number}", Wish(models=("A",), price_max=number))
        resting.better("A", number + 1)
    for number in range(1, 20):
        resting.better("A", number)
        assert resting.awake([f"{number}"]) == [f"{number}"]


def test_past_the_most_that_are_remembered_all_are_looked_at_again(monkeypatch):
    monkeypatch.setattr(idle, "ORDERS_MAX", 2)
    resting = Idle()
    for name in ("a", "b", "c"):
        resting.remember(name, ANYTHING)
    assert resting.awake(["a", "b", "c"]) == ["a", "b"]
