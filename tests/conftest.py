"""What several test files need."""

import socket

import pytest


@pytest.fixture
def free_port() -> str:
    """A port of this machine that nobody listens on, for processes that meet there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
