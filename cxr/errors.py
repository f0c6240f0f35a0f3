"""Errors that several modules raise; the message of each is a sentence with what is wrong and what to do."""


class BadData(ValueError):
    """Folders, tables, pairs or masks that cannot be used."""


class BadTable(BadData):
    """A table of cases that cannot be used."""


class BadInput(ValueError):
    """Radiographs that cannot be segmented as they were named, before any of them is read."""


class BadRun(ValueError):
    """A training run that cannot start or go on."""
