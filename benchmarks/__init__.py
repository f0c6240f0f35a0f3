"""The published method restated plainly, and the project, timed side by side."""
