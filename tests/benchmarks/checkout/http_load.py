"""Load over HTTP: redemptions in an open loop, or look-ups as fast as so many connections get answers.

Run as `python -m tests.benchmarks.checkout.http_load OPTIONS`, an `HttpLoad` as JSON. The client is a few lines of
bytes on a socket: it shares the machine with what it measures, and a comfortable one costs as much as the server.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from random import Random
from typing import Final

import orjson
import uvloop

from tests.benchmarks.checkout.requests import SEED, requested
from tests.benchmarks.checkout.samples import WARM_UP_SECONDS, Sample, hand_back, sample
from tests.harness.events import people

CONNECTIONS: Final = 256
"""For redemptions: more than are ever under way, so that none waits for another."""
LOOK_UP_CONNECTIONS: Final = 16
LOOK_UP_WARM_UP_SECONDS: Final = 1.0
OK: Final = b"HTTP/1.1 200"
WAIT_MS: Final = 30_000


@dataclass(frozen=True, slots=True)
class HttpLoad:
    """Where to, how long, and for whom. `rate` 0: a closed loop over `path`, where {b} stands for a person."""

    host: str
    port: int
    token: str
    seconds: float
    persons: int
    rate: int = 0
    first: int = 0
    path: str = ""

    @property
    def number(self) -> int:
        return int(self.rate * (WARM_UP_SECONDS + self.seconds))

    def head(self, line: str, more: str = "") -> bytes:
        host = f"Host: {self.host}:{self.port}"
        return f"{line} HTTP/1.1\r\n{host}\r\nAuthorization: Bearer {self.token}\r\n{more}\r\n".encode()


class Connection:
    """One connection, one request at a time."""

    def __init__(self, options: HttpLoad) -> None:
        self._options = options

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(self._options.host, self._options.port)

    async def ask(self, request: bytes) -> bool:
        """Whether the answer was 200."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = head.lower().split(b"content-length:")[1].split(b"\r\n")[0]
        await self._reader.readexactly(int(length))
        return head.startswith(OK)

    def close(self) -> None:
        self._writer.close()


async def redeem(options: HttpLoad) -> Sample:
    """Requests at a rate, whatever comes back."""
    wanted: asyncio.Queue[tuple[int, float, bytes]] = asyncio.Queue()
    latencies: dict[int, float] = {}

    async def client(connection: Connection) -> None:
        while True:
            n, due, request = await wanted.get()
            if await connection.ask(request):
                latencies[n] = time.perf_counter() - due
            wanted.task_done()

    requests = list(_requests(options))
    connections = [Connection(options) for _ in range(CONNECTIONS)]
    for connection in connections:
        await connection.open()
    clients = [asyncio.create_task(client(connection)) for connection in connections]
    start = time.perf_counter() + 0.5
    for n, request in enumerate(requests):
        due = start + n / options.rate
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        wanted.put_nowait((n, due, request))
    await wanted.join()
    for task in clients:
        task.cancel()
    for connection in connections:
        connection.close()
    counted = range(int(WARM_UP_SECONDS * options.rate), options.number)
    return sample([latencies[n] for n in counted if n in latencies], sum(n not in latencies for n in counted))


async def look_up(options: HttpLoad) -> Sample:
    """The next request as soon as the last one is answered."""
    having = people(options.persons, SEED)
    Random(1).shuffle(having)
    asked = cycle(options.head(f"GET {options.path.replace('{b}', person)}") for person in having)
    latencies: list[float] = []
    refused = 0
    begin = time.perf_counter() + LOOK_UP_WARM_UP_SECONDS
    end = begin + options.seconds

    async def client() -> None:
        nonlocal refused
        connection = Connection(options)
        await connection.open()
        while (sent := time.perf_counter()) < end:
            ok = await connection.ask(next(asked))
            if sent >= begin:
                latencies.append(time.perf_counter() - sent)
                refused += not ok
        connection.close()

    await asyncio.gather(*(client() for _ in range(LOOK_UP_CONNECTIONS)))
    return sample(latencies, refused)


def _requests(options: HttpLoad) -> Iterator[bytes]:
    for event in requested(options.first, options.number, options.persons):
        body = orjson.dumps(event["data"])
        more = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nIdempotency-Key: {event['id']}\r\n"
        yield options.head(f"POST /v1/redemptions?wait_ms={WAIT_MS}", more) + body


if __name__ == "__main__":
    given = HttpLoad(**orjson.loads(sys.argv[1]))
    hand_back(uvloop.run(redeem(given) if given.rate else look_up(given)))
