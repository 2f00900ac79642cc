"""Score a folder of parquet files with a saved model, in batches.

    python examples/score_folder.py model.txt rows scores --keep id

reads each file of "rows" in batches and writes a file of the same name to "scores",
with the kept columns and a column "probability", in the order of the rows. The model is
a file of LightGBM (.txt) or XGBoost (.json, .ubj), as examples/train_on_folder.py
writes it.

A file of scores has its name only when it is complete and on disk. After a crash or a
kill, start the same command again: complete files are skipped, and the file in progress
is scored anew. Each file of scores names its model and its source. The command refuses
a folder with scores of another model, and rows without the columns of the model.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:
    sys.exit("The example reads parquet files: pip install pyarrow")
try:
    from tqdm import tqdm
except ImportError:
    tqdm = None

# Keys in the metadata of a file of scores.
MODEL, SOURCE = b"focal_gbm.model", b"focal_gbm.source"
UNFINISHED = ".unfinished"


def main() -> None:
    """Check all files, then score those that have no scores yet."""
    arguments = parse_arguments()
    predict, features = load(arguments.model, arguments.threads)
    digest = hashlib.sha256(arguments.model.read_bytes()).hexdigest()
    paths = sorted(arguments.rows.glob("*.parquet"))
    if not paths:
        sys.exit(f"{arguments.rows} has no parquet files")
    for path in paths:
        check_columns(path, features, arguments.keep)
    arguments.scores.mkdir(parents=True, exist_ok=True)
    todo = [
        path
        for path in paths
        if not is_scored(path, arguments.scores / path.name, digest)
    ]
    for path in arguments.scores.glob(f"*{UNFINISHED}"):
        path.unlink()  # of a run that was ended
    n_rows = sum(pq.read_metadata(path).num_rows for path in todo)
    done = len(paths) - len(todo)
    print(
        f"{len(todo)} files of {n_rows:,} rows to score"
        + (f"; {done} were complete" if done else ""),
        flush=True,
    )
    bar = tqdm(total=n_rows, unit=" rows", unit_scale=True) if tqdm else None
    for path in todo:
        score(path, arguments, predict, features, digest, bar)
    if bar is not None:
        bar.close()
    print(f"All {len(paths)} files are scored in {arguments.scores}")


def parse_arguments() -> argparse.Namespace:
    """Read the command line and check what it names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", type=Path, help="saved model")
    add("rows", type=Path, help="folder of parquet files")
    add("scores", type=Path, help="folder for the scores")
    add("--keep", nargs="+", default=[], metavar="COLUMN", help="columns to copy")
    add("--batch", type=int, default=100_000, help="rows in a batch [%(default)s]")
    add("--threads", type=int, default=0, help="0: all [%(default)s]")
    arguments = parser.parse_args()
    if not arguments.model.is_file():
        parser.error(f"model: {arguments.model} does not exist")
    if not arguments.rows.is_dir():
        parser.error(f"rows: {arguments.rows} is no folder")
    if arguments.rows.resolve() == arguments.scores.resolve():
        parser.error("scores: the folder of the rows would be overwritten")
    if arguments.batch < 1:
        parser.error("--batch must be at least 1")
    if "probability" in arguments.keep:
        parser.error("--keep: 'probability' is the name of the column of scores")
    if arguments.threads:
        pa.set_cpu_count(arguments.threads)
    return arguments


def load(path: Path, threads: int) -> tuple[Callable[[np.ndarray], Any], list[str]]:
    """Return the prediction of a saved model, and the names of its columns."""
    if path.suffix == ".txt":
        import lightgbm as lgb

        model = lgb.Booster(model_file=path)
        names = model.feature_name()
        text = model.model_to_string(num_iteration=1)
        is_probability = "\nobjective=binary" in text
        is_named = names != [f"Column_{i}" for i in range(len(names))]

        def predict(X: np.ndarray) -> Any:
            return model.predict(X, num_threads=threads)

    elif path.suffix in (".json", ".ubj"):
        import xgboost as xgb

        booster = xgb.Booster({"nthread": threads}, model_file=path)
        names = booster.feature_names or []
        learner = json.loads(booster.save_config())["learner"]
        is_probability = learner["objective"]["name"] == "binary:logistic"
        is_named = bool(names)

        def predict(X: np.ndarray) -> Any:
            return booster.inplace_predict(X, validate_features=False)

    else:
        sys.exit(f"{path}: a model ends in .txt (LightGBM), .json or .ubj (XGBoost)")
    if not is_probability:
        sys.exit(
            f"{path} does not predict probabilities; complete the booster with "
            "focal_gbm.native.complete, and save it again"
        )
    if not is_named:
        sys.exit(
            f"{path} has no names of columns, so that the columns of a file cannot be "
            "checked; train with feature names"
        )
    return predict, names


def check_columns(path: Path, features: list[str], keep: list[str]) -> None:
    """Refuse a file without the columns of the model, or with other kinds."""
    schema = pq.read_schema(path)
    missing = [name for name in (*features, *keep) if name not in schema.names]
    if missing:
        sys.exit(
            f"{path} lacks {len(missing)} columns, among them {missing[:5]}; it has "
            f"{schema.names[:30]}"
        )
    for name in features:
        kind = schema.field(name).type
        if not (
            pa.types.is_floating(kind)
            or pa.types.is_integer(kind)
            or pa.types.is_boolean(kind)
        ):
            sys.exit(
                f"{path}: column {name!r} holds {kind}, and the model needs numbers"
            )


def source_of(path: Path) -> bytes:
    """Return what tells a file of rows from a later one of the same name."""
    rows, size = pq.read_metadata(path).num_rows, path.stat().st_size
    return json.dumps({"name": path.name, "rows": rows, "bytes": size}).encode()


def is_scored(path: Path, scores: Path, digest: str) -> bool:
    """Whether a file has complete scores of this model."""
    if not scores.exists():
        return False
    try:
        found = pq.read_schema(scores).metadata or {}
    except (OSError, pa.ArrowInvalid):
        found = {}
    if MODEL not in found:
        sys.exit(f"{scores} was not written by this command; choose another folder")
    other = found[MODEL].decode()
    if other != digest:
        sys.exit(
            f"{scores} has scores of another model (SHA-256 {other[:12]}, not "
            f"{digest[:12]}); choose another folder, or delete its files"
        )
    if found.get(SOURCE) != source_of(path):
        print(f"{path} has changed since it was scored; it is scored again")
        return False
    return True


def score(
    path: Path,
    arguments: argparse.Namespace,
    predict: Callable[[np.ndarray], Any],
    features: list[str],
    digest: str,
    bar: Any,
) -> None:
    """Score a file; its scores get their name when all of them are on disk."""
    keep = arguments.keep
    fields = [pq.read_schema(path).field(name) for name in keep]
    schema = pa.schema(
        [*fields, pa.field("probability", pa.float64())],
        metadata={MODEL: digest.encode(), SOURCE: source_of(path)},
    )
    unfinished = arguments.scores / f"{path.name}{UNFINISHED}"
    columns = list(dict.fromkeys((*features, *keep)))
    with pq.ParquetFile(path) as file, pq.ParquetWriter(unfinished, schema) as writer:
        for part in file.iter_batches(arguments.batch, columns=columns):
            X = np.empty((len(part), len(features)), np.float32)
            for i, name in enumerate(features):
                X[:, i] = part[name].to_numpy(zero_copy_only=False)
            p = np.asarray(predict(X), np.float64)
            kept = [part[name] for name in keep]
            writer.write_batch(pa.record_batch([*kept, pa.array(p)], schema=schema))
            if bar is not None:
                bar.update(len(part))
    # a name must not survive a power cut that its bytes do not survive
    flush(unfinished)
    unfinished.replace(arguments.scores / path.name)
    flush(arguments.scores)


def flush(path: Path) -> None:
    """Write a file or a folder to disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


if __name__ == "__main__":
    main()
