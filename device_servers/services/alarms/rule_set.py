"""All rules of a site: generated and hand-written, with what is wrong in its file."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from common.errors import BadConfig
from common.site import Site
from common.text import _
from device_servers.services.alarms import generate, rule_file
from device_servers.services.alarms.attributes import Attributes, ClassOf
from device_servers.services.alarms.rule_file import AlarmFile
from device_servers.services.alarms.rules import Rule
from device_servers.services.kinds import class_named

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RuleSet:
    """Rules in order: those that follow from the site, then those that people wrote.

    trouble: why the site's file is not in force (then the generated rules are alone); empty for none.
    """

    rules: Sequence[Rule]
    attributes: Attributes
    wired: frozenset[str]
    file: AlarmFile
    trouble: str = ""


def of_site(site: Site) -> RuleSet:
    """The rules of a site. A file that is wrong does not take the generated ones with it."""
    try:
        return checked(site, class_named)
    except BadConfig as why:
        log.error("alarm rules: %s", why)
        text = _("the file of alarm rules is not in force ({why}); only generated rules are")
        bare = _made(site, class_named, AlarmFile())
        return RuleSet(bare.rules, bare.attributes, bare.wired, bare.file, text.format(why=why))


def checked(site: Site, class_of: ClassOf) -> RuleSet:
    """The rules of a site. Raises BadConfig with file, line and reason."""
    file = AlarmFile() if site.alarms_path is None else rule_file.load(site.alarms_path)
    return _made(site, class_of, file)


def _made(site: Site, class_of: ClassOf, file: AlarmFile) -> RuleSet:
    attributes = Attributes(site, class_of)
    written = {rule.name for rule in file.rules}
    generated = [rule for rule in generate.rules(site, class_of, file.classes) if rule.name not in written]
    rules = [*generated, *file.rules]
    rule_file.check_inputs(rules, attributes.find)
    return RuleSet(rules, attributes, generate.wired(site, class_of), file)
