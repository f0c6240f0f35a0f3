"""The one error that reading a radiograph raises."""


class Unreadable(ValueError):
    """A file that cannot be read as a radiograph.

    The message is one sentence: the file, the cause, and the remedy where there is one.  It never quotes what the
    file holds, since a header may hold a patient's name.
    """
