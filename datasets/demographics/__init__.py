"""Who is seen in the videos: tables of attributes, ours and published ones."""
