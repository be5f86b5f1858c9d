"""A page for each optimizer, out of its own file and the shipped evidence; in English and Korean."""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from markup import code, page, table

from gradrace.evidence import evidence
from gradrace.landscapes import figures
from gradrace.optimizers import Optimizer, optimizers
from gradrace.report.sentences import interval, number
from gradrace.report.words import card

KEPT = Path(__file__).parents[1] / "build" / "figures"
FOLDER = {"en": "optimizers", "ko": "ko/optimizers"}
WORDS: dict[str, dict[str, str]] = {
    "en": {
        "index": "Optimizers",
        "lead": "Every optimizer that gradrace has of its own. Each page is made of the optimizer's file.",
        "name": "name",
        "title": "what it is",
        "idea": "Idea",
        "walk": "Its walk",
        "walk_text": "Down an elongated valley, at the best of 25 learning rates. Ring: the start; cross: the lowest "
        "point; lines: equal loss. `gradrace landscapes --svg DIR` draws it.",
        "formula": "Formula, at each step, for each parameter w",
        "use": "When",
        "line": "PyTorch",
        "space": "Hyperparameters and search space",
        "space_head": "hyperparameter|default|meaning|tuned over",
        "untuned": "not tuned",
        "from": "from {trials} trials on",
        "evidence": "Evidence",
        "evidence_text": "Test values in the shipped races, with 95 % intervals. Contenders with the same place cannot "
        "be told apart from the best one of it. [The whole evidence](../evidence.md).",
        "evidence_head": "workload|metric|test|place|line chosen",
        "no_evidence": "The shipped evidence holds no race of it. "
        "`gradrace race digits --optimizers adam,{name}` is one.",
        "relatives": "Relatives",
        "differences": "Where it departs from the paper",
        "paper": "Paper",
        "other": "한국어",
    },
    "ko": {
        "index": "옵티마이저",
        "lead": "gradrace에 들어 있는 모든 옵티마이저입니다. 각 쪽은 옵티마이저의 파일에서 만들어집니다.",
        "name": "이름",
        "title": "설명",
        "idea": "아이디어",
        "walk": "움직이는 모습",
        "walk_text": "길쭉한 골짜기를 학습률 25개 가운데 가장 좋은 값으로 내려갑니다. 고리는 출발점, "
        "십자는 가장 낮은 점, 선은 손실이 같은 곳입니다. `gradrace landscapes --svg DIR`로 그립니다.",
        "formula": "수식(스텝마다, 파라미터 w마다)",
        "use": "실제 쓰임",
        "line": "PyTorch",
        "space": "하이퍼파라미터와 탐색 범위",
        "space_head": "하이퍼파라미터|기본값|뜻|탐색 범위",
        "untuned": "조정하지 않음",
        "from": "시행 {trials}번부터",
        "evidence": "근거",
        "evidence_text": "함께 배포되는 경주의 테스트 값과 95 % 구간입니다. 순위가 같은 참가자는 그 순위에서 가장 좋은 "
        "참가자와 구별할 수 없습니다. [전체 근거(영어)](../../evidence.md).",
        "evidence_head": "과제|지표|테스트|순위|선택된 코드",
        "no_evidence": "함께 배포되는 근거에는 이 옵티마이저의 경주가 없습니다. `gradrace race digits --optimizers "
        "adam,{name}`으로 직접 경주할 수 있습니다.",
        "relatives": "가까운 방법",
        "differences": "논문과 다른 점",
        "paper": "논문",
        "other": "English",
    },
}


def pages(lang: str) -> dict[str, str]:
    """Every optimizer's page and their index, by address.

    Args:
        lang: ``"en"`` or ``"ko"``.
    """
    words, folder, known = WORDS[lang], FOLDER[lang], optimizers()
    found = {f"{folder}/{name}.md": _page(optimizer, lang) for name, optimizer in known.items()}
    rows = [[f"[{name}]({name}.md)", _card(optimizer, lang)["title"]] for name, optimizer in known.items()]
    index = [f"# {words['index']}", "", words["lead"], "", *table((words["name"], words["title"]), rows)]
    return {f"{folder}/index.md": page(index), **found}


def _card(optimizer: Optimizer, lang: str) -> dict[str, Any]:
    meanings = {name: {"meaning": known.meaning} for name, known in optimizer.hyperparameters.items()}
    return card(lang, {**asdict(optimizer.card), "hyperparameters": meanings})


def _page(optimizer: Optimizer, lang: str) -> str:
    words, text, name = WORDS[lang], _card(optimizer, lang), optimizer.name
    other = f"../ko/optimizers/{name}.md" if lang == "en" else f"../../optimizers/{name}.md"
    lines = [f"# {text['title']}", "", f"`{name}` · [{words['other']}]({other})", ""]
    lines += [f"## {words['idea']}", "", text["idea"], ""]
    lines += [f"## {words['formula']}", "", *code(text["formula"])]
    lines += [f"## {words['walk']}", "", f'<div class="walk">{figure(optimizer)}</div>', "", words["walk_text"], ""]
    lines += [f"## {words['use']}", "", text["use"], ""]
    lines += [f"## {words['line']}", "", *code([optimizer.code({})], "py")]
    rows = [
        [f"`{key}`", number(known.default), text["hyperparameters"][key]["meaning"], _range(key, optimizer, words)]
        for key, known in optimizer.hyperparameters.items()
    ]
    lines += [f"## {words['space']}", "", *table(words["space_head"].split("|"), rows)]
    lines += [f"## {words['evidence']}", "", *_evidence(name, words)]
    if text["relatives"]:
        known = optimizers()
        lines += [f"## {words['relatives']}", ""]
        lines += [
            f"- {f'[{other}]({other}.md)' if other in known else other}: {phrase}"
            for other, phrase in text["relatives"].items()
        ]
        lines.append("")
    if text["differences"]:
        lines += [f"## {words['differences']}", "", *(f"- {sentence}" for sentence in text["differences"]), ""]
    lines += [f"## {words['paper']}", "", f"[{text['paper']}]({text['link']})"]
    return page(lines)


def _range(key: str, optimizer: Optimizer, words: dict[str, str]) -> str:
    space = optimizer.space.get(key)
    if space is None:
        return words["untuned"]
    values = space.to_dict()
    if values["scale"] == "choice":
        return ", ".join(number(value) for value in values["values"])
    what = f"1 − {key}: " if values.get("one_minus") else ""
    later = f", {words['from'].format(trials=space.from_trials)}" if space.from_trials > 1 else ""
    return f"{what}{number(values['low'])} – {number(values['high'])} ({values['scale']}{later})"


def _evidence(name: str, words: dict[str, str]) -> list[str]:
    rows = [
        [
            f"`{workload}`",
            f"{race['workload']['metric']} ({race['workload']['direction']})",
            f"{number(row['test']['mean'])} {interval(row['test']['interval'])}",
            str(row["place"]),
            f"`{row['code']}`",
        ]
        for workload, race in evidence()["races"].items()
        for row in race["standings"]
        if row["optimizer"] == name
    ]
    if not rows:
        return [words["no_evidence"].format(name=name), ""]
    return [*table(words["evidence_head"].split("|"), rows), words["evidence_text"], ""]


def figure(optimizer: Optimizer) -> str:
    """The picture of its walk, as SVG in one line; kept in ``build/`` until a file that it is made of changes."""
    kept = KEPT / f"{optimizer.name}-{_version()}.svg"
    if not kept.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        (drawn,) = figures.pictures([optimizer.name]).values()
        kept.write_text(drawn, encoding="utf-8")
    return re.sub(r"\s*\n\s*", " ", kept.read_text(encoding="utf-8")).strip()


@cache
def _version() -> str:
    package = Path(str(figures.__file__)).parents[1]
    sources = sorted(path for folder in ("optimizers", "landscapes") for path in (package / folder).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
