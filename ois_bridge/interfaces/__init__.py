"""What the OIS says to other systems: DICOM, mail, interfaces."""
