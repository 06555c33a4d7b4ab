"""Upper bounds of settings and options: anything above is a typo, or would bring the machine down."""

MOST_FRAMES = 1000  # of a video
MOST_BATCH = 65_536  # images at once
MOST_DRAWS = 100_000  # for the intervals of one scorecard
MOST_SEED = 2**32 - 1  # what every generator takes
MOST_WORKERS = 1024  # processes
MOST_PIXELS = 100_000_000  # of an image, before it is decoded
