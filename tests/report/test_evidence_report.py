"""What is printed of the evidence, of claims and of a recommendation says what the JSON says."""

from __future__ import annotations

from gradrace.evidence import evidence
from gradrace.report import evidence as pages
from gradrace.report.terminal import as_text


def test_the_table_shows_every_optimizer_every_workload_every_claim_and_where_it_comes_from() -> None:
    known = evidence()
    text = as_text(pages.render(known))
    words = " ".join(text.split())
    assert " ".join(known["suite"]["verdict"].split()) in words
    for label in known["suite"]["contenders"]:
        assert f"\n  {label}" in text
    for name in known["races"]:
        assert f"\n  {name}" in text
    for claim in known["claims"]["claims"]:
        (line,) = [line for line in text.splitlines() if line.split()[:1] == [claim["claim"]]]
        assert claim["decision"] in line
    assert f"gradrace {known['gradrace']} and torch {known['machine']['torch']}" in words
    assert f"seed {known['seed']}, by: {known['command']}. Nothing was raced for this table." in words


def test_a_recommendation_is_a_sentence_and_a_line_that_is_never_broken() -> None:
    line = "torch.optim.Adam(model.parameters(), lr=0.001)" + "  # long" * 30
    text = as_text(pages.recommendation({"sentence": "Try adam first: because.", "code": line}))
    assert text.splitlines()[1] == "Try adam first: because."
    assert f"    {line}" in text.splitlines()
