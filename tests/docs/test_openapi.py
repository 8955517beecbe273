"""docs/openapi.json is what the product serves, byte for byte; `make openapi` writes it."""

import subprocess
import sys

import msgspec

from miniprogram_api import operations
from miniprogram_api.app import load_endpoints
from tests.docs.pages import ROOT, page


def test_the_checked_in_document_is_the_served_one():
    load_endpoints()
    assert page("openapi.json").encode() == operations.description() + b"\n", "run: make openapi"


def test_the_export_needs_no_configuration():
    done = subprocess.run(
        [sys.executable, "-m", "miniprogram_api.export"], cwd=ROOT, env={"PATH": ""}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode() == page("openapi.json")


def test_every_operation_says_in_chinese_what_it_is_for():
    document = msgspec.json.decode(page("openapi.json"))
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert any("一" <= sign <= "鿿" for sign in operation["summary"]), f"{method} {path}"
