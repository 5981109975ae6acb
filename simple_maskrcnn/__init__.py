"""Mask R-CNN as Jupyter notebooks that you see, read, touch and then use. Names are imported when they are first used."""

__version__ = "0.1.0"

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "network.model": ["MaskRCNN", "maskrcnn"],
    "network.roi_align": ["roi_align"],
    "data.shapes": ["ShapesDataset"],
    "data.coco": ["CocoDataset", "write_shapes"],
    "data.convert": ["convert"],
    "data.augment": ["eval_transforms", "train_transforms"],
    "evaluation.evaluate": ["evaluate"],
    "training.train": ["fit"],
    "inference.predict": ["detect", "load_model", "predict_files"],
    "inference.explore": ["explore"],
})
