"""What the values of a label map mean: 0 background, and the organs below. Left and right are the patient's, so the
left lung lies on the right of the image."""

HEART, LEFT, RIGHT = 1, 2, 3
ORGANS = {"heart": HEART, "left": LEFT, "right": RIGHT}  # as they are called in tables and folders
NAMES = {HEART: "heart", LEFT: "left lung", RIGHT: "right lung"}  # as a reader calls them
