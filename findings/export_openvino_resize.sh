#!/usr/bin/env bash
# One would guess: OpenVINO resizes as the ONNX file says, or refuses.
# What happens: it reads neither `antialias` nor `keep_aspect_ratio_policy` of Resize. A picture made smaller with antialias
#   becomes another picture, and "not larger than 20×15" becomes 20×15. onnxruntime and onnx's own evaluator agree with
#   each other.
# Users meet: torchvision's `resize` and `interpolate(antialias=True)` in front of an exported network: in OpenVINO the
#   network sees other pixels than in training, without a word.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1
venv/bin/python - <<'P'
from importlib.metadata import version

import numpy as np
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper, save
from onnx.reference import ReferenceEvaluator

stripes = np.tile(np.array([0, 0, 0, 1], np.float32), (1, 1, 8, 8))  # 8×32: a white column after three black ones


def resized(sizes, **attributes):
    node = helper.make_node("Resize", ["picture", "", "", "sizes"], ["small"], mode="linear", axes=[2, 3], **attributes)
    inout = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in
             (("picture", list(stripes.shape)), ("small", None))]
    graph = helper.make_graph([node], "resize", inout[:1], inout[1:], [numpy_helper.from_array(np.array(sizes), "sizes")])
    model, given = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), {"picture": stripes}
    save(model, "resize.onnx")
    yield "onnxruntime", onnxruntime.InferenceSession("resize.onnx").run(None, given)[0]
    yield "onnx", ReferenceEvaluator(model).run(None, given)[0]
    yield "openvino", openvino.compile_model("resize.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(given)["small"]


print(*(f"{p} {version(p)}" for p in ("onnx", "onnxruntime", "openvino")), sep=", ")
seen = {name: (x[0, 0, 1, 1:7].round(2).tolist(), bool(abs(x[..., 1:-1] - 0.25).max() < 0.01)) for name, x in resized([2, 8], antialias=1)}
shapes = {name: x.shape[2:] for name, x in resized([20, 15], keep_aspect_ratio_policy="not_larger")}
print("a row of a quarter of the size, with antialias:", {name: row for name, (row, _) in seen.items()})
print("8×32, not larger than 20×15:", shapes)
assert {name: grey for name, (_, grey) in seen.items()} == {"onnxruntime": True, "onnx": True, "openvino": False}, "this has changed"
assert shapes == {"onnxruntime": (4, 15), "onnx": (4, 15), "openvino": (20, 15)}, "this has changed"
P
