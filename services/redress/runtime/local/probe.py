"""Whether a server answers in its own protocol: an open port is not yet a broker or a database."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

import psycopg
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

PROBE_SECONDS = 5


def kafka_answers(bootstrap: str) -> bool:
    """A node of the cluster answers a metadata request and names at least one broker that takes requests."""
    if not any(_port_open(server) for server in bootstrap.split(",")):
        return False
    # In a thread of its own, so that callers inside a running event loop may ask too.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, _has_broker(bootstrap)).result()


async def _has_broker(bootstrap: str) -> bool:
    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=PROBE_SECONDS * 1000)
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await client.bootstrap()
            return bool(client.cluster.brokers())
    except (KafkaError, TimeoutError, OSError):
        return False
    finally:
        await client.close()


def postgres_answers(url: str) -> bool:
    """The database takes a connection with these credentials and answers a query."""
    return postgres_problem(url) is None


def postgres_problem(url: str) -> str | None:
    """Why the database cannot be used, in its own words; None if it can."""
    try:
        with psycopg.connect(url, connect_timeout=PROBE_SECONDS, autocommit=True) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    return None


def _port_open(server: str) -> bool:
    host, _, port = server.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_SECONDS):
            return True
    except OSError:
        return False
