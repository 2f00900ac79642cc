"""Train on a folder of parquet files that do not fit in memory.

    python examples/train_on_folder.py rows --make 2000000
    python examples/train_on_folder.py rows --library xgboost --model model.ubj
    python examples/train_on_folder.py rows --library lightgbm --model model.txt

The first command writes a folder of simulated rows. The others read the files part by
part: LightGBM through lightgbm.Sequence, XGBoost through a DataIter and an
ExtMemQuantileDMatrix. LightGBM keeps a byte a value in memory. XGBoost keeps that byte
on disk, in --cache. Both keep about 30 bytes a row. The saved model is complete: the
plain library reads it, and predicts probabilities whose mean over the training rows is
the fraud rate.

All columns must be numbers: one label, 0 or 1, and features. --weight and --maturity
name columns with the weight of a row and with the probability that a fraud of the row
would be known by now.

    python examples/train_on_folder.py rows --trees 2000 --checkpoint DIR --every 20

writes the unfinished booster to DIR every 20 trees. After a crash or a kill, start the
same command again: it continues from the last checkpoint, and the model is that of a
run without a break. It refuses a checkpoint of other rows or of other parameters, and
deletes its own when the model is saved. No checkpoint has a library's random state: if
you add bagging or sampled columns to the parameters, a continued run begins its draws
anew, and its trees differ from those of a run without a break. A killed run of XGBoost
leaves its pages in --cache, in a folder train_on_folder-*: delete it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import reprlib
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from focal_gbm import FocalObjective, __version__
from focal_gbm.native import complete, starting_point

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:
    sys.exit("The example reads parquet files: pip install pyarrow")
try:
    from tqdm import tqdm
except ImportError:  # no bar, the same work

    def tqdm(iterable: Any = (), **_: Any) -> Any:
        """Return the iterable."""
        return iterable


SUFFIXES = {"lightgbm": (".txt",), "xgboost": (".json", ".ubj")}
ROWS_A_FILE, ROWS_A_GROUP = 500_000, 100_000  # of simulated files
UNFINISHED = ".unfinished"


def main() -> None:
    """Write a folder with --make, or train on it."""
    arguments = parse_arguments()
    if arguments.make:
        make(arguments.folder, arguments.make, arguments.columns, arguments.seed)
        return
    folder = Folder(arguments)
    n_bytes = folder.n_rows * len(folder.features) * 4
    print(
        f"{folder.n_rows:,} rows of {len(folder.features)} columns in "
        f"{len(folder.paths)} files, {n_bytes / 1e9:.2f} GB in float32"
    )
    began = time.perf_counter()
    labels = folder.label_columns()
    start = starting_point([labels])
    objective = FocalObjective(
        gamma=arguments.gamma,
        offset=start,
        label_maturity=labels.get("label_maturity"),
        n_jobs=arguments.threads or -1,
    )
    print(
        f"{labels['y'].mean():.3%} fraud; boosting begins at a raw score of {start:.3f}"
    )
    checkpoint = Checkpoint(folder, objective, arguments)
    train = {"lightgbm": train_lightgbm, "xgboost": train_xgboost}[arguments.library]
    booster = train(folder, labels, objective, checkpoint, arguments)
    booster = complete(booster, lambda: folder.batches("complete"), objective=objective)
    write(arguments.model, as_bytes(booster, arguments.model.suffix))
    checkpoint.delete()
    print(
        f"Saved {arguments.model} after {time.perf_counter() - began:.0f} s"
        f"{peak_memory()}. To score a folder:\n"
        f"  python examples/score_folder.py {arguments.model} {arguments.folder} scores"
    )


def parse_arguments() -> argparse.Namespace:
    """Read the command line and check what it names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("folder", type=Path, help="folder of parquet files")
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
    add("--threads", type=int, default=0, help="0: all [%(default)s]")
    add("--batch", type=int, default=250_000, help="rows in a batch [%(default)s]")
    add(
        "--cache",
        type=Path,
        metavar="DIR",
        help="folder for XGBoost's pages [temporary]",
    )
    add(
        "--checkpoint",
        type=Path,
        metavar="DIR",
        help="folder for the unfinished booster, from which a run continues [none]",
    )
    add("--every", type=int, metavar="N", help="trees between checkpoints [10]")
    add("--make", type=int, metavar="ROWS", help="write a simulated folder, and end")
    add("--columns", type=int, default=20, help="columns of --make [%(default)s]")
    add("--seed", type=int, default=0, help="seed of --make [%(default)s]")
    arguments = parser.parse_args()
    suffixes = SUFFIXES[arguments.library]
    if arguments.model is None:
        arguments.model = Path("model" + suffixes[-1])
    if arguments.model.suffix not in suffixes:
        parser.error(f"--model: {arguments.library} writes {' or '.join(suffixes)}")
    if not arguments.model.absolute().parent.is_dir():
        parser.error(f"--model: the folder {arguments.model.parent} does not exist")
    if arguments.batch < 1 or arguments.trees < 1:
        parser.error("--batch and --trees must be at least 1")
    if arguments.every is None:
        arguments.every = 10
    elif arguments.checkpoint is None:
        parser.error("--every needs --checkpoint, the folder to write to")
    if arguments.every < 1:
        parser.error(f"--every must be at least 1, got {arguments.every}")
    if arguments.checkpoint is not None and arguments.checkpoint.is_file():
        parser.error(f"--checkpoint: {arguments.checkpoint} is a file, not a folder")
    if arguments.threads:
        pa.set_cpu_count(arguments.threads)
    return arguments


class Folder:
    """Parquet files with the same columns, read a batch or a row group at a time."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.paths = sorted(arguments.folder.glob("*.parquet"))
        if not self.paths:
            sys.exit(
                f"{arguments.folder} has no parquet files; --make 2000000 writes some"
            )
        self.batch = arguments.batch
        self.others = {"y": arguments.label}
        if arguments.weight:
            self.others["sample_weight"] = arguments.weight
        if arguments.maturity:
            self.others["label_maturity"] = arguments.maturity
        schemas = [pq.read_schema(path) for path in self.paths]
        names = schemas[0].names
        for column in (*self.others.values(), *arguments.drop):
            if column not in names:
                sys.exit(f"{self.paths[0]} has no column {column!r}, but {names}")
        left_out = {*self.others.values(), *arguments.drop}
        self.features = [name for name in names if name not in left_out]
        for path, schema in zip(self.paths, schemas, strict=True):
            for name in (*self.features, *self.others.values()):
                if name not in schema.names:
                    sys.exit(f"{path} has no column {name!r}, unlike {self.paths[0]}")
                kind = schema.field(name).type
                if not (
                    pa.types.is_floating(kind)
                    or pa.types.is_integer(kind)
                    or pa.types.is_boolean(kind)
                ):
                    sys.exit(
                        f"{path}: column {name!r} holds {kind}, and only numbers can "
                        f"be trained on; leave it out with --drop {name}"
                    )
        if arguments.library == "lightgbm":
            odd = [name for name in self.features if set(name) & set(' \t",:[]{}')]
            if odd:
                sys.exit(
                    f"LightGBM cannot keep the column names {odd}; rename them without "
                    'blanks and without any of ",:[]{}'
                )
        self.sizes = [pq.read_metadata(path).num_rows for path in self.paths]
        self.n_rows = sum(self.sizes)
        self._kept: tuple[Any, Any] = (None, None)

    def label_columns(self) -> dict[str, np.ndarray]:
        """Return label, and weight and maturity if any, of all rows."""
        columns = list(self.others.values())
        parts: dict[str, list[np.ndarray]] = {key: [] for key in self.others}
        for path in self.paths:
            table = pq.read_table(path, columns=columns)
            for key, column in self.others.items():
                parts[key].append(table[column].to_numpy().astype(np.float32))
        return {key: np.concatenate(values) for key, values in parts.items()}

    def batches(self, title: str) -> Iterator[dict[str, np.ndarray]]:
        """Yield all rows, with a bar over them."""
        columns = [*self.features, *self.others.values()]
        bar = tqdm(total=self.n_rows, desc=title, unit=" rows", unit_scale=True)
        for path in self.paths:
            with pq.ParquetFile(path) as file:
                for part in file.iter_batches(self.batch, columns=columns):
                    yield {
                        "X": as_matrix(part, self.features),
                        **{k: as_floats(part[c]) for k, c in self.others.items()},
                    }
                    advance(bar, len(part))
        close(bar)

    def group(self, path: Path, number: int) -> np.ndarray:
        """Return the features of a row group; the last one read stays in memory."""
        if self._kept[0] != (path, number):
            self._kept = (None, None)  # before the next one takes memory
            with pq.ParquetFile(path) as file:
                table = file.read_row_group(number, columns=self.features)
            self._kept = ((path, number), as_matrix(table, self.features))
        return self._kept[1]


def as_floats(column: Any) -> np.ndarray:
    """Return a column as float32, NaN where it is blank."""
    values = (
        column.to_numpy(zero_copy_only=False)
        if isinstance(column, pa.Array)
        else (column.to_numpy())
    )
    return values.astype(np.float32, copy=False)


def as_matrix(part: Any, names: list[str]) -> np.ndarray:
    """Return columns of a table or of a record batch as a float32 matrix."""
    matrix = np.empty((part.num_rows, len(names)), np.float32)
    for i, name in enumerate(names):
        matrix[:, i] = as_floats(part[name])
    return matrix


class Checkpoint:
    """The unfinished booster, in one file with all that its trees depend on.

    The file has no name of a model: the booster lacks its start, its closing constant
    and trees.
    """

    def __init__(
        self, folder: Folder, objective: FocalObjective, arguments: argparse.Namespace
    ) -> None:
        self._every, self._trees = arguments.every, arguments.trees
        self._kept = 0  # trees of the last checkpoint
        self._path: Path | None = None
        if arguments.checkpoint is None:
            return
        arguments.checkpoint.mkdir(parents=True, exist_ok=True)
        self._path = arguments.checkpoint / "train_on_folder.checkpoint"
        # all but the number of trees, which a later command may raise
        self._facts: dict[str, Any] = {
            "focal_gbm": __version__,
            "library": arguments.library,
            "gamma": objective.gamma,
            "start": objective.offset,
            "label": arguments.label,
            "weight": arguments.weight,
            "maturity": arguments.maturity,
            **{f"column {name}": i for i, name in enumerate(folder.features)},
        }
        for path in tqdm(folder.paths, desc="fingerprints", unit=" files"):
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            self._facts[f"SHA-256 of {path.name}"] = digest

    def found(self, parameters: dict[str, Any]) -> tuple[str, int]:
        """Return the unfinished booster and its number of trees; "" and 0 if there is
        none. Refuse one of other rows or parameters."""
        if self._path is None:
            return "", 0
        self._facts.update(parameters)
        if not self._path.exists():
            return "", 0
        try:
            kept = json.loads(self._path.read_bytes())
            before, trees, text = dict(kept["facts"]), kept["trees"], kept["booster"]
        except (ValueError, KeyError, TypeError):
            sys.exit(
                f"{self._path} was not written by this command; delete it, or choose "
                "another folder"
            )
        different = [
            f"{name} (there {reprlib.repr(before.get(name))}, here "
            f"{reprlib.repr(self._facts.get(name))})"
            for name in {**before, **self._facts}
            if before.get(name) != self._facts.get(name)
        ]
        if different:
            more = f" and {len(different) - 5} more" if len(different) > 5 else ""
            sys.exit(
                f"{self._path} belongs to another training. What differs: "
                f"{', '.join(different[:5])}{more}. Run the command with the rows and "
                "parameters of the checkpoint, delete it, or choose another folder"
            )
        if trees > self._trees:
            sys.exit(
                f"{self._path} has {trees} trees, more than --trees {self._trees}; "
                "raise --trees, delete it, or choose another folder"
            )
        print(f"Continuing from {self._path}: {trees} of {self._trees} trees are there")
        self._kept = trees
        return text, trees

    def save(self, booster: Any, trees: int) -> None:
        """Write the booster if it is time."""
        is_time = trees >= self._kept + self._every or trees == self._trees
        if self._path is None or not is_time or trees == self._kept:
            return
        text = as_bytes(booster, SUFFIXES[self._facts["library"]][0]).decode()
        kept = {"facts": self._facts, "trees": trees, "booster": text}
        write(self._path, json.dumps(kept).encode())
        self._kept = trees

    def delete(self) -> None:
        """Delete the file, if any."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def train_lightgbm(
    folder: Folder,
    labels: dict[str, np.ndarray],
    objective: FocalObjective,
    checkpoint: Checkpoint,
    arguments: argparse.Namespace,
) -> Any:
    """Train with LightGBM, which reads the files through Sequences."""
    import lightgbm as lgb

    class Rows(lgb.Sequence):
        """Rows of a file.

        LightGBM samples rows one by one in their order, to choose bins, and then reads
        all in slices: with one row group in memory, each file is decoded twice.
        """

        batch_size = 8192

        def __init__(self, path: Path) -> None:
            self._path = path
            metadata = pq.read_metadata(path)
            groups = range(metadata.num_row_groups)
            sizes = [metadata.row_group(i).num_rows for i in groups]
            self._ends = list(accumulate(sizes))
            self._begins = [0, *self._ends]

        def __len__(self) -> int:
            return self._ends[-1]

        def __getitem__(self, index: Any) -> np.ndarray:
            if not isinstance(index, slice):
                group = bisect_right(self._ends, index)
                row = folder.group(self._path, group)[index - self._begins[group]]
                return row.astype(np.float64)  # LightGBM refuses others in the sample
            begin, end, _ = index.indices(len(self))
            parts = []
            while begin < end:
                group = bisect_right(self._ends, begin)
                offset, stop = self._begins[group], min(end, self._ends[group])
                rows = folder.group(self._path, group)
                parts.append(rows[begin - offset : stop - offset])
                begin = stop
            return parts[0] if len(parts) == 1 else np.concatenate(parts)

    class Data(lgb.Dataset):
        """Data set whose raw scores of a checkpoint are predicted in batches.

        LightGBM (4.6, 4.7) calls this method to continue a booster, and would make one
        matrix of all rows.
        """

        def _set_init_score_by_predictor(
            self, predictor: Any, *_: Any, **__: Any
        ) -> Any:
            scores = np.empty(folder.n_rows)
            end = 0
            for batch in folder.batches("predict"):
                begin, end = end, end + len(batch["X"])
                scores[begin:end] = predictor.predict(batch["X"], raw_score=True)
            return self.set_init_score(scores)

    parameters = {
        "metric": "None",
        "learning_rate": arguments.learning_rate,
        "max_bin": arguments.max_bin,
        "max_delta_step": 4.0,
        "min_child_weight": 1.0,
        "force_col_wise": True,  # row-wise keeps the bins a second time
        "verbosity": -1,
    }
    text, n_before = checkpoint.found({**parameters, "LightGBM": lgb.__version__})
    parameters["num_threads"] = arguments.threads
    before = None
    if text:
        before = lgb.Booster(model_str=text)
        if n_before == arguments.trees:
            return before
    print("Reading and binning ...", flush=True)
    data = Data(
        [Rows(path) for path in folder.paths if pq.read_metadata(path).num_rows],
        labels["y"],
        weight=labels.get("sample_weight"),
        feature_name=folder.features,
        params=dict(parameters),
        free_raw_data=False,  # the Sequences, which hold no rows
    ).construct()
    bar = tqdm(total=arguments.trees, initial=n_before, desc="train", unit=" trees")

    def after_iteration(env: Any) -> None:
        checkpoint.save(env.model, env.model.current_iteration())
        advance(bar, 1)

    booster = lgb.train(
        {**parameters, "objective": objective},
        data,
        arguments.trees - n_before,
        init_model=before,
        callbacks=[after_iteration],
    )
    close(bar)
    return booster


def train_xgboost(
    folder: Folder,
    labels: dict[str, np.ndarray],  # noqa: ARG001 - the batches have them
    objective: FocalObjective,
    checkpoint: Checkpoint,
    arguments: argparse.Namespace,
) -> Any:
    """Train with XGBoost, which keeps its pages of bins in a folder."""
    import xgboost as xgb

    if not hasattr(xgb, "ExtMemQuantileDMatrix"):
        sys.exit(
            f"XGBoost {xgb.__version__} has no ExtMemQuantileDMatrix: pip install "
            "'xgboost>=3'"
        )
    words = {"y": "label", "sample_weight": "weight"}

    class Rows(xgb.DataIter):
        """Batches of the folder, which XGBoost reads several times."""

        def __init__(self, prefix: Path) -> None:
            self._passes = 0
            super().__init__(cache_prefix=str(prefix))

        def reset(self) -> None:
            self._passes += 1
            self._batches = folder.batches(f"read, pass {self._passes}")

        def next(self, input_data: Callable[..., Any]) -> bool:
            batch = next(self._batches, None)
            if batch is None:
                return False
            columns = {words[key]: v for key, v in batch.items() if key in words}
            input_data(data=batch["X"], feature_names=folder.features, **columns)
            return True

    class Progress(xgb.callback.TrainingCallback):
        """Bar over the trees, and checkpoints."""

        def after_iteration(self, model: Any, *_: Any) -> bool:
            checkpoint.save(model, model.num_boosted_rounds())
            advance(bar, 1)
            return False

    parameters = {
        "objective": "binary:logistic",  # the name in the saved model
        "disable_default_eval_metric": True,
        "learning_rate": arguments.learning_rate,
        "max_bin": arguments.max_bin,
        "max_delta_step": 4.0,
        "min_child_weight": 1.0,
    }
    text, n_before = checkpoint.found(
        # each batch has its part in the choice of bins
        {**parameters, "batch": arguments.batch, "XGBoost": xgb.__version__}
    )
    parameters["nthread"] = arguments.threads
    before = None
    if text:
        before = xgb.Booster(
            {"nthread": arguments.threads}, model_file=bytearray(text.encode())
        )
        if n_before == arguments.trees:
            return before
    with tempfile.TemporaryDirectory(
        prefix="train_on_folder-", dir=arguments.cache
    ) as cache:
        data = xgb.ExtMemQuantileDMatrix(
            Rows(Path(cache) / "pages"),
            max_bin=arguments.max_bin,
            nthread=arguments.threads or None,
        )
        bar = tqdm(total=arguments.trees, initial=n_before, desc="train", unit=" trees")
        booster = xgb.train(
            parameters,
            data,
            arguments.trees - n_before,
            obj=objective,
            xgb_model=before,
            callbacks=[Progress()],
        )
        close(bar)
        del data  # which has the pages open
    return booster


def as_bytes(booster: Any, suffix: str) -> bytes:
    """Return a booster as its library writes it to a file of this suffix."""
    if suffix == ".txt":
        return booster.model_to_string().encode()
    return bytes(booster.save_raw(suffix[1:]))


def write(path: Path, content: bytes) -> None:
    """Write a file that has its name only when all of it is on disk."""
    unfinished = path.with_name(path.name + UNFINISHED)
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def advance(bar: Any, step: int) -> None:
    """Advance a bar of tqdm."""
    if hasattr(bar, "update"):
        bar.update(step)


def close(bar: Any) -> None:
    """End a bar of tqdm."""
    if hasattr(bar, "close"):
        bar.close()


def peak_memory() -> str:
    """Return the most memory that this process had, in words."""
    try:
        import resource
    except ImportError:  # Windows
        return ""
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return f", at most {peak / 1e9:.2f} GB of memory"


def make(folder: Path, n_rows: int, n_columns: int, seed: int) -> None:
    """Write simulated rows, of which about 1 % are fraud."""
    if any(folder.glob("*.parquet")):
        sys.exit(f"{folder} has parquet files already; --make writes a new folder")
    if n_columns < 3:
        sys.exit(f"--columns must be at least 3, got {n_columns}")
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"v{i:02}" for i in range(n_columns)]
    starts = range(0, n_rows, ROWS_A_FILE)
    for number, start in enumerate(tqdm(starts, desc="make", unit=" files")):
        rng = np.random.default_rng([seed, number])
        n = min(ROWS_A_FILE, n_rows - start)
        X = rng.standard_normal((n, n_columns), np.float32)
        log_odds = 1.2 * X[:, 0] + X[:, 1] * X[:, 2] - 6.0
        y = rng.random(n) < 1 / (1 + np.exp(-log_odds))
        columns = {name: X[:, i] for i, name in enumerate(names)}
        table = pa.table({**columns, "is_fraud": y.astype(np.int8)})
        path = folder / f"part{number:05}.parquet"
        pq.write_table(table, path, row_group_size=ROWS_A_GROUP, compression="none")


if __name__ == "__main__":
    main()
