"""The walk-through of docs/api.md is run as it is printed: login, draft and submission with nothing but curl."""

import asyncio

from deploy.local.processes import ROOT, inherited
from tests.docs.pages import page


async def test_the_printed_lines_hand_in_a_case(stack, tmp_path):
    lines = page("api.md").split("```sh\n")[1].split("```")[0]
    lines = lines.replace("http://127.0.0.1:8000", stack.api).replace(":18101", f":{stack.sandbox_port + 1}")
    lines = lines.replace(".run/", f"{tmp_path}/")
    shell = await asyncio.create_subprocess_exec(
        "bash", "-euo", "pipefail", "-c", "TOKEN=; " + lines, cwd=ROOT, env=inherited(),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output = (await asyncio.wait_for(shell.communicate(), 60))[0].decode()
    assert shell.returncode == 0, output
    assert '"status":"submitted"' in output
    assert '"query_password"' in output
    assert '"action":"pay"' in output
