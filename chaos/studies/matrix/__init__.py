"""The matrix: the effect of each mitigation alone, all but each, and all, and the smallest sufficient sets."""
