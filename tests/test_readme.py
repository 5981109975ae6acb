"""The front page: short, and its ten lines of Python run."""

import re
import shutil
import subprocess
import sys

from conftest import ROOT, child_environment

README = (ROOT / "README.md").read_text(encoding="utf-8")
SLIM = ('backbone="resnet18", levels=(3, 4), anchor_sizes=[[16], [32], [64]], fpn_channels=16, box_channels=16, '
        'mask_channels=8, min_size=64, max_size=64')


def test_the_front_page_is_short_and_shows_something_soon():
    assert len(README.split()) <= 900
    assert README.index("](nbs/images/nuclei.jpg)") < 400


def test_the_lines_of_python_train_and_predict(tmp_path):
    from simple_maskrcnn import write_shapes

    write_shapes(tmp_path / "world", n_train=4, n_val=2, size=64)
    (tmp_path / "photos").mkdir()
    for split in ("train", "val"):
        shutil.copytree(tmp_path / "world" / split, tmp_path / "photos" / split)
        shutil.copy(tmp_path / f"world/annotations/instances_{split}.json", tmp_path / f"{split}.json")
    shutil.copytree(tmp_path / "world" / "val", tmp_path / "new_pictures")
    code = re.search(r"```python\n(.*?)```", README, re.S)[1]
    assert 'weights="coco"' in code and "epochs=20" in code and len(code.splitlines()) <= 10
    code = code.replace('weights="coco"', SLIM).replace("epochs=20", "epochs=1")  # no download, and seconds
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
                          env=child_environment(SIMPLE_MASKRCNN_DEVICE="cpu"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "found" / "predictions.json").exists() and (tmp_path / "runs/photos/best").is_dir()
