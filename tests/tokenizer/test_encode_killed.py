"""SIGKILL to real processes while Ray encodes, driver, then worker: the result is the same."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest

from tokenizer import encode, train

pytestmark = pytest.mark.slow


def start(recipe_path, repository):
    command = [sys.executable, "-m", "tokenizer", "encode", str(recipe_path)]
    return subprocess.Popen(command, cwd=repository, stderr=subprocess.PIPE, text=True)


def wait_for(condition, seconds=60):
    limit = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.005)
    return found


def encoding_workers(driver):
    """Ray's workers that are inside the task; they rename themselves after it."""
    found = []
    for process in psutil.Process(driver.pid).children(recursive=True):
        try:
            if "ray::encode_part" in " ".join(process.cmdline()):
                found.append(process.pid)
        except psutil.NoSuchProcess:
            continue
    return found


def test_driver_and_worker_may_be_killed(corpus, laboratory, tmp_path, repository, ray_session):
    texts = [
        laboratory.text(f"{text.id}-{copy}", f"copy {copy}\n{text.text}", text.source)
        for copy in range(12)
        for text in corpus
    ]
    parts = {"train": laboratory.dealt(texts[50:], 10), "valid": [texts[:50]]}
    laboratory.write_documents(tmp_path / "documents", parts)
    recipe = laboratory.recipe(tmp_path, encode={"batch_bytes": 1 << 10})
    train.run(recipe)
    recipe_path = tmp_path / "recipe.toml"
    recipe_path.write_text(recipe.to_toml(), encoding="utf-8")
    work = recipe.tokens / "work"

    driver = start(recipe_path, repository)
    wait_for(lambda: len(list(work.rglob("*.json"))) >= 2)
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()
    assert not (recipe.tokens / "manifest.json").exists()
    finished = len(list(work.rglob("*.json")))
    assert 2 <= finished < 11

    driver = start(recipe_path, repository)
    worker = wait_for(lambda: encoding_workers(driver))[0]
    os.kill(worker, signal.SIGKILL)
    _, messages = driver.communicate(timeout=120)
    assert driver.returncode == 0, messages
    assert "shards were finished before" in messages

    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    for name in ("documents", "tokenizer"):
        (undisturbed / name).symlink_to(tmp_path / name)
    other = replace(recipe, run=recipe.run.model_copy(update={"root": undisturbed}))
    assert encode.run(other).files == encode.run(recipe).files
