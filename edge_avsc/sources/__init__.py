"""Where items come from: files, devices, and the built-in demonstration. Leaves: none knows another."""
