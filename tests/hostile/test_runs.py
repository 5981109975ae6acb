"""Training runs that are killed at their file operations and at any moment, two in one folder, disks that are full or read-only.

About a minute; the environment variable HOSTILE_ROUNDS makes each series longer (40: ten minutes; 160: every operation)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import child_environment

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork")
SERIES = ({"killed_at_operations": 12, "read_only": 1}, {"killed_at_moments": 4, "two_at_once": 3, "full_disk": 4})


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict:
    """What each series found; two processes share the work."""
    children, rounds = [], os.environ.get("HOSTILE_ROUNDS")
    for k, series in enumerate(SERIES):
        script, folder = Path(__file__).with_name("small_run.py"), tmp_path_factory.mktemp("hostile") / f"{k}"
        command = [sys.executable, script, folder, *(f"{name}={rounds or n}" for name, n in series.items())]
        children.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=child_environment(OMP_NUM_THREADS="1")))
    lines = [line for child in children for line in child.communicate()[0].splitlines()]
    return {report["name"]: report for report in map(json.loads, lines)}


@pytest.mark.parametrize("name", [name for series in SERIES for name in series])
def test_nothing_is_lost(name, reports):
    assert reports[name]["operations"] > 100 and reports[name]["tried"] > 1, reports[name]
    assert reports[name]["wrong"] == []
    print(reports[name])
