#!/usr/bin/env bash
# One would guess: a file that safetensors writes may be read by whom the umask lets, as any other new file.
# What happens: whatever the umask says, only its owner may read it (mode 0600); config.json beside it has 0644.
# Users meet: a network on a shared disk whose settings all can read and whose weights nobody else can; web servers and
#   containers under another user say "permission denied".
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  safetensors==0.8.0 numpy
venv/bin/python - <<'P'
import os
from importlib.metadata import version
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

os.umask(0o022)
save_file({"x": np.zeros(3, np.float32)}, "model.safetensors")
Path("config.json").write_text("{}")
modes = {name: oct(Path(name).stat().st_mode & 0o777) for name in ("model.safetensors", "config.json")}
print(f"safetensors {version('safetensors')}, umask 022: {modes}")
assert modes == {"model.safetensors": "0o600", "config.json": "0o644"}, "this has changed"
P
