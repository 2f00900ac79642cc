"""The main job on a file of one's own, and the way from a search to a service."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from focal_gbm.datasets import make_transactions

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
EXAMPLE = EXAMPLES / "detect_fraud.py"


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_reads_a_file(kind, tmp_path):
    data = make_transactions(n_customers=300, n_terminals=400, n_days=60)
    data = data.rename(columns={"time": "when", "is_fraud": "label"})
    data["hour"] = data["hour"].where(data["hour"] > 3)  # missing values
    path, picture = tmp_path / f"cards.{kind}", tmp_path / "picture.png"
    data.to_csv(path, index=False) if kind == "csv" else data.to_parquet(path)
    command = [sys.executable, EXAMPLE, path, "--time", "when", "--label", "label"]
    command += ["--drop", "customer_id", "terminal_id", "scenario"]
    command += ["--picture", picture, "--budget", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for word in ("FocalLGBMClassifier", "recall at 0.1 % FPR", "predicted / observed"):
        assert word in done.stdout
    assert picture.stat().st_size > 10_000


def test_from_search_to_service():
    command = [sys.executable, EXAMPLES / "deploy_model.py", "--budget", "60"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for word in ("Best:", "Calibrated on a later week", "In a fresh process", "alerts"):
        assert word in done.stdout
