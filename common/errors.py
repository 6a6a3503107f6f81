"""The tree of errors that every room raises.

PtcsError
├── Refused            a request that is understood and not allowed now
│   └── Unauthorised   ... because of who asks (no session, wrong role, expired token)
├── BadInput           data from outside that cannot be used
│   ├── BadDicom       ... in a DICOM object
│   └── BadConfig      ... in a site file
├── LinkLost           a peer process or device does not answer
└── Tampered           a signature, digest or hash chain does not match

Every message says what was wrong, what is allowed, and what helps.
"""


class PtcsError(Exception):
    """Base of all errors that PTCS raises on purpose."""


class Refused(PtcsError):
    """A request that is understood and not allowed in the present state."""


class Unauthorised(Refused):
    """The caller may not do this: no session, an expired token, or a role without the right."""


class BadInput(PtcsError):
    """Data from outside that cannot be used as it is."""


class BadDicom(BadInput):
    """A DICOM object that lacks something, contradicts itself or is damaged."""


class BadConfig(BadInput):
    """A site file that does not satisfy its schema or contradicts itself."""


class LinkLost(PtcsError):
    """A peer process or device does not answer."""


class Tampered(PtcsError):
    """A signature, digest or hash chain does not match its content."""
