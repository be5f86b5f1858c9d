"""game: a pole is kept upright on a cart that is pushed left or right fifty times a second, learnt by playing."""

from __future__ import annotations

from torch import nn

from gradrace.workloads._actor_critic import ActorCritic, actor_critic_loss
from gradrace.workloads._base import Workload
from gradrace.workloads._environments import Poles
from gradrace.workloads._metrics import Metric
from gradrace.workloads._playing import Game, Play

# A pole falls at 0.2 rad while the other numbers go up to about 2: without the 10 it is learnt less surely.
SCALES = (1.0, 1.0, 10.0, 1.0)

GAME = Game(
    workload="game",
    environment="CartPole-v1",
    kind=Poles,
    actions=2,
    environments=32,
    horizon=8,
    decay=0.99,
    trace=0.97,
    scale=0.01,  # a whole episode is worth about 1, for 1 / (1 - decay) is 100
    episodes=16,
)


def make_model() -> nn.Module:
    """Cart's place and speed, pole's angle and speed; two networks of two hidden layers of 64: 9,155 parameters."""
    return ActorCritic(SCALES, actions=GAME.actions, width=64)


def make_experience(seed: int) -> Play:
    """32 poles at once, 8 moves of each in a step."""
    return Play(GAME, seed)


workload = Workload(
    name="game",
    model=make_model,
    experience=make_experience,
    loss_of_model=actor_critic_loss(critic=0.5, entropy=0.01),
    metric=Metric("mean return", direction="max", worst=0.0, of_loss=lambda loss: loss),  # Play.score gives it
    batch_size=GAME.environments * GAME.horizon,
    steps=400,
    evaluations=10,  # episodes are played at each
    target=450.0,
    title="a pole balanced on a cart, learnt by playing",
    stands_for="game AI that reacts fast",
    source="CartPole-v1 of Gymnasium, https://gymnasium.farama.org/environments/classic_control/cart_pole",
    licence="MIT",
    extra="game",
    suites=("primer",),
)
