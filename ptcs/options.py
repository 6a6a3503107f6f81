"""Options that many commands share, and how a password is asked for."""

import os

import click

from common.text import _

TOKEN_VARIABLE = "PTCS_TOKEN"  # noqa: S105 - the name of a variable
"""Environment variable with a log-in that is at hand (`ptcs control break-glass use`)."""
json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
user_option = click.option("--user", required=True, help="User of the OIS.")
password_option = click.option("--password", default="", help="Password; asked for when it is not given.")


def typed(user: str, password: str) -> str:
    """The password that is given, else the one a person types; "" where a log-in is at hand."""
    if password or os.environ.get(TOKEN_VARIABLE):
        return password
    return str(click.prompt(_("password of {user}").format(user=user), hide_input=True))
