"""`redress demo`, as a user runs it, at a size that takes seconds."""

import json
import os
import subprocess
import sys
from pathlib import Path

from redress.runtime.local import Stack

PEOPLE = 300
SECONDS_MAX = 150


def _demo(stack: Stack, state: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {
        "REDRESS_KAFKA": stack.kafka,
        "REDRESS_POSTGRES": stack.postgres,
        "REDRESS_STATE": str(state),
    }
    command = [sys.executable, "-m", "redress.cli.main", "demo", *arguments]
    return subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_the_demo_tells_its_story_and_every_figure_agrees(stack: Stack, tmp_path: Path) -> None:
    ended = _demo(stack, tmp_path, "--beneficiaries", str(PEOPLE), "--json")

    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["agrees"] is True
    figures = {figure["name"]: figure for figure in told["figures"]}
    assert figures["entitled"]["ledger"] == PEOPLE * 50_000
    assert figures["outstanding: the extension ends"]["ledger"] == 0
    assert figures["exception"]["ledger"] > 0
    for reason in ("already_redeemed", "expired", "not_claimed", "not_owner", "wrong_service"):
        assert figures[f"refused {reason}"]["ledger"] > 0, reason


def test_a_demo_too_small_for_its_story_is_refused(stack: Stack, tmp_path: Path) -> None:
    ended = _demo(stack, tmp_path, "--beneficiaries", "5")

    assert ended.returncode == 2
    assert "beneficiaries" in ended.stderr
