"""Entries that come out alike: grants to people never heard of, and issues of promises that nobody has touched.

They are nearly all of a programme's entries. What RULES section 5 makes of them depends on their wave alone, so one
form stands for all, and only person, number and time are put in: no state of a person is built for it. Whatever does
not fit is `decide`'s. That both ways come to the same is tested on the bytes the ledger stores.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from redress.domain.accounts import ENTITLED, ISSUED_AVAILABLE, ISSUED_UNCLAIMED, Posting
from redress.domain.event import Event, Granted, Issued, Standing
from redress.domain.ids import FAR_PAST, BeneficiaryId, Instant, VoucherId, compute_voucher_id
from redress.domain.lot import Lot
from redress.domain.programme import Wave
from redress.domain.shard import Shard
from redress.domain.terms import Claim
from redress.domain.time import FACT_TOLERANCE


@dataclass(slots=True, eq=False)
class Form:
    """What a wave makes of such events: one line of `posting` per lot, all effective at the same time."""

    of: type[Granted] | type[Issued]
    wave: Wave
    posting: Posting
    lots: list[Lot]


@dataclass(slots=True)
class Alike:
    """An accepted entry by its form. `vouchers`, in order of the lots, of an issue; `prev_seq` as in `Entry`."""

    form: Form
    seq: int
    event: Event
    data: Granted | Issued
    effective: Instant
    vouchers: list[VoucherId]
    prev_seq: int | None

    @property
    def is_due(self) -> bool:
        """Whether issuance is due by it: a former member joins again first."""
        return isinstance(self.data, Granted) and self.data.standing is Standing.MEMBER


def form_of(shard: Shard, data: Granted | Issued) -> Form | None:
    """The form of such an event; None where each must be looked at: no such wave, or a lot that was closed once."""
    wave = shard.wave(data.programme, data.wave)
    if wave is None:
        return None
    lots = [wave.lots[benefit.code] for benefit in wave.terms.benefits]
    if any(not lot.is_open or lot.reopened_at != FAR_PAST for lot in lots):
        return None
    if isinstance(data, Granted):
        return Form(Granted, wave, ENTITLED, lots)
    return Form(Issued, wave, ISSUED_UNCLAIMED if wave.terms.claim is Claim.REQUIRED else ISSUED_AVAILABLE, lots)


def take_grant(shard: Shard, form: Form, event: Event, data: Granted) -> Alike | None:
    """Take a grant to somebody never heard of, if it can be taken so."""
    if event.time > shard.clock(event.time) + FACT_TOLERANCE:
        return None
    return Alike(form, _next_seq(shard), event, data, _effective(shard, event, FAR_PAST), [], None)


def take_issue(
    shard: Shard, form: Form, event: Event, data: Issued, promised_at: Instant, prev_seq: int
) -> Alike | None:
    """Take an issue, if it can be taken so, of what was promised at `promised_at` and not touched since."""
    if event.time > shard.clock(event.time) + FACT_TOLERANCE:
        return None
    vouchers = _due(form, data.beneficiary)
    if len(data.vouchers) != len(vouchers):
        return None
    for issued, voucher, lot in zip(data.vouchers, vouchers, form.lots, strict=True):
        if issued.voucher != voucher or issued.benefit != lot.key.benefit or issued.amount != lot.benefit.amount:
            return None
    return Alike(form, _next_seq(shard), event, data, _effective(shard, event, promised_at), vouchers, prev_seq)


def book(taken: Iterable[Alike]) -> None:
    """Move the amounts of lots and waves, for all of a batch at once: nothing about single people reads them."""
    latest: dict[Form, Instant] = {}
    number: Counter[Form] = Counter()
    for alike in taken:
        number[alike.form] += 1
        latest[alike.form] = max(alike.effective, latest.get(alike.form, FAR_PAST))
    for form, n in number.items():
        for lot in form.lots:
            lot.balances[form.posting.debit] -= n * lot.benefit.amount
            lot.balances[form.posting.credit] += n * lot.benefit.amount
            lot.last_line = max(lot.last_line, latest[form])
            lot.vouchers_open += n if form.of is Issued else 0
        count = form.wave.count
        if form.of is Granted:
            count.granted += n
            count.entitled_amount += n * form.wave.amount
        else:
            count.issued += n
            count.issued_amount += n * form.wave.amount


def _next_seq(shard: Shard) -> int:
    shard.next_seq += 1
    return shard.next_seq - 1


def _effective(shard: Shard, event: Event, last: Instant) -> Instant:
    return min(max(event.time, last), shard.clock(event.time))


def _due(form: Form, beneficiary: BeneficiaryId) -> list[VoucherId]:
    opened = form.wave.opened
    return [compute_voucher_id(opened.programme, opened.wave, beneficiary, lot.key.benefit) for lot in form.lots]
