"""Runs on labels of whole volumes: the scores are means over the voxels."""

from functools import partial

import pytest
import torch
from torch.nn.functional import cross_entropy

import synthgen.training
from synthgen.labels.tasks import Task
from synthgen.recipe import load_recipe
from synthgen.store import build
from synthgen.training.augment import augmented
from synthgen.training.checkpoint import load
from synthgen.training.data import Generated
from synthgen.training.errors import TrainingError
from synthgen.training.journal import CURVES, Journal
from synthgen.training.loop import _LOSSES
from synthgen.training.networks import build_network
from synthgen.training.tasks import Tasks
from tests.tasks import recipe_of
from tests.training.runs import SHAPE, StopsAt, records, settings_of, told_after_a_step, trained

ONE = Tasks([Task("a", ["x", "y", "z"])], per_voxel=False)
TWO = Tasks([Task("a", ["x", "y", "z"]), Task("b", ["u", "v"])], per_voxel=False)
LABEL = torch.tensor([[0, 1], [2, 0], [2, 1], [1, 1]])

class_settings = partial(settings_of, loss="ce")


def volumes_of(kind, settings):
    return Generated(recipe_of(kind, SHAPE), settings)


def output_of(classes):
    """Means over voxels whose largest are ``classes`` (B, T), though no single voxel's are."""
    one_hot = [torch.nn.functional.one_hot(part, count) for part, count in
               zip(classes.unbind(1), (3, 2), strict=False)]  # fmt: skip
    mean = torch.cat(one_hot, 1).float()
    noise = torch.randn(*mean.shape, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    return mean[..., None, None, None] + 20 * (noise - noise.mean((2, 3, 4), keepdim=True))


def test_scores_are_means_over_the_voxels():
    output = output_of(LABEL)
    scores = TWO.scores(output)
    torch.testing.assert_close(scores, output.flatten(2).mean(2)[..., None, None, None])
    assert scores.shape == (4, 5, 1, 1, 1)
    maps = Tasks([Task("a", ["none", "x"])])
    assert maps.scores(output) is output
    assert maps.maps(LABEL) is LABEL


def test_the_loss_is_the_cross_entropy_of_the_scores():
    output = output_of(LABEL)
    logits = output.flatten(2).mean(2)
    expected = cross_entropy(logits[:, :3], LABEL[:, 0]) + cross_entropy(logits[:, 3:], LABEL[:, 1])
    found = TWO.loss(_LOSSES["ce"], TWO.scores(output), TWO.maps(LABEL))
    torch.testing.assert_close(found, expected)


def test_the_cross_entropy_of_label_maps_is_the_mean_over_their_voxels():
    output = torch.rand(2, 3, 3, 4, 5)
    label = torch.randint(3, (2, 1, 3, 4, 5), dtype=torch.uint8)
    chances = torch.log_softmax(output, 1).gather(1, label.long())
    torch.testing.assert_close(_LOSSES["ce"](output, label), -chances.mean())


def test_figures_are_shares_of_volumes():
    guess = torch.tensor([[0, 1], [2, 1], [1, 1], [1, 0]])
    sums = TWO.sums(TWO.scores(output_of(guess)), TWO.maps(LABEL))
    assert TWO.figures(sums) == {
        "accuracy": (0.75 + 0.5) / 2, "majority": (0.5 + 0.75) / 2,
        "accuracy_a": 0.75, "majority_a": 0.5, "accuracy_b": 0.5, "majority_b": 0.75,
    }  # fmt: skip
    alone = ONE.sums(ONE.scores(output_of(guess[:, :1])), ONE.maps(LABEL[:, :1]))
    assert ONE.figures(alone) == {"accuracy": 0.75, "majority": 0.5}


def test_labels_without_a_channel_are_counted_in_volumes():
    label = LABEL.clone()
    label[1:3, 1] = 7
    assert TWO.outside(TWO.maps(label)).tolist() == [0, 2]
    with pytest.raises(TrainingError, match=r"classes 0\.\.1 of b, 2 volumes have others"):
        TWO.check_outside([0, 2])


def test_augmentation_leaves_labels_as_they_are():
    image, label = torch.rand(6, 1, 4, 5, 5), TWO.maps(LABEL[[0, 1, 2, 3, 0, 1]])
    changed, kept = augmented(image, label)
    assert torch.equal(kept, label)
    assert not torch.equal(changed, image)


def test_curves_are_of_accuracy(tmp_path):
    journal = Journal(tmp_path, 0)
    journal.add(step=1, loss=0.5)
    journal.draw()
    alone = (tmp_path / CURVES).read_bytes()
    journal.add(step=2, accuracy=0.5)
    journal.draw()
    mean = (tmp_path / CURVES).read_bytes()
    journal.add(step=2, accuracy=0.5, accuracy_a=0.25)
    journal.draw()
    assert len({alone, mean, (tmp_path / CURVES).read_bytes()}) == 3


@pytest.fixture(scope="module", params=["class", "classes"])
def whole(request, tmp_path_factory):
    run, settings = tmp_path_factory.mktemp("runs") / "whole", class_settings(augment=True)
    return run, request.param, trained(run, settings, volumes=volumes_of(request.param, settings))


def test_a_run_logs_and_saves_accuracies(whole):
    run, kind, done = whole
    figures = [record for record in records(run) if "accuracy" in record]
    assert [record["step"] for record in figures] == [4, 8]
    assert done.dice is None
    assert done.metrics == load(done.checkpoint).card.metrics
    tasks = recipe_of(kind, SHAPE).tasks
    endings = ["", *(f"_{task.name}" for task in tasks)] if len(tasks) > 1 else [""]
    assert done.metrics.keys() == {
        f"{name}{ending}" for name in ("accuracy", "majority") for ending in endings
    }
    assert all(round(3 * value, 6) in (0, 1, 2, 3) for name, value in done.metrics.items()
               if name.endswith(tuple(endings[1:] or [""])))  # fmt: skip


def test_the_network_of_the_card_segments(whole):
    loaded = load(whole[2].checkpoint)
    tasks = recipe_of(whole[1], SHAPE).tasks
    assert list(loaded.card.class_names) == [name for task in tasks for name in task.class_names]
    net = build_network(loaded.card.network, loaded.card.arguments)
    net.load_state_dict(loaded.weights, strict=True)
    maps = net(torch.rand(1, 1, *SHAPE))
    assert maps.shape == (1, len(loaded.card.class_names), *SHAPE)


def test_a_stopped_run_goes_on_to_the_same_weights(whole, tmp_path):
    settings = class_settings(augment=True)
    for observer in (StopsAt(5), None):
        done = trained(tmp_path, settings, observer, volumes_of(whole[1], settings))
    ours, theirs = load(done.checkpoint).weights, load(whole[2].checkpoint).weights
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert done.metrics == whole[2].metrics


@pytest.mark.parametrize("kind", ["class", "classes"])
def test_runs_by_name_on_a_recipe_and_on_its_store(tmp_path, kind):
    recipe = recipe_of(kind, SHAPE)
    build(recipe, tmp_path / "store", count=5, validation=0.4, device="cpu")
    sources = {"made": {"recipe": recipe, "shape": SHAPE}, "read": {"store": tmp_path / "store"}}
    for name, source in sources.items():
        done = synthgen.training.pretrain(
            tmp_path / name, network="unetr", device="cpu", steps=2, validation=2, **source
        )
        assert done.finished
        assert load(done.checkpoint).card.shape == SHAPE
        assert load(done.checkpoint).card.settings["loss"] == "ce"
        assert 0 <= done.metrics["accuracy"] <= 1


def test_other_losses_and_patches_are_refused_before_any_work(tmp_path):
    recipe = recipe_of("class", (16, 32, 32))
    build(recipe, tmp_path / "store", count=4, validation=0.5, device="cpu")
    run = partial(
        synthgen.training.pretrain, tmp_path / "run", network="unetr", device="cpu", validation=1
    )
    for source in ({"recipe": recipe}, {"store": tmp_path / "store"}):
        rule = r"^loss: must be ce, as .* labels whole volumes, got dicece$"
        with pytest.raises(ValueError, match=rule):
            run(shape=(16, 32, 32), loss="dicece", **source)
    rule = r"^shape: must be \[16, 32, 32\], as .* labels whole volumes, got \[16, 32, 16\]$"
    with pytest.raises(ValueError, match=rule):
        run(shape=(16, 32, 16), store=tmp_path / "store")
    assert not (tmp_path / "run").exists()


def test_the_command_line_tells_accuracies(tmp_path, capsys):
    out = told_after_a_step(tmp_path, capsys, recipe_of("classes", SHAPE))
    assert "step 1, accuracy" in out
    assert "Dice" not in out


@pytest.mark.slow
def test_a_tiny_network_tells_six_spheres_and_tori_apart(tmp_path):
    settings = class_settings(volumes=6, batch_size=6, steps=30, warmup=5, validate_every=30,
                              learning_rate=5e-3)  # fmt: skip
    two = load_recipe("fdif-classification").replace(
        shapes__primitives=["Sphere", "Torus"], shapes__displacements=["none"],
        appearance__mappers=["inverse_cube"],
    )  # fmt: skip
    trained(tmp_path, settings, volumes=Generated(two, settings))
    losses = [record["loss"] for record in records(tmp_path) if "loss" in record]
    assert losses[-1] < 0.5, "a guess has log 2"
