"""The ten scene classes, and what MiniPlaces' categories mean for them."""

from __future__ import annotations

LABELS = (
    "airport",
    "bus",
    "metro",
    "metro_station",
    "park",
    "public_square",
    "shopping_mall",
    "street_pedestrian",
    "street_traffic",
    "tram",
)

# A bus from inside is the only vehicle with pictures; it also speaks for metro and tram, see VEHICLE_SHARES.
GROUP_OF_CATEGORY = {
    "airport_terminal": "airport",
    "bus_interior": "bus",
    "subway_station-platform": "metro_station",
    "botanical_garden": "park",
    "playground": "park",
    "yard": "park",
    "courtyard": "public_square",
    "fountain": "public_square",
    "palace": "public_square",
    "food_court": "shopping_mall",
    "clothing_store": "shopping_mall",
    "supermarket": "shopping_mall",
    "bookstore": "shopping_mall",
    "market-outdoor": "street_pedestrian",
    "highway": "street_traffic",
    "parking_lot": "street_traffic",
    "gas_station": "street_traffic",
}

GROUPS = (
    "airport",
    "bus",
    "metro_station",
    "park",
    "public_square",
    "shopping_mall",
    "street_pedestrian",
    "street_traffic",
    "none_of_ours",
)
NONE = GROUPS.index("none_of_ours")

# How likely the look of a bus's inside is in each vehicle. Fixed beforehand: no picture of the other two is here.
VEHICLE_SHARES = {"bus": 0.5, "metro": 0.25, "tram": 0.25}


def group_of(category: str) -> int:
    """Return the index in GROUPS of a MiniPlaces category; every unknown one is none of ours."""
    return GROUPS.index(GROUP_OF_CATEGORY.get(category, "none_of_ours"))
