"""Survivor order: the bytes sort as the keys do, and what cannot be ordered is refused."""

import datetime
import itertools
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep.config import Columns, Dataprep, Source
from dataprep.config_duplicates import Survivors
from dataprep.dedup.survivors import check, date_seconds, precedence, source_order, weight
from launch.errors import UserError

SOURCES = ("web", "books", "news")
DATES = [
    *("2024", "2024-02", "2024-02-29", "2023-02-29", "2024-02-29T00:00:01", "9999-12-31"),
    *("1969-12-31T23:59:59Z", "20240229", "yesterday", "", None, "0001-01-01", "2024-13"),
    "2024-2-3",
]
DOCUMENTS = st.lists(
    st.tuples(
        st.sampled_from([*SOURCES, "unlisted"]),
        st.one_of(st.none(), st.floats(width=32)),
        st.text(max_size=4),
        st.sampled_from(DATES),
        st.binary(min_size=16, max_size=16),
    ),
    max_size=12,
)
ORDERS = st.permutations(["source", "quality", "length", "date", "id"]).flatmap(
    lambda keys: st.integers(0, 5).map(lambda count: tuple(keys[:count]))
)


def seconds(date: str | None) -> float | None:
    """By Python's own calendar; None for what is no date."""
    if not date or not date[:4].isdigit() or date[4:5].isdigit():
        return None
    whole = "0001-01-01T00:00:00"
    for length in (19, 10, 7, 4):
        if len(date) < length:
            continue
        try:
            moment = datetime.datetime.fromisoformat(date[:length] + whole[length:])
        except ValueError:
            if length == 4 or date[:length] != "2024-2-"[:length]:
                return None
            continue
        epoch = datetime.datetime(1970, 1, 1)
        return (moment - epoch).total_seconds()
    return None


@given(documents=DOCUMENTS, order=ORDERS, longest=st.booleans(), newest=st.booleans())
@settings(max_examples=300, deadline=None)
def test_the_order_of_bytes_is_that_of_the_keys(documents, order, longest, newest) -> None:
    survivors = Survivors(
        order=order,
        length="longest" if longest else "shortest",
        date="newest" if newest else "oldest",
        date_field="day",
    )
    columns = list(zip(*documents, strict=True)) or [()] * 5
    meta = [[] if day is None else [("other", "x"), ("day", day)] for day in columns[3]]
    table = pa.table(
        {
            "source": pa.array(columns[0], pa.string()),
            "quality_score": pa.array(columns[1], pa.float32()),
            "text": pa.array(columns[2], pa.large_string()),
            "meta": pa.array(meta, pa.map_(pa.string(), pa.string())),
            "content_hash": pa.array(columns[4], pa.binary(16)),
        }
    )
    found = precedence(table, survivors, SOURCES).to_pylist()

    def keys(document):
        source, quality, text, day, content = document
        known = quality is not None and not math.isnan(quality)
        moment = seconds(day)
        length = len(text.encode())
        values = {
            "source": [*SOURCES, "unlisted"].index(source),
            "quality": (0, -quality) if known else (1, 0.0),
            "length": -length if longest else length,
            "date": (1, 0.0) if moment is None else (0, -moment if newest else moment),
        }
        if "id" in order:
            return tuple(values[key] for key in order[: order.index("id")])
        return (*(values[key] for key in order), content)

    for left, right in itertools.combinations(range(len(documents)), 2):
        expected = keys(documents[left]), keys(documents[right])
        assert (found[left] < found[right]) == (expected[0] < expected[1])
        assert (found[left] == found[right]) == (expected[0] == expected[1])


def test_dates_are_those_of_pythons_calendar() -> None:
    found, known = date_seconds(pa.array(DATES, pa.string()))
    for value, there, date in zip(found.tolist(), known.tolist(), DATES, strict=True):
        expected = seconds(date)
        assert there == (expected is not None), date
        assert expected is None or value == expected, date


def test_precedence_of_a_slice_is_the_slice_of_precedences() -> None:
    table = pa.table({"content_hash": pa.array([bytes([i] * 16) for i in range(5)], pa.binary(16))})
    whole = precedence(table, Survivors(), ())
    assert precedence(table.slice(2, 2), Survivors(), ()).to_pylist() == whole.to_pylist()[2:4]


SOURCE = Source(name="web", kind="jsonl", paths=("*",), columns=Columns(meta=("day",)))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"sources": ("webb",)}, r"survivors\.sources: got 'webb'"),
        ({"order": ("quality",)}, r"survivors\.order: got 'quality'"),
        ({"order": ("date",)}, r"survivors\.date_field: got 'date'"),
    ],
)
def test_an_order_that_cannot_be_made_is_refused(table, message) -> None:
    with pytest.raises(UserError, match=message):
        check(Dataprep(survivors=Survivors(**table)), [SOURCE])


def test_sources_that_are_not_named_come_after_in_the_recipes_order() -> None:
    others = [SOURCE.model_copy(update={"name": name}) for name in ("a", "b", "c")]
    assert source_order(Survivors(sources=("c",)), others) == ("c", "a", "b")
    check(Dataprep(survivors=Survivors(order=("date",), date_field="day")), [SOURCE])


def test_weights_are_those_of_the_largest_size_that_is_reached() -> None:
    survivors = Survivors(rehydration=((2, 1.5), (10, 3.0)))
    assert weight(survivors, np.array([1, 2, 9, 10, 11])).tolist() == [1.0, 1.5, 1.5, 3.0, 3.0]
    assert weight(Survivors(), np.array([5])).tolist() == [1.0]
