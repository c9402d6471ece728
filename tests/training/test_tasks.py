"""Runs on several label maps: one network, a loss of all tasks, figures of each."""

import json
from itertools import islice

import pytest
import torch
from monai.losses.dice import DiceCELoss

import synthgen.training
from synthgen.labels.tasks import Task
from synthgen.recipe import load_recipe
from synthgen.store import build
from synthgen.training.checkpoint import CardTask, load
from synthgen.training.data import Generated, Ranks
from synthgen.training.errors import TrainingError
from synthgen.training.journal import CURVES, Journal
from synthgen.training.metrics import dice_sum
from synthgen.training.networks import build_network
from synthgen.training.tasks import Tasks
from tests.tasks import recipe_of
from tests.training.runs import SHAPE, StopsAt, records, settings_of, told_after_a_step, trained

NAMES = ["shape", "displacement", "mapper"]
TWO = Tasks([Task("a", ["none", "x", "y"]), Task("b", ["none", "x"])])


def random_labels(batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    maps = [torch.randint(classes, (batch, 4, 5, 6), generator=generator) for classes in (3, 2)]
    return torch.stack(maps, 1).to(torch.uint8)


def scores_of(label):
    """An output that predicts ``label``."""
    one_hot = [torch.nn.functional.one_hot(part.long(), classes).movedim(-1, 1)
               for part, classes in zip(label.unbind(1), (3, 2), strict=True)]  # fmt: skip
    return torch.cat(one_hot, 1).float()


def test_the_loss_is_the_sum_of_the_tasks():
    criterion = DiceCELoss(to_onehot_y=True, softmax=True)
    label, output = random_labels(), torch.rand(2, 5, 4, 5, 6)
    expected = criterion(output[:, :3], label[:, :1]) + criterion(output[:, 3:], label[:, 1:])
    assert TWO.channels == 5
    assert torch.equal(TWO.loss(criterion, output, label), expected)


def test_the_loss_of_one_task_is_the_criterion_s():
    criterion = DiceCELoss(to_onehot_y=True, softmax=True)
    one, label = Tasks([Task("a", ["none", "x", "y"])]), random_labels()[:, :1]
    output = torch.rand(2, 3, 4, 5, 6)
    assert torch.equal(one.loss(criterion, output, label), criterion(output, label))


def test_labels_without_a_channel_are_counted_by_task():
    label = random_labels()
    label[0, 1, 0, 0, :4] = 2
    assert TWO.outside(label).tolist() == [0, 4]
    TWO.check_outside([0, 0])
    with pytest.raises(TrainingError, match=r"^label: the recipe has classes 0\.\.1 of b, 4 vox"):
        TWO.check_outside([0, 4])


def test_figures_of_each_task():
    label, guess = random_labels(seed=1), random_labels(seed=2)
    figures = TWO.figures(TWO.sums(scores_of(guess), label))
    dices = []
    for place, (name, classes) in enumerate((("a", 3), ("b", 2))):
        truth, predicted = label[:, place], guess[:, place]
        found = dice_sum(predicted, truth, classes)
        dices.append(float(found.dice / found.present))
        assert figures[f"dice_{name}"] == pytest.approx(dices[-1])
        right = (truth == predicted).double().mean()
        assert figures[f"accuracy_{name}"] == pytest.approx(float(right))
        frequent = max((truth == value).double().mean() for value in range(classes))
        assert figures[f"majority_{name}"] == pytest.approx(float(frequent))
    assert figures["dice"] == pytest.approx(sum(dices) / 2)
    perfect = TWO.figures(TWO.sums(scores_of(label), label))
    assert (perfect["dice"], perfect["accuracy_a"], perfect["accuracy_b"]) == (1, 1, 1)


def test_sums_of_batches_add_up():
    parts = [random_labels(seed=seed) for seed in (3, 4)]
    guess = random_labels(batch=4, seed=5)
    whole = TWO.sums(scores_of(guess), torch.cat(parts))
    halves = [
        TWO.sums(scores_of(half), part) for half, part in zip(guess.split(2), parts, strict=True)
    ]
    torch.testing.assert_close(sum(halves, TWO.no_sums()), whole)


def test_a_task_without_foreground_has_no_dice():
    label = random_labels()
    label[:, 1] = 0
    figures = TWO.figures(TWO.sums(scores_of(random_labels(seed=6)), label))
    assert figures["dice_b"] is None
    assert figures["dice"] == figures["dice_a"]
    label[:] = 0
    assert TWO.figures(TWO.sums(scores_of(label), label))["dice"] is None


def test_curves_show_each_task(tmp_path):
    journal = Journal(tmp_path, 0)
    journal.add(step=1, loss=0.5)
    journal.draw()
    alone = (tmp_path / CURVES).read_bytes()
    journal.add(step=2, dice=0.5, dice_a=0.4, dice_b=None)
    journal.draw()
    assert (tmp_path / CURVES).read_bytes() != alone


def recipe():
    return recipe_of("maps", SHAPE)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    run, settings = tmp_path_factory.mktemp("runs") / "whole", settings_of(augment=True)
    return run, trained(run, settings, volumes=Generated(recipe(), settings))


def test_a_run_logs_and_saves_each_task(whole):
    run, done = whole
    figures = [record for record in records(run) if "dice" in record]
    assert [record["step"] for record in figures] == [4, 8]
    for record in figures:
        dices = [record[f"dice_{name}"] for name in NAMES]
        assert record["dice"] == pytest.approx(sum(dices) / 3)
        for name in NAMES:
            assert 0 <= record[f"accuracy_{name}"] <= 1
            assert 0 < record[f"majority_{name}"] <= 1
    kept = {name: figures[-1][name] for name in done.metrics}
    assert done.metrics == kept == load(done.checkpoint).card.metrics
    assert kept.keys() == {
        "dice", *(f"{figure}_{name}" for figure in ("dice", "accuracy", "majority")
                  for name in NAMES),
    }  # fmt: skip
    assert done.dice == kept["dice"]
    assert (run / CURVES).read_bytes().startswith(b"\x89PNG")


def test_the_card_tells_the_channels(whole):
    card = load(whole[1].checkpoint).card
    tasks = recipe().tasks
    assert card.tasks == tuple(
        CardTask(name=task.name, class_names=tuple(task.class_names)) for task in tasks
    )
    assert list(card.class_names) == [name for task in tasks for name in task.class_names]
    assert card.arguments["out_channels"] == len(card.class_names)


def test_a_card_of_one_task_is_as_it_was(tmp_path):
    done = trained(tmp_path / "run", settings_of(steps=1))
    assert "tasks" not in json.loads((done.checkpoint / "card.json").read_text())
    assert load(done.checkpoint).card.tasks == ()
    assert done.metrics == {"dice": done.dice}


def test_a_stopped_run_goes_on_to_the_same_weights(whole, tmp_path):
    settings = settings_of(augment=True)
    for observer in (StopsAt(5), None):
        done = trained(tmp_path, settings, observer, Generated(recipe(), settings))
    ours, theirs = load(done.checkpoint).weights, load(whole[1].checkpoint).weights
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert done.metrics == whole[1].metrics
    again = trained(tmp_path, settings, volumes=Generated(recipe(), settings))
    assert again.metrics == done.metrics, "also of a run that was finished before"


def test_weights_load_into_another_network(whole):
    loaded = load(whole[1].checkpoint)
    arguments = {**loaded.card.arguments, "out_channels": 5}
    net = build_network(loaded.card.network, arguments)
    transfer = synthgen.training.load_pretrained(net, whole[0], transfer="all_but_head")
    assert transfer.share > 0.9
    assert all(key.startswith("out.") for key in transfer.missing)


def test_a_run_on_a_store(tmp_path):
    build(recipe(), tmp_path / "store", count=6, validation=0.4, seed=3, device="cpu")
    done = synthgen.training.pretrain(
        tmp_path / "run", store=tmp_path / "store", network="unetr", device="cpu",
        shape=(16, 16, 16), steps=2, validation=2,
    )  # fmt: skip
    assert done.finished
    assert {f"dice_{name}" for name in NAMES} < done.metrics.keys()


def test_the_command_line_tells_each_task(tmp_path, capsys):
    out = told_after_a_step(tmp_path, capsys, recipe())
    assert "step 1, mean foreground Dice" in out
    assert all(f"{name} 0." in out for name in NAMES)


def test_labels_of_all_tasks_are_turned_alike():
    from synthgen.training.augment import augmented

    torch.manual_seed(0)
    (batch, _), *_ = islice(
        Generated(recipe(), settings_of()).training(3, Ranks(0, 1, torch.device("cpu"))), 1
    )
    label = batch["label"][:, :1].repeat(1, 3, 1, 1, 1)
    _, turned = augmented(batch["image"], label)
    assert torch.equal(turned[:, 0], turned[:, 1])
    assert torch.equal(turned[:, 0], turned[:, 2])


@pytest.mark.slow
def test_a_short_run_beats_the_most_frequent_class_of_each_task(tmp_path):
    """Few classes, far apart; each task is told from the same image."""
    settings = settings_of(shape=(16, 32, 32), steps=120, validation=8, validate_every=120,
                           warmup=20, learning_rate=3e-3)  # fmt: skip
    few = load_recipe("fdif-multitask").replace(
        shapes__objects=8,
        shapes__primitives=["Sphere", "Torus"],
        shapes__displacements=["none", "sawtooth"],
        appearance__mappers=["inverse_cube", "modular_10"],
    )
    figures = trained(tmp_path, settings, volumes=Generated(few, settings)).metrics
    for name in NAMES:
        assert figures[f"accuracy_{name}"] > figures[f"majority_{name}"], name
