"""Demographics of the people in videos: tables of attributes, ours and published ones."""
