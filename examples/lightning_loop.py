"""A Lightning module and its Trainer, raced as they are.

What changes in a script of one's own: ``configure_optimizers`` returns what ``make_optimizer`` gives, and a callback
reports the metric. Needs ``pip install lightning``.

    gradrace race examples/lightning_loop.py --budget quick
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, random_split

import gradrace

EVERY = 5  # steps from one report to the next

pixels, classes = load_digits(return_X_y=True)
examples = TensorDataset(torch.as_tensor(pixels, dtype=torch.float32) / 16, torch.as_tensor(classes))
TRAIN, VALIDATION, TEST = random_split(examples, (0.6, 0.2, 0.2), torch.Generator().manual_seed(0))


class Digits(lightning.LightningModule):
    """A small multilayer perceptron."""

    def __init__(self, make_optimizer: Callable[..., torch.optim.Optimizer]) -> None:
        super().__init__()
        self.make_optimizer = make_optimizer
        self.model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The loss of a batch."""
        inputs, targets = batch
        return nn.functional.cross_entropy(self.model(inputs), targets)

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int) -> None:
        """The same on the splits that nothing is learnt from; Lightning averages over their batches."""
        name = ("loss", "test_loss")[dataloader_idx]
        self.log(name, self.training_step(batch, batch_idx), add_dataloader_idx=False)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The trial's optimizer, where a script would name one."""
        return self.make_optimizer(self.parameters())


class Reports(Callback):
    """Tells the race how far the training is, whenever Lightning has validated."""

    def __init__(self, report: Callable[[int, dict[str, Any]], None]) -> None:
        self.report = report

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Here ``StopTraining`` ends the training, when the race has seen enough."""
        self.report(trainer.global_step, dict(trainer.callback_metrics))


def quieten() -> None:
    """Called by ``train``, since a race's processes get ``train`` and what it uses, and do not run this file."""
    # Each of hundreds of Trainers would say which devices it found, and that the data could use more processes.
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")  # between Lightning and torch


@gradrace.reporting
def train(make_optimizer: Callable[..., torch.optim.Optimizer], seed: int, report: Callable[..., None]) -> None:
    """One trial. The global generators follow from the seed already, so the model and the batches do too."""
    quieten()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=-1,  # until the race says that it is enough
        val_check_interval=EVERY,
        check_val_every_n_epoch=None,  # EVERY counts steps, across epochs
        num_sanity_val_steps=0,
        callbacks=[Reports(report)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    batches = DataLoader(TRAIN, batch_size=32, shuffle=True, drop_last=True)
    unseen = [DataLoader(split, batch_size=len(split)) for split in (VALIDATION, TEST)]
    trainer.fit(Digits(make_optimizer), batches, unseen)


workload = gradrace.Workload.from_training_loop(
    "lightning-digits", train, metric="loss", test_metric="test_loss", steps=400
)
