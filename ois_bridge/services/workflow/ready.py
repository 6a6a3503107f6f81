"""What the OIS knows of forms and processes at its first start, and after an update that brings new ones."""

import logging

from ois_bridge.services.context import Context
from ois_bridge.services.forms import designs as forms
from ois_bridge.services.workflow import assigning, designs, guards

log = logging.getLogger(__name__)


def make_ready(context: Context) -> None:
    """Put designs and processes of config/department/ into the database where their names are unknown.

    Raises BadConfig, BadInput for a file that is wrong.
    """
    guards.guards()
    assigning.rule()
    with context.database.writing() as session:
        added = forms.seed(session, context)
        session.flush()
        added += designs.seed(session, context)
    if added:
        log.info("%d designs of forms and processes added", added)
