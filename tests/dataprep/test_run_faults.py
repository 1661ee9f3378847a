"""What becomes of a run when the machine fails under it: killed processes, full disks, damage."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics

import orjson
import psutil
import pytest

from dataprep.run import run
from launch.errors import UserError
from launch.manifest import Manifest, read_manifest
from launch.recipe import load_recipe

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

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
signals = false
languages = []
presets = []
valid_fraction = 0.1
near_duplicates.partitions = 4
spans.units = ["paragraph"]
substrings.enabled = true
"""
# Start after start: who is killed as soon as a piece of that name lies in the working directory.
# The loss of a worker is mended by Ray within the same start; every other ends it.
STARTS = [
    [("worker", "staged/*"), ("driver", "counts/*")],
    [("worker", "counts/*"), ("raylet", "exact/*")],
    [("driver", "links/*")],
    [("worker", "links/*"), ("gcs", "candidates*")],
    [("driver", "shingles/*")],
    [("worker", "shingles/*"), ("driver", "verified/*")],
    [("raylet", "decisions*")],
    [("worker", "decisions*"), ("driver", "written/*")],
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six shards of real English, every document twice but for its end, many times over."""
    folder = tmp_path_factory.mktemp("corpus")
    texts = [text[:6000] for _, text in sorted(topics.items())]
    texts += [f"{text} And so it goes." for text in texts]
    texts += [f"{text[::-1]} {number}" for number in range(8) for text in texts]
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
def undisturbed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    manifest = run(load_recipe(write_recipe(tmp_path_factory.mktemp("undisturbed"), folder)))
    assert manifest is not None and manifest.facts["duplicates"]["near"] > 50
    return manifest


def start(recipe: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "dataprep", "run", str(recipe)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def is_victim(kind: str, process: psutil.Process, driver: int) -> bool:
    if kind == "driver":
        return process.pid == driver
    try:
        line = process.cmdline()
    except psutil.Error:
        return False
    first = line[0] if line else ""
    if kind == "worker":
        return first.startswith("ray::") and "IDLE" not in first
    return first.endswith("raylet/raylet" if kind == "raylet" else "gcs_server")


def kill(driver: "subprocess.Popen[bytes]", kind: str, documents: Path, piece: str) -> bool:
    """Kill one such process when the piece is there; False if the command ended before."""
    while driver.poll() is None:
        if any(documents.glob(f"work/*/{piece}")):
            with contextlib.suppress(psutil.NoSuchProcess):
                family = [psutil.Process(driver.pid)]
                family += family[0].children(recursive=True)
                victims = [one for one in family if is_victim(kind, one, driver.pid)]
                if victims:
                    victims[-1].send_signal(signal.SIGKILL)
                    return True
        time.sleep(0.005)
    return False


def test_whoever_is_killed_in_whatever_phase_the_next_start_goes_on(
    folder: Path, tmp_path: Path, undisturbed: Manifest
) -> None:
    recipe = write_recipe(tmp_path / "root", folder)
    documents = tmp_path / "root" / "documents"
    landed = 0
    for kills in STARTS:
        driver = start(recipe)
        for kind, piece in kills:
            landed += kill(driver, kind, documents, piece)
        told = driver.communicate()[1].decode()
        if driver.returncode == 0:
            break  # the last kill came after the end
        # Killed itself, one line of ours (5), or Ray's own end of a driver without a head (1).
        assert driver.returncode in (-signal.SIGKILL, 5, 1), told
        assert driver.returncode == 1 or "Traceback" not in told, told
    assert landed >= 8, "too few of the kills came in time to mean anything"
    manifest = run(load_recipe(recipe))
    assert manifest is not None
    assert manifest.files_digest == undisturbed.files_digest
    assert manifest.facts == undisturbed.facts
    assert not (documents / "work").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB; skips where one may not be mounted."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)]
    if os.getuid() != 0 or subprocess.run(command, check=False).returncode:
        pytest.skip("a file system of its own cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_is_one_line_and_the_next_start_goes_on(
    folder: Path, small_disk: Path, undisturbed: Manifest
) -> None:
    recipe = write_recipe(small_disk / "root", folder)
    filler = small_disk / "filler"
    # From almost nothing to almost enough, so that different writes are the one that fails.
    refused = 0
    for megabytes in (11, 8, 4):
        filler.write_bytes(bytes(megabytes * 2**20))
        done = subprocess.run(
            [sys.executable, "-m", "dataprep", "run", str(recipe)], capture_output=True, check=False
        )
        told = done.stderr.decode()
        if done.returncode == 0:
            break
        refused += 1
        assert done.returncode == 2, told
        assert "error: disk: got no space left" in told and "Traceback" not in told, told
        assert not (small_disk / "root" / "documents" / "manifest.json").exists()
    assert refused >= 2
    filler.unlink()
    manifest = run(load_recipe(recipe))
    assert manifest is not None and manifest.files_digest == undisturbed.files_digest


@pytest.mark.parametrize(
    ("piece", "damage"),
    [("bands/*", "flipped"), ("texts/*", "cut"), ("staged/*", "flipped"), ("shingles/*", "cut")],
)
def test_a_damaged_piece_stops_the_run_by_name(
    piece: str, damage: str, folder: Path, tmp_path: Path, undisturbed: Manifest
) -> None:
    recipe = write_recipe(tmp_path / "root", folder)
    documents = tmp_path / "root" / "documents"
    driver = start(recipe)
    assert kill(driver, "driver", documents, "verified/*" if "shingles" in piece else "exact/*")
    driver.communicate()
    path = sorted(documents.glob(f"work/*/{piece}"))[0]
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 3] ^= 0x10
    else:
        del content[len(content) // 2 :]
    path.write_bytes(content)
    for later in ("links", "candidates*", "verified", "decisions*"):
        for made in documents.glob(f"work/*/{later}/*"):
            made.unlink()
    with pytest.raises(UserError, match=path.name) as refused:
        run(load_recipe(recipe))
    assert refused.value.hint
    assert not (documents / "manifest.json").exists()
    path.unlink()
    # The piece's own mark, so that it is made again; the error's hint says what to remove.
    for mark in documents.glob(f"work/*/counts/{path.stem}.json"):
        mark.unlink()
    manifest = run(load_recipe(recipe))
    assert manifest is not None and manifest.files_digest == undisturbed.files_digest
    assert read_manifest(documents, "documents", 1).facts == undisturbed.facts
