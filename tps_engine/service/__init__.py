"""The TPS process: job queue, DICOM in and out."""
