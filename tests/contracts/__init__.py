"""One suite per driver Protocol, kept by the in-memory drivers and by the wire drivers alike."""
