"""Damaged, foreign and harmful files of weights through every loader, settings and targets of any kind, and what PyTorch's own
tools do to a network: either every weight arrives and the answers are the same, or one sentence says what is wrong."""

import copy
import itertools
import json
import multiprocessing
import pickle
import random
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import torch.nn.utils.prune
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from simple_maskrcnn import MaskRCNN, load_model, maskrcnn
from simple_maskrcnn.network.transform import RULES, check_settings
from simple_maskrcnn.network.weights import read_weights
from simple_maskrcnn.training.checkpoint import load_checkpoint

TINY = dict(backbone="resnet18", levels=[3, 4, 5], fpn_channels=8, box_channels=8, mask_channels=8, min_size=64, max_size=96,
            box_score_thresh=0.0, box_detections_per_img=20, rpn_post_nms_top_n_test=50)
SENTENCE = (ValueError, TypeError, FileNotFoundError)
IMAGES = [torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(i)) for i in range(4)]


@pytest.fixture(scope="module")
def network() -> MaskRCNN:
    torch.manual_seed(0)
    return maskrcnn(classes=["cat", "dog"], **TINY).eval()


@pytest.fixture
def saved(network, tmp_path) -> Path:
    network.save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def same(a: list[dict], b: list[dict]) -> bool:
    return all(torch.equal(x[key], y[key]) for x, y in zip(a, b, strict=True) for key in x)


@torch.no_grad()
def answers(model, images=IMAGES):
    return model(images)


def from_weights(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return maskrcnn(weights=path)


LOADERS = {"load_model": lambda folder: load_model(folder, "cpu"), "from_pretrained": MaskRCNN.from_pretrained,
           "weights": from_weights}


def said(load, *args) -> str | None:
    """What a loader complains of, or None if it is content. Any other kind of exception is a fault."""
    try:
        load(*args)
    except SENTENCE as error:
        text = str(error)
        assert text and "\n" not in text and len(text) < 1200, text
        return text
    return None


@pytest.mark.parametrize("loader", LOADERS)
def test_flipped_bits_and_cut_files(loader, network, saved):
    file, dice = saved / "model.safetensors", random.Random(1)
    whole, own = file.read_bytes(), network.state_dict()
    header = 8 + int.from_bytes(whole[:8], "little")
    places = [dice.randrange(8) for _ in range(3)] + [dice.randrange(header) for _ in range(12)] + [
        dice.randrange(header, len(whole)) for _ in range(3)]
    refused = 0
    for place in places:
        with open(file, "r+b") as handle:
            handle.seek(place)
            handle.write(bytes([whole[place] ^ 1 << dice.randrange(8)]))
        try:
            state = LOADERS[loader](saved).state_dict()
            assert state.keys() == own.keys() and sum(not torch.equal(state[k], own[k]) for k in own) <= 1
        except SENTENCE as error:
            assert "\n" not in str(error)
            refused += 1
        with open(file, "r+b") as handle:
            handle.seek(place)
            handle.write(whole[place:place + 1])
    assert refused >= 8  # nearly every bit of the header counts
    for length in (0, 7, 8, 100, header, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        assert "cannot read weights" in said(LOADERS[loader], saved), length


@pytest.mark.parametrize("loader", LOADERS)
def test_incomplete_and_strange_weights_are_refused(loader, network, saved):
    own = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fpn = "backbone.fpn.inner_blocks.0.0.weight"
    wrong = {"Missing keys": {k: v for k, v in own.items() if k != fpn}, "unexpected keys": own | {"more.weight": torch.zeros(2)},
             "size mismatch": own | {fpn: torch.zeros(1)}, "size mismatch: backbone": own | {fpn: own[fpn].long()},
             "not finite": {k: v * torch.nan if v.is_floating_point() else v for k, v in own.items()},
             ": 1 of ": own | {fpn: own[fpn] / 0}, "Missing keys: ": {"x": torch.zeros(1)}}
    for part, state in wrong.items():
        save_file({k: v.contiguous() for k, v in state.items()}, saved / "model.safetensors")
        text = said(LOADERS[loader], saved)
        assert text and part in text and str(saved) in text, (part, text)
        assert text.count(".weight") <= 1  # no page of names


def test_a_file_of_weights_is_the_one_that_is_read(network, saved):
    """The settings beside it hold for model.safetensors; another file in the folder is read by itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert maskrcnn(weights=saved / "model.safetensors").transform.min_size == [64]
        torch.save({name: tensor * 0 for name, tensor in network.state_dict().items()}, saved / "checkpoint.pt")
        assert not maskrcnn(3, weights=saved / "checkpoint.pt", **TINY).state_dict()["rpn.head.cls_logits.weight"].any()
        (saved / "config.json").unlink()
        assert maskrcnn(3, weights=saved / "model.safetensors", **TINY | {"min_size": 72}).transform.min_size == [72]


def test_a_save_that_fails_leaves_the_earlier_one(network, saved, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    before = {file.name: file.read_bytes() for file in saved.iterdir()}
    other = copy.deepcopy(network)
    other.class_names = ["background", "horse", "cow"]
    with monkeypatch.context() as patch:
        patch.setattr(MaskRCNN, "_save_pretrained", full)
        with pytest.raises(OSError, match="No space left"):
            other.save_pretrained(saved)
    assert {file.name: file.read_bytes() for file in saved.iterdir()} == before
    (saved / "mine.txt").write_text("mine")
    other.save_pretrained(saved)
    assert load_model(saved, "cpu").class_names == other.class_names
    assert {file.name for file in saved.iterdir()} == {*before, "mine.txt"}


@pytest.mark.parametrize("loader", LOADERS)
def test_settings_that_are_not_a_networks(loader, saved):
    config = json.loads((saved / "config.json").read_text())
    wrong = [None, b"", b"[]", b"{", b"[" * 100_000, b"\xff", *(json.dumps(config | change).encode() for change in (
        {"min_size": -5}, {"image_std": [0, 0, 0]}, {"class_names": "abc"}, {"colour": "red"}, {"fpn_channels": 0},
        {"num_classes": 9}, {"levels": [2, 3, 4, 5]}, {"backbone": "resnet34"}, {"backbone": "os.system"},
        {"anchor_sizes": [[8]]}, {"max_size": 1e400}))]
    for content in wrong:
        (saved / "config.json").unlink(missing_ok=True)
        if content is not None:
            (saved / "config.json").write_bytes(content)
        text = said(LOADERS[loader], saved)
        assert text and str(saved) in text, (content and content[:60], text)


class Marker:
    """What a harmful pickle would do, harmlessly: it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_no_pickle_runs(network, saved, tmp_path):
    marker, evil = tmp_path / "ran", {"model": {"a": torch.zeros(1)}, "more": Marker(tmp_path / "ran")}
    files = [tmp_path / f"evil{i}.pth" for i in range(4)]
    torch.save(evil, files[0])
    torch.save(evil, files[1], _use_new_zipfile_serialization=False)
    files[2].write_bytes(pickle.dumps(evil))
    torch.save(copy.deepcopy(network), files[3])  # a whole network as a pickle is no state dict
    doors = {"weights": from_weights, "backbone_weights": lambda p: maskrcnn(backbone_weights=p), "read_weights": read_weights}
    for file, door in itertools.product(files, doors.values()):
        assert str(file) in said(door, file)
    for file in files:  # under the names that loaders look for
        for name in ("model.safetensors", "pytorch_model.bin", "config.json"):
            folder = tmp_path / f"{file.stem}-{name}"
            shutil.copytree(saved, folder)
            (folder / "model.safetensors").unlink()
            shutil.copy(file, folder / name)
            assert all(said(load, folder) for load in LOADERS.values())
        shutil.copy(file, tmp_path / "checkpoint.pt")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(ValueError, match="none of the checkpoints"):
                load_checkpoint(tmp_path)
    assert not marker.exists()
    pickle.loads(pickle.dumps(Marker(marker))).close()
    assert marker.exists()  # it would have


def test_foreign_files(network, tmp_path):
    def quickly(path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            maskrcnn(3, weights=path, **TINY)

    state = network.state_dict()
    foreign = [None, 3, "text", [], {}, {"model": 5}, {"model": []}, {"state_dict": state}, {1: torch.zeros(1)}, {"a": "b"},
               torch.zeros(3), {"a": torch.zeros(3)}, {"model": state, "settings": {}},
               *({f"module.{k}": v for k, v in state.items()}, {k: v.long() for k, v in state.items()},
                 {k: v.to_sparse() for k, v in state.items()}, {k: v * torch.nan for k, v in state.items()})]
    for number, content in enumerate(foreign):
        torch.save(content, tmp_path / "foreign.pth")
        assert "foreign.pth" in (said(quickly, tmp_path / "foreign.pth") or ""), number
    broken = {"a.pth": b"", "b.pth": b"<html>not found</html>", "c.safetensors": b"\0" * 99, "d.pt": b"PK\3\4" + b"\0" * 99,
              "e.safetensors": b"\xff" * 8 + b"{}"}
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
        assert "cannot read weights" in said(quickly, tmp_path / name)
    for name in ("", "no\nsuch\x1b[31m", "a/b/c", "~", "x" * 300):
        for load in LOADERS.values():
            text = said(load, name) if name else "an empty name is the current folder"
            assert text and "\x1b" not in text


VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                      lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(max_size=3), x, max_size=2), max_leaves=6)


@settings(max_examples=500, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from([n for _, names in RULES.values() for n in names] + ["colour"]), value=VALUES)
def test_any_setting_is_taken_or_named(name, value):
    try:
        check_settings({name: value})
    except (ValueError, TypeError) as error:
        assert name in str(error) and "\n" not in str(error)
    else:
        json.dumps({name: value}, allow_nan=False)


def test_targets_of_any_kind(network):
    image, n = IMAGES[0], 2
    good = {"boxes": torch.tensor([[1.0, 1, 9, 9]] * n), "labels": torch.ones(n, dtype=torch.int64),
            "masks": torch.ones(n, 48, 64)}
    wrong = [None, 0, "a", [], {}, [1, 2], (None,), torch.zeros(0), torch.zeros(3, 3), torch.tensor(1.5), torch.zeros(n, 5),
             torch.zeros(n, 1, dtype=torch.complex64), torch.full((n, 4), torch.nan), torch.zeros(n, 4).numpy(),
             torch.zeros(n, 4, dtype=torch.int64)]
    model, count = copy.deepcopy(network).train(), 0
    for field, value in itertools.product([*good, "iscrowd"], wrong):
        if field == "iscrowd" and value is None:
            continue
        text = said(model, [image, image], [good, good | {field: value}])
        assert text and "targets[1]" in text and field in text, (field, value, text)
        count += 1
    for targets in (None, *wrong[1:], good, [good], [good, None], [good, []], [good, "a"], [good] * 3, iter([good])):
        text = said(model, [image, image], targets)
        assert text and "targets" in text, targets
    for images in (None, 3, "a", [], {}, image, [None], [image.numpy()], [image[0]], [image.long()], [image * torch.nan],
                   iter([image])):
        assert "images" in said(model.eval(), images), images
    assert count == 4 * len(wrong) - 1


def test_copies_give_the_same_answers(network):
    expected = answers(network)
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert same(answers(twin), expected) and twin.class_names == network.class_names
        twin.class_names = ["background", "a", "b"]
        assert network.class_names[1] == "cat"  # a name of its own


def test_half_precision_on_the_cpu(network, tmp_path):
    expected = answers(network)[0]
    for dtype in (torch.float16, torch.bfloat16):
        half = copy.deepcopy(network).to(dtype)
        found = answers(half)[0]
        assert {found[k].dtype for k in ("boxes", "scores", "masks")} == {torch.float32} and found["boxes"].isfinite().all()
        assert abs(found["scores"][0] - expected["scores"][0]) < 0.05
        half.save_pretrained(tmp_path / str(dtype))
        again = MaskRCNN.from_pretrained(tmp_path / str(dtype))
        assert {p.dtype for p in again.parameters()} == {torch.float32}  # always; `.half()` it again for use
        assert all(torch.equal(a, b.to(a.dtype)) for a, b in zip(again.state_dict().values(), half.state_dict().values()))


def test_threads_give_what_one_gives(network):
    jobs = [[image] for image in IMAGES] * 4
    expected = [answers(network, job) for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        assert all(map(same, pool.map(lambda job: answers(network, job), jobs), expected))


def _in_another_process(model, out):
    torch.save(answers(model), out)


def test_a_spawned_process_gives_the_same(network, tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_in_another_process, args=(network, tmp_path / "out.pt"))
    process.start()
    process.join(120)
    assert process.exitcode == 0
    for a, b in zip(torch.load(tmp_path / "out.pt"), answers(network)):  # a pool of threads of another size rounds otherwise
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


def test_compiled_networks_give_the_same(network):
    torch._dynamo.reset()
    x = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        maps = torch.compile(network.backbone, backend="aot_eager")(x)
        torch.testing.assert_close(maps, network.backbone(x), atol=1e-4, rtol=1e-4)
    whole = torch.compile(copy.deepcopy(network), backend="eager")
    for a, b in zip(answers(whole, IMAGES[:1]), answers(network, IMAGES[:1])):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


def test_who_listens_or_takes_part_is_called(network):
    expected = answers(network)
    called, twin = set(), copy.deepcopy(network)
    seen = [module.register_forward_hook(lambda *_, name=name: called.add(name)) for name, module in twin.named_modules()]
    found = answers(twin)
    lists = {name for name, module in twin.named_modules() if isinstance(module, torch.nn.ModuleList)}
    assert set(dict(twin.named_modules())) - called == lists | {"rpn", "roi_heads"}  # which hold layers and compute nothing
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a["labels"], b["labels"])
        for key, far in {"boxes": 1e-2, "scores": 1e-4, "masks": 1e-2}.items():
            torch.testing.assert_close(a[key], b[key], atol=far, rtol=0)
    for handle in seen:
        handle.remove()
    assert same(answers(twin), expected)

    target = {"boxes": torch.tensor([[5.0, 5, 40, 40]]), "labels": torch.tensor([1]), "masks": torch.ones(1, 48, 64)}
    for name in ("backbone.body.layer2.0.conv1", "backbone.fpn.layer_blocks.0.0", "rpn.head.cls_logits", "rpn.head.bbox_pred",
                 "roi_heads.mask_head.0.0", "roi_heads.mask_predictor.mask_fcn_logits", "roi_heads.box_predictor.cls_score"):
        twin = copy.deepcopy(network)
        layer = twin.get_submodule(name)
        torch.nn.utils.prune.custom_from_mask(layer, "weight", torch.rand_like(layer.weight) < 0.5)
        sum(twin.losses(IMAGES[:1], [target]).values()).backward()
        assert layer.weight_orig.grad is not None, name
        assert (layer.weight_orig.grad[layer.weight_mask == 0] == 0).all(), name
