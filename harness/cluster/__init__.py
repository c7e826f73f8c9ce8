"""Launch files of a sweep for clusters: text to read, keep and submit. Nothing here starts anything."""
