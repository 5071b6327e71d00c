"""What Places365 knows of scenes that MiniPlaces lacks: streets, squares, promenades, trains from inside."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy import float32
from numpy.typing import NDArray

from edge_avsc.training.classes import LABELS

# The 365 places' indices and names, by the label that each is of; chosen by their names.
PLACES = {
    "airport": {2: "airport_terminal"},
    "bus": {70: "bus_interior"},
    "metro": {336: "train_interior"},
    "metro_station": {320: "subway_station/platform", 337: "train_station/platform"},
    "park": {
        62: "botanical_garden",
        153: "formal_garden",
        197: "japanese_garden",
        209: "lawn",
        254: "park",
        265: "picnic_area",
        268: "playground",
        333: "topiary_garden",
        362: "yard",
        364: "zen_garden",
    },
    "public_square": {109: "courtyard", 154: "fountain", 252: "palace", 270: "plaza"},
    "shopping_mall": {
        46: "bazaar/indoor",
        60: "bookstore",
        96: "clothing_store",
        115: "department_store",
        146: "flea_market/indoor",
        148: "food_court",
        160: "general_store/indoor",
        162: "gift_shop",
        198: "jewelry_shop",
        222: "market/indoor",
        300: "shoe_shop",
        302: "shopping_mall/indoor",
        321: "supermarket",
        335: "toyshop",
    },
    "street_pedestrian": {
        4: "alley",
        47: "bazaar/outdoor",
        223: "market/outdoor",
        227: "medina",
        273: "promenade",
        301: "shopfront",
    },
    "street_traffic": {
        112: "crosswalk",
        125: "downtown",
        127: "driveway",
        158: "gas_station",
        175: "highway",
        257: "parking_lot",
        283: "residential_neighborhood",
        319: "street",
    },
    "tram": {336: "train_interior"},
}

CHOSEN = sorted({index for places in PLACES.values() for index in places})
PENALTY = 1e-4


def places_to_labels() -> NDArray[float32]:
    """Return ``[len(CHOSEN), 10]``: what each label has of each chosen place, so that it gets the mean of its own."""
    return np.array([[(index in PLACES[label]) / len(PLACES[label]) for label in LABELS] for index in CHOSEN], float32)


def learn_places(embeddings: NDArray[float32], said: NDArray[float32]) -> tuple[Any, Any]:
    """Return weight ``[len(CHOSEN), d]`` and bias of the linear head nearest to the teacher's word.

    embeddings: ``[n, d]``, of pictures. said: the teacher's 365 logits of them, ``[n, 365]``; all are learnt, since
    what a picture shows instead of a scene of ours also says something.
    """
    inputs, wanted = torch.from_numpy(embeddings), torch.softmax(torch.from_numpy(said), 1)
    mean, scale = inputs.mean(0), inputs.std(0) + 1e-3
    inputs = (inputs - mean) / scale
    weight = torch.zeros(said.shape[1], embeddings.shape[1], requires_grad=True)
    bias = torch.zeros(said.shape[1], requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=150, line_search_fn="strong_wolfe")

    def loss() -> Any:
        optimiser.zero_grad()
        value = -(wanted * torch.log_softmax(inputs @ weight.T + bias, 1)).sum(1).mean()
        value = value + PENALTY * weight.square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    plain = weight.detach() / scale
    return plain[CHOSEN], (bias.detach() - plain @ mean)[CHOSEN]
