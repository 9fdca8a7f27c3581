"""`redress token`: what it prints, the API of the same state folder takes."""

import stat
from pathlib import Path

import pytest

from redress.api.auth import Verifier
from redress.cli.api import verifier_of
from redress.cli.main import run
from redress.runtime.local.keys import ensure_key_pair, private_key_file
from redress.runtime.settings import Settings, SettingsError


def test_a_token_is_taken_by_the_api_of_the_same_state_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDRESS_STATE", str(tmp_path))

    assert run(["token", "--scope", "read", "--sub", "till"]) == 0
    caller = verifier_of(Settings(state=tmp_path)).verify(f"Bearer {capsys.readouterr().out.strip()}")

    assert (caller.subject, caller.scopes) == ("till", frozenset({"read"}))
    assert stat.S_IMODE(private_key_file(tmp_path).stat().st_mode) == 0o600
    assert run(["token", "--scope", "everything"]) == 2


def test_a_key_pair_stays(tmp_path: Path) -> None:
    first = ensure_key_pair(tmp_path).read_bytes()

    assert ensure_key_pair(tmp_path).read_bytes() == first


@pytest.mark.parametrize("process", ["all", "api"])
def test_without_a_key_the_api_of_other_servers_says_in_one_line_what_to_set_or_run(
    process: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("REDRESS_KAFKA", "kafka:9092")
    monkeypatch.setenv("REDRESS_POSTGRES", "postgresql://redress:x@db/redress")
    monkeypatch.setenv("REDRESS_STATE", str(tmp_path))

    status = run(["run", process])
    said = capsys.readouterr()

    assert (status, said.out) == (2, "")
    assert said.err.startswith("redress: REDRESS_API_PUBLIC_KEY: ")
    assert "`redress run worker`" in said.err
    assert said.err.count("\n") == 1


def test_other_servers_need_a_key_of_their_own(tmp_path: Path) -> None:
    servers = {"kafka": "kafka:9092", "postgres": "postgresql://redress:x@db/redress", "state": tmp_path}
    pem = ensure_key_pair(tmp_path)

    with pytest.raises(SettingsError, match="REDRESS_API_PUBLIC_KEY"):
        verifier_of(Settings.model_validate(servers))
    with pytest.raises(SettingsError, match="RS256"):
        verifier_of(Settings.model_validate(servers | {"api_public_key": str(pem), "api_algorithm": "RS256"}))
    with pytest.raises(SettingsError, match="No such file"):
        verifier_of(Settings.model_validate(servers | {"api_public_key": str(tmp_path / "none")}))
    for given in (str(pem), pem.read_text()):
        assert isinstance(verifier_of(Settings.model_validate(servers | {"api_public_key": given})), Verifier)
