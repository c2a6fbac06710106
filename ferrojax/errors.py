"""The one exception the library raises for input that a user can mend."""


class FerrojaxError(ValueError):
    """Bad input: the message names the file, frame or field, and the remedy.

    The command line prints the message alone and exits with status 2.
    """
