"""RecBole's SASRec on the split of `accuracy.py`, with the items seen masked and not masked.

RecBole needs older libraries than recsk, so that this runs in an environment of its own:

    python -m venv rival
    rival/bin/pip install torch==2.13.0 "numpy<2" "pandas<2.2" "setuptools<80" recbole==1.2.1 \
        "ray<2.7" pyarrow
    rival/bin/python benchmarks/recbole_sasrec.py --dataset scientific

Width, blocks and heads are those of recsk's models of sequences. It learns from every prefix of a
sequence as a sample of its own and stops by validation NDCG@10, items seen not masked. Of histories
above `--max-length` the last items alone are masked. `--minutes` ends it by time: the best epoch
until then counts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import environment
import numpy as np
import torch

K = 10
ROOT = Path(__file__).resolve().parents[1]


def write_interactions(name: str, data: Path, folder: Path) -> int:
    """RecBole's file, in which the time is the place in the sequence; the longest sequence."""
    with np.load(data / f"{name}.npz", allow_pickle=False) as arrays:
        user, item, time = (arrays[key] for key in ("user", "item", "timestamp"))
    (folder / name).mkdir(parents=True)
    order = np.lexsort((np.arange(len(user)), time, user))
    lines = [f"{user[i]}\t{item[i]}\t{place}" for place, i in enumerate(order)]
    header = "user_id:token\titem_id:token\ttimestamp:float"
    (folder / name / f"{name}.inter").write_text("\n".join([header, *lines]) + "\n")
    return int(np.bincount(user).max())


class OutOfTime(Exception):
    """The time for the training is over."""


def end_by_time(minutes: float) -> list[int]:
    """Let a training of RecBole end by time; the epochs that it has begun are appended."""
    from recbole.trainer import Trainer

    train_epoch, deadline = Trainer._train_epoch, time.monotonic() + 60 * minutes
    begun: list[int] = []

    def train_in_time(self, train_data, epoch_idx, *args, **kwargs):
        if time.monotonic() > deadline:
            raise OutOfTime
        begun.append(epoch_idx + 1)
        return train_epoch(self, train_data, epoch_idx, *args, **kwargs)

    Trainer._train_epoch = train_in_time
    return begun


def measure(model, loader, mask: bool) -> tuple[float, float]:
    hits, gains = [], []
    with torch.no_grad():
        for interaction, *_ in loader:
            scores = model.full_sort_predict(interaction).view(len(interaction), -1)
            scores[:, 0] = -torch.inf  # padding
            seen, target = interaction["item_id_list"], interaction["item_id"][:, None]
            if mask:
                scores.scatter_(1, seen, -torch.inf)
            rank = (scores > scores.gather(1, target)).sum(dim=1)
            found = rank < K
            if mask:
                found &= ~(seen == target).any(dim=1)
            hits.append(found.float())
            gains.append(found / torch.log2(rank + 2.0))
    return torch.cat(hits).mean().item(), torch.cat(gains).mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--dataset", choices=["scientific", "ml100k", "sports"], default="scientific"
    )
    parser.add_argument("--max-length", type=int, help="default: the longest history")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dropout", type=float, default=0.5)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--patience", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=1e6)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    path = args.json and args.json.resolve()
    data = Path(os.environ.get("RECSK_DATA", ROOT.parent / "shared" / "data")).resolve()
    sys.argv = sys.argv[:1]  # RecBole reads it too
    torch.set_num_threads(args.threads)
    load = torch.load
    # RecBole's own files hold more than weights.
    torch.load = lambda *a, **kw: load(*a, **{**kw, "weights_only": False})
    from recbole.quick_start import load_data_and_model, run_recbole

    # It writes logs to wherever it is run.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        longest = write_interactions(args.dataset, data, Path(folder))
        config = {
            "data_path": folder,
            "checkpoint_dir": f"{folder}/saved",
            "USER_ID_FIELD": "user_id",
            "ITEM_ID_FIELD": "item_id",
            "TIME_FIELD": "timestamp",
            "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            "MAX_ITEM_LIST_LENGTH": args.max_length or longest,
            "hidden_size": 64,
            "inner_size": 256,
            "n_layers": 2,
            "n_heads": 2,
            "hidden_dropout_prob": args.dropout,
            "attn_dropout_prob": args.dropout,
            "loss_type": "CE",
            "train_neg_sample_args": None,
            "learning_rate": args.learning_rate,
            "train_batch_size": 2048,
            "eval_batch_size": 512,
            "epochs": args.epochs,
            "stopping_step": args.patience,
            "valid_metric": f"NDCG@{K}",
            "topk": [K],
            "metrics": ["Recall", "NDCG"],
            "eval_args": {
                "split": {"LS": "valid_and_test"},
                "order": "TO",
                "group_by": "user",
                "mode": {"valid": "full", "test": "full"},
            },
            "repeatable": True,
            "use_gpu": False,
            "seed": args.seed,
            "reproducibility": True,
            "show_progress": False,
        }
        begun = end_by_time(args.minutes)
        with contextlib.suppress(OutOfTime):
            run_recbole(model="SASRec", dataset=args.dataset, config_dict=config, saved=True)
        (saved,) = Path(folder, "saved").glob("*.pth")
        _, model, _, _, valid, test = load_data_and_model(str(saved))
        best = int(torch.load(saved)["epoch"]) + 1
        model.eval()
        report = {
            f"{part}, {'' if mask else 'not '}masked": measure(model, loader, mask)
            for part, loader in (("valid", valid), ("test", test))
            for mask in (True, False)
        }
    print(f"\n{len(begun)} epochs, the best one is {best}")
    print(f"{'':<20}{f'recall@{K}':>12}{f'ndcg@{K}':>12}")
    for part, values in report.items():
        print(f"{part:<20}" + "".join(f"{value:>12.4f}" for value in values))
    if path:
        settings = {name: value for name, value in vars(args).items() if name != "json"}
        epochs = {"epochs": len(begun), "best epoch": best}
        about = {"settings": settings, **epochs, "environment": environment.describe()}
        path.write_text(json.dumps({**about, **report}, indent=1) + "\n")


if __name__ == "__main__":
    main()
