"""When a run is started again by itself."""

from pretrain.safety.restarts import Start, starts_again


def start(code: int, before: str | None, after: str | None) -> Start:
    return Start(code, "", before, after)


def test_a_crash_and_a_lost_process_are_tried_again_while_there_is_progress() -> None:
    starts = [start(5, None, "a"), start(1, "a", "b"), start(5, "b", "c")]
    again, reason = starts_again(starts, restarts_max=3)
    assert again
    assert reason == "starting again from c (restart 3 of 3)"
    assert starts_again([*starts, start(5, "c", "d")], restarts_max=3)[0] is False


def test_what_a_person_must_mend_is_not_tried_again() -> None:
    for code in (2, 3, 4, 6):
        assert not starts_again([start(code, None, "a")], restarts_max=100)[0]


def test_two_starts_without_a_new_checkpoint_are_a_crash_loop() -> None:
    one = [start(1, None, None)]
    assert starts_again(one, restarts_max=100)[0]
    again, reason = starts_again([*one, start(1, None, None)], restarts_max=100)
    assert not again
    assert reason == (
        "a crash loop: 2 starts in a row from the beginning ended without a new checkpoint; "
        "a person must look"
    )
    # Progress between them makes it another matter.
    mixed = [start(1, None, None), start(1, None, "a"), start(1, "a", "a")]
    assert starts_again(mixed, restarts_max=100)[0]


def test_nothing_is_started_again_unless_the_recipe_says_so() -> None:
    assert not starts_again([start(5, None, "a")], restarts_max=0)[0]
