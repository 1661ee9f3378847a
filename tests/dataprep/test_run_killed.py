"""SIGKILL of the driver or of a worker, then the same command: the files are the same."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from pydoc_data.topics import topics

import orjson
import psutil
import pytest

from dataprep.__main__ import app
from dataprep.run import run
from launch.cli import main
from launch.errors import LockedError
from launch.manifest import Manifest, read_manifest
from launch.recipe import load_recipe

RECIPE = """
[run]
root = "{root}"
[execution]
workers = 2
[[sources]]
name = "topics"
kind = "jsonl"
paths = ["{folder}/*.jsonl"]
[dataprep]
valid_fraction = 0.1
[dataprep.near_duplicates]
partitions = 3
[dataprep.thresholds.gopher]
alphabetic_words_low = 0.5   # these documents are full of signs
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six shards of real English, every document twice but for its end."""
    folder = tmp_path_factory.mktemp("corpus")
    texts = [text[:6000] for _, text in sorted(topics.items())]
    texts += [text + " And so it goes." for text in texts]
    for shard in range(6):
        lines = (orjson.dumps({"text": text}) for text in texts[shard::6])
        (folder / f"{shard}.jsonl").write_bytes(b"\n".join(lines))
    return folder


def write_recipe(root: Path, folder: Path) -> Path:
    root.mkdir(exist_ok=True)
    path = root / "recipe.toml"
    path.write_text(RECIPE.format(root=root, folder=folder))
    return path


@pytest.fixture(scope="module")
def undisturbed(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, ray_session: object
) -> Manifest:
    manifest = run(load_recipe(write_recipe(tmp_path_factory.mktemp("undisturbed"), folder)))
    assert manifest is not None and manifest.facts["duplicates"]["near"] > 50
    return manifest


def start(recipe: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "dataprep", "run", str(recipe)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def wait_for(process: "subprocess.Popen[bytes]", documents: Path, pattern: str) -> None:
    """Wait until a finished piece of that name lies in the working directory."""
    while not list(documents.glob(f"work/*/{pattern}")):
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.002)


@pytest.mark.slow
def test_a_killed_driver_goes_on_where_it_was(
    folder: Path, tmp_path: Path, undisturbed: Manifest, ray_session: object
) -> None:
    recipe = write_recipe(tmp_path / "root", folder)
    documents = tmp_path / "root" / "documents"
    driver = start(recipe)
    wait_for(driver, documents, "counts/*.json")
    with pytest.raises(LockedError, match=f"process {driver.pid}"):
        run(load_recipe(recipe))
    children = [
        (child.name(), child) for child in psutil.Process(driver.pid).children(recursive=True)
    ]
    assert len(children) > 3
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    assert not (documents / "manifest.json").exists()
    # Ray's two agents wait about a minute for the dead session to answer; they touch no data.
    workers = [child for name, child in children if not name.endswith("Agent")]
    assert psutil.wait_procs(workers, timeout=30)[1] == []
    finished = {path: path.stat().st_mtime_ns for path in documents.glob("work/*/counts/*.json")}
    manifest = run(load_recipe(recipe))
    assert manifest is not None
    assert manifest.files_digest == undisturbed.files_digest
    assert finished, "the kill came before the first piece"


def test_the_command_explains_a_document_and_refuses_a_wrong_recipe_in_one_line(
    undisturbed: Manifest, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    recipe = write_recipe(root, folder)
    with pytest.raises(SystemExit) as stop:
        main(app, ["run", str(recipe), "sources.0.paths=['nowhere/*.jsonl']"])
    message = capsys.readouterr().err
    assert stop.value.code == 2
    assert message.startswith("error: sources.topics.paths: got no file for 'nowhere/*.jsonl'")
    assert not (root / "documents" / "manifest.json").exists()
    with pytest.raises(SystemExit) as stop:
        main(app, ["run", str(recipe)])
    assert stop.value.code == 0
    with pytest.raises(SystemExit) as stop:
        main(app, ["explain", str(recipe), "topics:0.jsonl#0"])
    assert stop.value.code == 0
    assert "topics:0.jsonl#0" in capsys.readouterr().out


def test_a_killed_worker_is_replaced(
    folder: Path, tmp_path: Path, undisturbed: Manifest, ray_session: object
) -> None:
    recipe = write_recipe(tmp_path / "root", folder)
    killed: list[int] = []
    over = threading.Event()

    def kill_one() -> None:
        # Only workers of this process's own Ray session: others may run on the machine.
        while not killed and not over.is_set():
            for process in psutil.Process().children(recursive=True):
                try:
                    if "process_shard" in " ".join(process.cmdline()):
                        process.kill()
                        killed.append(process.pid)
                        return
                except psutil.NoSuchProcess:
                    continue

    hunter = threading.Thread(target=kill_one)
    hunter.start()
    try:
        run(load_recipe(recipe))
    finally:
        over.set()
        hunter.join()
    assert killed, "no worker was seen at work"
    manifest = read_manifest(tmp_path / "root" / "documents", "documents", 1)
    assert manifest.files_digest == undisturbed.files_digest
