"""One model of MMRec in a process of its own, which `mmrec_peers.py` starts in MMRec's `src`.

MMRec is written for a GPU and for older libraries. `PATCHES` lists what is replaced here so that
its models run on a CPU with the libraries of today; none of it changes what a model computes.
"""

from __future__ import annotations

import copy
import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from recsk.metrics import recall_at_k

__all__ = ["PATCHES"]

PATCHES = {
    "all": (
        "np.float and dok_matrix._update, which NumPy and SciPy no longer have, are defined",
        "lmdb and torchvision are empty modules: these models read no raw images",
        "Tensor.cuda returns the tensor itself, torch_scatter.scatter_add is torch's own",
        "torch.sparse.mm multiplies CSR matrices, forward and backward: the same sums",
        "Adam is torch's fused one",
    ),
    "FREEDOM": ("losses of weight 0 are not computed",),
    "DRAGON": (
        "both sums over neighbours are sparse products, in place of torch_geometric",
        "result_embed is a plain tensor on the CPU as well",
    ),
}


class Product(torch.autograd.Function):
    """A sparse matrix times a dense one."""

    @staticmethod
    def forward(ctx: Any, matrix: torch.Tensor, transposed: torch.Tensor, x: torch.Tensor) -> Any:
        ctx.transposed = transposed
        return matrix @ x

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return None, None, ctx.transposed @ gradient


def multiply(matrix: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The sparse product; both CSR forms stay with the matrix."""
    if not hasattr(matrix, "both_ways"):
        plain = matrix.detach().coalesce()
        matrix.both_ways = plain.to_sparse_csr(), plain.t().coalesce().to_sparse_csr()
    return Product.apply(*matrix.both_ways, x)


def links(graph: Any, of: torch.Tensor, make: Any) -> torch.Tensor:
    """The matrix of a graph that MMRec holds in another form, kept with its tensor `of`."""
    if not hasattr(of, "as_matrix"):
        index, values, n = make(graph, of)
        of.as_matrix = torch.sparse_coo_tensor(index, values, (n, n))
    return of.as_matrix


def normalized_edges(n_nodes: int, edges: torch.Tensor) -> Any:
    degree = torch.bincount(edges[0], minlength=n_nodes).float()
    return edges, (degree[edges[0]] * degree[edges[1]]).rsqrt(), n_nodes


def weighted_neighbors(neighbors: list[list[int]], weights: torch.Tensor) -> Any:
    others = torch.tensor(neighbors)
    rows = torch.arange(len(others))[:, None].expand_as(others)
    return torch.stack([rows.flatten(), others.flatten()]), weights.flatten(), len(others)


def sum_of_items(self: Any, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
    """In place of Base_gcn.forward of DRAGON."""
    return multiply(links(len(x), edge_index, normalized_edges), x)


def sum_of_users(
    self: Any, features: torch.Tensor, user_graph: list[list[int]], user_matrix: torch.Tensor
) -> torch.Tensor:
    """In place of User_Graph_sample.forward of DRAGON."""
    return multiply(links(user_graph, user_matrix, weighted_neighbors), features)


class MessagePassing(torch.nn.Module):
    """Takes what torch_geometric's takes; nothing of it is called."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__()


def scatter_add(src: torch.Tensor, index: torch.Tensor, dim: int, dim_size: int) -> torch.Tensor:
    return torch.zeros(dim_size, dtype=src.dtype).scatter_add(dim, index, src)


def install() -> None:
    """Define what MMRec expects of its libraries."""
    warnings.filterwarnings("ignore")
    vars(np)["float"] = float
    sp.dok_matrix._update = lambda matrix, entries: matrix._dict.update(entries)
    torch.Tensor.cuda = lambda tensor, *args, **kwargs: tensor  # type: ignore[method-assign]
    torch.sparse.mm = multiply
    empty: dict[str, dict[str, Any]] = {
        "lmdb": {},
        "torchvision": {},
        "torchvision.transforms": {},
        "torchvision.transforms.functional": {"pad": None, "resize": None},
        "torch_scatter": {"scatter_add": scatter_add},
        "torch_geometric": {},
        "torch_geometric.nn": {},
        "torch_geometric.nn.conv": {"MessagePassing": MessagePassing},
        "torch_geometric.utils": dict.fromkeys(["remove_self_loops", "add_self_loops", "degree"]),
    }
    for name, members in empty.items():
        module = sys.modules[name] = ModuleType(name)
        vars(module).update(members)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)


def build(job: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
    """The model, MMRec's trainer, its training batches and the loaders of the held-out parts."""
    from common.trainer import Trainer
    from utils.configurator import Config
    from utils.dataloader import EvalDataLoader, TrainDataLoader
    from utils.dataset import RecDataset
    from utils.utils import get_model, init_seed

    config = Config(job["model"], job["dataset"], job["config"])
    parts = RecDataset(config).split()
    for part in parts:
        str(part)  # counts its interactions
    batches = TrainDataLoader(config, parts[0], config["train_batch_size"], shuffle=True)
    held_out = [EvalDataLoader(config, p, parts[0], config["eval_batch_size"]) for p in parts[1:]]
    init_seed(config["seed"])
    batches.pretrain_setup()
    if job["model"] == "DRAGON":
        import models.dragon as dragon

        dragon.Base_gcn.forward = sum_of_items
        dragon.User_Graph_sample.forward = sum_of_users
    model = get_model(job["model"])(config, batches)
    if "result_embed" in model._parameters:  # every step replaces it by another tensor
        model.result_embed = model._parameters.pop("result_embed").data
    if job["model"] == "FREEDOM" and not config["reg_weight"]:
        model.v_feat = model.t_feat = None
    trainer = Trainer(config, model)
    for group in trainer.optimizer.param_groups:
        group.update(fused=True, foreach=False)
    return model, trainer, batches, held_out


def ranked_lists(model: Any, loader: Any, n_users: int, k: int) -> np.ndarray:
    """The first items of each user, training items excluded, -1 for users without held-out ones."""
    lists = np.full((n_users, k), -1)
    model.eval()
    with torch.no_grad():
        for users, seen in loader:
            scores = model.full_sort_predict([users, seen])
            scores[seen[0], seen[1]] = -torch.inf
            lists[users.numpy()] = torch.topk(scores, k).indices.numpy()
    return lists


def snapshot(model: Any) -> tuple[dict[str, Any], Any]:
    """All that the scores come from: DRAGON's are of its last training batch."""
    last = getattr(model, "result_embed", None)
    return copy.deepcopy(model.state_dict()), last if last is None else last.detach().clone()


def restore(model: Any, kept: tuple[dict[str, Any], Any]) -> None:
    model.load_state_dict(kept[0])
    if kept[1] is not None:
        model.result_embed = kept[1]


def train(job: dict[str, Any], valid: sp.csr_matrix) -> tuple[dict[str, Any], np.ndarray]:
    """Epochs until validation, the time or SIGTERM ends them; what to report, the test lists."""
    model, trainer, batches, (valid_users, test_users) = build(job)
    n_users = valid.shape[0]
    ready = time.process_time()
    training = validation = 0.0
    best, best_epoch, kept, curve = -1.0, 0, snapshot(model), {}
    ended, stopped = "all epochs run", []
    signal.signal(signal.SIGTERM, lambda *received: stopped.append(received))
    for epoch in range(1, job["epochs"] + 1):
        start = time.process_time()
        model.pre_epoch_processing()
        loss, _ = trainer._train_epoch(batches, epoch)
        loss = sum(loss) if isinstance(loss, tuple) else float(loss)
        trainer.lr_scheduler.step()
        model.post_epoch_processing()
        trained = time.process_time()
        training += trained - start
        if epoch % job["every"] == 0:
            found = recall_at_k(ranked_lists(model, valid_users, n_users, 20), valid, 20)
            curve[epoch] = round(found, 5)
            if found > best:
                best, best_epoch, kept = found, epoch, snapshot(model)
            validation += time.process_time() - trained
        now = time.process_time()
        shown = f"recall@20 {curve[epoch]:.5f}" if epoch in curve else ""
        print(f"{job['model']} epoch {epoch:3d} {now:6.0f} s loss {loss:9.3f} {shown}", flush=True)
        if not np.isfinite(loss):
            ended = f"by a loss that is not finite, at epoch {epoch}"
            break
        if epoch - best_epoch > job["patience"]:
            ended = f"by validation, at epoch {epoch}"
            break
        if now > 60 * job["minutes"] or stopped:
            ended = f"by {'a signal' if stopped else 'time'}, at epoch {epoch}"
            break
    restore(model, kept)
    about = {
        "epochs": epoch,
        "best_epoch": best_epoch,
        "ended": ended,
        "seconds_per_epoch": training / epoch,
        "cpu_seconds": {"building": ready, "training": training, "validation": validation},
        "valid": {"recall@20": best},
        "curve": curve,
    }
    return about, ranked_lists(model, test_users, n_users, job["length"])


def main() -> None:
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text())
    torch.set_num_threads(job["threads"])
    install()
    sys.path[0] = os.getcwd()  # MMRec and this folder both have a module `models`
    about, lists = train(job, sp.load_npz(folder / "valid.npz"))
    np.save(folder / "lists.npy", lists)
    (folder / "about.json").write_text(json.dumps(about))


if __name__ == "__main__":
    main()
