"""Train on the workers of a Ray cluster, or on several processes of one machine.

    python examples/train_on_folder.py rows --make 2000000
    python examples/train_with_ray.py rows --library xgboost --workers 2
    python examples/train_with_ray.py s3://bucket/rows --address auto --workers 8 \
--cpus 4 --storage s3://bucket/runs

The first command writes a folder of simulated rows. The second starts Ray on this
machine, the third connects to a cluster, whose machines need this library too. Each
worker keeps an equal share of the rows in memory, and Ray Train connects the workers
for LightGBM's or XGBoost's own distributed training. The start is computed from the
labels of all rows before training, and the closing constant from all rows after it, in
this process: a worker sees its own share alone, which may have no fraud. The saved
model is complete: the plain library reads it, and predicts probabilities whose mean
over the training rows is the fraud rate.

If a worker is lost, the others cannot go on without its rows. Ray Train ends them, and
starts all again from the last checkpoint (--checkpoint), at most --retries times; after
that the command ends with an error, and no model is saved.

Ray's equal shares drop the rows that remain, fewer than there are workers. Which rows a
worker receives differs from run to run, and with them bins and trees do, slightly.
LightGBM chooses the bins of a column from the rows of one worker: write the rows in a
mixed order if a column grows along the files, as a time does.

All columns must be numbers: one label, 0 or 1, and features. --weight and --maturity
name columns with the weight of a row and with the probability that a fraud of the row
would be known by now.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from focal_gbm import FocalObjective
from focal_gbm.native import complete, starting_point

try:
    import pyarrow as pa
    import ray
    import ray.data
    import ray.train
except ImportError:
    sys.exit("The example needs Ray Train: pip install 'focal_gbm[ray]'")
try:
    from tqdm import tqdm
except ImportError:  # no bar, the same work
    tqdm = None

SUFFIXES = {"lightgbm": (".txt",), "xgboost": (".json", ".ubj")}


def main() -> None:
    """Train on the files, and save the model."""
    arguments = parse_arguments()
    began = time.perf_counter()
    connect(arguments)
    try:
        rows = Rows(arguments)
        booster = train(rows, arguments)
    finally:
        ray.shutdown()
    booster.save_model(arguments.model)
    print(
        f"Saved {arguments.model} after {time.perf_counter() - began:.0f} s. To score "
        "a folder:\n"
        f"  python examples/score_folder.py {arguments.model} {arguments.rows} scores"
    )


def parse_arguments() -> argparse.Namespace:
    """Read the command line and check what it names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("rows", help="folder of parquet files, or its URI")
    add("--library", choices=SUFFIXES, default="lightgbm", help="[%(default)s]")
    add("--model", type=Path, metavar="FILE", help="[model.txt or model.ubj]")
    add("--label", default="is_fraud", metavar="COLUMN", help="[%(default)s]")
    add("--weight", metavar="COLUMN", help="column of row weights")
    add("--maturity", metavar="COLUMN", help="column of label maturities")
    add("--drop", nargs="+", default=[], metavar="COLUMN", help="columns to leave out")
    add("--gamma", type=float, default=2.0, help="[%(default)s]")
    add("--trees", type=int, default=100, help="[%(default)s]")
    add("--learning-rate", type=float, default=0.1, help="[%(default)s]")
    add("--max-bin", type=int, default=255, help="[%(default)s]")
    add("--batch", type=int, default=250_000, help="rows in a batch [%(default)s]")
    add("--workers", type=int, default=2, help="[%(default)s]")
    add("--cpus", type=int, default=1, help="CPUs of each worker [%(default)s]")
    add("--address", help="cluster, or auto [a Ray of its own, on this machine]")
    add(
        "--object-store",
        type=float,
        default=0.5,
        metavar="GB",
        help="memory for rows on their way to workers, without --address [%(default)s]",
    )
    add("--storage", metavar="DIR", help="checkpoints' folder or URI [temporary]")
    add(
        "--checkpoint",
        type=int,
        default=50,
        metavar="TREES",
        help="trees between checkpoints, each of 2 s [%(default)s]",
    )
    add("--retries", type=int, default=1, help="after a lost worker [%(default)s]")
    arguments = parser.parse_args()
    suffixes = SUFFIXES[arguments.library]
    if arguments.model is None:
        arguments.model = Path("model" + suffixes[-1])
    if arguments.model.suffix not in suffixes:
        parser.error(f"--model: {arguments.library} writes {' or '.join(suffixes)}")
    if not arguments.model.absolute().parent.is_dir():
        parser.error(f"--model: the folder {arguments.model.parent} does not exist")
    for name in ("batch", "trees", "workers", "cpus", "checkpoint"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} must be at least 1")
    if arguments.retries < 0:
        parser.error("--retries must be at least 0")
    if arguments.object_store < 0.1:
        parser.error("--object-store must be at least 0.1 GB")
    if arguments.address and not arguments.storage:
        parser.error(
            "--address needs --storage, a folder or URI that all machines of the "
            "cluster see: a worker that starts again reads its checkpoint there"
        )
    if "://" not in arguments.rows:
        arguments.rows = str(Path(arguments.rows).absolute())
        if not arguments.address and not any(Path(arguments.rows).glob("*.parquet")):
            parser.error(
                f"{arguments.rows} has no parquet files; "
                "python examples/train_on_folder.py rows --make 2000000 writes some"
            )
    return arguments


def connect(arguments: argparse.Namespace) -> None:
    """Connect to the cluster, or start Ray on this machine."""
    # one CPU beyond those of the workers, for the tasks that read files
    n_cpus = arguments.workers * arguments.cpus + 1
    quiet = {
        "logging_level": "ERROR",
        "logging_config": ray.LoggingConfig(log_level="ERROR"),
    }
    if arguments.address:
        ray.init(arguments.address, **quiet)
    else:
        ray.init(
            "local",
            num_cpus=n_cpus,
            object_store_memory=int(arguments.object_store * 1e9),
            include_dashboard=False,
            **quiet,
        )
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    found = int(ray.cluster_resources().get("CPU", 0))
    if found < n_cpus:
        print(
            f"The cluster has {found} CPUs, and {n_cpus} are needed, one to read files "
            "and the others for workers: Ray waits until the cluster has grown. If it "
            "will not, press Ctrl-C and choose fewer --workers or --cpus",
            flush=True,
        )


class Rows:
    """Parquet files as a data set of Ray, with the columns by their roles."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.batch = arguments.batch
        self.others = {"y": arguments.label}
        if arguments.weight:
            self.others["sample_weight"] = arguments.weight
        if arguments.maturity:
            self.others["label_maturity"] = arguments.maturity
        self.data = ray.data.read_parquet(arguments.rows)
        schema = self.data.schema()
        if schema is None:
            sys.exit(f"{arguments.rows} has no rows in parquet files")
        kinds = dict(zip(schema.names, schema.types, strict=True))
        for column in (*self.others.values(), *arguments.drop):
            if column not in kinds:
                sys.exit(f"{arguments.rows} has no column {column!r}, but {[*kinds]}")
        left_out = {*self.others.values(), *arguments.drop}
        self.features = [
            name
            for name in kinds
            if name not in left_out and not name.startswith("__index_level_")
        ]  # pandas writes an index as a column
        for name in (*self.features, *self.others.values()):
            if not is_number(kinds[name]):
                sys.exit(
                    f"{arguments.rows}: column {name!r} holds {kinds[name]}, and only "
                    f"numbers can be trained on; leave it out with --drop {name}"
                )
        if arguments.library == "lightgbm":
            odd = [name for name in self.features if set(name) & set(' \t",:[]{}')]
            if odd:
                sys.exit(
                    f"LightGBM cannot keep the column names {odd}; rename them without "
                    'blanks and without any of ",:[]{}'
                )
        self.data = self.data.select_columns([*self.features, *self.others.values()])
        self.n_rows = self.data.count()

    def batches(self, title: str) -> Iterator[dict[str, np.ndarray]]:
        """Yield all rows, with a bar over them."""
        return self._read(title, self.features)

    def labels(self) -> list[dict[str, np.ndarray]]:
        """Return label, and weight and maturity if any, of all rows, in batches."""
        return list(self._read("read labels", []))

    def _read(self, title: str, features: list[str]) -> Iterator[dict[str, np.ndarray]]:
        data = self.data.select_columns([*features, *self.others.values()])
        bar = tqdm and tqdm(total=self.n_rows, desc=title, unit=" rows", unit_scale=1)
        for table in data.iter_batches(batch_size=self.batch, batch_format="pyarrow"):
            yield as_batch(table, features, self.others)
            if bar:
                bar.update(table.num_rows)
        if bar:
            bar.close()


def is_number(kind: Any) -> bool:
    """Whether a type of Arrow is one of numbers."""
    return isinstance(kind, pa.DataType) and (
        pa.types.is_floating(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
    )


def as_batch(
    table: Any, features: list[str], others: dict[str, str]
) -> dict[str, np.ndarray]:
    """Return a table as a float32 matrix of features and float32 vectors, NaN where a
    value is blank."""
    X = np.empty((table.num_rows, len(features)), np.float32)
    for i, name in enumerate(features):
        X[:, i] = table[name].to_numpy()
    vectors = {k: table[c].to_numpy().astype(np.float32) for k, c in others.items()}
    return {"X": X, **vectors}


def train(rows: Rows, arguments: argparse.Namespace) -> Any:
    """Return the complete booster, trained on the workers."""
    labels = rows.labels()
    start = starting_point(labels)
    maturity = None
    if "label_maturity" in labels[0]:
        maturity = np.concatenate([batch["label_maturity"] for batch in labels])
    objective = FocalObjective(
        gamma=arguments.gamma,
        offset=start,
        label_maturity=maturity,
        n_jobs=arguments.cpus,
    )
    n_frauds = sum(float(batch["y"].sum()) for batch in labels)
    print(
        f"{rows.n_rows:,} rows of {len(rows.features)} columns, "
        f"{n_frauds / rows.n_rows:.3%} fraud; boosting begins at a raw score of "
        f"{start:.3f}",
        flush=True,
    )
    config = {
        "objective": replace(objective, label_maturity=None),  # a worker has its own
        "features": rows.features,
        "others": rows.others,
        **vars(arguments),
    }
    with tempfile.TemporaryDirectory() as temporary:
        booster = train_on_workers(rows, config, arguments.storage or temporary)
    return complete(booster, lambda: rows.batches("complete"), objective=objective)


def train_on_workers(rows: Rows, config: dict[str, Any], storage: str) -> Any:
    """Return the booster that Ray Train's workers trained, of the last checkpoint."""
    if config["library"] == "lightgbm":
        from ray.train.lightgbm import LightGBMTrainer as Trainer
        from ray.train.lightgbm import RayTrainReportCallback

        loop = train_lightgbm
    else:
        from ray.train.xgboost import RayTrainReportCallback
        from ray.train.xgboost import XGBoostTrainer as Trainer

        loop = train_xgboost
    if "://" not in storage:
        storage = str(Path(storage).absolute())
    trainer = Trainer(
        loop,
        train_loop_config=config,
        datasets={"train": rows.data},
        scaling_config=ray.train.ScalingConfig(
            num_workers=config["workers"],
            resources_per_worker={"CPU": config["cpus"]},
        ),
        # without a name: one of an earlier run would continue its model
        run_config=ray.train.RunConfig(
            storage_path=storage,
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=1),
            failure_config=ray.train.FailureConfig(max_failures=config["retries"]),
        ),
    )
    print(f"Starting {config['workers']} workers ...", flush=True)
    try:
        result = trainer.fit()  # returns only if each worker has trained all trees
    except ray.train.TrainingFailedError as error:
        sys.exit(
            f"{error}\nNo model is saved. If a worker was lost for want of memory, "
            "choose more --workers, on more machines; if machines come and go, more "
            "--retries and a smaller --checkpoint"
        )
    return RayTrainReportCallback.get_model(result.checkpoint)


def share_of_rows(config: dict[str, Any]) -> dict[str, Any]:
    """Return the rows of this worker, in memory."""
    shard = ray.train.get_dataset_shard("train")
    tables = shard.iter_batches(batch_size=config["batch"], batch_format="pyarrow")
    parts = [as_batch(table, config["features"], config["others"]) for table in tables]
    rank = ray.train.get_context().get_world_rank()
    if not parts:
        msg = f"worker {rank} received no rows: choose fewer --workers"
        raise ValueError(msg)
    rows = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    write_line(
        f"worker {rank}: {len(rows['y']):,} rows, {rows['y'].sum():,.0f} of fraud"
    )
    return rows


def write_line(text: str) -> None:
    """Write a line of a worker, which Ray brings to the terminal of the driver."""
    sys.stdout.write(text + "\n")  # Ray Train doubles those of print
    sys.stdout.flush()


def is_due(n_trees: int, config: dict[str, Any]) -> bool:
    """Whether a checkpoint is due after a tree; write the progress."""
    trees, rank = config["trees"], ray.train.get_context().get_world_rank()
    if rank == 0 and (n_trees % max(1, trees // 10) == 0 or n_trees == trees):
        write_line(f"tree {n_trees} of {trees}")
    return n_trees % config["checkpoint"] == 0 or n_trees == trees


def train_lightgbm(config: dict[str, Any]) -> None:
    """Train with LightGBM, on each worker."""
    import lightgbm as lgb
    from ray.train.lightgbm import RayTrainReportCallback, get_network_params

    class Report(RayTrainReportCallback):
        """Checkpoint where one is due: Ray Train takes 2 s for a report."""

        def __call__(self, env: Any) -> None:
            if is_due(env.iteration + 1, config):
                super().__call__(env)

    checkpoint = ray.train.get_checkpoint()  # if training starts again
    first = checkpoint and Report.get_model(checkpoint)
    n_trees = config["trees"] - (first.current_iteration() if first else 0)
    if n_trees == 0:
        return
    rows = share_of_rows(config)
    objective = replace(config["objective"], label_maturity=rows.get("label_maturity"))
    parameters = {
        "objective": objective,
        "metric": "None",
        "learning_rate": config["learning_rate"],
        "max_bin": config["max_bin"],
        "max_delta_step": 4.0,
        "min_child_weight": 1.0,
        "num_threads": config["cpus"],
        "tree_learner": "data",
        "pre_partition": True,
        "verbosity": -1,
        **get_network_params(),
    }
    # not constructed here: lgb.train connects the workers before they choose bins
    data = lgb.Dataset(
        rows["X"],
        rows["y"],
        weight=rows.get("sample_weight"),
        feature_name=config["features"],
    )
    lgb.train(
        parameters, data, n_trees, init_model=first, callbacks=[Report(frequency=1)]
    )


def train_xgboost(config: dict[str, Any]) -> None:
    """Train with XGBoost, on each worker."""
    import xgboost as xgb
    from ray.train.xgboost import RayTrainReportCallback

    class Report(RayTrainReportCallback):
        """Checkpoint where one is due: Ray Train takes 2 s for a report."""

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> None:
            if is_due(model.num_boosted_rounds(), config):
                super().after_iteration(model, epoch, evals_log)

    checkpoint = ray.train.get_checkpoint()  # if training starts again
    first = checkpoint and Report.get_model(checkpoint)
    n_trees = config["trees"] - (first.num_boosted_rounds() if first else 0)
    if n_trees == 0:
        return
    rows = share_of_rows(config)
    objective = replace(config["objective"], label_maturity=rows.get("label_maturity"))
    parameters = {
        "objective": "binary:logistic",  # the name in the saved model
        "disable_default_eval_metric": True,
        "learning_rate": config["learning_rate"],
        "max_bin": config["max_bin"],
        "max_delta_step": 4.0,
        "min_child_weight": 1.0,
        "nthread": config["cpus"],
    }
    # bins of the first workers would be needed to score rows of a QuantileDMatrix by
    # the trees of a checkpoint; a DMatrix has the values, in more memory
    matrix_type: Any = xgb.DMatrix
    if first is None:
        matrix_type = partial(xgb.QuantileDMatrix, max_bin=config["max_bin"])
    data = matrix_type(
        rows["X"],
        rows["y"],
        weight=rows.get("sample_weight"),
        feature_names=config["features"],
        nthread=config["cpus"],
    )
    xgb.train(
        parameters,
        data,
        n_trees,
        obj=objective,
        xgb_model=first,
        callbacks=[Report(frequency=1)],
    )


if __name__ == "__main__":
    main()
