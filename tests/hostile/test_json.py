"""Annotation files that are damaged in every way: each is read, and then rightly, or refused with a sentence.

HOSTILE_EXAMPLES=5000 pytest tests/hostile/test_json.py -s    the long run, with its counts
"""

import copy
import json
import os
import re
import warnings
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from simple_maskrcnn.data.check import check_files
from simple_maskrcnn.data.coco import CocoDataset
from simple_maskrcnn.data.repair import pieces, repair

EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", 300))  # of each of the four ways to read
HEIGHT, WIDTH = SIZE = 12, 14
SQUARE, RUNS = [2, 3, 10, 3, 10, 8, 2, 8], [38, *[5, 7] * 7, 5, 41]
TEXT = coco_mask.frPyObjects({"size": [*SIZE], "counts": RUNS}, *SIZE)["counts"].decode()
MASKS = [[SQUARE], {"size": [*SIZE], "counts": RUNS}, {"size": [*SIZE], "counts": TEXT}, [SQUARE, [11, 1, 13, 1, 13, 4]]]
PICTURES = {1: "a.png", 2: "b.png", 5: "sub/c.png"}
CONTENT = {
    "images": [{"id": key, "file_name": name, "height": HEIGHT, "width": WIDTH} for key, name in PICTURES.items()],
    "annotations": [{"id": key, "image_id": image_id, "category_id": [3, 18][key % 2], "bbox": [2, 3, 8, 5], "area": 40,
                     "iscrowd": int(key == 1), "segmentation": MASKS[key]} for key, image_id in enumerate([1, 2, 5, 1])],
    "categories": [{"id": 3, "name": "cat"}, {"id": 18, "name": "dog"}],
}
LONG = 10**400  # no float holds it
# No size and no point is so large that a reader which believed it would fill the memory: that is not what is tried.
NUMBERS = [0, 1, 2, 3, 5, 7, 18, -1, -7, 12.0, 14.0, 0.5, 0.001, 1e-9, 99, 999, -999, 2**31, 2**53 + 1, 2**63 - 1, 2**63,
           -(2**63), 2**64, 2**100, LONG, -LONG, 1e30, 1e300, float("nan"), float("inf"), float("-inf")]
WORDS = ["", " ", "7", "1", "18", "07", "12.0", "a.png", "b.png", "../a.png", "/no/where", "sub", "sub/c.png", "a\0b",
         "x\n  no problems", "\x1b[2J", "\ud800", "é", "狗", "background", "x" * 5000, TEXT, TEXT[:-1]]
texts = st.sampled_from(WORDS) | st.text(max_size=12)
values = st.recursive(st.none() | st.booleans() | st.sampled_from(NUMBERS) | texts | st.sampled_from(MASKS),
                      lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=3), max_leaves=8)
CONTROL = r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
CHANGES = ["set", "set", "set", "remove", "double", "wrap", "quote", "point", "exchange"]
counts = Counter()


def places(thing, path=()) -> list[tuple]:
    """Every place in a JSON value: the keys and positions that lead there."""
    inner = thing.items() if isinstance(thing, dict) else enumerate(thing) if isinstance(thing, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


def at(thing, path):
    for key in path:
        thing = thing[key]
    return thing


def mutate(draw, content: dict) -> None:
    """Change, remove, double, wrap or exchange something somewhere; most often a whole field of a record."""
    everywhere = places(content)[1:]
    fields = [place for place in everywhere if len(place) == 3]
    path = draw(st.sampled_from(draw(st.sampled_from([fields or everywhere, everywhere]))))
    parent, key = at(content, path[:-1]), path[-1]
    old, what = parent[key], draw(st.sampled_from(CHANGES))
    if what == "set":
        parent[key] = copy.deepcopy(draw(values))
    elif what == "remove":
        del parent[key]
    elif what == "double" and isinstance(parent, list):
        parent.insert(draw(st.integers(0, len(parent))), copy.deepcopy(old))
    elif what == "wrap":
        parent[key] = [old]
    elif what == "quote":
        parent[key] = json.dumps(old)
    elif what == "point" and isinstance(old, int) and abs(old) < LONG:
        parent[key] = float(old)
    elif what == "exchange":
        parent[key] = copy.deepcopy(at(content, draw(st.sampled_from(everywhere))))


@st.composite
def files(draw) -> bytes:
    content = copy.deepcopy(CONTENT)
    for _ in range(draw(st.sampled_from([1, 1, 2, 3]))):
        if places(content)[1:]:
            mutate(draw, content)
    text = json.dumps(content)
    damage, place = draw(st.sampled_from([None] * 6 + ["cut", "byte", "twice", "deep"])), draw(st.integers(0, len(text) - 1))
    if damage == "cut":
        text = text[:place]
    elif damage == "twice":
        text = text.replace('"id":', f'"id": {draw(st.sampled_from(["1", "null", "[]"]))}, "id":', 1)
    elif damage == "deep":
        depth, field = draw(st.integers(1, 1500)), draw(st.sampled_from(["bbox", "name", "segmentation", "width", "id", "area"]))
        text = text.replace(f'"{field}": ', f'"{field}": {"[" * depth}1{"]" * depth}, "x": ', 1)
    data = text.encode()
    return data if damage != "byte" else data[:place] + bytes([draw(st.integers(0, 255))]) + data[place + 1:]


def check_sentence(said: str, file) -> None:
    """It names the file, each line about a record names the record and the field, and it can do a terminal no harm."""
    assert file.name in said and not re.search(CONTROL, said), ascii(said)
    if "\n" in said:
        first, *lines, last = said.splitlines()
        assert re.search("bad (records|categories)", first) and ("skip_bad=True" in last or "'name'" in last), said
        for line in lines:
            assert re.match(r"  [^:\[\]]+ \(\d+\): (images|annotations|categories)\[\d+\]", line), line
            assert re.search(r'"\w+": |no "\w+"|entry is not an object', line), line


def check_item(data: CocoDataset, i: int) -> None:
    """An image and its target agree; the masks are what pycocotools decodes."""
    image, target = data[i]
    i = data.image_ids.tolist().index(target["image_id"])  # another one, if it took an unreadable one's place
    n, (x1, y1, x2, y2) = data.annotation_counts[i], target["boxes"].T
    assert image.shape == (3, *SIZE) and target["boxes"].shape == (n, 4) and target["masks"].shape == (n, *SIZE)
    assert ((0 <= x1) & (x1 < x2) & (x2 <= WIDTH) & (0 <= y1) & (y1 < y2) & (y2 <= HEIGHT)).all()
    assert ((target["labels"] >= 1) & (target["labels"] < len(data.class_names))).all() and target["labels"].shape == (n,)
    assert target["area"].isfinite().all() and set(target["iscrowd"].tolist()) <= {0, 1}
    for rle, mask in zip(data.rles(i), target["masks"].numpy(), strict=True):
        x, y, w, h = coco_mask.toBbox(rle).tolist()
        assert np.array_equal(coco_mask.decode(rle), mask) and coco_mask.area(rle) == mask.sum()
        assert x + w <= WIDTH and y + h <= HEIGHT and mask[int(y):int(y + h), int(x):int(x + w)].sum() == mask.sum()


def check_dataset(data: CocoDataset) -> str:
    """What was read is right in itself."""
    names = data.class_names[1:]
    assert len(set(names)) == len(names) and all(name and not re.search(CONTROL + r"|\n", name) for name in names)
    for ids in (data.image_ids, data.annotation_ids):
        assert ids.dtype == np.int64 and len(set(ids.tolist())) == len(ids)
    for lines in [*data.problems.values(), *data.notes.values()]:
        assert not any(re.search(CONTROL + r"|\n", line) for line in lines)
    for i in range(len(data)):
        try:
            check_item(data, i)
        except ValueError as error:  # of a picture that has another size, as a rule
            assert re.search(r"^image id -?\d+: .*png|^none of the \d+ images of .*json", str(error)), error
            return "a picture refused"
    return "read with a note" if data.notes else "read"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "images/sub").mkdir(parents=True)
    for name in PICTURES.values():
        Image.new("RGB", (WIDTH, HEIGHT), "grey").save(folder / "images" / name)
    yield folder
    print("", *(f"{way}, {outcome}: {n}" for (way, outcome), n in sorted(counts.items())), sep="\n")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # raised in `decode`
@pytest.mark.parametrize("way", ["open", "skip_bad", "boxes_from_masks", "check"])
def test_a_damaged_file_is_read_rightly_or_refused_with_a_sentence(folder, way):
    file = folder / f"{way}.json"

    def outcome() -> str:
        try:
            if way == "check":
                file.with_name(f".{way}.check.json").unlink(missing_ok=True)
                return "problems" if check_files(folder / "images", file, progress=False)["problems"] else "no problems"
            return check_dataset(CocoDataset(folder / "images", file, **({} if way == "open" else {way: True})))
        except (ValueError, FileNotFoundError) as error:
            check_sentence(str(error), file)
            return "refused"

    @settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(files())
    def try_one(data):
        file.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # NumPy's, of numbers that do not fit
            warnings.simplefilter("ignore", UserWarning)
            counts[way, outcome()] += 1

    try_one()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_repaired_copy_opens_without_complaint_and_has_nothing_left_to_repair(folder):
    file, copy_, again = (folder / f"{name}.json" for name in ("broken", "repaired", "again"))

    def outcome() -> str:
        try:
            done = repair(folder / "images", file, copy_, progress=False)
        except (ValueError, FileNotFoundError) as error:
            check_sentence(str(error), file)
            return "refused"
        check_dataset(CocoDataset(folder / "images", copy_))
        assert repair(folder / "images", copy_, again, progress=False)["repaired"] == {}
        before, after = (pieces(path.read_text()) for path in (file, copy_))
        if not done["repaired"]:
            assert {**after, "info": 0} == {**before, "info": 0}
        return "repaired" if done["repaired"] else "as it was"

    @settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(files())
    def try_one(data):
        for path in folder.glob("*.json"):
            path.unlink()
        file.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            warnings.simplefilter("ignore", UserWarning)
            counts["repair", outcome()] += 1

    try_one()
