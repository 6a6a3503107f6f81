"""DICOM objects as data and back: plan, record, CT, RT Structure Set, RT Dose, and their checks."""
