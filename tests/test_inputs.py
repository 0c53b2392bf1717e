"""Which files are meant: names, folders, links, lists and standard input."""

from __future__ import annotations

import errno
import itertools
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from strataline.errors import InputError
from strataline.read import Input, find_inputs
from strataline.read.inputs import SIDECARS


def sources(*names: str | os.PathLike[str]) -> list[str]:
    return [one.source for one in find_inputs(names).inputs]


def test_folder_is_walked_and_its_files_are_named_below_it(tmp_path: Path) -> None:
    for name in ("app/prompt.jsonl", "app/old/prompt.jsonl.1.gz", "ui.jsonl"):
        file = tmp_path / "logs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"{}\n")
    found = find_inputs([tmp_path / "logs"])
    assert [one.source for one in found.inputs] == ["app/old/prompt.jsonl.1.gz", "app/prompt.jsonl", "ui.jsonl"]
    assert [one.folder for one in found.inputs] == ["app/old", "app", ""]
    assert [one.path for one in found.inputs] == [tmp_path / "logs" / one.source for one in found.inputs]
    assert (found.skipped, found.twice) == ([], [])


def test_named_file_is_called_by_its_name_and_a_glob_names_its_matches(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl", "c.log"):
        (tmp_path / name).write_bytes(b"x\n")
    assert sources(tmp_path / "c.log") == ["c.log"]
    assert sources(str(tmp_path / "*.jsonl")) == ["a.jsonl", "b.jsonl"]


def test_glob_that_matches_a_folder_means_the_files_in_it(tmp_path: Path) -> None:
    (tmp_path / "pod-1").mkdir()
    (tmp_path / "pod-1" / "app.log").write_bytes(b"x\n")
    assert sources(str(tmp_path / "pod-*")) == ["app.log"]


def test_file_whose_name_looks_like_a_glob_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "app[1].log").write_bytes(b"x\n")
    (tmp_path / "app1.log").write_bytes(b"x\n")
    assert sources(tmp_path / "app[1].log") == ["app[1].log"]


def test_equal_names_are_told_apart_by_as_few_parent_folders_as_needed(tmp_path: Path) -> None:
    for pod in ("pod-1", "pod-2"):
        (tmp_path / "eu" / pod).mkdir(parents=True)
        (tmp_path / "eu" / pod / "app.log").write_bytes(b"x\n")
    (tmp_path / "ui.log").write_bytes(b"x\n")
    names = [tmp_path / "eu" / "pod-1" / "app.log", tmp_path / "eu" / "pod-2" / "app.log", tmp_path / "ui.log"]
    assert sources(*names) == ["pod-1/app.log", "pod-2/app.log", "ui.log"]


def test_order_of_names_does_not_matter(tmp_path: Path) -> None:
    for name in ("x/a.log", "y/a.log", "y/b.log", "c.log"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x\n")
    names = [str(tmp_path / "x"), str(tmp_path / "y"), str(tmp_path / "c.log"), str(tmp_path / "y" / "b.log")]
    first = find_inputs(names)
    assert all(find_inputs(order) == first for order in itertools.permutations(names))


def test_hidden_files_and_folders_are_left_out_and_listed(tmp_path: Path) -> None:
    for name in (".git/config", "app/.env", "app/a.log"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x\n")
    found = find_inputs([tmp_path])
    assert [one.source for one in found.inputs] == ["app/a.log"]
    assert found.skipped == [(".git", "hidden, not read"), ("app/.env", "hidden, not read")]


def test_hidden_file_that_is_named_itself_is_read(tmp_path: Path) -> None:
    (tmp_path / ".app.log").write_bytes(b"x\n")
    assert sources(tmp_path / ".app.log") == [".app.log"]


def test_file_that_is_named_twice_is_read_once_and_said(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "a.log"
    log.write_bytes(b"x\n")
    (tmp_path / "logs" / "b.log").write_bytes(b"y\n")
    found = find_inputs([tmp_path / "logs", log])
    assert [(one.source, one.path) for one in found.inputs] == [("a.log", log), ("b.log", tmp_path / "logs" / "b.log")]
    assert found.twice == ["a.log"]


@pytest.mark.parametrize("name", ["gone.log", "empty", "*.jsonl", "a\0b"])
def test_name_that_means_nothing_is_refused_with_a_hint(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.log").write_bytes(b"x\n")
    with pytest.raises(InputError, match="nothing to read") as refused:
        find_inputs([tmp_path / "a.log", str(tmp_path / name)])
    assert repr(name)[1:-1] in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize("names", [[], [""], ["logs", ""]])
def test_no_name_and_an_empty_name_are_refused_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    """An unset variable in a script must not mean the folder it runs in."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").write_bytes(b"x\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="nothing to read") as refused:
        find_inputs(names)
    assert refused.value.hint


# Links: log folders of containers are full of them.


def test_linked_file_is_called_as_it_was_named_and_not_as_what_it_links_to(tmp_path: Path) -> None:
    """As in /var/log/containers, where the links have the names and the files are called 0.log."""
    for pod in ("api", "web"):
        file = tmp_path / "pods" / pod / "0.log"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x\n")
        (tmp_path / "containers").mkdir(exist_ok=True)
        (tmp_path / "containers" / f"{pod}.log").symlink_to(file)
    expected = [("api.log", tmp_path / "containers" / "api.log"), ("web.log", tmp_path / "containers" / "web.log")]
    for names in ([tmp_path / "containers"], [path for _, path in expected], [tmp_path / "containers" / "*.log"]):
        found = find_inputs(names)
        assert [(one.source, one.path) for one in found.inputs] == expected
        assert (found.skipped, found.twice) == ([], [])


def test_file_and_links_to_it_are_read_once_by_the_deepest_name_whatever_the_order(tmp_path: Path) -> None:
    for name in ("logs/app/a.log", "logs/b.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x\n")
    (tmp_path / "current.log").symlink_to(tmp_path / "logs" / "app" / "a.log")
    (tmp_path / "logs" / "a.log").symlink_to(tmp_path / "logs" / "app" / "a.log")
    for names in itertools.permutations([tmp_path / "current.log", tmp_path / "logs"]):
        found = find_inputs(names)
        assert [one.source for one in found.inputs] == ["app/a.log", "b.log"]
        assert found.inputs[0].path == tmp_path / "logs" / "app" / "a.log"
        assert found.twice == ["app/a.log"]


def test_linked_folder_is_walked_and_its_files_are_named_by_the_link(tmp_path: Path) -> None:
    (tmp_path / "disk2" / "app").mkdir(parents=True)
    (tmp_path / "disk2" / "app" / "a.log").write_bytes(b"x\n")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "old").symlink_to(tmp_path / "disk2", target_is_directory=True)
    assert sources(tmp_path / "logs") == ["old/app/a.log"]
    assert sources(tmp_path / "logs" / "old") == ["app/a.log"]
    assert find_inputs([tmp_path / "logs"]).inputs[0].path == tmp_path / "logs" / "old" / "app" / "a.log"


def test_linked_folder_that_leads_back_is_a_complaint_and_all_else_is_read(tmp_path: Path) -> None:
    (tmp_path / "logs" / "app").mkdir(parents=True)
    (tmp_path / "logs" / "app" / "a.log").write_bytes(b"x\n")
    (tmp_path / "logs" / "app" / "self").symlink_to(tmp_path / "logs" / "app", target_is_directory=True)
    (tmp_path / "logs" / "app" / "up").symlink_to(tmp_path / "logs", target_is_directory=True)
    (tmp_path / "logs" / "app" / "over").symlink_to(tmp_path, target_is_directory=True)
    found = find_inputs([tmp_path / "logs"])
    assert [one.source for one in found.inputs] == ["app/a.log"]
    why = "a link to a folder above"
    assert found.refused == [("app/over", why), ("app/self", why), ("app/up", why)]
    assert (found.skipped, found.twice) == ([], [])


def test_links_that_lead_to_one_another_end(tmp_path: Path) -> None:
    """By way of a folder elsewhere: what is above is above on the way that was taken."""
    for name in ("logs", "disk2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.log").write_bytes(b"x\n")
    (tmp_path / "logs" / "there").symlink_to(tmp_path / "disk2", target_is_directory=True)
    (tmp_path / "disk2" / "back").symlink_to(tmp_path / "logs", target_is_directory=True)
    found = find_inputs([tmp_path / "logs"])
    assert [one.source for one in found.inputs] == ["logs.log", "there/disk2.log"]
    assert found.refused == [("there/back", "a link to a folder above")]


def test_folder_that_two_links_lead_to_is_walked_once_and_no_complaint(tmp_path: Path) -> None:
    (tmp_path / "disk2").mkdir()
    (tmp_path / "disk2" / "a.log").write_bytes(b"x\n")
    (tmp_path / "logs").mkdir()
    for name in ("one", "two"):
        (tmp_path / "logs" / name).symlink_to(tmp_path / "disk2", target_is_directory=True)
    found = find_inputs([tmp_path / "logs"])
    assert [one.source for one in found.inputs] == ["one/a.log"]
    assert found.skipped == [("two", "a linked folder that was read already")]
    assert found.refused == []


def test_link_that_leads_nowhere_is_an_input_that_cannot_be_read(tmp_path: Path) -> None:
    """Said when it is read, and no reason to leave the others."""
    (tmp_path / "dead.log").symlink_to(tmp_path / "rotated-away.log")
    (tmp_path / "live.log").write_bytes(b"x\n")
    dead, live = find_inputs([tmp_path]).inputs
    assert (dead.source, live.source) == ("dead.log", "live.log")
    assert find_inputs([tmp_path / "dead.log"]).inputs == [dead]
    assert dead.size() is None
    with pytest.raises(FileNotFoundError):
        dead.open()


def test_link_that_leads_to_itself_is_a_complaint(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "a")
    (tmp_path / "b").symlink_to(tmp_path / "c")
    (tmp_path / "c").symlink_to(tmp_path / "b")
    (tmp_path / "live.log").write_bytes(b"x\n")
    found = find_inputs([tmp_path])
    assert [one.source for one in found.inputs] == ["live.log"]
    assert found.refused == [(name, "a link that leads back to itself") for name in "abc"]
    assert find_inputs([tmp_path / "a"]).refused == [(str(tmp_path / "a"), found.refused[0][1])]


def test_hard_links_are_one_file(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").write_bytes(b"x\n")
    (tmp_path / "copy.log").write_bytes(b"x\n")
    (tmp_path / "b.log").hardlink_to(tmp_path / "logs" / "a.log")
    (tmp_path / "c.log").symlink_to(tmp_path / "b.log")
    names = [tmp_path / "logs", tmp_path / "b.log", tmp_path / "c.log", tmp_path / "copy.log"]
    for order in itertools.permutations(names):
        found = find_inputs(order)
        assert [one.source for one in found.inputs] == ["b.log", "copy.log"]
        assert found.twice == ["b.log"]


def test_glob_that_means_a_folder_and_the_files_in_it_does_not_name_them_twice(tmp_path: Path) -> None:
    (tmp_path / "logs" / "app").mkdir(parents=True)
    (tmp_path / "logs" / "app" / "a.log").write_bytes(b"x\n")
    found = find_inputs([str(tmp_path / "logs" / "**")])
    assert [one.source for one in found.inputs] == ["app/a.log"]
    assert found.twice == []


# What is no file.


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a pipe, a link to it, a socket and a file."""
    (tmp_path / "logs").mkdir()
    monkeypatch.chdir(tmp_path / "logs")
    os.mkfifo("pipe")
    Path("pipe-link").symlink_to("pipe")
    Path("a.log").write_bytes(b"x\n")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
        yield tmp_path / "logs"


PIPE = "a pipe; give - to read standard input"


def test_pipes_and_sockets_in_a_folder_are_not_waited_for(odd: Path) -> None:
    found = find_inputs([odd])
    assert [one.source for one in found.inputs] == ["a.log"]
    assert found.refused == [("pipe", PIPE), ("pipe-link", PIPE), ("socket", "a socket")]
    assert found.skipped == []


def test_pipe_and_device_that_are_named_are_refused_whatever_else_is_named(odd: Path) -> None:
    both: list[str | Path] = [odd / "pipe", os.devnull]
    for names in (both, [*both[::-1], odd / "a.log"]):
        found = find_inputs(names)
        assert found.refused == [(os.devnull, "a device"), (str(odd / "pipe"), PIPE)]
        assert [one.source for one in found.inputs] == ["a.log"][: len(names) - 2]


def test_what_is_refused_is_shown_as_it_was_given(odd: Path) -> None:
    (odd / "list.txt").write_text("p*e\n")
    found = find_inputs(["./pipe", "pip*-link", f"file://{odd}/socket", "@list.txt"])
    assert found.refused == [
        ("./pipe", PIPE),
        (f"file://{odd}/socket", "a socket"),
        ("pipe", PIPE),
        ("pipe-link", PIPE),
    ]


def test_match_of_a_glob_in_a_list_is_shown_as_the_list_has_it(odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (odd.parent / "list.txt").write_text("logs/p*e\n")
    monkeypatch.chdir("/")
    assert find_inputs([f"@{odd.parent / 'list.txt'}"]).refused == [("logs/pipe", PIPE)]


def test_folder_that_cannot_be_listed_is_a_complaint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("logs/open/a.log", "logs/locked/b.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x\n")
    scandir = os.scandir

    def refusing(path: str) -> object:
        if os.fspath(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = find_inputs([tmp_path / "logs"])
    assert [one.source for one in found.inputs] == ["open/a.log"]
    why = "the folder cannot be listed (Permission denied)"
    assert found.refused == [("locked", why)]
    assert find_inputs([f"{tmp_path}/logs/locked/"]).refused == [(f"{tmp_path}/logs/locked/", why)]


# What programs leave beside files.


@pytest.mark.parametrize(
    "name", ["app.lock", "APP.LCK", "nginx.pid", "~$table.xlsx", ".~lock.table.csv#", ".app.log.swp", "app.log.swp"]
)
def test_lock_file_is_left_out_of_a_folder_and_read_when_it_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.log").write_bytes(b"x\n")
    (tmp_path / name).write_bytes(b"x\n")
    found = find_inputs([tmp_path])
    assert [one.source for one in found.inputs] == ["a.log"]
    assert found.skipped == [(name, "a lock file, not read")]
    assert found.refused == []
    assert sources(tmp_path / name) == [name]


@pytest.mark.parametrize(("suffix", "why"), SIDECARS.items())
def test_what_lies_beside_a_database_is_left_to_it_and_read_without_it(tmp_path: Path, suffix: str, why: str) -> None:
    """A name alone says little: systemd-journal may be a log."""
    (tmp_path / f"audit.db{suffix}").write_bytes(b"x")
    assert sources(tmp_path) == [f"audit.db{suffix}"]
    (tmp_path / "audit.db").write_bytes(b"x")
    found = find_inputs([tmp_path])
    assert [one.source for one in found.inputs] == ["audit.db"]
    assert found.skipped == [(f"audit.db{suffix}", why)]


def test_lost_and_found_is_left_out(tmp_path: Path) -> None:
    for name in ("lost+found/x.log", "a.log"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x\n")
    found = find_inputs([tmp_path])
    assert [one.source for one in found.inputs] == ["a.log"]
    assert found.skipped == [("lost+found", "kept by the file system, not read")]


# Standard input.


def spooling(file: Path) -> tuple[Callable[[], Path], list[int]]:
    calls: list[int] = []

    def spool() -> Path:
        calls.append(1)
        file.write_bytes(b"from stdin\n")
        return file

    return spool, calls


def test_standard_input_is_spooled_once_and_called_by_its_name(tmp_path: Path) -> None:
    spool, calls = spooling(tmp_path / "spool.bin")
    found = find_inputs(["-"], stdin=spool)
    (one,) = found.inputs
    assert (one.source, one.path, one.size(), found.twice) == ("stdin", tmp_path / "spool.bin", 11, [])
    with one.open() as file:
        assert file.read() == b"from stdin\n"
    found = find_inputs(["-", "-"], stdin=spool)
    assert ([one.source for one in found.inputs], found.twice) == (["stdin"], ["stdin"])
    assert len(calls) == 2, "once for each search"


def test_standard_input_keeps_its_name_beside_a_file_called_so(tmp_path: Path) -> None:
    """Where it was spooled to is no part of any name."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "stdin").write_bytes(b"x\n")
    spool, _ = spooling(tmp_path / "spool")
    found = find_inputs([tmp_path / "logs" / "stdin", "-"], stdin=spool)
    assert [one.source for one in found.inputs] == ["logs/stdin", "stdin"]


def test_standard_input_is_not_touched_unless_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-").write_bytes(b"x\n")
    spool, calls = spooling(tmp_path / "spool")
    assert [one.source for one in find_inputs(["./-", Path("-")], stdin=spool).inputs] == ["-"]
    assert calls == []


def test_standard_input_where_there_is_none_is_refused_with_a_hint() -> None:
    with pytest.raises(InputError, match="standard input") as refused:
        find_inputs(["-"])
    assert refused.value.hint


# File lists.


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    for name in ("exports/app/a.log", "exports/app/b.log", "exports/ui.log", "more/c d.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x\n")
    return tmp_path / "exports"


def test_list_names_files_folders_and_globs_below_its_own_folder(exports: Path) -> None:
    text = "\ufeff# what to read\r\n\r\napp\r\n  \n*.log\n../more/c d.log  \n" + str(exports / "app" / "a.log")
    (exports / "list.txt").write_bytes(text.encode())
    found = find_inputs([f"@{exports / 'list.txt'}"])
    assert [one.source for one in found.inputs] == ["a.log", "b.log", "c d.log", "ui.log"]
    assert found.twice == ["a.log"]


def test_list_in_the_working_folder_and_names_on_the_command_line_go_together(
    exports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(exports)
    Path("list.txt").write_text("ui.log\n")
    found = find_inputs(["@list.txt", "app", "ui.log"])
    assert [one.source for one in found.inputs] == ["a.log", "b.log", "ui.log"]
    assert found.twice == ["ui.log"]
    assert find_inputs(["ui.log", "app", "@list.txt"]) == found


def test_folder_of_a_list_is_no_part_of_its_globs(tmp_path: Path) -> None:
    (tmp_path / "day[1]").mkdir()
    (tmp_path / "day[1]" / "a.log").write_bytes(b"x\n")
    (tmp_path / "day[1]" / "list.txt").write_text("*.log\n")
    assert sources(f"@{tmp_path / 'day[1]' / 'list.txt'}") == ["a.log"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("ui.log\n\ngone.log\n", 3, "nothing to read at 'gone.log'"),
        ("ui.log\n*.gz\n", 2, "nothing to read at '*.gz'"),
        ("@other.txt\n", 1, "a list names no further lists"),
        ("# first\n-\n", 2, "standard input cannot stand in a list"),
        ("ui.log\nui\0.log\n", 2, "not a name"),
        ("u\0i\0\n", 1, "not a name"),
        ("ui.log\n" + "x" * 100_000, 2, "not a name"),
        ("# nothing\n\n", None, "the list names nothing"),
    ],
)
def test_line_of_a_list_that_means_nothing_is_refused_by_its_place(
    exports: Path, text: str, line: int | None, words: str
) -> None:
    (exports / "list.txt").write_text(text)
    (exports / "other.txt").write_text("ui.log\n")
    with pytest.raises(InputError) as refused:
        find_inputs([f"@{exports / 'list.txt'}"])
    assert (refused.value.message, refused.value.path, refused.value.line) == (words, str(exports / "list.txt"), line)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("@gone.txt", "cannot read the list: No such file or directory"),
        ("@", "cannot read the list: No such file or directory"),
        ("@-", "a list of names is not read from standard input"),
        ("@app", "a list of names is a file"),
        ("@pipe", "a list of names is a file"),
        ("@a\0b", "cannot read the list: not a name"),
    ],
)
def test_list_that_cannot_be_read_is_refused(
    exports: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    monkeypatch.chdir(exports)
    os.mkfifo("pipe")
    with pytest.raises(InputError, match=words):
        find_inputs([name, "ui.log"])


def test_file_that_is_called_like_a_list_is_that_file(exports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(exports)
    Path("@ui.log").write_bytes(b"app\n")
    Path("list.txt").write_bytes(b"@ui.log\n")
    assert sources("@ui.log") == sources("@list.txt") == sources(Path("@ui.log")) == ["@ui.log"]


def test_name_in_a_list_is_bytes_as_file_names_are(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.log")).write_bytes(b"x\n")
    except (OSError, UnicodeError):
        pytest.skip("this file system refuses such a name")
    (tmp_path / "list.txt").write_bytes(b"caf\xe9.log\n")
    assert sources(f"@{tmp_path / 'list.txt'}") == ["caf\\xe9.log"]


# Where an input lies.


def test_place_is_absolute_and_keeps_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.log").write_bytes(b"x\n")
    (tmp_path / "b.log").symlink_to("a.log")
    monkeypatch.chdir(tmp_path)
    assert [one.place for one in find_inputs(["b.log"]).inputs] == [str(tmp_path / "b.log")]
    assert Input("b.log", Path("b.log")).place == str(tmp_path / "b.log")


def test_names_that_are_equal_as_text_are_numbered_and_show_no_path(tmp_path: Path) -> None:
    """A byte that is no UTF-8, and a name that spells its escape."""
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.log")).write_bytes(b"x\n")
    except (OSError, UnicodeError):
        pytest.skip("this file system refuses such a name")
    (tmp_path / "caf\\xe9.log").write_bytes(b"y\n")
    assert sources(tmp_path) == ["caf\\xe9.log", "caf\\xe9.log~2"]


# A case beside the logs it was made of.


def test_case_inside_a_folder_is_skipped_with_all_that_lies_below_it(tmp_path: Path) -> None:
    for name in ("a.log", "CASE/manifest.json", "CASE/inputs.local.json", "CASE/timeline.md", "CASE/more/b.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"{}\n")
    found = find_inputs([tmp_path])
    assert [one.source for one in found.inputs] == ["a.log"]
    assert found.skipped == [("CASE", "a case, not read")]


def test_case_that_is_named_itself_is_nothing_to_read(tmp_path: Path) -> None:
    (tmp_path / "CASE").mkdir()
    for name in ("manifest.json", "inputs.local.json", "events.parquet"):
        (tmp_path / "CASE" / name).write_bytes(b"{}\n")
    for given in (tmp_path / "CASE", f"{tmp_path}/CASE/", f"{tmp_path}/C*"):
        with pytest.raises(InputError) as refused:
            find_inputs([given])
        assert refused.value.message == f"nothing to read at {str(given)!r}: it is a case"
        assert refused.value.hint
    (tmp_path / "a.log").write_bytes(b"x\n")
    found = find_inputs([f"{tmp_path}/*"])
    assert [one.source for one in found.inputs] == ["a.log"]
    assert found.skipped == [("CASE", "a case, not read")]


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ([".a.log"], "hidden"),
        ([".git/config", ".env"], "hidden"),
        (["CASE/manifest.json", "CASE/inputs.local.json"], "a case"),
        (["app.lock", ".env"], "a lock file or hidden"),
        ([".audit.db", ".audit.db-wal"], "hidden"),
        (["lost+found/a.log"], "kept by the file system"),
    ],
)
def test_folder_of_what_is_skipped_alone_is_nothing_to_read_and_says_why(
    tmp_path: Path, names: list[str], why: str
) -> None:
    logs = tmp_path / "logs"
    for name in names:
        (logs / name).parent.mkdir(parents=True, exist_ok=True)
        (logs / name).write_bytes(b"x\n")
    (tmp_path / "a.log").write_bytes(b"x\n")
    with pytest.raises(InputError) as refused:
        find_inputs([tmp_path / "a.log", logs])
    assert refused.value.message == f"nothing to read at {str(logs)!r}: what lies in it is {why}"
    assert ("hidden" in str(refused.value.hint)) == ("hidden" in why)


def test_folder_with_a_manifest_alone_is_no_case(tmp_path: Path) -> None:
    for name in ("web/manifest.json", "web/ui.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"{}\n")
    assert sources(tmp_path) == ["web/manifest.json", "web/ui.jsonl"]


def test_source_is_text_whatever_bytes_the_file_name_has(tmp_path: Path) -> None:
    """A name of another encoding (Latin-1 on an old share) must not break the tables that hold it."""
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.log")).write_bytes(b"x\n")
    except (OSError, UnicodeError):
        pytest.skip("this file system refuses such a name")
    (source,) = sources(tmp_path)
    assert source.encode("utf-8").startswith(b"caf")
    assert source.endswith(".log")
