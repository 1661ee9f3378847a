"""`annotate` against a real endpoint on this machine: no document lost, nothing asked twice."""

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from benchmarks.annotator_server import FAULTS, Endpoint, score_of
from dataprep.models import annotate, distil
from dataprep.models.annotate import Annotated, annotations_directory
from dataprep.models.annotation_files import HELD_OUT, TRAINING, UNANSWERED, part, rows_of
from dataprep.report.annotator import summary
from launch.errors import UserError
from tests.dataprep.annotated_recipe import make_recipe, recipe_table, write_documents

NUM = 60
KEY = "sk-very-secret-0123456789"


@contextlib.contextmanager
def serving(*faults: str, never: str | None = None, key: str | None = None) -> Iterator[Endpoint]:
    server = Endpoint(faults, never, key)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_documents(tmp_path / "texts", 200)
    return tmp_path


def ask(
    folder: Path,
    server: Endpoint,
    execution: dict[str, Any] | None = None,
    *,
    force: bool = False,
    root: str = "root",
    **annotator: Any,
) -> Annotated:
    asked = {"url": server.url} | (execution or {})
    recipe = make_recipe(folder, {"documents": NUM} | annotator, asked, root=root)
    return annotate.annotate(recipe, force=force)["quality"]


def rows(done: Annotated, folder: Path, name: str, root: str = "root") -> list[dict[str, Any]]:
    return list(rows_of(part(done.manifest, annotations_directory(folder / root, "quality"), name)))


def test_every_document_of_the_sample_is_answered_once(folder: Path) -> None:
    with serving() as server:
        server.delay_seconds = 0.01
        done = ask(folder, server)
        assert (done.num_known, done.num_asked, done.num_requests) == (0, NUM, NUM)
        training, held_out = rows(done, folder, TRAINING), rows(done, folder, HELD_OUT)
        assert len(training) + len(held_out) == NUM and 2 <= len(held_out) <= 25
        assert not rows(done, folder, UNANSWERED)
        assert len({row["content_hash"] for row in training + held_out}) == NUM
        for row in training + held_out:
            assert row["score"] == score_of(row["text"])
            assert row["positive"] == (row["score"] >= 3)
        assert done.manifest.facts["answered"] == NUM
        assert sum(done.manifest.facts["answers"].values()) == NUM
        assert f"{NUM} of {NUM} documents answered" in summary("quality", done.manifest.facts)
        assert 1 < server.counts()["at_once_max"] <= 4
        # Personal data is out before a text is sent.
        assert not any("@" in text for text in server.asked)
        assert any("<EMAIL>" in text for text in server.asked)


def test_a_second_time_nothing_is_asked(folder: Path) -> None:
    with serving() as server:
        first = ask(folder, server)
        assert ask(folder, server).manifest == first.manifest
        again = ask(folder, server, force=True)
        assert (again.num_known, again.num_asked, again.num_requests) == (NUM, 0, 0)
        assert again.manifest.files_digest == first.manifest.files_digest
        assert server.counts()["requests"] == NUM


def test_failures_change_no_label_and_lose_no_document(folder: Path) -> None:
    with serving() as server:
        plain = ask(folder, server)
    with serving(*FAULTS) as server:
        done = ask(
            folder, server, root="other", execution={"read_seconds": 0.2, "malformed_tries": 3}
        )
        seen = server.counts()["seen"]
    assert set(FAULTS) - set(seen) == set() and sum(seen.values()) == done.num_requests > NUM
    assert done.manifest.files_digest == plain.manifest.files_digest
    assert done.manifest.facts["answered"] == NUM


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("malformed", "the pattern finds nothing"),
        ("out_of_range", "a score out of range"),
        ("no_json", "no completion in OpenAI's form"),
        ("long", "an answer that is too long"),
        ("400", "HTTP 400"),
        ("500", "HTTP 500, 3 times"),
        ("reset", "the connection broke off (ServerDisconnectedError), 3 times"),
        ("stall", "no answer in time, 3 times"),
        ("drip", "no answer in time, 3 times"),
    ],
)
def test_what_stays_unanswered_has_its_reason(folder: Path, fault: str, reason: str) -> None:
    brief = {"tries": 3, "total_seconds": 0.4, "read_seconds": 0.2}
    if fault in ("500", "reset", "malformed", "out_of_range", "no_json", "long", "400"):
        brief = {"tries": 3}
    with serving(never=fault) as server:
        done = ask(folder, server, unanswered_share_max=0.3, documents=30, execution=brief)
        unanswered = rows(done, folder, UNANSWERED)
        assert unanswered and {row["reason"] for row in unanswered} == {reason}
        num = len(rows(done, folder, TRAINING) + rows(done, folder, HELD_OUT))
        assert num + len(unanswered) == 30 == done.manifest.facts["documents"]
        assert done.manifest.facts["unanswered"] == {reason: len(unanswered)}
        tries = {"400": 1, "malformed": 2, "out_of_range": 2, "no_json": 2, "long": 2}.get(fault, 3)
        assert server.counts()["seen"][fault] == tries * len(unanswered)


def test_too_many_unanswered_stop_it_and_what_was_answered_stays(folder: Path) -> None:
    with (
        serving(never="500") as server,
        pytest.raises(UserError, match=r"without an answer .*HTTP 500.* share of at most 0.01"),
    ):
        ask(folder, server, unanswered_share_max=0.01, execution={"tries": 1})
    answered = server.counts()["seen"].get("answered", 0)
    with serving() as server:
        done = ask(folder, server, unanswered_share_max=0.01)
    assert done.num_known >= answered - 4 and done.num_known + done.num_asked == NUM


@pytest.mark.parametrize(
    ("path", "key", "message"),
    [
        ("/v2", None, "404.*expected 200"),
        ("/v1", "another-key", r"401 .*wrong key: Bearer <KEY>"),
    ],
)
def test_what_every_text_would_meet_stops_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, path: str, key: str | None, message: str
) -> None:
    monkeypatch.setenv("ENDPOINT_KEY", KEY)
    with serving(key=key) as server:
        url = server.url.replace("/v1", path)
        execution = {"url": url, "key_variable": "ENDPOINT_KEY"}
        with pytest.raises(UserError, match=message) as error:
            ask(folder, server, execution=execution)
        assert "\n" not in error.value.message and KEY not in str(error.value)
        assert server.counts()["requests"] <= 4


def test_redirects_are_not_followed(folder: Path) -> None:
    with serving(never="redirect") as server, pytest.raises(UserError, match="HTTP 302"):
        ask(folder, server)


def test_nobody_there_is_said_soon(folder: Path) -> None:
    with serving() as server:
        pass
    with pytest.raises(UserError, match=r"no answer at all \(no connection, 2 times\)"):
        ask(folder, server, unanswered_share_max=1.0, execution={"tries": 2})


def test_the_key_stands_nowhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENDPOINT_KEY", KEY)
    with serving(key=KEY) as server:
        # It comes back in every answer.
        done = ask(folder, server, execution={"key_variable": "ENDPOINT_KEY"})
    assert done.manifest.facts["answered"] == NUM
    files = [path for path in (folder / "root").rglob("*") if path.is_file()]
    assert files and not [path for path in files if KEY.encode() in path.read_bytes()]
    assert b"As Bearer <KEY> asks" in b"".join(path.read_bytes() for path in files)
    told = capfd.readouterr()
    assert KEY not in told.out + told.err
    monkeypatch.delenv("ENDPOINT_KEY")
    with pytest.raises(UserError, match="got nothing in the environment variable ENDPOINT_KEY"):
        ask(folder, server, force=True, execution={"key_variable": "ENDPOINT_KEY"})


def test_another_prompt_asks_again_and_another_reading_does_not(folder: Path) -> None:
    with serving() as server:
        ask(folder, server)
        stricter = ask(folder, server, positive_min=4.0)
        assert stricter.num_requests == 0
        assert all(
            row["positive"] == (row["score"] >= 4) for row in rows(stricter, folder, TRAINING)
        )
        prompt = "Another question.\n<<<\n{text}\n>>>"
        assert ask(folder, server, prompt=prompt).num_requests == NUM
        assert ask(folder, server, model="newer").num_requests == NUM
        assert ask(folder, server).num_requests == 0


def test_a_larger_sample_holds_the_smaller_one(folder: Path) -> None:
    with serving() as server:
        small = ask(folder, server, documents=25)
        large = ask(folder, server, documents=NUM)
    assert (large.num_known, large.num_asked) == (25, NUM - 25)
    assert {row["id"] for row in rows(large, folder, TRAINING)} >= {
        row["id"] for row in rows(small, folder, TRAINING)
    }


def test_the_sample_does_not_depend_on_files(folder: Path) -> None:
    with serving() as server:
        two = ask(folder, server)
        for path in (folder / "texts").iterdir():
            path.unlink()
        write_documents(folder / "texts", 200, num_files=5)
        five = ask(folder, server)
    assert five.num_requests == 0 and five.manifest.inputs != two.manifest.inputs
    assert five.manifest.files_digest == two.manifest.files_digest


def test_dry_run_says_what_it_would_take_and_asks_nobody(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving() as server:
        ask(folder, server, documents=20)
        before = sorted(folder.rglob("*"))
        recipe = make_recipe(folder, {"documents": NUM}, {"url": server.url})
        annotate.print_plan(recipe)
        assert server.counts()["requests"] == 20
    told = capsys.readouterr().out
    assert "20 of them are known" in told and f"requests   {NUM - 20}," in told
    assert "characters, about" in told and "at most 10,240 tokens" in told
    assert sorted(folder.rglob("*")) == before


def test_texts_that_begin_alike_are_asked_about_once(folder: Path) -> None:
    rows = [{"id": f"{n}", "text": f"The same beginning of all of them. {n}"} for n in range(9)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "texts" / "0.jsonl").write_text(lines)
    (folder / "texts" / "1.jsonl").write_text("")
    with serving() as server:
        done = ask(folder, server, characters_max=20)
    assert done.num_requests == 1 and done.manifest.facts["answered"] == 9


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_from_there(folder: Path) -> None:
    with serving() as server:
        plain = ask(folder, server, root="plain")
        before = server.counts()["requests"]
        table = recipe_table(folder, {"documents": NUM}, {"url": server.url})
        (folder / "recipe.toml").write_text(tomli_w.dumps(table))
        command = [sys.executable, "-m", "dataprep", "annotate", str(folder / "recipe.toml")]
        server.delay_seconds = 0.05
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while server.counts()["requests"] < before + 15 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        asked = server.counts()["requests"] - before
        server.delay_seconds = 0.0
        done = ask(folder, server)
    assert 15 <= asked < NUM
    # Lost at most what was on its way.
    assert done.num_known >= asked - 4 and done.num_requests == NUM - done.num_known
    assert done.manifest.files_digest == plain.manifest.files_digest


def test_who_else_annotates_is_named(folder: Path) -> None:
    from launch.errors import LockedError
    from launch.lock import lock

    with (
        lock(annotations_directory(folder / "root", "quality")),
        serving() as server,
        pytest.raises(LockedError),
    ):
        ask(folder, server)


def test_a_recipe_without_annotator_is_refused(folder: Path) -> None:
    recipe = make_recipe(folder, {}, {})
    bare = recipe.dataprep.model_copy(update={"quality": None})
    with pytest.raises(UserError, match="expected an annotator"):
        annotate.annotate(type(recipe).from_dict({**recipe.to_dict(), "dataprep": {}}))
    assert bare.quality is None
    with pytest.raises(UserError, match=r"no answers in .*expected those of an annotator") as error:
        distil.classifier_tables(recipe)
    assert "gristmill dataprep annotate" in error.value.hint
