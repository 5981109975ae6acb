"""A small training run in a forked process, to which something happens at one of its file operations or at some moment.

    python small_run.py FOLDER SCENARIO=ROUNDS…       prints a line of JSON for each: what was tried, and what went wrong

Modules are imported once, and each run is a fork: a run takes a second, and hundreds of them can be killed."""

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file

from simple_maskrcnn.data.augment import eval_transforms, train_transforms
from simple_maskrcnn.data.shapes import ShapesDataset
from simple_maskrcnn.files import read_metrics
from simple_maskrcnn.network.model import maskrcnn
from simple_maskrcnn.training.checkpoint import load_checkpoint
from simple_maskrcnn.training.train import fit

TINY = {"backbone": "resnet18", "levels": (2, 3), "fpn_channels": 8, "box_channels": 16, "mask_channels": 8, "min_size": 48,
        "max_size": 48, "anchor_sizes": [[8], [16], [32]], "rpn_post_nms_top_n_train": 20, "rpn_post_nms_top_n_test": 5,
        "box_batch_size_per_image": 8}
WRITES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "shutil.rmtree"}  # of Python; replace is a rename
KEPT = {"checkpoint.pt", "checkpoint-previous.pt", "config.json", "metrics.jsonl", "losses.png", "best", "last"}


def train(out: Path, **options) -> None:
    torch.manual_seed(0)
    learn = ShapesDataset(4, 48, seed=1, transforms=train_transforms(color=0.5))
    valid = ShapesDataset(2, 48, seed=2, transforms=eval_transforms())
    defaults = {"epochs": 2, "batch_size": 2, "save_every": 1, "log_every": 1, "ema": 0.9, "lr": 1e-3}
    fit(maskrcnn(5, **TINY), learn, valid, output_dir=out, **defaults | options)


def watch(out: Path, happens, at: int) -> list:
    """Count the operations that change files below `out`; at number `at`, before it is done, something happens."""
    seen = []

    def note(*event):
        seen.append(event)
        if len(seen) == at:
            happens()

    def hook(event, arguments):
        writes = event in WRITES or (event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR))
        if writes and str(arguments[0]).startswith(str(out)):
            note(event, str(arguments[0]))

    sync = os.fsync
    os.fsync = lambda handle: (note("fsync"), sync(handle))[1]  # all is written, nothing is in place
    sys.addaudithook(hook)
    return seen


def fork(out: Path, happens=lambda: None, at: int = 0, before=lambda: None, **options) -> tuple[int, int]:
    """Start a run; its process and the pipe with what it says: at the end how many operations there were, or the error."""
    reading, writing = os.pipe()
    if process := os.fork():
        os.close(writing)
        return process, reading
    code = 1
    try:
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        warnings.simplefilter("ignore")
        before()
        seen = watch(out, happens, at)
        train(out, **options)
        os.write(writing, f"\noperations {len(seen)}".encode())
        code = 0
    except OSError as error:
        os.write(writing, f"\nOSError: {error}".encode())
        code = 3
    except BaseException:
        os.write(writing, traceback.format_exc().encode())
    finally:
        os._exit(code)


def end(process: int, reading: int) -> tuple[int, str]:
    """The exit code of a run, negative for a signal, and what it said."""
    with open(reading, "rb") as pipe:
        text = pipe.read().decode()
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), text


def run(out: Path, *args, **options) -> tuple[int, str]:
    return end(*fork(out, *args, **options))


def trace(out: Path) -> dict:
    """All that must be the same in two runs."""
    def plain(x):
        return {k: plain(v) for k, v in x.items()} if isinstance(x, dict) else [plain(v) for v in x] if isinstance(
            x, (list, tuple)) else x.numpy().tobytes() if isinstance(x, torch.Tensor) else x

    clock, records = ("images_per_s", "memory_mb"), read_metrics(out / "metrics.jsonl")
    records = [{k: v for k, v in record.items() if k not in clock} for record in records]
    networks = {name: (out / name / "model.safetensors").read_bytes() for name in ("best", "last")}
    return {"files": {p.name for p in out.iterdir()}, "records": records, **networks, **plain(load_checkpoint(out))}


def faults(out: Path, whole: dict) -> list[str]:
    """What is wrong with a folder in which a run was stopped, and with the run that goes on from it."""
    found = []
    for name in ("best", "last"):
        if (out / name).exists():
            try:
                assert load_file(out / name / "model.safetensors").keys() == maskrcnn(5, **TINY).state_dict().keys()
                assert json.loads((out / name / "config.json").read_text())["num_classes"] == 5
            except Exception as error:
                found.append(f"{name}/ is not whole: {error!r}")
    code, text = run(out)
    if code:
        return [*found, f"it does not go on: {text[-500:]}"]
    now = trace(out)
    return found + [f"{key} differs" for key in whole if now.get(key) != whole[key]] + [
        f"left behind: {now['files'] - KEPT}"] * bool(now["files"] - KEPT)


def points(operations: int, rounds: int) -> list[int]:
    """So many of the operations, evenly spread, from the first to the last."""
    return sorted({round(1 + k * (operations - 1) / max(1, rounds - 1)) for k in range(min(rounds, operations))})


# Each series: a folder for its runs, how many rounds, what a whole run leaves, how many operations and seconds it takes.


def killed_at_operations(folder: Path, rounds: int, whole: dict, operations: int, seconds: float) -> list:
    wrong, tried = [], points(operations, rounds)
    for at in tried:
        code, _ = run(out := folder / f"{at}", lambda: os.kill(os.getpid(), signal.SIGKILL), at)
        wrong += [f"operation {at}: {fault}" for fault in ([] if code == -9 else ["not killed"]) + faults(out, whole)]
        shutil.rmtree(out)
    return [len(tried), wrong]


def killed_at_moments(folder: Path, rounds: int, whole: dict, operations: int, seconds: float) -> list:
    wrong, rng, kills = [], random.Random(0), 0
    for k in range(rounds):
        out = folder / f"{k}"
        for _ in range(2):  # the run that goes on is killed, too
            process, reading = fork(out)
            time.sleep(rng.uniform(0, seconds))
            os.kill(process, signal.SIGKILL)
            kills += end(process, reading)[0] == -9
        wrong += [f"round {k}: {fault}" for fault in faults(out, whole)]
        shutil.rmtree(out)
    return [kills, wrong]


def two_at_once(folder: Path, rounds: int, whole: dict, operations: int, seconds: float) -> list:
    wrong = []
    for k in range(rounds):
        pair = [fork(out := folder / f"{k}", lr=lr) for lr in (1e-3, 1e-3 if k % 2 else 5e-4)]
        ends = [end(*one) for one in pair]
        good = [code == 0 or (code == 3 and "is held by process" in text and "since 2" in text) for code, text in ends]
        if not all(good) or all(code for code, _ in ends):
            wrong.append(f"round {k}: {ends}")
        now = trace(out)
        if k % 2 and now != whole:
            wrong.append(f"round {k}: the run is not as alone: {[key for key in whole if now[key] != whole[key]]}")
        if [(r["step"], "valid" in r) for r in now["records"]] != [(r["step"], "valid" in r) for r in whole["records"]]:
            wrong.append(f"round {k}: records {[r['step'] for r in now['records']]}")
        shutil.rmtree(out)
    return [rounds, wrong]


def full_disk(folder: Path, rounds: int, whole: dict, operations: int, seconds: float) -> list:
    import resource

    def fill():  # from now on, no file can grow beyond so many bytes
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    wrong, tried = [], points(operations, rounds)
    for at in tried:
        for limit in (0, 20_000):
            code, text = run(out := folder / f"{at}-{limit}", fill, at)
            told = text.rpartition("\nOSError: ")[2]
            right = ("cannot write in" in told and "goes on from there" in told and "too large" in told and len(told) < 500)
            if code and not (code == 3 and right and "Traceback" not in text):
                wrong.append(f"operation {at}, {limit} bytes: {code}, {text[-800:]}")
            wrong += [f"operation {at}, {limit} bytes: {fault}" for fault in faults(out, whole)] if out.exists() else []
            shutil.rmtree(out, ignore_errors=True)
    return [2 * len(tried), wrong]


def read_only(folder: Path, rounds: int, whole: dict, operations: int, seconds: float) -> list:
    """A folder in which this user may not write, empty or with a run; as root, by becoming nobody."""
    wrong, place = [], Path(tempfile.mkdtemp())  # where somebody else may go
    place.chmod(0o755)
    for name in ("empty", "run"):
        out = place / name
        out.mkdir()
        if name == "run":
            assert run(out, epochs=1)[0] == 0
        before = {p.name: p.stat().st_mtime_ns for p in out.rglob("*")}
        for path in [out, *out.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        code, text = run(out, before=lambda: os.getuid() or os.setuid(65534))
        if code != 3 or "cannot write in" not in text or before != {p.name: p.stat().st_mtime_ns for p in out.rglob("*")}:
            wrong.append(f"{name}: {code}, {text[-800:]}")
        for path in [out, *out.rglob("*")]:
            path.chmod(0o755)
    shutil.rmtree(place)
    return [2, wrong]


def main(folder: Path, scenarios: dict[str, int]) -> None:
    torch.set_num_threads(1)
    folder.mkdir(parents=True)
    run(folder / "warm")  # fills caches of files
    start = time.perf_counter()
    code, text = run(folder / "whole")
    seconds = time.perf_counter() - start
    assert code == 0, text
    whole, operations = trace(folder / "whole"), int(text.rpartition("operations ")[2])
    for name, rounds in scenarios.items():
        start = time.perf_counter()
        tried, wrong = globals()[name](folder / name, rounds, whole, operations, seconds)
        print(json.dumps({"name": name, "operations": operations, "tried": tried, "wrong": wrong,
                          "seconds": round(time.perf_counter() - start, 1)}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), {name: int(n) for name, n in (text.split("=") for text in sys.argv[2:])})
