"""Draw the map of the index, nbs/images/map.svg: python tools/draw_images.py"""

import sys
from pathlib import Path

import matplotlib

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
matplotlib.use("Agg")

from simple_maskrcnn.draw import setup_notebook, show_pipeline  # noqa: E402

if __name__ == "__main__":
    setup_notebook()
    (ROOT / "nbs" / "images" / "map.svg").write_text(show_pipeline()._repr_svg_(), encoding="utf-8")
