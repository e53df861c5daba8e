"""The local platform's command line. Every failure that a person can mend is one sentence and status 1."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from deploy.local.processes import PlatformError

DATA = Path(".data")
# What `clean-data` removes: what we made there ourselves, by name. Downloads and weights stay.
OURS = (
    "kafka",
    "mongo",
    "s3",
    "gateway",
    "mail",
    "run",
    "logs",
    "env",
    "secrets",
    "demo",
    "addresses.json",
    "accounts.json",
)

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
DataDir = Annotated[Path, typer.Option("--data-dir", help="Where data, logs and secrets live.")]


@cli.command()
def fetch() -> None:
    """Download Kafka and the MongoDB server, checked against pinned hashes, where they are missing."""
    from deploy.local import downloads

    downloads.fetch(typer.echo)


@cli.command()
def up(
    data_dir: DataDir = DATA,
    ports: Annotated[str, typer.Option(help="fixed (gateway on 8080 or GATEWAY_PORT …) or free.")] = "fixed",
    services: Annotated[bool, typer.Option(help="Also start the gateway and the five services.")] = True,
) -> None:
    """Start what does not run yet, and leave it running."""
    from deploy.local import containers
    from deploy.local.platform import Platform, kind_of_platform

    if ports not in ("fixed", "free"):
        raise typer.BadParameter("say `fixed` or `free`", param_hint="--ports")
    begin = time.monotonic()
    if kind_of_platform() == "containers":
        typer.echo(f"Running in containers: {containers.up()}")
        return
    platform = Platform(data_dir, ports="free" if ports == "free" else "fixed")
    before = platform.running()
    platform.start(services=services)
    started = [name for name in platform.running() if name not in before]
    if started:
        typer.echo(f"Started {', '.join(started)} in {time.monotonic() - begin:.1f} s.")
    else:
        typer.echo("Already running.")
    _tell(platform.addresses, set(platform.running()))
    typer.echo(f"Logs: {platform.data_dir / 'logs'}   Stop: make down")


@cli.command()
def down(data_dir: DataDir = DATA) -> None:
    """Stop everything that runs on this data. The data stays."""
    from deploy.local import containers
    from deploy.local.platform import Platform, kind_of_platform

    if kind_of_platform() == "containers":
        containers.down()
        return
    stopped = Platform(data_dir).stop_everything() if data_dir.exists() else []
    typer.echo(f"Stopped {', '.join(stopped)}." if stopped else "Nothing was running.")


@cli.command()
def status(data_dir: DataDir = DATA) -> None:
    """Show what runs: address, process, memory, and whether the services can do their work. Status 1 if not all do."""
    from deploy.local import containers
    from deploy.local import services as service_processes
    from deploy.local.platform import Platform, kind_of_platform
    from deploy.local.provision import SERVICES

    if kind_of_platform() == "containers":
        containers.status()
        return
    platform = Platform(data_dir)
    running, memory = platform.running(), platform.resident_mb()
    if not running:
        typer.echo("Nothing is running. Start it with `make up`.")
        raise typer.Exit(1)
    all_well = True
    for name, address in platform.addresses.items():
        if name not in running:
            all_well = all_well and platform.kind == "external" and name not in (*SERVICES, "gateway")
            typer.echo(f"{name:<11} {'-':<27} not running here")
            continue
        ready = service_processes.ready(address) if name in SERVICES else True
        all_well = all_well and ready
        state = "ready" if ready else f"not ready  {service_processes.complaint(address)}"
        typer.echo(f"{name:<11} {address:<27} process {running[name].pid:<8} {memory[name]:6.0f} MB  {state}")
    typer.echo(f"{'together':<11} {'':<27} {'':<16} {sum(memory.values()):6.0f} MB")
    raise typer.Exit(0 if all_well else 1)


@cli.command()
def clean_data(data_dir: DataDir = DATA) -> None:
    """Forget everything that was entered: databases, log, objects, secrets, accounts. Downloads stay."""
    from deploy.local.platform import Platform

    running = Platform(data_dir).running() if data_dir.exists() else {}
    if running:
        raise PlatformError(f"{', '.join(running)} still run on this data. Stop them first: make down")
    for name in OURS:
        path = data_dir / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    typer.echo(f"{data_dir} holds no data any more.")


@cli.command()
def provision() -> None:
    """Prepare Kafka, MongoDB and the object store at addresses that the environment gives (see provision.py)."""
    from deploy.local.provision import provision_from_environment

    provision_from_environment()
    typer.echo("Topics, rights, users and buckets are as the code wants them.")


@cli.command()
def mail(data_dir: DataDir = DATA, to: Annotated[str, typer.Option(help="Only to this address.")] = "") -> None:
    """Show the newest letter that the catcher of mail has kept."""
    from deploy.local.mail import show_last

    show_last(data_dir / "mail", to)


@cli.command("exec", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def execute(
    service: Annotated[str, typer.Argument(help="Whose variables the command gets.")],
    command: Annotated[list[str], typer.Argument(help="The command, after `--`.")],
    data_dir: DataDir = DATA,
) -> None:
    """Run a command with a service's variables, for example: exec feed -- python -m services.feed rebuild"""
    from deploy.local.services import process_environment, read_env_file

    env_file = data_dir / "env" / f"{service}.env"
    if not env_file.exists():
        raise PlatformError(f"{env_file} is not there: no service {service!r} has been started yet. Run `make up`.")
    environment = process_environment(read_env_file(env_file))
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    raise typer.Exit(subprocess.run(command, env=environment, check=False).returncode)


def _tell(addresses: dict[str, str], running: set[str]) -> None:
    for name, address in addresses.items():
        if name in running:
            typer.echo(f"  {name:<11} {address}")


def main(run: Callable[[], None] = cli) -> None:
    """Run the command line; a PlatformError, or a file that cannot be used, becomes a sentence and status 1."""
    try:
        run()
    except PlatformError as failure:
        typer.echo(str(failure), err=True)
        sys.exit(1)
    except OSError as failure:
        if failure.filename is None:  # not about a file: nothing that a sentence of ours would explain
            raise
        typer.echo(f"{failure.filename}: {failure.strerror}.", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
