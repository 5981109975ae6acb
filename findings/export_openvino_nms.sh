#!/usr/bin/env bash
# One would guess: two boxes whose IoU is the threshold stay both, as in torchvision ("greater than"), in every engine.
# What happens: OpenVINO drops the second ("at least"). Without a threshold, which is 0 by default, it leaves one box of a
#   class, however far apart they are.
# Users meet: other detections from one file: boxes on whole pixels often have an IoU of exactly 1/2, and a file without the
#   optional threshold finds one object of each class.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1
venv/bin/python - <<'P'
from importlib.metadata import version

import numpy as np
import onnxruntime
import openvino
from onnx import TensorProto, helper, save


def kept(boxes, **more):
    given = {"boxes": np.array([boxes], np.float32), "scores": np.linspace(0.9, 0.5, len(boxes), dtype=np.float32)[None, None],
             "most": np.array([9])} | {name: np.array([value], np.float32) for name, value in more.items()}
    kinds = {"f": TensorProto.FLOAT, "i": TensorProto.INT64}
    inputs = [helper.make_tensor_value_info(name, kinds[x.dtype.kind], list(x.shape)) for name, x in given.items()]
    output = helper.make_tensor_value_info("chosen", TensorProto.INT64, [None, 3])
    graph = helper.make_graph([helper.make_node("NonMaxSuppression", [*given], ["chosen"])], "nms", inputs, [output])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), "nms.onnx")
    yield "onnxruntime", onnxruntime.InferenceSession("nms.onnx").run(None, given)[0][:, 2].tolist()
    yield "openvino", openvino.compile_model("nms.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(given)["chosen"][:, 2].tolist()


print(*(f"{p} {version(p)}" for p in ("onnxruntime", "openvino")), sep=", ")
half = dict(kept([[0, 0, 4, 4], [0, 0, 4, 8]], iou=0.5))
above = dict(kept([[0, 0, 4, 4], [0, 0, 4, 8]], iou=0.51))
apart = dict(kept([[0, 0, 4, 4], [20, 20, 24, 24], [40, 40, 44, 44]]))
print(f"IoU 0.5, threshold 0.5: {half}\nIoU 0.5, threshold 0.51: {above}\nthree boxes far apart, no threshold: {apart}")
assert half == {"onnxruntime": [0, 1], "openvino": [0]} and above == {"onnxruntime": [0, 1], "openvino": [0, 1]}, "this has changed"
assert apart == {"onnxruntime": [0, 1, 2], "openvino": [0]}, "this has changed"
P
