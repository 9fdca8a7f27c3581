"""Numbers for lots and waves: packed rows name them by two bytes.

They are given in the order in which the programme topic brings them, which is the same for every shard. They do not run
out: no lot comes after `LOTS_MAX`, and every wave has one.
"""

from typing import Final

from redress.domain.entry import Entry, LotKey, Outcome
from redress.domain.event import ProgrammePublished, WaveOpened
from redress.domain.ids import UNKNOWN_BENEFIT, UNKNOWN_WAVE, ProgrammeCode, WaveCode
from redress.domain.shard import Shard

FOUND_KEPT: Final = 4
"""How many lots are tried first for a voucher that is sought: those of a wave of our days."""

WaveKey = tuple[ProgrammeCode, WaveCode]


class Numbering:
    """Both ways between names and numbers, from 1 on."""

    def __init__(self) -> None:
        self.lots: dict[LotKey, int] = {}
        self.lot_keys: dict[int, LotKey] = {}
        self.waves: dict[WaveKey, int] = {}
        self.wave_keys: dict[int, WaveKey] = {}
        self.packed_keys: dict[bytes, LotKey] = {}
        """Lots by the two bytes that a packed row has for their number."""
        self.found: list[bytes] = []
        """Packed numbers of lots whose vouchers were found, the last one first: a hint where to look first."""

    def add_lot(self, key: LotKey, number: int | None = None) -> None:
        """Give a lot its number; None: the next."""
        number = len(self.lots) + 1 if number is None else number
        self.lots[key] = number
        self.lot_keys[number] = key
        self.packed_keys[number.to_bytes(2, "big")] = key

    def add_wave(self, key: WaveKey, number: int | None = None) -> None:
        """Give a wave its number; None: the next."""
        number = len(self.waves) + 1 if number is None else number
        self.waves[key] = number
        self.wave_keys[number] = key

    def found_in(self, lot: bytes) -> None:
        """A voucher was found in the lot of this packed number."""
        if lot in self.found:
            self.found.remove(lot)
        self.found.insert(0, lot)
        del self.found[FOUND_KEPT:]

    def follow(self, shard: Shard, entry: Entry) -> None:
        """Number what a control entry brought. `shard` has the entry applied."""
        if entry.outcome is not Outcome.ACCEPTED:
            return
        match entry.happening:
            case ProgrammePublished(terms):
                reserved = LotKey(terms.programme, UNKNOWN_WAVE, UNKNOWN_BENEFIT)
                if reserved not in self.lots:
                    self.add_lot(reserved)
            case WaveOpened(programme=programme, wave=wave):
                self.add_wave((programme, wave))
                for benefit in shard.programmes[programme].waves[wave].terms.benefits:
                    self.add_lot(LotKey(programme, wave, benefit.code))
            case _:
                pass
