"""Which events were taken: in their packed form as a dict of them."""

from hypothesis import given
from hypothesis import strategies as st

from redress.domain.seen import BOTH_BYTES, FINGERPRINT_BYTES, ID_BYTES, Seen, identity

FINGERPRINTS = [bytes([n]) * 32 for n in range(3)]
events = st.lists(
    st.tuples(st.sampled_from("abcde"), st.sampled_from(FINGERPRINTS), st.booleans()), max_size=12
)  # id, fingerprint, whether it is forgotten rather than taken


@given(events=events)
def test_what_was_taken_and_not_forgotten_is_known_in_order(events: list[tuple[str, bytes, bool]]) -> None:
    seen, wanted = Seen(), dict[bytes, bytes]()
    for event_id, fingerprint, is_forgotten in events:
        if is_forgotten:
            seen.forget("/s", event_id)
            wanted.pop(identity("/s", event_id), None)
        else:
            seen.add("/s", event_id, fingerprint)
            wanted.setdefault(identity("/s", event_id), fingerprint[:FINGERPRINT_BYTES])

        assert list(seen.items()) == list(wanted.items())
        assert dict(seen) == wanted
        assert len(seen) == len(wanted)
        assert all(seen.get(identity("/s", e)) == wanted.get(identity("/s", e)) for e in "abcde")


def test_bytes_that_stand_between_two_events_are_no_event() -> None:
    first, second = b"1" * ID_BYTES + b"abcd", b"2" * ID_BYTES + b"efgh"
    between = (first + second)[ID_BYTES : 2 * ID_BYTES]

    assert Seen(first + second).get(between) is None
    assert Seen(first + second + between + b"wxyz").get(between) == b"wxyz"


def test_older_events_come_first_and_leave_first() -> None:
    seen = Seen(b"b" * BOTH_BYTES)
    seen.put_first([(b"a" * ID_BYTES, b"a" * FINGERPRINT_BYTES)])

    assert seen.packed == b"a" * BOTH_BYTES + b"b" * BOTH_BYTES
    seen.drop_first(1)
    assert seen.packed == b"b" * BOTH_BYTES
    assert seen == Seen(b"b" * BOTH_BYTES) != Seen()
