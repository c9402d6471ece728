"""The training loop: a network, volumes, and a folder that it can always go on from."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from math import cos, isfinite, pi
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from lightning_fabric import Fabric
from monai.losses.dice import DiceCELoss, DiceLoss
from torch.nn.functional import cross_entropy

from synthgen.kernels.streams import Stream
from synthgen.labels.tasks import Task
from synthgen.rng import random_words
from synthgen.training.augment import augmented
from synthgen.training.checkpoint import (
    FOLDER,
    Card,
    CardTask,
    Loaded,
    latest,
    load,
    prune,
    save,
)
from synthgen.training.clock import Clock
from synthgen.training.data import Ranks, Tensors, Volumes
from synthgen.training.errors import CheckpointError, TrainingError
from synthgen.training.journal import CURVES, LOG, Journal
from synthgen.training.networks import build_network, is_planar, network_arguments
from synthgen.training.observer import Observer, Pretrained
from synthgen.training.settings import PretrainSettings
from synthgen.training.tasks import Tasks

KEPT = 3  # checkpoints
LOG_EVERY = 10  # steps
PROBES = 2  # passes whose time tells how long a run will take; the first one warms up
_PACKAGES = ("synthgen", "torch", "monai", "lightning-fabric", "safetensors", "numpy")
_OURS = (FOLDER, LOG, CURVES)  # what a run may leave behind before its first checkpoint
_LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "dice": DiceLoss(to_onehot_y=True, softmax=True),
    "dicece": DiceCELoss(to_onehot_y=True, softmax=True),
    "ce": lambda output, label: cross_entropy(output, label.squeeze(1).long()),
}


def train(
    run: str | Path,
    volumes: Volumes,
    settings: PretrainSettings,
    fabric: Fabric,
    observer: Observer | None = None,
) -> Pretrained:
    """Pre-train a network, or go on with the run in the folder ``run``.

    Args:
        run: new folder, or one of a run with the same settings and recipe; any number of ranks may
            go on with it.
        volumes: to train on and to validate with.
        fabric: launched, of the settings' precision.

    Raises:
        TrainingError: the folder holds another run or something else; the loss is not a number; a
            label has no channel; memory does not suffice.
        CheckpointError: a checkpoint is damaged, or the disk refuses one.
    """
    start, run = perf_counter(), Path(run)
    resumed = _resumed(run, volumes, settings)
    fabric.barrier()  # before the first rank writes, all have looked
    loop = _Loop(run, volumes, settings, fabric, observer or Observer(), resumed)
    with _memory_errors_explained(loop):
        loop.go()
    return Pretrained(
        checkpoint=loop.checkpoint,
        step=loop.step,
        finished=loop.step == settings.steps,
        dice=loop.metrics.get("dice"),
        metrics=loop.metrics,
        seconds=perf_counter() - start,
        first_rank=fabric.is_global_zero,
    )


class _Loop:
    """The state of a run, and what each of its steps does."""

    def __init__(
        self,
        run: Path,
        volumes: Volumes,
        settings: PretrainSettings,
        fabric: Fabric,
        observer: Observer,
        resumed: tuple[Path, Loaded] | None,
    ) -> None:
        self._run, self._volumes, self._settings = run, volumes, settings
        self._fabric, self._observer = fabric, observer
        self._ranks = Ranks(fabric.global_rank, fabric.world_size, fabric.device)
        self._tasks = Tasks(volumes.recipe.tasks, volumes.recipe.per_voxel)
        self._arguments = network_arguments(
            settings.network,
            settings.preset,
            classes=self._tasks.channels,
            shape=settings.shape,
            channels=volumes.recipe.channels,
        )
        self._criterion = _LOSSES[settings.loss]
        self._clock = Clock(fabric.device.type == "cuda")
        self._losses: list[torch.Tensor] = []
        self.step, self._next = 0, volumes.first
        self.metrics: dict[str, float] = {}  # of the last validation
        self.checkpoint = resumed[0] if resumed else run  # on other ranks, too
        self._set_up(resumed[1] if resumed else None)
        self._journal = Journal(run, self.step) if fabric.is_global_zero else None

    def _set_up(self, resumed: Loaded | None) -> None:
        """Network and optimizer, new or as they were saved."""
        settings = self._settings
        torch.manual_seed(settings.seed)
        net = build_network(settings.network, self._arguments)
        if resumed:
            net.load_state_dict(resumed.weights)
        optimizer = torch.optim.AdamW(
            net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self._net, self._optimizer = self._fabric.setup(net, optimizer)
        if resumed:
            self._optimizer.load_state_dict(resumed.optimizer_state)
            self._fabric.strategy.precision.load_state_dict(resumed.scaler_state or {})
            self.step, self._next = resumed.card.step, resumed.card.next_sample
            self.metrics = resumed.card.metrics

    def go(self) -> None:
        """Steps until all are done, or the observer asks to stop."""
        settings, stopped = self._settings, False
        batches = self._volumes.training(self._next, self._ranks)
        if self.step == 0:
            self._save()  # says what the folder is for, and whether the disk takes checkpoints
        if self.step < settings.steps:
            self._tell_start()
        while self.step < settings.steps and not stopped:
            self._take_step(batches)
            stopped = self._stopped()
            validates = self._due(settings.validate_every)
            saves = stopped or self._due(settings.checkpoint_every)
            if validates or saves or self._due(LOG_EVERY):
                self._log()
            if validates:
                self._validate()
            if saves:
                self._save()

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self._settings.steps

    def _stopped(self) -> bool:
        """Whether any rank was asked to stop; several agree only when they log anyway."""
        stopped = self._observer.stopped()
        if self._ranks.world_size == 1:
            return stopped
        return self._due(LOG_EVERY) and bool(self._sum(torch.tensor(float(stopped))))

    def _sum(self, values: torch.Tensor) -> torch.Tensor:
        """Over all ranks."""
        summed: Any = self._fabric.all_reduce(values.to(self._ranks.device), reduce_op="sum")
        return torch.as_tensor(summed)

    def _take_step(self, batches: Iterator[tuple[Tensors, int]]) -> None:
        settings = self._settings
        # Random numbers depend on the step, not on what was drawn before: nothing to resume.
        words = random_words(settings.seed, self.step, Stream.AUGMENT, self._ranks.rank).tolist()
        torch.manual_seed(words[0] << 32 | words[1])
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self.step, settings)
        losses = []
        for last in [False] * (settings.accumulate - 1) + [True]:
            with self._clock.waiting():
                batch, self._next = next(batches)
            with self._fabric.no_backward_sync(self._net, enabled=not last):
                losses.append(self._backward(batch["image"], self._tasks.maps(batch["label"])))
        if settings.clip:
            self._fabric.clip_gradients(
                self._net, self._optimizer, max_norm=settings.clip, error_if_nonfinite=False
            )
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._losses.append(torch.stack(losses).mean())
        self.step += 1

    def _backward(self, image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        if self.step == 0:
            self._check_labels(self._tasks.outside(label))
        if self._settings.augment:
            image, label = augmented(image, label)
        loss = self._tasks.loss(self._criterion, self._output(self._net, image), label)
        self._fabric.backward(loss / self._settings.accumulate)
        return loss.detach()

    def _output(self, net: Any, image: torch.Tensor) -> torch.Tensor:
        """Scores of images (B, C, D, H, W), as ``Tasks.scores`` gives them."""
        if is_planar(self._settings.shape):
            return self._tasks.scores(net(image.squeeze(2)).unsqueeze(2))
        return self._tasks.scores(net(image))

    def _check_labels(self, outside: torch.Tensor) -> None:
        """Raise TrainingError, on all ranks, if one of them saw labels without a channel.

        Args:
            outside: (T,) number of their voxels, of this rank.
        """
        self._tasks.check_outside(self._sum(outside.double()).tolist())

    def _log(self) -> None:
        """Record the steps since the last time; raises TrainingError if one had no loss."""
        losses = (self._sum(torch.stack(self._losses)) / self._ranks.world_size).tolist()
        self._losses.clear()
        for step, loss in enumerate(losses, self.step - len(losses) + 1):
            if not isfinite(loss):
                raise self._diverged(f"loss: is {loss} at step {step}")
        seconds, waited = self._clock.read()
        self._record(
            loss=sum(losses) / len(losses),
            learning_rate=learning_rate(self.step - 1, self._settings),
            seconds_per_step=seconds / len(losses),
            data_wait=waited,
        )

    def _diverged(self, what: str) -> TrainingError:
        return TrainingError(
            f"{what}; in another folder, lower --learning-rate, or use --precision 32-true; "
            f"the last good checkpoint is {self.checkpoint}"
        )

    @torch.no_grad()
    def _validate(self) -> None:
        # The network itself: its DDP wrapper would wait for ranks that have no volumes left.
        net = self._net.module.eval()
        sums = self._tasks.no_sums()
        outside = torch.zeros(len(sums), dtype=torch.float64)
        for batch in self._volumes.validation(self._ranks):
            with self._fabric.autocast():
                output = self._output(net, batch["image"])
            label = self._tasks.maps(batch["label"])
            outside += self._tasks.outside(label).cpu()
            sums += self._tasks.sums(output, label)
        net.train()
        self._check_labels(outside)
        figures = self._tasks.figures(self._sum(sums).cpu())
        self.metrics = {
            name: value
            for name, value in figures.items()
            if value is not None and not name.startswith("classes")
        }
        self._record(**figures)
        if self._journal:
            self._journal.draw()
        self._clock.read()

    def _record(self, **values: Any) -> None:
        if self._journal:
            record = {"step": self.step, "next_sample": self._next, **values}
            self._journal.add(**record)
            self._observer.recorded(record)

    def _save(self) -> None:
        weights = self._net.state_dict()
        if not all(tensor.isfinite().all() for tensor in weights.values()):
            raise self._diverged(f"weights: not finite after step {self.step}")
        failed = self._saved(weights) if self._fabric.is_global_zero else None
        if self._sum(torch.tensor(float(failed is not None))):
            raise failed or TrainingError("checkpoint: the first rank could not save it")
        self._clock.read()

    def _saved(self, weights: dict[str, torch.Tensor]) -> CheckpointError | None:
        """What kept the first rank from saving, of which all have to know."""
        scaler = self._fabric.strategy.precision.state_dict()
        try:
            self.checkpoint = save(
                self._run,
                self._card(),
                weights,
                self._optimizer.state_dict(),
                scaler_state=scaler or None,
            )
            prune(self._run, KEPT)
        except CheckpointError as error:
            return error
        return None

    def _card(self) -> Card:
        recipe, settings = self._volumes.recipe, self._settings
        return Card(
            recipe=recipe.to_dict(),
            recipe_digest=recipe.digest(),
            seed=self._volumes.seed,
            source=self._volumes.source,
            step=self.step,
            next_sample=self._next,
            network=settings.network,
            arguments=self._arguments,
            class_names=tuple(name for task in recipe.tasks for name in task.class_names),
            tasks=_card_tasks(recipe.tasks),
            normalize=settings.normalize,
            spacing=recipe.spacing,
            shape=settings.shape,
            settings=settings.model_dump(mode="json"),
            metrics=self.metrics,
            versions={package: version(package) for package in _PACKAGES},
        )

    def _tell_start(self) -> None:
        seconds = self._probed() * self._settings.accumulate
        left = self._settings.steps - self.step
        if self._fabric.is_global_zero:
            self._observer.started(self._settings.steps, self.step, left * seconds)
        self._clock.read()

    def _probed(self) -> float:
        """Seconds of a pass forth and back."""
        settings, seconds = self._settings, 0.0
        recipe = self._volumes.recipe
        size = (settings.batch_size, recipe.channels, *settings.shape)
        image = torch.rand(size, device=self._ranks.device)
        for _ in range(PROBES):
            start = perf_counter()
            output = self._output(self._net, image)
            label = image.new_zeros(len(image), len(recipe.tasks), *output.shape[2:])
            self._fabric.backward(self._tasks.loss(self._criterion, output, label))
            if self._ranks.device.type == "cuda":
                torch.cuda.synchronize()
            seconds = perf_counter() - start
        self._optimizer.zero_grad()
        return seconds


def _card_tasks(tasks: Sequence[Task]) -> tuple[CardTask, ...]:
    """Several tasks, as a card lists them; one is its class names alone."""
    if len(tasks) == 1:
        return ()
    return tuple(CardTask(name=name, class_names=tuple(classes)) for name, classes in tasks)


def learning_rate(step: int, settings: PretrainSettings) -> float:
    """Of step 0, 1, 2 and so on: a line up to the highest, then half a cosine down to 0."""
    if step < settings.warmup:
        return settings.learning_rate * (step + 1) / settings.warmup
    done = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.learning_rate * 0.5 * (1 + cos(pi * done))


def _resumed(run: Path, volumes: Volumes, settings: PretrainSettings) -> tuple[Path, Loaded] | None:
    """The newest checkpoint in the folder ``run``; None if it is new, or did no step yet."""
    newest = latest(run)
    if newest is None:
        if run.is_dir() and any(path.name not in _OURS for path in run.iterdir()):
            raise TrainingError(f"{run}: is not empty, and no run; choose another folder")
        if any((run / FOLDER).glob("step_*")):
            raise TrainingError(f"{run}: none of its checkpoints is whole; choose another folder")
        return None
    loaded = load(newest)
    differences = _differences(loaded.card, volumes, settings)
    if differences and loaded.card.step == 0:
        return None  # as when memory did not suffice for the first step
    if differences:
        raise TrainingError(f"{run}: another run is there: {'; '.join(differences)}")
    return newest, loaded


def _differences(card: Card, volumes: Volumes, settings: PretrainSettings) -> list[str]:
    """What tells the run of ``card`` from the one that is asked for."""
    found = PretrainSettings.read(card.settings).differences(settings)
    there, asked = card.recipe, volumes.recipe.to_dict()
    if card.recipe_digest != volumes.recipe.digest():
        changed = [key for key in asked if there.get(key) != asked[key]]
        found.append(f"the recipe differs in {', '.join(changed)}")
    if (card.seed, card.source) != (volumes.seed, volumes.source):
        there_from, asked_from = (_told(made.seed, made.source) for made in (card, volumes))
        found.append(f"volumes are {there_from} there, {asked_from} asked")
    return found


def _told(seed: int, source: Mapping[str, Any]) -> str:
    """Such as: store, count 100, seed 7."""
    values = [f"{key} {value}" for key, value in source.items() if key != "kind"]
    return ", ".join([str(source["kind"]), *values, f"seed {seed}"])


@contextmanager
def _memory_errors_explained(loop: _Loop) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        known = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not known and "can't allocate memory" not in str(error):  # as CPU torch says it
            raise
        raise TrainingError(
            f"out of memory at step {loop.step}: lower --batch-size (and raise --accumulate by as "
            "much), choose a smaller --shape, or use --precision bf16-mixed"
        ) from error
