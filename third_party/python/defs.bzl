"""What repositories of Python packages have in common."""

# Of a repository rule that calls install_environment.
ENVIRONMENT_VARIABLES = ["HOME", "XDG_CACHE_HOME"]

def install_environment(ctx, install, inputs, arguments):
    """Runs an install.py of third_party, which installs below the user's cache what is not there yet.

    Args:
      ctx: The repository's.
      install: The label of the install.py, which takes a folder, `arguments` and --print.
      inputs: Labels of the files that it reads: a change of them fetches again.
      arguments: Its further arguments; the first is the name of its folder in the cache.

    Returns:
      The lines that it prints.
    """
    cache = ctx.os.environ.get("XDG_CACHE_HOME") or ctx.os.environ["HOME"] + "/.cache"
    python = ctx.which("python3")
    if not python:
        fail("python3 is not in PATH; %s installs with its pip" % install)
    for label in inputs:
        ctx.path(label)
    command = [python, ctx.path(install), cache + "/modelbatch/" + arguments[0]] + arguments[1:]

    # Twice: progress goes to the terminal only when the output is not captured.
    ctx.execute(command, quiet = False, timeout = 3600)
    result = ctx.execute(command + ["--print"])
    if result.return_code != 0:
        fail("%s failed:\n%s" % (install, result.stderr))
    return result.stdout.splitlines()
