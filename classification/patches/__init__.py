"""Where patches are centred and how they are cut; the patches of an epoch."""
