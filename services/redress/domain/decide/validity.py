"""Which term a use of a voucher breaks: shared by the request, which it refuses, and by facts, which are settled."""

from redress.domain.beneficiary import Beneficiary
from redress.domain.entry import Reason
from redress.domain.ids import Instant, ProgrammeCode, ServiceCode, VoucherId, is_owned
from redress.domain.lot import LotStatus
from redress.domain.shard import Shard
from redress.domain.terms import ANY_SERVICE


def broken_term(
    shard: Shard,
    person: Beneficiary,
    programme: ProgrammeCode,
    service: ServiceCode | None,
    voucher_id: VoucherId,
    x: Instant,
    *,
    usable: bool = False,
) -> Reason | None:
    """The first term, up to the voucher's validity, that a use at `x` would break. `usable`: its lot counts as such."""
    if not is_owned(voucher_id, person.id):
        return Reason.NOT_OWNER
    voucher = person.issued_voucher(programme, voucher_id)
    if voucher is None:
        return Reason.UNKNOWN_VOUCHER
    lot = shard.lot(voucher.lot)
    if service is not None and lot.benefit.service not in (service, ANY_SERVICE):
        return Reason.WRONG_SERVICE
    if voucher.is_revoked or (not usable and lot.status is LotStatus.REVOKED and x >= lot.closed_at):
        return Reason.REVOKED
    if voucher.declined:
        return Reason.DECLINED
    if usable:
        return None
    if x >= lot.valid_until:
        return Reason.EXPIRED
    return Reason.NOT_YET_VALID if x < lot.valid_from else None
