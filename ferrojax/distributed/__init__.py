"""One system over several devices: see ``decompose`` in decomposition.py."""
