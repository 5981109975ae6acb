"""What several test files need."""

import os
import socket
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def child_environment(**changes: str) -> dict[str, str]:
    """For a process that finds the package here, and all else where this process finds it; on the CPU."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path, "SIMPLE_MASKRCNN_DEVICE": "cpu"} | changes


@pytest.fixture
def free_port() -> str:
    """A port of this machine that nobody listens on, for processes that meet there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
