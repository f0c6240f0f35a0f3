"""The error that reading a radiograph raises, and what may be told of a library's own."""

import re

SEARCHED = 1 << 20  # bytes of a file in which the words of an error are looked for
LONGEST = 160  # characters of it that are told
DEFLATED = b"1.2.840.10008.1.2.1.99"  # the transfer syntax of a DICOM file that is compressed as a whole


class Unreadable(ValueError):
    """A file that cannot be read as a radiograph.

    The message is one sentence: the file, the cause, and the remedy where there is one.  It never quotes what the
    file holds, since a header may hold a patient's name.
    """


class NotFrontal(Unreadable):
    """A radiograph that is whole, but no frontal view by its header; `view` says which: lateral or oblique."""

    def __init__(self, message: str, view: str):
        super().__init__(message)
        self.view = view


def library_reason(error: Exception, path) -> str:
    """What a library says of a file it cannot decode, without anything that it may have taken from the file.

    Left out are what stands in quotes, what is not ASCII, and every word and number that the file holds as text.
    """
    with open(path, "rb") as file:
        held = file.read(SEARCHED).lower()
    if DEFLATED in held:  # its words cannot be looked for
        return type(error).__name__
    text = re.sub(r"""b?'[^']*'|b?"[^"]*\"""", "...", str(error))
    text = re.sub(r"[^ -~]+", " ", text)

    def unless_held(word):
        return "..." if word[0].lower().encode() in held or word[0].lower().encode("utf-16-le") in held else word[0]

    text = re.sub(r"[A-Za-z0-9]{3,}|\b[A-Z][a-z]?\b", unless_held, text)
    text = re.sub(r"(\.\.\.\W*){2,}", "... ", " ".join(text.split()))[:LONGEST].strip(" .")
    return f"{type(error).__name__}: {text}" if re.search("[A-Za-z]{3}", text) else type(error).__name__
