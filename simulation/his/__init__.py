"""A hospital information system that answers patient demographics queries over HL7, for trying the desk."""
