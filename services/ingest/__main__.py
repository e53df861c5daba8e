"""`python -m services.ingest serve`"""

import typer

from services.ingest.app import create_app
from services.ingest.settings import Settings
from shared import log, web
from shared.errors import WrongSetting
from shared.settings import load, stop

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@cli.callback()
def ingest() -> None:
    """Ingest: drafts, consents, original pictures, comments, withdrawal."""


@cli.command()
def serve() -> None:
    """Serve until SIGTERM; ROLE=all|api|worker chooses what this process runs."""
    settings = load(Settings)
    log.configure("ingest", settings.log_level, settings.log_format)
    try:
        app = create_app(settings)
    except WrongSetting as error:
        stop(str(error))
    web.serve(app, settings)


if __name__ == "__main__":
    cli()
