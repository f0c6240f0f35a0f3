"""Which folders belong to which class: `classes` of header.py, and the folders that there are."""

from collections.abc import Iterable, Sequence

from cxr.errors import BadData


def class_map(classes: Sequence[str], folders: Iterable[str]) -> tuple[list[str], dict[str, int]]:
    """The names of the classes, and the class that each folder belongs to, by its index.

    classes are the header's: "CLASS", "CLASS=FOLDER" or "CLASS=FOLDER+FOLDER"; if there are none, each folder is a
    class, in alphabetical order. The map holds every folder of the header, there or not, and all `folders`, which
    may differ from the header in upper and lower case. Raises BadData for a folder that no class names, with both
    lists, and for a class or a folder named twice.
    """
    folders = sorted(folders)
    if not classes:
        odd = [folder for folder in folders if "=" in folder]
        if odd:
            raise BadData(f"folder {odd[0]!r} has = in its name, which separates classes from folders; rename it.")
        return folders, {folder: index for index, folder in enumerate(folders)}
    names, found = [], {}
    for index, entry in enumerate(classes):
        name, equals, listed = entry.partition("=")
        names.append(name)
        for folder in listed.split("+") if equals else [name]:
            if not name or not folder or name in names[:-1] or folder in found:
                raise BadData(f"classes has {entry!r}: name each class and each folder once, as CLASS=FOLDER+FOLDER.")
            found[folder] = index
    loose = {folder.casefold(): index for folder, index in found.items()}
    unknown = [folder for folder in folders if folder not in found and folder.casefold() not in loose]
    if unknown:
        raise BadData(
            f"no class takes the folders {', '.join(unknown)}; classes names the folders "
            f"{', '.join(found)}; add them to classes in header.py, take them away, or give 'classes=[]' "
            "for a class of each folder."
        )
    return names, found | {folder: found.get(folder, loose[folder.casefold()]) for folder in folders}


def class_entries(names: Sequence[str], folders: dict[str, int]) -> list[str]:
    """What class_map() made, back in the header's form, so that it holds whatever folders come later."""
    entries = []
    for index, name in enumerate(names):
        own = [folder for folder, of in folders.items() if of == index]
        entries.append(name if own in ([], [name]) else f"{name}={'+'.join(own)}")
    return entries


def with_own(classes: Sequence[str], folders: Iterable[str]) -> tuple[list[str], list[str]]:
    """The header's classes and one of its own for each folder that none of them takes, and the names of these folders.

    For what asks no network, which would know its classes only. A folder called as a class is taken for it; where no
    folder is any class's, the header's classes are left out. Raises BadData as class_map().
    """
    names, found = class_map(classes, [])
    index = {name.casefold(): i for i, name in enumerate(names)} | {name.casefold(): i for name, i in found.items()}
    own = [folder for folder in sorted(folders) if classes and folder.casefold() not in index]
    if not classes or len(own) == len(list(folders)):
        return [], own
    called = {folder: index[folder.casefold()] for folder in folders if folder.casefold() in index}
    return class_entries(names, found | called) + class_map([], own)[0], own
