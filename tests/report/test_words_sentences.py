"""Sentences of a race's summary in English and Korean: the same numbers, and a verdict that reads right in both."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from stored_race import A, B, confirmed, notes, outcome, record, tuned

from gradrace.outcomes import Outcome, Status
from gradrace.report import sentences, summarize
from gradrace.verdict import OrderChange, Reason

CHANGE = OrderChange("adam", "sgd", (0.9, 0.8), (0.91, 0.95))
EXTENSION = {"contender": "adam", "study": 1, "dimension": "lr", "side": "low", "space": {"low": 1e-5, "high": 1e-4}}
WITHOUT_CHOICE = [{"label": label, "studies_without_choice": count} for label, count in (("a", 0), ("b", 1), ("c", 3))]
MOMENTUM = {"sgd": {"dimensions": {"momentum": {"one_minus": True}}}}
LEFT_OUT = [{"label": label, "others": {"auc": {"missing": 2}}} for label in ("adam", "sgd")]
FAILED = outcome("a", 0, status=Status.FAILED, error=None, value=None)

SENTENCES: list[tuple[Callable[[str], Any], Any, Any]] = [
    (
        lambda lang: sentences.unfinished("abc", "interrupted", 3, lang),
        "The race was stopped; 3 trials are stored. Go on with: gradrace resume abc",
        "경주가 중단되었습니다. 저장된 시행은 3개입니다. 이어서 실행: gradrace resume abc",
    ),
    (
        lambda lang: sentences.unfinished("abc", "running", 3, lang),
        "The race has not finished (it runs still, or was killed); 3 trials are stored. "
        "Go on with: gradrace resume abc",
        "경주가 아직 끝나지 않았습니다(실행 중이거나 강제로 종료되었습니다). 저장된 시행은 3개입니다. "
        "이어서 실행: gradrace resume abc",
    ),
    (
        lambda lang: sentences.inclusion([("sgd", "momentum")], lang),
        [
            "sgd detectably beats momentum, of which it is a special case: momentum was tuned too little. "
            "Give it more trials per study, or a search space that reaches sgd."
        ],
        [
            "sgd가 자신을 특수한 경우로 포함하는 momentum을 통계적으로 뚜렷하게 앞섭니다. "
            "momentum의 튜닝이 부족했다는 뜻입니다. "
            "스터디당 시행을 늘리거나 탐색 공간을 sgd까지 닿도록 넓히십시오."
        ],
    ),
    (
        lambda lang: [sentences.reason(found, 4, lang) for found in (None, *Reason)],
        [
            None,
            "Too few studies for a test: 4 given, at least 3 needed.",
            "Both have the same value on every seed of every study.",
            "The difference is the same in all 4 studies, so its spread is unknown; "
            "p is that of 4 coins falling alike.",
        ],
        [
            None,
            "스터디가 너무 적어 검정할 수 없습니다. 4개가 있으며 적어도 3개가 필요합니다.",
            "모든 스터디의 모든 시드에서 두 값이 같습니다.",
            "4개 스터디 모두에서 차이가 같아 산포를 알 수 없습니다. p는 동전 4개가 모두 같은 면으로 떨어질 확률입니다.",
        ],
    ),
    (
        lambda lang: sentences.edges([EXTENSION], {("adam", 1): {"point": 9}}, {"studies": 3, "trials": 8}, lang),
        [
            "adam: in 1 of 3 studies the best lr lay at the low edge of its range. A quarter of the study's trials "
            "went to 1e-05-0.0001 instead; 1 of 1 chose a value there."
        ],
        [
            "adam: 스터디 3개 중 1개에서 가장 좋은 lr 값이 범위의 아래쪽 끝에 있었습니다. 그래서 스터디 시행의 "
            "4분의 1을 1e-05-0.0001 구간에 썼고, 1개 중 1개가 그 구간의 값을 선택했습니다."
        ],
    ),
    (
        lambda lang: sentences.edges_left([("sgd", 0, "momentum", "high")], MOMENTUM, 3, lang),
        [
            "sgd: in 1 of 3 studies the 1 - momentum chosen lies at the high edge of what was tried. "
            "A wider range might serve it better."
        ],
        [
            "sgd: 스터디 3개 중 1개에서 선택된 1 - momentum 값이 시도한 범위의 위쪽 끝에 있습니다. "
            "범위를 넓히면 더 좋아질 수 있습니다."
        ],
    ),
    (
        lambda lang: sentences.without_choice(WITHOUT_CHOICE, 3, lang),
        [
            "b: no trial finished in 1 of 3 studies.",
            "c: no trial finished in 3 of 3 studies; it is placed by the worst value.",
        ],
        [
            "b: 스터디 3개 중 1개에서 끝까지 마친 시행이 없습니다.",
            "c: 스터디 3개 중 3개에서 끝까지 마친 시행이 없습니다. 순위에는 가장 나쁜 값을 썼습니다.",
        ],
    ),
    (
        lambda lang: sentences.failures([FAILED], lang),
        ["a: 1 trials failed, most with: unknown error"],
        ["a: 시행 1개가 실패했습니다. 가장 흔한 오류: 알 수 없는 오류"],
    ),
    (
        lambda lang: [sentences.little_memory(dict.fromkeys(blocks, 4), lang) for blocks in ("x", "xy")],
        [
            "Memory ran out in 1 block: trained again from the start with fewer trials at a time, down to 4. "
            "No trial was lost.",
            "Memory ran out in 2 blocks: trained again from the start with fewer trials at a time, down to 4. "
            "No trial was lost.",
        ],
        [
            f"블록 {n}개에서 메모리가 부족했습니다. 동시에 학습하는 시행 수를 최소 4개까지 줄여 처음부터 다시 "
            "학습했으며, 잃은 시행은 없습니다."
            for n in (1, 2)
        ],
    ),
    (
        lambda lang: [sentences.fallbacks(dict.fromkeys(blocks, "It broke."), lang) for blocks in ("x", "xy")],
        [
            "1 block was trained by the loop engine, because the vectorized one raised: It broke.",
            "2 blocks were trained by the loop engine, because the vectorized one raised: It broke.",
        ],
        [f"vectorized 엔진에서 오류가 나서 블록 {n}개를 loop 엔진으로 학습했습니다: It broke." for n in (1, 2)],
    ),
    (
        lambda lang: [sentences.censored(n, {"worst": w, "metric": "loss"}, lang) for n, w in ((1, None), (2, 7.0))],
        [
            "1 confirmation trial has no test value (diverged, failed or never chosen): "
            "it counts as the worst value of the race.",
            "2 confirmation trials have no test value (diverged, failed or never chosen): it counts as loss 7 "
            "(the worst possible, or an untrained model's), or as the worst value of the race if that is worse.",
        ],
        [
            "확인 시행 1개에 테스트 값이 없습니다(발산, 실패 또는 선택된 설정 없음). "
            "다음 값으로 계산합니다: 이 경주에서 가장 나쁜 값.",
            "확인 시행 2개에 테스트 값이 없습니다(발산, 실패 또는 선택된 설정 없음). 다음 값으로 계산합니다: "
            "loss 7(가능한 가장 나쁜 값 또는 학습하지 않은 모델의 값), 이 경주에서 가장 나쁜 값이 그보다 나쁘면 그 값.",
        ],
    ),
    (
        lambda lang: sentences.left_out(LEFT_OUT, lang),
        "Left out are confirmation trials with no finite value, such as those that diverged: 2 of adam and 2 of sgd. "
        "In the standings they count as the worst value; what is worst here is not known.",
        "발산한 시행처럼 유한한 값이 없는 확인 시행은 뺐습니다: adam 2개, sgd 2개. "
        "순위표에서는 가장 나쁜 값으로 계산하지만, 여기서는 무엇이 가장 나쁜 값인지 알 수 없습니다.",
    ),
    (
        lambda lang: [sentences.too_few_studies(n, contenders, lang) for n, contenders in ((1, 1), (2, 3))],
        [
            "The race had 1 study per contender. At least 3 are needed to tell a difference from luck, or to say how "
            "far luck reaches; so its score is shown without an interval.",
            "The race had 2 studies per contender. At least 3 are needed to tell a difference from luck, or to say how "
            "far luck reaches; so the order is shown without intervals and without a verdict.",
        ],
        [
            "이 경주의 스터디는 참가자마다 1개였습니다. 차이를 운과 구별하거나 운이 얼마나 작용하는지 말하려면 적어도 "
            "3개가 필요합니다. 따라서 점수를 신뢰구간 없이 보여 줍니다.",
            "이 경주의 스터디는 참가자마다 2개였습니다. 차이를 운과 구별하거나 운이 얼마나 작용하는지 말하려면 적어도 "
            "3개가 필요합니다. 따라서 신뢰구간과 판정 없이 순서만 보여 줍니다.",
        ],
    ),
    (
        lambda lang: sentences.order_change(CHANGE, 10, 20, "accuracy", lang),
        "The length of the race decides between adam and sgd: at step 10 of 20 adam was ahead (validation accuracy 0.9 "
        "against 0.8), at the end sgd is (0.91 against 0.95, in the same order). A longer race would probably favour "
        "sgd, a shorter one adam.",
        "adam과 sgd의 우열은 경주의 길이에 달려 있습니다. 20스텝 중 10스텝에서는 adam이 앞섰지만(검증 accuracy 0.9 대 "
        "0.8), 마지막에는 sgd가 앞섭니다(같은 순서로 0.91 대 0.95). 경주가 더 길면 sgd에, 더 짧으면 adam에 유리할 "
        "것입니다.",
    ),
    (
        lambda lang: [sentences.unflattened([("adam", 0.25, 15, 20)] * n, lang) for n in (1, 2)],
        [
            "Still improving on the validation split when the race ended: adam (25 % of its gain came after step 15 of "
            "20). In a longer race it would probably score better, and the order might change.",
            "Still improving on the validation split when the race ended: adam (25 % of its gain came after step 15 of "
            "20) and adam (25 % of its gain came after step 15 of 20). In a longer race they would probably score "
            "better, and the order might change.",
        ],
        [
            f"경주가 끝날 때 검증 데이터에서 아직 나아지고 있었습니다: {contenders}. 경주가 더 길면 점수가 더 좋아지고 "
            "순서가 바뀔 수 있습니다."
            for one in ["adam(향상의 25%가 20스텝 중 15스텝 뒤에 나왔습니다)"]
            for contenders in (one, f"{one}, {one}")
        ],
    ),
    (
        lambda lang: sentences.little_power(3, 4, lang),
        "With 3 studies each, 4 contenders differ detectably only if they differ by a lot: this is a first look. The "
        "standard and thorough budgets have 5 and 8 studies.",
        "스터디가 3개씩이면 참가자 4개의 차이는 아주 클 때만 감지됩니다. 이 결과는 첫 탐색으로 보십시오. "
        "standard와 thorough 예산에는 스터디가 각각 5개와 8개 있습니다.",
    ),
    (
        lambda lang: [sentences.target({"source": s, "value": 0.5}, "loss", lang) for s in ("workload", "race")],
        ["validation loss 0.5 (the workload's own)", "validation loss 0.5 (95 % of what the best contender gained)"],
        ["검증 loss 0.5(과제에 정해진 목표)", "검증 loss 0.5(가장 좋은 참가자가 얻은 향상의 95%)"],
    ),
    (
        lambda lang: sentences.costs_unknown("It broke.", lang),
        "Step cost and state memory were not measured: It broke.",
        "스텝 비용과 옵티마이저 상태의 메모리를 측정하지 못했습니다: It broke.",
    ),
]


@pytest.mark.parametrize(("said", "in_english", "in_korean"), SENTENCES)
def test_each_sentence_in_both_languages(said: Callable[[str], Any], in_english: Any, in_korean: Any) -> None:
    assert said("en") == in_english
    assert said("ko") == in_korean


WINNER = [*tuned(), *confirmed(A, B)]
TIE = [*tuned(), *confirmed(A, [[0.91, 0.93], [0.90, 0.94], [0.95, 0.91]])]
ALONE = [o for o in WINNER if o.contender == "a"]
FEW = [o for o in WINNER if o.study < 2]
NOTHING = [outcome(label, s, status=Status.DIVERGED, value=None) for label in "ab" for s in range(3)]


def raced(outcomes: list[Outcome], lang: str) -> dict[str, Any]:
    stored, known = record(studies=2 if outcomes is FEW else 3), notes()
    if outcomes is ALONE:
        stored.spec["contenders"] = [{"label": "a"}]
        del stored.plan["contenders"]["b"]
    if outcomes is NOTHING:
        known["choices"] = {"choices": [], "extensions": [], "left": []}
    return summarize(stored, outcomes, known, lang)


# Means over studies and seeds: A 0.92, without its last study 0.915, the one that ties 5.54 / 6.
@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (
            WINNER,
            "a를 쓰십시오. w 과제에서 가장 좋은 점수를 냈고(테스트 accuracy 0.92), b보다 통계적으로 뚜렷하게 좋습니다.",
        ),
        (
            TIE,
            "통계적으로 뚜렷한 차이가 없습니다. w 과제에서 b가 가장 좋은 점수를 냈지만(테스트 accuracy 0.9233), "
            "이 경주로는 a와 우열을 가릴 수 없습니다.",
        ),
        (
            ALONE,
            "w 과제에서 a가 가장 좋은 점수를 냈습니다(테스트 accuracy 0.92). "
            "혼자 참가했으므로 다른 옵티마이저에 대해서는 알 수 없습니다.",
        ),
        (
            FEW,
            "w 과제에서 a가 가장 좋은 점수를 냈지만(테스트 accuracy 0.915), "
            "스터디가 3개보다 적어 어떤 차이도 운과 구별할 수 없습니다.",
        ),
        (
            NOTHING,
            "제대로 작동하는 설정을 찾은 참가자가 없습니다. 모든 시행이 발산하거나 실패했습니다. "
            "학습률을 낮추거나 모델과 데이터를 점검해 보십시오.",
        ),
    ],
)
def test_the_korean_verdict(outcomes: list[Outcome], expected: str) -> None:
    assert raced(outcomes, "ko")["recommendation"]["sentence"] == expected


def test_the_korean_verdict_between_those_beaten_and_those_tied() -> None:
    rows = [{"label": label} for label in ("adam", "sgd", "lion")]
    leader = {"label": "adam", "tied_with": ["lion"], "test": {"mean": 0.5}}
    assert sentences.verdict(leader, rows, {"name": "digits", "metric": "loss"}, True, "ko") == (
        "digits 과제에서 adam이 가장 좋은 점수를 냈고(테스트 loss 0.5), sgd보다 통계적으로 뚜렷하게 좋습니다. "
        "lion과는 뚜렷한 차이가 없습니다."
    )


@pytest.mark.parametrize("outcomes", [WINNER, TIE, FEW, NOTHING])
def test_nothing_but_sentences_depends_on_the_language(outcomes: list[Outcome]) -> None:
    ours, korean = raced(outcomes, "en"), raced(outcomes, "ko")
    assert ours["recommendation"].pop("sentence") != korean["recommendation"].pop("sentence")
    english, warnings = ours.pop("warnings"), korean.pop("warnings")
    assert len(english) == len(warnings) > 0
    assert all(re.search("[가-힣]", warning) for warning in warnings)
    assert not any(re.search("[가-힣]", warning) for warning in english)
    for before, after in zip(ours["pairs"], korean["pairs"], strict=True):
        reasons = before.pop("reason"), after.pop("reason")
        assert reasons == (None, None) or reasons[0] != reasons[1]
    assert ours == korean
