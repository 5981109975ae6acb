"""A network that is exported, and its file in the place of a run: the command line, for real."""

import json

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from torchvision.transforms.v2.functional import to_pil_image
from typer.testing import CliRunner

from simple_maskrcnn import ShapesDataset, cli, load_model, maskrcnn
from simple_maskrcnn.inference.export import OLDEST

for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(package, reason=f"{package} is not installed: pip install 'simple_maskrcnn[export]'")
if torch.__version__ < OLDEST:
    pytest.skip(f"PyTorch before {OLDEST} cannot export", allow_module_level=True)


def run(*words) -> str:
    done = CliRunner().invoke(cli.app, list(map(str, words)))
    assert done.exit_code == 0, done.output
    return done.output


def test_a_file_predicts_what_its_network_predicts(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMPLE_MASKRCNN_DEVICE", "cpu")
    torch.manual_seed(0)
    model = maskrcnn(classes=["a", "b"], backbone="resnet18", levels=(5,), fpn_channels=8, box_channels=16, mask_channels=8,
                     min_size=128, max_size=200, rpn_post_nms_top_n_test=30, box_detections_per_img=300,
                     box_score_thresh=0.01, exact_masks=True)
    for name, value in model.state_dict().items():
        value *= 20 if name.endswith(("cls_score.weight", "cls_logits.weight")) else 1  # scores that are far apart
    model.category_of = {1: 7, 2: 9}
    model.save_pretrained(tmp_path / "run/best")
    (tmp_path / "run/config.json").write_text(json.dumps({"pictures": {"own": ["a digest"], "before": []}}))
    for k, size in enumerate([(64, 96), (130, 77)]):
        (tmp_path / "pictures").mkdir(exist_ok=True)
        to_pil_image(ShapesDataset(1, size)[0][0]).save(tmp_path / f"pictures/{k}.png")

    said = run("export", tmp_path / "run", tmp_path / "out.onnx")
    assert "height and width" in said and "300 objects" in said
    assert load_model(str(tmp_path / "out.onnx"), "cpu").learnt == {"a digest"}  # evaluation tells pictures of training
    for network in ("run", "out.onnx"):
        run("predict", tmp_path / network, tmp_path / "pictures", "--output-dir", tmp_path / f"of_{network}",
            "--score-threshold", 0.05)
    wanted, found = (json.loads((tmp_path / f"of_{network}/predictions.json").read_text()) for network in ("run", "out.onnx"))
    assert found["categories"] == wanted["categories"] and wanted["categories"][0]["id"] == 7
    assert len(found["annotations"]) == len(wanted["annotations"]) > 5
    rows = [sorted(([a["image_id"], a["category_id"], *a["bbox"], a["score"]], *a["segmentation"].values())
                   for a in content["annotations"]) for content in (found, wanted)]
    np.testing.assert_allclose(*([numbers for numbers, *_ in part] for part in rows), rtol=0, atol=0.02)
    masks = [[{"size": size, "counts": counts.encode()} for _, size, counts in part] for part in rows]
    assert all(coco_mask.iou([a], [b], [0]).item() > 0.99 for a, b in zip(*masks) if coco_mask.area(b) > 20)
