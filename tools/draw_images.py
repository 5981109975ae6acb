"""Draw the pictures of the index, nbs/images/*, with the code of this project: python tools/draw_images.py"""

import sys
from pathlib import Path

import matplotlib

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

from simple_maskrcnn.data.shapes import ShapesDataset  # noqa: E402
from simple_maskrcnn.draw import panels, setup_notebook, show_image, show_pipeline, show_target  # noqa: E402

FOLDER = ROOT / "nbs" / "images"


def save(name: str, dpi: int = 100):
    plt.savefig(FOLDER / name, dpi=dpi, bbox_inches="tight", pil_kwargs={"quality": 85})
    plt.close()


def scenes(indices=(7, 41, 60, 62)):
    """Above the pictures as they are, below what is annotated in them."""
    dataset = ShapesDataset(n=100, size=160)
    axes = panels(2 * len(indices), cols=len(indices), size=2.3)
    for above, below, i in zip(axes[: len(indices)], axes[len(indices) :], indices, strict=True):
        image, target = dataset[i]
        show_image(image, ax=above)
        show_target(image, target, dataset.class_names, ax=below)
        below.set_title("")
    save("scenes.jpg")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    setup_notebook()
    scenes()
    show_pipeline()
    save("map.jpg")
