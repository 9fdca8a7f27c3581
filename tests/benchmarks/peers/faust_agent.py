"""A plain faust agent that does what `plain` does: `python -m tests.benchmarks.peers.faust_agent GROUP FOLDER`.

It reads the issuance topic from its beginning, eight events at a time, each in a transaction of its own, until it is
told to end.
"""

import sys
from itertools import count
from typing import Any

import asyncpg
import faust

from redress.domain.event import Topic
from redress.runtime.settings import load_settings
from redress.runtime.wiring import servers_by_address
from tests.benchmarks.peers.events import decode
from tests.benchmarks.peers.plain import CONNECTIONS, write_event
from tests.benchmarks.people import LINES


def make_app(group: str, folder: str) -> Any:
    """The app, with its one agent; what it keeps on disk stands in the folder."""
    servers = servers_by_address(load_settings())
    app = faust.App(
        group,
        broker=f"kafka://{servers.kafka}",
        store="memory://",
        datadir=folder,
        value_serializer="raw",
        consumer_auto_offset_reset="earliest",
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
    )
    seqs = count(1, LINES)

    async def take(stream: Any) -> None:
        connection = await asyncpg.connect(servers.postgres)
        async for value in stream:
            await write_event(connection, decode(value), next(seqs))

    app.agent(app.topic(servers.topic_prefix + Topic.ISSUANCE.value, value_type=bytes), concurrency=CONNECTIONS)(take)
    return app


if __name__ == "__main__":
    faust.Worker(make_app(sys.argv[1], sys.argv[2]), loglevel="error").execute_from_commandline()
