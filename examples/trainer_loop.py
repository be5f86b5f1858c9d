"""A Hugging Face Trainer, raced as it is: a tiny GPT learns to write English, character by character.

What changes in a script of one's own: ``optimizers=`` takes what ``make_optimizer`` gives, and a callback reports the
metric. Needs ``pip install transformers accelerate``; nothing is downloaded, neither a model nor data.

    gradrace race examples/trainer_loop.py --budget quick
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import torch
from sklearn import datasets
from torch.optim.lr_scheduler import LambdaLR
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

import gradrace

EVERY = 5  # steps from one report to the next
LENGTH = 32  # characters in an example

# The text is what scikit-learn tells about its data sets.
ABOUT: tuple[Callable[[], Any], ...] = (
    datasets.load_breast_cancer, datasets.load_diabetes, datasets.load_digits, datasets.load_iris,
    datasets.load_linnerud, datasets.load_wine,
)  # fmt: skip


def read() -> tuple[list[dict[str, list[int]]], ...]:
    """Training, validation and test examples: pieces of the text, shuffled always in the same way."""
    codes = [code for load in ABOUT for code in load().DESCR.encode("ascii", "replace")]
    pieces = [codes[start : start + LENGTH] for start in range(0, len(codes) - LENGTH + 1, LENGTH)]
    order = torch.randperm(len(pieces), generator=torch.Generator().manual_seed(0)).tolist()
    examples = [{"input_ids": pieces[i], "labels": pieces[i]} for i in order]
    return examples[128:], examples[:64], examples[64:128]


TRAIN, VALIDATION, TEST = read()
MODEL = GPTNeoXConfig(
    vocab_size=128, max_position_embeddings=LENGTH, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
    num_attention_heads=2, hidden_dropout=0.1, bos_token_id=None, eos_token_id=None,
)  # fmt: skip


class Reports(TrainerCallback):
    """Tells the race how far the training is, whenever the Trainer has evaluated both splits."""

    def __init__(self, report: Callable[[int, dict[str, Any]], None]) -> None:
        self.report, self.losses = report, dict[str, float]()

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Here ``StopTraining`` ends the training, when the race has seen enough."""
        self.losses |= kwargs["metrics"]
        if {"eval_validation_loss", "eval_test_loss"} <= set(self.losses):
            told = {"loss": self.losses["eval_validation_loss"], "test_loss": self.losses["eval_test_loss"]}
            self.losses.clear()
            self.report(state.global_step, told)


@gradrace.reporting
def train(make_optimizer: Callable[..., torch.optim.Optimizer], seed: int, report: Callable[..., None]) -> None:
    """One trial."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            use_cpu=True,
            seed=seed % 2**32,  # numpy takes no more
            max_steps=10**6,  # until the race says that it is enough
            per_device_train_batch_size=16,
            per_device_eval_batch_size=64,
            max_grad_norm=0,  # gradrace race --clip-norm clips, where clipping is wanted
            eval_strategy="steps",
            eval_steps=EVERY,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        model = GPTNeoXForCausalLM(MODEL)
        optimizer = make_optimizer(model.parameters())
        trainer = Trainer(
            model,
            arguments,
            train_dataset=TRAIN,
            eval_dataset={"validation": VALIDATION, "test": TEST},
            # The schedule is the race's (--schedule). Without this one the Trainer would put its own on top.
            optimizers=(optimizer, LambdaLR(optimizer, lambda _: 1.0)),
            callbacks=[Reports(report)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()


workload = gradrace.Workload.from_training_loop(
    "trainer-text", train, metric="loss", test_metric="test_loss", steps=200
)
