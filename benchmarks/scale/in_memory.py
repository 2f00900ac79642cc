"""Train or score with all rows in memory: what a folder is compared with.

    python -m benchmarks.scale.in_memory train ROWS MODEL --trees 100 --threads 2
    python -m benchmarks.scale.in_memory score ROWS MODEL SCORES

does in one process what examples/train_on_folder.py and examples/score_folder.py do,
with the estimators and one float32 matrix of all rows. The matrix is filled file by
file, which takes less memory than a frame.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.common.commands import command

LABEL = "is_fraud"


def main() -> None:
    """Train or score."""
    parser = command("scale.in_memory", __doc__)
    parser.add_argument("what", choices=("train", "score"))
    parser.add_argument("rows", type=Path, help="folder of parquet files")
    parser.add_argument("model", type=Path, help=".txt of LightGBM, .ubj of XGBoost")
    parser.add_argument("scores", type=Path, nargs="?", help="file of the scores")
    parser.add_argument("--trees", type=int, default=100, help="[100]")
    parser.add_argument("--threads", type=int, default=2, help="[2]")
    arguments = parser.parse_args()
    X, y, names = read(arguments.rows)
    is_lightgbm = arguments.model.suffix == ".txt"
    if arguments.what == "train":
        train = train_lightgbm if is_lightgbm else train_xgboost
        train(X, y, names, arguments.model, arguments.trees, arguments.threads)
        return
    p = predict(X, arguments.model, arguments.threads, is_lightgbm=is_lightgbm)
    table = pa.table({LABEL: y.astype(np.int8), "probability": p})
    pq.write_table(table, arguments.scores)


def read(folder: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return features, labels and names of all rows of a folder."""
    paths = sorted(folder.glob("*.parquet"))
    names = [name for name in pq.read_schema(paths[0]).names if name != LABEL]
    n_rows = sum(pq.read_metadata(path).num_rows for path in paths)
    X, y = np.empty((n_rows, len(names)), np.float32), np.empty(n_rows, np.float32)
    begin = 0
    for path in paths:
        table = pq.read_table(path)
        rows = slice(begin, begin + len(table))
        for i, name in enumerate(names):
            X[rows, i] = table[name].to_numpy()
        y[rows] = table[LABEL].to_numpy()
        begin = rows.stop
    return X, y, names


def train_lightgbm(
    X: np.ndarray, y: np.ndarray, names: list[str], model: Path, trees: int, n_jobs: int
) -> None:
    """Fit and save FocalLGBMClassifier."""
    from focal_gbm import FocalLGBMClassifier

    estimator = FocalLGBMClassifier(
        n_estimators=trees, n_jobs=n_jobs, force_col_wise=True, verbose=-1
    )
    estimator.fit(X, y, feature_name=names).booster_.save_model(model)


def train_xgboost(
    X: np.ndarray, y: np.ndarray, names: list[str], model: Path, trees: int, n_jobs: int
) -> None:
    """Fit and save FocalXGBClassifier."""
    from focal_gbm import FocalXGBClassifier

    estimator = FocalXGBClassifier(
        n_estimators=trees, n_jobs=n_jobs, learning_rate=0.1, max_bin=255
    )
    booster = estimator.fit(X, y).get_booster()
    booster.feature_names = names
    booster.save_model(model)


def predict(
    X: np.ndarray, model: Path, threads: int, *, is_lightgbm: bool
) -> np.ndarray:
    """Return the probabilities of all rows by a saved model."""
    if is_lightgbm:
        import lightgbm as lgb

        return lgb.Booster(model_file=model).predict(X, num_threads=threads)
    import xgboost as xgb

    booster = xgb.Booster({"nthread": threads}, model_file=model)
    return booster.inplace_predict(X, validate_features=False).astype(np.float64)


if __name__ == "__main__":
    main()
