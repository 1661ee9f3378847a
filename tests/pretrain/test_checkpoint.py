"""Checkpoints of real ranks: the same state gives the same files, only whole ones are loaded."""

import itertools
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launch.manifest import read_manifest
from launch.recipe import Recipe
from pretrain.saving import checkpoint_files as files
from tests.pretrain.test_checkpoint_files import change

MakeRecipe = Callable[..., Recipe]
LAYOUTS: dict[str, dict[str, Any]] = {
    "one": {},
    "tensor": {"tensor": 2},
    "pipeline": {"pipeline": 2},
    "data": {"data": 2},
    "tensor-pipeline": {"tensor": 2, "pipeline": 2},
}
RELATIVE = 1e-5


class Ranks:
    """Hands steps to the ranks of a layout."""

    def __init__(self, pool: Any, make: MakeRecipe, directory: Path) -> None:
        self._pool, self._make, self._directory = pool, make, directory

    def recipe(self, layout: str) -> Recipe:
        return self._make(parallel=LAYOUTS[layout], training={"lr_peak": 3e-3})

    def __call__(self, layout: str, *steps: dict[str, Any]) -> Any:
        answer = self._pool(
            self.recipe(layout), self._directory / "work",
            steps=[{k: str(v) if isinstance(v, Path) else v for k, v in s.items()} for s in steps],
        )  # fmt: skip
        return answer["ok"]["answers"] if "ok" in answer else answer


@pytest.fixture
def ranks(layouts: Any, make_recipe: MakeRecipe, tmp_path: Path) -> Ranks:
    return Ranks(layouts, make_recipe, tmp_path)


def do(name: str, /, **options: Any) -> dict[str, Any]:
    return {"do": name, **options}


def whole(directory: Path) -> Path:
    """The checkpoint that `latest` names, every digest compared."""
    name = files.latest(directory)
    assert name is not None
    checkpoint = directory / name
    assert files.broken(checkpoint, files.read(checkpoint).files) == []
    return checkpoint


@pytest.mark.parametrize("layout", ["one", "data"])
def test_the_same_state_gives_the_same_files_also_beside_training(
    ranks: Ranks, tmp_path: Path, layout: str
) -> None:
    now, again, beside = tmp_path / "now", tmp_path / "again", tmp_path / "beside"
    answers = ranks(
        layout, do("train", iterations=2), do("save", directory=now),
        do("save", directory=beside, asynchronous=True, finish=False),
        do("train", iterations=3, poll=True), do("finish"), do("draw"),
        # The plan of the first saves serves the third one and all after it.
        do("load", directory=now), *[do("save", directory=again, again=n > 0) for n in range(4)],
    )  # fmt: skip
    trained, finished = answers[3], answers[4]
    assert trained["saved"] + finished == [2], "named once, by poll or by finish"
    texts = {(whole(each) / "manifest.json").read_bytes() for each in (now, again, beside)}
    assert len(texts) == 1


def test_a_kill_beside_a_save_leaves_the_checkpoint_before(ranks: Ranks, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    ranks(
        "data", do("train", iterations=1), do("save", directory=saved),
        do("train", iterations=1), do("save", directory=saved, asynchronous=True, finish=False),
    )  # fmt: skip
    # Nobody asks whether the second one is written: as if all had been killed here.
    assert files.latest(saved) == "iteration-00000001"
    assert (saved / ".iteration-00000002.tmp").is_dir()
    loaded, *_ = ranks("data", do("load", directory=saved), do("train", iterations=1),
                       do("save", directory=saved))  # fmt: skip
    assert loaded["iteration"] == 1
    assert whole(saved).name == "iteration-00000002"
    assert not list(saved.glob(".*"))


def test_one_save_at_a_time_and_the_newest_are_kept(ranks: Ranks, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    options = {"asynchronous": True, "keep": 1, "permanent": 2, "finish": False}
    steps = [
        (do("train", iterations=1), do("save", directory=saved, again=n > 0, **options))
        for n in range(4)
    ]
    ranks("one", *itertools.chain(*steps), do("finish"))
    assert list(files.checkpoints_in(saved)) == [2, 4]
    assert whole(saved).name == "iteration-00000004"


def test_the_loops_state_comes_back_as_it_was(ranks: Ranks, tmp_path: Path) -> None:
    state = {"window": [0.1, 1e-300, 3.0], "skipped": {"7": None}, "spikes": 2, "text": "é"}
    saved = tmp_path / "saved"
    ranks("one", do("train", iterations=1), do("save", directory=saved, state=state, tensor=True))
    for layout in ("one", "data"):
        (loaded,) = ranks(layout, do("load", directory=saved))
        assert loaded == {"iteration": 1, "state": {**state, "a tensor": [0.0, 1.0, 2.0]}}
    assert json.loads((whole(saved) / "state.json").read_text()) == state


def test_random_generators_go_on_in_the_same_layout_and_anew_in_another(
    ranks: Ranks, tmp_path: Path
) -> None:
    saved = tmp_path / "saved"
    start = ranks("data", do("draw"))[0]
    *_, drawn = ranks(
        "data", do("spread"), do("draw"), do("train", iterations=1), do("save", directory=saved),
        do("draw"),
    )  # fmt: skip
    assert drawn[0] != drawn[1], "ranks that differ"
    assert ranks("data", do("load", directory=saved), do("draw"))[1] == drawn
    for layout in ("tensor", "one"):
        first, second = (ranks(layout, do("load", directory=saved), do("draw"))[1] for _ in "ab")
        assert first == second
        assert all(rank == first[0] for rank in first), "all ranks alike, as at a run's start"
        assert first[0] not in (start[0], drawn[0], drawn[1])


def test_every_file_is_compared_before_anything_is_loaded(ranks: Ranks, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    ranks("data", do("train", iterations=1), do("save", directory=saved))
    checkpoint = whole(saved)
    names = sorted(path.name for path in checkpoint.iterdir())
    assert len(names) >= 6
    for name in names:
        content = (checkpoint / name).read_bytes()
        flipped = bytearray(content)
        flipped[len(content) // 2] ^= 4
        (checkpoint / name).write_bytes(flipped)
        answer = ranks("data", do("load", directory=saved))
        assert answer["error"] == "UserError", name
        assert name in answer["message"]
        (checkpoint / name).write_bytes(content)
    assert ranks("data", do("load", directory=saved))[0]["iteration"] == 1


def test_a_checkpoint_of_another_run_is_refused(ranks: Ranks, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    ranks("one", do("train", iterations=1), do("save", directory=saved, digest="another"))
    answer = ranks("one", do("load", directory=saved, digest="a run"))
    assert "a checkpoint of another run" in answer["message"]
    assert ranks("one", do("load", directory=saved, digest="another"))[0]["iteration"] == 1


class Hostile:
    """Makes a directory when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (Path(self._path),)


def test_metadata_that_would_execute_something_is_refused_unread(
    ranks: Ranks, tmp_path: Path
) -> None:
    # The digests fit: whoever can write the files can write the manifest.
    saved, made = tmp_path / "saved", tmp_path / "made"
    ranks("one", do("train", iterations=1), do("save", directory=saved))
    checkpoint = whole(saved)
    content = (checkpoint / ".metadata").read_bytes()

    def forge(new: bytes) -> Any:
        (checkpoint / ".metadata").write_bytes(new)
        entry = files.FileEntry(
            ".metadata", None, len(new), files.digest_file(checkpoint / ".metadata")
        )
        change(checkpoint, lambda document: document["files"].__setitem__(0, vars(entry)))
        assert read_manifest(checkpoint, files.KIND, files.VERSION).files[0] == entry
        return ranks("one", do("load", directory=saved))

    assert "it names pathlib.Path.mkdir" in forge(pickle.dumps(Hostile(made)))["message"]
    outside = content.replace(b"__0_0.distcp", b"../../x.dist", 1)
    assert outside != content
    assert "tensors in '../../x.dist'" in forge(outside)["message"]
    assert "something else" in forge(content[: len(content) // 2])["message"]
    assert forge(content)[0]["iteration"] == 1
    assert not made.exists()


def test_an_object_that_would_execute_something_is_refused(ranks: Ranks, tmp_path: Path) -> None:
    saved, made = tmp_path / "saved", tmp_path / "made"
    ranks("data", do("plant", path=made), do("save", directory=saved), do("unplant"))
    answer = ranks("data", do("load", directory=saved))
    assert answer["error"] == "UserError"
    assert "an object that would execute something" in answer["message"]
    assert not made.exists()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_full_disk_ends_the_run_and_leaves_the_last_checkpoint_whole(
    ranks: Ranks, tmp_path: Path, asynchronous: bool
) -> None:
    saved = tmp_path / "saved"
    ranks("data", do("train", iterations=1), do("save", directory=saved))
    # Of the two ranks' files only the second one, or none, would fit.
    sizes = sorted(p.stat().st_size for p in whole(saved).glob("*.distcp"))
    for size in (sizes[0] // 2, sizes[1] - 1, 100):
        answer = ranks(
            "data", do("load", directory=saved), do("train", iterations=1),
            do("save", directory=saved, asynchronous=asynchronous, file_bytes_max=size),
        )  # fmt: skip
        assert answer["error"] == "UserError"
        assert "got no space left" in answer["message"]
        assert whole(saved).name == "iteration-00000001"
        assert sorted(p.name for p in saved.iterdir()) == ["iteration-00000001", "latest"]
    loaded, _, _ = ranks(
        "data", do("load", directory=saved), do("train", iterations=1), do("save", directory=saved)
    )
    assert loaded["iteration"] == 1
    assert whole(saved).name == "iteration-00000002"


def test_a_run_may_go_back_to_an_older_checkpoint(ranks: Ranks, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    ranks(
        "one", do("train", iterations=3), do("save", directory=saved, keep=3),
        do("train", iterations=3), do("save", directory=saved, keep=3),
    )  # fmt: skip
    loaded, _ = ranks("one", do("load", directory=saved, name="iteration-00000003"), do("digest"))
    assert loaded["iteration"] == 3
    assert files.latest(saved) == "iteration-00000003"
    answer = ranks("one", do("load", directory=saved, name="iteration-00000004"))
    assert "expected a checkpoint of" in answer["message"]


@pytest.mark.parametrize("layout", ["one", "data"])
def test_initial_weights_are_a_checkpoint_that_any_layout_begins_from(
    ranks: Ranks, tmp_path: Path, layout: str
) -> None:
    seed = tmp_path / "seed"
    ranks("tensor", do("save", directory=seed))
    loaded, trained = ranks(layout, do("load", directory=seed), do("train", iterations=2))
    (alone,) = ranks(layout, do("train", iterations=2))
    assert loaded["iteration"] == 0
    assert trained == alone


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("data", "tensor"),
        *[
            pytest.param(*pair, marks=pytest.mark.slow)
            for pair in (("data", "data"), ("tensor-pipeline", "data"), ("one", "tensor-pipeline"))
        ],
    ],
)
def test_losses_and_samples_go_on_under_another_layout(
    ranks: Ranks, tmp_path: Path, written: str, read: str
) -> None:
    saved = tmp_path / "saved"
    *_, went_on = ranks(
        written, do("train", iterations=5), do("save", directory=saved), do("train", iterations=5)
    )
    loaded, then = ranks(read, do("load", directory=saved), do("train", iterations=5))
    assert loaded["iteration"] == 5
    assert (
        then["samples"] == went_on["samples"] == [[*range(n * 8, n * 8 + 8)] for n in range(5, 10)]
    )
    tolerance = 0.0 if written == read else RELATIVE
    for ours, theirs in zip(then["losses"], went_on["losses"], strict=True):
        assert abs(ours - theirs) <= tolerance * abs(theirs)


def test_the_weights_alone_are_loaded_by_any_layout(ranks: Ranks, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    *_, digest = ranks("one", do("train", iterations=3), do("save", directory=saved), do("digest"))
    assert ranks("one", do("weights", directory=saved), do("digest")) == [3, digest]
    weights, ours = ranks("data", do("weights", directory=saved), do("digest"))
    assert (weights, set(ours.split())) == (3, {digest})
    shutil.rmtree(saved)
    assert "no checkpoint" in ranks("one", do("weights", directory=saved))["message"]
