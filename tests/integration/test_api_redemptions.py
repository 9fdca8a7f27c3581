"""Writes over HTTP: every route, the key, waiting, and what is wrong with a request."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from redress.runtime.local import Stack
from tests.harness.events import Events, people
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.running_api import SOURCE, RunningApi, bearer, key, running_api, token
from tests.oracle.scenario import EURO

ANN, BEN = people(2, seed=5)


@asynccontextmanager
async def welcomed(stack: Stack, database: str, prefix: str, *persons: str) -> AsyncIterator[tuple[RunningApi, Events]]:
    """An API whose ledger has issued these persons' vouchers; nothing is claimed."""
    events = Events()
    async with running_api(stack.kafka, database, prefix) as api:
        await api.ledger.send_all([*events.begin(), *(events.granted(person) for person in persons)])
        await issued(api, *persons)
        yield api, events


async def issued(api: RunningApi, *persons: str) -> None:
    for person in persons:
        await api.until(f"/v1/beneficiaries/{person}", lambda response: bool(response.json()["vouchers"]))


def who(events: Events, person: str) -> dict[str, Any]:
    return {"programme": events.programme, "beneficiary": person}


def request(events: Events, person: str, redemption: str, amount: int, benefit: str = "travel") -> dict[str, Any]:
    return {
        **who(events, person),
        "redemption": redemption,
        "order": f"o-{redemption}",
        "service": benefit,
        "applied_by": "customer",
        "lines": spent(events, person, amount, benefit),
    }


def spent(events: Events, person: str, amount: int, benefit: str = "travel") -> list[dict[str, Any]]:
    return [{"voucher": events.voucher(person, benefit), "amount": amount}]


async def claim(api: RunningApi, events: Events, person: str, benefit: str = "travel") -> httpx.Response:
    body = {**who(events, person), "channel": "app"}
    return await api.post(f"/v1/vouchers/{events.voucher(person, benefit)}/claim", body)


def problem(response: httpx.Response, status: int, name: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    said: dict[str, Any] = response.json()
    assert said["type"] == f"urn:redress:problem:{name}"
    assert said["status"] == status
    assert said["title"]
    return said


async def test_a_voucher_is_claimed_requested_captured_and_reversed(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    async with welcomed(stack, database, topic_prefix, ANN) as (api, events):
        claimed = await claim(api, events, ANN)
        requested = await api.post("/v1/redemptions", request(events, ANN, "r-1", 15_000))
        held = (await api.client.get("/v1/redemptions/r-1", params={"beneficiary": ANN})).json()
        captured = await api.post(
            "/v1/redemptions/r-1/capture", {**who(events, ANN), "lines": spent(events, ANN, 15_000)}
        )
        reversal = {**who(events, ANN), "scope": "whole_order", "lines": [], "reason": "customer_cancelled"}
        reversed_ = await api.post("/v1/redemptions/r-1/reverse", reversal)

        decisions = [each.json() for each in (claimed, requested, captured, reversed_)]
        assert [(each["outcome"], each["reason"]) for each in decisions] == [("accepted", None)] * 4
        assert {each["cause"]["source"] for each in decisions} == {SOURCE}
        assert decisions[1]["lines"][0]["reserved"] == 15_000
        assert (held["status"], held["order"], held["lines"][0]["held"]) == ("held", "o-r-1", 15_000)
        assert (decisions[2]["lines"][0]["redeemed"], decisions[2]["lines"][0]["forfeited"]) == (15_000, 5_000)
        assert (decisions[3]["lines"][0]["restored"], decisions[3]["lines"][0]["balance"]) == (20_000, 20_000)
        assert [each["order"] for each in decisions] == [None, "o-r-1", "o-r-1", "o-r-1"]
        await assert_ledger_sound(database)


async def test_a_repeated_key_gets_the_order_of_its_own_programme(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    # given another programme with a redemption of the same id, which comes first wherever they are sorted
    other = Events({**EURO, "programme": "another"}, source="/test/other")
    async with welcomed(stack, database, topic_prefix, ANN) as (api, events):
        await api.ledger.send_all([other.published(), other.opened(), other.requested(ANN, "r-1", 1_000, "ride")])
        await claim(api, events, ANN)
        await api.post("/v1/redemptions", {**request(events, ANN, "r-1", 15_000), "order": "o-mine"})
        body = {**who(events, ANN), "lines": spent(events, ANN, 15_000)}

        answers = [await api.post("/v1/redemptions/r-1/capture", body, "capture-1") for _ in range(2)]

        assert [(each.status_code, each.json()["order"]) for each in answers] == [(200, "o-mine")] * 2


async def test_a_request_is_the_same_however_it_is_read(stack: Stack, database: str, topic_prefix: str) -> None:
    # given what is read at once, and what FastAPI reads because something about it is unusual
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    usual = {"content-type": "application/json"}
    unusual = {"content-type": "application/json; charset=utf-8"}
    async with welcomed(stack, database, topic_prefix, ANN, BEN) as (api, events):
        await claim(api, events, ANN)
        await claim(api, events, BEN)
        answers, published = [], []
        for person, headers in ((ANN, usual), (BEN, unusual)):
            body = json.dumps(request(events, person, "r-1", 15_000))
            answers += [
                await api.client.post(
                    "/v1/redemptions?wait_ms=5000",
                    content=body,
                    headers={**key("k-1"), **each, "traceparent": trace},
                )
                for each in (headers, usual, unusual)
            ]
            published += await api.ledger.adopt("redress.redemption")

        # then both are decided alike, and either finds what the other has published
        assert [each.status_code for each in answers] == [200] * 6
        assert answers[0].json() == answers[1].json() == answers[2].json()
        assert answers[3].json() == answers[4].json() == answers[5].json()
        assert {(each.json()["outcome"], each.json()["lines"][0]["reserved"]) for each in answers} == {
            ("accepted", 15_000)
        }
        sent = [each for each in published if each["type"].endswith("requested.v1")]
        assert [(each["id"], each["traceparent"]) for each in sent] == [("k-1", trace)] * 2
        assert sent[0].keys() == sent[1].keys()
        assert sent[0]["data"].keys() == sent[1]["data"].keys()


async def test_a_hold_is_released(stack: Stack, database: str, topic_prefix: str) -> None:
    async with welcomed(stack, database, topic_prefix, ANN) as (api, events):
        await claim(api, events, ANN)
        await api.post("/v1/redemptions", request(events, ANN, "r-1", 15_000))
        released = await api.post("/v1/redemptions/r-1/release", {**who(events, ANN), "reason": "payment_failed"})
        after = (await api.client.get("/v1/redemptions/r-1", params={"beneficiary": ANN})).json()

        assert released.json()["lines"][0]["released"] == 15_000
        assert after["status"] == "released"


async def test_a_refusal_is_an_answer_too(stack: Stack, database: str, topic_prefix: str) -> None:
    async with welcomed(stack, database, topic_prefix, ANN) as (api, events):
        refused = await api.post("/v1/redemptions", request(events, ANN, "r-1", 15_000))
        kept = (await api.client.get("/v1/redemptions/r-1", params={"beneficiary": ANN})).json()

        assert refused.status_code == 200
        assert (refused.json()["outcome"], refused.json()["reason"]) == ("refused", "not_claimed")
        assert (kept["status"], kept["reason"]) == ("refused", "not_claimed")


async def test_a_repeated_key_gets_the_same_answer_and_publishes_nothing(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    async with welcomed(stack, database, topic_prefix, ANN) as (api, events):
        await claim(api, events, ANN)
        body = request(events, ANN, "r-1", 15_000)
        first = await api.post("/v1/redemptions", body, "k-1")
        capture = {**who(events, ANN), "lines": spent(events, ANN, 15_000)}
        captured = await api.post("/v1/redemptions/r-1/capture", capture, "k-2")
        published = await api.ledger.adopt("redress.redemption")

        again = [await api.post("/v1/redemptions", body, "k-1", wait_ms=wait) for wait in (0, 2_000)]
        captured_again = await api.post("/v1/redemptions/r-1/capture", capture, "k-2")

        assert [each.json() for each in again] == [first.json()] * 2
        assert captured_again.json() == captured.json()
        assert await api.ledger.adopt("redress.redemption") == []
        assert [event["id"] for event in published[1:]] == ["k-1", "k-2"]


async def test_the_same_key_from_many_at_once_is_one_event(stack: Stack, database: str, topic_prefix: str) -> None:
    async with welcomed(stack, database, topic_prefix, ANN) as (api, events):
        await claim(api, events, ANN)
        body = request(events, ANN, "r-1", 15_000)
        answers = await asyncio.gather(*(api.post("/v1/redemptions", body, "k-1") for _ in range(20)))

        assert len({answer.text for answer in answers}) == 1
        published = await api.ledger.adopt("redress.redemption")
        assert [event["id"] for event in published].count("k-1") == 1


async def test_keys_repeated_at_the_same_moment_get_each_its_own_answer(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    stranger, *persons = people(9, seed=6)
    async with welcomed(stack, database, topic_prefix, *persons) as (api, events):
        bodies = {f"k-{n}": request(events, person, "r-1", 1_000 + n) for n, person in enumerate(persons)}
        first = {name: (await api.post("/v1/redemptions", body, name)).json() for name, body in bodies.items()}
        await api.ledger.adopt("redress.redemption")

        bodies = {"k-new": request(events, stranger, "r-1", 1_000), **dict(reversed(bodies.items()))}
        answers = await asyncio.gather(*(api.post("/v1/redemptions", body, name) for name, body in bodies.items()))
        again = {name: answer.json() for name, answer in zip(bodies, answers, strict=True)}

        assert again.pop("k-new")["reason"] == "unknown_voucher"
        assert again == first
        published = await api.ledger.adopt("redress.redemption")
        assert [event["id"] for event in published] == ["k-new"]


async def test_a_key_with_another_body_is_refused(stack: Stack, database: str, topic_prefix: str) -> None:
    async with welcomed(stack, database, topic_prefix, ANN, BEN) as (api, events):
        await claim(api, events, ANN)
        await api.post("/v1/redemptions", request(events, ANN, "r-1", 15_000), "k-1")

        other = await api.post("/v1/redemptions", request(events, ANN, "r-1", 15_001), "k-1")
        other_route = await api.post("/v1/redemptions/r-1/release", {**who(events, ANN), "reason": "x"}, "k-1")
        somebody_else = await api.post("/v1/redemptions", request(events, BEN, "r-1", 15_000), "k-1")

        assert problem(other, 422, "idempotency-key-reused")["errors"][0]["field"] == "header.Idempotency-Key"
        problem(other_route, 422, "idempotency-key-reused")
        assert somebody_else.status_code == 200


async def test_who_does_not_wait_is_told_where_to_look(stack: Stack, database: str, topic_prefix: str) -> None:
    async with welcomed(stack, database, topic_prefix, ANN) as (api, events):
        await claim(api, events, ANN)
        body = request(events, ANN, "r-1", 15_000)
        pending = await api.post("/v1/redemptions", body, "k-1", wait_ms=0)
        found = await api.until(pending.headers["location"], lambda response: response.status_code == 200)
        answered = await api.post("/v1/redemptions", body, "k-1", wait_ms=0)

        assert pending.status_code == 202
        assert pending.json() == {"status": "pending", "source": SOURCE, "id": "k-1"}
        assert found.json()["status"] == "held"
        assert answered.json()["lines"][0]["reserved"] == 15_000


async def test_a_fact_that_waits_for_its_voucher_is_pending_until_it_is_booked(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    events = Events()
    async with running_api(stack.kafka, database, topic_prefix) as api:
        await api.ledger.send_all(events.begin())
        await api.ledger.settled()
        body = {**who(events, ANN), "channel": "app"}
        path = f"/v1/vouchers/{events.voucher(ANN, 'travel')}/claim"
        parked = await api.post(path, body, "k-1", wait_ms=300)
        parked_still = await api.post(path, body, "k-1", wait_ms=1_200)
        await api.ledger.send_all([events.granted(ANN)])
        booked = await api.post(path, body, "k-1", wait_ms=20_000)

        assert (parked.status_code, parked_still.status_code) == (202, 202)
        assert booked.json()["outcome"] == "accepted"
        assert len(await api.ledger.adopt("redress.redemption")) == 1


async def test_what_is_wrong_is_said_by_field_and_rule_and_never_repeated(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    events = Events()
    secret = "Kim-Min-ji-010"
    good = request(events, ANN, "r-1", 15_000)
    async with running_api(stack.kafka, database, topic_prefix, worker=False) as api:
        cases = {
            "body.order": {**good, "order": f"{secret} !"},
            "body": {**good, secret: 1},
            "body.lines.0.amount": {**good, "lines": [{**good["lines"][0], "amount": 0}]},
            "body.lines": {**good, "lines": good["lines"] * 2},
            "body.redemption": {name: value for name, value in good.items() if name != "redemption"},
        }
        for field, body in cases.items():
            response = await api.post("/v1/redemptions", body)
            said = problem(response, 422, "invalid")
            assert [error["field"] for error in said["errors"]] == [field]
            assert secret not in response.text

        partial = {**who(events, ANN), "scope": "partial", "lines": [], "reason": "x"}
        problem(await api.post("/v1/redemptions/r-1/reverse", partial), 422, "invalid")
        problem(await api.client.post("/v1/redemptions", json=good), 422, "invalid")
        problem(await api.post("/v1/redemptions", good, "a key"), 422, "invalid")
        problem(await api.post("/v1/redemptions", good, wait_ms=30_001), 422, "invalid")
        twice = b'{"programme": "a", "programme": "b"}'
        for raw in (b"{", twice, b"[]", b'{"a": NaN}', b"\xff"):
            headers = key() | {"Content-Type": "application/json"}
            problem(await api.client.post("/v1/redemptions", content=raw, headers=headers), 400, "malformed")
        assert await api.ledger.adopt("redress.redemption") == []


async def test_a_body_has_a_limit(stack: Stack, database: str, topic_prefix: str) -> None:
    async def in_parts() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 4096

    async with running_api(stack.kafka, database, topic_prefix, worker=False) as api:
        headers = key() | {"Content-Type": "application/json"}
        declared = await api.client.post("/v1/redemptions", content=b" " * 65_537, headers=headers)
        streamed = await api.client.post("/v1/redemptions", content=in_parts(), headers=headers)

        problem(declared, 413, "too-large")
        problem(streamed, 413, "too-large")


async def test_two_callers_have_sources_of_their_own(stack: Stack, database: str, topic_prefix: str) -> None:
    async with welcomed(stack, database, topic_prefix, ANN) as (api, events):
        body = request(events, ANN, "r-1", 15_000)
        first = await api.post("/v1/redemptions", body, "k-1")
        theirs = bearer(token("redeem", sub="shop/äpfel " + "x" * 200)) | key("k-1")
        second = await api.client.post("/v1/redemptions", json=body, headers=theirs)

        assert first.json()["cause"]["source"] == SOURCE
        assert second.status_code == 200
        assert len(second.json()["cause"]["source"]) <= 128
        assert second.json()["seq"] == first.json()["seq"] + 1
