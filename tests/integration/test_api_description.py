"""The OpenAPI document: what it says is what the API does."""

import asyncio
import sys
from pathlib import Path
from typing import Final

from redress.contracts.examples import BENEFICIARY, PROGRAMME, REDEMPTION, WAVE
from redress.runtime.local import Stack
from tests.harness.events import Events
from tests.harness.running_api import running_api, token
from tests.integration.test_api_redemptions import claim, issued, request
from tests.oracle.scenario import WON

ANN: Final = str(BENEFICIARY)
EXAMPLES: Final = 10
"""Per route and phase. More by hand, with the same command."""
# What no schema can say: that a key was used with another body, that lines go with a scope, that a day is none of the
# calendar, that no page begins there. There a valid document may be refused with 422.
CONFIG: Final = """
[parameters]
wait_ms = 20

[[operations]]
include-method = "POST"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "422", "5xx"]

[[operations]]
include-path-regex = "liability|roll-forward|history"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "422", "5xx"]
"""
COMMAND: Final = (
    *("run", "--checks", "all", "--max-examples", str(EXAMPLES), "--phases", "examples,coverage,fuzzing,stateful"),
    *("--seed", "1", "--request-timeout", "60", "--generation-database", "none", "--no-color"),
    *("--exclude-path", "/metrics"),
)


async def test_generated_requests_find_nothing_that_the_description_does_not_say(
    stack: Stack, database: str, topic_prefix: str, tmp_path: Path
) -> None:
    events = Events({**WON, "programme": PROGRAMME}, WAVE)  # what the examples of the description are about
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    async with running_api(stack.kafka, database, topic_prefix) as api:
        await api.ledger.send_all([*events.begin(), events.granted(ANN)])
        await issued(api, ANN)
        await claim(api, events, ANN)
        await api.post("/v1/redemptions", request(events, ANN, REDEMPTION, 10))
        checking = await asyncio.create_subprocess_exec(
            *(Path(sys.executable).with_name("schemathesis"), "--config-file", config, *COMMAND),
            *("--header", f"Authorization: Bearer {token()}", f"{api.url}/openapi.json"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await checking.communicate()

    assert checking.returncode == 0, output.decode()
