"""The worked example of the rules (section 10), step by step."""

from redress.domain.entry import Reason
from tests.unit.domain.given import KR, Given, at


def test_the_worked_example() -> None:
    given = Given()
    given.publishes(KR)
    given.opens("w1", "01-15 10:00", "04-16")
    given.tick("01-10")

    granted = given.granted()
    granted.accepted("entitled 20000")
    assert granted.entry.lines[0].shown_voucher is None

    given.tick("01-15 10:00")
    given.issued().accepted("issued 20000 unclaimed")

    given.tick("01-16")
    given.claimed().accepted("claimed 20000")

    given.tick("02-01")
    given.requested("R1", 15_000).accepted("reserved 15000")
    given.requested("R2", 5_000).refused(Reason.ALREADY_RESERVED)
    given.captured("R1", 15_000).accepted("redeemed 15000 held", "forfeited 5000 available")

    given.tick("02-03")
    given.reversed("R1", 4_000).accepted("cancelled 4000")

    given.tick("02-04")
    given.reversed("R1").accepted("restored 11000 clearing", "restored 5000 forfeited")

    given.tick("04-15 23:58")
    given.requested("R3", 16_000).accepted("reserved 16000")

    lapse = given.tick("04-16")
    lapse.accepted()
    assert lapse.names == ["lapse"]
    assert lapse.entry.occurred_at == lapse.entry.effective_at == at("04-16", -1)

    given.tick("04-16 00:04")
    released = given.released("R3")
    released.accepted("released 16000", "expired 16000 available by lot")
    assert released.times == [at("04-16 00:04")] * 2

    given.tick("04-17")
    late = given.recorded("R4", 1_000, x="04-15 22:00")
    late.accepted(
        "expiry_reversed 1000 available by lot",
        "redeemed 1000 available",
        "expiry_reversed 15000 available by lot",
        "forfeited 15000 available",
    )
    assert late.times == [at("04-16 00:04")] * 4

    given.tick("04-20")
    given.extends("05-01").accepted()

    assert given.amounts() == {
        "redemption_clearing": 1_000,
        "breakage_forfeited": 15_000,
        "breakage_cancelled": 4_000,
    }
    balances = {account.value: balance for account, balance in given.lot().balances.items() if balance}
    assert balances == {
        "programme_grant": -20_000,
        "redemption_clearing": 1_000,
        "breakage_forfeited": 15_000,
        "breakage_cancelled": 4_000,
    }
    assert given.status() == "redeemed"
