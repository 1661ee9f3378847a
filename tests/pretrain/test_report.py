"""The page of curves: self-contained, small however long the run, honest about extremes, and
harmless whatever a run or a source is called."""

import base64
import hashlib
import math
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launch.errors import UserError
from launch.recipe import Recipe
from pretrain.contract import read_metrics
from pretrain.view.course import read_course
from pretrain.view.downsample import extremes, means
from pretrain.view.report import write_report
from pretrain.view.report_curves import Drawn
from pretrain.view.report_page import render
from tests.pretrain.made_up import (
    HOSTILE,
    SPIKE,
    course,
    long_run,
    result,
    train,
    write_events,
    write_run,
)

MakeRecipe = Callable[..., Recipe]


class Page(HTMLParser):
    """Every element with its attributes, and the text outside of style and script."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attributes}))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("style", "script"):
            self.words.append(data)

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


points = st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=200)


@given(points, st.integers(1, 12), st.randoms())
def test_downsampling_keeps_the_extremes_the_ends_and_the_order(
    values: list[float], buckets: int, random: Any
) -> None:
    y = np.array(values)
    x = np.cumsum([random.random() + 0.01 for _ in values])
    edges = np.linspace(x[0], x[-1] + 1e-9, buckets + 1)[1:-1]
    kept = extremes(x, y, edges)
    there = np.flatnonzero(~np.isnan(y))
    assert (np.diff(kept) > 0).all()
    assert set(kept) <= set(there)
    assert len(kept) <= 2 * buckets + 2
    if len(there):
        assert {there[0], there[-1]} <= set(kept)
        interval = np.searchsorted(edges, x, side="right")
        for each in set(interval[there]):
            inside = y[there][interval[there] == each]
            drawn = y[kept][interval[kept] == each]
            assert (drawn.min(), drawn.max()) == (inside.min(), inside.max())
    assert (extremes(x[kept], y[kept], edges) == np.arange(len(kept))).all(), "twice is as once"


@given(points, st.integers(1, 12))
def test_means_lie_within_the_extremes_and_weigh_every_point(
    values: list[float], buckets: int
) -> None:
    y = np.array(values)
    x = np.arange(len(y), dtype=np.float64)
    edges = np.linspace(0, len(y), buckets + 1)[1:-1]
    mean_x, mean_y = means(x, y, edges)
    there = ~np.isnan(y)
    if there.any():
        slack = 1e-9 * np.abs(y[there]).max() + 1e-300
        assert mean_y.min() >= y[there].min() - slack
        assert mean_y.max() <= y[there].max() + slack
        sizes = np.unique(np.searchsorted(edges, x[there], side="right"), return_counts=True)[1]
        assert (mean_y * sizes).sum() == pytest.approx(y[there].sum(), rel=1e-9, abs=1e-6)
        assert (mean_x * sizes).sum() == pytest.approx(x[there].sum())


def test_a_rewind_takes_back_the_points_beyond_it() -> None:
    found = course(
        *(train(i, float(i)) for i in range(1, 9)), SPIKE,
        {"event": "rewind", "iteration": 8, "to_iteration": 4},
        *(train(i, i + 0.5) for i in range(9, 11)),
    ).curve("train", "loss")  # fmt: skip
    assert list(zip(found.x, found.y, strict=True)) == [
        (1, 1), (2, 2), (3, 3), (4, 4), (9, 9.5), (10, 10.5),
    ]  # fmt: skip


def test_the_page_loads_nothing_and_allows_its_own_script_alone() -> None:
    page = Page(render([Drawn(result(), long_run(300))]))
    addresses = [
        value for _, attributes in page.elements for key, value in attributes.items()
        if key in ("src", "href", "data", "action", "xlink:href", "srcset") and value[0] != "#"
    ]  # fmt: skip
    assert addresses == []
    assert "url(" not in Path("pretrain/view/report.css").read_text()
    policy = page.of("meta")[1]["content"]
    assert policy.startswith("default-src 'none'")
    script = Path("pretrain/view/report.js").read_bytes()
    assert base64.b64encode(hashlib.sha256(script).digest()).decode() in policy
    assert len(page.of("script")) == 1
    assert not [a for _, each in page.elements for a in each if a.startswith("on")]


def test_names_are_text_whatever_they_are() -> None:
    events = [
        train(1), {**SPIKE, "kind": HOSTILE, "iteration": 1},
        {"event": "stage", "iteration": 1, "stage": HOSTILE, "sequence_length": 8,
         "first_sample": 1},
        {"event": "train_source", "iteration": 1, "source": HOSTILE, "loss": 2.0, "tokens": 4},
        {"event": "start", "iteration": 0, "name": HOSTILE, "parameters_total": 1, "world_size": 1,
         "threads": 1, "device": HOSTILE, "precision": HOSTILE},
    ]  # fmt: skip
    runs = [Drawn(result(HOSTILE), course(*events)), Drawn(result("other"), course(*events))]
    text = render(runs)
    page = Page(text)
    assert len(page.of("script")) == 1
    assert page.of("img") == []
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert any("</script><script>" in words for words in page.words), "it is shown, as text"


@pytest.mark.parametrize(
    "events",
    [[], [train(1)], [train(i, None) for i in range(1, 4)], [SPIKE], [train(1, 0.0), train(2, 0.0)],
     [{"event": "rewind", "iteration": 3, "to_iteration": 0}, train(4)],
     [train(i, 1.0, norm=0.0) for i in range(1, 400)]],
)  # fmt: skip
def test_a_page_of_little_is_a_page(events: list[dict[str, Any]]) -> None:
    page = render([Drawn(result(), course(*events))])
    numbers = re.findall(r'(?:points|x1|y1|x|y|width|height|cx|cy)="([^"]*)"', page)
    assert not [text for text in numbers if "nan" in text or "inf" in text]


def test_the_page_stays_small_and_shows_the_extremes() -> None:
    short, long = long_run(2_000), long_run(20_000)
    sizes = [len(render([Drawn(result(), each)])) for each in (short, long)]
    assert sizes[1] < 1.2 * sizes[0] < 300_000
    page = Page(render([Drawn(result(), long)]))
    norms = long.curve("train", "gradient_norm").y
    (chart,) = [c for c in page.of("svg")
                if c.get("aria-label", "").startswith("Gradient norm")
                and "linear" in c["class"]]  # fmt: skip
    low, high, start, end, kind = chart["data-y"].split()
    assert kind == "log"
    index = page.elements.index(("svg", chart))
    lines = [each for tag, each in page.elements[index:] if tag == "polyline"]
    places = [float(pair.split(",")[1]) for pair in lines[0]["points"].split()]
    share = (np.array(places) - float(start)) / (float(end) - float(start))
    values = float(low) * (float(high) / float(low)) ** share
    assert values.min() == pytest.approx(norms.min(), rel=0.02)
    assert values.max() == pytest.approx(norms.max(), rel=0.02)


def test_runs_of_other_batches_are_compared_by_tokens() -> None:
    runs = [Drawn(result("a"), long_run(300)), Drawn(result("b", batch_size=16), long_run(300))]
    page = render(runs)
    assert "<legend>Tokens</legend>" in page
    assert 'data-unit="iterations"' not in page
    assert '<tr class="differs"><th scope="row">batch</th>' in page
    same = render([runs[0], Drawn(result("c"), long_run(300))])
    assert "<legend>Iterations</legend>" in same
    assert '<tr><th scope="row">batch</th>' in same


def test_every_chart_can_be_read_without_seeing_it() -> None:
    page = Page(render([Drawn(result(), long_run(300))]))
    charts = [each for each in page.of("svg") if "chart" in each.get("class", "")]
    assert len(charts) >= 8
    for each in charts:
        assert each["role"] == "img"
        assert each["tabindex"] == "0"
        assert "lowest" in each["aria-label"]
    assert page.of("html")[0]["lang"] == "en"
    assert page.of("th")
    assert all("scope" in head for head in page.of("th"))


def test_the_page_lies_in_the_runs_directory(tmp_path: Path) -> None:
    first, second = write_run(tmp_path / "first"), write_run(tmp_path / "second")
    assert write_report([first]) == first / "report.html"
    assert write_report([first, second]) == first / "comparison.html"
    with pytest.raises(UserError, match="no such file"):
        write_report([tmp_path])
    with (first / "metrics.jsonl").open("a") as stream:
        stream.write("nonsense\n")
    with pytest.raises(UserError, match=r"metrics\.jsonl:20"):
        write_report([first])


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.floats(-10, 10), min_size=1, max_size=30))
def test_the_course_read_from_a_file_is_that_of_its_events(
    tmp_path: Path, losses: list[float]
) -> None:
    (tmp_path / "metrics.jsonl").unlink(missing_ok=True)
    write_events(tmp_path, *(train(i, loss) for i, loss in enumerate(losses, start=1)))
    read = read_course(tmp_path).curve("train", "loss")
    assert read.y.tolist() == losses == [e["loss"] for e in read_metrics(tmp_path)]


@pytest.mark.slow
def test_a_real_run_has_its_page(make_recipe: MakeRecipe) -> None:
    from pretrain import launcher

    recipe = make_recipe(name="real", training={"iterations": 12})
    ended = launcher.run(recipe)
    text = write_report([recipe.run_directory]).read_text()
    assert f"{ended['loss_valid']:.5g}" in text
    assert "12 of 12 iterations" in text
