"""From runs of `nuclei.py` to the network that the package brings: in half precision, measured, with its card and two pictures.

    python recipes/nuclei.py --data DIR --out runs/first
    python recipes/nuclei.py --data DIR --out runs/second --weights runs/first --epochs 26 --lr 4e-4
    python recipes/nuclei_card.py --data DIR --runs runs/first runs/second

Writes simple_maskrcnn/models/nuclei and benchmarks/results/nuclei-package.json. Measured on val: the last run's network in full
and in half precision; with `box_nms_thresh` 0.5, which gives more AP, and 0.4, which is stored, since fewer nuclei are found
twice; nuclei half and twice as large for the network; pictures of half and twice as many pixels a side; inverted ones.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from pycocotools import mask as coco_mask

from simple_maskrcnn import CocoDataset, eval_transforms, evaluate, load_model
from simple_maskrcnn.bench import machine, save_figures
from simple_maskrcnn.data.coco import mask_record
from simple_maskrcnn.files import write_atomic

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "simple_maskrcnn/models/nuclei"
PICTURES = {"large.png": "5afcbfd0dd64", "crowded.png": "4d4ebfcae437"}  # of val: the name here, and how it begins there
VARIANTS = {  # what it is → how pictures are changed, and settings of the network
    "as trained, full precision, `box_nms_thresh=0.5`": (None, {"box_nms_thresh": 0.5}),
    "full precision": (None, {}),
    "**as stored, half precision**": (None, {}),
    "nuclei half as large for the network, `min_size=300`": (None, {"min_size": 300}),
    "nuclei twice as large, `min_size=1200`": (None, {"min_size": 1200, "max_size": 2800}),
    "pictures with half as many pixels a side": (lambda x: x.resize((x.width // 2, x.height // 2), Image.Resampling.BOX), {}),
    "pictures with twice as many": (lambda x: x.resize((2 * x.width, 2 * x.height), Image.Resampling.BICUBIC), {}),
    "inverted pictures: dark nuclei on white": (ImageOps.invert, {}),
}
CARD = """# Nuclei: the network that simple_maskrcnn brings

Finds cell nuclei in fluorescence microscopy, each with an outline: `load_model("nuclei")`, or
`simple-maskrcnn predict nuclei PICTURES`. One class, `nucleus`. A Mask R-CNN on a ResNet-18 with {parameters:.1f} million
weights, stored in half precision ({megabytes:.1f} MB) and computed in float32.

**Data.** Data Science Bowl 2018, stage 1, the fluorescence pictures, with the public corrections of the annotations: 441
pictures with 18,419 nuclei to learn from (`train`), 50 with 2,542 to measure (`val`), from several microscopes. CC0 1.0: no
rights reserved. The two pictures in `pictures/` are of `val`; it has not learned from them.

**Training.** From random weights, by `recipes/nuclei.py`: {epochs[0]} passes over the pictures, then {epochs[1]} with frozen
norms and milder changes of the pictures; {steps:,} steps of 4 windows of 256 pixels, {minutes:.0f} minutes in all,
on {machine}, beside other work.
The windows are cut at shorter sides of 320 to 760 pixels (then 440 to 760), turned, mirrored, made brighter or darker, and
15 % (then 8 %) of them inverted.

**How good, on val.** Mask AP is COCO's, the mean over ten values of IoU. The last column is TP / (TP + FP + FN) at IoU 0.5, of
detections with a score above 0.5, which are those that `predict` writes.

| network and pictures | mask AP | mask AP50 | TP / (TP + FP + FN) |
|---|---|---|---|
{rows}

`recipes/nuclei_card.py` measured this on {machine}, {torch};
`benchmarks/results/nuclei-package.json` has all figures. Some settings were chosen on `val`, too: expect a little less on
pictures of your own.

**What it is not for.** Stained tissue (pink and violet), phase contrast and electron microscopy: it has seen none. Whole cells,
or anything else that is no nucleus. Pictures in which a nucleus is narrower than 8 pixels or wider than a quarter of the
picture. Anything that decides about a patient. In dense clumps some nuclei are missed or merged: look at the outlines before
you count. With pictures of your own it learns on: `simple-maskrcnn train --weights nuclei`.

The weights are CC0 1.0, as the data.
"""


def changed(data: Path, folder: Path, change) -> CocoDataset:
    "Val with every picture changed; masks of another size are those of the old, enlarged or reduced."
    content = json.loads((data / "annotations/instances_val.json").read_text())
    for image in content["images"]:
        picture = Image.open(data / "val" / image["file_name"]).convert("RGB")
        picture = picture if change is None else change(picture)
        picture.save(folder / image["file_name"])
        image["width"], image["height"] = picture.size
    sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    for record in content["annotations"]:
        mask = Image.fromarray(255 * coco_mask.decode(record["segmentation"]))
        if mask.size != sizes[record["image_id"]]:
            record |= mask_record(np.asarray(mask.resize(sizes[record["image_id"]], Image.Resampling.BOX)) >= 128)
    content["annotations"] = [record for record in content["annotations"] if record["area"]]
    (folder / "val.json").write_text(json.dumps(content))
    return CocoDataset(folder, folder / "val.json", eval_transforms())


def bring_pictures(data: Path) -> None:
    "Two pictures of val and their nuclei, in COCO format."
    (FOLDER / "pictures").mkdir(parents=True, exist_ok=True)
    content = json.loads((data / "annotations/instances_val.json").read_text())
    images = {}
    for name, begins in PICTURES.items():
        (image,) = (image for image in content["images"] if image["file_name"].startswith(begins))
        Image.open(data / "val" / image["file_name"]).convert("L").save(FOLDER / "pictures" / name, optimize=True)
        images[image["id"]] = {**image, "file_name": name}
    records = [record for record in content["annotations"] if record["image_id"] in images]
    content |= {"images": list(images.values()), "annotations": records}
    write_atomic(FOLDER / "pictures.json", lambda file: file.write(json.dumps(content).encode()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with train/, val/ and annotations/")
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="of nuclei.py; the last one's network is brought")
    args = parser.parse_args()
    full = load_model(args.runs[-1])
    full.roi_heads.detection["nms_thresh"] = 0.4
    shutil.rmtree(FOLDER, ignore_errors=True)
    load_model(args.runs[-1]).half().save_pretrained(FOLDER)
    settings = json.loads((FOLDER / "config.json").read_text()) | {"box_nms_thresh": 0.4}
    (FOLDER / "config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    bring_pictures(args.data)
    rows = []
    for name, (change, options) in VARIANTS.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = args.runs[-1] if "full" in name else FOLDER
            model = type(full).from_pretrained(folder, **{"box_nms_thresh": 0.4} | options)
            results = evaluate(model, changed(args.data, Path(scratch), change), max_detections=400)
        cells = [results["segm"]["AP"], results["segm"]["AP50"], results["jaccard50"]["segm"]]
        rows.append({"what": name, "line": f"| {name} | {' | '.join(f'{cell:.3f}' for cell in cells)} |", **results})
        print(rows[-1]["line"])
    logs = [[json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in args.runs]
    steps = [[line for line in log if "images_per_s" in line] for log in logs]  # one line in ten steps of four images
    figures = {"steps": sum(lines[-1]["step"] for lines in steps), "epochs": [round(lines[-1]["epoch"]) for lines in steps],
               "minutes": sum(40 / line["images_per_s"] for lines in steps for line in lines) / 60,
               "parameters": sum(p.numel() for p in full.parameters()) / 1e6,
               "megabytes": (FOLDER / "model.safetensors").stat().st_size / 1e6}
    here = machine()
    save_figures(ROOT / "benchmarks/results/nuclei-package.json", "python recipes/nuclei_card.py",
                 {**here, **figures, "rows": rows})
    card = CARD.format(rows="\n".join(row["line"] for row in rows), torch=f"torch {here['torch'].split('+')[0]}", **figures,
                       machine=f"{here['cores']} CPU cores ({here['cpu']}, {here['capability']})")
    (FOLDER / "README.md").write_text(card, encoding="utf-8")


if __name__ == "__main__":
    main()
