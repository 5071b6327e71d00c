"""What runs a graph of a bundle. Leaves: none knows another."""
