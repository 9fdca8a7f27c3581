"""`redress run`: the processes of a ledger."""

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable
from typing import Annotated

import structlog
import typer
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from redress.cli.api import api_process
from redress.cli.output import WrongUseError
from redress.cli.session import Session, name_of, open_session
from redress.intake.clock import system_clock
from redress.intake.worker import AWAY, RETRY_SECONDS_MAX
from redress.runtime.last_tick import last_tick
from redress.runtime.logging import configure_logging
from redress.runtime.topics import check_topics
from redress.runtime.wiring import SharedProducer, breaker_of, make_worker

app = typer.Typer(
    help="The processes of a ledger. SIGTERM or Ctrl-C stops them cleanly. They log on standard error.",
    no_args_is_help=True,
)
log = structlog.get_logger()

Process = Callable[[asyncio.Event], Awaitable[None]]
LogJson = Annotated[bool, typer.Option("--json", help="Log one JSON object a line, as REDRESS_LOG=json does.")]

COLLECT_AFTER = 200_000
"""Objects made, and not freed by counting, before cycles are looked for: a batch makes so many, without
cycles, and at Python's own 700 the search took a third of a worker's time."""


@app.command("worker", epilog="Example: redress run worker")
def worker_command(*, json: LogJson = False) -> None:
    """Serve shards: intake, issuance and relay. Run as many as there are cores; they share the shards."""
    session = open_session()
    producer = SharedProducer(session.servers)
    _run(session, producer, _worker(session, producer), json=json)


@app.command("clock", epilog="Example: redress run clock")
def clock_command(*, json: LogJson = False) -> None:
    """Tell the ledger what time it is, every second (REDRESS_CLOCK=system). One is enough, two do no harm."""
    session = open_session()
    _refuse_manual(session)
    producer = SharedProducer(session.servers)
    _run(session, producer, _clock(session, producer), json=json)


@app.command("api", epilog="Example: REDRESS_API_PORT=8080 redress run api")
def api_command(*, json: LogJson = False) -> None:
    """Serve the HTTP API on REDRESS_API_HOST (127.0.0.1 by default) and REDRESS_API_PORT (8080).

    With servers of your own (REDRESS_KAFKA, REDRESS_POSTGRES) it needs REDRESS_API_PUBLIC_KEY, the key of who signs the
    tokens, as PEM text or a file; with the local stack it takes the stack's.
    """
    session = open_session()
    _run(session, SharedProducer(session.servers), api_process(session), json=json)


@app.command("watch", epilog="Example: redress run watch")
def watch_command(*, json: LogJson = False) -> None:
    """Publish live signals: what moved in ten seconds, who asks too often, what is out of the ordinary.

    It reads `redress.ledger` and writes `redress.signal`. The ledger does not need it; one is enough, several share the
    shards. The first begins with the ledger.
    """
    session = open_session()
    _run(session, SharedProducer(session.servers), _watch(session), json=json)


@app.command("all", epilog="Example: redress run all")
def all_command(*, json: LogJson = False) -> None:
    """Worker, API and clock in one process. With REDRESS_CLOCK=manual without the clock: move it by hand.

    With servers of your own the API needs REDRESS_API_PUBLIC_KEY (see `redress run api --help`). To do without the API,
    run `redress run worker` and `redress run clock`. The watch runs apart: `redress run watch`.
    """
    session = open_session()
    producer = SharedProducer(session.servers)
    processes = [_worker(session, producer), api_process(session)]
    if session.identity.clock == "system":
        processes.append(_clock(session, producer))
    _run(session, producer, *processes, json=json)


def _worker(session: Session, producer: SharedProducer) -> Process:
    async def serve(stopping: asyncio.Event) -> None:
        worker = make_worker(session.servers, session.identity, producer, breaker=breaker_of(session.settings))
        await worker.run(stopping)

    return serve


def _clock(session: Session, producer: SharedProducer) -> Process:
    async def tick(stopping: asyncio.Event) -> None:
        clock = None
        async for attempt in _retrying("clock"):
            with attempt:
                if clock is None:
                    last = await last_tick(session.servers)
                    clock = system_clock(producer.send, session.identity.name, last)
                await clock.run(stopping)

    return tick


def _watch(session: Session) -> Process:
    async def watch(stopping: asyncio.Event) -> None:
        from redress.watch.watch import Watch  # noqa: PLC0415 - Faust takes a while to load, and only this needs it

        async for attempt in _retrying("watch"):
            with attempt:
                await Watch(session.servers.kafka, session.servers.topic_prefix, session.identity).run(stopping)

    return watch


def _refuse_manual(session: Session) -> None:
    if session.identity.clock == "manual":
        raise WrongUseError("REDRESS_CLOCK is manual: move this ledger's clock with `redress clock advance`")


def _run(session: Session, producer: SharedProducer, *processes: Process, json: bool) -> None:
    configure_logging("json" if json else session.settings.log)
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    session.run(_until_stopped(session, producer, processes))


async def _until_stopped(session: Session, producer: SharedProducer, processes: tuple[Process, ...]) -> None:
    stopping = asyncio.Event()
    _stop_on_signal(stopping)
    ready = asyncio.create_task(_wait_until_ready(session))
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait({ready, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        ready.cancel()
        return
    ready.result()
    log.info("started", ledger=session.identity.name, shards=session.identity.shards, kafka=session.servers.kafka)
    try:
        await _together(processes, stopping)
    finally:
        stopped.cancel()
        await producer.stop()
    log.info("stopped")


async def _together(processes: tuple[Process, ...], stopping: asyncio.Event) -> None:
    """All until stopped; if one ends by an error, the others are stopped cleanly first."""
    tasks = [asyncio.ensure_future(process(stopping)) for process in processes]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    stopping.set()
    await asyncio.wait(tasks)
    for task in tasks:
        task.result()


async def _wait_until_ready(session: Session) -> None:
    """Until both servers answer; then see that schema and topics are there."""
    async for attempt in _retrying("start"):
        with attempt:
            await session.check()
            await check_topics(session.servers.kafka, session.servers.topic_prefix, session.identity.shards)


def _stop_on_signal(stopping: asyncio.Event) -> None:
    """A first signal stops cleanly, a second one at once."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)

    def stop() -> None:
        log.info("stopping")
        stopping.set()
        for each in signals:
            loop.remove_signal_handler(each)

    for each in signals:
        loop.add_signal_handler(each, stop)


def _retrying(what: str) -> AsyncRetrying:
    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("server away, trying again", what=what, why=name_of(error) if isinstance(error, Exception) else "")

    return AsyncRetrying(
        retry=retry_if_exception_type(AWAY),
        wait=wait_random_exponential(multiplier=0.2, max=RETRY_SECONDS_MAX),
        before_sleep=tell,
        reraise=True,
    )
