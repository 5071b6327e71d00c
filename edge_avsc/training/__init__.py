"""How the shipped bundles are made (extra: train). Nothing of the product needs it."""
