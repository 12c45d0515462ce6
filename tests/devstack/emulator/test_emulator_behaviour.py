"""What the vendor does by itself can be repeated."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from devstack.emulator.whatsapp.behaviour import plan_send, plan_webhook
from devstack.emulator.whatsapp.settings import Behaviour

probabilities = st.floats(0, 1)


@given(st.integers(), st.integers().map(str), probabilities, probabilities, probabilities)
def test_a_plan_depends_on_seed_and_key_alone(seed: int, key: str, hold: float, redelivery: float, read: float) -> None:
    """Asked twice, the same plan; its steps are in order and each status comes once."""
    behaviour = Behaviour(seed=seed, hold_probability=hold, redelivery_probability=redelivery, read_probability=read)
    plan = plan_send(behaviour, key)
    assert plan == plan_send(behaviour, key)
    assert plan_webhook(behaviour, key) == plan_webhook(behaviour, key)
    statuses = [step.status for step in plan.steps]
    assert statuses == [status for status in ("sent", "delivered", "read") if status in statuses]
    assert [step.after_seconds for step in plan.steps] == sorted(step.after_seconds for step in plan.steps)
    assert all(1 <= step.copies <= behaviour.redelivery_copies_max for step in plan.steps)


def test_seeds_differ() -> None:
    """Another seed gives another day."""
    plans = {plan_send(Behaviour(seed=seed), "key") for seed in range(10)}
    assert len(plans) == 10


def test_probabilities_at_their_ends_are_certain() -> None:
    """Zero never happens, one always."""
    calm = [plan_send(Behaviour(), f"{n}") for n in range(100)]
    assert not any(plan.answer_lost or plan.statuses_first or plan.refused_with or plan.fails_with for plan in calm)
    wild = Behaviour(lost_answer_probability=1, early_status_probability=1, api_error_probability=1, failed_probability=1)
    assert all(
        (plan.answer_lost, plan.statuses_first, plan.refused_with, plan.fails_with) == (True, True, 131000, 131026)
        for plan in (plan_send(wild, f"{n}") for n in range(100))
    )


def test_statuses_can_be_left_to_the_script() -> None:
    """`none` plans nothing, `sent_only` one status."""
    assert plan_send(Behaviour(statuses="none"), "key").steps == ()
    assert [step.status for step in plan_send(Behaviour(statuses="sent_only"), "key").steps] == ["sent"]
    unread = plan_send(Behaviour(read_probability=0, open_chat_probability=1), "key")
    assert [step.status for step in unread.steps] == ["sent", "delivered"]
