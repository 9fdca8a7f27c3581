"""Reads over HTTP: people, vouchers with their history, programmes and their figures."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from redress.api.gate import Gate
from redress.api.problems import ProblemError
from redress.runtime.local import Stack
from tests.harness.events import DAY, START, Events, people
from tests.harness.running_api import RunningApi, running_api
from tests.oracle.scenario import WON

ANN, BEN, CAY, DEE = people(4, seed=6)


async def lively(api: RunningApi, events: Events) -> None:
    """Vouchers in every status: held, redeemed, unclaimed, declined, then a lot that lapsed."""
    await api.ledger.send_all([*events.begin(), events.granted(ANN), events.granted(BEN)])
    await api.until(f"/v1/beneficiaries/{BEN}", lambda response: bool(response.json()["vouchers"]))
    await api.until(f"/v1/beneficiaries/{ANN}", lambda response: bool(response.json()["vouchers"]))
    await api.ledger.send_all(
        [
            events.claimed(ANN),
            events.claimed(ANN, "all"),
            events.requested(ANN, "r-1", 15_000),
            events.captured(ANN, "r-1", 15_000),
            events.requested(ANN, "r-2", 5_000, "all"),
            events.requested(BEN, "r-3", 5_000),
            events.granted(CAY, standing="former_member"),
        ]
    )
    await api.ledger.settled()


async def agrees_with_finance(api: RunningApi, person: str) -> None:
    """Every figure of a look-up is the view's."""
    shown = {each["voucher"]: each for each in (await api.client.get(f"/v1/beneficiaries/{person}")).json()["vouchers"]}
    rows = [row for row in await api.ledger.view("voucher_balance") if row["beneficiary"] == person]
    assert shown.keys() == {row["voucher"] for row in rows}
    for row in rows:
        names = row.keys() - {"beneficiary", "standing", "valid_from", "valid_until"}
        assert {name: shown[row["voucher"]][name] for name in names} == {name: row[name] for name in names}


async def test_a_person_is_looked_up_as_finance_sees_it(stack: Stack, database: str, topic_prefix: str) -> None:
    events = Events()
    async with running_api(stack.kafka, database, topic_prefix) as api:
        await lively(api, events)
        ann = (await api.client.get(f"/v1/beneficiaries/{ANN}")).json()
        cay = (await api.client.get(f"/v1/beneficiaries/{CAY}")).json()

        assert {each["benefit"]: each["status"] for each in ann["vouchers"]} == {
            "all": "held",
            "eats": "unclaimed",
            "travel": "redeemed",
            "beauty": "unclaimed",
        }
        assert [(e["standing"], e["issued"]) for e in ann["entitlements"]] == [("member", True)]
        assert [(e["standing"], e["issued"]) for e in cay["entitlements"]] == [("former_member", False)]
        assert sum(benefit["amount"] for benefit in cay["entitlements"][0]["benefits"]) == 50_000
        await agrees_with_finance(api, ANN)

        await api.ledger.send_all([events.tick(START + 31 * DAY)])
        await api.ledger.settled()
        await api.until(
            f"/v1/beneficiaries/{BEN}", lambda response: response.json()["vouchers"][0]["status"] == "expired"
        )
        await agrees_with_finance(api, ANN)
        await agrees_with_finance(api, BEN)


async def test_benefits_are_listed_in_the_order_of_their_terms_whatever_was_written_last(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    events = Events()
    async with running_api(stack.kafka, database, topic_prefix) as api:
        # given a lot whose row was written again, so that Postgres has it behind the others; nothing is issued yet
        later = [events.published(), events.opened(valid_from=START + 9 * DAY), events.tick()]
        await api.ledger.send_all([*later, events.granted(ANN)])
        await api.ledger.settled()
        await api.ledger.send_all([events.lot_revoked("all")])
        await api.ledger.settled()

        (entitlement,) = (await api.client.get(f"/v1/beneficiaries/{ANN}")).json()["entitlements"]

    codes = [benefit["code"] for benefit in WON["benefits"]]
    assert [benefit["benefit"] for benefit in entitlement["benefits"]] == codes


async def test_unknown_and_not_entitled_get_the_same_answer(stack: Stack, database: str, topic_prefix: str) -> None:
    events = Events()
    async with running_api(stack.kafka, database, topic_prefix) as api:
        withdrawn = events.granted(DEE)
        withdrawal = events._personal(
            "redress.eligibility", "redress.eligibility.withdrawn.v1", DEE, wave=events.wave, reason="account_invalid"
        )
        later = [events.published(), events.opened(valid_from=START + 9 * DAY), events.tick()]
        await api.ledger.send_all([*later, withdrawn, withdrawal])
        await api.ledger.settled()

        unknown, known = str(uuid4()), await api.client.get(f"/v1/beneficiaries/{DEE}")
        other = await api.client.get(f"/v1/beneficiaries/{unknown}")

        assert known.status_code == other.status_code == 200
        assert known.json() == {"beneficiary": DEE, "entitlements": [], "vouchers": []}
        assert other.text == known.text.replace(DEE, unknown)
        assert {k: v for k, v in known.headers.items() if k != "date"} == dict(other.headers)


async def test_a_voucher_is_found_by_its_id_with_its_history(stack: Stack, database: str, topic_prefix: str) -> None:
    events = Events()
    async with running_api(stack.kafka, database, topic_prefix) as api:
        await lively(api, events)
        await api.ledger.send_all([events.tick(START + 31 * DAY)])
        await api.ledger.settled()
        voucher = events.voucher(ANN, "travel")
        found = await api.client.get(f"/v1/vouchers/{voucher}")
        whole = (await api.client.get(f"/v1/vouchers/{voucher}/history")).json()
        paged: list[Any] = []
        path: str | None = f"/v1/vouchers/{voucher}/history?limit=1"
        while path is not None:
            page = (await api.client.get(path)).json()
            paged += page["entries"]
            path = page["next"]

        assert (found.json()["beneficiary"], found.json()["status"]) == (ANN, "redeemed")
        kinds = [entry["type"].removeprefix("redress.").removesuffix(".v1") for entry in whole["entries"]]
        assert kinds == [
            "clock.ticked",
            "redemption.captured",
            "redemption.requested",
            "voucher.claimed",
            "voucher.issued",
            "eligibility.granted",
        ]
        assert [line["movement"] for line in whole["entries"][1]["lines"]] == ["redeemed", "forfeited"]
        assert paged == whole["entries"]
        assert whole["next"] is None
        for wrong in (str(uuid4()), events.voucher(str(uuid4()), "travel"), events.voucher(CAY, "travel")):
            for suffix in ("", "/history"):
                assert (await api.client.get(f"/v1/vouchers/{wrong}{suffix}")).status_code == 404


async def test_a_page_of_history_begins_only_at_the_persons_own_entries(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    events = Events()
    async with running_api(stack.kafka, database, topic_prefix) as api:
        await lively(api, events)
        path = f"/v1/vouchers/{events.voucher(ANN, 'travel')}/history"
        row = await api.ledger.database.fetchrow("select shard from redress.state where beneficiary::text = $1", ANN)
        assert row is not None
        strange = await api.ledger.database.fetchval(
            "select min(seq) from redress.journal where shard = $1 and beneficiary is distinct from $2::text::uuid",
            row["shard"],
            ANN,
        )

        for wrong in (strange, 10**9, 0, "x"):
            assert (await api.client.get(path, params={"from": wrong})).status_code == 422
        assert (await api.client.get(path, params={"limit": 201})).status_code == 422


async def test_a_redemption_of_nobody_is_not_found(stack: Stack, database: str, topic_prefix: str) -> None:
    async with running_api(stack.kafka, database, topic_prefix, worker=False) as api:
        assert (await api.client.get("/v1/redemptions/r-1", params={"beneficiary": ANN})).status_code == 404
        assert (await api.client.get("/v1/redemptions/r-1")).status_code == 422
        assert (await api.client.get("/v1/redemptions/r-1", params={"beneficiary": "ann"})).status_code == 422


async def test_programmes_and_their_figures(stack: Stack, database: str, topic_prefix: str) -> None:
    events = Events()
    async with running_api(stack.kafka, database, topic_prefix) as api:
        await lively(api, events)
        base = f"/v1/programmes/{events.programme}"
        programme = (await api.client.get(base)).json()
        wave = (await api.client.get(f"{base}/waves/{events.wave}")).json()
        liability = (await api.client.get(f"{base}/liability", params={"by": "wave,benefit"})).json()
        past = (await api.client.get(f"{base}/liability?as_of=2026-01-09T00:00:00+09:00&known_at=2026-01-09")).json()
        rolled = (await api.client.get(f"{base}/roll-forward", params={"from": "2026-01-10", "by": "benefit"})).json()
        outstanding = sum(row["outstanding"] for row in await api.ledger.view("outstanding_liability"))

        assert [lot["benefit"] for lot in programme["lots"]] == [each["code"] for each in events.terms["benefits"]]
        assert (wave["granted"], wave["issued"], wave["not_issued"]) == (3, 2, 1)
        assert liability["totals"]["KRW"]["outstanding"] == outstanding == 150_000 - 20_000
        assert {row["benefit"] for row in liability["rows"]} == {lot["benefit"] for lot in programme["lots"]}
        assert past["totals"]["KRW"]["outstanding"] == 0
        assert rolled["proved"] is True
        assert sum(row["closing"] for row in rolled["rows"]) == outstanding
        for path in ("", "/liability", "/roll-forward", "/waves/first"):
            assert (await api.client.get(f"/v1/programmes/none{path}")).status_code == 404
        assert (await api.client.get(f"{base}/waves/none")).status_code == 404
        for query in ("as_of=yesterday", "known_at=2026-02-30", "by=voucher"):
            said = await api.client.get(f"{base}/liability?{query}")
            assert said.status_code == 422
            assert said.json()["errors"][0]["field"] == f"query.{query.partition('=')[0]}"
        backwards = await api.client.get(f"{base}/roll-forward?from=2026-02-01&to=2026-01-31")
        assert (backwards.status_code, backwards.json()["errors"][0]["field"]) == (422, "query.to")


async def test_a_programme_of_many_waves_comes_page_by_page(stack: Stack, database: str, topic_prefix: str) -> None:
    events, other = Events(), Events({**WON, "programme": "another"}, source="/other")
    async with running_api(stack.kafka, database, topic_prefix) as api:
        await api.ledger.send_all([*events.begin(), other.published(), other.opened()])
        await api.ledger.send_all(events.opened(wave=f"w-{number}") for number in range(4))
        await api.ledger.settled()
        path: str | None = f"/v1/programmes/{events.programme}?limit=2"
        pages = []
        while path is not None:
            pages.append((await api.client.get(path)).json())
            path = pages[-1]["next"]
        whole = (await api.client.get(f"/v1/programmes/{events.programme}")).json()

        assert [[wave["wave"] for wave in page["waves"]] for page in pages] == [
            ["first", "w-0"],
            ["w-1", "w-2"],
            ["w-3"],
        ]
        assert [{lot["wave"] for lot in page["lots"]} for page in pages] == [{"first", "w-0"}, {"w-1", "w-2"}, {"w-3"}]
        assert [wave for page in pages for wave in page["waves"]] == whole["waves"]
        assert [lot for page in pages for lot in page["lots"]] == whole["lots"]
        assert all(page["versions"] == whole["versions"] for page in pages)
        assert whole["next"] is None
        assert (await api.client.get(f"/v1/programmes/{events.programme}?limit=501")).status_code == 422


async def test_a_gate_turns_away_what_is_too_much() -> None:
    gate = Gate(1, waiting_max=1, wait_seconds_max=0.01)
    async with gate.enter():
        waiting = asyncio.create_task(_pass(gate))
        await asyncio.sleep(0)
        with pytest.raises(ProblemError) as at_once:
            await _pass(gate)
        with pytest.raises(ProblemError):
            await waiting
    await _pass(gate)

    assert at_once.value.kind.status == 503
    assert gate.turned_away == 2


async def _pass(gate: Gate) -> None:
    async with gate.enter():
        pass


async def test_a_storm_of_look_ups_is_shed_and_not_fallen_over(stack: Stack, database: str, topic_prefix: str) -> None:
    async with running_api(stack.kafka, database, topic_prefix, worker=False, connections=12) as api:
        async with api.ledger.database.transaction():
            await api.ledger.database.execute("lock table redress.lot in access exclusive mode")
            storm = [asyncio.create_task(api.client.get(f"/v1/beneficiaries/{ANN}")) for _ in range(30)]
            done, _ = await asyncio.wait(storm, return_when=asyncio.FIRST_COMPLETED)
            shed = next(iter(done)).result()
        answers = await asyncio.gather(*storm)

        assert shed.status_code == 503
        assert shed.headers["retry-after"] == "1"
        assert shed.json()["type"] == "urn:redress:problem:overloaded"
        assert {answer.status_code for answer in answers} == {200, 503}
        assert (await api.client.get(f"/v1/beneficiaries/{ANN}")).status_code == 200
