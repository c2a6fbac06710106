"""The checks of a data set; each takes frames and returns findings."""
