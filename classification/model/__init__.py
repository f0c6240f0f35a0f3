"""The networks, their weight files, and EfficientNet-Lite."""
