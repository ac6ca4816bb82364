from hypothesis import given
from hypothesis import strategies as st

from services.intent.batching.cache import LruCache

KEYS = st.integers(0, 6)


def test_what_was_put_is_there() -> None:
    cache = LruCache[str, int](2)
    cache.put("a", 1)
    assert cache.get("a") == 1
    assert cache.get("b") is None


def test_what_was_not_asked_for_the_longest_makes_room() -> None:
    cache = LruCache[str, int](2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.get("a")
    cache.put("c", 3)
    assert [cache.get(key) for key in "abc"] == [1, None, 3]


def test_a_value_is_replaced() -> None:
    cache = LruCache[str, int](2)
    cache.put("a", 1)
    cache.put("a", 2)
    assert cache.get("a") == 2
    assert len(cache) == 1


@given(st.integers(1, 4), st.lists(st.tuples(st.booleans(), KEYS)))
def test_it_holds_the_keys_that_were_used_last(entries: int, uses: list[tuple[bool, int]]) -> None:
    cache = LruCache[int, int](entries)
    order: list[int] = []
    for puts, key in uses:
        if puts:
            cache.put(key, key)
        elif cache.get(key) is None:
            assert key not in order[-entries:]
            continue
        order = [each for each in order if each != key] + [key]
        order = order[-entries:]
    assert all(cache.get(key) == key for key in order)
    assert len(cache) == len(order)
