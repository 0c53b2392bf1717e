"""Checks of the retrieval layer: each fires, stays silent and says that it cannot run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import polars as pl
import pytest

from strataline.examine import Affected, Facts, run
from strataline.examine.checks import CHECKS

Make = Callable[..., Facts]
Row = dict[str, Any]


def examined(facts: Facts, check: str) -> list[Row]:
    chosen = [one for one in CHECKS if one.id == check]
    assert chosen
    return run(facts, chosen).findings.to_dicts()


def query(request: str | None, *documents: Row | str, at: float | None = 1, **more: Any) -> Row:
    listed = [{"rank": rank, **({"id": one} if isinstance(one, str) else one)} for rank, one in enumerate(documents, 1)]
    row = {"layer": "retrieval", "kind": "retrieval.query", "request": request, "at": at, "outcome": "ok"}
    return row | {"documents": listed, **more}


def call(request: str, at: float = 2, **more: Any) -> Row:
    return {"layer": "model", "kind": "model.call", "request": request, "at": at, "outcome": "ok", **more}


def rendered(request: str, at: float = 3) -> Row:
    return {"layer": "ui", "kind": "ui.rendered", "request": request, "at": at, "shown": "answer"}


def told(found: Row) -> tuple[Any, ...]:
    return (found["result"], found["count"], found["evaluable"], found["status"], found["attention"])


def affected(requests: Iterable[str], baseline: Iterable[str]) -> Affected:
    return Affected(pl.Series(list(requests)), pl.Series(list(baseline)), ("test",))


def test_zero_results(facts: Make) -> None:
    (found,) = examined(facts(query("r1"), call("r1"), query("r2", "d"), call("r2"), query("r3")), "R-01")
    assert told(found) == ("fired", 1, 3, "OBS", "CC")
    assert found["events"] == ["e0", "e1"]
    assert found["statement"] == (
        "Retrieval returned no documents for 2 requests; a response was generated in 1 of them."
    )
    (counted,) = examined(facts(query("r1", documents=None, attributes={"rows": "0"}), call("r1")), "R-01")
    assert counted["count"] == 1


@pytest.mark.parametrize(
    "beside",
    [
        [query("r1", "d", at=1.5)],
        [{"layer": "prompt", "kind": "prompt.rendered", "request": "r1", "documents": [{"id": "d"}]}],
        [query("r1", outcome="error", at=1.5), query("r1", "d", kind="retrieval.rerank")],
    ],
    ids=["another search", "documents in the prompt", "reranked"],
)
def test_documents_from_elsewhere_are_documents(facts: Make, beside: list[Row]) -> None:
    (found,) = examined(facts(query("r1"), call("r1"), *beside), "R-01")
    assert (found["result"], found["evaluable"]) == ("clear", 1)


def test_a_call_before_the_search_is_no_answer_to_it(facts: Make) -> None:
    (found,) = examined(facts(call("r1", at=0.5), query("r1", at=1)), "R-01")
    assert found["result"] == "clear"
    loose = [{"clock": name, "slice": 0, "offset_ns": 0, "basis": "unmoved"} for name in ("a", "b")]
    apart = facts(call("r1", at=0.5, clock="a"), query("r1", at=1, clock="b"), clocks=loose)
    assert examined(apart, "R-01")[0]["count"] == 1


def test_what_another_index_gave_may_be_unknown(facts: Make) -> None:
    tickets = query("r1", documents=None, attributes={"rows": "0"}, index_name="tickets")
    policies = query("r1", documents=None, index_name="policies")
    (found,) = examined(facts(tickets, policies, call("r1"), query("r2"), call("r2")), "R-01")
    assert (found["count"], found["evaluable"]) == (1, 1)
    # A span that names no index, or the same one, is of the same search.
    for beside in (query("r1", documents=None), query("r1", documents=None, index_name="tickets")):
        assert examined(facts(tickets, beside, call("r1")), "R-01")[0]["count"] == 1


def test_an_unknown_number_of_documents_is_not_zero(facts: Make) -> None:
    (found,) = examined(facts(query("r1", documents=None), call("r1")), "R-01")
    assert found["reason"] == "no record says how many documents a query returned"
    assert found["unlocks"] == ["retrieval.documents"]
    assert examined(facts(query("r1")), "R-01")[0]["reason"] == "not in the supplied logs: an event model.call"


def scored(request: str, *scores: float, **more: Any) -> Row:
    return query(request, *({"id": f"d{n}", "score": one} for n, one in enumerate(scores)), index_name="kb", **more)


def test_low_scores_by_a_declared_threshold(facts: Make) -> None:
    events = (scored("r1", 0.2, 0.1), scored("r2", 0.9, 0.1))
    declared: Row = {"score_kind": "similarity", "retrieval_thresholds": {"kb": 0.5}}
    (found,) = examined(facts(*events, declared=declared), "R-02")
    assert told(found) == ("fired", 1, 2, "DER", "CC")
    assert (found["events"], found["subject"]) == (["e0"], "kb, model unknown")
    assert (
        "best match of 1 request in index kb scored below 0.5 (declared threshold); the farthest scored 0.2"
        in (found["statement"])
    )
    distance: Row = {"score_kind": {"kb": "distance"}, "retrieval_thresholds": 0.15}
    (far,) = examined(facts(*events, scored("r3", 0.3, 0.4), declared=distance), "R-02")
    assert (far["count"], "scored above 0.15" in far["statement"], far["events"]) == (1, True, ["e2"])
    (fine,) = examined(facts(events[1], declared=declared), "R-02")
    assert (fine["result"], fine["evaluable"]) == ("clear", 1)


def test_low_scores_by_the_comparison_set(facts: Make) -> None:
    usual = [scored(f"b{n}", 0.5 + n / 100) for n in range(40)]
    low = [scored(f"a{n}", 0.1) for n in range(6)]
    names = [f"a{n}" for n in range(6)], [f"b{n}" for n in range(40)]
    kind: Row = {"score_kind": "similarity"}
    (found,) = examined(facts(*usual, *low, declared=kind, affected=affected(*names)), "R-02")
    assert (found["count"], "5th percentile of the comparison set" in found["statement"]) == (6, True)
    alike = [scored(f"a{n}", 0.55 + n / 100) for n in range(6)]
    (same,) = examined(facts(*usual, *alike, declared=kind, affected=affected(*names)), "R-02")
    assert (same["result"], same["evaluable"]) == ("clear", 46)
    (few,) = examined(facts(*usual[:5], *low, declared=kind, affected=affected(names[0], names[1][:5])), "R-02")
    assert few["reason"].startswith("of no index the kind of score is declared")


def test_scores_of_unknown_kind_are_not_compared(facts: Make) -> None:
    limit: Row = {"retrieval_thresholds": 0.5}
    (found,) = examined(facts(scored("r1", 0.1), declared=limit), "R-02")
    assert found["unlocks"] == ["declared.score_kind"]
    (unlimited,) = examined(facts(scored("r1", 0.1), declared={"score_kind": "similarity"}), "R-02")
    assert unlimited["unlocks"] == ["declared.retrieval_thresholds", "--affected"]
    assert examined(facts(query("r1", "d")), "R-02")[0]["reason"] == "no query of a request has scored documents"


def test_filter_that_takes_all(facts: Make) -> None:
    emptied = query("r1", attributes={"candidates": "7"})
    (found,) = examined(facts(emptied, query("r2", "d", attributes={"candidates": "3"})), "R-03")
    assert told(found) == ("fired", 1, 2, "DER", "CC")
    assert found["statement"] == "7 candidates were found before the filter and 0 after, in 1 request."
    assert found["events"] == ["e0"]


def test_rerank_that_drops_the_first(facts: Make) -> None:
    first = query("r1", "a", "b", "c")
    (found,) = examined(facts(first, query("r1", "c", "b", kind="retrieval.rerank", at=1.5)), "R-03")
    assert told(found) == ("fired", 1, 1, "DER", "CC")
    assert found["statement"].startswith("3 candidates were found before the rerank and 2 are listed after it")
    assert found["events"] == ["e1", "e0"]
    cases = (
        query("r1", "c", "a", kind="retrieval.rerank", at=1.5),
        query("r1", "c", "b", "a", kind="retrieval.rerank", at=1.5),
    )
    for kept in cases:
        (clear,) = examined(facts(first, kept), "R-03")
        assert (clear["result"], clear["evaluable"]) == ("clear", 1)
    (apart,) = examined(facts(first, query("r1", "x9", kind="retrieval.rerank", at=1.5)), "R-03")
    assert (apart["result"], apart["unlocks"]) == ("not_evaluable", ["retrieval.candidates", "retrieval.documents"])


def test_mixed_index_versions(facts: Make) -> None:
    events = [
        query(f"r{n}", "d", at=60 * n, index_name="kb", index_version="v12" if n == 2 else "v14") for n in range(4)
    ]
    (found,) = examined(facts(*events), "R-04")
    assert told(found) == ("fired", 1, 4, "DER", "DV")
    assert (found["subject"], found["events"]) == ("kb", ["e2"])
    assert "2 versions of index kb answered within an hour, as queries state it: v14 75.0 %" in found["statement"]
    assert "v12 25.0 % (first 2026-01-01T10:02:00.000Z, last 2026-01-01T10:02:00.000Z)" in found["statement"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"index_name": "kb", "at": 0}, {"index_name": "kb", "at": 4000}),
        ({"index_name": "kb", "at": 0}, {"index_name": "faq", "at": 60}),
        ({"index_version": "docs-3", "at": 0}, {"index_version": "faq-7", "at": 60}),
    ],
    ids=["hours apart", "of two indexes", "unnamed, of two forms"],
)
def test_versions_that_do_not_mix(facts: Make, one: Row, other: Row) -> None:
    events = [query("r1", "d", **{"index_version": "v1", **one}), query("r2", "d", **{"index_version": "v2", **other})]
    (found,) = examined(facts(*events), "R-04")
    assert (found["result"], found["evaluable"]) == ("clear", 2)


def test_index_versions_in_force_by_changes(facts: Make) -> None:
    changes = [
        {"layer": "change", "kind": "change.applied", "change_scope": "index", "change_key": "kb", "at": at}
        | {"change_new": new}
        for at, new in ((10, "kb_2"), (100, "kb_1"))
    ]
    queries = [query(f"r{n}", "d", at=at) for n, at in enumerate((5, 20, 50, 120))]
    (found,) = examined(facts(*changes, *queries), "R-04")
    assert told(found) == ("fired", 1, 3, "DER", "DV")
    assert (found["subject"], found["events"]) == ("kb", ["e5"])
    assert "as changes of the index put it in force" in found["statement"]
    (none,) = examined(facts(*queries), "R-04")
    assert none["unlocks"] == ["retrieval.index_version"]


def versioned(request: str, version: str, at: float, *ids: str, **more: Any) -> Row:
    return query(request, *({"id": one, "version": version} for one in ids or ("d1",)), at=at, **more)


def test_superseded_document(facts: Make) -> None:
    events = (versioned("r1", "v9", 1), versioned("r2", "v10", 2), versioned("r3", "v9", 3), versioned("r4", "v10", 4))
    (found,) = examined(facts(*events), "R-05")
    assert told(found) == ("fired", 1, 4, "DER", "CC")
    assert (found["subject"], found["events"]) == ("d1 v9", ["e2", "e1"])
    assert found["statement"] == (
        "Document d1 v9 was supplied from 2026-01-01T10:00:03.000Z on, in 1 request; "
        "v10 is recorded from 2026-01-01T10:00:02.000Z."
    )
    both = (versioned("r1", "v14", 1, "a", "b"), versioned("r2", "v12", 2, "a", "b"), versioned("r3", "v12", 3, "b"))
    (many,) = examined(facts(*both), "R-05")
    assert (many["count"], many["subject"], many["events"]) == (2, "v12 after v14", ["e1", "e0", "e2"])
    assert many["statement"].startswith("2 documents (the first is a) were supplied in version v12")


def test_superseded_by_a_record_of_the_document(facts: Make) -> None:
    change = {"layer": "change", "kind": "change.applied", "change_scope": "document", "change_key": "d1", "at": 1}
    (newer,) = examined(facts({**change, "change_new": "2026-02-01"}, versioned("r1", "2026-01-05", 2)), "R-05")
    assert (newer["count"], newer["events"]) == (1, ["e1", "e0"])
    (gone,) = examined(facts({**change, "change_new": "deleted"}, versioned("r1", "v3", 2)), "R-05")
    assert (gone["count"], "deleted is recorded from" in gone["statement"]) == (1, True)
    (later,) = examined(facts({**change, "change_new": "deleted", "at": 3}, versioned("r1", "v3", 2)), "R-05")
    assert later["result"] == "clear"


def test_order_of_documents_needs_clocks_that_tell_it(facts: Make) -> None:
    events = (versioned("r1", "v2", 1, clock="a"), versioned("r2", "v1", 9, clock="b"))
    reference = {"clock": "a", "slice": 0, "offset_ns": 0, "lower_ns": 0, "upper_ns": 0, "basis": "reference"}
    near, far = (
        [reference, reference | {"clock": "b", "lower_ns": -doubt, "upper_ns": doubt, "basis": "bounds"}]
        for doubt in (10**9, 20 * 10**9)
    )
    assert examined(facts(*events, clocks=near), "R-05")[0]["count"] == 1
    assert examined(facts(*events, clocks=far), "R-05")[0]["result"] == "clear"


def test_versions_without_an_order_show_nothing(facts: Make) -> None:
    (hashes,) = examined(facts(versioned("r1", "9c1f0a", 1), versioned("r2", "8b2e11", 2)), "R-05")
    assert hashes["reason"] == "no document has a version whose order can be told"
    (forms,) = examined(facts(versioned("r1", "v2", 1), versioned("r2", "rev1", 2)), "R-05")
    assert (forms["result"], forms["evaluable"]) == ("clear", 2)
    (bare,) = examined(facts({"layer": "retrieval", "kind": "retrieval.query", "request": "r1"}), "R-05")
    assert bare["reason"] == "not in the supplied logs: documents of retrieval"


def test_duplicate_documents(facts: Make) -> None:
    same = query("r1", {"id": "a", "hash": "h"}, {"id": "b", "hash": "h"}, {"id": "c", "hash": "i"})
    (found,) = examined(facts(same, query("r2", {"id": "a", "hash": "h"}, {"id": "b", "hash": "i"})), "R-06")
    assert told(found) == ("fired", 1, 2, "OBS", "CC")
    assert found["statement"] == (
        "2 of 3 supplied passages had identical content as another of the same list, in 1 request."
    )
    assert found["events"] == ["e0"]
    (by_id,) = examined(facts(query("r1", "a", "a")), "R-06")
    assert (by_id["subject"], by_id["count"]) == ("the same document id", 1)


def test_chunks_of_one_document_are_no_duplicates(facts: Make) -> None:
    chunks = query("r1", {"id": "a", "hash": "h"}, {"id": "a", "hash": "i"})
    few = query("r2", *({"id": "a", "hash": h} for h in ("x", "x", "p", "q", "r", "s")))
    (found,) = examined(facts(chunks, few), "R-06")
    assert (found["result"], found["evaluable"]) == ("clear", 2)
    assert examined(facts(query("r1", "a")), "R-06")[0]["reason"] == "no query lists two documents by text or id"


def test_other_embedding_model(facts: Make) -> None:
    built = {"layer": "retrieval", "kind": "retrieval.index", "index_name": "kb", "embedding_model": "org/E-2", "at": 0}
    other = query("r1", "d", index_name="kb", embedding_model="e-3")
    (found,) = examined(facts(built, other, query("r2", "d", index_name="kb", embedding_model="e-2")), "R-08")
    assert told(found) == ("fired", 1, 2, "DER", "DV")
    assert (
        found["statement"]
        == "Queries of 1 request to index kb were embedded by e-3; org/E-2 is recorded for the index."
    )
    assert found["events"] == ["e1", "e0"]
    embed = {"layer": "retrieval", "kind": "retrieval.embed", "request": "r1", "embedding_model": "e-3", "at": 0.5}
    declared: Row = {"index_embedding_models": {"kb": "e-2"}}
    (by_step,) = examined(facts(embed, query("r1", "d", index_name="kb"), declared=declared), "R-08")
    assert (by_step["count"], by_step["events"]) == (1, ["e1"])
    (unnamed,) = examined(facts(query("r1", "d", embedding_model="e-3"), declared=declared), "R-08")
    assert unnamed["reason"] == "no query names both its index and the model that embedded it"
    assert examined(facts(other), "R-08")[0]["unlocks"][0] == "declared.index_embedding_models"


def of_tenant(request: str, *tenants: str, **more: Any) -> Row:
    return query(request, *({"id": f"d-{one}", "tenant": one} for one in tenants), tenant="acme", **more)


def test_documents_of_another_tenant(facts: Make) -> None:
    events = (of_tenant("r1", "acme", "globex"), rendered("r1"), of_tenant("r2", "globex"), of_tenant("r3", "acme"))
    shown, unseen = examined(facts(*events), "R-09")
    assert told(shown) == ("fired", 1, 3, "DER", "RU")
    assert shown["events"] == ["e0", "e1"]
    assert told(unseen) == ("fired", 1, 3, "DER", "SG")
    assert "1 document of another tenant than the request's (the first is d-globex)" in unseen["statement"]
    assert "in 1 request, in requests without a record of display" in unseen["statement"]


def test_shared_documents_cross_no_boundary(facts: Make) -> None:
    (found,) = examined(facts(of_tenant("r1", "acme", "Public")), "R-09")
    assert (found["result"], found["evaluable"]) == ("clear", 1)
    declared: Row = {"shared_tenants": ["globex"]}
    assert examined(facts(of_tenant("r1", "acme", "globex"), declared=declared), "R-09")[0]["result"] == "clear"
    (words,) = examined(facts(of_tenant("r1", "t-1")), "R-09")
    assert words["reason"] == "documents and requests name their tenants in different words"
    (none,) = examined(facts(query("r1", "d")), "R-09")
    assert "declared.excluded_labels" in none["unlocks"]


def test_documents_with_an_excluded_label(facts: Make) -> None:
    labelled = query("r1", "d", attributes={"labels": '["draft", "internal"]'})
    asked = {"layer": "prompt", "kind": "prompt.received", "request": "r1", "at": 0, "attributes": {"route": "/help"}}
    declared: Row = {"excluded_labels": {"/help": ["internal"], "/staff": ["draft"]}}
    (found,) = examined(facts(asked, labelled, rendered("r1"), declared=declared), "R-09")
    assert told(found) == ("fired", 1, 1, "DER", "RU")
    assert found["statement"].startswith("A document labelled internal, listed as excluded for /help, was supplied")
    other: Row = {"excluded_labels": {"*": ["secret"]}}
    (clear,) = examined(facts(asked, labelled, declared=other), "R-09")
    assert clear["result"] == "clear"


def test_error_then_answer(facts: Make) -> None:
    broke = query("r1", documents=None, outcome="timeout", error_type="ReadTimeout")
    (found,) = examined(facts(broke, call("r1"), query("r2", "d"), call("r2")), "R-10")
    assert told(found) == ("fired", 1, 2, "OBS", "CC")
    assert found["events"] == ["e0", "e1"]
    assert found["statement"] == (
        "Retrieval ended with ReadTimeout and without documents in 1 request; a response was generated in 1 of them."
    )


@pytest.mark.parametrize(
    "beside",
    [
        [query("r1", documents=None, at=1.5), call("r1")],
        [query("r1", "d", at=0.5), call("r1")],
        [call("r1", at=0.2)],
        [call("r1", outcome="error")],
        [],
    ],
    ids=["a retry", "another search", "a call before it", "no answer", "no call"],
)
def test_an_error_that_was_made_good_or_ended_the_request(facts: Make, beside: list[Row]) -> None:
    broke = query("r1", documents=None, outcome="error")
    (found,) = examined(facts(broke, *beside, call("r9")), "R-10")
    assert (found["result"], found["evaluable"]) == ("clear", 1)


def test_retrieval_without_outcomes_cannot_tell_errors(facts: Make) -> None:
    (found,) = examined(facts(query("r1", "d", outcome=None), call("r1")), "R-10")
    assert found["reason"] == "not in the supplied logs: outcome of retrieval"
    (untied,) = examined(facts(query(None, "d"), call("r1")), "R-10")
    assert untied["unlocks"] == ["retrieval.outcome"]
