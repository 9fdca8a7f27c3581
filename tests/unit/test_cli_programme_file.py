"""A programme as a TOML file: the events it stands for, or what is wrong with it and where."""

from pathlib import Path

import pytest

from redress.contracts.instants import parse_instant
from redress.domain.event import ProgrammePublished, WaveOpened
from redress.domain.ids import Instant
from redress.domain.terms import Claim, OncePer, Remainder, Restore
from redress.runtime.publish.control import control_record
from redress.runtime.publish.programme_file import ProgrammeFileError, read_programme

EXAMPLE = Path(__file__).parents[2] / "deploy" / "examples" / "voucher-programme.toml"


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert old in text
    file = tmp_path / "changed.toml"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return file


def test_the_example_is_the_programme_of_the_design() -> None:
    published, *waves = read_programme(EXAMPLE)

    assert isinstance(published, ProgrammePublished)
    terms = published.terms
    assert (terms.currency, terms.timezone, terms.claim) == ("KRW", "Asia/Seoul", Claim.REQUIRED)
    assert (terms.remainder, terms.restore) == (Remainder.FORFEITED, Restore.WHOLE_ORDER_BEFORE_EXPIRY)
    assert (terms.vouchers_per_order, terms.once_per) == (1, OncePer.PROGRAMME)
    assert [benefit.amount for benefit in terms.benefits] == [5_000, 5_000, 20_000, 20_000]
    per_person = sum(benefit.amount for benefit in terms.benefits)
    totals = []
    for wave in waves:
        assert isinstance(wave, WaveOpened)
        assert wave.expected is not None
        assert wave.expected.amount == wave.expected.beneficiaries * per_person
        assert wave.valid_until == parse_instant("2026-04-16T00:00:00+09:00")
        totals.append((wave.expected.beneficiaries, wave.expected.amount))
    assert totals == [(33_700_000, 1_685_000_000_000), (165_000, 8_250_000_000)]


def test_publishing_a_file_again_sends_the_same_ids_whenever_that_is() -> None:
    first = [control_record(event, "main", Instant(1_000_000)) for event in read_programme(EXAMPLE)]
    second = [control_record(event, "main", Instant(1_000_000)) for event in read_programme(EXAMPLE)]

    assert first == second
    assert len({record.value for record in first}) == len(first)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[programme]", "[programme", "not TOML"),
        ('currency = "KRW"', 'currency = "won"', r"\[programme\]: currency: "),
        ("amount = 5_000", "amount = 5_000.0", r"\[programme\]: benefits.0.amount: "),
        ("vouchers_per_order", "voucher_per_order", r"\[programme\]: voucher_per_order: unknown field"),
        ('claim = "required"', "", r"\[programme\]: claim: missing"),
        ('code = "travel"', 'code = "food-delivery"', r"\[programme\]: a benefit's code is given twice"),
        ("[[wave]]", "[wave]", r"not TOML|write it as \[\[wave\]\]"),
        ("+09:00", "", r"\[\[wave\]\] 1: valid_from: "),
        ('wave = "second"', 'wave = "first"', r"\[\[wave\]\] 2: wave: given twice"),
        ('wave = "second"', 'programme = "other"\nwave = "second"', r"\[\[wave\]\] 2: programme: "),
        ("2026-04-16T00:00:00+09:00", "2026-01-14T00:00:00+09:00", r"\[\[wave\]\] 1: valid_until is not after"),
        ("[[wave]]", "[other]\nx = 1\n\n[[wave]]", r"\[other\]: only"),
    ],
)
def test_what_is_wrong_is_said_with_file_table_and_field(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = changed(tmp_path, old, new)

    with pytest.raises(ProgrammeFileError, match=said) as caught:
        read_programme(file)
    assert str(caught.value).startswith(str(file))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProgrammeFileError, match=r"nothing.toml: No such file"):
        read_programme(tmp_path / "nothing.toml")
