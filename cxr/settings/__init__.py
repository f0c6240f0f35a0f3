"""From header.py and the command line to the settings of one run."""
