"""Records are expected where Kafka's standard partitioner puts them."""

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from redress.contracts.partitioner import murmur2, partition_of, partitions_of


@given(key=st.binary(max_size=200), partitions=st.integers(1, 1024))
def test_a_key_belongs_where_the_standard_partitioner_puts_it(key: bytes, partitions: int) -> None:
    everywhere = list(range(partitions))

    assert partition_of(key, partitions) == DefaultPartitioner()(key, everywhere, everywhere)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_that_of_the_java_client(key: bytes, expected: int) -> None:
    """Values of `UtilsTest.testMurmur2` in Apache Kafka."""
    assert murmur2(key) == expected % 2**32


@given(
    keys=st.lists(st.uuids().map(lambda uuid: str(uuid).encode()) | st.binary(max_size=40), max_size=5)
    | st.lists(st.uuids().map(lambda uuid: str(uuid).encode()), min_size=8, max_size=20),
    partitions=st.integers(1, 1024),
)
def test_many_keys_belong_where_each_does(keys: list[bytes], partitions: int) -> None:
    assert partitions_of(keys, partitions) == [partition_of(key, partitions) for key in keys]
