import pytest
import torch

from htga.experiments.data import ALPHABET, CONTEXT, digits_split, text_split
from htga.experiments.tasks import TASKS, Task, loss_of


def test_what_is_held_out_is_no_example_and_a_seed_decides() -> None:
    split = digits_split(5)
    parts = [{tuple(row) for row in x.tolist()} for x in (split.x, split.x_val, split.x_test)]
    assert [len(x) for x in (split.x, split.x_val, split.x_test)] == [1077, 270, 450]
    assert not parts[0] & parts[1]
    assert not (parts[0] | parts[1]) & parts[2]
    assert not torch.equal(split.x, digits_split(6).x)
    assert torch.equal(split.x, digits_split.__wrapped__(5).x)


def test_a_share_of_the_data_has_every_class_and_the_same_is_held_out() -> None:
    few, all_ = digits_split(5, share=0.1), digits_split(5)
    assert len(few.x) == 107
    assert set(few.y.tolist()) == set(range(10))
    assert torch.equal(few.x_test, all_.x_test)
    assert torch.equal(few.x_val, all_.x_val)


def test_wrong_labels_are_as_many_as_asked_and_only_among_the_examples() -> None:
    wrong, right = digits_split(5, wrong_labels=0.2), digits_split(5)
    assert int((wrong.y != right.y).sum()) == round(0.2 * 1077)
    assert torch.equal(wrong.y_val, right.y_val)
    assert torch.equal(wrong.y_test, right.y_test)
    assert set(wrong.y.tolist()) == set(range(10))


@pytest.mark.parametrize("bad", [{"share": 0.0}, {"share": 1.1}, {"wrong_labels": -0.1}])
def test_a_share_out_of_range_is_refused(bad: dict[str, float]) -> None:
    (name,) = bad
    with pytest.raises(ValueError, match=f"{name} must be in .*, got {bad[name]}"):
        digits_split(0, **bad)


def test_text_is_windows_of_characters_and_what_follows_each() -> None:
    split = text_split()
    assert split.x.shape[1] == CONTEXT
    assert int(split.x.max()) < len(ALPHABET)
    assert torch.equal(split.x[:, 1:], split.y[:, :-1])
    assert len(split.x) > 10 * len(split.x_test)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_task_repeats_by_its_seed_and_leaves_torchs_generator_alone(task: Task) -> None:
    before = torch.get_rng_state()
    one, same, other = (task.network(seed) for seed in (1, 1, 2))
    split = task.split(1)
    order = task.order(split, 1)
    assert torch.equal(torch.get_rng_state(), before)
    first = [next(model.parameters()) for model in (one, same, other)]
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])
    assert torch.equal(order, task.order(split, 1))
    epoch = len(split.x) // order.shape[1] * order.shape[1]
    seen = order.flatten()[: min(epoch, order.numel())]
    assert len(seen.unique()) == len(seen)
    with torch.no_grad():
        loss = loss_of(one(split.x_val[:8]), split.y_val[:8])
    assert 1 < float(loss) < 6


def test_the_rate_rises_over_the_warm_up_and_falls_to_nothing() -> None:
    task = TASKS["characters"]
    rates = [task.rate(step) for step in range(task.steps)]
    assert rates[0] == pytest.approx(1 / 21)
    assert max(rates) == rates[task.warm_up]
    assert rates[-1] == pytest.approx(1 / task.steps)
