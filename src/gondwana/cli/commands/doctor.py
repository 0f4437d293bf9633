"""`gondwana doctor`"""

from gondwana.cli.checks import connection_checks, exit_code_of, machine_checks, show_checks
from gondwana.cli.shell import Shell, shell_command


@shell_command(name="doctor")
def command(shell: Shell) -> int:
    """Check this machine and the connection; says what mends what. Ends with 1 where something must be mended."""
    checks = [*machine_checks(), *connection_checks(shell)]
    shell.result(checks, lambda: show_checks(checks))
    return exit_code_of(checks)
