"""What the notebook on augmentation cannot hold: many processes, other start methods, small limits, accelerate."""

import multiprocessing
import pickle
import subprocess
import sys
import textwrap

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard, prepare_data_loader
from torch.testing import assert_close
from torch.utils.data import Dataset

from simple_maskrcnn.data.augment import eval_transforms, train_transforms
from simple_maskrcnn.data.loader import AspectBatchSampler, SeededDataset, make_loader
from simple_maskrcnn.data.shapes import ShapesDataset

EVERYTHING = train_transforms(
    vertical_flip=0.5, rotate90=True, large_scale_jitter=(0.3, 2.0, 64), color=1.0, min_area=4
)


def shapes(n=22):
    return ShapesDataset(n, 64, seed=0, transforms=EVERYTHING)


class Broken(Dataset):
    "Stands for a dataset with one image that cannot be read."

    def __len__(self):
        return 8

    def __getitem__(self, index):
        if index == 5:
            raise FileNotFoundError("images/5.png of image id 5 does not exist")
        return shapes(8)[index]


class Sizes(Dataset):
    "Stands for a dataset of images of many shapes; its items are its indices."

    def __init__(self, n):
        self.image_sizes = [(40 + 17 * k % 61, 40 + 29 * k % 53) for k in range(n)]

    def __len__(self):
        return len(self.image_sizes)

    def __getitem__(self, index):
        return index, {"image_id": index, "draw": torch.rand(())}


def passes(loader, count):
    return [list(loader) for _ in range(count)]


def ids(batches):
    return [[target["image_id"] for target in targets] for _, targets in batches]


@pytest.fixture(scope="module")
def reference():
    return passes(make_loader(shapes(), 4), 3)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_gives_the_same_epochs(workers, reference):
    assert_close(passes(make_loader(shapes(), 4, num_workers=workers), 3), reference, rtol=0, atol=0)


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_any_start_method_gives_the_same_epochs(method, reference):
    loader = make_loader(shapes(), 4, num_workers=1)
    loader.multiprocessing_context = method
    assert_close(passes(loader, 2), reference[:2], rtol=0, atol=0)


@pytest.mark.parametrize("workers", [0, 2])
def test_resume_anywhere(workers, reference):
    loader = make_loader(shapes(), 4, num_workers=workers)
    for epoch, batch in [(2, 5), (0, 3), (1, 0), (1, 6)]:  # also backwards, with the workers still alive
        loader.batch_sampler.begin(epoch, batch)
        assert len(loader) == 6
        assert_close(list(loader), reference[epoch][batch:], rtol=0, atol=0)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_pass_cut_short_counts_as_a_pass(workers, reference):
    loader = make_loader(shapes(), 4, num_workers=workers)
    next(iter(loader))
    assert_close(list(loader), reference[1], rtol=0, atol=0)


def test_number_of_threads_does_not_matter():
    "Workers compute on one thread, the main process on several; a sum must not depend on that."
    data = SeededDataset(ShapesDataset(1, 512, seed=0, transforms=train_transforms(scales=[900], color=1.0)))
    threads, results = torch.get_num_threads(), []
    for n in (1, 4):
        torch.set_num_threads(n)
        results.append([data[0, seed] for seed in range(5)])
    torch.set_num_threads(threads)
    assert_close(*results, rtol=0, atol=0)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_keeps_its_type_and_names_the_image(workers):
    with pytest.raises(FileNotFoundError, match="image id 5"):
        list(make_loader(Broken(), 2, num_workers=workers))


def test_transforms_and_datasets_can_be_sent_to_a_process():
    data = SeededDataset(shapes())
    assert_close(pickle.loads(pickle.dumps(data))[3, 17], data[3, 17], rtol=0, atol=0)
    pickle.loads(pickle.dumps(eval_transforms()))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands tensors over as open files")
def test_more_tensors_on_their_way_than_open_files_allowed():
    "If each tensor were a file of its own: 'received 0 items of ancdata' or 'Too many open files'."
    code = """
        import resource, time
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        from simple_maskrcnn.data.augment import train_transforms
        from simple_maskrcnn.data.loader import make_loader
        from simple_maskrcnn.data.shapes import ShapesDataset
        data = ShapesDataset(128, 32, seed=0, transforms=train_transforms())
        for _ in make_loader(data, 16, num_workers=2):
            time.sleep(0.3)  # the workers run ahead
        print("done")
    """
    out = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120)
    assert out.stdout.strip() == "done", out.stderr[-2000:]


def test_accelerate_takes_what_workers_have_packed():
    loader = prepare_data_loader(make_loader(shapes(), 4, num_workers=1), num_processes=1, process_index=0, put_on_device=False)
    found, expected = list(loader), list(make_loader(shapes(), 4))
    assert len(found) == len(expected) > 0
    for (images, targets), (other_images, other_targets) in zip(found, expected):
        assert_close(images, other_images, rtol=0, atol=0)
        assert_close(targets, other_targets, rtol=0, atol=0)


@pytest.mark.parametrize("n", [5, 16, 21, 24])
@pytest.mark.parametrize("drop_last", [False, True])
def test_accelerate_splits_the_batches_over_two_processes(n, drop_last):
    data, batch_size = Sizes(n), 4
    shards = []
    for rank in (0, 1):
        loader = make_loader(data, batch_size, drop_last=drop_last)
        sampler = loader.batch_sampler
        loader = prepare_data_loader(loader, num_processes=2, process_index=rank, put_on_device=False)
        assert isinstance(loader.batch_sampler, BatchSamplerShard)
        sampler.begin(3)
        shards.append(ids(loader))
        assert len(shards[-1]) == len(loader)
    assert len(shards[0]) == len(shards[1])  # else a process waits for ever
    assert all(len(batch) == batch_size for shard in shards for batch in shard)
    full = [[k for k, _ in batch] for batch in AspectBatchSampler(data.image_sizes, 4, drop_last=drop_last).batches(3)]
    together = [batch for pair in zip(*shards, strict=True) for batch in pair]
    assert together[: n // 8 * 2] == full[: n // 8 * 2]
    if not drop_last:
        assert {k for batch in together for k in batch} == set(range(n))


@pytest.mark.parametrize("processes", [1, 2])
def test_accelerate_does_not_set_the_epoch_behind_our_back(processes):
    "Its loader calls `set_epoch` on samplers that have it, counted from its own start: a resumed run would begin anew."
    loader = make_loader(Sizes(32), 4, drop_last=True)
    sampler = loader.batch_sampler
    prepared = prepare_data_loader(loader, num_processes=processes, process_index=0, put_on_device=False)
    sampler.begin(5, batch=4)
    want = [[k for k, _ in batch] for batch in sampler.batches(5)[4:]]
    assert ids(prepared) == want[::processes]
    want = [[k for k, _ in batch] for batch in sampler.batches(6)]
    assert ids(prepared) == want[::processes]
