"""Your own scenes: a head for any folder of recordings, trained on a bundle's frozen embeddings (extra: scenes)."""
