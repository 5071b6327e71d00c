"""What several systems say together, and how far a floor under their confidences helps.

``probabilities`` are :func:`edge_avsc.evaluation.metrics.normalised`, ``[k, n, c]`` for k systems. What has to be
chosen by the right labels, a weight or a floor, is cross-fitted: the rows are halved, and each half is scored with what
the other half chose, so no figure is one of rows that were used for choosing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import bool_, float64, int64
from numpy.typing import NDArray

from edge_avsc.evaluation.metrics import normalised, sample_losses

FLOORS = (0.0, *(round(digit * 10.0**-power, power) for power in range(6, 1, -1) for digit in (1, 2, 5)), 0.1)
"""The floors that are tried, 0 (none) to 0.1 (uniform, with ten labels)."""


def majority_vote(decided: NDArray[int64], probabilities: NDArray[float64]) -> NDArray[int64]:
    """Return the label that most systems decided, ``[n]``, from ``[k, n]``.

    Of labels with equally many votes, the one of larger mean probability wins; of those that are equal in this too, the
    first in the order of labels. (The paper does not say how its vote breaks ties: inferred.)
    """
    votes = (decided[..., None] == np.arange(probabilities.shape[-1])).sum(axis=0)
    # Mean probabilities are at most 1, so half of them can only decide between equal votes.
    return np.asarray((votes + 0.5 * probabilities.mean(axis=0)).argmax(axis=1), int64)


def oracle(decided: NDArray[int64], label_index: NDArray[int64]) -> NDArray[bool_]:
    """Return whether any of the systems is right, ``[n]``: what a perfect choice among them would reach."""
    return np.asarray((decided == label_index).any(axis=0), bool_)


def mean_ensemble(probabilities: NDArray[float64]) -> NDArray[float64]:
    """Return the mean of the systems' probabilities, ``[n, c]``."""
    return np.asarray(probabilities.mean(axis=0), float64)


def halves(units: Any, seed: int = 0) -> NDArray[bool_]:
    """Return which half each row is in, ``[n]``; the rows of one unit, such as a location, are in one."""
    known, place = np.unique(np.asarray(units), return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(known))
    return np.asarray(order[place] % 2 == 1, bool_)


def classwise_weights(decided: NDArray[int64], label_index: NDArray[int64], n_labels: int) -> NDArray[float64]:
    """Return each system's precision for each label, ``[k, c]``: how often it is right when it decides so.

    One success and one failure are added, so that what a system never decides weighs a half.
    """
    weights = np.empty((len(decided), n_labels))
    for weight, chosen in zip(weights, decided, strict=True):
        right = np.bincount(chosen[chosen == label_index], minlength=n_labels)
        weight[:] = (right + 1.0) / (np.bincount(chosen, minlength=n_labels) + 2.0)
    return weights


def classwise_ensemble(
    decided: NDArray[int64], probabilities: NDArray[float64], label_index: NDArray[int64], half: NDArray[bool_]
) -> NDArray[float64]:
    """Return the sum of the systems' probabilities, each label's weighted by :func:`classwise_weights`, normalised.

    The idea is that of Okazaki, Kong and Yoshinaga (DCASE 2021), "weighted by class-wise confidences"; that the
    confidence is the precision is inferred, since their exact rule is not public. Weights are cross-fitted.
    """
    summed = np.empty(probabilities.shape[1:])
    for scored in (half, ~half):
        weights = classwise_weights(decided[:, ~scored], label_index[~scored], probabilities.shape[-1])
        summed[scored] = (weights[:, None, :] * probabilities[:, scored]).sum(axis=0)
    return normalised(summed)


def floored(probabilities: NDArray[float64], floor: float) -> NDArray[float64]:
    """Return max(p, floor), normalised again ``[n, c]``: no row can then cost an extreme log-loss.

    The documented stand-in for Okazaki's "confidence replacement", whose exact rule is not public (inferred).
    """
    return normalised(np.maximum(probabilities, floor))


def best_floor(probabilities: NDArray[float64], label_index: NDArray[int64]) -> float:
    """Return the one of FLOORS with the least macro log-loss on these rows; of equal ones the lowest."""
    share = 1.0 / np.bincount(label_index)[label_index]
    losses = [(share * sample_losses(label_index, floored(probabilities, floor))).sum() for floor in FLOORS]
    return FLOORS[int(np.argmin(losses))]


def floored_by_halves(
    probabilities: NDArray[float64], label_index: NDArray[int64], half: NDArray[bool_]
) -> tuple[NDArray[float64], tuple[float, float]]:
    """Return :func:`floored` probabilities with a cross-fitted floor, and the two floors."""
    result = np.empty_like(probabilities)
    floors = []
    for scored in (half, ~half):
        floors.append(best_floor(probabilities[~scored], label_index[~scored]))
        result[scored] = floored(probabilities[scored], floors[-1])
    return result, (floors[0], floors[1])
