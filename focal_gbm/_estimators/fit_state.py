"""The state of an estimator around a fit: lent, restored if the fit fails, and set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal_gbm._estimators.training import Training
from focal_gbm.loss import FocalLoss


class FitState:
    """Attributes of an estimator that a fit lends, restores and sets."""

    loss_: FocalLoss
    threshold_: float
    calibrator_: Any

    @contextmanager
    def _lending(self, session: Any, **lent: Any) -> Iterator[None]:
        """Lend a session and parameters to the fit of the parent, which reads the
        estimator.

        The session goes when the booster is complete, and the user's parameters come
        back. A fit that fails or is interrupted leaves the estimator as it was.
        """
        # the whole state, since the parents set attributes at many points of their fit
        before = self.__dict__.copy()
        self._users = {name: before[name] for name in lent}
        self._session = session
        self.__dict__.update(lent)
        try:
            yield
            self._take_back()
            # once more, since XGBoost ends its fit by storing the objective
            self.__dict__.update({name: before[name] for name in lent})
        except BaseException:  # an interruption from the keyboard too
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _log_odds_in_training(self, raw: NDArray[Any]) -> NDArray[np.float64]:
        """Return log-odds for raw scores of the booster while it trains."""
        training: Training = self._session.training
        return training.loss.log_odds(raw + training.offset)

    def _take_back(self) -> None:
        """Put the user's parameters back in place of the lent ones, and drop the
        session."""
        self.__dict__.update(self.__dict__.pop("_users", {}))
        self.__dict__.pop("_session", None)

    def _as_set(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return parameters as the user set them, even while others are lent."""
        users = self.__dict__.get("_users", {})
        return {**parameters, **{k: v for k, v in users.items() if k in parameters}}

    def _set_fitted(self, training: Training, calibrator: Any, **others: Any) -> None:
        """Set the fitted attributes other than the booster, all at once.

        Tools that wrap the parent's fit (MLflow's autologging) copy the estimator
        before ``fit`` returns, so this also ends the lending.
        """
        self.loss_ = training.loss
        self.threshold_ = training.threshold
        self.calibrator_ = calibrator
        self.__dict__.update(others)
        self._take_back()
