"""What an error page says, by its HTTP status."""

from collections.abc import Mapping

from ois_bridge.domain.words import N_

TITLE: Mapping[int, str] = {
    403: N_("Not allowed"),
    404: N_("Not found"),
    405: N_("Not a page"),
    409: N_("Not possible now"),
    413: N_("Too long"),
    422: N_("Not understood"),
    500: N_("A fault of the OIS"),
    503: N_("Not available"),
}
TITLE_OTHER = N_("Not possible")

HTTP: Mapping[int, str] = {
    404: N_("There is no such page. The address may be mistyped, or what it showed is gone."),
    405: N_("This address takes a form and is no page to open. Go to the page that the form stands on."),
    413: N_("What was sent is too long. Nothing was done."),
}
"""Status of an error of the web server itself -> what it says; else `HTTP_OTHER`."""

HTTP_OTHER = N_("What was sent cannot be read. Nothing was done; go back and try again.")
