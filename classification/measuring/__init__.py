"""The biomarkers of a case, and the classes compared in them."""
