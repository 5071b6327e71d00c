import numpy as np

from edge_avsc.evaluation.datasets import place_of
from edge_avsc.training.folds import FOLDS, folds_of

NAMES = [
    "airport-helsinki-3-115-a",
    "airport-lisbon-1000-40000-a",
    "street_traffic-lyon-1029-40200",
    "street_traffic-lyon-1029-40715",
    "park-lyon-1029-1",
    "street_traffic-helsinki-164-5009",
    "street_traffic-helsinki-164-5044",
    "street_traffic-montevideo-rivera0922-00-0",
    "street_traffic-montevideo-rivera0923-00-0",
    "tram-tut2018-0-0a",
]


def test_no_location_is_in_two_folds_in_whatever_order_and_company() -> None:
    folds = folds_of(NAMES)
    assert {0} < set(folds) <= set(range(FOLDS))
    for one, fold in zip(NAMES, folds, strict=True):
        for other, other_fold in zip(NAMES, folds, strict=True):
            assert fold == other_fold or place_of(one)[1] != place_of(other)[1]
    assert np.array_equal(folds_of(NAMES[::-1]), folds[::-1])
    assert np.array_equal(folds_of(NAMES * 2), np.tile(folds, 2))


def test_each_fold_has_about_as_many_locations_of_a_scene() -> None:
    names = [f"{scene}-city-{i}-1" for start, scene in ((0, "park"), (50, "tram")) for i in range(start, start + 10)]
    folds = folds_of(names)
    assert (np.bincount(folds[:10]) == 2).all()
    assert (np.bincount(folds[10:]) == 2).all()
