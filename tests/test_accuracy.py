"""The accuracy harness gives known scores to made-up cases: perfect, split, merged, one heap, all alone."""

from __future__ import annotations

import importlib.util
import itertools
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest
from hypothesis import given, strategies as st

from strataline import event as contract

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "accuracy.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("accuracy", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


accuracy: Any = _load()

# What one request leaves: file, layer, kind, reach. The two spans lie in one line.
TURN = [
    ("ui/events.jsonl", "ui", "ui.message_sent", "id"),
    ("app/prompt.jsonl", "prompt", "chat.request", "id"),
    ("retrieval/spans.jsonl", "retrieval", "span.search", "id"),
    ("retrieval/spans.jsonl", "retrieval", "span.retriever", "id"),
    ("gateway/calls.jsonl", "gateway", "llm_call.success", "id"),
    ("policy/policy.jsonl", "policy", "policy.decision.output", "session+time"),
    ("policy/policy.log", "policy", "policy.decision.input", "user+time"),
    ("app/access.log", "prompt", "http.access", "time_only"),
]
REQUESTS = ["A", "B", "C", "D"]


def make_truth() -> pl.DataFrame:
    """Four requests of eight rows each, two rows that belong to none, one damaged row."""
    rows = [
        {
            "file": file,
            "line_no": 10 * (number + 1),
            "sub": int(kind == "span.retriever"),
            "layer": layer,
            "event_kind": kind,
            "true_request": request,
            "causal_seq": place,
            "reach": reach,
            "corrupt": None,
        }
        for number, request in enumerate(REQUESTS)
        for place, (file, layer, kind, reach) in enumerate(TURN)
    ]
    alone = {"sub": 0, "true_request": None, "causal_seq": 1, "reach": None, "corrupt": None}
    rows += [
        {"file": "ui/events.jsonl", "line_no": 1, "layer": "ui", "event_kind": "ui.$pageview", **alone},
        {
            "file": "policy/policy.log",
            "line_no": 1,
            "layer": "policy",
            "event_kind": "policy.config.reload",
            **alone,
        },
        rows[1] | {"line_no": 5, "corrupt": "truncated"},
    ]
    return pl.DataFrame(rows, schema=accuracy.TRUTH)


def make_events(truth: pl.DataFrame, request: pl.Expr) -> pl.DataFrame:
    """One event for each row of `truth`, put in `request`, in the true order."""
    number = pl.int_range(pl.len())
    return (
        truth.select(
            event_id=pl.format("event{}", number.cast(pl.String).str.zfill(4)),
            layer=pl.col("layer").replace("gateway", "model"),
            source="file",
            line="line_no",
            offset=pl.col("line_no") * 100,
            # Items have gaps where an element of the line gave no event.
            item=pl.col("sub") * 7 + 3,
            index=pl.lit(0),
            request=request,
            causal_seq="causal_seq",
            number=number,
        )
        .with_columns(seq=pl.struct("causal_seq", "number").rank("ordinal").over("request") - 1)
        .with_columns(seq=pl.when(pl.col("request").is_not_null()).then("seq"))
        .select(pl.col(name).cast(dtype) for name, dtype in accuracy.EVENTS.items())
    )


def make_requests(events: pl.DataFrame, kind: str = "unrooted") -> pl.DataFrame:
    return events.select(pl.col("request").drop_nulls().unique().sort()).with_columns(kind=pl.lit(kind))


def score(request: pl.Expr, truth: pl.DataFrame | None = None, kind: str = "unrooted") -> Any:
    """The score of the case that puts each row of the truth in `request`."""
    truth = make_truth() if truth is None else truth
    events = make_events(truth, request)
    return accuracy.score(events, make_requests(events, kind), truth)


def perfect() -> pl.Expr:
    return pl.when(pl.col("corrupt").is_null()).then("true_request")


EACH_ALONE = pl.format("r{}", pl.int_range(pl.len()))
OF_ID = pl.col("reach") == "id"


def test_a_perfect_case_scores_one_everywhere() -> None:
    result = score(perfect())
    layers = ["prompt", "retrieval", "model", "policy", "ui"]
    for layer, reach in itertools.product(layers, accuracy.CLASSES):
        tally = result.of(layer, reach)
        assert (tally.recall, tally.precision) == ((1.0, 1.0) if tally.rows else (None, None))
    assert result.of() == accuracy.Tally(rows=34, owned=32, found=34, placed=32, recalled=32, right=32)
    assert result.of("model") == accuracy.Tally(rows=4, owned=4, found=4, placed=4, recalled=4, right=4)
    assert (result.wrong_links, result.wrong_link_rate) == (0, 0.0)
    assert {name: one.share for name, one in result.order.items()} == dict.fromkeys(result.order, 1.0)
    assert (result.case_requests, result.true_requests, result.matched_requests) == (4, 4, 4)


def test_pairs_are_counted_once_by_class_and_layer() -> None:
    order = score(perfect()).order
    # Of one request: 8 rows, 5 of class id. One pair each lies within prompt, retrieval (of class id) and policy.
    assert order["all"].pairs == 4 * 28
    assert order["id"].pairs == 4 * 10
    assert order["cross_layer"].pairs == 4 * (28 - 3)
    assert order["cross_layer_id"].pairs == 4 * (10 - 1)


def test_every_event_its_own_request_costs_recall_and_no_precision() -> None:
    result = score(pl.when(pl.col("true_request").is_not_null()).then(EACH_ALONE))
    assert result.of().recalled == 4  # the one id row of each request that was matched
    assert result.of(reach="id").recall == pytest.approx(1 / 5)
    for reach in accuracy.CLASSES[1:]:
        assert result.of(reach=reach).recall == 0.0
    assert result.of().precision == 1.0
    assert result.order["all"].share is None


def test_longer_requests_bring_the_recall_of_single_events_near_zero() -> None:
    truth = pl.concat(
        make_truth().with_columns(line_no=pl.col("line_no") + 1000 * copy, causal_seq=pl.col("causal_seq") + 10 * copy)
        for copy in range(50)
    )
    result = score(EACH_ALONE, truth)
    assert result.of(reach="id").recall == 4 / (50 * 4 * 5)
    assert result.of(reach="id").precision == 1.0


def test_all_in_one_request_brings_precision_near_the_share_of_one() -> None:
    truth = pl.concat(
        make_truth().with_columns(
            line_no=pl.col("line_no") + 1000 * copy,
            true_request=pl.format("{}-{}", "true_request", pl.lit(copy)),
        )
        for copy in range(50)
    )
    result = score(pl.lit("heap"), truth)
    assert result.of(reach="id").precision == 1 / 200
    assert result.of(reach="id").recall == 1 / 200
    assert result.of().right == 8
    assert result.matched_requests == 1


def test_a_split_costs_recall_only() -> None:
    in_gateway = (pl.col("true_request") == "A") & (pl.col("layer") == "gateway")
    result = score(pl.when(in_gateway).then(pl.lit("A again")).otherwise(perfect()))
    assert result.of("model", "id").recall == 3 / 4
    assert result.of().recalled == 31
    assert result.of().precision == 1.0
    assert result.wrong_links == 0


def test_a_piece_split_off_without_ids_is_not_wrong() -> None:
    timed = (pl.col("true_request") == "A") & ~OF_ID
    result = score(pl.when(timed).then(pl.lit("A again")).otherwise(perfect()))
    assert result.of().precision == 1.0
    assert result.of(reach="time_only").recall == 3 / 4


def test_a_merge_costs_precision_and_the_recall_of_one_side() -> None:
    result = score(perfect().replace({"B": "A"}))
    assert result.of(reach="id").precision == 15 / 20
    assert result.of(reach="id").recall == 15 / 20
    assert result.wrong_links == 8
    assert result.of("prompt", "id").precision == 3 / 4


def test_the_match_takes_the_most_shared_id_rows_in_all() -> None:
    # Case request x holds 3 id rows of A and 2 of B, y holds 2 of A. The best single pair, x with A, is the worse
    # choice if y can only go to A: x-A alone gives 3, x-B and y-A together 4.
    rank = pl.int_range(pl.len()).over("true_request", "reach")
    request = (
        pl.when(OF_ID & (pl.col("true_request") == "A"))
        .then(pl.when(rank < 3).then(pl.lit("x")).otherwise(pl.lit("y")))
        .when(OF_ID & (pl.col("true_request") == "B") & (rank < 2))
        .then(pl.lit("x"))
    )
    result = score(request)
    assert result.of().recalled == 4
    # Ownership is another question: most id rows of x are of A.
    assert result.of().right == 5


def test_rows_without_an_id_do_not_sway_the_match() -> None:
    # x holds one id row of A and all the others of B; y holds the id rows of B.
    a, b = (pl.col("true_request") == name for name in "AB")
    request = pl.when(a & OF_ID | b & ~OF_ID).then(pl.lit("x")).when(b & OF_ID).then(pl.lit("y"))
    result = score(request)
    assert result.of(reach="id").recalled == 10
    assert result.of(reach="id").precision == 1.0
    assert result.of(reach="time_only").right == 0
    assert result.wrong_links == 3


def test_rows_of_no_request_that_were_put_in_one_are_wrong() -> None:
    stray = pl.col("event_kind") == "ui.$pageview"
    result = score(pl.when(stray).then(pl.lit("A")).otherwise(perfect()))
    assert result.of("ui", "none") == accuracy.Tally(rows=1, owned=0, found=1, placed=1, recalled=0, right=0)
    assert result.of("ui", "none").recall is None
    assert result.of("ui", "none").precision == 0.0
    assert result.wrong_link_rate == 1 / 33
    assert result.of(reach="id").precision == 1.0
    assert result.to_dict()["wrong_links"] == {"rows": 1, "of": 33, "of_no_request": 1, "rate": round(1 / 33, 6)}


def test_the_opening_event_owns_a_turn_against_the_majority() -> None:
    truth = make_truth()
    opens_a = (pl.col("true_request") == "A") & (pl.col("event_kind") == "chat.request")
    events = make_events(truth, pl.when(opens_a | (pl.col("true_request") == "B")).then(pl.lit("event0001")))
    assert events.filter(pl.col("event_id") == "event0001")["request"].item() == "event0001"
    turn = accuracy.score(events, make_requests(events, "turn"), truth)
    job = accuracy.score(events, make_requests(events, "job"), truth)
    assert (turn.of().right, job.of().right) == (1, 8)
    assert turn.of().recalled == job.of().recalled == 8


def test_an_opening_event_of_no_request_makes_all_wrong_and_a_damaged_one_falls_back() -> None:
    truth = make_truth()
    page_view, damaged = "event0032", "event0034"
    for opening, right in ((page_view, 0), (damaged, 8)):
        events = make_events(truth, pl.when(pl.col("true_request") == "B").then(pl.lit(opening)))
        assert accuracy.score(events, make_requests(events, "turn"), truth).of().right == right


def test_equal_shares_go_to_the_smallest_true_id_and_rows_decide_only_without_id_rows() -> None:
    fewer = make_truth().filter((pl.col("true_request") != "B") | OF_ID)
    both = pl.when(pl.col("true_request").is_in(["C", "B"])).then(pl.lit("both"))
    assert score(both).of().right == 8
    # As many id rows as C has, and fewer rows in all: still B, the smaller id.
    assert score(both, fewer).of().right == 5
    # No id row at all: most rows.
    timed = make_truth().filter(~OF_ID, (pl.col("true_request") != "B") | (pl.col("reach") == "time_only"))
    assert score(both, timed).of().right == 3


def test_damaged_rows_are_left_out() -> None:
    heap = pl.when(pl.col("corrupt").is_not_null()).then(pl.lit("B")).otherwise(perfect())
    assert score(heap) == score(perfect())
    assert score(perfect()).damaged_rows == 1
    all_damaged = make_truth().with_columns(corrupt=pl.lit("truncated"))
    assert score(pl.lit("heap"), all_damaged).of() == accuracy.Tally()


def test_redelivered_rows_count_as_rows() -> None:
    truth = make_truth()
    again = truth.filter(pl.col("true_request") == "A").with_columns(line_no=pl.col("line_no") + 500)
    result = score(perfect(), pl.concat([truth, again]))
    assert result.of().recalled == 40
    # A row and its copy have one causal place: such a pair says nothing about order.
    assert result.order["all"].pairs == 3 * 28 + 4 * 28


def test_a_row_is_found_at_its_rank_in_the_line() -> None:
    truth = make_truth()
    events = make_events(truth, perfect())
    shifted = events.with_columns(
        offset=pl.when(pl.col("item") > 3).then(pl.col("offset") + 40).otherwise("offset"),
        item=pl.when(pl.col("item") > 3).then(0).otherwise("item"),
    )
    # Two records in one line: the offset comes before the item.
    assert accuracy.score(shifted, make_requests(shifted), truth) == score(perfect())
    swapped = events.with_columns(
        item=pl.when(pl.col("source") == "retrieval/spans.jsonl").then(-pl.col("item")).otherwise("item")
    )
    # Each span now speaks for the row of the other: both are found, and their pair is in the wrong order.
    result = accuracy.score(swapped, make_requests(swapped), truth)
    assert result.of() == score(perfect()).of()
    assert result.order["all"].pairs - result.order["all"].agreed == 4


def test_a_third_event_of_the_line_leaves_the_first_two_where_they_are() -> None:
    truth = make_truth()
    events = make_events(truth, perfect())
    more = events.filter(pl.col("source") == "retrieval/spans.jsonl", pl.col("item") > 3).with_columns(
        event_id=pl.format("{}+", "event_id"), item=pl.col("item") + 1, request=pl.lit("elsewhere")
    )
    result = accuracy.score(pl.concat([events, more]), make_requests(events), truth)
    assert result.of() == score(perfect()).of()


def test_the_event_in_a_request_speaks_for_the_row_then_the_smallest_index() -> None:
    truth = make_truth()
    events = make_events(truth, perfect())
    calls = events.filter(pl.col("layer") == "model")
    unlinked = calls.with_columns(
        event_id=pl.format("{}-", "event_id"), index=-1, request=pl.lit(None, pl.String), seq=None
    )
    wrong = calls.with_columns(event_id=pl.format("{}+", "event_id"), index=1, request=pl.lit("elsewhere"))
    both = pl.concat([wrong, unlinked, events], how="vertical_relaxed")
    assert accuracy.score(both, make_requests(both), truth).of("model").recall == 1.0
    first = pl.concat([events, wrong.with_columns(index=-2)], how="vertical_relaxed")
    assert accuracy.score(first, make_requests(first), truth).of("model").recall == 0.0


def test_an_event_of_another_layer_does_not_speak_for_the_row() -> None:
    truth = make_truth()
    events = make_events(truth, perfect()).with_columns(layer=pl.col("layer").replace("model", "policy"))
    result = accuracy.score(events, make_requests(events), truth)
    assert result.of("model") == accuracy.Tally(rows=4, owned=4, found=0, placed=0, recalled=0, right=0)


def test_a_row_that_tells_of_a_changed_setting_may_stand_in_layer_change() -> None:
    truth = make_truth()
    events = make_events(truth, perfect()).with_columns(
        layer=pl.when(pl.col("line") == 1).then(pl.lit("change")).otherwise("layer")
    )
    result = accuracy.score(events, make_requests(events), truth)
    assert result.of("policy", "none").found == 1
    assert result.of("ui", "none").found == 0  # a page view is no change


def test_reversed_order_agrees_with_nothing() -> None:
    truth = make_truth()
    events = make_events(truth, perfect()).with_columns(seq=100 - pl.col("seq"))
    order = accuracy.score(events, make_requests(events), truth).order
    assert {one.share for one in order.values()} == {0.0}
    unknown = events.with_columns(seq=pl.lit(None))
    assert accuracy.score(unknown, make_requests(unknown), truth).order["all"].share == 0.0


def test_order_is_judged_only_where_rows_stand_in_the_match() -> None:
    result = score(perfect().replace({"B": "A"}))
    assert result.order["all"].pairs == 3 * 28
    one_late = make_events(make_truth(), perfect()).with_columns(
        seq=pl.when(pl.col("event_id") == "event0000").then(50).otherwise("seq")
    )
    order = accuracy.score(one_late, make_requests(one_late), make_truth()).order
    assert (order["all"].agreed, order["all"].pairs) == (4 * 28 - 7, 4 * 28)
    assert (order["cross_layer_id"].agreed, order["cross_layer_id"].pairs) == (4 * 9 - 4, 4 * 9)


@pytest.mark.parametrize(("lead", "prefix"), [("logs/", None), ("a/logs/", "a/logs"), ("a/logs/", "a/logs/")])
def test_sources_may_lie_below_a_folder(lead: str, prefix: str | None) -> None:
    truth = make_truth()
    events = make_events(truth, perfect()).with_columns(source=lead + pl.col("source"))
    result = accuracy.score(events, make_requests(events), truth, source_prefix=prefix)
    assert result == score(perfect())


def test_a_source_is_the_file_that_it_equals_before_one_that_it_ends_in() -> None:
    truth = make_truth()
    events = make_events(truth, perfect())
    copy = events.with_columns(source="old/" + pl.col("source"), request=pl.lit("heap"))
    assert accuracy.score(pl.concat([copy, events]), make_requests(events), truth).of() == score(perfect()).of()
    twice = pl.concat([copy, events.with_columns(source="new/" + pl.col("source"))])
    with pytest.raises(accuracy.Unscorable, match=r"both new/.* and old/.* could be"):
        accuracy.score(twice, make_requests(events), truth)
    chosen = accuracy.score(twice, make_requests(events), truth, source_prefix="new")
    assert chosen.of() == score(perfect()).of()
    with pytest.raises(accuracy.Unscorable, match="no source of the case"):
        accuracy.score(twice, make_requests(events), truth, source_prefix="other")


def test_a_source_is_the_longest_file_name_that_it_ends_in() -> None:
    truth = make_truth()
    inner = truth.filter(pl.col("true_request") == "A").with_columns(
        file="app/" + pl.col("file"), line_no=pl.col("line_no") + 500
    )
    both = pl.concat([truth, inner])
    events = make_events(both, perfect()).with_columns(source="logs/" + pl.col("source"))
    assert accuracy.score(events, make_requests(events), both) == score(perfect(), both)


def test_files_that_the_case_has_not_read_are_named() -> None:
    truth = make_truth()
    events = make_events(truth, perfect()).filter(pl.col("layer") != "ui")
    result = accuracy.score(events, make_requests(events), truth)
    assert result.missing_files == ("ui/events.jsonl",)
    assert result.of("ui", "id").recall == 0.0
    assert "no event from ui/events.jsonl" in result.to_text()


def test_a_case_without_events_scores_nothing() -> None:
    truth = make_truth()
    empty = make_events(truth, perfect()).clear()
    result = accuracy.score(empty, make_requests(empty), truth)
    assert (result.of().found, result.of().recall, result.of().precision) == (0, 0.0, None)


@given(st.lists(st.integers(0, 3), min_size=35, max_size=35))
def test_any_way_to_split_requests_is_free_of_wrong_links(pieces: list[int]) -> None:
    piece = pl.Series(pieces).cast(pl.String)
    result = score(pl.when(pl.col("true_request").is_not_null()).then(pl.format("{}{}", "true_request", piece)))
    assert result.wrong_links == 0
    assert result.of().precision == 1.0
    assert all(one.share in (None, 1.0) for one in result.order.values())


@given(st.lists(st.integers(0, 5), min_size=35, max_size=35), st.randoms(use_true_random=False))
def test_the_order_of_rows_in_the_tables_does_not_matter(pieces: list[int], random: Any) -> None:
    truth = make_truth()
    events = make_events(truth, pl.lit(pl.Series(pieces)).cast(pl.String))
    straight = accuracy.score(events, make_requests(events), truth)
    places = random.sample(range(events.height), events.height)
    shuffled = accuracy.score(events[places], make_requests(events).reverse(), truth[places[::-1]])
    assert straight == shuffled
    total = straight.of()
    assert total.recalled <= total.owned <= total.rows
    assert total.right <= total.placed <= total.found == 34


@given(
    st.dictionaries(st.tuples(st.integers(0, 4), st.integers(0, 3)), st.integers(1, 6), max_size=20),
)
def test_the_match_is_the_heaviest_there_is(weights: dict[tuple[int, int], int]) -> None:
    shared = pl.DataFrame(
        [(f"q{q}", f"t{t}", n) for (q, t), n in weights.items()],
        schema={"request": pl.String(), "true_request": pl.String(), "shared": pl.UInt32()},
        orient="row",
    )
    match = accuracy._match_requests(shared)
    assert match["request"].is_unique().all()
    assert match["match"].is_unique().all()
    taken = match.join(shared, left_on=["request", "match"], right_on=["request", "true_request"], how="inner")
    assert taken.height == match.height
    heaviest = max(
        sum(weights.get((q, t), 0) for t, q in enumerate(choice)) for choice in itertools.permutations(range(5), 4)
    )
    assert taken["shared"].sum() == heaviest


def write_case(folder: Path) -> tuple[Path, Path]:
    """A perfect case as the package's own tables, and its truth; the two folders."""
    case, truth_dir = folder / "case", folder / "truth"
    case.mkdir()
    truth_dir.mkdir()
    truth = make_truth()
    events = make_events(truth, perfect())
    contract.EVENTS.conform(events).write_parquet(case / "events.parquet")
    contract.REQUESTS.conform(make_requests(events)).write_parquet(case / "requests.parquet")
    truth.with_columns(service=pl.lit("app")).write_parquet(truth_dir / "ground_truth.parquet")
    return case, truth_dir


def test_the_columns_are_those_of_the_tables() -> None:
    for ours, theirs in ((accuracy.EVENTS, contract.EVENTS), (accuracy.REQUESTS, contract.REQUESTS)):
        assert {name: theirs.schema[name] for name in ours} == dict(ours)


def test_the_program_prints_one_table_or_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case, truth = write_case(tmp_path)
    assert accuracy.main([str(case), str(truth)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["layer", "class", "rows", "found", "in", "request", "recall", "precision"]
    assert "prompt     id               4      4           4  1.0000     1.0000" in lines
    assert "all        all             34     34          32  1.0000     1.0000" in lines
    assert "ui         none             1      1           0       –          –" in lines
    assert any(line.startswith("wrong-link rate: 0.0000 (0 of 32 rows") for line in lines)
    assert "cross layer id     36      36  1.0000" in lines

    assert accuracy.main([str(case), str(truth), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["cells"][-1] == {
        "layer": "all",
        "reach": "all",
        "rows": 34,
        "owned": 32,
        "found": 34,
        "in_request": 32,
        "recalled": 32,
        "right": 32,
        "recall": 1.0,
        "precision": 1.0,
    }
    assert told["order"]["id"] == {"pairs": 40, "agreed": 40, "share": 1.0}
    assert told["requests"] == {"case": 4, "true": 4, "matched": 4}


def test_it_runs_as_a_program(tmp_path: Path) -> None:
    case, truth = write_case(tmp_path)
    command = [sys.executable, str(SCRIPT), str(case), str(truth), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["wrong_links"]["rate"] == 0.0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("no case", "events.parquet: no such file"),
        ("no truth", "ground_truth.parquet: no such file"),
        ("not a table", "requests.parquet: "),
        ("lost column", "events: no column layer, seq"),
        ("wrong type", "events: "),
        ("one place twice", "ground truth: a (file, line_no, sub) stands in two rows"),
        ("strange class", "ground truth: reach guess of a row that belongs to a request is not known"),
        ("other capture", "no source of the case"),
    ],
)
def test_what_cannot_be_scored_is_said_in_one_line(
    spoil: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case, truth_dir = write_case(tmp_path)
    events, truth = pl.read_parquet(case / "events.parquet"), make_truth()
    if spoil == "no case":
        case = tmp_path
    elif spoil == "no truth":
        truth_dir = case
    elif spoil == "not a table":
        (case / "requests.parquet").write_text("nothing")
    elif spoil == "lost column":
        events = events.drop("layer", "seq")
    elif spoil == "wrong type":
        events = events.with_columns(line=pl.lit("first"))
    elif spoil == "one place twice":
        truth = pl.concat([truth, truth.head(1)])
    elif spoil == "strange class":
        truth = truth.with_columns(reach=pl.lit("guess"))
    elif spoil == "other capture":
        truth = truth.with_columns(file=pl.lit("elsewhere/") + pl.col("file"))
    if case != tmp_path:
        events.write_parquet(case / "events.parquet")
    if truth_dir != case:
        truth.write_parquet(truth_dir / "ground_truth.parquet")
    assert accuracy.main([str(case), str(truth_dir)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.startswith("accuracy.py: ")
    assert err.count("\n") == 1
