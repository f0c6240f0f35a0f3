"""Which settings have an effect on a network's answer to a case, and which of those typed have none."""

# What only patches drawn from an image, or several answers to it, give a meaning
IDLE = {
    "global": ("repeat", "repeat_val", "sampling", "seed", "vote"),
    "dense": ("repeat", "repeat_val", "sampling", "seed"),
}
# What decides every answer of a network
DECISIVE = (
    "approach", "precision", "img_size", "resolution", "patch_size", "input_scaling", "classes", "repeat", "vote",
    "sampling", "seed", "calibrate", "refuse",
)  # fmt: skip


def decisive(settings, names, always=()) -> list[str]:
    """Those of the settings `names` that decide a result with settings.approach; some `always` do."""
    return [name for name in names if name in always or name not in IDLE.get(settings.approach, ())]


def idle(settings, names, always=()) -> list[str]:
    """A sentence for those of the settings `names` that were typed and are not decisive(), if there are any."""
    counting = decisive(settings, names, always)
    typed = sorted(name for name in names if name in settings._typed and name not in counting)
    what = "looks at the whole image once" if settings.approach == "global" else "judges every window once"
    return [f"{', '.join(typed)} typed without effect: approach={settings.approach} {what}"] if typed else []
