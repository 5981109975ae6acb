"""Six evaluators and this project on the same small files: who says what where a file is a little unusual.

Every case is an annotation file and a file of detections, with valid numbers throughout. Each evaluator reads them in the
way its own documentation shows; torchmetrics, which reads no files, gets the same boxes or masks as tensors; this project
gets a dataset and a network that answers with the detections. Nothing is installed: a package that is missing is named,
and of it what the JSON file says already is kept. To have all of them:

    pip install faster-coco-eval hotcoco ultrafast-pycocotools torchmetrics

usage: python benchmarks/evaluators.py [--only WORD ...] [--json FILE]
"""

import argparse
import json
import os
import sys
import tempfile
import warnings
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coco_mask

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from simple_maskrcnn import CocoDataset, evaluate
from simple_maskrcnn.bench import save_figures

SIDE = 128  # pixels, of every picture
FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl")  # the first six of COCO's twelve
A, B, C = (10, 10, 20, 20), (50, 10, 20, 20), (10, 60, 20, 20)  # boxes, x y w h
MANY = [(2 + 8 * i, 2 + 8 * j, 6, 6) for i in range(15) for j in range(10)]


# The files.


def rle(*boxes) -> dict:
    """Filled boxes as compressed RLE."""
    mask = np.zeros((SIDE, SIDE), np.uint8, order="F")
    for x, y, w, h in boxes:
        mask[y:y + h, x:x + w] = 1
    code = coco_mask.encode(mask)
    return {**code, "counts": code["counts"].decode()}


def thing(number=1, box=A, image=1, category=1, **more) -> dict:
    """An annotation; a field that is given as None is left out."""
    x, y, w, h = box
    record = {"id": number, "image_id": image, "category_id": category, "bbox": list(box), "area": w * h, "iscrowd": 0,
              "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]], **more}
    return {key: value for key, value in record.items() if value is not None}


def hit(box=A, score=0.9, image=1, category=1, **more) -> dict:
    return {"image_id": image, "category_id": category, "bbox": list(box), "score": score, **more}


def mask_hit(box=A, score=0.9, code=None) -> dict:
    """A detection as COCO's files of masks have it: no box."""
    return {"image_id": 1, "category_id": 1, "score": score, "segmentation": code or rle(box)}


def case(name, guess, things, hits, images=(1,), categories=((1, "a"),), kind="bbox", limits=(1, 10, 100), shows=("AP",)):
    """`shows`: which figures are told; "classes" is the AP of each class, by name. `guess`: what one would think of it."""
    truth = {"images": [{"id": i, "file_name": f"{n}.png", "height": SIDE, "width": SIDE} for n, i in enumerate(images)],
             "categories": [{"id": i, "name": name} for i, name in categories], "annotations": things}
    return {"name": name, "guess": guess, "truth": truth, "found": hits, "kind": kind, "limits": limits, "shows": shows}


def many_hits():
    return [hit(box, 0.9 - n / 1000) for n, box in enumerate(MANY)]


def cases() -> list[dict]:
    many, two = [thing(n, box) for n, box in enumerate(MANY, 1)], ((1, "a"), (2, "b"))
    strip = rle((60, 60, 8, 48), (60, 100, 48, 8))  # an L: 704 pixels in a box of 2,304
    runs = [SIDE * 10 + 10, *[20, SIDE - 20] * 19, 20]
    return [
        case("the annotation's id is 0", "1.000", [thing(0)], [hit()]),
        case("two annotations, of two pictures, have the same id", "1.000", [thing(1), thing(1, B, 2)],
             [hit(), hit(B, image=2)], images=(1, 2)),
        case("no `area`", "1.000", [thing(area=None)], [hit()]),
        case("no `iscrowd`", "1.000", [thing(iscrowd=None)], [hit()]),
        case("`area` is −400, as of an outline drawn the other way round", "1.000", [thing(area=-400)], [hit()]),
        case("`area` is 1024, the border of small and medium", "APs −1, APm 1.000", [thing(box=(10, 10, 32, 32))],
             [hit((10, 10, 32, 32))], shows=("APs", "APm")),
        case("one of two objects has `ignore`: 1", "1.000", [thing(1), thing(2, B, ignore=1)], [hit()]),
        case("150 objects, all found", "0.663", many, many_hits()),
        case("150 objects, all found, maxDets 1, 10, 300", "1.000", many, many_hits(), limits=(1, 10, 300)),
        case("nothing but a crowd", "−1", [thing(iscrowd=1)], [hit()]),
        case("a crowd drawn as a polygon, objects found inside of it", "1.000", [thing(1, (0, 0, 128, 50), iscrowd=1),
             thing(2, C)], [mask_hit(), mask_hit(B), mask_hit(C, 0.5)], kind="segm"),
        case("equal scores in a picture, the wrong one first", "0.500", [thing()], [hit(B), hit()]),
        case("equal scores in two pictures, the right one in that of the lower id, which the file lists last", "0.500",
             [thing()], [hit(image=2), hit()], images=(2, 1)),
        case("a detection half on each of two objects, then one on the first", "AP50 0.505",
             [thing(1), thing(2, (30, 10, 20, 20))], [hit((10, 10, 40, 20)), hit(score=0.8)], shows=("AP50",)),
        case("IoU is exactly 0.6", "0.300", [thing(box=(10, 10, 10, 10))], [hit((10, 10, 10, 6))]),
        case("detections in no order", "1.000", [thing()], [hit(B, 0.5), hit()]),
        case("nothing was found", "0.000", [thing()], []),
        case("something was found in a picture without objects", "0.500", [thing()], [hit(score=0.8), hit(image=2)],
             images=(1, 2)),
        case("no object anywhere", "−1", [], [hit()]),
        case("no object anywhere, nothing found", "−1", [], []),
        case("a class without objects was found", "0.500", [thing()], [hit(), hit(category=2)], categories=two),
        case("a class that the file does not have was found", "1.000", [thing()], [hit(), hit(category=7)]),
        case("a detection in a picture that the file does not have", "an error", [thing()], [hit(), hit(image=7)]),
        case("a box of size zero, found", "1.000", [thing(1, (10, 10, 0, 0), area=0, segmentation=rle((9, 9, 1, 1)))],
             [hit((10, 10, 0, 0))]),
        case("classes listed as 2, 1", "a 1.000, b 0.000", [thing(1), thing(2, B, category=2)],
             [hit(), hit(C, category=2)], categories=two[::-1], shows=("classes",)),
        case("two classes of one name", "a 1.000, a 0.000", [thing(1), thing(2, B, category=2)], [hit()],
             categories=((1, "a"), (2, "a")), shows=("classes",)),
        case("the ids of images are the texts \"1\", \"2\"", "1.000", [thing(image="1"), thing(2, B, "2")],
             [hit(image="1"), hit(B, image="2")], images=("1", "2")),
        case("the ids of classes are texts", "1.000", [thing(category="1")], [hit(category="1")], categories=(("1", "a"),)),
        case("masks with boxes beside them; a false one has a small mask in a medium box", "APs 0.500",
             [thing()], [hit(segmentation=rle(A), score=0.8), hit((60, 60, 48, 48), segmentation=strip)], kind="segm",
             shows=("APs",)),
        case("masks found are polygons", "1.000", [thing()], [mask_hit(code=thing()["segmentation"])], kind="segm"),
        case("masks found are RLE not compressed", "1.000", [thing()],
             [mask_hit(code={"size": [SIDE, SIDE], "counts": [*runs, SIDE * SIDE - sum(runs)]})], kind="segm"),
    ]


# The evaluators: each takes the names of the two files and the case, and returns figures by name, and `classes`.


def mean(values: np.ndarray) -> float:
    values = values[values > -1]
    return float(values.mean()) if values.size else -1.0


def coco_like(make_coco, make_eval):
    """For the packages that offer pycocotools' own classes."""
    def judge(truth: str, found: str, case: dict) -> dict:
        coco = make_coco(truth)
        evaluator = make_eval(coco, coco.loadRes(found), case["kind"])
        evaluator.params.maxDets = list(case["limits"])
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
        figures = dict(zip(FIGURES, map(float, evaluator.stats)))
        if "classes" in case["shows"]:
            precision = np.asarray(evaluator.eval["precision"])[:, :, :, 0, -1]
            names = [record["name"] for record in coco.loadCats(evaluator.params.catIds)]
            figures["classes"] = [(name, mean(precision[:, :, k])) for k, name in enumerate(names)]
        return figures
    return judge


def pycocotools():
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
    return coco_like(COCO, COCOeval)


def faster_coco_eval():
    from faster_coco_eval import COCO, COCOeval_faster
    return coco_like(COCO, COCOeval_faster)


def ultrafast_pycocotools():
    from ultrafast_pycocotools import COCO, COCOeval
    return coco_like(COCO, COCOeval)


def hotcoco():
    from hotcoco import COCO, COCOeval

    def judge(truth, found, case):
        coco = COCO(truth)
        evaluator = COCOeval(coco, coco.load_res(found), case["kind"])
        evaluator.params.max_dets = list(case["limits"])
        evaluator.run()
        results = evaluator.get_results(per_class=True)
        return {**dict(zip(FIGURES, map(float, evaluator.stats))),
                "classes": [(key[3:], value) for key, value in results.items() if key.startswith("AP/")]}
    return judge


def to_mask(code) -> torch.Tensor:
    if isinstance(code, list) or isinstance(code["counts"], list):
        code = coco_mask.frPyObjects(code, SIDE, SIDE)
    return torch.from_numpy(coco_mask.decode(coco_mask.merge(code) if isinstance(code, list) else code)) > 0


def torchmetrics(backend: str = "pycocotools"):
    from torchmetrics.detection import MeanAveragePrecision

    def item(records, kind):
        values = {"labels": torch.tensor([r["category_id"] for r in records], dtype=torch.int64)}
        if kind == "bbox":
            values["boxes"] = torch.tensor([r["bbox"] for r in records], dtype=torch.float32).reshape(-1, 4)
        else:
            values["masks"] = torch.stack([to_mask(r["segmentation"]) for r in records])
        for key in ("area", "iscrowd", "score"):
            if records and all(key in r for r in records):
                values["scores" if key == "score" else key] = torch.tensor([r[key] for r in records])
        return values if records else {**values, "scores": torch.zeros(0)}

    def judge(truth, found, case):
        truth, found = (json.loads(Path(name).read_text()) for name in (truth, found))
        metric = MeanAveragePrecision("xywh", case["kind"], max_detection_thresholds=list(case["limits"]),
                                      class_metrics=True, backend=backend)
        for image in truth["images"]:
            here = [[r for r in records if r["image_id"] == image["id"]] for records in (found, truth["annotations"])]
            metric.update(*([item(records, case["kind"])] for records in here))
        result, names = metric.compute(), {c["id"]: c["name"] for c in truth["categories"]}
        classes = zip(result["classes"].reshape(-1).tolist(), result["map_per_class"].reshape(-1).tolist())
        keys = ("map", "map_50", "map_75", "map_small", "map_medium", "map_large")
        return {**{name: float(result[key]) for name, key in zip(FIGURES, keys)},
                "classes": [(names.get(number, str(number)), value) for number, value in classes]}
    return judge


class Cheat(torch.nn.Module):
    """Answers with the detections of a file; which picture it sees is written in the first pixel."""

    def __init__(self, found: list[dict], images: list[dict], dataset: CocoDataset, kind: str):
        super().__init__()
        labels, names = {str(c): label for label, c in dataset.category_of.items()}, list(dataset.class_names)
        for number in sorted({str(d["category_id"]) for d in found} - labels.keys()):
            labels[number] = len(names)
            names.append(f"class {number}, which the file does not have")
        self.class_names, self.kind = names, kind
        self.found = [[{**d, "label": labels[str(d["category_id"])]} for d in found if d["image_id"] == image["id"]]
                      for image in images]

    def forward(self, pictures):
        answers = []
        for picture in pictures:
            found = self.found[round(255 * float(picture[0, 0, 0]) if picture.is_floating_point() else int(picture[0, 0, 0]))]
            masks = [to_mask(rle(d["bbox"]) if self.kind == "bbox" else d["segmentation"]) for d in found]
            boxes = [d["bbox"] if "bbox" in d else coco_mask.toBbox(d["segmentation"]) if "size" in d["segmentation"] and
                     isinstance(d["segmentation"]["counts"], str) else A for d in found]
            boxes = torch.tensor(np.array(boxes, np.float32).reshape(-1, 4))
            answers.append({"boxes": torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1),
                            "labels": torch.tensor([d["label"] for d in found], dtype=torch.int64),
                            "scores": torch.tensor([d["score"] for d in found], dtype=torch.float32),
                            "masks": torch.stack(masks)[:, None].float() if masks else torch.zeros(0, 1, SIDE, SIDE)})
        return answers


def simple_maskrcnn(backend: str = "pycocotools"):
    def judge(truth, found, case):
        images, folder = case["truth"]["images"], Path(truth).parent
        for n, record in enumerate(images):
            Image.new("RGB", (SIDE, SIDE), (n, 0, 0)).save(folder / record["file_name"])
        dataset = CocoDataset(folder, truth)
        network = Cheat(json.loads(Path(found).read_text()), images, dataset, case["kind"])
        results = evaluate(network, dataset, max_detections=case["limits"][-1], backend=backend, progress=False)
        per_class = results["per_class"][case["kind"]]
        return {**results[case["kind"]], "classes": [(name, figures["AP"]) for name, figures in per_class.items()]}
    return judge


TOOLS = {"pycocotools": pycocotools, "faster-coco-eval": faster_coco_eval, "hotcoco": hotcoco,
         "ultrafast-pycocotools": ultrafast_pycocotools, "torchmetrics": torchmetrics, "simple-maskrcnn": simple_maskrcnn}


# The table.


def text(value: float) -> str:
    return "−1" if value == -1 else f"{value:.3f}"


def say(figures: dict, shows: tuple[str, ...]) -> str:
    if shows == ("classes",):
        return ", ".join(f"{name} {text(value)}" for name, value in figures["classes"])
    return ", ".join(text(figures[name]) if name == "AP" else f"{name} {text(figures[name])}" for name in shows)


def short(words: str, most: int) -> str:
    line = " ".join(words.split())
    return line if len(line) <= most else line[:most].rsplit(" ", 1)[0] + " …"


@contextmanager
def errors_to(file: Path):
    """What this process writes to its standard error, compiled code included, goes into a file."""
    sys.stderr.flush()
    kept, stream = os.dup(2), os.open(file, os.O_WRONLY | os.O_CREAT)
    os.dup2(stream, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(stream)


def answer(judge, case: dict) -> dict:
    """What an evaluator says of a case: its figures, or its error; and what it warns of."""
    with (tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as caught, redirect_stdout(None),
          errors_to(Path(folder, "stderr"))):
        warnings.simplefilter("always")
        truth, found = str(Path(folder, "truth.json")), str(Path(folder, "found.json"))
        Path(truth).write_text(json.dumps(case["truth"]))
        Path(found).write_text(json.dumps(case["found"]))
        try:
            said = say(judge(truth, found, case), case["shows"])
        except Exception as error:
            return {"says": f"{type(error).__name__}: {short(str(error).replace(folder + os.sep, ''), 140)}"}
        warned = [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
        warned += Path(folder, "stderr").read_text().splitlines()
    return {"says": said, **({"warns": short(warned[0], 140)} if warned else {})}


def found_tools() -> tuple[dict, dict[str, str]]:
    """The evaluators that are installed, and their versions."""
    versions = {}
    for name in TOOLS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            print(f"{name} is not installed (pip install {name})", file=sys.stderr)
    return {name: TOOLS[name]() for name in versions}, versions


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[""], help="the cases in whose names one of these words stands")
    parser.add_argument("--json", type=Path, help="write what they say, and their versions, to this file")
    args = parser.parse_args()
    if args.json and args.only != [""]:
        parser.error("--json is for all cases; leave --only out")
    tools, versions = found_tools()
    rows = []
    for one in cases():
        if any(word in one["name"] for word in args.only):
            answers = {name: answer(judge, one) for name, judge in tools.items()}
            rows.append({"case": one["name"], "guess": one["guess"], "answers": answers})
            print(f"\n{one['name']}: one would guess {one['guess']}")
            for name, said in answers.items():
                print(f"  {name:22} {said['says']}{'   (warns: ' + said['warns'] + ')' if 'warns' in said else ''}")
    if args.json:
        old = json.loads(args.json.read_text(encoding="utf-8")) if args.json.exists() else {"versions": {}, "rows": []}
        kept = {row["case"]: row["answers"] for row in old["rows"]}
        for row in rows:  # what is not installed says what it said
            answers = kept.get(row["case"], {}) | row["answers"]
            row["answers"] = {name: answers.get(name, {"says": "not asked"}) for name in old["versions"] | versions}
        save_figures(args.json, "python benchmarks/evaluators.py", {"versions": old["versions"] | versions, "rows": rows})


if __name__ == "__main__":
    main()
